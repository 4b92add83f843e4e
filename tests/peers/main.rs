//! Real model servers behind Weir: a client gets what the server itself answers, and the metrics say what the
//! answers said. Real receivers of traces: they have each trace whole. A real Alertmanager: it calls somebody
//! once. Runs where `WEIR_PEERS` is set; `tests/support/peers.sh` installs the servers.

mod alerts;
mod mlflow;
mod mlserver;
mod tracing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use support::{Gateway, Message, Scrape, peer};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

fn is_skipped(needs: &str) -> bool {
    let skipped = std::env::var_os("WEIR_PEERS").is_none();
    if skipped {
        eprintln!("SKIPPED: needs {needs} (make test-peers)");
    }
    skipped
}

/// A script of `tests/support/peers`, under the Python of a peer.
fn script(peer: &str, name: &str) -> Command {
    let mut command = Command::new(peer::python(peer));
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/peers").join(name));
    command
}

fn rows_to_learn() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/churn/churn.csv")
}

/// Runs a command to its end and returns what it wrote.
#[track_caller]
fn output(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|e| panic!("{command:?}: {e} (make test-peers)"));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}:\n{said}");
    String::from_utf8(ended.stdout).expect("it writes UTF-8")
}

/// A request with a body; further header lines end in a line end.
fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: model.test\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn post_json(path: &str, body: &str) -> Vec<u8> {
    post(path, "Content-Type: application/json\r\n", body)
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: model.test\r\n\r\n").into_bytes()
}

/// Asks the server itself and through the gateway; both must give the same answer, byte by byte.
#[track_caller]
fn same(server: SocketAddr, gateway: &Gateway, request: impl AsRef<[u8]>) -> Message {
    let request = request.as_ref();
    let itself = peer::ask(server, request).expect("the server answers");
    let answer = gateway.ask(request);
    assert_eq!(comparable(&answer), comparable(&itself), "{}", String::from_utf8_lossy(request));
    answer
}

/// An answer without what differs from one second to the next: dates, one of them in a gzip header.
fn comparable(answer: &Message) -> (String, Vec<(String, String)>, Vec<u8>) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date");
    headers.sort();
    let mut body = answer.body.clone();
    if answer.header("content-encoding") == Some("gzip") {
        body[4..8].fill(0);
    }
    (answer.start(), headers, body)
}

/// What the answers of a model said, counted by the test itself.
#[derive(Debug, Default)]
struct Known {
    rows: f64,
    by_class: BTreeMap<String, f64>,
    /// Rows that came with class scores, and the sum of the highest of each.
    scored: f64,
    confidence: f64,
}

impl Known {
    fn class(&mut self, class: &str) {
        self.rows += 1.0;
        *self.by_class.entry(class.to_owned()).or_default() += 1.0;
    }

    /// Scores of a row; returns the place of the highest.
    fn scores(&mut self, scores: &[f64]) -> usize {
        let (top, highest) = scores.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (at, score)| {
            if *score > best.1 { (at, *score) } else { best }
        });
        self.scored += 1.0;
        self.confidence += highest;
        top
    }

    /// The metrics of a route say the same of this model.
    #[track_caller]
    fn holds(&self, scrape: &Scrape, labels: &[(&str, &str)]) {
        let with = |label| [labels, &[label]].concat();
        assert_eq!(scrape.sum("predictions_total", &with(("outcome", "ok"))), Some(self.rows));
        let by_class: BTreeMap<String, f64> = scrape
            .series("predictions_by_class_total")
            .filter(|s| labels.iter().all(|(name, value)| s.labels[*name] == *value))
            .map(|s| (s.labels["class"].clone(), s.value))
            .collect();
        assert_eq!(by_class, self.by_class);
        assert_eq!(scrape.sum("prediction_confidence_count", labels), Some(self.scored));
        let confidence = scrape.sum("prediction_confidence_sum", labels).expect("confidence is there");
        assert!((confidence - self.confidence).abs() < 1e-9 * self.confidence, "{confidence} for {self:?}");
    }
}

/// Values of the series of a metric that are not 0, by one label.
fn by(scrape: &Scrape, metric: &str, label: &str, labels: &[(&str, &str)]) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for sample in scrape.series(metric).filter(|s| s.value > 0.0) {
        if labels.iter().all(|(name, value)| sample.labels[*name] == *value) {
            *values.entry(sample.labels[label].clone()).or_default() += sample.value;
        }
    }
    values
}

/// What is expected of [`by`].
fn counts(values: &[(&str, f64)]) -> BTreeMap<String, f64> {
    values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

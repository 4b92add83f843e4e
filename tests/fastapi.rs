//! The example a new user begins with, for real: a FastAPI server behind Weir, scraped by a Prometheus, whose
//! answers are the numbers that the test counted itself. Runs where `WEIR_PEERS` is set;
//! `tests/support/peers.sh` installs the peers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::peer::{Peer, python};
use support::prometheus::Prometheus;
use support::{Gateway, eventually, nobody};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn model_server() -> (Peer, SocketAddr) {
    let address = nobody();
    let port = address.port().to_string();
    let mut command = Command::new(python("fastapi"));
    command.args([
        "-m",
        "uvicorn",
        "app:app",
        "--host",
        "127.0.0.1",
        "--log-level",
        "warning",
        "--port",
        &port,
    ]);
    let mut peer = Peer::start(command.current_dir(root().join("examples/fastapi")));
    peer.await_ready(address, "/health");
    (peer, address)
}

/// The values of an instant query by one label's value (empty for a query without that label).
fn query(prometheus: &Prometheus, query: &str, label: &str) -> BTreeMap<String, f64> {
    let answer = prometheus.ask("/api/v1/query", &[("query", query)]);
    let samples = answer["result"].as_array().expect("a vector").iter();
    let named = |sample: &serde_json::Value| {
        let name = sample["metric"][label].as_str().unwrap_or_default().to_owned();
        (name, sample["value"][1].as_str().and_then(|v| v.parse().ok()).expect("a number"))
    };
    samples.map(named).collect()
}

/// Waits for a query's answer; what it was instead is told.
#[track_caller]
fn expect(prometheus: &Prometheus, text: &str, label: &str, wanted: &[(&str, f64)]) {
    let wanted: BTreeMap<String, f64> = wanted.iter().map(|(name, v)| ((*name).to_owned(), *v)).collect();
    let close = |a: &BTreeMap<String, f64>| {
        a.len() == wanted.len()
            && a.iter()
                .zip(&wanted)
                .all(|((k, x), (l, y))| k == l && (x - y).abs() <= 1e-9 * y.abs().max(1.0))
    };
    let mut last = BTreeMap::new();
    let mut looks = 0;
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(text, || {
            looks += 1;
            last = query(prometheus, text, label);
            close(&last).then_some(())
        });
    }));
    assert!(found.is_ok(), "{text}\n  is {last:?}\n  not {wanted:?}\n  after {looks} looks");
}

/// What the test knows of its own traffic.
#[derive(Default)]
struct Known {
    rows: f64,
    requests: f64,
    by_class: BTreeMap<String, f64>,
    /// Sum of the probabilities of the classes chosen.
    confidence: f64,
}

impl Known {
    fn count(&mut self, reply: &serde_json::Value) {
        self.requests += 1.0;
        let classes = reply["predictions"].as_array().expect("predictions");
        let scores = reply["probabilities"].as_array().expect("probabilities");
        for (class, scores) in classes.iter().zip(scores) {
            self.rows += 1.0;
            *self.by_class.entry(class.to_string()).or_default() += 1.0;
            let scores = scores.as_array().expect("a row of scores").iter();
            self.confidence += scores.filter_map(serde_json::Value::as_f64).fold(0.0, f64::max);
        }
    }
}

/// Thirty requests of one to four customers, whom the model tells apart.
fn send_traffic(gateway: &Gateway) -> Known {
    let mut known = Known::default();
    for i in 0..30 {
        let rows: Vec<String> = (0..=i % 4)
            .map(|j| format!("[{}, {}, {}, {}]", (i * 7 + j * 13) % 72, 20 + (i * 11) % 95, i * 90, j % 2))
            .collect();
        let reply = gateway.post("/predict", &format!("{{\"features\": [{}]}}", rows.join(", ")));
        assert_eq!(reply.status(), 200, "{}", reply.text());
        known.count(&reply.json());
    }
    known
}

#[test]
fn prometheus_tells_what_the_test_counted() {
    if std::env::var_os("WEIR_PEERS").is_none() {
        eprintln!("SKIPPED: needs FastAPI and Prometheus (make test-peers)");
        return;
    }
    let (_server, model) = model_server();
    let gateway = Gateway::start(WEIR, &configuration(model));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let asked = &Prometheus::start(folder.path(), gateway.admin(), &[]);
    // Seen at 0 before the first request, so that an increase over the traffic would be right too.
    expect(asked, "sum(predictions_total)", "", &[("", 0.0)]);

    let known = send_traffic(&gateway);
    let refused = gateway.post("/predict", "{\"features\": [[1, 2]]}");
    assert_eq!(refused.status(), 422, "{}", refused.text());
    gateway.await_exchanges(31);
    gateway.settle();

    let by_class: Vec<(&str, f64)> = known.by_class.iter().map(|(c, n)| (c.as_str(), *n)).collect();
    assert_eq!(by_class.len(), 2, "the traffic has both classes");
    expect(asked, "sum by (class) (predictions_by_class_total)", "class", &by_class);
    let outcome = |outcome| format!("sum(predictions_total{{route=\"churn\",outcome=\"{outcome}\"}})");
    expect(asked, &outcome("ok"), "", &[("", known.rows)]);
    expect(asked, &outcome("client_error"), "", &[("", 1.0)]);
    expect(asked, "sum(prediction_confidence_count)", "", &[("", known.rows)]);
    expect(asked, "sum(prediction_confidence_sum)", "", &[("", known.confidence)]);
    expect(asked, "sum(confidence_top_ratio_count)", "", &[("", known.rows)]);
    expect(asked, "sum(feature_stats_rows_total{feature=\"0\"})", "", &[("", known.rows + 1.0)]);
    expect(asked, "sum(prediction_latency_seconds_count)", "", &[("", known.requests + 1.0)]);
    let by_status = "sum by (http_response_status_code) (http_server_request_duration_seconds_count)";
    let statuses = [("200", known.requests), ("422", 1.0)];
    expect(asked, by_status, "http_response_status_code", &statuses);
    expect(asked, "model_loaded", "model", &[("churn", 1.0)]);
    expect(asked, "sum by (fate) (weir_exchanges_total) > 0", "fate", &[("observed", 31.0)]);
    expect(asked, "up", "job", &[("weir", 1.0)]);
    promtool_finds_nothing(&gateway);
}

fn configuration(model: SocketAddr) -> String {
    let example =
        std::fs::read_to_string(root().join("examples/fastapi/weir.toml")).expect("the example is there");
    let there = example.replace("127.0.0.1:9000", &model.to_string());
    assert_ne!(example, there, "the example names the model server");
    there
}

/// `promtool check metrics` reads a scrape and has no complaint.
fn promtool_finds_nothing(gateway: &Gateway) {
    use std::io::Write as _;
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there (tests/support/peers.sh)");
    let mut input = check.stdin.take().expect("standard input is piped");
    input.write_all(gateway.get("/metrics").text().as_bytes()).expect("promtool reads");
    drop(input);
    let output = check.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool: {said}");
}

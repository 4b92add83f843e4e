//! A Prometheus that has scraped the histories, and what it makes of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;
use weir_alert::{Counts, Found, Holds, Machine, Moment};
use weir_telemetry::{Points, Value};

use crate::history::History;
use crate::rules::Question;
use crate::{BASE_MS, LOOKS, STEP_MS, Timelines, note};

/// Another version reads windows otherwise: Prometheus 3 has them open to the left.
const VERSION: &str = "2.42.";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn is_there() -> bool {
    ["promtool", "prometheus"].iter().all(|program| {
        let told = Command::new(program).arg("--version").output();
        told.is_ok_and(|out| String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).contains(VERSION))
    })
}

/// It ends when it is dropped, and takes its folder with it.
pub(crate) struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What it answers: label sets, and when each of them was there with which value.
#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Server {
    /// One that has scraped these.
    pub(crate) fn start(histories: &[History]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [samples, data, config] =
            ["samples.txt", "data", "prometheus.yml"].map(|n| folder.path().join(n));
        std::fs::write(&samples, scraped(histories)).expect("written");
        std::fs::write(&config, "global: {}\n").expect("written");
        import(&samples, &data);
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .args(["--storage.tsdb.retention.time=100y", "--web.listen-address=127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus runs");
        let mut server = Self { child, address: String::new(), _folder: folder };
        server.wait();
        server
    }

    /// Until it listens; its log says where.
    fn wait(&mut self) {
        let (tell, told) = mpsc::channel();
        let log = BufReader::new(self.child.stderr.take().expect("it is piped"));
        // Reads on until the end, so that it never waits to be read.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        loop {
            let line = told.recv_timeout(PATIENCE).expect("it comes to listen");
            if line.contains("msg=\"Listening on\"") {
                self.address = line.rsplit("address=").next().unwrap_or_default().trim().to_owned();
            } else if line.contains("ready to receive") {
                return;
            }
        }
    }

    /// What it makes of a history, with windows so many times as long.
    pub(crate) fn timelines(&self, history: &History, times: u64) -> Timelines {
        let mut all = Timelines::new();
        for question in history.rules.questions(&format!("job=\"{}\"", history.job())) {
            let rows = self.ask(&stretched(&question.promql, times), history.looks_from_ms);
            states(&question, history, rows, &mut all);
        }
        all
    }

    fn ask(&self, promql: &str, from_ms: u64) -> Vec<Row> {
        let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let (start, end) = (BASE_MS + from_ms, BASE_MS + from_ms + (LOOKS - 1) * STEP_MS);
        let step = STEP_MS / 1000;
        let (query, start, end) = (encoded(promql), seconds(start), seconds(end));
        let body = format!("query={query}&start={start}&end={end}&step={step}");
        // Version 1.0: the answer comes in one piece.
        let head = format!(
            "POST /api/v1/query_range HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let parsed = serde_json::from_str::<Answer>(body);
        parsed.unwrap_or_else(|error| panic!("{promql}: {error}: {answer}")).data.result
    }
}

/// Applies the states of an alert to what was found.
fn states(question: &Question, history: &History, rows: Vec<Row>, all: &mut Timelines) {
    let mut looks: Vec<Vec<Found>> = vec![Vec::new(); LOOKS as usize];
    for row in rows {
        for (at_s, value) in row.values {
            let since_ms = (at_s * 1000.0).round() as u64 - BASE_MS - history.looks_from_ms;
            let value = value.parse().unwrap_or(f64::NAN);
            let found = Found { labels: row.metric.clone(), value, counts: Counts::default() };
            looks[(since_ms / STEP_MS) as usize].push(found);
        }
    }
    let (mut machine, holds) = (Machine::default(), Holds { hold_ms: question.hold_ms, keep_ms: 0 });
    for (look, found) in (0..).zip(looks) {
        let at_ms = BASE_MS + history.looks_from_ms + look * STEP_MS;
        machine.step(&found, &[], holds, Moment { at_ms, generation: 1, patient: false, young: false });
        for active in machine.active() {
            note(all, &question.name, active.found.clone(), look, active.state);
        }
    }
}

fn import(samples: &Path, data: &Path) {
    let tool = ["tsdb", "create-blocks-from", "openmetrics", "--quiet"];
    let out = Command::new("promtool").args(tool).args([samples, data]).output().expect("promtool runs");
    let told = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{told}");
}

/// Everything that was scraped, as OpenMetrics.
fn scraped(histories: &[History]) -> String {
    let mut text = String::new();
    for history in histories {
        for at_ms in &history.scrapes_ms {
            let at_s = (BASE_MS + at_ms) as f64 / 1000.0;
            for points in history.points(*at_ms) {
                scrape(&mut text, &points, &history.job(), at_s);
            }
        }
    }
    text + "# EOF\n"
}

fn scrape(text: &mut String, points: &Points, job: &str, at_s: f64) {
    let name = &points.spec.name;
    for sample in &points.samples {
        let mut labels = format!("job=\"{job}\"");
        for (label, value) in points.spec.labels.iter().zip(&*sample.labels) {
            let _ = write!(labels, ",{label}=\"{value}\"");
        }
        let Value::Histogram { edges, counts, .. } = &sample.value else {
            let (Value::Counter(count) | Value::Gauge(count)) = sample.value else { continue };
            let _ = writeln!(text, "{name}{{{labels}}} {count} {at_s:.3}");
            continue;
        };
        let mut sum = 0;
        for (edge, count) in edges.iter().chain([&f64::INFINITY]).zip(counts) {
            sum += count;
            let le = if edge.is_infinite() { "+Inf".to_owned() } else { format!("{edge:?}") };
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{le}\"}} {sum} {at_s:.3}");
        }
        let _ = writeln!(text, "{name}_count{{{labels}}} {sum} {at_s:.3}");
    }
}

/// The same expression with every window so many times as long.
fn stretched(promql: &str, times: u64) -> String {
    let mut parts = promql.split('[');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (window, rest) = part.split_once(']').unwrap_or_default();
        let (number, unit) = window.split_at(window.len() - 1);
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("{window} is no simple window"));
        let _ = write!(text, "[{}{unit}]{rest}", number * times);
    }
    text
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let _ = write!(out, "%{byte:02X}");
    }
    out
}

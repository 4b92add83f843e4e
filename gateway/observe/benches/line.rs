//! What an exchange costs behind the request path, without judges: `cargo bench -p weir-observe`.
//!
//! A shard's worth of exchanges is handed off, then taken, decoded, counted and batched in one pass of a
//! telemetry thread, as every 10 ms under load. Every line is the best of many passes: what the code costs
//! when nobody else uses the core. The reference exchange is 2 rows of 8 features, 120 bytes each way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{
    End, Exchange, Handoff, Head, ObservedRoute, Protocol, ShardLimits, Side, Timing, TraceIds, shard,
};
use weir_observe::{Line, LineConfig, Metrics, RecentVerdicts};
use weir_telemetry::{Cap, Family, Registry, Spec, Value};

/// Exchanges of one pass: 50,000 a second on one worker; fewer if they would be more than a shard keeps
/// memory for.
const PASS: usize = 512;
const PASS_BYTES: usize = 1 << 20;
const PASSES: usize = 400;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    println!("{:<44} {:>10} {:>12} {:>9}", "exchange", "hand off", "the line", "total");
    let [request, response] = [rows(2), scores(2)];
    report("reference: kserve-v1, scores", Some(Protocol::KserveV1), &request, &response);
    report(
        "regression: kserve-v1, two values",
        Some(Protocol::KserveV1),
        &request,
        r#"{"predictions":[21.5,3.25]}"#,
    );
    report("texts: kserve-v1, records and labels", Some(Protocol::KserveV1), &records(2), &labels());
    report("not decoded: no protocol", None, &request, &response);
    report("150 rows: kserve-v1, 7.5 and 9 KB", Some(Protocol::KserveV1), &rows(150), &scores(150));
    idle();
}

fn report(name: &str, protocol: Option<Protocol>, request: &str, response: &str) {
    // `cargo bench -p weir-observe -- reference` measures only that: for a profiler.
    if std::env::args().skip(1).any(|wanted| !wanted.starts_with('-') && !name.contains(&wanted)) {
        return;
    }
    let bench = Bench::new(protocol, Duration::from_secs(3600));
    let [request, response] = [request, response].map(|body| Bytes::copy_from_slice(body.as_bytes()));
    let pass = PASS.min(PASS_BYTES / (request.len() + response.len()));
    let (mut pushing, mut working) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..PASSES {
        let exchanges: Vec<_> = (0..pass).map(|_| bench.exchange(&request, &response)).collect();
        let (begin, before) = (Instant::now(), bench.cpu_seconds());
        for exchange in exchanges {
            bench.handoff.push(exchange).expect("a pass fits the shard");
        }
        pushing = pushing.min(begin.elapsed().as_secs_f64());
        // The CPU time of a pass is published when it is over: by the time the next barrier is reached.
        assert!(bench.line.settle(PATIENCE) && bench.line.settle(PATIENCE));
        working = working.min(bench.cpu_seconds() - before);
    }
    let [push, work] = [pushing, working].map(|seconds| seconds * 1e9 / pass as f64);
    println!("{name:<44} {push:>7.0} ns {work:>9.0} ns {:>6.0} ns", push + work);
    assert!(bench.line.shut_down(PATIENCE));
}

/// CPU time of a telemetry thread that has nothing to do but to look.
fn idle() {
    let bench = Bench::new(None, LineConfig::default().poll);
    assert!(bench.line.settle(PATIENCE));
    let (begin, before) = (Instant::now(), bench.cpu_seconds());
    let (send, ended) = std::sync::mpsc::channel::<()>();
    assert!(ended.recv_timeout(Duration::from_secs(3)).is_err());
    let share = (bench.cpu_seconds() - before) / begin.elapsed().as_secs_f64();
    println!("idle, looking every {:?}: {:.3} % of a core", LineConfig::default().poll, share * 100.0);
    drop(send);
    assert!(bench.line.shut_down(PATIENCE));
}

struct Bench {
    registry: Registry,
    handoff: Arc<Handoff>,
    line: Line,
    route: Arc<ObservedRoute>,
}

impl Bench {
    fn new(protocol: Option<Protocol>, poll: Duration) -> Self {
        let registry = Registry::default();
        let labels = ["slo", "definition", "good"];
        let events = Family::new(Spec::counter("weir_slo_events_total", "", &labels), Cap::Closed);
        let metrics = Metrics::new(&registry, events).expect("a new registry has every name free");
        let sink = Arc::new(RecentVerdicts::new(&metrics.line, 1));
        let handoff = Arc::new(Handoff::new(ShardLimits::default()));
        let config = LineConfig { poll, ..LineConfig::default() };
        let line =
            Line::start(config, vec![handoff.clone()], metrics, sink, Vec::new()).expect("there are threads");
        let route = Arc::new(route(protocol));
        line.declare(std::slice::from_ref(&route));
        assert!(line.settle(PATIENCE), "the thread has started");
        Self { registry, handoff, line, route }
    }

    fn cpu_seconds(&self) -> f64 {
        let points = self.registry.gather();
        let cpu = points
            .iter()
            .find(|points| &*points.spec.name == "weir_telemetry_cpu_seconds_total")
            .expect("the line counts its time");
        match &cpu.samples[0].value {
            Value::Counter(seconds) => *seconds,
            _ => unreachable!("CPU time is a counter"),
        }
    }

    fn exchange(&self, request: &Bytes, response: &Bytes) -> Exchange {
        Exchange {
            route: self.route.clone(),
            head: Head {
                path: shard::held(Bytes::from_static(b"/v1/models/churn:predict")),
                status: 200,
                ..Head::default()
            },
            request: side(request),
            response: side(response),
            timing: Timing {
                start_unix_ns: 1_700_000_000_000_000_000,
                upstream_start_ns: 20_000,
                response_head_ns: 900_000,
                end_ns: 950_000,
            },
            end: End::Complete,
            error: None,
            probability: 1.0,
            trace: TraceIds { trace_id: 1, span_id: 1, ..TraceIds::default() },
            facts: None,
        }
    }
}

fn side(body: &Bytes) -> Side {
    let payload = shard::held(body.clone());
    let (encoding, content) = (Encoding::Identity, Content::Json);
    Side { payload, total: body.len() as u64, truncated: false, encoding, content }
}

fn route(protocol: Option<Protocol>) -> ObservedRoute {
    ObservedRoute::named("churn", protocol)
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn feature(row: usize, column: usize) -> String {
    format!("{}.{:03}", 1 + (row + column) % 9, (row * 8 + column) * 37 % 1000)
}

fn rows(rows: usize) -> String {
    let rows = (0..rows).map(|row| list((0..8).map(|column| feature(row, column))));
    format!("{{\"instances\":{}}}", list(rows))
}

/// Six numbers and two categories a row.
fn records(rows: usize) -> String {
    let field = |row, column| format!("\"feature_{column}\":{}", feature(row, column));
    let record = |row| {
        let numbers: Vec<_> = (0..6).map(|column| field(row, column)).collect();
        format!("{{{},\"plan\":\"plan-{}\",\"country\":\"c{}\"}}", numbers.join(","), row % 3, row % 7)
    };
    format!("{{\"instances\":{}}}", list((0..rows).map(record)))
}

fn labels() -> String {
    r#"{"predictions":["stays","leaves"]}"#.to_owned()
}

/// Three probabilities a row, with as many digits as a softmax in f64 has.
fn scores(rows: usize) -> String {
    let rows = (0..rows).map(|row| {
        let first = 0.8 + (row as f64 * 0.618).fract() * 0.18;
        let second = (1.0 - first) * 0.7123;
        list([first, second, 1.0 - first - second].iter().map(ToString::to_string))
    });
    format!("{{\"predictions\":{}}}", list(rows))
}

//! Whatever a body holds, the client gets the model server's bytes, and telemetry counts exactly what it
//! could read.

use std::io::Write;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use support::{Gateway, Message, Scrape, Server, ok};

/// A gateway with a route of every protocol before a server that answers what it is told to.
struct Bench {
    gateway: Gateway,
    server: Server,
    reply: Arc<Mutex<Vec<u8>>>,
    asked: u64,
}

const ROUTES: [(&str, &str, &str); 5] = [
    ("kserve", "/v1/models/*", "protocol = \"kserve-v1\""),
    ("oip", "/v2/models/*", "protocol = \"oip-v2\""),
    ("mlflow", "/invocations", "protocol = \"mlflow\"\nmodel = \"wine\""),
    ("own", "/predict", "protocol = \"json\"\nmodel = \"churn\""),
    ("opaque", "/opaque", ""),
];

impl Bench {
    fn new() -> Self {
        let reply = Arc::new(Mutex::new(Vec::new()));
        let told = reply.clone();
        let server = Server::start(move |_| told.lock().expect("no panic holds it").clone());
        let mut toml =
            format!("[backend.up]\nendpoints = [\"http://{}\"]\nready = \"off\"\n", server.address());
        for (name, path, keys) in ROUTES {
            toml.push_str(&format!(
                "[[route]]\nname = \"{name}\"\npath = \"{path}\"\nbackend = \"up\"\n{keys}\n"
            ));
        }
        Self { gateway: Gateway::start(env!("CARGO_BIN_EXE_weir"), &toml), server, reply, asked: 0 }
    }

    /// Sends a body and has it answered with another; both must pass unchanged.
    #[track_caller]
    fn exchange(&mut self, path: &str, [request, response]: [&[u8]; 2]) {
        self.exchange_with(path, ("", request), &ok("application/json", response));
    }

    #[track_caller]
    fn exchange_with(&mut self, path: &str, (headers, body): (&str, &[u8]), reply: &[u8]) -> Message {
        *self.reply.lock().expect("no panic holds it") = reply.to_vec();
        let head = "Host: h\r\nContent-Type: application/json";
        let head =
            format!("POST {path} HTTP/1.1\r\n{head}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        let answer = self.gateway.ask([head.as_bytes(), body].concat());
        assert_eq!(self.server.request().body, body, "the request passes as it is");
        let sent = reply.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
        assert_eq!(answer.body, &reply[sent..], "the response passes as it is");
        self.asked += 1;
        answer
    }

    /// All counts, once every exchange has its fate.
    #[track_caller]
    fn counts(&self) -> Scrape {
        self.gateway.await_exchanges(self.asked)
    }
}

const KSERVE: &str = "/v1/models/churn:predict";

#[track_caller]
fn expect(scrape: &Scrape, name: &str, labels: &[(&str, &str)], value: f64) {
    assert_eq!(scrape.sum(name, labels).unwrap_or_default(), value, "{name}{labels:?}");
}

fn nested(depth: usize) -> Vec<u8> {
    format!("{{\"instances\": {}1{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

const FINE: &[u8] = b"{\"predictions\": [[0.9, 0.1]]}";
const ROW: &[u8] = b"{\"instances\": [[1, 2]]}";

#[test]
fn broken_bodies_pass_unchanged_and_each_error_is_counted_by_side_and_kind() {
    let mut bench = Bench::new();
    let (deep, deeper) = (nested(65), nested(100_000));
    let requests: [(&[u8], &str); 9] = [
        (b"{\"instances\": [[1, 2", "malformed"),
        (b"{\"instances\": [[1, 2]]} trailing", "malformed"),
        (b"not JSON \x00\x01", "malformed"),
        (b"{\"instances\": [[\"\xff\xfe\"]]}", "not_utf8"),
        (&deep, "too_deep"),
        (&deeper, "too_deep"),
        (b"{\"rows\": [[1, 2]]}", "absent"),
        (b"{\"instances\": [[{\"a\": 1}, 2]]}", "unsupported"),
        (b"{\"instances\": [[1, 2], [3, 4]]}", "row_mismatch"),
    ];
    for (request, _) in &requests {
        bench.exchange(KSERVE, [request, FINE]);
    }
    let responses: [(&[u8], &str); 5] = [
        (b"{\"predictions\": [0.5", "malformed"),
        (b"<html></html>", "malformed"),
        (b"{\"predictions\": [\"\xc3\x28\"]}", "not_utf8"),
        (&deeper, "too_deep"),
        (b"{\"outcome\": 1}", "absent"),
    ];
    let mut skipped = 0.0;
    for (response, _) in &responses {
        bench.exchange(KSERVE, [ROW, response]);
        skipped += 1.0;
    }
    let scrape = bench.counts();
    for (side, table) in [("request", &requests[..]), ("response", &responses[..])] {
        for kind in
            ["malformed", "not_utf8", "too_deep", "absent", "unsupported", "too_large", "row_mismatch"]
        {
            let expected = table.iter().filter(|(_, k)| *k == kind).count() as f64;
            expect(&scrape, "weir_decode_errors_total", &[("side", side), ("kind", kind)], expected);
        }
    }
    let undecodable = requests.len() as f64 + skipped;
    expect(&scrape, "weir_exchanges_total", &[("route", "kserve"), ("fate", "undecodable")], undecodable);
    // Rows that could be read count: one a reply that is fine, one asked for in each that is not.
    expect(&scrape, "predictions_total", &[("outcome", "ok")], (requests.len() + responses.len()) as f64);
}

#[test]
fn odd_bodies_that_can_be_read_are_read() {
    let mut bench = Bench::new();
    let two = b"{\"predictions\": [[0.9, 0.1], [0.2, 0.8]]}";
    let odd: [&[u8]; 5] = [
        b"{\"instances\": [[NaN, Infinity], [-Infinity, 1e999]]}",
        b"{\"instances\": [[1, 2, 3], [4]]}",
        b"{\"instances\": [[null, true], [\"text\", -0.0]]}",
        b"{\"instances\": [{\"a\": 1}, {\"b\": [1, 2]}]}",
        b"\n\t{ \"instances\" : [ [ 1 ] , [ 2 ] ] } \r\n",
    ];
    for request in odd {
        bench.exchange(KSERVE, [request, two]);
    }
    let scrape = bench.counts();
    expect(&scrape, "weir_exchanges_total", &[("fate", "observed")], odd.len() as f64);
    expect(&scrape, "weir_decode_errors_total", &[], 0.0);
    expect(&scrape, "predictions_total", &[("outcome", "ok")], 2.0 * odd.len() as f64);
    expect(&scrape, "prediction_confidence_count", &[], 2.0 * odd.len() as f64);
}

#[test]
fn scores_that_are_not_numbers_fail_no_traffic_and_spoil_no_sum() {
    let mut bench = Bench::new();
    bench.exchange(KSERVE, [ROW, FINE]);
    // What the predictions mean is decided by the first reply that is read.
    bench.counts();
    bench.exchange(KSERVE, [ROW, b"{\"predictions\": [[NaN, NaN]]}"]);
    bench.exchange(KSERVE, [ROW, b"{\"predictions\": [[null, 0.7]]}"]);
    let scrape = bench.counts();
    expect(&scrape, "predictions_total", &[("outcome", "ok")], 3.0);
    expect(&scrape, "prediction_confidence_count", &[], 2.0);
    let sum = scrape.sum("prediction_confidence_sum", &[]).expect("a sum");
    assert!((sum - 1.6).abs() < 1e-9, "{sum}");
}

#[test]
fn a_body_over_the_capture_limit_passes_whole_and_is_counted_truncated() {
    let mut bench = Bench::new();
    let row = "[1.5, 2.5], ".repeat(50_000);
    let large = format!("{{\"instances\": [{row}[0, 0]]}}").into_bytes();
    assert!(large.len() > 256 << 10);
    bench.exchange(KSERVE, [&large, FINE]);
    let large = format!("{{\"predictions\": [{row}[0, 0]]}}").into_bytes();
    bench.exchange(KSERVE, [ROW, &large]);
    let scrape = bench.counts();
    expect(&scrape, "weir_exchanges_total", &[("route", "kserve"), ("fate", "truncated")], 2.0);
    expect(&scrape, "weir_decode_errors_total", &[], 0.0);
    let bytes = [("route", "kserve"), ("direction", "response")];
    expect(&scrape, "weir_body_bytes_total", &bytes, (FINE.len() + large.len()) as f64);
}

#[test]
fn compressed_bodies_pass_as_they_are_and_their_rows_are_counted() {
    let mut bench = Bench::new();
    let request = gzip(b"{\"instances\": [[1, 2], [3, 4], [5, 6]]}");
    let response = gzip(b"{\"predictions\": [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]}");
    let reply = |encoding: &str, body: &[u8]| {
        let plain = ok("application/json", body);
        let start = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}");
        [start.as_bytes(), &plain[b"HTTP/1.1 200 OK".len()..]].concat()
    };
    let headers = "Content-Encoding: gzip\r\n";
    let answer = bench.exchange_with(KSERVE, (headers, &request), &reply("gzip", &response));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let scrape = bench.counts();
    expect(&scrape, "predictions_total", &[("route", "kserve"), ("outcome", "ok")], 3.0);
    expect(&scrape, "prediction_confidence_count", &[], 3.0);

    bench.exchange_with(KSERVE, (headers, b"no gzip at all"), &reply("gzip", &response[..20]));
    bench.exchange_with(KSERVE, (headers, &request), &reply("br", b"\x0b\x02\x80"));
    // A megabyte of zeros a kilobyte: past the limit of what is inflated.
    let bomb = gzip(&vec![b' '; 9 << 20]);
    bench.exchange_with(KSERVE, (headers, &bomb), &ok("application/json", FINE));
    let scrape = bench.counts();
    for (side, kind) in [
        ("request", "malformed"),
        ("response", "malformed"),
        ("response", "unsupported"),
        ("request", "too_large"),
    ] {
        expect(&scrape, "weir_decode_errors_total", &[("side", side), ("kind", kind)], 1.0);
    }
}

#[test]
fn every_protocol_counts_its_rows_classes_and_confidences_exactly() {
    let mut bench = Bench::new();
    bench.exchange(
        KSERVE,
        [b"{\"instances\": [[1], [2]]}", b"{\"predictions\": [[0.95, 0.05], [0.25, 0.75]]}"],
    );
    bench.exchange(
        "/v2/models/iris/versions/3/infer",
        [
            b"{\"inputs\": [{\"name\": \"x\", \"shape\": [3, 1], \"datatype\": \"FP32\", \"data\": [1, 2, 3]}]}",
            b"{\"model_name\": \"iris\", \"model_version\": \"3\", \"outputs\": [\
              {\"name\": \"label\", \"shape\": [3], \"datatype\": \"INT64\", \"data\": [0, 1, 1]}, \
              {\"name\": \"probabilities\", \"shape\": [3, 2], \"datatype\": \"FP64\", \"data\": [0.7, 0.3, 0.4, 0.6, 0.1, 0.9]}]}",
        ],
    );
    for request in [
        &b"{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1], [2]]}}"[..],
        b"{\"dataframe_records\": [{\"a\": 1}, {\"a\": 2}]}",
        b"{\"instances\": [{\"a\": 1}, {\"a\": 2}]}",
        b"{\"inputs\": {\"a\": [1, 2]}}",
    ] {
        bench.exchange("/invocations", [request, b"{\"predictions\": [3.5, 4.5]}"]);
    }
    bench.exchange(
        "/predict",
        [
            b"{\"features\": [[1, 2], [3, 4], [5, 6], [7, 8]]}",
            b"{\"predictions\": [0, 1, 1, 0], \"probabilities\": [[0.8, 0.2], [0.3, 0.7], [0.01, 0.99], [0.55, 0.45]], \"model_version\": \"7\"}",
        ],
    );
    bench.exchange("/opaque", [b"\x00\x01", b"\x02"]);
    let scrape = bench.counts();
    let models = [
        ("kserve", "churn", "", 2.0),
        ("oip", "iris", "3", 3.0),
        ("mlflow", "wine", "", 8.0),
        ("own", "churn", "7", 4.0),
    ];
    for (route, model, version, rows) in models {
        let labels = [("route", route), ("model", model), ("model_version", version), ("outcome", "ok")];
        expect(&scrape, "predictions_total", &labels, rows);
        expect(&scrape, "predictions_total", &[("route", route)], rows);
    }
    for (route, count, sum) in
        [("kserve", 2.0, 1.7), ("oip", 3.0, 2.2), ("mlflow", 0.0, 0.0), ("own", 4.0, 3.04)]
    {
        expect(&scrape, "prediction_confidence_count", &[("route", route)], count);
        let got = scrape.sum("prediction_confidence_sum", &[("route", route)]).unwrap_or_default();
        assert!((got - sum).abs() < 1e-9, "{route}: {got}");
    }
    for (le, count) in [("0.5", 0.0), ("0.6", 1.0), ("0.7", 2.0), ("0.8", 3.0), ("0.99", 4.0), ("+Inf", 4.0)]
    {
        expect(&scrape, "prediction_confidence_bucket", &[("route", "own"), ("le", le)], count);
    }
    for (route, class, rows) in
        [("own", "0", 2.0), ("own", "1", 2.0), ("oip", "0", 1.0), ("oip", "1", 2.0), ("kserve", "0", 1.0)]
    {
        expect(&scrape, "predictions_by_class_total", &[("route", route), ("class", class)], rows);
    }
    expect(&scrape, "predictions_by_class_total", &[("route", "mlflow")], 0.0);
    expect(&scrape, "weir_exchanges_total", &[("fate", "observed")], 8.0);
    expect(&scrape, "predictions_total", &[("route", "opaque")], 0.0);
    expect(&scrape, "prediction_latency_seconds_count", &[("route", "mlflow")], 4.0);
}

#[test]
fn a_failure_counts_the_rows_that_were_asked_for_by_outcome() {
    let mut bench = Bench::new();
    let answers = [
        ("400 Bad Request", "client_error"),
        ("422 Unprocessable", "client_error"),
        ("500 Oops", "upstream_error"),
    ];
    for (status, _) in answers {
        let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}");
        let two = b"{\"features\": [[1, 2], [3, 4]]}";
        assert_eq!(
            bench.exchange_with("/predict", ("", two), reply.as_bytes()).start(),
            format!("HTTP/1.1 {status}")
        );
    }
    let scrape = bench.counts();
    let outcome = |o| [("route", "own"), ("model", "churn"), ("outcome", o)];
    expect(&scrape, "predictions_total", &outcome("client_error"), 4.0);
    expect(&scrape, "predictions_total", &outcome("upstream_error"), 2.0);
    expect(&scrape, "predictions_total", &outcome("ok"), 0.0);
    expect(&scrape, "api_errors_total", &[("route", "own"), ("error_type", "status_5xx")], 1.0);
    expect(&scrape, "weir_decode_errors_total", &[], 0.0);
}

#[test]
fn a_route_that_is_not_observed_is_counted_and_its_bodies_never_read() {
    let server = Server::json("{\"predictions\": [[0.9, 0.1]]}");
    let route = "protocol = \"kserve-v1\"\nobserve = false";
    let toml = support::forward_with(&[server.address()], route, "");
    let gateway = Gateway::start(env!("CARGO_BIN_EXE_weir"), &toml);
    assert_eq!(gateway.post(KSERVE, "{\"instances\": [[1]]}").status(), 200);
    let scrape = gateway.await_exchanges(1);
    expect(&scrape, "weir_exchanges_total", &[("route", "all"), ("fate", "unsampled")], 1.0);
    expect(&scrape, "predictions_total", &[], 0.0);
    expect(&scrape, "http_server_request_duration_seconds_count", &[("route", "all")], 1.0);
}

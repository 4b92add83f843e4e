//! Nanoseconds per body, both sides of an exchange, on one thread: `cargo bench -p weir-codec`.
//!
//! Every line is the best of several rounds: what the code costs when nobody else uses the core.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_codec::{Body, Decoder, classify, encode};
use weir_exchange::{JsonPaths, ObservedRoute, Output, Protocol, Reply, RouteId, Table};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(20);

fn main() {
    println!("{:<34} {:>7} {:>10} {:>9}", "body", "bytes", "ns", "ns/byte");
    for (rows, label) in [(2, "reference, 2 rows"), (150, "7 KB"), (2100, "100 KB")] {
        exchange(
            &format!("kserve-v1 {label}"),
            Protocol::KserveV1,
            &array_rows("instances", rows),
            &scores(rows),
        );
    }
    exchange(
        "json 2 rows",
        Protocol::Json(JsonPaths::default()),
        &array_rows("features", 2),
        &labels_and_scores(),
    );
    exchange("mlflow records 2 rows", Protocol::Mlflow, &record_rows(2), &scores(2));
    exchange("mlflow records 150 rows", Protocol::Mlflow, &record_rows(150), &scores(150));
    exchange("oip-v2 [2, 8]", Protocol::OipV2, &tensors(), &tensor_scores());
    encoding();
}

/// Measures the request, the response, and both one after the other with the scores recognised.
fn exchange(name: &str, protocol: Protocol, request: &str, response: &str) {
    let route = route(protocol);
    let (mut decoder, mut table, mut reply) = (Decoder::default(), Table::default(), Reply::default());
    let ns = measure(|| {
        decoder.request(&route, "/", Body::json(black_box(request.as_bytes())), &mut table).unwrap();
    });
    print(&format!("{name} request"), request.len(), ns);
    let ns = measure(|| {
        decoder.response(&route, Body::json(black_box(response.as_bytes())), &mut reply).unwrap();
        classify(&mut reply, None, &route.output);
    });
    print(&format!("{name} response"), response.len(), ns);
}

fn encoding() {
    let route = route(Protocol::Json(JsonPaths::default()));
    let (mut decoder, mut reply) = (Decoder::default(), Reply::default());
    decoder.response(&route, Body::json(labels_and_scores().as_bytes()), &mut reply).unwrap();
    let labels = encode::ModelLabels { name: "churn", version: "1" };
    let protocol = Protocol::KserveV1;
    let bytes = encode::reply(&protocol, &reply, &labels, None).len();
    let ns = measure(|| {
        black_box(encode::reply(&protocol, black_box(&reply), &labels, None));
    });
    print("kserve-v1 encode 2 rows", bytes, ns);
}

fn print(name: &str, bytes: usize, ns: f64) {
    println!("{name:<34} {bytes:>7} {ns:>10.0} {:>9.2}", ns / bytes as f64);
}

/// Best round's ns per call.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            (0..16).for_each(|_| call());
            calls += 16;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn route(protocol: Protocol) -> ObservedRoute {
    ObservedRoute {
        id: RouteId(0),
        name: Arc::from("bench"),
        generation: 0,
        observe: true,
        protocol: Some(protocol),
        output: Output::default(),
        model: Arc::from("bench"),
        model_version: Arc::from(""),
        model_header: None,
        model_version_header: None,
        model_from_request: false,
        capture_limit: 1 << 20,
    }
}

fn feature(row: usize, column: usize) -> String {
    format!("{}.{:03}", 1 + (row + column) % 9, (row * 8 + column) * 37 % 1000)
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn array_rows(field: &str, rows: usize) -> String {
    format!("{{\"{field}\":{}}}", list((0..rows).map(|row| list((0..8).map(|column| feature(row, column))))))
}

fn record_rows(rows: usize) -> String {
    let field = |row, column| format!("\"feature_{column}\":{}", feature(row, column));
    let record = |row| format!("{{{}}}", (0..8).map(|c| field(row, c)).collect::<Vec<_>>().join(","));
    format!("{{\"dataframe_records\":{}}}", list((0..rows).map(record)))
}

/// Three probabilities a row, with as many digits as a softmax in f64 has.
fn probabilities(rows: usize) -> String {
    list((0..rows).map(|row| {
        let first = 0.8 + (row as f64 * 0.618).fract() * 0.18;
        let second = (1.0 - first) * 0.7123;
        list([first, second, 1.0 - first - second].iter().map(ToString::to_string))
    }))
}

fn scores(rows: usize) -> String {
    format!("{{\"predictions\":{}}}", probabilities(rows))
}

fn labels_and_scores() -> String {
    format!("{{\"predictions\":[0,1],\"probabilities\":{},\"model_version\":\"1\"}}", probabilities(2))
}

fn tensors() -> String {
    let data = list((0..16).map(|cell| feature(cell / 8, cell % 8)));
    format!("{{\"inputs\":[{{\"name\":\"x\",\"shape\":[2,8],\"datatype\":\"FP64\",\"data\":{data}}}]}}")
}

fn tensor_scores() -> String {
    let data = probabilities(2).replace("],[", ",").replace("[[", "[").replace("]]", "]");
    let tensor =
        format!("{{\"name\":\"predict_proba\",\"shape\":[2,3],\"datatype\":\"FP64\",\"data\":{data}}}");
    format!("{{\"model_name\":\"m\",\"model_version\":\"1\",\"outputs\":[{tensor}]}}")
}

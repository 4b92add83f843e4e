//! Nanoseconds per exchange on one thread, both bodies read and the scores recognised: `cargo bench -p
//! weir-codec`.
//!
//! Every number is the best of many rounds, each shorter than a scheduler's slice: what the code costs while
//! nobody else has the core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_codec::{Body, Decoder, classify, encode};
use weir_exchange::{JsonPaths, ObservedRoute, Protocol, Reply, Table};

const ROUNDS: usize = 1500;
const ROUND: Duration = Duration::from_micros(200);

fn main() {
    println!(
        "{:<32} {:>7} {:>9} {:>9} {:>9} {:>6}",
        "exchange", "bytes", "request", "response", "ns", "MB/s"
    );
    let kserve = |name: &str, rows: usize, width: usize| {
        exchange(name, Protocol::KserveV1, &array_rows("instances", rows, width), &scores(rows));
    };
    kserve("kserve-v1 1 x 12", 1, 12);
    kserve("kserve-v1 2 x 8", 2, 8);
    kserve("kserve-v1 8 x 16", 8, 16);
    kserve("kserve-v1 150 x 8, 7 KB", 150, 8);
    kserve("kserve-v1 2100 x 8, 100 KB", 2100, 8);
    let json = Protocol::Json(JsonPaths::default());
    exchange("json 2 x 8, labels and scores", json, &array_rows("features", 2, 8), &labels_and_scores());
    exchange("mlflow records 2 x 8", Protocol::Mlflow, &record_rows(2), &scores(2));
    exchange("mlflow records 150 x 8", Protocol::Mlflow, &record_rows(150), &scores(150));
    exchange("mlflow split 2 x 8", Protocol::Mlflow, &split_rows(2), &scores(2));
    exchange("oip-v2 2 x 8", Protocol::OipV2, &tensors(), &tensor_scores());
    encoding();
}

/// Measures both sides of an exchange.
fn exchange(name: &str, protocol: Protocol, request: &str, response: &str) {
    let route = route(protocol);
    let (mut decoder, mut table, mut reply) = (Decoder::default(), Table::default(), Reply::default());
    let asked = measure(|| {
        decoder
            .request(&route, "/", Body::json(black_box(request.as_bytes())), &mut table)
            .expect("the sample is of its protocol");
    });
    let answered = measure(|| {
        decoder
            .response(&route, Body::json(black_box(response.as_bytes())), &mut reply)
            .expect("the sample is of its protocol");
        classify(&mut reply, None, &route.output);
    });
    let (bytes, ns) = (request.len() + response.len(), asked + answered);
    let speed = bytes as f64 / ns * 1e3;
    println!("{name:<32} {bytes:>7} {asked:>9.0} {answered:>9.0} {ns:>9.0} {speed:>6.0}");
}

fn encoding() {
    let route = route(Protocol::Json(JsonPaths::default()));
    let (mut decoder, mut reply) = (Decoder::default(), Reply::default());
    decoder
        .response(&route, Body::json(labels_and_scores().as_bytes()), &mut reply)
        .expect("the sample is of its protocol");
    let labels = encode::ModelLabels { name: "churn", version: "1" };
    let protocol = Protocol::KserveV1;
    let bytes = encode::reply(&protocol, &reply, &labels, None).len();
    let ns = measure(|| {
        black_box(encode::reply(&protocol, black_box(&reply), &labels, None));
    });
    println!("{:<32} {bytes:>7} {:>9} {:>9} {ns:>9.0}", "kserve-v1 encode 2 rows", "", "");
}

/// Best round's ns per call.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (Instant::now(), 0_u32);
        while start.elapsed() < ROUND {
            (0..4).for_each(|_| call());
            calls += 4;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn route(protocol: Protocol) -> ObservedRoute {
    ObservedRoute::named("bench", Some(protocol))
}

fn feature(row: usize, column: usize) -> String {
    format!("{}.{:03}", 1 + (row + column) % 9, (row * 8 + column) * 37 % 1000)
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn row(row: usize, width: usize) -> String {
    list((0..width).map(|column| feature(row, column)))
}

fn array_rows(field: &str, rows: usize, width: usize) -> String {
    format!("{{\"{field}\":{}}}", list((0..rows).map(|at| row(at, width))))
}

fn split_rows(rows: usize) -> String {
    let columns = list((0..8).map(|column| format!("\"feature_{column}\"")));
    let data = list((0..rows).map(|at| row(at, 8)));
    format!("{{\"dataframe_split\":{{\"columns\":{columns},\"data\":{data}}}}}")
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

//! Traces through Weir in real receivers, each of which is asked what it has. The caller and the model server
//! are instrumented with the OpenTelemetry SDK and export their own spans.

mod exemplars;
mod outage;
mod receivers;
mod spans;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use support::{Gateway, eventually};

use self::receivers::{Mlflow, Oteltap, Phoenix, Receiver, Rotel, backend};
use self::spans::{Span, chain};
use crate::{WEIR, is_skipped, output, script};

/// Nothing is kept but what the head or a plugin keeps.
const HEAD_ONLY: &str = "rest = 0";

/// A route to the model server, `[tracing]` with these keys, and what else.
fn configuration(model: SocketAddr, tracing: &str, rest: &str) -> String {
    format!(
        r#"
[tracing]
{tracing}

[[route]]
name = "churn"
path = "/predict"
backend = "churn"
protocol = "json"
model = "churn"
model_version = "7"

[backend.churn]
endpoints = ["http://{model}"]
ready = "/health"
{rest}
"#
    )
}

/// Lets the caller ask so many times through the gateway; returns the ids of its traces.
#[track_caller]
fn call(gateway: &Gateway, receiver: &dyn Receiver, times: usize) -> Vec<String> {
    let mut command = script("otel", "otel_caller.py");
    command.arg(format!("http://{}/predict", gateway.traffic())).arg(times.to_string());
    command.arg(format!("http://{}/v1/traces", receiver.http())).envs(receiver.environment());
    let ids: Vec<String> = serde_json::from_str(&output(&mut command)).expect("a list of ids");
    assert_eq!(ids.len(), times);
    ids
}

/// Caller, request to Weir, Weir's question to the model server, its answer: one below the other.
#[track_caller]
fn is_whole(spans: &[Span]) {
    let chain = chain(spans);
    let names: Vec<&str> = chain.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["ask", "POST", "POST /predict", "inference", "POST /predict"]);
    let [_, _, request, inference, answer] = chain[..] else { unreachable!("there are five") };
    chain.windows(2).for_each(|pair| within(pair[1], pair[0]));
    assert!(inference.end_ns <= request.end_ns, "Weir has one clock: {inference:?} in {request:?}");
    for (key, value) in [
        ("http.route", json!("/predict")),
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!(200)),
        ("url.path", json!("/predict")),
        ("weir.route", json!("churn")),
        ("weir.model", json!("churn")),
        ("weir.model_version", json!("7")),
        ("weir.rows", json!(1)),
        ("weir.outcome", json!("ok")),
        ("weir.sampling.reasons", json!(["head"])),
        ("weir.trace.partial", Value::Null),
    ] {
        assert_eq!(*request.attribute(key), value, "{key} of {request:#?}");
    }
    assert_eq!(*inference.attribute("http.response.status_code"), json!(200));
    assert_eq!(*answer.attribute("weir.route"), Value::Null, "this one is the model server's own");
    assert!(chain.iter().all(|span| !span.failed));
}

/// A child begins in its parent. It may end a little later: who reads the last byte looks at the clock before
/// who wrote it does.
#[track_caller]
fn within(child: &Span, parent: &Span) {
    const GRANULE_NS: u64 = 1_000_000;
    const LATE_NS: u64 = 1_000_000_000;
    assert_eq!(child.trace, parent.trace);
    assert!(child.start_ns + GRANULE_NS >= parent.start_ns, "{child:?} begins before {parent:?}");
    assert!(child.start_ns <= parent.end_ns + GRANULE_NS, "{child:?} begins after {parent:?}");
    assert!(child.end_ns <= parent.end_ns + LATE_NS, "{child:?} ends after {parent:?}");
}

#[test]
fn phoenix_has_whole_traces_by_grpc_by_http_and_from_a_collector_between() {
    if is_skipped("Phoenix, Rotel and the OpenTelemetry SDK") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let phoenix = Phoenix::start(folder.path());
    let (_backend, model) = backend(&phoenix);
    let rotel = Rotel::before(phoenix.grpc, folder.path());
    let ways = [("grpc", phoenix.grpc), ("http/protobuf", phoenix.http()), ("grpc", rotel.grpc)];
    for (protocol, collector) in ways {
        let (key, project) = Phoenix::PROJECT;
        let tracing = format!(
            "otlp = \"http://{collector}\"\nprotocol = \"{protocol}\"\nresource = {{ \"{key}\" = \"{project}\" }}"
        );
        let gateway = Gateway::start(WEIR, &configuration(model, &format!("{tracing}\n{HEAD_ONLY}"), ""));
        for trace in call(&gateway, &phoenix, 3) {
            is_whole(&phoenix.trace(&trace, 5));
        }
        all_sent(&gateway, 3 * 2);
    }
}

#[test]
fn mlflow_has_whole_traces_in_the_experiment_that_a_header_names() {
    if is_skipped("MLflow and the OpenTelemetry SDK") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mlflow = Mlflow::start(folder.path());
    let (_backend, model) = backend(&mlflow);
    let (header, experiment) = (Mlflow::HEADER, &mlflow.experiment);
    let tracing = format!(
        "otlp = \"http://{}\"\nprotocol = \"http/protobuf\"\nheaders = {{ {header} = \"{experiment}\" }}\n{HEAD_ONLY}",
        mlflow.http()
    );
    let gateway = Gateway::start(WEIR, &configuration(model, &tracing, ""));
    for trace in call(&gateway, &mlflow, 3) {
        is_whole(&mlflow.trace(&trace, 5));
    }
    all_sent(&gateway, 3 * 2);
}

/// This many spans are sent, or some more, and none was lost.
#[track_caller]
fn all_sent(gateway: &Gateway, spans: usize) {
    let traces = [("signal", "traces")];
    let sent = [traces[0], ("outcome", "sent")];
    let scrape = eventually("spans that are sent", || {
        let scrape = gateway.scrape();
        (scrape.sum("weir_export_items_total", &sent) >= Some(spans as f64)).then_some(scrape)
    });
    assert_eq!(scrape.sum("weir_export_items_total", &traces), scrape.sum("weir_export_items_total", &sent));
}

/// `[tracing]` to an OtelTap.
fn to(tap: &Oteltap, keys: &str) -> String {
    format!("otlp = \"http://{}\"\nprotocol = \"http/protobuf\"\n{HEAD_ONLY}\n{keys}", tap.http())
}

#[test]
fn what_leaves_weir_is_in_oteltap_with_kinds_flags_and_events() {
    if is_skipped("OtelTap and the OpenTelemetry SDK") {
        return;
    }
    let tap = Oteltap::start();
    let (_backend, model) = backend(&tap);
    let gateway = Gateway::start(WEIR, &configuration(model, &to(&tap, ""), ""));
    let traces = call(&gateway, &tap, 2);
    for trace in &traces {
        let spans = tap.trace(trace, 5);
        is_whole(&spans);
        let chain = chain(&spans);
        // Server and client; sampled, and whether the parent was in another process.
        let said = |span: &Span| (span.whole["kind"].clone(), span.whole["flags"].clone());
        assert_eq!(said(chain[2]), (json!(2), json!(0x301)));
        assert_eq!(said(chain[3]), (json!(3), json!(0x101)));
        assert_eq!(chain[2].whole["events"][0]["name"], "response.head");
        // With what probability the caller sampled is nobody's to say.
        assert_eq!(chain[2].whole["traceState"], "");
        assert_eq!(*chain[2].attribute("weir.sampling.probability"), Value::Null);
    }
    all_sent(&gateway, 2 * 2);
}

#[test]
fn a_trace_that_only_a_plugin_keeps_arrives_with_its_reason_and_without_the_model_server() {
    if is_skipped("OtelTap and the OpenTelemetry SDK") {
        return;
    }
    let tap = Oteltap::start();
    let (_backend, model) = backend(&tap);
    let settings = "config = { low_confidence = 0.0, max_classes = 0, rest = 0.0, slow = \"1m\" }";
    let sampler = format!("[plugin.sampler]\npath = \"builtin:sampler\"\n{settings}\n");
    let gateway = Gateway::start(WEIR, &configuration(model, &to(&tap, "sample = \"0%\""), &sampler));
    for i in 0..10 {
        assert_eq!(gateway.post("/predict", &format!("{{\"features\": [[{i}, 2]]}}")).status(), 200);
    }
    assert_eq!(gateway.post("/predict", "{\"features\": [[-1, 2]]}").status(), 500);
    gateway.await_exchanges(11);
    all_sent(&gateway, 2);

    let spans = tap.all();
    let chain = chain(&spans);
    let [request, inference] = chain[..] else { panic!("two spans, not {spans:#?}") };
    for (key, value) in [
        ("weir.sampling.reasons", json!(["sampler:error"])),
        ("weir.sampling.probability", json!(1.0)),
        ("weir.trace.partial", json!(true)),
        ("http.response.status_code", json!(500)),
        ("error.type", json!("500")),
    ] {
        assert_eq!(*request.attribute(key), value, "{key} of {request:#?}");
    }
    assert!(request.failed && inference.failed);
    assert_eq!(*inference.attribute("error.type"), json!("500"));
}

/// A collector that lets nothing out: for when only its being there matters.
fn blackhole(address: SocketAddr, folder: &Path) -> Rotel {
    Rotel::start_at(address, folder, &["--exporter", "blackhole"])
}

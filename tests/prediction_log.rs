//! Records of predictions, and that what must not be seen is seen nowhere.

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::collector::Collector;
use support::{Gateway, Server, eventually, forward_with, ok};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const PREDICT: &str = "/v1/models/churn:predict";
const BODY: &str = r#"{"instances": [{"age": 41, "city": "Bonn"}, {"age": 17.5, "city": null}]}"#;
const REPLY: &str = r#"{"predictions": [[0.9, 0.1], [0.25, 0.75]]}"#;

/// A route of predictions, a plugin that keeps nothing of its own, and a prediction log.
fn configuration(server: &Server, log: &str) -> String {
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    format!("[prediction_log]\n{log}\n{route}")
}

/// The lines of the log, when there are so many.
#[track_caller]
fn lines(file: &Path, count: usize) -> Vec<Value> {
    eventually("the lines of the log", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() >= count).then_some(lines)
    })
}

#[test]
fn a_row_is_a_line_with_all_that_is_known_of_it() {
    let (server, folder) = (Server::json(REPLY), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("predictions.jsonl");
    let log = format!("file = \"{}\"\nsample = \"100%\"", file.display());
    let gateway = Gateway::start(WEIR, &configuration(&server, &log));
    assert_eq!(gateway.post(PREDICT, BODY).status(), 200);
    let lines = lines(&file, 2);
    let first = &lines[0];
    assert_eq!(first["features"], serde_json::json!({"age": 41, "city": "Bonn"}));
    assert_eq!(first["scores"], serde_json::json!({"0": 0.9, "1": 0.1}));
    assert_eq!((&first["model"], &first["route"]), (&"churn".into(), &"all".into()));
    assert_eq!((&first["status"], &first["outcome"], &first["row"]), (&200.into(), &"ok".into(), &0.into()));
    assert_eq!((&first["reasons"], &first["probability"]), (&serde_json::json!(["sample"]), &1.0.into()));
    assert_eq!(first["label"], Value::Null);
    assert!(first.as_object().expect("an object").contains_key("label"), "a place for the truth");
    let trace = server.request().header("traceparent").expect("a parent")[3..35].to_owned();
    assert_eq!(first["trace_id"], trace);
    assert!(first["id"].as_str().expect("an id").starts_with(&trace));
    assert_eq!((&lines[1]["row"], &lines[1]["features"]["age"]), (&1.into(), &17.5.into()));
    let sent = [("signal", "records"), ("outcome", "sent")];
    gateway.await_metric("weir_export_items_total", &sent, 2.0);
}

#[test]
fn nothing_is_recorded_unless_it_is_told_where_to_and_a_verdict_is_enough() {
    let server = Server::start(|request| match request.header("x-fail") {
        Some(_) => b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec(),
        None => support::ok_json(REPLY),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.jsonl");
    let log = format!("file = \"{}\"\nsample = \"0%\"", file.display());
    let sampler = "[plugin.sampler]\npath = \"builtin:sampler\"\nconfig = { rest = 0.0, max_classes = 0 }\n";
    let gateway = Gateway::start(WEIR, &format!("{}{sampler}", configuration(&server, &log)));
    assert_eq!(gateway.post(PREDICT, r#"{"instances": [[1]]}"#).status(), 200);
    let failing = format!(
        "POST {PREDICT} HTTP/1.1\r\nHost: h\r\nX-Fail: 1\r\nContent-Length: 20\r\n\r\n{{\"instances\": [[7]]}}"
    );
    assert_eq!(gateway.ask(failing).status(), 500);
    let lines = lines(&file, 1);
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["reasons"], &lines[0]["features"]["0"]),
        (&serde_json::json!(["sampler:error"]), &7.into())
    );
    assert_eq!(lines[0]["outcome"], "upstream_error");
}

#[test]
fn a_collector_and_a_receiver_of_events_get_the_same() {
    let (server, mut collector) = (Server::json(REPLY), Collector::start());
    let events = Server::start(|_| ok("text/plain", b""));
    let log = format!("otlp = true\ncloudevents = \"http://{}/events\"\nsample = \"100%\"", events.address());
    let tracing = collector.tracing("sample = \"0%\"\nrest = 0");
    let gateway = Gateway::start(WEIR, &format!("{tracing}{}", configuration(&server, &log)));
    assert_eq!(gateway.post(PREDICT, BODY).status(), 200);
    let [request, response] = [events.request(), events.request()];
    assert_eq!(request.header("ce-type"), Some("org.kubeflow.serving.inference.request"));
    assert_eq!(response.header("ce-type"), Some("org.kubeflow.serving.inference.response"));
    assert_eq!(request.header("ce-id"), response.header("ce-id"), "the two belong together");
    assert_eq!(request.header("ce-inferenceservicename"), Some("churn"));
    assert_eq!(request.json(), serde_json::from_str::<Value>(BODY).expect("JSON"));
    assert_eq!(response.json(), serde_json::from_str::<Value>(REPLY).expect("JSON"));
    let record = &collector.await_logs(2)[0];
    assert_eq!((record.event_name.as_str(), record.trace_id.len()), ("weir.prediction", 16));
    let sent = [("signal", "logs"), ("outcome", "sent")];
    gateway.await_metric("weir_export_items_total", &sent, 2.0);
}

#[test]
fn a_full_disk_costs_records_and_no_request() {
    let server = Server::json(REPLY);
    let log = "file = \"/dev/full\"\nsample = \"100%\"\nretry_for = \"0s\"";
    let gateway = Gateway::start(WEIR, &configuration(&server, log));
    for _ in 0..3 {
        assert_eq!(gateway.post(PREDICT, BODY).status(), 200);
    }
    let lost = [("signal", "records"), ("outcome", "gave_up")];
    gateway.await_metric("weir_export_items_total", &lost, 6.0);
    let said = gateway.logs().find(|line| line["source"] == "export.records").expect("it is said");
    assert!(said["reason"].as_str().expect("a reason").contains("No space left"), "{said}");
}

#[test]
fn what_must_not_be_seen_is_seen_nowhere() {
    const SECRETS: [&str; 4] = ["078-05-1120", "hunter2", "4111111111111111", "c0ffee"];
    let (server, mut collector) = (Server::json(REPLY), Collector::start());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.jsonl");
    let events = Server::start(|_| ok("text/plain", b""));
    let log = format!(
        "file = \"{}\"\notlp = true\ncloudevents = \"http://{}\"\nsample = \"100%\"\n",
        file.display(),
        events.address()
    );
    let privacy = "[privacy]\nredact = [\"ssn\", \"card.*\", \"password\"]\nhash = [\"customer\"]\n\
                   salt = \"a salt of sixteen\"\n";
    let plugins = ["confidence", "feature-stats", "sampler"]
        .map(|name| format!("[plugin.{name}]\npath = \"builtin:{name}\"\n"))
        .concat();
    let tracing = collector.tracing("sample = \"100%\"");
    let access = "[log]\naccess = \"100%\"\nlevel = \"debug\"\n";
    let text = format!("{tracing}{privacy}{access}{plugins}{}", configuration(&server, &log));
    let gateway = Gateway::start(WEIR, &text);
    let row = r#"{"age": 41, "ssn": "078-05-1120", "password": "hunter2", "card.number": 4111111111111111,
                  "customer": "c0ffee"}"#;
    assert_eq!(gateway.post(PREDICT, &format!("{{\"instances\": [{row}, {row}]}}")).status(), 200);
    // What cannot be read must not be quoted either.
    let broken = format!("{{\"instances\": [{row}");
    assert_eq!(gateway.post(PREDICT, &broken).status(), 200);
    // Two workers may have had the two requests, so that either is recorded first.
    let line = eventually("the line of a row", || {
        lines(&file, 2).into_iter().find(|line| line["features"]["age"] == 41)
    });
    collector.await_spans("POST /*", 2);
    let events = [events.request().text(), events.request().text()];
    gateway.await_exchanges(2);

    let hashed = line["features"]["customer"].as_str().expect("a hash");
    assert!(hashed.starts_with("hash:") && line["features"].get("ssn").is_none(), "{line}");
    let pages = ["/metrics", "/api/plugins", "/api/schemas", "/api/config", "/api/verdicts", "/ui", "/api"];
    let mut shown: Vec<(String, String)> =
        pages.iter().map(|page| ((*page).to_owned(), gateway.get(page).text())).collect();
    shown.push(("the log".into(), gateway.logs().text()));
    shown.push(("spans".into(), format!("{:?}", collector.spans())));
    shown.push(("log records".into(), format!("{:?}", collector.await_logs(2))));
    shown.push(("the prediction log".into(), fs::read_to_string(&file).expect("it is there")));
    shown.extend(events.map(|event| ("an event".to_owned(), event)));
    for (place, text) in &shown {
        for secret in SECRETS.iter().chain(&["a salt of sixteen"]) {
            assert!(!text.contains(secret), "`{secret}` in {place}: {text}");
        }
    }
}

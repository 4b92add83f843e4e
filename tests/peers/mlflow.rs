//! MLflow's scoring server, with a model of named columns.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use support::peer::{Peer, python};
use support::{Gateway, nobody};

use crate::{Known, WEIR, by, counts, get, is_skipped, output, post, post_json, rows_to_learn, same, script};

const CLASSES: [&str; 2] = ["stays", "leaves"];

/// The same two customers in every form the server takes: as they stand, and by column.
const SPLIT: &str = r#"{"dataframe_split": {"columns": ["tenure", "monthly_charges", "contract"],
  "data": [[2.0, 95.5, "Month-to-month"], [70.0, 20.25, "Two year"]]}}"#;
const SPLIT_BACKWARDS: &str = r#"{"dataframe_split": {"data": [[2.0, 95.5, "Month-to-month"],
  [70.0, 20.25, "Two year"]], "index": [0, 1], "columns": ["tenure", "monthly_charges", "contract"]}}"#;
const ROWS: &str = r#"[{"tenure": 2.0, "monthly_charges": 95.5, "contract": "Month-to-month"},
  {"contract": "Two year", "monthly_charges": 20.25, "tenure": 70.0}]"#;
const COLUMNS: &str = r#"{"tenure": [2.0, 70.0], "monthly_charges": [95.5, 20.25],
  "contract": ["Month-to-month", "Two year"]}"#;
const CSV: &str = "tenure,monthly_charges,contract\n2.0,95.5,Month-to-month\n70.0,20.25,Two year\n";

/// `mlflow`, at work in a folder.
pub(crate) fn program(folder: &Path) -> Command {
    let python = python("mlflow");
    let bin = python.parent().expect("a folder of programs");
    // It starts a server of the environment by its name.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(bin.join("mlflow"));
    command.env("PATH", format!("{}:{path}", bin.display())).env("MLFLOW_DISABLE_TELEMETRY", "true");
    command.current_dir(folder);
    command
}

fn server(folder: &Path) -> (Peer, SocketAddr) {
    let model = folder.join("model");
    output(script("mlflow", "mlflow_model.py").arg(rows_to_learn()).arg(&model));
    let address = nobody();
    let mut command = program(folder);
    command.args(["models", "serve", "--env-manager", "local", "-h", "127.0.0.1", "-p"]);
    command.arg(address.port().to_string()).arg("-m").arg(&model);
    let mut peer = Peer::start(&mut command);
    peer.await_ready(address, "/ping");
    (peer, address)
}

fn configuration(model: SocketAddr) -> String {
    format!(
        r#"
[[route]]
name = "churn"
path = "/invocations"
backend = "mlflow"
protocol = "mlflow"
model = "ChurnPredictor"
model_version = "3"
[route.output]
classes = ["stays", "leaves"]

[backend.mlflow]
endpoints = ["http://{model}"]
ready_interval = "200ms"

[plugin.feature-stats]
path = "builtin:feature-stats"
"#
    )
}

#[test]
fn every_form_of_rows_that_mlflow_takes_is_measured_as_mlflow_answers_it() {
    if is_skipped("MLflow") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (peer, server) = server(folder.path());
    let gateway = Gateway::start(WEIR, &configuration(server));
    let known = predictions(server, &gateway);
    let refused = refusals(server, &gateway);

    let scrape = gateway.await_exchanges(7 + 5);
    let churn = [("route", "churn"), ("model", "ChurnPredictor"), ("model_version", "3")];
    known.holds(&scrape, &churn);
    let outcomes = counts(&[("client_error", refused), ("ok", known.rows)]);
    assert_eq!(by(&scrape, "predictions_total", "outcome", &[]), outcomes);
    let fates = counts(&[("observed", 10.0), ("undecodable", 2.0)]);
    assert_eq!(by(&scrape, "weir_exchanges_total", "fate", &[]), fates);
    let errors = counts(&[("absent", 1.0), ("malformed", 1.0)]);
    assert_eq!(by(&scrape, "weir_decode_errors_total", "kind", &[("side", "request")]), errors);
    let rows = known.rows + refused;
    let columns = ["contract", "monthly_charges", "tenure"].map(|name| (name, rows));
    let features = by(&scrape, "feature_stats_rows_total", "feature", &[]);
    assert_eq!(features, counts(&columns), "every form has the names of the columns");

    gateway.await_metric("model_loaded", &churn[1..], 1.0);
    drop(peer);
    gateway.await_metric("model_loaded", &churn[1..], 0.0);
    assert_eq!(gateway.ask(post_json("/invocations", SPLIT)).status(), 502);
    let scrape = gateway.await_exchanges(13);
    assert_eq!(by(&scrape, "api_errors_total", "error_type", &[]), counts(&[("connect", 1.0)]));
    let lost = counts(&[("client_error", refused), ("ok", known.rows), ("upstream_error", 2.0)]);
    assert_eq!(by(&scrape, "predictions_total", "outcome", &[]), lost, "rows that nobody answered count too");
}

/// Seven requests that the model answers.
fn predictions(server: SocketAddr, gateway: &Gateway) -> Known {
    let many = vec![r#"[70.0, 20.25, "Two year"]"#; 400].join(", ");
    let many = format!(
        r#"{{"dataframe_split": {{"columns": ["tenure", "monthly_charges", "contract"], "data": [{many}]}}}}"#
    );
    let requests = [
        post_json("/invocations", SPLIT),
        post_json("/invocations", SPLIT_BACKWARDS),
        post_json("/invocations", &format!(r#"{{"dataframe_records": {ROWS}}}"#)),
        post_json("/invocations", &format!(r#"{{"instances": {ROWS}}}"#)),
        post_json("/invocations", &format!(r#"{{"inputs": {COLUMNS}}}"#)),
        post("/invocations", "Content-Type: text/csv\r\n", CSV),
        post_json("/invocations", &many),
    ];
    let mut known = Known::default();
    for request in requests {
        let reply = same(server, gateway, &request);
        assert_eq!(reply.status(), 200, "{}", reply.text());
        for row in reply.json()["predictions"].as_array().expect("predictions") {
            let scores: Vec<f64> =
                row.as_array().expect("scores").iter().filter_map(serde_json::Value::as_f64).collect();
            let top = known.scores(&scores);
            known.class(CLASSES[top]);
        }
    }
    assert_eq!(known.rows, 6.0 * 2.0 + 400.0);
    assert_eq!(known.by_class.len(), 2, "the model tells the two customers apart");
    known
}

/// Five requests that it refuses; returns the rows asked for.
fn refusals(server: SocketAddr, gateway: &Gateway) -> f64 {
    let missing = r#"{"dataframe_records": [{"tenure": 2.0, "monthly_charges": 95.5}]}"#;
    for (request, status) in [
        (post_json("/invocations", missing), 400),
        (post("/invocations", "Content-Type: text/plain\r\n", SPLIT), 415),
        (post_json("/invocations", &SPLIT[..40]), 400),
        (post_json("/invocations", r#"{"rows": [[1, 2, 3]]}"#), 400),
        (get("/invocations"), 405),
    ] {
        let reply = same(server, gateway, &request);
        assert_eq!(reply.status(), status, "{}", reply.text());
    }
    // One row without a column, two of a content type it does not take, three bodies without rows.
    1.0 + 2.0
}

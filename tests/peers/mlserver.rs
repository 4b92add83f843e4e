//! MLServer: the Open Inference Protocol over HTTP and over gRPC.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::peer::{Peer, python};
use support::{Gateway, Message, nobody};

use crate::{Known, WEIR, by, counts, get, is_skipped, output, post, post_json, rows_to_learn, same, script};

const INFER: &str = "/v2/models/churn/infer";
const CLASSES: [&str; 2] = ["No", "Yes"];

/// Addresses of HTTP and of gRPC.
fn server(folder: &Path) -> (Peer, SocketAddr, SocketAddr) {
    let [http, grpc, metrics] = [nobody(), nobody(), nobody()];
    let ports = [http, grpc, metrics].map(|address| address.port().to_string());
    output(script("mlserver", "mlserver_model.py").arg(rows_to_learn()).arg(folder).args(ports));
    let mut command = Command::new(python("mlserver").with_file_name("mlserver"));
    let mut peer = Peer::start(command.arg("start").arg(folder).current_dir(folder));
    peer.await_ready(http, "/v2/models/churn/ready");
    (peer, http, grpc)
}

fn configuration(http: SocketAddr, grpc: SocketAddr) -> String {
    format!(
        r#"
[[route]]
name = "churn"
path = "{INFER}"
backend = "rest"
protocol = "oip-v2"
[route.output]
classes = ["No", "Yes"]

[[route]]
name = "others"
path = "/v2/*"
backend = "rest"
protocol = "oip-v2"

[[route]]
name = "grpc"
path = "/inference.GRPCInferenceService/*"
backend = "grpc"

[backend.rest]
endpoints = ["http://{http}"]
ready_interval = "200ms"

[backend.grpc]
endpoints = ["http://{grpc}"]
http2 = true
"#
    )
}

/// Rows of three features, some of them of customers who leave.
fn asked(rows: usize, outputs: &[&str]) -> String {
    let cells: Vec<f64> =
        (0..rows).flat_map(|row| [(row * 17 % 72) as f64, 20.25 + (row * 31 % 95) as f64, 0.0]).collect();
    let outputs: Vec<Value> = outputs.iter().map(|name| json!({ "name": name })).collect();
    let tensor = json!({ "name": "predict", "shape": [rows, 3], "datatype": "FP64", "data": cells });
    json!({ "id": "an-id", "inputs": [tensor], "outputs": outputs }).to_string()
}

#[test]
fn tensors_over_http_are_measured_and_calls_over_grpc_pass_with_their_status() {
    if is_skipped("MLServer") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (peer, http, grpc) = server(folder.path());
    let gateway = Gateway::start(WEIR, &configuration(http, grpc));
    let known = predictions(http, &gateway);
    refusals(http, &gateway);
    calls(grpc, &gateway);

    let scrape = gateway.await_exchanges(7 + 4 + 3 + 7);
    // Nobody configured a name: the answers give it, and the path where there is no answer.
    let churn = [("route", "churn"), ("model", "churn"), ("model_version", "7")];
    known.holds(&scrape, &churn);
    let outcomes = |route| by(&scrape, "predictions_total", "outcome", &[("route", route)]);
    let churns = counts(&[("client_error", 2.0), ("ok", known.rows), ("upstream_error", 1.0)]);
    assert_eq!(outcomes("churn"), churns);
    assert_eq!(
        by(&scrape, "predictions_total", "model", &churn[..1]),
        counts(&[("churn", known.rows + 3.0)])
    );
    assert_eq!(outcomes("others"), counts(&[("client_error", 1.0)]), "a model that is not there");
    let fates = |route| by(&scrape, "weir_exchanges_total", "fate", &[("route", route)]);
    assert_eq!(fates("churn"), counts(&[("observed", 9.0), ("undecodable", 1.0)]));
    assert_eq!(fates("others"), counts(&[("observed", 4.0)]));
    assert_eq!(fates("grpc"), counts(&[("observed", 7.0)]));
    let errors = by(&scrape, "weir_decode_errors_total", "kind", &[]);
    assert_eq!(errors, counts(&[("malformed", 1.0)]));
    assert_eq!(by(&scrape, "api_errors_total", "error_type", &[]), counts(&[("status_5xx", 1.0)]));

    let loaded = by(&scrape, "model_loaded", "model_version", &[("model", "churn")]);
    assert_eq!(loaded, counts(&[("7", 1.0)]), "no answer came without a version");
    drop(peer);
    gateway.await_metric("model_loaded", &churn[1..], 0.0);
    assert_eq!(gateway.ask(post_json(INFER, &asked(3, &[]))).status(), 502);
    let codes = codes(&said_to(gateway.traffic()));
    assert_eq!(codes, ["UNAVAILABLE"; 7], "a gRPC client understands that there is nobody");
}

/// Seven requests that the model answers: with labels, with scores, with both.
fn predictions(server: SocketAddr, gateway: &Gateway) -> Known {
    let (labels, scores) = ("predict", "predict_proba");
    let json = "Content-Type: application/json\r\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(asked(2, &[labels, scores]).as_bytes()).expect("memory takes everything");
    let gzip = gzip.finish().expect("memory takes everything");
    let column =
        |name, data: [f64; 2]| json!({ "name": name, "shape": [2, 1], "datatype": "FP64", "data": data });
    let frame = json!({ "id": "an-id", "parameters": { "content_type": "pd" }, "inputs": [
        column("tenure", [2.0, 70.0]), column("charges", [95.5, 20.25]), column("senior", [1.0, 0.0]),
    ] });
    let requests = [
        post_json(INFER, &asked(1, &[])),
        post_json(INFER, &asked(30, &[labels, scores])),
        post_json(INFER, &asked(3, &[scores])),
        post_json(INFER, &frame.to_string()),
        post(INFER, &format!("{json}Content-Encoding: gzip\r\n"), gzip),
        post(INFER, &format!("{json}Accept-Encoding: gzip\r\n"), asked(400, &[labels, scores])),
        post_json(INFER, &asked(2, &[labels])),
    ];
    let mut known = Known::default();
    for request in requests {
        let reply = same(server, gateway, &request);
        assert_eq!(reply.status(), 200, "{}", reply.text());
        count(&mut known, &plain(&reply));
    }
    assert_eq!(known.rows, 1.0 + 30.0 + 3.0 + 2.0 + 2.0 + 400.0 + 2.0);
    assert_eq!(known.scored, 30.0 + 3.0 + 2.0 + 400.0);
    assert_eq!(known.by_class.len(), 2, "the rows are of both classes");
    known
}

fn plain(reply: &Message) -> Value {
    let gzip = reply.header("content-encoding") == Some("gzip");
    assert_eq!(gzip, reply.body.starts_with(&[0x1f, 0x8b]));
    if gzip {
        serde_json::from_reader(flate2::read::GzDecoder::new(&*reply.body)).expect("JSON in gzip")
    } else {
        reply.json()
    }
}

fn count(known: &mut Known, reply: &Value) {
    let tensor = |name| {
        let outputs = reply["outputs"].as_array().expect("outputs");
        outputs.iter().find(|t| t["name"] == name).and_then(|t| t["data"].as_array())
    };
    let tops: Vec<usize> = tensor("predict_proba").map_or_else(Vec::new, |scores| {
        let scores: Vec<f64> = scores.iter().filter_map(Value::as_f64).collect();
        scores.chunks(CLASSES.len()).map(|row| known.scores(row)).collect()
    });
    match tensor("predict") {
        Some(labels) => labels.iter().for_each(|label| known.class(label.as_str().expect("a text"))),
        None => tops.iter().for_each(|top| known.class(CLASSES[*top])),
    }
}

/// Four requests that the server refuses or fails, and three that ask for no prediction.
fn refusals(server: SocketAddr, gateway: &Gateway) {
    let narrow = asked(1, &[]).replace("[1,3]", "[1,2]").replace(",0.0]", "]");
    for (request, status) in [
        (post_json(INFER, &asked(2, &["nothing"])), 400),
        (post_json(INFER, &asked(2, &[])[..60]), 422),
        (post_json(INFER, &narrow), 500),
        (post_json("/v2/models/none/infer", &asked(1, &[])), 404),
        (get("/v2/models/churn"), 200),
        (get("/v2/models/churn/ready"), 200),
        (get("/v2/health/ready"), 200),
    ] {
        let reply = same(server, gateway, &request);
        assert_eq!(reply.status(), status, "{}", reply.text());
    }
}

/// Seven calls of a gRPC client: replies, status, details and metadata are those of the server.
fn calls(server: SocketAddr, gateway: &Gateway) {
    let said = said_to(gateway.traffic());
    assert_eq!(said, said_to(server));
    assert_eq!(codes(&said), ["OK", "OK", "OK", "OK", "NOT_FOUND", "INTERNAL", "UNIMPLEMENTED"]);
    let ok = [("http_response_status_code", "200"), ("network_protocol_version", "2"), ("route", "grpc")];
    gateway.await_metric("http_server_request_duration_seconds_count", &ok, 7.0);
}

fn said_to(address: SocketAddr) -> String {
    output(script("mlserver", "infer_grpc.py").arg(address.to_string()))
}

fn codes(said: &str) -> Vec<String> {
    let code = |line| serde_json::from_str::<Value>(line).expect("JSON")["code"].as_str().map(str::to_owned);
    said.lines().filter_map(code).collect()
}

//! What a scraper, a probe and a reader of logs get. The catalogue is public API: dashboards are built on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use support::{Gateway, Scrape, Server, Wire, forward, forward_with, nobody, ok_json};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const PREDICT: &str = "/v1/models/churn:predict";
const ROW: &str = "{\"instances\": [[1, 2]]}";

/// A gateway with a model server that is fine, and `extra` in its configuration.
fn serving(extra: &str) -> (Gateway, Server) {
    let server = Server::json("{\"predictions\": [[0.9, 0.1]]}");
    let toml = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    (Gateway::start(WEIR, &format!("{extra}{toml}")), server)
}

#[test]
fn both_formats_are_strictly_well_formed_and_say_the_same() {
    let (gateway, _server) = serving("");
    assert_eq!(gateway.post(PREDICT, ROW).status(), 200);
    gateway.await_exchanges(1);
    let text = gateway.page("GET", "/metrics", "text/plain");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let open = gateway.page("GET", "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let (text, open) = (Scrape::text(&text.text()), Scrape::openmetrics(&open.text()));
    let series = |scrape: &Scrape| -> Vec<String> {
        scrape.families.iter().flat_map(|f| &f.samples).map(support::scrape::Sample::series).collect()
    };
    assert_eq!(series(&text), series(&open), "the same series under the same names");
    let count = [("route", "all")];
    for scrape in [&text, &open] {
        assert_eq!(scrape.sum("http_server_request_duration_seconds_count", &count), Some(1.0));
    }
}

#[test]
fn a_further_listener_has_metrics_and_health_and_nothing_else() {
    let (gateway, _server) = serving("[gateway]\nmetrics = \"127.0.0.1:0\"\n");
    assert_eq!(gateway.post(PREDICT, ROW).status(), 200);
    gateway.await_exchanges(1);
    let ready = gateway.logs().find(|line| line["message"] == "ready").expect("it is ready");
    let address: SocketAddr = ready["metrics"].as_str().and_then(|a| a.parse().ok()).expect("an address");
    let get = |path: &str| {
        let mut wire = Wire::connect(address);
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        wire.message()
    };
    assert_eq!(Scrape::text(&get("/metrics").text()).sum("predictions_total", &[]), Some(1.0));
    assert_eq!(get("/health").status(), 200);
    for path in ["/api/config", "/api/plugins", "/ui", "/"] {
        assert_eq!(get(path).status(), 404, "{path}");
    }
}

#[test]
fn no_series_carries_what_the_scraper_writes() {
    let (gateway, _server) = serving("");
    for family in gateway.scrape().families {
        for sample in family.samples {
            for reserved in ["job", "instance"] {
                assert!(!sample.labels.contains_key(reserved), "{}", sample.series());
            }
        }
    }
}

#[test]
fn closed_label_sets_are_exported_at_0_from_the_first_scrape() {
    let (gateway, _server) = serving("");
    let scrape = gateway.scrape();
    let zero = |name: &str, labels: &[(&str, &str)]| {
        assert_eq!(scrape.sum(name, labels), Some(0.0), "{name}{labels:?}");
    };
    let errors = [
        "no_route",
        "limit",
        "body_too_large",
        "bad_request",
        "client_gone",
        "connect",
        "timeout",
        "reset",
        "status_5xx",
        "model_error",
    ];
    for error in errors {
        zero("api_errors_total", &[("route", "all"), ("error_type", error)]);
        zero("api_errors_total", &[("route", ""), ("error_type", error)]);
    }
    for fate in ["observed", "shed", "truncated", "undecodable", "unsampled"] {
        zero("weir_exchanges_total", &[("route", "all"), ("fate", fate)]);
    }
    for outcome in ["ok", "client_error", "upstream_error", "timeout", "cancelled", "model_error"] {
        zero("predictions_total", &[("route", "all"), ("model", "churn"), ("outcome", outcome)]);
    }
    for kind in ["absent", "malformed", "unsupported", "too_deep", "too_large", "not_utf8"] {
        for side in ["request", "response"] {
            zero("weir_decode_errors_total", &[("route", "all"), ("side", side), ("kind", kind)]);
        }
    }
    for what in ["config", "plugin", "model"] {
        for outcome in ["applied", "refused", "unchanged"] {
            zero("weir_reload_total", &[("what", what), ("outcome", outcome)]);
        }
    }
    assert_eq!(scrape.sum("weir_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(scrape.sum("weir_generation", &[]), Some(1.0));
}

#[test]
fn counters_only_rise_while_traffic_flows() {
    let (gateway, _server) = serving("");
    let mut before = gateway.scrape();
    for n in 1..=20 {
        gateway.post(if n % 5 == 0 { "/v1/models/other:predict" } else { PREDICT }, ROW);
        let now = gateway.scrape();
        now.continues(&before);
        before = now;
    }
    gateway.await_exchanges(20).continues(&before);
}

#[test]
fn rows_that_no_server_got_are_predictions_that_failed() {
    let toml = forward_with(&[nobody()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    let gateway = Gateway::start(WEIR, &toml);
    assert_eq!(gateway.post(PREDICT, "{\"instances\": [[1, 2], [3, 4]]}").status(), 502);
    gateway.await_exchanges(1);
    let labels = [("model", "churn"), ("outcome", "upstream_error")];
    assert_eq!(gateway.metric("predictions_total", &labels), 2.0);
    assert_eq!(gateway.metric("prediction_request_size_bytes_sum", &[]), 31.0);
    assert_eq!(gateway.metric("api_errors_total", &[("error_type", "connect")]), 1.0);
}

/// Everything a gateway can export, after traffic and reloads of every kind. One line a metric: name, type,
/// labels.
#[test]
fn the_catalogue_is_as_it_was_promised() {
    let server = Server::start(|request| match request.start().contains("/fail") {
        true => b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(),
        false => ok_json("{\"predictions\": [[0.9, 0.1]]}"),
    });
    let toml = forward_with(&[server.address()], "protocol = \"kserve-v1\"", "");
    let extra = format!(
        "[plugin.confidence]\npath = \"builtin:confidence\"\n\
         [plugin.sampler]\npath = \"builtin:sampler\"\n\
         [plugin.feature-stats]\npath = \"builtin:feature-stats\"\n\
         [slo.availability]\nobjective = 0.999\n\
         [slo.readable]\nobjective = 0.99\ndecodable = true\n\
         [alerting]\ninterval = \"100ms\"\nalertmanagers = [\"http://127.0.0.1:1\"]\n\
         [alert.down]\ngauge = \"model_loaded\"\nequals = 0\n\
         [backend.local]\nmodel = \"builtin:churn\"\n[[route]]\nname = \"local\"\npath = \"/local\"\nbackend = \"local\"\nprotocol = \"kserve-v1\"\n\
         [backend.probed]\nendpoints = [\"http://{}\"]\nready = \"/\"\n[[route]]\nname = \"probed\"\npath = \"/probed\"\nbackend = \"probed\"\n\
         [backend.down]\nendpoints = [\"http://{}\"]\nready = \"off\"\n[[route]]\nname = \"down\"\npath = \"/down\"\nbackend = \"down\"\n",
        server.address(),
        nobody()
    );
    let gateway = Gateway::start(WEIR, &format!("{toml}{extra}"));
    for (path, status) in [(PREDICT, 200), ("/v1/models/churn/fail", 500), ("/down", 502)] {
        assert_eq!(gateway.post(path, ROW).status(), status, "{path}");
    }
    gateway.post("/local", "{\"instances\": [{}]}");
    gateway.post(PREDICT, "{\"instances\": [[\"a\", 2]]}");
    gateway.reload();
    gateway.await_exchanges(5);
    support::eventually("a probe", || gateway.scrape().sum("weir_probes_total", &[]));
    support::eventually("an evaluation", || gateway.scrape().sum("weir_slo_observed_ratio", &[]));
    let mut catalogue: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    for family in gateway.scrape().families {
        let entry = catalogue.entry(family.name).or_insert((family.kind, Vec::new()));
        let labels = family.samples.iter().flat_map(|s| s.labels.keys()).filter(|l| *l != "le");
        entry.1.extend(labels.cloned());
        entry.1.sort();
        entry.1.dedup();
    }
    let line = |(name, (kind, labels)): (String, (String, Vec<String>))| {
        format!("{name} {kind} {}", labels.join(","))
    };
    let lines: Vec<String> = catalogue.into_iter().map(line).map(|l| l.trim_end().to_owned()).collect();
    let found = lines.join("\n") + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/catalogue.txt");
    if std::env::var_os("WEIR_UPDATE_CATALOGUE").is_some() {
        std::fs::write(&file, &found).expect("the catalogue can be written");
    }
    let promised = std::fs::read_to_string(&file).unwrap_or_default();
    let hint = "run with WEIR_UPDATE_CATALOGUE=1 if the change is meant, and say so in CHANGELOG.md";
    assert!(found == promised, "{}({hint})", difference(&promised, &found));
}

fn difference(promised: &str, found: &str) -> String {
    let gone = promised.lines().filter(|l| !found.lines().any(|f| f == *l)).map(|l| format!("- {l}\n"));
    let new = found.lines().filter(|l| !promised.lines().any(|p| p == *l)).map(|l| format!("+ {l}\n"));
    gone.chain(new).collect()
}

#[test]
fn the_admin_pages_say_how_the_gateway_is() {
    let (gateway, server) = serving("");
    assert_eq!(gateway.api("/health"), serde_json::json!({ "status": "healthy", "model_loaded": true }));
    assert_eq!(gateway.api("/ready"), serde_json::json!({ "status": "ready" }));
    let generation = gateway.api("/api/generation");
    assert_eq!((&generation["number"], &generation["last_reload"]), (&1.into(), &Value::Null));
    let endpoint = gateway.api("/api/backends")["endpoints"][0].clone();
    assert_eq!(endpoint["address"], format!("http://{}", server.address()));
    let config = gateway.get("/api/config").text();
    assert!(config.contains("kserve-v1") && !config.contains("s3cret"), "{config}");
    assert_eq!(gateway.api("/api/plugins")["plugins"], serde_json::json!([]));
    assert_eq!(gateway.get("/nothing").status(), 404);
    let untold = gateway.page("POST", "/api/reload", "*/*").status();
    assert_eq!(untold, 401, "a change needs the token");
    assert_eq!(gateway.reload().json()["outcome"], "unchanged");
    let head = gateway.page("HEAD", "/metrics", "*/*");
    assert!(head.status() == 200 && head.header("content-length").is_some_and(|l| l != "0"));
}

#[test]
fn a_model_is_loaded_under_the_names_of_its_replies_not_of_its_errors() {
    let tensor = r#"{"name": "y", "shape": [1], "datatype": "FP64", "data": [3.5]}"#;
    let good = ok_json(&format!(r#"{{"model_name": "m", "model_version": "7", "outputs": [{tensor}]}}"#));
    let bad = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    let fails = |request: &support::Message| request.text().contains("\"fail\"");
    let server = Server::start(move |request| if fails(request) { bad.to_vec() } else { good.clone() });
    let gateway = Gateway::start(WEIR, &forward_with(&[server.address()], "protocol = \"oip-v2\"", ""));
    for (id, status) in [("pass", 200), ("fail", 500)] {
        let body = format!(r#"{{"id": "{id}", "inputs": [{tensor}]}}"#);
        assert_eq!(gateway.post("/v2/models/m/infer", &body).status(), status);
        gateway.await_exchanges(if id == "pass" { 1 } else { 2 });
    }
    let scrape = gateway.scrape();
    let loaded: Vec<Vec<String>> =
        scrape.series("model_loaded").map(|s| s.labels.values().cloned().collect()).collect();
    assert_eq!(loaded, [vec!["m".to_owned(), "7".to_owned()]]);
    let failed = [("model", "m"), ("model_version", ""), ("outcome", "upstream_error")];
    assert_eq!(scrape.sum("predictions_total", &failed), Some(1.0));
}

#[test]
fn the_admin_listener_serves_names_of_this_machine_only() {
    let (gateway, _server) = serving("");
    let mut admin = Wire::connect(gateway.admin());
    admin.send("GET /api/config HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    assert!((400..500).contains(&admin.message().status()));
}

#[test]
fn metrics_and_health_are_on_the_traffic_port_only_where_asked_for() {
    let (gateway, server) = serving("[gateway]\nserve_metrics_on_listen = true\n");
    let reply = gateway.ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(Scrape::text(&reply.text()).family("weir_build_info").is_some());
    assert_eq!(gateway.ask("GET /health HTTP/1.1\r\nHost: h\r\n\r\n").json()["status"], "healthy");
    assert!(server.requests().is_empty());
    let (plain, server) = serving("");
    plain.ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(server.request().start(), "GET /metrics HTTP/1.1", "the model server has this path too");
}

#[test]
fn an_access_line_carries_the_trace_and_how_the_request_went() {
    let (gateway, server) = serving("[log]\naccess = \"100%\"\n");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let head =
        format!("POST {PREDICT}?secret=1 HTTP/1.1\r\nHost: h\r\nTraceparent: 00-{trace}-00f067aa0ba902b7-01");
    gateway.ask(format!("{head}\r\nContent-Length: {}\r\n\r\n{ROW}", ROW.len()));
    let line = gateway.logs().find(|l| l["kind"] == "access").expect("an access line");
    let parent = server.request().header("traceparent").expect("a parent").to_owned();
    assert_eq!(parent, format!("00-{}-{}-01", trace, line["span_id"].as_str().expect("a span")));
    assert_eq!(line["trace_id"], trace);
    for (key, value) in [("route", "all"), ("method", "POST"), ("path", PREDICT), ("client", "127.0.0.1")] {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!((&line["status"], &line["request_bytes"]), (&200.into(), &ROW.len().into()));
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0) && line.get("error_type").is_none());

    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let refused = gateway.logs().find(|l| l["error_type"] == "bad_request").expect("an access line");
    assert_eq!(refused["status"], 400);
}

#[test]
fn every_line_of_the_log_is_one_json_object() {
    let gateway =
        Gateway::start(WEIR, &format!("[log]\naccess = \"100%\"\nlevel = \"debug\"\n{}", forward(nobody())));
    gateway.ask("GET /\"%0a{ HTTP/1.1\r\nHost: h\r\n\r\n");
    gateway.logs().find(|l| l["kind"] == "access").expect("an access line");
    for line in gateway.logs().text().lines() {
        assert!(serde_json::from_str::<serde_json::Map<String, Value>>(line).is_ok(), "{line}");
    }
}

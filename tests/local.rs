//! A model that Weir runs itself is counted under its own name, and refuses in words what is not for it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use support::{Gateway, Message};

const PREDICT: &str = "/v1/models/churn:predict";
const CUSTOMER: &str = r#"[1, 0, 1, 0, 34, 1, "Yes", "DSL", "Yes", "Yes", "No", "Yes", "No", "No",
    "Month-to-month", 0, "Electronic check", 62.65, 2274.9]"#;

/// The built-in model behind the path that the default configuration has, and behind prefixes.
fn serving(keys: &str) -> Gateway {
    let route = |name: &str, path: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\npath = \"{path}\"\nbackend = \"local\"\nprotocol = \"kserve-v1\"\n\
             capture_limit = \"4MiB\"\n"
        )
    };
    let backend =
        format!("[backend.local]\nmodel = \"builtin:churn\"\nmodel_name = \"ChurnPredictor\"\n{keys}\n");
    let routes = route("exact", PREDICT) + &route("prefix", "/v1/models/*");
    Gateway::start(env!("CARGO_BIN_EXE_weir"), &(backend + &routes))
}

fn rows(count: usize) -> String {
    format!("{{\"instances\": [{}]}}", vec![CUSTOMER; count].join(","))
}

fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: weir\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn said(reply: &Message) -> String {
    reply.json()["error"]["message"].as_str().expect("a message").to_owned()
}

#[test]
fn series_carry_the_model_s_name_whatever_the_path_says() {
    let gateway = serving("");
    assert_eq!(gateway.post(PREDICT, &rows(2)).status(), 200);
    assert_eq!(gateway.post(PREDICT, r#"{"instances": [[1], [2], [3]]}"#).status(), 400);
    for path in ["/v1/models/ChurnPredictor:predict", "/v1/models/local:predict"] {
        assert_eq!(gateway.post(path, &rows(4)).status(), 200, "{path}");
    }
    for path in ["/v1/models/ghost:predict", "/v1/models/local/versions/9:predict"] {
        assert_eq!(gateway.post(path, &rows(8)).status(), 404, "{path}");
    }
    let scrape = gateway.await_exchanges(6);
    let predicted = |route: &str, outcome: &str| {
        let labels = [("route", route), ("model", "ChurnPredictor"), ("outcome", outcome)];
        scrape.sum("predictions_total", &labels)
    };
    assert_eq!([predicted("exact", "ok"), predicted("exact", "client_error")], [Some(2.0), Some(3.0)]);
    assert_eq!([predicted("prefix", "ok"), predicted("prefix", "client_error")], [Some(8.0), Some(16.0)]);
    for family in scrape.families.iter().filter(|family| family.name.starts_with("predict")) {
        for sample in &family.samples {
            assert_eq!(sample.labels["model"], "ChurnPredictor", "{}", sample.series());
        }
    }
}

#[test]
fn rows_that_a_full_queue_turned_away_are_predictions_that_failed() {
    let gateway = serving("threads = 1\nqueue = 1");
    let body = request("POST", PREDICT, "", rows(5000).as_bytes());
    let mut clients: Vec<_> = (0..12).map(|_| gateway.client()).collect();
    clients.iter_mut().for_each(|client| client.send(&body));
    let replies: Vec<Message> = clients.iter_mut().map(|client| client.message()).collect();
    for refused in replies.iter().filter(|reply| reply.status() == 503) {
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(said(refused).contains("queue"), "{}", said(refused));
    }
    let statuses: Vec<u16> = replies.iter().map(Message::status).collect();
    let of = |status| statuses.iter().filter(|s| **s == status).count() as f64;
    assert!(of(200) > 0.0 && of(503) > 0.0 && of(200) + of(503) == 12.0, "{statuses:?}");
    let scrape = gateway.await_exchanges(12);
    let predicted = |outcome| scrape.sum("predictions_total", &[("route", "exact"), ("outcome", outcome)]);
    assert_eq!(predicted("ok"), Some(5000.0 * of(200)));
    assert_eq!(predicted("model_error"), Some(5000.0 * of(503)));
    assert_eq!(predicted("upstream_error"), Some(0.0));
    assert_eq!(scrape.sum("api_errors_total", &[("route", "exact"), ("error_type", "limit")]), Some(of(503)));
}

#[test]
fn an_access_line_has_the_bytes_of_a_reply_that_was_made_here() {
    let gateway = serving("\n[log]\naccess = \"100%\"");
    let reply = gateway.post(PREDICT, &rows(2));
    let line = gateway.logs().find(|line| line["kind"] == "access").expect("an access line");
    assert_eq!(line["response_bytes"], reply.body.len());
}

#[test]
fn encodings_are_undone_or_refused_by_name() {
    let gateway = serving("");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(rows(2).as_bytes()).expect("memory");
    let body = zlib.finish().expect("memory");
    let deflated = gateway.ask(request("POST", PREDICT, "Content-Encoding: deflate\r\n", &body));
    assert_eq!(deflated.text(), gateway.post(PREDICT, &rows(2)).text());
    let refused = gateway.ask(request("POST", PREDICT, "Content-Encoding: br\r\n", rows(1).as_bytes()));
    assert_eq!((refused.status(), refused.header("accept-encoding")), (415, Some("gzip, deflate")));
    assert_eq!(said(&refused), "the content encoding `br` is not known here (use gzip or deflate)");
}

#[test]
fn a_method_no_model_has_is_refused_with_those_it_has() {
    let gateway = serving("");
    for method in ["PUT", "DELETE"] {
        let refused = gateway.ask(request(method, PREDICT, "", b"{}"));
        assert_eq!((refused.status(), refused.header("allow")), (405, Some("GET, HEAD, POST")));
        assert_eq!(said(&refused), format!("method `{method}` is not for a model (use POST to predict)"));
    }
}

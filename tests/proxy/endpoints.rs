//! Several endpoints: traffic goes where it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use support::{Gateway, Server, eventually, forward_with, ok_json};

use crate::{get, weir};

/// A model server that says on `/ready` whether it is.
fn server(name: &'static str) -> (Server, Arc<AtomicBool>) {
    let ready = Arc::new(AtomicBool::new(true));
    let is_ready = ready.clone();
    let server = Server::start(move |request| match request.start().as_str() {
        "GET /ready HTTP/1.1" if is_ready.load(SeqCst) => ok_json("{}"),
        "GET /ready HTTP/1.1" => b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n".to_vec(),
        _ => ok_json(name),
    });
    (server, ready)
}

/// Waits until the endpoint is in, or out.
#[track_caller]
fn await_ejected(gateway: &Gateway, address: std::net::SocketAddr, ejected: bool) {
    let url = format!("http://{address}");
    eventually("the prober's finding", || {
        let endpoints = gateway.api("/api/backends")["endpoints"].clone();
        let all = endpoints.as_array().expect("a list").clone();
        let found = all.into_iter().find(|e| e["address"] == *url).expect("the endpoint is listed");
        (found["ready"] == !ejected && found["ejected"] == ejected).then_some(())
    });
}

fn answers(gateway: &Gateway, requests: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..requests).map(|_| gateway.ask(get("/")).text()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn a_dead_endpoint_is_taken_out_by_the_probe_and_comes_back() {
    let ((a, a_ready), (b, _)) = (server("\"a\""), server("\"b\""));
    let probe = "ready = \"/ready\"\nready_interval = \"100ms\"";
    let gateway = weir(&forward_with(&[a.address(), b.address()], "", probe));
    await_ejected(&gateway, a.address(), false);
    await_ejected(&gateway, b.address(), false);
    assert_eq!(answers(&gateway, 60), ["\"a\"", "\"b\""]);

    a_ready.store(false, SeqCst);
    await_ejected(&gateway, a.address(), true);
    assert_eq!(answers(&gateway, 30), ["\"b\""]);
    assert_eq!(gateway.api("/health")["model_loaded"], true, "one of two is enough");
    assert_eq!(gateway.metric("model_loaded", &[]), 1.0);

    a_ready.store(true, SeqCst);
    await_ejected(&gateway, a.address(), false);
    assert_eq!(answers(&gateway, 60), ["\"a\"", "\"b\""]);
}

#[test]
fn a_server_that_dies_and_comes_back_is_noticed_without_a_failed_request() {
    let ((a, _), (b, _)) = (server("\"a\""), server("\"b\""));
    let probe = "ready = \"/ready\"\nready_interval = \"100ms\"";
    let gateway = weir(&forward_with(&[a.address(), b.address()], "", probe));
    await_ejected(&gateway, a.address(), false);
    let address = a.address();
    drop(a);
    assert_eq!(gateway.ask(get("/")).status(), 200);
    await_ejected(&gateway, address, true);
    let a = Server::start_at(address, |_| ok_json("\"again\""));
    await_ejected(&gateway, a.address(), false);
    assert_eq!(answers(&gateway, 60), ["\"again\"", "\"b\""]);
    assert_eq!(gateway.metric("api_errors_total", &[("route", "all")]), 0.0);
}

#[test]
fn when_every_endpoint_is_out_they_are_tried_all_the_same() {
    let ((a, a_ready), (b, b_ready)) = (server("\"a\""), server("\"b\""));
    a_ready.store(false, SeqCst);
    b_ready.store(false, SeqCst);
    let probe = "ready = \"/ready\"\nready_interval = \"100ms\"";
    let toml = forward_with(&[a.address(), b.address()], "", probe);
    let gateway = weir(&format!("[gateway]\nready_requires = [\"backend:up\"]\n{toml}"));
    await_ejected(&gateway, a.address(), true);
    await_ejected(&gateway, b.address(), true);
    assert_eq!(gateway.ask(get("/")).status(), 200, "a wrong prober turns no traffic away");
    assert_eq!(gateway.api("/health")["model_loaded"], false);
    assert_eq!(gateway.metric("model_loaded", &[]), 0.0);
    let ready = gateway.get("/ready");
    assert_eq!(ready.status(), 503, "{}", ready.text());
    assert!(ready.text().contains("`up`"), "{}", ready.text());
}

#[test]
fn a_protocols_own_ready_path_is_what_is_asked() {
    for (protocol, path, expect) in [
        ("kserve-v1", "/v1/models/churn:predict", "GET /v1/models/churn HTTP/1.1"),
        ("oip-v2", "/v2/models/churn/infer", "GET /v2/models/churn/ready HTTP/1.1"),
        ("mlflow", "/invocations", "GET /ping HTTP/1.1"),
    ] {
        let server = Server::json("{\"name\": \"churn\", \"ready\": false}");
        let route = format!("protocol = \"{protocol}\"");
        let toml = forward_with(&[server.address()], &route, "ready_interval = \"100ms\"")
            .replace("path = \"/*\"", &format!("path = \"{path}\""));
        let gateway = weir(&toml);
        assert_eq!(server.request().start(), expect);
        // What says that it is not ready, in JSON, with a 200, is not ready.
        await_ejected(&gateway, server.address(), true);
    }
}

#[test]
fn a_server_that_nobody_probes_is_loaded_as_its_last_request_found_it() {
    // Closes behind each answer, so that nothing of it outlives it.
    let closing = |_: &_| b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec();
    let server = Server::start(closing);
    let address = server.address();
    let gateway = weir(&forward_with(&[address], "", "ready = \"off\""));
    assert_eq!(gateway.ask(get("/")).status(), 200);
    assert_eq!(gateway.metric("model_loaded", &[]), 1.0);
    drop(server);
    assert_eq!(gateway.ask(get("/")).status(), 502);
    assert_eq!(gateway.metric("model_loaded", &[]), 0.0);
    let _server = Server::start_at(address, closing);
    assert_eq!(gateway.ask(get("/")).status(), 200);
    assert_eq!(gateway.metric("model_loaded", &[]), 1.0);
}

#[test]
fn a_probe_asks_for_the_name_that_requests_are_sent_to() {
    let server = Server::json("{\"ready\": true}");
    let route = "protocol = \"kserve-v1\"\nmodel = \"ChurnPredictor\"";
    let toml = forward_with(&[server.address()], route, "ready_interval = \"100ms\"")
        .replace("path = \"/*\"", "path = \"/v1/models/churn:predict\"");
    let _gateway = weir(&toml);
    assert_eq!(server.request().start(), "GET /v1/models/churn HTTP/1.1");
}

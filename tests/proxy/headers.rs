//! Headers that a proxy owns.

use support::{Server, forward};

use crate::{get, weir};

#[test]
fn headers_of_one_hop_end_at_the_gateway_also_those_that_connection_names() {
    let server = Server::start(|_| {
        b"HTTP/1.1 200 OK\r\nConnection: X-Internal, keep-alive\r\nX-Internal: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: x\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let gateway = weir(&forward(server.address()));
    let reply = gateway.ask(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Secret, x-also\r\nConnection: X-Third\r\nX-Secret: 1\r\nX-Also: 1\r\nX-Third: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: trailers\r\nAuthorization: Bearer kept\r\n\r\n",
    );
    let got = server.request();
    for ended in ["connection", "x-secret", "x-also", "x-third", "keep-alive", "proxy-connection", "te"] {
        assert_eq!(got.header(ended), None, "{ended}");
    }
    assert_eq!(got.header("proxy-authorization"), None);
    assert_eq!(got.header("authorization"), Some("Bearer kept"));
    for ended in ["connection", "x-internal", "keep-alive", "proxy-connection"] {
        assert_eq!(reply.header(ended), None, "{ended}");
    }
    assert_eq!(reply.header("x-kept"), Some("1"));
}

#[test]
fn connection_cannot_name_away_what_frames_and_routes_a_request() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    gateway
        .ask("POST / HTTP/1.1\r\nHost: h\r\nConnection: host, content-length\r\nContent-Length: 2\r\n\r\nok");
    let got = server.request();
    assert_eq!((got.header("content-length"), &*got.body), (Some("2"), &b"ok"[..]));
    assert_eq!(got.header("host"), Some(server.address().to_string().as_str()));
}

const CLAIMS: &str = "GET / HTTP/1.1\r\nHost: real.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: fake.example\r\nForwarded: for=6.6.6.6\r\nVia: 1.0 edge\r\n\r\n";

#[test]
fn what_a_client_claims_to_have_been_forwarded_is_replaced() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    gateway.ask(CLAIMS);
    let got = server.request();
    assert_eq!(got.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(got.header("x-forwarded-proto"), Some("http"));
    assert_eq!(got.header("x-forwarded-host"), Some("real.example"));
    assert_eq!(got.header("forwarded"), Some("for=127.0.0.1;proto=http;host=\"real.example\""));
    assert_eq!(got.header("via"), Some("1.0 edge, 1.1 weir"));
}

#[test]
fn what_a_trusted_proxy_forwarded_is_kept_and_added_to() {
    let server = Server::json("{}");
    let gateway = weir(&format!("[gateway]\ntrusted_proxies = true\n{}", forward(server.address())));
    gateway.ask(CLAIMS);
    let got = server.request();
    assert_eq!(got.header("x-forwarded-for"), Some("6.6.6.6, 7.7.7.7, 127.0.0.1"));
    assert_eq!(got.header("x-forwarded-proto"), Some("https"));
    assert_eq!(got.header("x-forwarded-host"), Some("fake.example"));
    assert_eq!(got.header("forwarded"), Some("for=6.6.6.6, for=127.0.0.1;proto=http;host=\"real.example\""));
}

#[test]
fn a_trace_is_continued_or_begun_and_its_state_kept_only_beside_a_valid_parent() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = |parent: &str| {
        gateway.ask(format!("GET / HTTP/1.1\r\nHost: h\r\nTraceparent: {parent}\r\nTracestate: v=1\r\n\r\n"));
        let got = server.request();
        let parent = got.header("traceparent").expect("a parent").to_owned();
        (parent, got.header("tracestate").map(str::to_owned))
    };
    let (parent, state) = ask(&format!("00-{trace}-00f067aa0ba902b7-01"));
    assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains("00f067aa0ba902b7"), "the gateway has a span of its own: {parent}");
    assert_eq!(state.as_deref(), Some("v=1"));

    let (parent, state) = ask("00-nonsense");
    assert!(parent.len() == 55 && !parent.contains(trace), "{parent}");
    assert_eq!(state, None);

    gateway.ask(get("/"));
    let begun = server.request().header("traceparent").expect("a parent").to_owned();
    assert!(begun.len() == 55 && begun.ends_with("-02"), "{begun}");
}

#[test]
fn a_request_without_exactly_one_host_is_refused() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n"] {
        let reply = gateway.ask(format!("GET / HTTP/1.1\r\n{hosts}\r\n"));
        assert_eq!(reply.status(), 400, "{hosts:?}");
    }
    assert_eq!(gateway.ask("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n").status(), 400);
    assert!(server.requests().is_empty());
    gateway.await_metric("api_errors_total", &[("route", ""), ("error_type", "bad_request")], 4.0);
}

#[test]
fn routes_tell_requests_apart_by_host_method_and_header() {
    let servers =
        ["plain", "host", "method", "header"].map(|name| (name, Server::json(&format!("\"{name}\""))));
    let mut toml = String::new();
    for ((name, server), condition) in servers.iter().zip([
        "",
        "host = \"a.example\"",
        "methods = [\"PUT\"]",
        "headers = { x-tenant = \"acme\" }",
    ]) {
        toml.push_str(&format!(
            "[backend.{name}]\nendpoints = [\"http://{}\"]\n[[route]]\nname = \"{name}\"\npath = \"/p\"\nbackend = \"{name}\"\n{condition}\n",
            server.address()
        ));
    }
    let gateway = weir(&toml);
    for (request, expect) in [
        ("GET /p HTTP/1.1\r\nHost: b\r\n\r\n", "\"plain\""),
        ("GET /p?q HTTP/1.1\r\nHost: A.Example:80\r\n\r\n", "\"host\""),
        ("PUT /p HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", "\"method\""),
        ("GET /p HTTP/1.1\r\nHost: b\r\nX-Tenant: acme\r\n\r\n", "\"header\""),
        ("GET /p HTTP/1.1\r\nHost: b\r\nX-Tenant: ACME\r\n\r\n", "\"plain\""),
    ] {
        assert_eq!(gateway.ask(request).text(), expect, "{request:?}");
    }
}

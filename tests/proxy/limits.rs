//! Limits turn away at once, in words, and are counted.

use support::{Gateway, Server, Upstream, forward, forward_with, nobody};

use crate::{fault, get, weir};

#[track_caller]
fn counted(gateway: &Gateway, route: &str, error: &str) {
    gateway.await_metric("api_errors_total", &[("route", route), ("error_type", error)], 1.0);
}

#[test]
fn a_connection_over_the_limit_is_told_and_closed_until_there_is_room() {
    let server = Server::json("{}");
    let gateway = weir(&format!("[limits]\nconnections = 2\n{}", forward(server.address())));
    let mut clients = [gateway.client(), gateway.client()];
    for client in &mut clients {
        client.send(get("/"));
        assert_eq!(client.message().status(), 200);
    }
    let mut third = gateway.client();
    let reply = third.message();
    assert_eq!((reply.status(), fault(&reply)), (503, ("weir".into(), "limit".into())));
    assert_eq!(reply.header("retry-after"), Some("1"));
    third.ends();
    gateway.await_metric("weir_connections_total", &[("result", "refused")], 1.0);
    counted(&gateway, "", "limit");

    drop(clients);
    gateway.await_metric("weir_open_connections", &[], 0.0);
    assert_eq!(gateway.ask(get("/")).status(), 200);
}

#[test]
fn a_request_over_the_limit_in_flight_is_told_to_come_back() {
    let upstream = Upstream::bind();
    let gateway =
        weir(&format!("[gateway]\nworkers = 1\n[limits]\nin_flight = 1\n{}", forward(upstream.address())));
    let mut first = gateway.client();
    first.send(get("/"));
    let mut server = upstream.accept();
    server.message();
    let mut second = gateway.client();
    second.send(get("/"));
    let reply = second.message();
    assert_eq!((reply.status(), fault(&reply)), (503, ("weir".into(), "limit".into())));
    assert_eq!(reply.header("retry-after"), Some("1"));

    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(first.message().status(), 200);
    gateway.await_metric("http_server_active_requests", &[], 0.0);
    second.send(get("/"));
    server.message();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(second.message().status(), 200, "the refused client's connection goes on");
    counted(&gateway, "", "limit");
}

#[test]
fn a_head_over_the_limit_is_a_431() {
    let gateway = weir(&format!("[limits]\nheader_bytes = \"16KiB\"\n{}", forward(nobody())));
    let mut client = gateway.client();
    // The answer may come, and the connection close, before all of it is written.
    let _ = client.try_send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Big: {}\r\n\r\n", "x".repeat(17 << 10)));
    let reply = client.message();
    assert_eq!((reply.status(), fault(&reply)), (431, ("client".into(), "limit".into())));
    counted(&gateway, "", "limit");
}

#[test]
fn more_header_lines_than_the_limit_are_a_431() {
    let gateway = weir(&format!("[limits]\nheaders = 20\n{}", forward(nobody())));
    let lines: String = (0..21).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(gateway.ask(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")).status(), 431);
    counted(&gateway, "", "limit");
}

#[test]
fn a_body_announced_over_the_limit_is_a_413_before_any_of_it_is_read() {
    let server = Server::json("{}");
    let gateway = weir(&format!("[limits]\nbody_bytes = \"1KiB\"\n{}", forward(server.address())));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1025\r\n\r\n");
    let reply = client.message();
    assert_eq!((reply.status(), fault(&reply)), (413, ("client".into(), "body_too_large".into())));
    assert!(server.requests().is_empty());
    counted(&gateway, "all", "body_too_large");

    let fits = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024));
    assert_eq!(gateway.ask(fits).status(), 200);
}

#[test]
fn a_chunked_body_is_a_413_when_it_goes_over_the_limit() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward_with(&[upstream.address()], "body_bytes = \"1KiB\"", ""));
    let mut client = gateway.client();
    let chunk = format!("258\r\n{}\r\n", "x".repeat(600));
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"));
    let mut server = upstream.accept();
    server.head().expect("a head");
    client.send(&chunk);
    let reply = client.message();
    assert_eq!((reply.status(), fault(&reply)), (413, ("client".into(), "body_too_large".into())));
    let arrived = server.rest();
    assert!(!arrived.ends_with(b"0\r\n\r\n"), "the upstream sees that the request is broken off");
    counted(&gateway, "all", "body_too_large");
}

/// A client that sends its body behind its head, as many do, goes on using the connection.
#[track_caller]
fn answered_early(gateway: &Gateway, status: u16) {
    let mut client = gateway.client();
    for _ in 0..50 {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n");
        let reply = client.message();
        assert_eq!((reply.status(), reply.header("connection")), (status, None));
        client.send("x".repeat(2000));
    }
}

#[test]
fn an_answer_that_did_not_wait_for_a_small_request_leaves_the_connection_open() {
    let upstream = Upstream::bind();
    let address = upstream.address();
    let server = std::thread::spawn(move || {
        for _ in 0..50 {
            // It answers a head, and reads no further.
            let mut server = upstream.accept();
            server.head().expect("a head");
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    answered_early(&weir(&forward(address)), 200);
    server.join().expect("fifty requests");
    answered_early(&weir(&forward_with(&[nobody()], "body_bytes = \"1KiB\"", "")), 413);
    let elsewhere = forward(nobody()).replace("path = \"/*\"", "path = \"/elsewhere\"");
    answered_early(&weir(&elsewhere), 404);
}

#[test]
fn an_answer_that_did_not_wait_for_a_large_request_says_that_the_connection_closes() {
    let gateway = weir(&forward_with(&[nobody()], "body_bytes = \"1KiB\"", ""));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
    let reply = client.message();
    assert_eq!((reply.status(), reply.header("connection")), (413, Some("close")));
}

#[test]
fn an_early_answer_reaches_a_client_that_sends_all_it_has_before_it_reads() {
    let gateway = weir(&forward_with(&[nobody()], "body_bytes = \"1KiB\"", ""));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8000000\r\n\r\n");
    for _ in 0..80 {
        client.send("x".repeat(100_000));
    }
    assert_eq!(client.message().status(), 413);
    client.ends();
}

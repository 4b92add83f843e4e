//! One end misbehaves: the other is told in time and in words, and it is counted.

use std::io::Write as _;
use std::time::{Duration, Instant};

use support::{Deaf, Gateway, Upstream, forward, forward_with, nobody};

use crate::{fault, get, under_way, weir};

/// One request failed in this way, and nothing else did.
#[track_caller]
fn counted(gateway: &Gateway, error: &str) {
    let scrape = gateway.await_metric("api_errors_total", &[("route", "all"), ("error_type", error)], 1.0);
    assert_eq!(scrape.sum("api_errors_total", &[]), Some(1.0), "nothing else is counted");
    gateway.await_exchanges(1);
}

#[test]
fn a_backend_that_is_down_is_a_502_at_once_and_says_so() {
    let address = nobody();
    let gateway = weir(&forward(address));
    let began = Instant::now();
    let reply = gateway.ask(get("/"));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((reply.status(), fault(&reply)), (502, ("upstream".into(), "connect".into())));
    assert!(reply.text().contains(&address.to_string()), "{}", reply.text());
    counted(&gateway, "connect");
}

#[test]
fn a_backend_that_never_answers_is_a_504_and_its_connection_is_closed() {
    let upstream = Upstream::bind();
    let gateway = weir(&format!("[timeouts]\nheader = \"200ms\"\n{}", forward(upstream.address())));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    let reply = client.message();
    assert_eq!((reply.status(), fault(&reply)), (504, ("upstream".into(), "timeout".into())));
    server.ends();
    counted(&gateway, "timeout");
}

#[test]
fn an_error_of_the_model_server_is_its_own_even_if_the_client_does_not_read_it_to_its_end() {
    let upstream = Upstream::bind();
    let gateway = weir(&format!("[slo.answered]\nobjective = 0.9\n{}", forward(upstream.address())));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    server.send("HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\n");
    assert_eq!(client.head().expect("a head").status(), 500);
    client.reset();
    server.ends();
    counted(&gateway, "status_5xx");
    assert_eq!(gateway.metric("weir_slo_events_total", &[("slo", "answered"), ("good", "false")]), 1.0);
}

#[test]
fn a_backend_that_accepts_no_connection_is_a_504_that_names_it() {
    let deaf = Deaf::listen();
    let gateway = weir(&format!("[timeouts]\nconnect = \"100ms\"\n{}", forward(deaf.address())));
    let reply = gateway.ask(get("/"));
    assert_eq!((reply.status(), fault(&reply)), (504, ("upstream".into(), "timeout".into())));
    assert!(reply.text().contains(&deaf.address().to_string()), "{}", reply.text());
    counted(&gateway, "timeout");
}

#[test]
fn a_backend_that_reads_no_further_is_a_504() {
    let upstream = Upstream::bind();
    let limits = "[limits]\nbody_bytes = \"1GiB\"\n[timeouts]\nidle = \"300ms\"\n";
    let gateway = weir(&format!("{limits}{}", forward(upstream.address())));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n");
    let mut server = upstream.accept();
    server.head().expect("a head");
    // As much as the sockets take; then nothing moves until the answer comes.
    let mut sending = client.stream().try_clone().expect("a socket can be shared");
    let sender = std::thread::spawn(move || while sending.write_all(&[0; 1 << 16]).is_ok() {});
    let reply = client.message();
    assert_eq!((reply.status(), fault(&reply)), (504, ("upstream".into(), "timeout".into())));
    counted(&gateway, "timeout");
    drop(client);
    sender.join().expect("it stops when nobody reads");
}

#[test]
fn the_whole_request_has_a_time_limit_where_one_is_set() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward_with(&[upstream.address()], "timeouts = { total = \"300ms\" }", ""));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
    client.head().expect("a head");
    assert_eq!(client.rest(), b"some", "the answer is cut, since it has begun");
    counted(&gateway, "timeout");
}

#[test]
fn a_backend_that_closes_within_its_response_cuts_the_clients() {
    for framing in ["Content-Length: 100\r\n\r\nsome", "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"] {
        let upstream = Upstream::bind();
        let gateway = weir(&forward(upstream.address()));
        let (mut client, mut server) = under_way(&gateway, &upstream);
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}"));
        client.head().expect("a head");
        drop(server);
        let rest = String::from_utf8(client.rest()).expect("text");
        assert!(rest.contains("some") && !rest.ends_with("0\r\n\r\n"), "the client sees a break: {rest:?}");
        counted(&gateway, "reset");
    }
}

#[test]
fn a_backend_that_stops_within_its_response_cuts_the_clients() {
    let upstream = Upstream::bind();
    let gateway = weir(&format!("[timeouts]\nidle = \"200ms\"\n{}", forward(upstream.address())));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
    client.head().expect("a head");
    assert_eq!(client.rest(), b"some");
    server.ends();
    counted(&gateway, "timeout");
}

#[test]
fn a_backend_that_closes_without_an_answer_or_answers_garbage_is_a_502() {
    for garbage in [
        "",
        "HTTP/1.1 2",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        "\0\x01\x02\x03\r\n\r\n",
    ] {
        let upstream = Upstream::bind();
        let gateway = weir(&forward(upstream.address()));
        let (mut client, mut server) = under_way(&gateway, &upstream);
        server.send(garbage);
        drop(server);
        let reply = client.message();
        assert_eq!(
            (reply.status(), fault(&reply)),
            (502, ("upstream".into(), "reset".into())),
            "{garbage:?}"
        );
        counted(&gateway, "reset");
        assert!(upstream.accepted().is_none(), "what may have been done is not done again");
    }
}

#[test]
fn two_lengths_in_an_answer_are_garbage() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nokHTTP/1.1");
    let reply = client.message();
    assert_eq!(reply.status(), 502);
    counted(&gateway, "reset");
}

#[test]
fn a_client_that_goes_away_cancels_the_request_upstream() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let (client, mut server) = under_way(&gateway, &upstream);
    drop(client);
    server.ends();
    counted(&gateway, "client_gone");
}

#[test]
fn a_client_that_goes_away_within_its_response_cancels_it_upstream() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
    client.head().expect("a head");
    client.reset();
    server.ends();
    counted(&gateway, "client_gone");
}

#[test]
fn a_client_that_goes_away_within_its_request_cancels_it_upstream() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome");
    let mut server = upstream.accept();
    server.head().expect("a head");
    assert_eq!(server.exactly(4), b"some");
    drop(client);
    server.ends();
    counted(&gateway, "client_gone");
}

#[test]
fn a_client_that_stalls_within_its_body_is_a_408() {
    let upstream = Upstream::bind();
    let gateway = weir(&format!("[timeouts]\nidle = \"200ms\"\n{}", forward(upstream.address())));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome");
    let mut server = upstream.accept();
    server.head().expect("a head");
    let reply = client.message();
    assert_eq!((reply.status(), fault(&reply)), (408, ("client".into(), "timeout".into())));
    client.ends();
    assert_eq!(server.rest(), b"some");
    counted(&gateway, "timeout");
}

#[test]
fn a_client_that_never_ends_its_head_is_closed() {
    let gateway = weir(&format!("[timeouts]\nclient_header = \"200ms\"\n{}", forward(nobody())));
    for beginning in ["G", "GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ", "PR"] {
        let mut client = gateway.client();
        client.send(beginning);
        client.rest();
    }
    gateway.await_metric("weir_connections_total", &[("result", "timeout")], 3.0);
}

#[test]
fn a_client_connection_that_idles_is_closed() {
    let server = support::Server::json("{}");
    let gateway = weir(&format!("[timeouts]\nclient_idle = \"200ms\"\n{}", forward(server.address())));
    let mut silent = gateway.client();
    let mut served = gateway.client();
    served.send(get("/"));
    assert_eq!(served.message().status(), 200);
    served.ends();
    silent.ends();
}

#[test]
fn a_request_that_provably_was_not_sent_goes_to_another_endpoint_once() {
    let server = support::Server::json("{}");
    let gateway = weir(&forward_with(&[nobody(), server.address()], "", "eject_after = 1000"));
    for _ in 0..40 {
        assert_eq!(gateway.ask(get("/")).status(), 200);
    }
    assert!(gateway.metric("weir_upstream_retries_total", &[("backend", "up")]) > 0.0);

    let both_down = weir(&forward_with(&[nobody(), nobody()], "", "eject_after = 1000"));
    assert_eq!(both_down.ask(get("/")).status(), 502);
    assert_eq!(both_down.metric("weir_upstream_retries_total", &[("backend", "up")]), 1.0);

    let never = weir(&forward_with(&[nobody(), nobody()], "retry = false", ""));
    assert_eq!(never.ask(get("/")).status(), 502);
    assert_eq!(never.scrape().sum("weir_upstream_retries_total", &[]).unwrap_or_default(), 0.0);
}

#[test]
fn an_idle_connection_that_the_backend_closed_costs_no_request() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    for n in 0..5 {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
        let mut server = upstream.accept();
        assert_eq!(server.message().body, b"ok", "request {n}");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.message().status(), 200);
        // Closed without a word, as uvicorn does when a connection has idled.
        drop(server);
    }
}

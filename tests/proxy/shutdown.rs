//! The end: told first, then drained, then gone.

use std::net::TcpStream;

use support::{Upstream, eventually, forward};

use crate::{get, under_way, weir};

#[test]
fn sigterm_says_not_ready_then_stops_accepting_then_drains_and_exits_0() {
    let upstream = Upstream::bind();
    let toml = forward(upstream.address());
    let mut gateway =
        weir(&format!("[gateway]\nworkers = 1\ndrain_delay = \"2s\"\ndrain_timeout = \"60s\"\n{toml}"));
    assert_eq!(gateway.get("/ready").status(), 200);
    let (mut before, mut idle) = (gateway.client(), gateway.client());
    before.send(get("/before"));
    let mut first = upstream.accept();
    first.message();
    idle.send(get("/idle"));
    let mut second = upstream.accept();
    second.message();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(idle.message().status(), 200);

    gateway.terminate();
    let reason = eventually("not ready", || Some(gateway.get("/ready")).filter(|r| r.status() == 503));
    assert!(reason.text().contains("draining"), "{}", reason.text());
    assert_eq!(gateway.get("/health").status(), 200, "the process still works");
    let mut late = gateway.client();
    late.send(get("/late"));
    let message = second.message();
    assert_eq!(message.start(), "GET /late HTTP/1.1", "during the delay traffic is taken");
    eventually("a closed listener", || TcpStream::connect(gateway.traffic()).err());
    idle.ends();

    first.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    assert_eq!(before.message().body, b"done", "what was under way ends");
    before.ends();
    second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    assert_eq!(late.message().body, b"late");
    let status = gateway.wait();
    assert_eq!(status.code(), Some(0), "{}", gateway.logs().text());
}

#[test]
fn what_does_not_end_in_time_is_cut_and_the_exit_says_so() {
    let upstream = Upstream::bind();
    let toml = forward(upstream.address());
    let mut gateway = weir(&format!("[gateway]\ndrain_timeout = \"200ms\"\n{toml}"));
    let (mut client, _server) = under_way(&gateway, &upstream);
    gateway.terminate();
    client.ends();
    assert_eq!(gateway.wait().code(), Some(1), "{}", gateway.logs().text());
}

#[test]
fn with_nothing_under_way_the_end_comes_at_once() {
    let mut gateway = weir(&forward(support::nobody()));
    let _idle = gateway.client();
    gateway.terminate();
    assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.logs().text());
}

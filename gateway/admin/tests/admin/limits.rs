//! Clients that stall, flood or stay: what they cost, and that the others are served.

use std::io::{Read, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use weir_admin::{Limits, Options};
use weir_telemetry::{Cap, Counter, Family, Spec};

use crate::support::{Client, LONG, Site, TOKEN};

fn site(limits: Limits) -> Site {
    Site::start(&Options { limits, token: Some("s3cret".into()), ..Options::default() })
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let site = site(Limits::default());
    let long = "x".repeat(20 << 10);
    assert_eq!(site.client().ask("GET", "/health", &[("x-long", &long)]).status, 431);
    assert_eq!(site.get("/health").status, 200);
}

#[test]
fn a_body_that_is_too_large_is_refused_and_a_small_one_is_ignored() {
    let site = site(Limits::default());
    let mut client = site.client();
    client.send("POST", "/api/reload", &[TOKEN, ("content-length", "3")]);
    client.0.write_all(b"{}\n").expect("sent");
    assert_eq!(client.read(false).expect("an answer").status, 200);
    client.send("GET", "/health", &[("content-length", "100000")]);
    client.0.write_all(&[b'x'; 100_000]).expect("sent");
    let answer = client.read(false).expect("an answer");
    assert_eq!((answer.status, answer.error().contains("65536")), (413, true));
    assert!(site.get("/metrics").text().contains("weir_admin_refused_total{reason=\"body\"} 1\n"));
}

#[test]
fn a_head_that_never_ends_and_an_idle_connection_are_closed() {
    let site = site(Limits { header_time: Duration::from_millis(50), ..Limits::default() });
    let mut slow = site.client();
    slow.0.write_all(b"GET /health HTTP/1.1\r\nhost: loc").expect("sent");
    let mut idle = site.client();
    assert_eq!(idle.ask("GET", "/health", &[]).status, 200);
    assert!(idle.is_closed());
    // hyper may say 408 before it closes.
    if let Ok(answer) = slow.read(false) {
        assert_eq!(answer.status, 408);
    }
}

#[test]
fn a_connection_too_many_is_told_so_and_its_place_comes_back() {
    let site = site(Limits { connections: 2, ..Limits::default() });
    let (mut one, mut two) = (site.client(), site.client());
    assert_eq!((one.ask("GET", "/health", &[]).status, two.ask("GET", "/health", &[]).status), (200, 200));
    let mut three = site.client();
    three.send("GET", "/health", &[]);
    let answer = three.read(false).expect("an answer");
    assert_eq!((answer.status, answer.error().contains("too many connections")), (503, true));
    // It may go on talking for a while: a socket closed at once would be reset, and the words might be lost.
    (0..16).for_each(|_| three.0.write_all(&[b'x'; 64 << 10]).expect("still read"));
    drop(one);
    let metrics = until_served(&site, "/metrics");
    assert!(metrics.contains("weir_admin_refused_total{reason=\"connections\"}"));
    assert_eq!(two.ask("GET", "/health", &[]).status, 200);
}

/// A `/metrics` page larger than any socket buffer.
fn with_a_large_page(site: &Site) {
    let big = Family::<Counter>::new(Spec::counter("big_total", &"x".repeat(24 << 20), &[]), Cap::Closed);
    site.registry.family(&big).expect("registered");
}

#[test]
fn a_client_that_never_reads_its_answer_loses_its_place() {
    let site = site(Limits { connections: 1, write_time: Duration::from_millis(100), ..Limits::default() });
    with_a_large_page(&site);
    let mut stuck = site.client();
    stuck.send("GET", "/metrics", &[]);
    until_served(&site, "/health");
}

#[test]
fn a_client_that_reads_a_little_now_and_then_loses_its_place() {
    let site = site(Limits { connections: 1, write_time: Duration::from_millis(200), ..Limits::default() });
    with_a_large_page(&site);
    let mut drip = site.client();
    drip.send("GET", "/metrics", &[]);
    // Each read makes room for the next write, so the answer is never without progress for long.
    let mut scratch = vec![0; 256 << 10];
    let mut got = 0;
    let end = Instant::now() + LONG;
    loop {
        match drip.0.read(&mut scratch) {
            Ok(n) if n > 0 => got += n,
            _ => break,
        }
        assert!(Instant::now() < end && got < 24 << 20, "it kept its place");
        thread::park_timeout(Duration::from_millis(20));
    }
    until_served(&site, "/health");
}

#[test]
fn answers_nobody_reads_share_a_budget_and_small_ones_pass() {
    let site = site(Limits { unread_bytes: 30 << 20, ..Limits::default() });
    with_a_large_page(&site);
    let mut stuck = site.client();
    stuck.send("GET", "/metrics", &[]);
    // Its head is here: the page behind it waits.
    assert_eq!(stuck.read(true).expect("a head").status, 200);
    let second = site.get("/metrics");
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    assert!(second.error().contains("31457280 bytes"), "{}", second.error());
    assert_eq!(site.get("/health").status, 200);
    drop(stuck);
    let metrics = until_served(&site, "/metrics");
    assert!(metrics.contains("weir_admin_refused_total{reason=\"unread\"}"));
}

/// Asks on new connections until one gets a place. The place comes back a moment after its owner left, which
/// nobody tells the test.
fn until_served(site: &Site, path: &str) -> String {
    let end = Instant::now() + LONG;
    loop {
        let mut client = Client::new(site.address);
        client.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).ok();
        match client.read(false) {
            Ok(answer) if answer.status == 200 => return answer.text().to_owned(),
            _ => assert!(Instant::now() < end, "no place came back"),
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn stopping_closes_idle_connections_and_answers_what_is_under_way() {
    let site = site(Limits { drain_time: LONG, ..Limits::default() });
    let (mut idle, mut busy) = (site.client(), site.client());
    assert_eq!(idle.ask("GET", "/health", &[]).status, 200);
    assert_eq!(busy.ask("GET", "/health", &[]).status, 200);
    busy.send("GET", "/api/settle?timeout=20s", &[]);
    while !site.house.settling.load(SeqCst) {
        assert_eq!(idle.ask("GET", "/health", &[]).status, 200);
    }
    let (house, running, address) = (site.house.clone(), site.running, site.address);
    let stopping = thread::spawn(move || running.stop());
    assert!(idle.is_closed());
    house.judged.notify_one();
    assert_eq!(busy.read(false).expect("an answer").status, 200);
    assert!(busy.is_closed());
    stopping.join().expect("stopped");
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let site = site(Limits { drain_time: Duration::from_millis(50), ..Limits::default() });
    let mut waiting = site.client();
    waiting.send("GET", "/api/settle?timeout=60s", &[]);
    assert_eq!(site.get("/health").status, 200);
    let begin = Instant::now();
    site.running.stop();
    assert!(begin.elapsed() < LONG);
    assert!(waiting.is_closed());
}

//! Bodies stream, both ways, at the pace of whoever reads them.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use support::{Gateway, Upstream, Wire, forward, forward_with};

use crate::{get, weir};

const MIB: usize = 1 << 20;

/// What the allocator may keep of buffers that came and went; the bodies are twenty times this.
const BUFFERS: f64 = 24.0 * MIB as f64;

/// Client and upstream ends of one request whose heads have passed.
fn conversation(gateway: &Gateway, upstream: &Upstream, head: &str) -> (Wire, Wire) {
    let mut client = gateway.client();
    client.send(head);
    let mut server = upstream.accept();
    server.head().expect("a head comes before any body");
    (client, server)
}

#[test]
fn a_request_body_passes_as_it_comes() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut client, mut server) = conversation(&gateway, &upstream, head);
    for piece in ["first", "second"] {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        assert_eq!(server.line(), format!("{:X}\r\n", piece.len()).as_bytes());
        assert_eq!(server.exactly(piece.len() + 2), format!("{piece}\r\n").as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(server.exactly(5), b"0\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.message().status(), 200);
}

#[test]
fn a_response_body_passes_as_it_comes() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let (mut client, mut server) = conversation(&gateway, &upstream, &get("/"));
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().expect("a head").header("transfer-encoding"), Some("chunked"));
    for piece in ["data: 1\n\n", "data: 2\n\n"] {
        server.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        assert_eq!(client.line(), format!("{:X}\r\n", piece.len()).as_bytes());
        assert_eq!(client.exactly(piece.len() + 2), format!("{piece}\r\n").as_bytes());
    }
    server.send("0\r\n\r\n");
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
}

#[test]
fn a_response_may_begin_before_its_request_ends() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab";
    let (mut client, mut server) = conversation(&gateway, &upstream, head);
    assert_eq!(server.exactly(2), b"ab");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nAB");
    client.head().expect("a head");
    assert_eq!(client.exactly(2), b"AB");
    client.send("cd");
    assert_eq!(server.exactly(2), b"cd");
    server.send("CD");
    assert_eq!(client.exactly(2), b"CD");
}

#[test]
fn trailers_pass_in_both_directions() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let head =
        "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = gateway.client();
    client.send(head);
    client.send("2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n");
    let mut server = upstream.accept();
    let got = server.message();
    assert_eq!((&*got.body, got.trailers), (&b"ok"[..], vec![("x-sum".to_owned(), "7".to_owned())]));
    server.send("HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\nX-End: 8\r\n\r\n");
    let reply = client.message();
    assert_eq!((&*reply.body, reply.trailers), (&b"OK"[..], vec![("x-end".to_owned(), "8".to_owned())]));
}

#[test]
fn a_response_that_ends_with_its_connection_is_passed_whole() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let (mut client, mut server) = conversation(&gateway, &upstream, &get("/"));
    server.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    drop(server);
    let reply = client.message();
    assert_eq!(reply.text(), "until the end");
    assert_eq!(
        reply.header("transfer-encoding"),
        Some("chunked"),
        "the client can tell the end from a break"
    );
}

#[test]
fn an_upstream_that_stalls_stalls_its_client_and_not_the_memory() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward_with(&[upstream.address()], "body_bytes = \"1GiB\"", ""));
    let resident = |gateway: &Gateway| gateway.metric("process_resident_memory_bytes", &[]);
    let before = resident(&gateway);
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 512 * MIB);
    let (client, mut server) = conversation(&gateway, &upstream, &head);
    let sent = until_blocked(client.stream());
    assert!(sent < 128 * MIB, "{sent} bytes were taken while nobody read them");
    let grown = resident(&gateway) - before;
    assert!(grown < BUFFERS, "{grown} bytes are held for a client that must wait");
    let arrived = server.exactly(sent);
    assert!(arrived.iter().all(|b| *b == b'x'), "what was taken arrives");
}

#[test]
fn a_client_that_stalls_stalls_the_upstream_and_not_the_memory() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let resident = |gateway: &Gateway| gateway.metric("process_resident_memory_bytes", &[]);
    let before = resident(&gateway);
    let (mut client, mut server) = conversation(&gateway, &upstream, &get("/"));
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 512 * MIB));
    let sent = until_blocked(server.stream());
    assert!(sent < 128 * MIB, "{sent} bytes were taken while nobody read them");
    let grown = resident(&gateway) - before;
    assert!(grown < BUFFERS, "{grown} bytes are held for a client that does not read");
    client.head().expect("a head");
    let arrived = client.exactly(sent);
    assert!(arrived.iter().all(|b| *b == b'x'), "what was taken arrives");
}

/// Writes until a write makes no progress for a second, and returns how much was taken. Too early an end
/// would let a test pass that should fail, never the other way round.
fn until_blocked(mut stream: &TcpStream) -> usize {
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket takes a timeout");
    let block = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < 256 * MIB {
        match stream.write(&block) {
            Ok(n) => sent += n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) => panic!("failed to write: {e}"),
        }
    }
    sent
}

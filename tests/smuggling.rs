//! Request smuggling: whatever shape a request has, the model server sees one framing, and no request that
//! Weir did not see itself.

use support::{Gateway, Message, Server, Upstream, forward, ok_json};

/// A gateway before a server that reads strictly, and everything that reached it.
struct Between {
    gateway: Gateway,
    server: Server,
}

impl Between {
    fn new() -> Self {
        let server = Server::start(|_| ok_json("\"served\""));
        let gateway = Gateway::start(env!("CARGO_BIN_EXE_weir"), &forward(server.address()));
        Self { gateway, server }
    }

    /// The answers to what is sent over one connection, which a last request ends if the connection
    /// outlives the first.
    fn answers(&self, sent: &[u8]) -> Vec<Message> {
        let mut client = self.gateway.client();
        client.send(sent);
        let mut answers = Vec::from_iter(client.try_message());
        // Refused by the time it is written, if the connection was closed.
        let _ = client.try_send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        answers.extend(std::iter::from_fn(|| client.try_message()));
        answers
    }

    /// The request is refused: one 400, and nothing whole reaches the server.
    #[track_caller]
    fn refuses(&self, shape: &str) {
        self.refuses_bytes(shape.as_bytes());
    }

    #[track_caller]
    fn refuses_bytes(&self, shape: &[u8]) {
        let shown = String::from_utf8_lossy(shape).into_owned();
        let answers = self.answers(shape);
        assert_eq!(answers.iter().map(Message::status).collect::<Vec<_>>(), [400], "{shown:?}");
        let seen: Vec<String> = self.server.requests().iter().map(Message::start).collect();
        assert!(seen.is_empty(), "{shown:?} reached the server as {seen:?}");
    }

    /// The request is served as one with this body, and what came behind it as what it is.
    #[track_caller]
    fn serves(&self, shape: &str, body: &str) -> Message {
        let answers = self.answers(shape.as_bytes());
        assert!(answers.iter().all(|a| a.status() == 200), "{shape:?}: {answers:?}");
        let mut seen = self.server.requests();
        let starts: Vec<String> = seen.iter().map(Message::start).collect();
        assert!(starts[1..].iter().all(|s| s == "GET /last HTTP/1.1"), "{shape:?} was {starts:?}");
        assert_eq!(answers.len(), starts.len(), "{shape:?}: every request is answered");
        let first = seen.remove(0);
        assert_eq!(first.text(), body, "{shape:?}");
        let framings = [first.all("content-length").len(), first.all("transfer-encoding").len()];
        assert!(framings.iter().sum::<usize>() <= 1, "{shape:?} has {framings:?} framings: {first:?}");
        first
    }
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

fn post(headers: &str, body: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: h\r\n{headers}\r\n{body}")
}

#[test]
fn a_length_beside_chunks_is_dropped_and_the_connection_ends_behind_the_request() {
    let between = Between::new();
    let length = format!("Content-Length: {}\r\n", 5 + SMUGGLED.len());
    let body = format!("0\r\n\r\n{SMUGGLED}");
    for headers in [
        format!("{length}Transfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\n{length}"),
        format!("transfer-encoding: CHUNKED\r\n{length}"),
    ] {
        between.serves(&post(&headers, &body), "");
    }
    let short = "4\r\nbody\r\n0\r\n\r\n";
    between.serves(&post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", short), "body");
}

#[test]
fn lengths_that_contradict_each_other_are_a_400() {
    let between = Between::new();
    let body = format!("0\r\n\r\n{SMUGGLED}");
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nX: y\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5\r\ncontent-length: 05a\r\n",
    ] {
        between.refuses(&post(headers, &body));
    }
}

#[test]
fn the_same_length_twice_is_one_length() {
    let between = Between::new();
    let got = between.serves(&post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), "hello");
    assert_eq!(got.all("content-length"), ["5"]);
}

#[test]
fn a_length_that_is_no_number_is_a_400() {
    let between = Between::new();
    for length in ["-1", "+5", "0x5", "5 5", "", "5;", "1e1", "99999999999999999999", "five", "\u{0665}"] {
        between.refuses(&post(&format!("Content-Length: {length}\r\n"), "hello"));
    }
}

#[test]
fn a_folded_header_line_is_a_400() {
    let between = Between::new();
    for headers in [
        "X-A: b\r\n Content-Length: 5\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X-A: b\r\n\tTransfer-Encoding: chunked\r\n",
    ] {
        between.refuses(&post(headers, "0\r\n\r\n"));
    }
    between.refuses("POST /p HTTP/1.1\r\n Host: h\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn space_around_a_header_name_is_a_400() {
    let between = Between::new();
    for headers in [
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Content Length: 5\r\n",
        ": 5\r\n",
        "no colon\r\n",
    ] {
        between.refuses(&post(headers, "hello"));
    }
}

#[test]
fn a_transfer_coding_other_than_chunked_alone_is_a_400() {
    let between = Between::new();
    let body = format!("0\r\n\r\n{SMUGGLED}");
    for coding in [
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "\"chunked\"",
        "chunked;q=1",
        "\u{0b}chunked",
        "",
    ] {
        between.refuses(&post(&format!("Transfer-Encoding: {coding}\r\n"), &body));
        let length = format!("Content-Length: 5\r\nTransfer-Encoding: {coding}\r\n");
        between.refuses(&post(&length, &body));
    }
    between.refuses(&post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", &body));
    between.refuses(&post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", &body));
    between.refuses(
        &post("Transfer-Encoding: chunked\r\n", &body)
            .replace("HTTP/1.1\r\nHost: h\r\nT", "HTTP/1.0\r\nHost: h\r\nT"),
    );
}

#[test]
fn chunks_are_passed_on_as_chunks_without_their_extensions() {
    let between = Between::new();
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let got = between.serves(&chunked("5;a=\"b\";c\r\nhello\r\n0005\r\nworld\r\n00;x\r\n\r\n"), "helloworld");
    let raw = String::from_utf8(got.raw_body).expect("text");
    assert!(raw.ends_with("\r\n0\r\n\r\n") && !raw.contains(';'), "{raw:?}");
    let got = between.serves(&chunked("2\r\nok\r\n0\r\nContent-Length: 5\r\nX-T: 1\r\n\r\n"), "ok");
    assert!(got.trailers.is_empty(), "trailers that nobody announced end here: {:?}", got.trailers);
}

#[test]
fn chunks_with_a_broken_size_or_end_are_a_400_and_never_a_whole_request() {
    let between = Between::new();
    let broken = [
        "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
    ];
    for body in broken {
        between.refuses(&post("Transfer-Encoding: chunked\r\n", body));
    }
    let whose = [("route", "all"), ("error_type", "bad_request")];
    between.gateway.await_metric("api_errors_total", &whose, broken.len() as f64);
}

#[test]
fn bare_line_feeds_end_lines_once_and_for_all() {
    let between = Between::new();
    let shape = "POST /p HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello";
    let got = between.serves(shape, "hello");
    let head = String::from_utf8(got.head).expect("text");
    assert_eq!(head.matches('\n').count(), head.matches("\r\n").count(), "{head:?}");
    let got = between.serves(&post("X: a\nY: b\r\nContent-Length: 2\r\n", "ok"), "ok");
    assert_eq!((got.header("x"), got.header("y")), (Some("a"), Some("b")));
}

#[test]
fn control_characters_in_a_header_are_a_400() {
    let between = Between::new();
    for headers in
        ["X: a\0b\r\n", "X: a\rContent-Length: 5\r\n", "X\0: a\r\n", "X: a\u{7f}\r\n", "X: \u{1}\r\n"]
    {
        between.refuses(&post(headers, ""));
    }
    between.refuses_bytes(b"GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn a_request_line_of_another_shape_is_a_400() {
    let between = Between::new();
    for line in [
        "GET\t/\tHTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / x HTTP/1.1",
        "GET /",
        "GET / HTTP/1.1 ",
        "GET / HTTP/3.0",
        "GET / http/1.1",
        "G\u{e9}T / HTTP/1.1",
        " GET / HTTP/1.1",
        "GET HTTP/1.1",
    ] {
        between.refuses(&format!("{line}\r\nHost: h\r\n\r\n"));
    }
}

#[test]
fn a_whole_uri_names_the_host_whatever_the_host_header_says() {
    let between = Between::new();
    let shape =
        "POST http://named.example/p?q=1 HTTP/1.1\r\nHost: other.example\r\nContent-Length: 2\r\n\r\nok";
    let got = between.serves(shape, "ok");
    assert_eq!(got.start(), "POST /p?q=1 HTTP/1.1");
    assert_eq!(got.header("host"), Some(between.server.address().to_string().as_str()));
    assert_eq!(got.header("x-forwarded-host"), Some("named.example"));
    assert!(got.header("forwarded").is_some_and(|f| f.contains("named.example")));
}

#[test]
fn a_body_that_looks_like_a_request_is_a_body() {
    let between = Between::new();
    let length = format!("Content-Length: {}\r\n", SMUGGLED.len());
    between.serves(&post(&length, SMUGGLED), SMUGGLED);
    between.serves(&post(&length, SMUGGLED).replace("POST", "GET"), SMUGGLED);
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    between.serves(&post("Transfer-Encoding: chunked\r\n", &chunk), SMUGGLED);
}

#[test]
fn a_refused_upload_is_not_read_as_the_next_request() {
    let server = Server::start(|_| ok_json("\"served\""));
    let toml = support::forward_with(&[server.address()], "body_bytes = \"1KiB\"", "");
    let between = Between { gateway: Gateway::start(env!("CARGO_BIN_EXE_weir"), &toml), server };
    let body = format!("{SMUGGLED}{}", "x".repeat(2000));
    let answers = between.answers(post(&format!("Content-Length: {}\r\n", body.len()), &body).as_bytes());
    assert_eq!(answers[0].status(), 413);
    let seen: Vec<String> = between.server.requests().iter().map(Message::start).collect();
    assert!(seen.iter().all(|s| s == "GET /last HTTP/1.1"), "{seen:?}");
}

#[test]
fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let upstream = Upstream::bind();
    let gateway = Gateway::start(env!("CARGO_BIN_EXE_weir"), &forward(upstream.address()));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut server = upstream.accept();
    server.message();
    let answer = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    server.send(answer("asked") + &answer("unasked"));
    assert_eq!(client.message().text(), "asked");
    // The connection that said too much is not used again.
    server.ends();
    client.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut server = upstream.accept();
    assert_eq!(server.message().start(), "GET /b HTTP/1.1");
    server.send(answer("fresh"));
    assert_eq!(client.message().text(), "fresh");
}

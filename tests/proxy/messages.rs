//! What a message looks like on the other side.

use support::{Server, Upstream, forward, forward_with};

use crate::{fault, get, under_way, weir};

/// Header lines, sorted, without those that differ from request to request.
fn lines(message: &support::Message) -> Vec<String> {
    let kept = message.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "traceparent" | "date"));
    let mut lines: Vec<String> = kept.map(|(name, value)| format!("{name}: {value}")).collect();
    lines.sort();
    lines
}

#[test]
fn a_request_arrives_as_it_was_sent_but_for_what_a_proxy_must_change() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    let target = "/v1/x;p=1/%7Euser//a?q=1%20a&q=%2F&empty=";
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: api.example:8080\r\nX-Odd: a,  b\r\nX-Two: 1\r\nX-Two: 2\r\n"
    ));
    client.send("Content-Length: 5\r\n\r\nh\0l\r\n");
    let mut server = upstream.accept();
    let got = server.message();
    assert_eq!(got.start(), format!("POST {target} HTTP/1.1"));
    assert_eq!(got.body, b"h\0l\r\n");
    let expect = [
        "content-length: 5".to_owned(),
        "forwarded: for=127.0.0.1;proto=http;host=\"api.example:8080\"".into(),
        format!("host: {}", upstream.address()),
        "via: 1.1 weir".into(),
        "x-forwarded-for: 127.0.0.1".into(),
        "x-forwarded-host: api.example:8080".into(),
        "x-forwarded-proto: http".into(),
        "x-odd: a,  b".into(),
        "x-two: 1".into(),
        "x-two: 2".into(),
    ];
    assert_eq!(lines(&got), expect);

    server.send("HTTP/1.1 418 Short And Stout\r\nX-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\n\r\nabc");
    let reply = client.message();
    assert_eq!(reply.start(), "HTTP/1.1 418 Short And Stout");
    assert_eq!(reply.body, b"abc");
    assert_eq!(lines(&reply), ["content-length: 3", "set-cookie: a=1", "set-cookie: b=2", "x-a: 1"]);
}

#[test]
fn a_head_request_gets_the_length_but_no_body_and_the_connection_goes_on() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    client.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut server = upstream.accept();
    assert_eq!(server.message().start(), "HEAD /a HTTP/1.1");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    let reply = client.reply_to("HEAD");
    assert_eq!((reply.status(), reply.header("content-length")), (200, Some("10")));

    client.send(get("/b"));
    assert_eq!(server.message().start(), "GET /b HTTP/1.1");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    assert_eq!(client.message().body, b"b");
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    let mut server = None;
    for (status, headers) in
        [("204 No Content", ""), ("304 Not Modified", "ETag: \"x\"\r\nContent-Length: 9\r\n")]
    {
        client.send(get("/"));
        let server = server.get_or_insert_with(|| upstream.accept());
        server.message();
        server.send(format!("HTTP/1.1 {status}\r\n{headers}\r\n"));
        let reply = client.message();
        assert_eq!(reply.start(), format!("HTTP/1.1 {status}"));
        assert_eq!(reply.header("transfer-encoding"), None);
    }
    client.send(get("/"));
    let server = server.as_mut().expect("accepted");
    server.message();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.message().body, b"x");
}

#[test]
fn a_client_that_waits_for_100_continue_gets_one_and_the_upstream_waits_for_nothing() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.message().start(), "HTTP/1.1 100 Continue");
    client.send("ok");
    let mut server = upstream.accept();
    let got = server.message();
    assert_eq!((got.header("expect"), &*got.body), (None, &b"ok"[..]));
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.message().status(), 200);
}

#[test]
fn a_refused_upload_is_refused_before_it_is_sent() {
    let gateway = weir(&forward_with(&[support::nobody()], "body_bytes = \"1KiB\"", ""));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    let reply = client.message();
    assert_eq!(reply.status(), 413, "no `100 Continue` comes before it");
}

#[test]
fn interim_answers_of_the_upstream_end_at_the_gateway() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let (mut client, mut server) = under_way(&gateway, &upstream);
    server.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let reply = client.message();
    assert_eq!((reply.status(), reply.header("link"), &*reply.body), (200, None, &b"ok"[..]));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start(|request| {
        let path = request.start().split(' ').nth(1).expect("a target").to_owned();
        support::ok("text/plain", format!("answer to {path} {}", request.text()).as_bytes())
    });
    let gateway = weir(&forward(server.address()));
    let mut client = gateway.client();
    let post = |n| format!("POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nb-{n}");
    client.send((0..5).map(post).collect::<String>());
    for n in 0..5 {
        assert_eq!(client.message().text(), format!("answer to /{n} b-{n}"));
    }
    gateway.await_exchanges(5);
}

#[test]
fn connections_are_kept_on_both_sides_until_somebody_says_close() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward(upstream.address()));
    let mut client = gateway.client();
    let mut server = None;
    for _ in 0..3 {
        client.send(get("/"));
        let server = server.get_or_insert_with(|| upstream.accept());
        server.message();
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.message().header("connection"), None);
    }
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let server = server.as_mut().expect("accepted");
    assert_eq!(server.message().header("connection"), None, "the client's close is not the upstream's");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.message().header("connection"), Some("close"));
    client.ends();
    assert!(upstream.accepted().is_none(), "one connection carried them all");
    let opened =
        gateway.metric("weir_upstream_connections_total", &[("backend", "up"), ("result", "opened")]);
    assert_eq!(opened, 1.0);
}

#[test]
fn an_upstream_that_closes_behind_its_answer_is_connected_to_anew() {
    let server =
        Server::start(|_| b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".to_vec());
    let gateway = weir(&forward(server.address()));
    let mut client = gateway.client();
    for _ in 0..3 {
        client.send(get("/"));
        let reply = client.message();
        assert_eq!((reply.header("connection"), &*reply.body), (None, &b"x"[..]));
    }
}

#[test]
fn an_http_1_0_client_is_answered_and_closed() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let reply = client.message();
    assert_eq!((reply.status(), reply.header("transfer-encoding"), &*reply.body), (200, None, &b"{}"[..]));
    client.ends();
    assert_eq!(server.request().start(), "GET / HTTP/1.1");
}

#[test]
fn an_upgrade_is_refused_in_words_unless_the_route_passes_it() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    let ask = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let reply = gateway.ask(ask);
    assert_eq!((reply.status(), fault(&reply)), (501, ("client".into(), "bad_request".into())));
    assert!(reply.text().contains("upgrade = true"), "{}", reply.text());
    assert!(server.requests().is_empty());
}

#[test]
fn a_passed_upgrade_joins_the_two_connections() {
    let upstream = Upstream::bind();
    let gateway = weir(&forward_with(&[upstream.address()], "upgrade = true", ""));
    let mut client = gateway.client();
    client.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
    let mut server = upstream.accept();
    let got = server.message();
    assert_eq!(got.header("upgrade"), Some("echo"));
    assert_eq!(got.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome");
    let reply = client.message();
    assert_eq!((reply.status(), reply.header("upgrade")), (101, Some("echo")));
    assert_eq!(client.exactly(7), b"welcome");
    assert_eq!(server.exactly(5), b"early");
    client.send("\x00not HTTP\r\n\r\n");
    assert_eq!(server.exactly(13), b"\x00not HTTP\r\n\r\n");
    server.send("back");
    assert_eq!(client.exactly(4), b"back");
    client.finish_sending();
    server.ends();
    drop(server);
    client.ends();
}

#[test]
fn an_offer_of_h2c_is_ignored() {
    let server = Server::json("{}");
    let gateway = weir(&forward(server.address()));
    let reply = gateway.ask(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n",
    );
    assert_eq!(reply.start(), "HTTP/1.1 200 OK");
    let got = server.request();
    assert_eq!(
        (got.header("upgrade"), got.header("http2-settings"), got.header("connection")),
        (None, None, None)
    );
}

#[test]
fn a_path_that_no_route_takes_is_a_404_in_words() {
    let toml = forward(support::nobody()).replace("path = \"/*\"", "path = \"/predict\"");
    let gateway = weir(&toml);
    let reply = gateway.ask(get("/predictions"));
    assert_eq!((reply.status(), fault(&reply)), (404, ("client".into(), "no_route".into())));
    assert!(reply.text().contains("`/predictions`"));
    gateway.await_metric("api_errors_total", &[("route", ""), ("error_type", "no_route")], 1.0);
}

//! HTTP/2 with prior knowledge, down and up, as gRPC needs it.

use http::{HeaderMap, Request, Response};
use support::h2::{self, Body, body};
use support::{Server, forward, forward_with};

use crate::weir;

fn post(uri: &str, text: &str, trailers: Option<HeaderMap>) -> Request<Body> {
    let request = Request::post(uri).header("content-type", "application/json");
    request.body(body(text.to_owned(), trailers)).expect("a request")
}

fn map(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))])
}

#[test]
fn an_http_2_client_reaches_an_http_1_server() {
    let server = Server::json("{\"predictions\": [1]}");
    let gateway = weir(&forward(server.address()));
    let uri = "http://api.example/predict?x=1";
    let replies = h2::ask(gateway.traffic(), vec![post(uri, "{\"instances\": [[1]]}", None)]);
    assert_eq!((replies[0].head.status.as_u16(), &*replies[0].body), (200, &b"{\"predictions\": [1]}"[..]));
    assert_eq!(replies[0].head.version, http::Version::HTTP_2);
    let got = server.request();
    assert_eq!(got.start(), "POST /predict?x=1 HTTP/1.1");
    assert_eq!(
        (got.text().as_str(), got.header("x-forwarded-host")),
        ("{\"instances\": [[1]]}", Some("api.example"))
    );
    assert_eq!(got.header("via"), Some("2.0 weir"));
    assert_eq!(got.header("host"), Some(server.address().to_string().as_str()));
    let version = [("network_protocol_version", "2")];
    gateway.await_metric("http_server_request_duration_seconds_count", &version, 1.0);
}

#[test]
fn an_http_1_client_reaches_an_http_2_server() {
    let server = h2::Server::start(|_| Response::new(body("{}", None)));
    let gateway = weir(&forward_with(&[server.address()], "", "http2 = true"));
    let reply = gateway.post("/predict?x=1", "{\"instances\": []}");
    assert_eq!((reply.status(), reply.text().as_str()), (200, "{}"));
    let got = server.request();
    assert_eq!(got.head.uri.path_and_query().expect("a path").as_str(), "/predict?x=1");
    assert_eq!(got.head.uri.authority().expect("an authority").as_str(), server.address().to_string());
    assert_eq!(&*got.body, b"{\"instances\": []}");
    assert!(!got.head.headers.contains_key("connection") && !got.head.headers.contains_key("host"));
}

#[test]
fn a_grpc_call_passes_with_its_trailers() {
    let server = h2::Server::start(|request| {
        let framed = [&[0, 0, 0, 0, 2][..], b"ok"].concat();
        assert_eq!(&request.body[..5], [0, 0, 0, 0, 3]);
        let response = Response::builder().header("content-type", "application/grpc");
        response.body(body(framed, Some(map("grpc-status", "0")))).expect("a response")
    });
    let gateway = weir(&forward_with(&[server.address()], "", "http2 = true"));
    let call = Request::post("http://h/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body([&[0, 0, 0, 0, 3][..], b"ask"].concat(), Some(map("x-end", "1"))));
    let reply = h2::ask(gateway.traffic(), vec![call.expect("a request")]).remove(0);
    assert_eq!(reply.head.headers["content-type"], "application/grpc");
    assert_eq!(&*reply.body, b"\0\0\0\0\x02ok");
    assert_eq!(reply.trailers, Some(map("grpc-status", "0")));
    let got = server.request();
    assert_eq!(got.head.headers["te"], "trailers");
    assert_eq!(got.trailers, Some(map("x-end", "1")));
}

#[test]
fn a_grpc_error_without_a_body_passes_as_it_is() {
    let server = h2::Server::start(|_| {
        let response =
            Response::builder().header("content-type", "application/grpc").header("grpc-status", "5");
        response.body(body("", None)).expect("a response")
    });
    let gateway = weir(&forward_with(&[server.address()], "", "http2 = true"));
    let reply = h2::ask(gateway.traffic(), vec![post("http://h/s/m", "", None)]).remove(0);
    assert_eq!((&reply.head.headers["grpc-status"], reply.body.len()), (&"5".parse().expect("a value"), 0));
}

#[test]
fn many_streams_of_one_connection_are_answered_each_with_its_own() {
    let server = h2::Server::start(|request| Response::new(body(request.body.clone(), None)));
    let gateway = weir(&forward_with(&[server.address()], "", "http2 = true"));
    let text = |n: usize| format!("{n} {}", "x".repeat(n * 997));
    let requests = (0..50).map(|n| post("http://h/", &text(n), None)).collect();
    let replies = h2::ask(gateway.traffic(), requests);
    for (n, reply) in replies.iter().enumerate() {
        assert_eq!(reply.body, text(n), "stream {n}");
    }
    gateway.await_exchanges(50);
    let opened =
        gateway.metric("weir_upstream_connections_total", &[("backend", "up"), ("result", "opened")]);
    assert!(opened <= 50.0, "{opened} connections for 50 streams");
}

#[test]
fn what_http_2_forbids_is_not_carried_over_from_http_1() {
    let server = h2::Server::start(|_| Response::new(body("", None)));
    let gateway = weir(&forward_with(&[server.address()], "", "http2 = true"));
    let reply = gateway.ask(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    assert_eq!(reply.status(), 200);
    let got = server.request();
    assert_eq!(&*got.body, b"ok");
    for forbidden in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(!got.head.headers.contains_key(forbidden), "{forbidden}");
    }
}

#[test]
fn a_head_over_the_limit_is_a_431_in_words_over_http_2_too() {
    let gateway = weir(&format!("[limits]\nheader_bytes = \"16KiB\"\n{}", forward(support::nobody())));
    let mut request = post("http://h/", "", None);
    let big = "x".repeat(17 << 10).parse().expect("a value");
    request.headers_mut().insert("x-big", big);
    let replies = h2::ask(gateway.traffic(), vec![request]);
    assert_eq!(replies[0].head.status.as_u16(), 431);
    assert!(String::from_utf8_lossy(&replies[0].body).contains("limits.header_bytes"));
    gateway.await_metric("api_errors_total", &[("route", ""), ("error_type", "limit")], 1.0);
}

//! Traffic goes through the binary, and nothing that either end does gets it out of step.

mod bodies;
mod endpoints;
mod faults;
mod headers;
mod http2;
mod limits;
mod messages;
mod shutdown;

use support::{Gateway, Upstream, Wire};

/// The binary with a configuration of its own.
#[track_caller]
fn weir(toml: &str) -> Gateway {
    Gateway::start(env!("CARGO_BIN_EXE_weir"), toml)
}

/// A request without a body.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: weir.test\r\n\r\n")
}

/// A request that has reached the model server, which has yet to answer: the client's end and the server's.
#[track_caller]
fn under_way(gateway: &Gateway, upstream: &Upstream) -> (Wire, Wire) {
    let mut client = gateway.client();
    client.send(get("/"));
    let mut server = upstream.accept();
    server.message();
    (client, server)
}

/// Whose fault an answer of Weir's own says it was, and of which type.
#[track_caller]
fn fault(reply: &support::Message) -> (String, String) {
    let error = &reply.json()["error"];
    let text = |key: &str| error[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {error}")).to_owned();
    assert!(!text("message").is_empty());
    (text("fault"), text("type"))
}

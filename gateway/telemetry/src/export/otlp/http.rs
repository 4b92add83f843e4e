//! OTLP over HTTP, binary protobuf.

use std::time::SystemTime;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message;

use super::{Signal, grpc, short, taken};
use crate::export::metrics::RequestResult;
use crate::export::post::{PostShape, Reply, retry_after};
use crate::export::transport::{Answer, Fault};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// What every request has in common.
pub(super) fn shape(path: &'static str, gzip: bool) -> PostShape {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, PROTOBUF);
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    PostShape { path, headers, http2: false }
}

/// What an answer means.
pub(super) fn answer<S: Signal>(reply: &Reply) -> Answer {
    if reply.status.is_success() {
        return taken::<S>(&reply.body);
    }
    let fault = |result| Fault { result, words: words(reply) };
    match reply.status.as_u16() {
        429 | 502 | 503 | 504 => Answer::Later {
            fault: fault(RequestResult::Retry),
            after: retry_after(&reply.headers, SystemTime::now()),
        },
        _ => Answer::Never { fault: fault(RequestResult::Refused) },
    }
}

fn words(reply: &Reply) -> String {
    let said = said(reply);
    let (colon, hint) = (if said.is_empty() { "" } else { ": " }, hint(reply.status));
    format!("answered {}{colon}{said}{hint}", reply.status)
}

/// The message of an error: a `google.rpc.Status`, or whatever text a server in between writes.
fn said(reply: &Reply) -> String {
    match reply.headers.get(CONTENT_TYPE) {
        Some(kind) if *kind == PROTOBUF => {
            short(grpc::Status::decode(&*reply.body).unwrap_or_default().message.as_bytes())
        }
        Some(kind) if kind.as_bytes().starts_with(b"text/html") => String::new(),
        _ => short(&reply.body),
    }
}

/// What to do about a status, ready to be appended.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => " (redirects are not followed: write the new URL)",
        401 | 403 | 407 => " (check the headers and the client certificate)",
        404 | 405 => " (check the path of the URL; the one of the signal is appended)",
        413 => " (make batches smaller, or raise the limit of the receiver)",
        400 | 415 => " (does an OTLP receiver listen there?)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::Traces;

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Reply {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        });
        Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: headers.collect(),
            body: body.to_vec().into(),
            trailers: HeaderMap::new(),
        }
    }

    #[test]
    fn four_statuses_mean_later_and_every_other_one_is_final() {
        for status in 200..600 {
            let answer = answer::<Traces>(&reply(status, &[], b""));
            let fits = match status {
                200..300 => answer == Answer::TAKEN,
                429 | 502 | 503 | 504 => matches!(answer, Answer::Later { after: None, .. }),
                _ => matches!(answer, Answer::Never { .. }),
            };
            assert!(fits, "{status}: {answer:?}");
        }
    }

    #[test]
    fn the_words_hold_what_was_said_and_what_to_do() {
        let status = grpc::Status { message: "bad\ntrace id".into(), ..Default::default() }.encode_to_vec();
        let protobuf = ("content-type", "application/x-protobuf");
        assert_eq!(
            words(&reply(400, &[protobuf], &status)),
            "answered 400 Bad Request: bad trace id (does an OTLP receiver listen there?)"
        );
        assert!(words(&reply(404, &[], b"no such page")).contains("Not Found: no such page (check the path"));
        assert_eq!(
            words(&reply(503, &[("content-type", "text/html")], b"<p>")),
            "answered 503 Service Unavailable"
        );
        assert_eq!(words(&reply(500, &[protobuf], b"\xff")), "answered 500 Internal Server Error");
        assert!(words(&reply(500, &[], &[b'x'; 5000])).len() < 300);
    }
}

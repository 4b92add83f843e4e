//! A unary gRPC call by hand: one frame there, one frame back, and a status in the trailers
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use prost::Message;

use super::{Signal, short, taken};
use crate::export::metrics::RequestResult;
use crate::export::post::{PostShape, Reply};
use crate::export::transport::{Answer, Fault};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// A flag and a length stand before each message.
const PREFIX: usize = 5;
/// A timeout is written in at most eight digits.
const LONGEST_TIMEOUT_MS: u128 = 99_999_999;

/// Values of `-bin` headers come with and without padding.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Codes of gRPC, by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const OK: u16 = 0;
const CANCELLED: u16 = 1;
const UNKNOWN: u16 = 2;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const ABORTED: u16 = 10;
const OUT_OF_RANGE: u16 = 11;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const DATA_LOSS: u16 = 15;
const UNAUTHENTICATED: u16 = 16;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<Span>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// What every call has in common.
pub(super) fn shape(method: &'static str, gzip: bool, timeout: Duration) -> PostShape {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let milliseconds = timeout.as_millis().clamp(1, LONGEST_TIMEOUT_MS);
    if let Ok(value) = HeaderValue::try_from(format!("{milliseconds}m")) {
        headers.insert(HeaderName::from_static("grpc-timeout"), value);
    }
    if gzip {
        headers.insert(HeaderName::from_static("grpc-encoding"), HeaderValue::from_static("gzip"));
    }
    PostShape { path: method, headers, http2: true }
}

/// Puts the prefix before a message.
pub(super) fn frame(message: &[u8], compressed: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(u8::from(compressed));
    // A batch is bounded far below 4 GiB.
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

/// The message of a whole frame. Compression was not offered, so a compressed one is nonsense.
fn unframe(body: &[u8]) -> &[u8] {
    match body.split_at_checked(PREFIX) {
        Some(([0, length @ ..], message)) => {
            let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            message.get(..length).unwrap_or_default()
        }
        _ => &[],
    }
}

/// What an answer means.
pub(super) fn answer<S: Signal>(reply: &Reply) -> Answer {
    // Without a body the status may stand in the headers ("trailers-only").
    let from = if reply.trailers.contains_key(STATUS) { &reply.trailers } else { &reply.headers };
    let code = code(reply, from);
    if code == OK {
        return taken::<S>(unframe(&reply.body));
    }
    let after = retry_info(from);
    let fault = |result| Fault { result, words: words(code, from, reply) };
    match code {
        CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS => {
            Answer::Later { fault: fault(RequestResult::Retry), after }
        }
        // Only the server knows whether there will ever be room.
        RESOURCE_EXHAUSTED if after.is_some() => Answer::Later { fault: fault(RequestResult::Retry), after },
        _ => Answer::Never { fault: fault(RequestResult::Refused) },
    }
}

/// The status; one that a server in between answered is made from that of HTTP
/// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).
fn code(reply: &Reply, from: &HeaderMap) -> u16 {
    if let Some(status) = from.get(STATUS) {
        return status.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN);
    }
    match reply.status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// How long the server asks to wait.
fn retry_info(from: &HeaderMap) -> Option<Duration> {
    let status = Status::decode(&*BINARY.decode(from.get(DETAILS)?).ok()?).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay.unwrap_or_default();
    Some(Duration::new(u64::try_from(delay.seconds).unwrap_or(0), u32::try_from(delay.nanos).unwrap_or(0)))
}

fn words(code: u16, from: &HeaderMap, reply: &Reply) -> String {
    let name = NAMES.get(usize::from(code)).copied().unwrap_or("an unknown status");
    let said = match from.get(MESSAGE) {
        Some(message) => short(percent_decode(message.as_bytes()).decode_utf8_lossy().as_bytes()),
        None if from.contains_key(STATUS) => String::new(),
        None => format!("HTTP {} without a status of gRPC", reply.status),
    };
    let colon = if said.is_empty() { "" } else { ": " };
    let hint = match code {
        PERMISSION_DENIED | UNAUTHENTICATED => " (check the headers and the client certificate)",
        RESOURCE_EXHAUSTED => " (make batches smaller, or raise the limits of the receiver)",
        UNIMPLEMENTED => " (does an OTLP receiver for this signal listen there?)",
        _ => "",
    };
    format!("answered {name}{colon}{said}{hint}")
}

#[cfg(test)]
#[path = "grpc_tests.rs"]
mod tests;

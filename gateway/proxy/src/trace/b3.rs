//! Zipkin's B3 context, in one header or in several.
//!
//! Source: openzipkin/b3-propagation. Trace ids are 16 or 32 hex digits, span ids 16.

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_config::Propagation;
use weir_exchange::TraceIds;

use super::Caller;
use super::w3c::{hex, write_hex};
use crate::onward::Sink;

static B3: HeaderName = HeaderName::from_static("b3");
static TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
static SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
static PARENT_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
static SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
static FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

pub(super) fn is_field(name: &HeaderName) -> bool {
    *name == B3 || name.as_str().starts_with("x-b3-")
}

/// What a caller said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Asked {
    Nothing,
    /// Only whether the trace that begins here shall be sampled.
    Sampled(bool),
    Context(Caller),
}

/// Reads either form; the one header has precedence.
pub(super) fn read(headers: &HeaderMap) -> Asked {
    let value = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    if let Some(single) = value(&B3) {
        return read_single(single);
    }
    let debug = value(&FLAGS) == Some(b"1");
    let sampled = match value(&SAMPLED) {
        _ if debug => Some(true),
        Some(b"1" | b"true") => Some(true),
        Some(b"0" | b"false") => Some(false),
        _ => None,
    };
    match (value(&TRACE_ID).and_then(trace_id), value(&SPAN_ID).and_then(span_id)) {
        (Some(trace_id), Some(span_id)) => Asked::Context(caller(trace_id, span_id, sampled)),
        _ => sampled.map_or(Asked::Nothing, Asked::Sampled),
    }
}

/// `<trace>-<span>[-<state>[-<parent>]]`, or the state alone.
fn read_single(value: &[u8]) -> Asked {
    let mut parts = value.split(|byte| *byte == b'-');
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let Some(second) = second else {
        return state(first).map_or(Asked::Nothing, Asked::Sampled);
    };
    match (trace_id(first), span_id(second)) {
        (Some(trace_id), Some(span_id)) => Asked::Context(caller(trace_id, span_id, third.and_then(state))),
        _ => Asked::Nothing,
    }
}

/// A context that defers the decision is not sampled yet.
fn caller(trace_id: u128, span_id: u64, sampled: Option<bool>) -> Caller {
    Caller { trace_id, span_id, sampled: sampled.unwrap_or(false), random: false }
}

fn state(value: &[u8]) -> Option<bool> {
    match value {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

fn trace_id(digits: &[u8]) -> Option<u128> {
    matches!(digits.len(), 16 | 32).then(|| hex(digits)).flatten().filter(|id| *id != 0)
}

fn span_id(digits: &[u8]) -> Option<u64> {
    (digits.len() == 16).then(|| hex(digits)).flatten().map(|id| id as u64).filter(|id| *id != 0)
}

/// Writes the context in the forms asked for.
pub(super) fn write(ids: &TraceIds, span: u64, formats: Propagation, sink: &mut impl Sink) {
    if !formats.any_b3() {
        return;
    }
    let mut text = *b"00000000000000000000000000000000-0000000000000000-0-0000000000000000";
    write_hex(&mut text[..32], &ids.trace_id.to_be_bytes());
    write_hex(&mut text[33..49], &span.to_be_bytes());
    text[50] = if ids.sampled() { b'1' } else { b'0' };
    write_hex(&mut text[52..], &ids.span_id.to_be_bytes());
    // The span below the server span says so; the server span itself has no parent to tell.
    let parent = span != ids.span_id;
    if formats.b3 {
        sink.put(&B3, if parent { &text } else { &text[..51] });
    }
    if formats.b3multi {
        sink.put(&TRACE_ID, &text[..32]);
        sink.put(&SPAN_ID, &text[33..49]);
        sink.put(&SAMPLED, &text[50..51]);
        if parent {
            sink.put(&PARENT_ID, &text[52..]);
        }
    }
}

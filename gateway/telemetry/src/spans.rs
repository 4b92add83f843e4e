//! The spans of one exchange, as OpenTelemetry's conventions for HTTP want them.
//!
//! A server span stands for the request; below it stand one `inference` span a try to reach a model server,
//! or the stages of a local model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use weir_exchange::trace::{Attempt, Stages};
use weir_exchange::{End, ErrorType, KeptTrace, LoadSpan, SpanFacts, Traced};

/// The flag of a span that says whether its parent was in another process, and that it was.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Spans below the server span, by their place among its children.
const INFERENCE: u32 = 0;
const PREPROCESS: u32 = 1;
const POSTPROCESS: u32 = 2;
const OBSERVE: u32 = u32::MAX;

/// The second in which lagging was last told.
static LAST_LAG: AtomicU64 = AtomicU64::new(0);

/// How long after its end an exchange is commonly judged: the age of a batch and what judges take.
const LAGGING_NS: u64 = 1_000_000_000;

/// The spans of an exchange, the server span first.
pub fn spans(kept: &KeptTrace) -> Vec<Span> {
    let traced = &kept.traced;
    let Some(facts) = traced.facts.as_deref() else { return Vec::new() };
    let mut spans = vec![server(kept, facts)];
    spans.extend(facts.attempts.iter().enumerate().map(|(n, attempt)| client(traced, facts, n, attempt)));
    if facts.attempts.is_empty() && traced.timing.upstream_start_ns > 0 {
        local(traced, facts, &mut spans);
    }
    spans.extend(observe(kept));
    let state = kept.consistent_threshold().map(state_of).unwrap_or_default();
    spans.iter_mut().for_each(|span| span.trace_state.clone_from(&state));
    spans
}

/// Decoding and judging, where they lag: then whoever looks at what they say should know.
fn observe(kept: &KeptTrace) -> Option<Span> {
    let Traced { ids, timing, .. } = &kept.traced;
    let end = timing.start_unix_ns + timing.end_ns;
    let lags = kept.judged_unix_ns.saturating_sub(end) > LAGGING_NS;
    // Where everything lags, one a second says it.
    let second = kept.judged_unix_ns / 1_000_000_000;
    let worth_it = lags && LAST_LAG.fetch_max(second, Relaxed) < second;
    worth_it.then(|| Span {
        flags: u32::from(ids.sampled()) | HAS_IS_REMOTE,
        links: vec![link(ids.trace_id, ids.span_id, "observed")],
        ..span(
            ids.trace_id,
            ids.child(OBSERVE),
            ids.span_id,
            ("weir.observe".to_owned(), SpanKind::Internal),
            (end, kept.judged_unix_ns),
        )
    })
}

/// The span of a model's loading; times in Unix ns.
pub fn load_model(load: &LoadSpan, model: &str, version: &str, (start, end): (u64, u64)) -> Span {
    let attributes = vec![text("weir.model", model), text("weir.model_version", version)];
    let name = "load_model".to_owned();
    Span {
        attributes,
        flags: 1 | HAS_IS_REMOTE,
        ..span(load.trace_id, load.span_id, 0, (name, SpanKind::Internal), (start, end))
    }
}

fn server(kept: &KeptTrace, facts: &SpanFacts) -> Span {
    let KeptTrace { traced, route, .. } = kept;
    let Traced { ids, timing, .. } = traced;
    let name = match &*route.pattern {
        "" => facts.method.to_owned(),
        pattern => format!("{} {pattern}", facts.method),
    };
    let times = (timing.start_unix_ns, timing.start_unix_ns + timing.end_ns);
    let remote = if ids.parent_id == 0 { 0 } else { IS_REMOTE };
    let mut attributes = http(kept, facts);
    attributes.extend(own(kept));
    let failed = error_type(traced);
    if let Some(error) = &failed {
        attributes.push(text("error.type", error));
    }
    let mut events = Vec::new();
    if timing.response_head_ns > 0 {
        events.push(Event {
            time_unix_nano: timing.start_unix_ns + timing.response_head_ns,
            name: "response.head".to_owned(),
            ..Event::default()
        });
    }
    let load = route.loaded.as_ref().filter(|load| load.takes_link());
    let links = load.map(|load| link(load.trace_id, load.span_id, "served_by_load"));
    Span {
        attributes,
        events,
        links: links.into_iter().collect(),
        flags: u32::from(ids.sampled()) | HAS_IS_REMOTE | remote,
        status: status(failed.as_deref(), traced),
        ..span(ids.trace_id, ids.span_id, ids.parent_id, (name, SpanKind::Server), times)
    }
}

/// Attributes of the request and its answer.
fn http(kept: &KeptTrace, facts: &SpanFacts) -> Vec<KeyValue> {
    let KeptTrace { traced, route, .. } = kept;
    let Traced { status, request_bytes, response_bytes, .. } = traced;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all = vec![
        text("http.request.method", facts.method),
        text("url.scheme", "http"),
        text("url.path", &lossy(&facts.path)),
        text("network.protocol.version", facts.version),
        int("http.request.body.size", *request_bytes),
        int("http.response.body.size", *response_bytes),
    ];
    if *status != 0 {
        all.push(int("http.response.status_code", u64::from(*status)));
    }
    if !route.pattern.is_empty() {
        all.push(text("http.route", &route.pattern));
    }
    if let Some(client) = facts.client {
        all.push(text("client.address", &client.to_string()));
    }
    if !facts.user_agent.is_empty() {
        all.push(text("user_agent.original", &lossy(&facts.user_agent)));
    }
    all.extend(address(&lossy(&facts.host)));
    all
}

/// What Weir alone knows: the model, and why the trace is here.
fn own(kept: &KeptTrace) -> Vec<KeyValue> {
    let KeptTrace { traced, route, model, model_version, reasons, .. } = kept;
    let mut all = Vec::new();
    if !route.name.is_empty() {
        all.push(text("weir.route", &route.name));
        all.push(text("weir.model", model));
        all.push(text("weir.outcome", traced.outcome.as_str()));
        all.push(int("weir.rows", u64::from(traced.rows)));
        if !model_version.is_empty() {
            all.push(text("weir.model_version", model_version));
        }
    }
    all.push(list("weir.sampling.reasons", reasons));
    if let Some(probability) = kept.probability() {
        all.push(float("weir.sampling.probability", probability));
        all.push(float("weir.sampling.adjusted_count", 1.0 / probability));
    }
    if kept.partial {
        all.push(pair("weir.trace.partial", Value::BoolValue(true)));
    }
    all
}

/// One try to reach a model server.
fn client(traced: &Traced, facts: &SpanFacts, n: usize, attempt: &Attempt) -> Span {
    let Traced { ids, timing, status, error, .. } = traced;
    let last = n + 1 == facts.attempts.len();
    let end_ns = if attempt.end_ns > 0 { attempt.end_ns } else { timing.end_ns };
    let times = (timing.start_unix_ns + attempt.start_ns, timing.start_unix_ns + end_ns);
    let path = String::from_utf8_lossy(&facts.path);
    let mut attributes = vec![
        text("http.request.method", facts.method),
        text("url.full", &format!("http://{}{path}", attempt.server)),
    ];
    attributes.extend(address(&attempt.server));
    if n > 0 {
        attributes.push(int("http.request.resend_count", n as u64));
    }
    let answered = last && timing.response_head_ns > 0;
    if answered {
        attributes.push(int("http.response.status_code", u64::from(*status)));
    }
    // A 4xx of the server's is an error to whoever asked it.
    let refused = answered && (400..500).contains(status);
    let failed = match attempt.error.or(*error).filter(|_| attempt.error.is_some() || last) {
        Some(error) => Some(type_of(error, *status)),
        None => refused.then(|| status.to_string()),
    };
    if let Some(error) = &failed {
        attributes.push(text("error.type", error));
    }
    let links = n.checked_sub(1).map(|before| link(ids.trace_id, ids.child(before as u32), "retry_of"));
    Span {
        attributes,
        links: links.into_iter().collect(),
        flags: u32::from(ids.sampled()) | HAS_IS_REMOTE,
        status: status_of(failed.as_deref()),
        ..span(
            ids.trace_id,
            ids.child(n as u32),
            ids.span_id,
            ("inference".to_owned(), SpanKind::Client),
            times,
        )
    }
}

/// The stages of a local model, or that it was asked at all.
fn local(traced: &Traced, facts: &SpanFacts, spans: &mut Vec<Span>) {
    let Traced { ids, timing, error, status, .. } = traced;
    let start = timing.start_unix_ns + timing.upstream_start_ns;
    let mut stage = |name: &str, n: u32, times: (u64, u64)| {
        let what = (name.to_owned(), SpanKind::Internal);
        spans.push(Span {
            flags: u32::from(ids.sampled()) | HAS_IS_REMOTE,
            ..span(ids.trace_id, ids.child(n), ids.span_id, what, times)
        });
    };
    match facts.stages.as_deref().copied() {
        Some(Stages { decoded_ns, began_ns, predicted_ns, encoded_ns }) => {
            stage("preprocess", PREPROCESS, (start, start + decoded_ns));
            stage("inference", INFERENCE, (start + began_ns, start + predicted_ns));
            stage("postprocess", POSTPROCESS, (start + predicted_ns, start + encoded_ns));
        }
        None => {
            stage("inference", INFERENCE, (start, timing.start_unix_ns + timing.end_ns));
            let failed = error.map(|error| type_of(error, *status));
            if let (Some(span), Some(error)) = (spans.last_mut(), &failed) {
                span.attributes.push(text("error.type", error));
                span.status = status_of(Some(error));
            }
        }
    }
}

fn span(
    trace_id: u128,
    span_id: u64,
    parent_id: u64,
    (name, kind): (String, SpanKind),
    (start, end): (u64, u64),
) -> Span {
    let parent = if parent_id == 0 { Vec::new() } else { parent_id.to_be_bytes().to_vec() };
    Span {
        trace_id: trace_id.to_be_bytes().to_vec(),
        span_id: span_id.to_be_bytes().to_vec(),
        parent_span_id: parent,
        name,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end.max(start),
        ..Span::default()
    }
}

/// A link, and what it says in `weir.link`.
fn link(trace_id: u128, span_id: u64, what: &str) -> Link {
    Link {
        trace_id: trace_id.to_be_bytes().to_vec(),
        span_id: span_id.to_be_bytes().to_vec(),
        attributes: vec![text("weir.link", what)],
        ..Link::default()
    }
}

/// `error.type`: the status for an answer, what went wrong where there was none.
fn error_type(traced: &Traced) -> Option<String> {
    let Traced { error, status, end, .. } = traced;
    match (error, end) {
        (Some(error), _) => Some(type_of(*error, *status)),
        (None, End::Complete) => (*status >= 500).then(|| status.to_string()),
        (None, _) => Some("_OTHER".to_owned()),
    }
}

fn type_of(error: ErrorType, status: u16) -> String {
    match error {
        ErrorType::Status5xx => status.to_string(),
        other => other.as_str().to_owned(),
    }
}

/// What a client asked wrongly is no error of the server's.
fn status(failed: Option<&str>, traced: &Traced) -> Option<Status> {
    let Traced { status, end, .. } = traced;
    let whose = *status >= 500 || *end != End::Complete && !(400..500).contains(status);
    status_of(failed.filter(|_| whose))
}

fn status_of(failed: Option<&str>) -> Option<Status> {
    failed.map(|error| Status { code: StatusCode::Error.into(), message: error.to_owned() })
}

/// The entry that says with which threshold the trace was kept: trailing zeros say nothing.
fn state_of(threshold: u64) -> String {
    let digits = format!("{threshold:014x}");
    let digits = digits.trim_end_matches('0');
    format!("ot=th:{}", if digits.is_empty() { "0" } else { digits })
}

/// `server.address` and `server.port`.
fn address(authority: &str) -> Vec<KeyValue> {
    let (host, port) = match authority.rsplit_once(':') {
        // Not the colons of a bare IPv6 address.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut all = Vec::new();
    if !host.is_empty() {
        all.push(text("server.address", host));
        all.extend(port.map(|port: u16| int("server.port", u64::from(port))));
    }
    all
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: u64) -> KeyValue {
    pair(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn float(key: &str, value: f64) -> KeyValue {
    pair(key, Value::DoubleValue(value))
}

fn list(key: &str, values: &[Arc<str>]) -> KeyValue {
    let value = |text: &Arc<str>| AnyValue { value: Some(Value::StringValue(text.to_string())) };
    pair(key, Value::ArrayValue(ArrayValue { values: values.iter().map(value).collect() }))
}

//! Which trace a request belongs to, whether it is sampled, and what the model server is told of it.
//!
//! The head's decision is consistent: a trace is sampled if its random value R is not below a threshold, so
//! that everybody along it who asks for as much or more decides alike. Sources: W3C "Trace Context" Level 2;
//! OpenTelemetry "TraceState: Probability Sampling"; Zipkin's B3 propagation.

mod b3;
mod w3c;

use std::borrow::Cow;

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;
use weir_config::{Callers, Propagation, Tracing};
use weir_exchange::{HeadSample, SpanFacts, TraceIds};
use weir_stats::sampling::{DEFAULT_DIGITS, Randomness, Threshold, TraceState};

use crate::conn::Conn;
use crate::fields::Gist;
use crate::metrics::{known_method, protocol_version};
use crate::onward::Sink;

static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How traces of one route begin and go on, while they are exported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraceRule {
    /// For traces that begin here; `None`: none is sampled.
    base: Option<Base>,
    /// The caller's decision holds.
    honours: bool,
    formats: Propagation,
}

#[derive(Clone, Debug, PartialEq)]
struct Base {
    threshold: Threshold,
    /// The `tracestate` of a trace that begins here and is sampled.
    state: HeaderValue,
}

impl TraceRule {
    /// `share`: of the traces that begin here, 0..=1.
    pub(crate) fn new(tracing: &Tracing, share: f64) -> Self {
        let base = Threshold::rounded(share, DEFAULT_DIGITS).and_then(|threshold| {
            let state = HeaderValue::try_from(format!("ot=th:{threshold}")).ok()?;
            Some(Base { threshold, state })
        });
        Self { base, honours: tracing.callers == Callers::Honour, formats: tracing.propagate }
    }

    fn decide(&self, randomness: Randomness) -> HeadSample {
        match &self.base {
            Some(base) if base.threshold.keeps(randomness) => HeadSample::In(base.threshold.bits()),
            _ => HeadSample::Out,
        }
    }
}

/// The trace that a request belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) ids: TraceIds,
    /// The flag that says that the trace id is random.
    random: bool,
    state: State,
    formats: Propagation,
}

/// What becomes of the caller's `tracestate`.
#[derive(Clone, Debug)]
enum State {
    /// A state without a valid parent must not pass.
    Dropped,
    Kept,
    Written(HeaderValue),
}

/// A context as a caller sent it, in whatever format.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Caller {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
    random: bool,
}

/// Takes the caller's context, or starts a trace. Without a rule nothing is exported: the sampled flag
/// follows the caller, and a trace that starts here is not sampled.
pub(crate) fn join(gist: &Gist<'_>, headers: &HeaderMap, rule: Option<&TraceRule>) -> Joined {
    let formats = rule.map_or(Propagation::W3C, |rule| rule.formats);
    let w3c = gist.parent().and_then(|parent| w3c::parse(parent.as_bytes())).filter(|_| formats.w3c);
    let asked = if w3c.is_none() && formats.any_b3() { b3::read(headers) } else { b3::Asked::Nothing };
    let caller = w3c.or(match asked {
        b3::Asked::Context(caller) => Some(caller),
        _ => None,
    });
    let Some(caller) = caller else {
        return begin(rule, formats, &asked);
    };
    let state = w3c.map(|_| state_of(headers));
    let parsed = state.as_deref().map(TraceState::parse);
    let randomness = parsed
        .as_ref()
        .map_or_else(|| Randomness::from_trace_id(caller.trace_id), |s| s.randomness(caller.trace_id));
    let follows = rule.is_none_or(|rule| rule.honours);
    let head = match rule {
        Some(rule) if !follows => rule.decide(randomness),
        _ if !caller.sampled => HeadSample::Out,
        _ => match parsed.as_ref().and_then(|state| state.ot().threshold) {
            Some(threshold) if threshold.keeps(randomness) => HeadSample::In(threshold.bits()),
            _ => HeadSample::Unknown,
        },
    };
    let state = match parsed {
        None => State::Dropped,
        Some(_) if follows => State::Kept,
        Some(mut state) => rewritten(&mut state, head),
    };
    let ids = TraceIds {
        trace_id: caller.trace_id,
        span_id: fastrand::u64(1..),
        parent_id: caller.span_id,
        randomness: randomness.bits(),
        head,
    };
    Joined { ids, random: caller.random, state, formats }
}

/// A trace that begins here.
fn begin(rule: Option<&TraceRule>, formats: Propagation, asked: &b3::Asked) -> Joined {
    let trace_id = fastrand::u128(1..);
    let randomness = Randomness::from_trace_id(trace_id);
    let decided = || rule.map_or(HeadSample::Out, |rule| rule.decide(randomness));
    let head = match asked {
        b3::Asked::Sampled(true) if rule.is_some_and(|rule| rule.honours) => HeadSample::Unknown,
        b3::Asked::Sampled(false) if rule.is_some_and(|rule| rule.honours) => HeadSample::Out,
        _ => decided(),
    };
    let state = match (head, rule.and_then(|rule| rule.base.as_ref())) {
        (HeadSample::In(_), Some(base)) => State::Written(base.state.clone()),
        _ => State::Dropped,
    };
    let ids =
        TraceIds { trace_id, span_id: fastrand::u64(1..), parent_id: 0, randomness: randomness.bits(), head };
    Joined { ids, random: true, state, formats }
}

/// The state with the threshold of our own decision.
fn rewritten(state: &mut TraceState<'_>, head: HeadSample) -> State {
    state.set_threshold(match head {
        HeadSample::In(bits) => Threshold::from_bits(bits),
        HeadSample::Out | HeadSample::Unknown => None,
    });
    let text = state.header();
    match HeaderValue::from_str(&text) {
        Ok(value) if !text.is_empty() => State::Written(value),
        _ => State::Dropped,
    }
}

/// What the head of a request tells its spans.
pub(crate) fn facts(conn: &Conn, head: &Parts, gist: &Gist<'_>) -> Box<SpanFacts> {
    fn bytes(value: Option<&HeaderValue>) -> &[u8] {
        value.map_or(&b""[..], HeaderValue::as_bytes)
    }
    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    Box::new(SpanFacts {
        method: known_method(&head.method),
        version: protocol_version(head.version),
        path: SmallVec::from_slice(head.uri.path().as_bytes()),
        host: SmallVec::from_slice(host.unwrap_or_else(|| bytes(gist.host))),
        user_agent: SmallVec::from_slice(bytes(head.headers.get(USER_AGENT))),
        client: Some(conn.peer),
        ..SpanFacts::default()
    })
}

/// The values of all `tracestate` headers, as one list.
fn state_of(headers: &HeaderMap) -> Cow<'_, str> {
    let mut values = headers.get_all(&TRACESTATE).iter().filter_map(|value| value.to_str().ok());
    let first = values.next().unwrap_or_default();
    values.fold(Cow::Borrowed(first), |all, next| Cow::Owned(format!("{all},{next}")))
}

impl Joined {
    /// Whether the caller's `tracestate` goes on untouched.
    pub(crate) fn passes_state(&self) -> bool {
        matches!(self.state, State::Kept)
    }

    /// Whether a further field is Weir's to write.
    pub(crate) fn owns(&self, name: &HeaderName) -> bool {
        self.formats.any_b3() && b3::is_field(name)
    }

    /// Writes the context that makes the span `span_id` the model server's parent.
    pub(crate) fn write(&self, span_id: u64, sink: &mut impl Sink) {
        if self.formats.w3c {
            sink.put(&w3c::TRACEPARENT, &w3c::parent(&self.ids, span_id, self.random));
            if let State::Written(state) = &self.state {
                sink.pass(&TRACESTATE, state);
            }
        }
        b3::write(&self.ids, span_id, self.formats, sink);
    }
}

#[cfg(test)]
mod tests;

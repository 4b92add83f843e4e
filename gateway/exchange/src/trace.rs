//! The trace an exchange belongs to, and what its spans are made of.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use smallvec::SmallVec;

use crate::exchange::{End, ErrorType, Outcome, Timing};
use crate::route::ObservedRoute;

/// W3C trace context of an exchange: what was received or made, and the span that stands for Weir's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceIds {
    pub trace_id: u128,
    /// Weir's server span.
    pub span_id: u64,
    /// The caller's span; 0: the trace begins here.
    pub parent_id: u64,
    /// The trace's random value R, 56 bits, by which everybody along the trace decides.
    pub randomness: u64,
    pub head: HeadSample,
}

/// What was decided before anything was known of the answer, and was told to the model server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadSample {
    #[default]
    Out,
    /// Sampled because R is not below this threshold T, so with probability (2^56 - T) / 2^56.
    In(u64),
    /// Sampled by the caller, who does not say with which probability.
    Unknown,
}

impl TraceIds {
    /// The `sampled` flag.
    pub fn sampled(&self) -> bool {
        self.head != HeadSample::Out
    }

    /// Id of the n-th span below Weir's server span: as random as that one, different from it and never 0,
    /// and the same whoever asks.
    pub fn child(&self, n: u32) -> u64 {
        // The finalizer of SplitMix64 (Steele, Lea, Flood, 2014) is a bijection.
        let mut z = self.span_id.wrapping_add((u64::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).max(1)
    }
}

/// What spans tell beyond the exchange itself. Only there while traces are exported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanFacts {
    /// `http.request.method`: a known one, or `_OTHER`.
    pub method: &'static str,
    /// `network.protocol.version`.
    pub version: &'static str,
    /// Path of the request, without its query.
    pub path: SmallVec<[u8; 64]>,
    /// Host and port that were asked for.
    pub host: SmallVec<[u8; 40]>,
    pub user_agent: SmallVec<[u8; 40]>,
    pub client: Option<IpAddr>,
    /// Tries to reach a model server, in order.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// What a local model did.
    pub stages: Option<Box<Stages>>,
}

/// One try to get an answer from a model server. Offsets are ns since the request's first byte.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Host and port.
    pub server: Arc<str>,
    pub start_ns: u64,
    /// 0 while it goes on: it ends with the exchange.
    pub end_ns: u64,
    /// What went wrong, if the next try is because of it.
    pub error: Option<ErrorType>,
}

/// Stages of a local answer: ends, in ns since the model got the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// The body was rows.
    pub decoded_ns: u64,
    /// The model began: later than `decoded_ns` if the request waited for a thread.
    pub began_ns: u64,
    /// The model had predicted.
    pub predicted_ns: u64,
    /// The answer was bytes.
    pub encoded_ns: u64,
}

/// One exchange as its spans show it.
#[derive(Clone, Debug)]
pub struct Traced {
    pub ids: TraceIds,
    pub timing: Timing,
    /// Status the client saw; 0 if none was sent.
    pub status: u16,
    pub end: End,
    pub error: Option<ErrorType>,
    pub outcome: Outcome,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// Rows predicted, or asked for.
    pub rows: u32,
    /// Probability with which it was observed; 0: it was not, and no judge saw it.
    pub observed: f32,
    /// `None`: no spans are exported of it.
    pub facts: Option<Box<SpanFacts>>,
}

/// An exchange whose spans are to be exported, and why.
#[derive(Clone, Debug)]
pub struct KeptTrace {
    pub traced: Traced,
    pub route: Arc<ObservedRoute>,
    pub model: Arc<str>,
    pub model_version: Arc<str>,
    /// Who kept it: `head`, `rest`, or `<judge>:<reason>`; never empty.
    pub reasons: SmallVec<[Arc<str>; 2]>,
    /// The threshold of all decisions together; `None`: nobody knows with which probability it was kept.
    pub threshold: Option<u64>,
    /// When all judges were done with it, Unix time in ns; 0: none saw it.
    pub judged_unix_ns: u64,
    /// Only what was known at the end kept it: spans of others along the trace may not have been recorded.
    pub partial: bool,
}

impl KeptTrace {
    /// With which probability this exchange is in the sample; `None`: unknown.
    pub fn probability(&self) -> Option<f64> {
        let kept = ((1_u64 << 56) - self.threshold?) as f64 / (1_u64 << 56) as f64;
        match self.traced.observed {
            // Nobody ever judges what is on such a route: the head alone decides.
            _ if !self.route.observe => Some(kept),
            // What was left out by chance would have been judged, and nobody knows how.
            0.0 => None,
            observed => Some(kept * f64::from(observed)),
        }
    }

    /// The threshold as all along the trace may take it: not where chance beside the trace's own had a part.
    pub fn consistent_threshold(&self) -> Option<u64> {
        let chance = self.route.observe && self.traced.observed < 1.0;
        self.threshold.filter(|_| !chance)
    }
}

/// The span of a model's loading, for the first requests it serves to point at.
#[derive(Debug)]
pub struct LoadSpan {
    pub trace_id: u128,
    pub span_id: u64,
    links: AtomicU32,
}

/// Requests that point at the loading of their model.
const LINKS: u32 = 10;

impl LoadSpan {
    pub fn new(trace_id: u128, span_id: u64) -> Self {
        Self { trace_id, span_id, links: AtomicU32::new(0) }
    }

    /// True for the first few that ask.
    pub fn takes_link(&self) -> bool {
        self.links.load(Relaxed) < LINKS && self.links.fetch_add(1, Relaxed) < LINKS
    }
}

impl PartialEq for LoadSpan {
    fn eq(&self, other: &Self) -> bool {
        (self.trace_id, self.span_id) == (other.trace_id, other.span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_differ_from_their_parent_and_from_each_other() {
        let ids = TraceIds { span_id: 7, ..TraceIds::default() };
        let mut all: Vec<u64> = (0..1000).map(|n| ids.child(n)).chain([7]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 1001);
        assert!(!all.contains(&0));
        assert_eq!(ids.child(3), ids.child(3));
    }
}

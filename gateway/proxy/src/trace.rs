//! W3C Trace Context, level 2: `traceparent` in and out. `tracestate` passes untouched beside a valid parent.
//!
//! Source: W3C Recommendation "Trace Context", sections 3.2 and 4.2.

use http::{HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use weir_exchange::TraceIds;

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that a request belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(crate) ids: TraceIds,
    /// The caller's `tracestate` passes: a state without a valid parent must not.
    pub(crate) keeps_state: bool,
}

/// Takes the context of the caller's `traceparent`, or starts a trace. The sampled flag follows the caller; a
/// trace that starts here is not sampled.
pub(crate) fn join(parent: Option<&HeaderValue>) -> Joined {
    let caller = parent.and_then(|parent| parse(parent.as_bytes()));
    let (trace_id, flags) = caller.unwrap_or_else(|| (new_trace_id(), TraceFlags::NOT_SAMPLED));
    let ids = TraceIds {
        trace_id: u128::from_be_bytes(trace_id.to_bytes()),
        span_id: fastrand::u64(1..),
        sampled: flags.is_sampled(),
    };
    Joined { ids, keeps_state: caller.is_some() }
}

impl Joined {
    /// The `traceparent` that makes Weir's span the upstream's parent.
    pub(crate) fn parent(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..35], &self.ids.trace_id.to_be_bytes());
        write_hex(&mut text[36..52], &self.ids.span_id.to_be_bytes());
        write_hex(&mut text[53..55], &[u8::from(self.ids.sampled)]);
        text
    }
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; a later version may append fields after another dash.
fn parse(value: &[u8]) -> Option<(TraceId, TraceFlags)> {
    let (known, rest) = value.split_at_checked(55)?;
    let version = hex(&known[..2])? as u8;
    let shape = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let tail_fits = if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|b| *b == b'-') };
    if !shape || version == 0xff || !tail_fits {
        return None;
    }
    let trace = TraceId::from(hex(&known[3..35])?);
    let span = SpanId::from(hex(&known[36..52])? as u64);
    let flags = TraceFlags::new(hex(&known[53..55])? as u8);
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, flags & TraceFlags::SAMPLED))
}

/// Lower-case hex only, as the recommendation requires.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(nibble))
    })
}

fn new_trace_id() -> TraceId {
    TraceId::from(fastrand::u128(1..))
}

fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn joined(parent: &str) -> Joined {
        join(Some(&parent.parse().unwrap()))
    }

    #[test]
    fn a_valid_parent_keeps_its_trace_flag_and_state_and_gets_a_new_span() {
        let trace = joined(PARENT);
        assert_eq!(trace.ids.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert!(trace.ids.sampled && trace.keeps_state);
        assert_ne!(trace.ids.span_id, 0x00f0_67aa_0ba9_02b7);
        let sent = String::from_utf8(trace.parent().to_vec()).unwrap();
        assert_eq!(sent, format!("00-{:032x}-{:016x}-01", trace.ids.trace_id, trace.ids.span_id));
    }

    #[test]
    fn a_parent_that_is_not_one_starts_a_new_trace_without_state() {
        let later = format!("01-{}", &PARENT[3..]);
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            let trace = joined(bad);
            assert_ne!(trace.ids.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, "{bad}");
            assert!(!trace.ids.sampled && !trace.keeps_state, "{bad}");
        }
        assert_eq!(joined(&later).ids.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
    }
}

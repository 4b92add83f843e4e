//! `traceparent`: W3C "Trace Context" Level 2, section 3.2.

use http::HeaderName;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use weir_exchange::TraceIds;

use super::Caller;

pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace id is random, as Level 2 tells it.
const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// The `traceparent` that makes this span the parent.
pub(super) fn parent(ids: &TraceIds, span_id: u64, random: bool) -> [u8; 55] {
    let flags = u8::from(ids.sampled()) | if random { RANDOM.to_u8() } else { 0 };
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut text[3..35], &ids.trace_id.to_be_bytes());
    write_hex(&mut text[36..52], &span_id.to_be_bytes());
    write_hex(&mut text[53..55], &[flags]);
    text
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; a later version may append fields after another dash.
pub(super) fn parse(value: &[u8]) -> Option<Caller> {
    let (known, rest) = value.split_at_checked(55)?;
    let version = hex(&known[..2])? as u8;
    let shape = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let tail_fits = if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|b| *b == b'-') };
    if !shape || version == 0xff || !tail_fits {
        return None;
    }
    let (trace_id, span_id) = (hex(&known[3..35])?, hex(&known[36..52])? as u64);
    let flags = TraceFlags::new(hex(&known[53..55])? as u8);
    let valid = TraceId::from(trace_id) != TraceId::INVALID && SpanId::from(span_id) != SpanId::INVALID;
    let caller = Caller { trace_id, span_id, sampled: flags.is_sampled(), random: flags & RANDOM == RANDOM };
    valid.then_some(caller)
}

/// Lower-case hex only, as the recommendation requires.
pub(super) fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(nibble))
    })
}

/// Writes twice as many digits as there are bytes.
pub(super) fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

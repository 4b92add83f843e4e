//! Sampling of traces whose estimates stay right: every decision is a comparison of one 56-bit random value
//! of the trace with a 56-bit threshold, and whatever survives says with which probability it did.
//!
//! Sources: OpenTelemetry "TraceState: Probability Sampling" and "TraceState Handling" for `th`, `rv` and the
//! `ot` entry; W3C Trace Context Level 2 for the random part of a trace id and the rules of `tracestate`.
//!
//! The way of an item: a probability by [`Rates`] or by configuration becomes a [`Threshold`]; reasons to
//! keep it lower that threshold ([`inclusion`]); what passes competes for the [`Budget`] of its second; the
//! threshold that comes out is written into the [`TraceState`] and counted by an [`Estimate`].

mod budget;
#[cfg(test)]
mod coverage;
mod estimate;
mod inclusion;
mod level;
mod ot;
mod randomness;
mod rates;
mod threshold;
mod tracestate;

pub use budget::{Budget, Candidate, Closed, Kept, WINDOW_NS};
pub use estimate::Estimate;
pub use inclusion::{Draws, inclusion};
pub use ot::{MAX_OT_LENGTH, Ot};
pub use randomness::Randomness;
pub use rates::{Rates, RatesShape};
pub use threshold::{DEFAULT_DIGITS, MAX_DIGITS, Threshold};
pub use tracestate::{MAX_MEMBERS, MAX_STATE_LENGTH, TraceState};

/// How many values a random value or a threshold can have: 2^56.
const UNIVERSE: u64 = 1 << 56;

/// Reads `digits` as lower-case hexadecimal, filled up with zeros on the right to 14 digits; `None` unless
/// there are 1 to 14 of them. The result is below 2^56.
fn hex56(digits: &str) -> Option<u64> {
    if !(1..=14).contains(&digits.len()) {
        return None;
    }
    let mut value = 0;
    for byte in digits.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u64::from(digit);
    }
    Some(value << (4 * (14 - digits.len())))
}

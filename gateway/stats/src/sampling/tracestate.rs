//! The `tracestate` header: a list of `key=value` members, of which one is ours.

use std::borrow::Cow;

use super::{Ot, Randomness, Threshold};

/// Most members a list has.
pub const MAX_MEMBERS: usize = 32;

/// Longest list that is written, in characters.
pub const MAX_STATE_LENGTH: usize = 512;

/// Members longer than this go first if a list is too long.
const LONG_MEMBER: usize = 128;

/// A `tracestate` of which the `ot` entry is read and can be changed. Reading cannot fail: what is no entry
/// is none.
///
/// Unchanged, the list is written as it came, to the byte. Changed, it is written anew: `ot` first, then the
/// other members, each untouched and in order; whatever is no `key=value` by the grammar of W3C Trace Context
/// Level 2 is left out, since the next reader may drop the whole list for it, and so is any further `ot`. If
/// that makes more than [`MAX_MEMBERS`], the last ones are dropped; if it is longer than
/// [`MAX_STATE_LENGTH`], whole members are dropped, those of more than 128 characters first, the last of them
/// before the others, then from the end. `ot` stays.
#[derive(Clone, Debug)]
pub struct TraceState<'a> {
    header: &'a str,
    ot: Ot,
    /// The first [`MAX_MEMBERS`] well-formed members that are not `ot`.
    others: Vec<&'a str>,
    changed: bool,
}

impl<'a> TraceState<'a> {
    /// Reads the value of the header; of several headers, their values joined by `,`.
    pub fn parse(header: &'a str) -> Self {
        let mut state = Self { header, ot: Ot::default(), others: Vec::new(), changed: false };
        let mut seen = false;
        for member in header.split(',').map(|member| member.trim_matches([' ', '\t'])) {
            match member.split_once('=') {
                // The first is the newest; a later one never stands in for it.
                Some(("ot", value)) => {
                    if !seen {
                        state.ot = Ot::parse(value).unwrap_or_default();
                    }
                    seen = true;
                }
                Some((key, value)) if is_key(key) && is_value(value) && state.others.len() < MAX_MEMBERS => {
                    state.others.push(member);
                }
                _ => {}
            }
        }
        state
    }

    /// The `ot` entry; an empty one if there is none or it is malformed.
    pub fn ot(&self) -> &Ot {
        &self.ot
    }

    /// The random value of the trace: `rv` if it is given, else that of the trace id.
    pub fn randomness(&self, trace_id: u128) -> Randomness {
        self.ot.randomness.unwrap_or_else(|| Randomness::from_trace_id(trace_id))
    }

    /// Sets `th`, or removes it: whoever keeps a trace with an unknown probability must.
    pub fn set_threshold(&mut self, threshold: Option<Threshold>) {
        self.changed |= self.ot.threshold != threshold;
        self.ot.threshold = threshold;
    }

    /// Sets `rv`, or removes it. Only the root of a trace may.
    pub fn set_randomness(&mut self, randomness: Option<Randomness>) {
        self.changed |= self.ot.randomness != randomness;
        self.ot.randomness = randomness;
    }

    /// The value to send; if it is empty, no header should be sent.
    pub fn header(&self) -> Cow<'a, str> {
        if !self.changed {
            return Cow::Borrowed(self.header);
        }
        let ot = if self.ot.is_empty() { String::new() } else { format!("ot={}", self.ot) };
        let mut members: Vec<&str> = self.others.clone();
        if !ot.is_empty() {
            members.insert(0, &ot);
        }
        members.truncate(MAX_MEMBERS);
        shorten(&mut members, usize::from(!ot.is_empty()));
        Cow::Owned(members.join(","))
    }
}

/// Drops members, but none of the first `fixed`, until what is left fits.
fn shorten(members: &mut Vec<&str>, fixed: usize) {
    // Each member is counted with a separator, of which there is one less than members.
    let mut length: usize = members.iter().map(|member| member.len() + 1).sum();
    while length > MAX_STATE_LENGTH + 1 && members.len() > fixed {
        let long = members[fixed..].iter().rposition(|member| member.len() > LONG_MEMBER);
        let dropped = members.remove(long.map_or(members.len() - 1, |at| fixed + at));
        length -= dropped.len() + 1;
    }
}

fn is_key(key: &str) -> bool {
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    key.len() <= 256
        && key.bytes().next().is_some_and(first)
        && key.bytes().all(|b| first(b) || b"_-*/@".contains(&b))
}

/// A value keeps its leading spaces; trailing ones were no part of it.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=' && b != b',')
}

#[cfg(test)]
mod tests;

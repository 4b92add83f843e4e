//! What comes of a batch or a tick.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use crate::bindings::weir::plugin::types;
use crate::host::{self, Target};
use crate::manifest::{Condition, Counter, Gauge, Histogram, Reason, Window};

pub use crate::host::Summary;

/// Values a plugin gives: numbers, a part of the outcome, or a column the host has.
pub trait Values {
    #[doc(hidden)]
    fn place(self, outcome: &mut types::Outcome) -> types::Source;
}

/// A number column of the batch's schema, sent or not: its values never cross.
#[derive(Clone, Copy, Debug)]
pub struct ColumnValues(pub usize);

/// Values that are already in the outcome, for a second use.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    start: u32,
    len: u32,
}

impl Placed {
    /// Some of them, counted from the first.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len as usize);
        let start = range.start.min(end);
        Self { start: self.start + start as u32, len: (end - start) as u32 }
    }
}

impl Values for ColumnValues {
    fn place(self, _: &mut types::Outcome) -> types::Source {
        types::Source::Column(self.0 as u32)
    }
}

impl Values for Placed {
    fn place(self, _: &mut types::Outcome) -> types::Source {
        types::Source::Values(types::Span { start: self.start, len: self.len })
    }
}

impl Values for &[f64] {
    fn place(self, outcome: &mut types::Outcome) -> types::Source {
        let start = outcome.values.len() as u32;
        outcome.values.extend_from_slice(self);
        types::Source::Values(types::Span { start, len: self.len() as u32 })
    }
}

impl Values for &Vec<f64> {
    fn place(self, outcome: &mut types::Outcome) -> types::Source {
        self.as_slice().place(outcome)
    }
}

impl Values for f64 {
    fn place(self, outcome: &mut types::Outcome) -> types::Source {
        [self].as_slice().place(outcome)
    }
}

/// Collects what comes of one call.
#[derive(Debug)]
pub struct Outcome<'a> {
    pub(crate) schema: u32,
    pub(crate) handles: &'a mut Handles,
    pub(crate) wire: &'a mut types::Outcome,
}

impl Outcome<'_> {
    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, labels: &[&str], values: impl Values) {
        self.run(counter.0, labels, values);
    }

    /// Sets a gauge.
    pub fn set(&mut self, gauge: Gauge, labels: &[&str], value: f64) {
        self.run(gauge.0, labels, value);
    }

    /// Sets a gauge with one label to 1 for this state, and to 0 for all others: exactly one of them holds.
    pub fn set_state(&mut self, gauge: Gauge, states: &[&str], state: &str) {
        for it in states {
            self.set(gauge, &[it], f64::from(u8::from(*it == state)));
        }
    }

    /// Observes values in a histogram.
    pub fn observe(&mut self, histogram: Histogram, labels: &[&str], values: impl Values) {
        self.run(histogram.0, labels, values);
    }

    /// Puts values into the outcome without saying for what yet.
    pub fn values(&mut self, values: &[f64]) -> Placed {
        let start = self.wire.values.len() as u32;
        self.wire.values.extend_from_slice(values);
        Placed { start, len: values.len() as u32 }
    }

    /// Pushes values into a window.
    pub fn feed(&mut self, window: Window, labels: &[&str], values: impl Values) {
        self.feed_grouped(window, labels, values, None);
    }

    /// Pushes values into one window for each text of a code column.
    pub fn feed_by(&mut self, window: Window, labels: &[&str], values: impl Values, by: usize) {
        self.feed_grouped(window, labels, values, Some(by as u32));
    }

    /// What a window holds, without what this outcome feeds.
    pub fn read(&mut self, window: Window, labels: &[&str]) -> Option<Summary> {
        host::window_read(self.handle(Target::Window(window.0), labels), None)
    }

    /// What the window of one text of the column it is fed by holds.
    pub fn read_group(&mut self, window: Window, labels: &[&str], group: &str) -> Option<Summary> {
        host::window_read(self.handle(Target::Window(window.0), labels), Some(group))
    }

    /// Wants these exchanges kept, for a reason. With a probability below 1, that share of them.
    pub fn keep(&mut self, reason: Reason, probability: f64, exchanges: impl IntoIterator<Item = u32>) {
        let start = self.wire.exchanges.len() as u32;
        self.wire.exchanges.extend(exchanges);
        let len = self.wire.exchanges.len() as u32 - start;
        if len > 0 {
            let exchanges = types::Selection::Listed(types::Span { start, len });
            self.wire.verdicts.push(types::Verdict { reason: reason.0, probability, exchanges });
        }
    }

    /// Wants this share of all exchanges kept that no other verdict names.
    pub fn keep_rest(&mut self, reason: Reason, probability: f64) {
        let exchanges = types::Selection::Rest;
        self.wire.verdicts.push(types::Verdict { reason: reason.0, probability, exchanges });
    }

    /// Says whether a condition holds, the value that decided it and how many rows or exchanges it rests on.
    pub fn condition(
        &mut self,
        condition: Condition,
        labels: &[&str],
        active: bool,
        (value, count): (f64, u64),
    ) {
        let condition = self.handle(Target::Condition(condition.0), labels);
        self.wire.conditions.push(types::ConditionState { condition, active, value, count });
    }

    fn run(&mut self, metric: u32, labels: &[&str], values: impl Values) {
        let series = self.handle(Target::Series(metric), labels);
        let source = values.place(self.wire);
        self.wire.runs.push(types::Run { series, source });
    }

    fn feed_grouped(&mut self, window: Window, labels: &[&str], values: impl Values, group_by: Option<u32>) {
        let window = self.handle(Target::Window(window.0), labels);
        let source = values.place(self.wire);
        self.wire.feeds.push(types::Feed { window, source, group_by });
    }

    fn handle(&mut self, target: Target, labels: &[&str]) -> u32 {
        self.handles.get(self.schema, target, labels)
    }
}

/// Handles by what they stand for, so that the host is asked once.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    by_hash: HashMap<u64, Vec<Known>, BuildHasherDefault<Ready>>,
    len: usize,
}

#[derive(Debug)]
struct Known {
    schema: u32,
    target: Target,
    labels: Box<[Box<str>]>,
    handle: u32,
}

/// Beyond this the cache starts anew: the host gives equal handles for equal questions.
const MOST_HANDLES: usize = 1 << 16;

impl Handles {
    fn get(&mut self, schema: u32, target: Target, labels: &[&str]) -> u32 {
        let known = self.by_hash.entry(hash(schema, target, labels)).or_default();
        let same = |k: &&Known| {
            k.schema == schema
                && k.target == target
                && k.labels.len() == labels.len()
                && k.labels.iter().zip(labels).all(|(a, b)| **a == **b)
        };
        if let Some(found) = known.iter().find(same) {
            return found.handle;
        }
        let handle = host::handle(schema, target, labels);
        let labels = labels.iter().map(|l| Box::from(*l)).collect();
        known.push(Known { schema, target, labels, handle });
        self.len += 1;
        if self.len >= MOST_HANDLES {
            *self = Self::default();
        }
        handle
    }

    pub(crate) fn retire(&mut self, schema: u32) {
        self.by_hash.values_mut().for_each(|known| known.retain(|k| k.schema != schema));
        self.by_hash.retain(|_, known| !known.is_empty());
        self.len = self.by_hash.values().map(Vec::len).sum();
    }
}

/// FNV-1a: labels are short and come from the host's own columns, so that speed counts and collisions do not
/// hurt.
fn hash(schema: u32, target: Target, labels: &[&str]) -> u64 {
    let (kind, index) = match target {
        Target::Series(i) => (1, i),
        Target::Window(i) => (2, i),
        Target::Condition(i) => (3, i),
    };
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ (u64::from(schema) << 32 | u64::from(index) << 2 | kind);
    let bytes = labels.iter().flat_map(|label| label.bytes().chain([0xff]));
    bytes.for_each(|byte| hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Passes a hash that is one already.
#[derive(Debug, Default)]
pub(crate) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are keys")
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

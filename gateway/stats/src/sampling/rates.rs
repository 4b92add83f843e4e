//! Sampling probabilities that follow the traffic of each key.
//!
//! After the exponential moving average samplers of Honeycomb's Refinery (`EMADynamicSampler` and
//! `EMAThroughputSampler`, from its library dynsampler-go). Once an interval, the average of each key becomes
//! `weight * count + (1 - weight) * average`, and a key of average a keeps
//!
//! ```text
//! min(a, max(1, level * log10(max(1, a))))        items an interval
//! ```
//!
//! so a key ten times as busy keeps a fixed number more, not ten times as many, and a rare one keeps one an
//! interval at least. `level` is such that all keys together keep the goal. The probability is that share
//! divided by a.
//!
//! It differs from the original in three points. There the level is goal / sum of log10(a), what a small key
//! leaves goes to the keys that follow it in alphabetical order, and rates are rounded up to whole numbers:
//! the goal is missed by up to half and the order of names matters. Here the level is found exactly. It is
//! never below the original's unless keys that keep their one an interval eat up the goal. A new key begins
//! at probability 1, also the first of all. And the overflow has a rate, where the original leaves keys
//! beyond the limit unsampled.

use std::collections::HashMap;
use std::hash::Hash;

use super::level::{level, share};

/// What rates aim at and how fast they follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatesShape {
    /// Items a second to keep of all keys together; not a number, or below 0, counts as 0.
    pub goal_per_second: f64,
    /// Time between two adjustments, in ns; 0 counts as 1.
    pub interval_ns: u64,
    /// Weight of the newest interval in the average, in (0, 1]; anything else counts as 1.
    pub weight: f64,
    /// An interval with this many times the expected items is adjusted to at once; what is not above 0 means
    /// never.
    pub burst_multiple: f64,
    /// Intervals before bursts are looked for.
    pub burst_delay: u64,
    /// Keys with a rate of their own; further ones share one.
    pub max_keys: usize,
}

impl RatesShape {
    /// Refinery's defaults: 15 s, weight 0.5, bursts of twice the traffic from the third interval on, 500
    /// keys.
    pub fn with_goal(goal_per_second: f64) -> Self {
        Self {
            goal_per_second,
            interval_ns: 15_000_000_000,
            weight: 0.5,
            burst_multiple: 2.0,
            burst_delay: 3,
            max_keys: 500,
        }
    }
}

/// A sampling probability for each key, adjusted to its traffic (see the head of this file).
///
/// What is kept meets the goal on average and after some intervals of steady traffic; a
/// [`Budget`](super::Budget) is for what must never be exceeded. Holds at most `max_keys` keys; one without
/// traffic is forgotten after some intervals.
#[derive(Clone, Debug)]
pub struct Rates<K> {
    shape: RatesShape,
    keys: HashMap<K, Pace>,
    overflow: Pace,
    /// When the running interval began; `None` before the first item.
    since_ns: Option<u64>,
    intervals: u64,
    counted: f64,
    /// Items expected in an interval; 0 before the first adjustment.
    expected: f64,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    count: f64,
    average: f64,
    probability: f64,
}

impl Pace {
    const NEW: Self = Self { count: 0.0, average: 0.0, probability: 1.0 };

    fn adjust(&mut self, weight: f64) {
        self.average = weight * self.count + (1.0 - weight) * self.average;
        self.count = 0.0;
    }

    fn aim(&mut self, level: f64) {
        self.probability = if self.average > 1.0 { share(self.average, level) / self.average } else { 1.0 };
    }
}

impl<K: Eq + Hash + Clone> Rates<K> {
    /// No key yet.
    pub fn new(mut shape: RatesShape) -> Self {
        shape.goal_per_second = shape.goal_per_second.max(0.0);
        shape.interval_ns = shape.interval_ns.max(1);
        if !(shape.weight > 0.0 && shape.weight <= 1.0) {
            shape.weight = 1.0;
        }
        Self {
            shape,
            keys: HashMap::new(),
            overflow: Pace::NEW,
            since_ns: None,
            intervals: 0,
            counted: 0.0,
            expected: 0.0,
        }
    }

    /// Counts an item of `key` at `now_ns`, sampled or not, and returns the probability to keep it with, in
    /// (0, 1]. It is adjusted before the item is counted, never by what the item turns out to be.
    pub fn count(&mut self, now_ns: u64, key: &K) -> f64 {
        self.turn(now_ns);
        self.counted += 1.0;
        let full = self.keys.len() >= self.shape.max_keys;
        if !full && !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), Pace::NEW);
        }
        let pace = self.keys.get_mut(key).unwrap_or(&mut self.overflow);
        pace.count += 1.0;
        pace.probability
    }

    /// The probability of `key` now, in (0, 1]; that of the overflow if it has none of its own and no new one
    /// is taken, 1 if it is new.
    pub fn probability(&self, key: &K) -> f64 {
        match self.keys.get(key) {
            Some(pace) => pace.probability,
            None if self.keys.len() >= self.shape.max_keys => self.overflow.probability,
            None => 1.0,
        }
    }

    /// Keys with a rate of their own.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Adjusts if the interval is over or a burst has begun. Time that goes back changes nothing.
    fn turn(&mut self, now_ns: u64) {
        let since = *self.since_ns.get_or_insert(now_ns);
        let passed = now_ns.saturating_sub(since) / self.shape.interval_ns;
        let threshold = self.shape.burst_multiple * self.expected;
        let burst = threshold > 0.0 && self.counted >= threshold && self.intervals >= self.shape.burst_delay;
        if passed > 0 {
            // Intervals without any item say nothing about the keys, as in the original: rates survive a gap.
            self.intervals += passed;
            self.since_ns = Some(since + passed * self.shape.interval_ns);
            self.adjust();
        } else if burst {
            self.since_ns = Some(now_ns);
            self.adjust();
        }
    }

    fn adjust(&mut self) {
        let weight = self.shape.weight;
        self.overflow.adjust(weight);
        self.keys.values_mut().for_each(|pace| pace.adjust(weight));
        // A key seen once stays for this interval and is forgotten with the next.
        self.keys.retain(|_, pace| pace.average >= weight);
        let all = self.keys.values().chain([&self.overflow]);
        let mut averages: Vec<f64> = all.map(|pace| pace.average).filter(|average| *average > 0.0).collect();
        let goal = self.shape.goal_per_second * self.shape.interval_ns as f64 / 1e9;
        let level = level(goal, &mut averages);
        self.expected = averages.iter().map(|average| average.max(1.0)).sum();
        self.counted = 0.0;
        self.keys.values_mut().for_each(|pace| pace.aim(level));
        self.overflow.aim(level);
    }
}

#[cfg(test)]
mod tests;

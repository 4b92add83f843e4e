//! What a rule finds at a moment: the label sets for which it holds, as PromQL would find them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use weir_config::Aggregate;
use weir_stats::series::quantile;

use crate::rule::{Pick, Query, Rule};
use crate::store::{Counted, LOOKBACK_MS, Labels, Line, Store};

/// One label set for which a rule holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
    pub counts: Counts,
}

/// What a value was computed from; what does not apply is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Increase of the part over the window.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part: Option<f64>,
    /// Increase of the whole over the window.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub whole: Option<f64>,
    /// Events the window holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events: Option<f64>,
    /// Series that were put together.
    pub series: usize,
}

/// Everything a rule can say at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// Label sets for which it holds.
    pub found: Vec<Found>,
    /// Label sets that were measured, whether it holds or not; for one that is in neither there is nothing
    /// to go by.
    pub measured: Vec<BTreeMap<String, String>>,
}

/// A group's values under way.
type Groups<'a, T> = BTreeMap<Key<'a>, T>;

/// The values of the labels that tell groups apart: borrowed, since most groups are never told of.
type Key<'a> = SmallVec<[&'a str; 4]>;

/// A sum whose rounding does not depend on the order of its parts, which a hash map gives: what was lost by
/// each addition is kept, as Neumaier does and Prometheus since 2.53.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    sum: f64,
    lost: f64,
}

impl Total {
    fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost += match (sum.is_finite(), self.sum.abs() >= x.abs()) {
            (false, _) => 0.0,
            (true, true) => (self.sum - sum) + x,
            (true, false) => (x - sum) + self.sum,
        };
        self.sum = sum;
    }

    fn get(self) -> f64 {
        self.sum + self.lost
    }
}

/// Upper edges, and how much a second came to lie at or under each.
type Buckets = Vec<(f64, Total)>;

/// Looks at one rule at `at_ms`, on the clock of the store.
pub fn look(rule: &Rule, store: &Store, at_ms: i64) -> Look {
    Asked::new(rule, store, at_ms, true).look()
}

/// Looks at one rule, and tells only of what it holds for: naming everything else costs more than looking.
pub(crate) fn found(rule: &Rule, store: &Store, at_ms: i64) -> Look {
    Asked::new(rule, store, at_ms, false).look()
}

struct Asked<'a> {
    rule: &'a Rule,
    store: &'a Store,
    at_ms: i64,
    window_ms: u64,
    /// Whether what was measured is to be told.
    measured: bool,
}

impl<'a> Asked<'a> {
    fn new(rule: &'a Rule, store: &'a Store, at_ms: i64, measured: bool) -> Self {
        Self { rule, store, at_ms, window_ms: rule.config.window.as_millis() as u64, measured }
    }

    fn look(&self) -> Look {
        match &self.rule.query {
            Query::Rate(of) => self.rises(of, true),
            Query::Increase(of) => self.rises(of, false),
            Query::Ratio { part, whole, under } => self.ratio(part, whole, *under),
            Query::Quantile { q, of } => self.quantile(*q, of),
            Query::Gauge { of, aggregate: Some(how) } => self.together(of, *how),
            Query::Gauge { of, aggregate: None } => self.each(of, |value| self.holds(value)),
            Query::Condition { of, .. } => self.each(of, |value| value == 1.0),
            Query::Absent(of) => self.absent(of),
        }
    }

    fn holds(&self, value: f64) -> bool {
        self.rule.config.bound.is_some_and(|(how, bound)| how.holds(value, bound))
    }

    fn increase(&self, line: &Line) -> Option<f64> {
        line.value.increase(self.at_ms, self.window_ms)
    }

    fn rate(&self, series: &Counted) -> Option<f64> {
        series.rate(self.at_ms, self.window_ms)
    }

    /// Sums what `of` finds of each line, by group.
    fn sums(&self, pick: &'a Pick, of: impl Fn(&Line) -> Option<f64>) -> Groups<'a, (f64, usize)> {
        let mut groups: Groups<'_, (Total, usize)> = Groups::new();
        for (labels, line) in self.store.picked(pick) {
            let Some(value) = of(line) else { continue };
            let (total, series) = groups.entry(key(pick, labels)).or_default();
            total.add(value);
            *series += 1;
        }
        groups.into_iter().map(|(key, (total, series))| (key, (total.get(), series))).collect()
    }

    /// The labels of a group.
    fn labels(&self, key: &[&str]) -> BTreeMap<String, String> {
        let names = self.rule.config.by.iter().cloned();
        names.zip(key.iter().map(ToString::to_string)).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The sum of what each series rose by, or of its rate: a rate before it is a sum, so that it rounds as
    /// Prometheus' does.
    fn rises(&self, of: &'a Pick, rate: bool) -> Look {
        let sums = self.sums(of, |line| if rate { self.rate(&line.value) } else { self.increase(line) });
        let events = if rate { self.window_ms as f64 / 1000.0 } else { 1.0 };
        let mut look = Look::default();
        for (key, (value, series)) in sums {
            let counts = Counts { events: Some(value * events), series, ..Counts::default() };
            self.add(&mut look, || self.labels(&key), (value, counts), self.holds(value));
        }
        look
    }

    fn ratio(&self, part: &'a Pick, whole: &'a Pick, under: Option<usize>) -> Look {
        let of_part = self.sums(part, |line| match under {
            Some(at) => line.buckets.get(at)?.1.increase(self.at_ms, self.window_ms),
            None => self.increase(line),
        });
        let of_whole = self.sums(whole, |line| self.increase(line));
        let mut look = Look::default();
        for (key, (part, some)) in of_part {
            let Some((whole, others)) = of_whole.get(&key) else { continue };
            let value = part / whole;
            let counts =
                Counts { part: Some(part), whole: Some(*whole), events: Some(*whole), series: some + others };
            self.add(
                &mut look,
                || self.labels(&key),
                (value, counts),
                self.holds(value) && self.enough(*whole),
            );
        }
        look
    }

    /// Whether so many events are to be believed; NaN are not, unless it does not matter how many.
    fn enough(&self, events: f64) -> bool {
        let least = self.rule.config.min_events;
        least == 0 || events >= least as f64
    }

    fn quantile(&self, q: f64, of: &Pick) -> Look {
        let mut groups: Groups<'_, (Buckets, usize, Total)> = Groups::new();
        for (labels, line) in self.store.picked(of) {
            let (Some(count), Some(rate)) = (self.increase(line), self.rate(&line.value)) else { continue };
            let (buckets, series, events) = groups.entry(key(of, labels)).or_default();
            *series += 1;
            events.add(count);
            let finite = line.buckets.iter().filter_map(|(edge, bucket)| Some((*edge, self.rate(bucket)?)));
            // Series of one metric have the same edges in the same order, all but always.
            for (place, (edge, rate)) in finite.chain([(f64::INFINITY, rate)]).enumerate() {
                let here = buckets.get(place).is_some_and(|(known, _)| *known == edge);
                let found =
                    if here { Some(place) } else { buckets.iter().position(|(known, _)| *known == edge) };
                match found {
                    Some(at) => buckets[at].1.add(rate),
                    None => buckets.push((edge, Total { sum: rate, lost: 0.0 })),
                }
            }
        }
        let mut look = Look::default();
        for (key, (buckets, series, events)) in groups {
            let mut buckets = buckets.into_iter().map(|(edge, total)| (edge, total.get())).collect();
            let (value, events) = (quantile(q, &mut buckets), events.get());
            let counts = Counts { events: Some(events), series, ..Counts::default() };
            self.add(
                &mut look,
                || self.labels(&key),
                (value, counts),
                self.holds(value) && self.enough(events),
            );
        }
        look
    }

    fn now(&self, line: &Line) -> Option<f64> {
        line.value.instant(self.at_ms, LOOKBACK_MS)
    }

    fn together(&self, of: &Pick, how: Aggregate) -> Look {
        let mut groups: Groups<'_, (Total, f64, usize)> = Groups::new();
        for (labels, line) in self.store.picked(of) {
            let Some(value) = self.now(line) else { continue };
            let (total, best, n) = groups.entry(key(of, labels)).or_insert((Total::default(), value, 0));
            total.add(value);
            // As PromQL: a NaN gives way to a number.
            let better = match how {
                Aggregate::Min => *best > value,
                Aggregate::Max => *best < value,
                Aggregate::Sum | Aggregate::Avg => false,
            };
            if better || best.is_nan() {
                *best = value;
            }
            *n += 1;
        }
        let mut look = Look::default();
        for (key, (total, best, series)) in groups {
            let value = match how {
                Aggregate::Min | Aggregate::Max => best,
                Aggregate::Sum => total.get(),
                Aggregate::Avg => total.get() / series as f64,
            };
            let counts = Counts { series, ..Counts::default() };
            self.add(&mut look, || self.labels(&key), (value, counts), self.holds(value));
        }
        look
    }

    fn each(&self, of: &Pick, holds: impl Fn(f64) -> bool) -> Look {
        let mut look = Look::default();
        for (labels, line) in self.store.picked(of) {
            let Some(value) = self.now(line) else { continue };
            let all = || {
                let names = of.spec.labels.iter().map(ToString::to_string);
                names.zip(labels.iter().map(ToString::to_string)).filter(|(_, v)| !v.is_empty()).collect()
            };
            self.add(&mut look, all, (value, Counts { series: 1, ..Counts::default() }), holds(value));
        }
        look
    }

    fn absent(&self, of: &Pick) -> Look {
        let there = self.store.picked(of).filter(|(_, line)| self.now(line).is_some()).count();
        let only = of.told_when_absent().filter(|s| !s.values[0].is_empty());
        let labels = || only.map(|s| (s.label.clone(), s.values[0].clone())).collect();
        let mut look = Look::default();
        self.add(&mut look, labels, (1.0, Counts { series: there, ..Counts::default() }), there == 0);
        look
    }

    fn add(
        &self,
        look: &mut Look,
        labels: impl FnOnce() -> BTreeMap<String, String>,
        (value, counts): (f64, Counts),
        holds: bool,
    ) {
        if !holds && !self.measured {
            return;
        }
        let labels = labels();
        if self.measured {
            look.measured.push(labels.clone());
        }
        if holds {
            look.found.push(Found { labels, value, counts });
        }
    }
}

fn key<'a>(pick: &Pick, labels: &'a Labels) -> Key<'a> {
    pick.by.iter().map(|at| labels.get(*at).map_or("", |value| value)).collect()
}

//! Samples of the series that rules look at, taken at every evaluation.

use std::sync::Arc;

use hashbrown::HashMap;
use weir_stats::series::Series;
use weir_telemetry::{Points, Value};

use crate::rule::{Pick, Rule};

/// How far back a value is taken for the present one, in ms: Prometheus' lookback.
pub(crate) const LOOKBACK_MS: u64 = 300_000;

/// Label values in the metric's order.
pub(crate) type Labels = Arc<[Arc<str>]>;

/// What was seen of the metrics that rules name.
#[derive(Debug, Default)]
pub struct Store {
    tracks: HashMap<Arc<str>, Track>,
    taken_ms: Option<i64>,
}

/// One metric.
#[derive(Debug)]
struct Track {
    keep_ms: u64,
    /// Each bucket of a histogram has a series.
    buckets: bool,
    lines: HashMap<Labels, Line>,
}

/// One label set.
#[derive(Debug)]
pub(crate) struct Line {
    /// A counter, a gauge, or the number of a histogram's observations.
    pub(crate) value: Series,
    /// Of a histogram: the count up to each finite edge.
    pub(crate) buckets: Vec<(f64, Series)>,
    /// When it was last there.
    seen_ms: i64,
}

impl Store {
    /// Prepares for these rules; what they do not look at any more is forgotten, and what they look at
    /// longer than before begins to grow.
    pub fn watch(&mut self, rules: &[Rule], interval_ms: u64) {
        let mut wanted: HashMap<Arc<str>, (u64, bool)> = HashMap::new();
        for rule in rules {
            let window = rule.config.window.as_millis() as u64;
            let back = if rule.config.measure.has_window() { window } else { LOOKBACK_MS };
            for pick in rule.query.picks() {
                let (keep, buckets) = wanted.entry(pick.spec.name.clone()).or_default();
                *keep = (*keep).max(back + 2 * interval_ms);
                *buckets |= rule.query.wants_buckets();
            }
        }
        self.tracks.retain(|name, track| {
            wanted
                .get(name)
                .is_some_and(|(keep, buckets)| *keep <= track.keep_ms && (!buckets || track.buckets))
        });
        for (name, (keep_ms, buckets)) in wanted {
            let new = || Track { keep_ms, buckets, lines: HashMap::new() };
            self.tracks.entry(name).or_insert_with(new);
        }
    }

    /// The metrics it wants to see.
    pub fn wants(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tracks.keys()
    }

    /// Takes one look at everything. A series that was not there before began at 0 since the last look: what
    /// it has counted until now is an increase. One that is gone is marked as gone.
    pub fn take(&mut self, at_ms: i64, points: &[Points]) {
        let since = self.taken_ms.replace(at_ms);
        for one in points {
            let Some(track) = self.tracks.get_mut(&one.spec.name) else { continue };
            for sample in &one.samples {
                track.push(at_ms, since, &sample.labels, &sample.value);
            }
        }
        for line in self.tracks.values_mut().flat_map(|track| track.lines.values_mut()) {
            if line.seen_ms != at_ms {
                line.gone(at_ms);
            }
        }
        // What nobody can see any more.
        for track in self.tracks.values_mut() {
            let oldest = at_ms - track.keep_ms as i64 - LOOKBACK_MS as i64;
            track.lines.retain(|_, line| line.seen_ms >= oldest);
        }
    }

    /// The label sets of a selection.
    pub(crate) fn picked<'a>(&'a self, pick: &'a Pick) -> impl Iterator<Item = (&'a Labels, &'a Line)> {
        let lines = self.tracks.get(&pick.spec.name).into_iter().flat_map(|track| &track.lines);
        lines.filter(|(labels, _)| pick.takes(labels))
    }

    /// Bytes of all samples.
    pub fn bytes(&self) -> usize {
        let of = |line: &Line| {
            line.value.bytes() + line.buckets.iter().map(|(_, bucket)| bucket.bytes()).sum::<usize>()
        };
        self.tracks.values().flat_map(|track| track.lines.values()).map(of).sum()
    }
}

impl Track {
    fn push(&mut self, at_ms: i64, since: Option<i64>, labels: &Labels, value: &Value) {
        let Self { keep_ms, buckets, lines } = self;
        let (count, edges, cells) = match value {
            Value::Counter(x) | Value::Gauge(x) => (*x, &[] as &[f64], &[] as &[u64]),
            Value::Histogram { edges, counts, .. } => {
                (counts.iter().sum::<u64>() as f64, &**edges, counts.as_slice())
            }
        };
        let edges = if *buckets { edges } else { &[] };
        let from = since.filter(|_| !matches!(value, Value::Gauge(_)));
        let line = lines.entry(labels.clone()).or_insert_with(|| Line::new(*keep_ms, edges, from));
        line.seen_ms = at_ms;
        line.value.push(at_ms, count);
        let mut sum = 0;
        for ((_, series), cell) in line.buckets.iter_mut().zip(cells) {
            sum += cell;
            series.push(at_ms, sum as f64);
        }
    }
}

impl Line {
    fn new(keep_ms: u64, edges: &[f64], from: Option<i64>) -> Self {
        let series = || {
            let mut series = Series::new(keep_ms);
            if let Some(from) = from {
                series.push(from, 0.0);
            }
            series
        };
        let buckets = edges.iter().map(|edge| (*edge, series())).collect();
        Self { value: series(), buckets, seen_ms: i64::MIN }
    }

    fn gone(&mut self, at_ms: i64) {
        self.value.push_stale(at_ms);
        self.buckets.iter_mut().for_each(|(_, series)| series.push_stale(at_ms));
    }
}

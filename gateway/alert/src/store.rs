//! Samples of the series that rules look at, taken at every evaluation.

use std::cell::Cell;
use std::sync::Arc;

use hashbrown::HashMap;
use weir_stats::series::Series;
use weir_telemetry::{Points, Spec, Value};

use crate::rule::{Pick, Rule};

/// How far back a value is taken for the present one, in ms: Prometheus' lookback.
pub(crate) const LOOKBACK_MS: u64 = 300_000;

/// Label values in the metric's order.
pub(crate) type Labels = Arc<[Arc<str>]>;

/// What was seen of the metrics that rules name.
#[derive(Debug, Default)]
pub struct Store {
    tracks: HashMap<Arc<str>, Track>,
}

/// One metric.
#[derive(Debug)]
struct Track {
    spec: Spec,
    keep_ms: u64,
    /// Each bucket of a histogram has a series.
    buckets: bool,
    lines: HashMap<Labels, Line>,
    /// When everything of it was last looked at. A rule that comes later begins later: what its counters have
    /// counted before is no increase.
    taken_ms: Option<i64>,
    /// From when on everything is known that is not too old to be kept.
    known_from_ms: Option<i64>,
}

/// One label set.
#[derive(Debug)]
pub(crate) struct Line {
    /// A counter, a gauge, or the number of a histogram's observations.
    pub(crate) value: Counted,
    /// Of a histogram: the count up to each finite edge.
    pub(crate) buckets: Vec<(f64, Counted)>,
    /// When it was last there.
    seen_ms: i64,
}

/// A series, and what it last was asked: rules often ask alike.
#[derive(Debug)]
pub(crate) struct Counted {
    series: Series,
    increase: Cell<Answer>,
    rate: Cell<Answer>,
}

/// Until when and how far back, in ms, and what there was.
type Answer = Option<(i64, u64, Option<f64>)>;

impl Counted {
    fn new(series: Series) -> Self {
        Self { series, increase: Cell::new(None), rate: Cell::new(None) }
    }

    pub(crate) fn instant(&self, at_ms: i64, lookback_ms: u64) -> Option<f64> {
        self.series.instant(at_ms, lookback_ms)
    }

    pub(crate) fn increase(&self, at_ms: i64, window_ms: u64) -> Option<f64> {
        remembered(&self.increase, at_ms, window_ms, || self.series.increase(at_ms, window_ms))
    }

    pub(crate) fn rate(&self, at_ms: i64, window_ms: u64) -> Option<f64> {
        remembered(&self.rate, at_ms, window_ms, || self.series.rate(at_ms, window_ms))
    }

    fn push(&mut self, at_ms: i64, value: f64) {
        self.series.push(at_ms, value);
        (self.increase, self.rate) = Default::default();
    }
}

fn remembered(
    last: &Cell<Answer>,
    at_ms: i64,
    window_ms: u64,
    compute: impl FnOnce() -> Option<f64>,
) -> Option<f64> {
    if let Some((at, window, answer)) = last.get()
        && (at, window) == (at_ms, window_ms)
    {
        return answer;
    }
    let answer = compute();
    last.set(Some((at_ms, window_ms, answer)));
    answer
}

impl Store {
    /// Prepares for these rules; what they do not look at any more is forgotten, and what they look at
    /// longer than before begins to grow.
    pub fn watch(&mut self, rules: &[Rule], interval_ms: u64) {
        let mut wanted: HashMap<Arc<str>, (&Spec, u64, bool)> = HashMap::new();
        for rule in rules {
            let window = rule.config.window.as_millis() as u64;
            let back = if rule.config.measure.has_window() { window } else { LOOKBACK_MS };
            for pick in rule.query.picks() {
                let new = || (&pick.spec, 0, false);
                let (_, keep, buckets) = wanted.entry(pick.spec.name.clone()).or_insert_with(new);
                *keep = (*keep).max(back + 2 * interval_ms);
                *buckets |= rule.query.wants_buckets();
            }
        }
        self.tracks.retain(|name, track| {
            let wanted = wanted.get(name);
            wanted.is_some_and(|(spec, _, buckets)| track.spec == **spec && (!buckets || track.buckets))
        });
        for (name, (spec, keep_ms, buckets)) in wanted {
            let track = self.tracks.entry(name).or_insert_with(|| Track::new(spec, keep_ms, buckets));
            track.keep_for(keep_ms);
        }
    }

    /// Whether everything these selections look at is known for so long.
    pub(crate) fn knows<'a>(
        &self,
        mut picks: impl Iterator<Item = &'a Pick>,
        at_ms: i64,
        back_ms: u64,
    ) -> bool {
        picks.all(|pick| {
            let track = self.tracks.get(&pick.spec.name);
            let from = track.and_then(|track| track.known_from_ms);
            from.is_some_and(|from| from.saturating_add_unsigned(back_ms) <= at_ms)
        })
    }

    /// The metrics it wants to see.
    pub fn wants(&self) -> impl Iterator<Item = &Arc<str>> {
        self.tracks.keys()
    }

    /// Takes one look at everything. A series that was not there before began at 0 since the last look: what
    /// it has counted until now is an increase. One that is gone is marked as gone.
    pub fn take(&mut self, at_ms: i64, points: &[Points]) {
        for one in points {
            let Some(track) = self.tracks.get_mut(&one.spec.name) else { continue };
            let since = track.taken_ms;
            for sample in &one.samples {
                track.push(at_ms, since, &sample.labels, &sample.value);
            }
        }
        for track in self.tracks.values_mut() {
            track.taken_ms = Some(at_ms);
            track.known_from_ms.get_or_insert(at_ms);
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

    /// Takes one sample of one series, or (`None`) its end, as a replay of what a scraper saw does: nothing
    /// is concluded of other series, and a counter begins at its first sample, not at 0.
    pub fn push(&mut self, at_ms: i64, metric: &str, labels: &Arc<[Arc<str>]>, value: Option<&Value>) {
        let Some(track) = self.tracks.get_mut(metric) else { return };
        match value {
            Some(value) => track.push(at_ms, None, labels, value),
            None => {
                if let Some(line) = track.lines.get_mut(labels) {
                    line.gone(at_ms);
                }
            }
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
            line.value.series.bytes()
                + line.buckets.iter().map(|(_, bucket)| bucket.series.bytes()).sum::<usize>()
        };
        self.tracks.values().flat_map(|track| track.lines.values()).map(of).sum()
    }
}

impl Track {
    fn new(spec: &Spec, keep_ms: u64, buckets: bool) -> Self {
        let spec = spec.clone();
        Self { spec, keep_ms, buckets, lines: HashMap::new(), taken_ms: None, known_from_ms: None }
    }

    /// Keeps longer what it has; what has gone already stays unknown.
    fn keep_for(&mut self, keep_ms: u64) {
        if keep_ms <= self.keep_ms {
            return;
        }
        if let (Some(from), Some(taken)) = (&mut self.known_from_ms, self.taken_ms) {
            *from = (*from).max(taken.saturating_sub_unsigned(self.keep_ms));
        }
        self.keep_ms = keep_ms;
        for line in self.lines.values_mut() {
            line.value.series.keep_longer(keep_ms);
            line.buckets.iter_mut().for_each(|(_, bucket)| bucket.series.keep_longer(keep_ms));
        }
    }

    fn push(&mut self, at_ms: i64, since: Option<i64>, labels: &Labels, value: &Value) {
        let Self { keep_ms, buckets, lines, .. } = self;
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
            Counted::new(series)
        };
        let buckets = edges.iter().map(|edge| (*edge, series())).collect();
        Self { value: series(), buckets, seen_ms: i64::MIN }
    }

    fn gone(&mut self, at_ms: i64) {
        self.value.series.push_stale(at_ms);
        self.buckets.iter_mut().for_each(|(_, bucket)| bucket.series.push_stale(at_ms));
    }
}

#[cfg(test)]
mod tests {
    use weir_config::{AlertRule, Compare, Measure, Selection, Telling};
    use weir_telemetry::Sample;

    use super::*;
    use crate::evaluate::look;
    use crate::rule::{Query, Words};

    /// A rule over the increase of a counter in a minute.
    fn rule(metric: &str) -> Rule {
        let spec = Spec::counter(metric, "Help.", &[]);
        let of = Selection { metric: metric.to_owned(), selectors: Vec::new() };
        let config = AlertRule {
            name: "rule".into(),
            measure: Measure::Increase(of),
            by: Vec::new(),
            window: std::time::Duration::from_secs(60),
            bound: Some((Compare::Above, 0.0)),
            min_events: 0,
            hold: std::time::Duration::ZERO,
            keep_firing_for: std::time::Duration::ZERO,
            telling: Telling::default(),
        };
        let query = Query::Increase(Pick { spec, selectors: Vec::new(), by: Vec::new() });
        Rule::new(config, query, Words::default())
    }

    fn take(store: &mut Store, at_ms: i64, counters: &[(&str, f64)]) {
        let points = counters.iter().map(|(name, value)| {
            let value = Value::Counter(*value);
            let samples =
                vec![Sample { labels: Arc::from([]), overflow: false, value, exemplars: Vec::new() }];
            Points { spec: Spec::counter(name, "Help.", &[]), samples }
        });
        store.take(at_ms, &points.collect::<Vec<_>>());
    }

    /// What the rule over a metric finds.
    fn found(store: &Store, metric: &str, at_ms: i64) -> Option<f64> {
        look(&rule(metric), store, at_ms).found.first().map(|found| found.value)
    }

    #[test]
    fn a_counter_that_appears_between_two_looks_began_at_zero() {
        let mut store = Store::default();
        store.watch(&[rule("hits_total")], 15_000);
        take(&mut store, 15_000, &[]);
        take(&mut store, 30_000, &[("hits_total", 5.0)]);
        assert_eq!(found(&store, "hits_total", 30_000), Some(5.0));
    }

    #[test]
    fn what_was_counted_before_a_rule_came_is_no_increase_of_it() {
        let mut store = Store::default();
        store.watch(&[rule("hits_total")], 15_000);
        take(&mut store, 15_000, &[("hits_total", 5.0), ("errors_total", 1e6)]);
        store.watch(&[rule("hits_total"), rule("errors_total")], 15_000);
        take(&mut store, 30_000, &[("hits_total", 5.0), ("errors_total", 1e6)]);
        take(&mut store, 45_000, &[("hits_total", 5.0), ("errors_total", 1e6)]);
        assert_eq!(found(&store, "errors_total", 45_000), None);
    }
}

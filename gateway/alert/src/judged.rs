//! Objectives over judged rows: those over a condition are counted here, and how much was judged is told of
//! all.

use std::sync::Arc;

use hashbrown::HashMap;
use weir_config::Slo;
use weir_exchange::{Aim, ConditionState};
use weir_stats::series::Series;
use weir_telemetry::{Counter, Family, Gauge, Points, Value};

use crate::store::Labels;

/// Rows that were predicted: `route, model, model_version, outcome`.
pub(crate) const ROWS: &str = "predictions_total";
/// Exchanges by fate: `route, fate`.
pub(crate) const EXCHANGES: &str = "weir_exchanges_total";

/// How far back the share that was observed is told of.
const HOUR_MS: u64 = 3_600_000;

/// What was counted until the last look.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    rows: HashMap<Labels, f64>,
    /// Rows went uncounted since they were last looked at: what there is now is where counting begins.
    unseen: bool,
    observed: HashMap<Arc<str>, [Series; 2]>,
}

impl Judged {
    /// Counts the rows since the last look for objectives over a condition: a row is bad if the condition is
    /// active now for its route and model.
    pub(crate) fn count_conditions<'a>(
        &mut self,
        slos: impl Iterator<Item = &'a Slo>,
        points: &[Points],
        conditions: &[(Arc<str>, ConditionState)],
        events: &Family<Counter>,
    ) {
        let over: Vec<(&Slo, &str, &str)> = slos
            .filter_map(|slo| match &slo.event.aim {
                Aim::Condition { plugin, condition } => Some((slo, &**plugin, &**condition)),
                _ => None,
            })
            .collect();
        if over.is_empty() {
            (self.unseen, self.rows) = (true, HashMap::new());
            return;
        }
        let more = self.more_rows(points);
        if std::mem::take(&mut self.unseen) {
            return;
        }
        for (labels, more) in more {
            for (slo, plugin, condition) in over.iter().filter(|(slo, ..)| slo.takes(&labels[0])) {
                let of = |(key, state): &&(Arc<str>, ConditionState)| {
                    **key == **plugin && *state.name == **condition && concerns(state, &labels)
                };
                // What the plugin has said nothing of is unknown, not good.
                let mut said = conditions.iter().filter(of).map(|(_, state)| state.active).peekable();
                if said.peek().is_none() {
                    continue;
                }
                let good = !said.any(|active| active);
                // Of an objective that has just been taken out the series is gone.
                if let Some(cell) = events.known(&slo.event.labels(good)) {
                    cell.add(more as u64);
                }
            }
        }
    }

    /// Rows predicted well since the last look, by their labels.
    fn more_rows(&mut self, points: &[Points]) -> Vec<(Labels, f64)> {
        let samples = points.iter().filter(|one| *one.spec.name == *ROWS).flat_map(|one| &one.samples);
        let (mut all, mut rows) = (Vec::new(), HashMap::new());
        for sample in samples {
            let (Value::Counter(now), [_, _, _, outcome, ..]) = (&sample.value, &*sample.labels) else {
                continue;
            };
            if &**outcome != "ok" {
                continue;
            }
            let before = self.rows.get(&sample.labels).copied().unwrap_or(0.0);
            rows.insert(sample.labels.clone(), *now);
            let more = if *now >= before { now - before } else { *now };
            if more > 0.0 {
                all.push((sample.labels.clone(), more));
            }
        }
        // What is gone is forgotten.
        self.rows = rows;
        all
    }

    /// Tells of each objective over judged rows what share of its exchanges was observed in the last hour.
    pub(crate) fn tell_observed<'a>(
        &mut self,
        slos: impl Iterator<Item = &'a Slo>,
        points: &[Points],
        at_ms: u64,
        gauge: &Family<Gauge>,
    ) {
        let judged: Vec<&Slo> = slos.filter(|slo| !slo.event.aim.is_of_requests()).collect();
        self.observed.retain(|name, _| judged.iter().any(|slo| slo.name() == name));
        for slo in judged {
            let (mut observed, mut all) = (0.0, 0.0);
            let samples =
                points.iter().filter(|one| *one.spec.name == *EXCHANGES).flat_map(|one| &one.samples);
            for sample in samples {
                let (Value::Counter(x), [route, fate, ..]) = (&sample.value, &*sample.labels) else {
                    continue;
                };
                if slo.takes(route) {
                    all += x;
                    observed += if &**fate == "observed" { *x } else { 0.0 };
                }
            }
            let new = || [Series::new(HOUR_MS), Series::new(HOUR_MS)];
            let series = self.observed.entry(slo.name().clone()).or_insert_with(new);
            series[0].push(at_ms as i64, observed);
            series[1].push(at_ms as i64, all);
            let [part, whole] = [0, 1].map(|at: usize| series[at].increase(at_ms as i64, HOUR_MS));
            if let (Some(part), Some(whole)) = (part, whole) {
                gauge.get(&[slo.name()]).set(if whole > 0.0 { part / whole } else { 1.0 });
            }
        }
    }
}

/// A condition says its route and model as it knows them; what it does not say is any.
fn concerns(state: &ConditionState, labels: &[Arc<str>]) -> bool {
    ["route", "model", "model_version"].iter().zip(labels).all(|(name, value)| {
        let said = state.labels.iter().find(|(label, _)| **label == **name);
        said.is_none_or(|(_, said)| said == value)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use weir_config::Config;
    use weir_telemetry::{Cap, Sample, Spec};

    use super::*;

    const TOML: &str = r#"
[[route]]
name = "churn"
path = "/p"
backend = "b"
protocol = "mlflow"
[backend.b]
endpoints = ["http://127.0.0.1:9000"]
[plugin.confidence]
path = "builtin:confidence"
[slo.sure]
condition = "confidence:low_confidence"
objective = 0.9
"#;

    fn rows(count: u64) -> Vec<Points> {
        let labels = ["churn", "m", "1", "ok"].map(Arc::from);
        let spec = Spec::counter(ROWS, "", &["route", "model", "model_version", "outcome"]);
        let sample = Sample {
            labels: labels.into(),
            overflow: false,
            value: Value::Counter(count as f64),
            exemplars: Vec::new(),
        };
        vec![Points { spec, samples: vec![sample] }]
    }

    #[test]
    fn rows_count_by_the_condition_now_and_only_in_series_that_are_there() {
        let loaded = Config::parse(TOML, "t.toml", Path::new("/etc"), &|_| None).expect("a configuration");
        let slo = &loaded.config.slos[0];
        let events: Family<Counter> =
            Family::new(Spec::counter("e", "", &["slo", "definition", "good"]), Cap::Closed);
        let low = |active| {
            let state = ConditionState {
                name: "low_confidence".into(),
                labels: Vec::new(),
                active,
                value: 0.5,
                count: 1,
                since_unix_ns: 0,
            };
            vec![(Arc::from("confidence"), state)]
        };
        let mut judged = Judged::default();
        let mut look = |count, active| {
            judged.count_conditions([slo].into_iter(), &rows(count), &low(active), &events);
            [true, false].map(|good| events.known(&slo.event.labels(good)).map(|cell| cell.get()))
        };
        assert_eq!(look(5, false), [None, None], "nothing is announced");
        events.touch(&[&slo.event.labels(true), &slo.event.labels(false)]);
        assert_eq!(look(9, false), [Some(4.0), Some(0.0)]);
        assert_eq!(look(12, true), [Some(4.0), Some(3.0)]);
    }
}

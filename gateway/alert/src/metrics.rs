//! What is shown of rules and objectives to a scraper, under names of our own: `ALERTS` is Prometheus'.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use weir_telemetry::{Cap, Counter, Family, Gauge, Histogram, Registry, RegistryError, Spec};

use crate::status::{RuleStatus, SloWithAlerts};

/// From a few rules (10 us) to thousands on a busy machine.
const SECONDS_EDGES: [f64; 8] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.25, 1.0];

const STATES: [&str; 2] = ["pending", "firing"];

/// The families of this room. Cloning shares them.
#[derive(Clone, Debug)]
pub struct AlertMetrics {
    alerts: Family<Gauge>,
    evaluations: Family<Histogram>,
    missed: Family<Counter>,
    failed: Family<Counter>,
    state_files: Family<Counter>,
    memory: Family<Gauge>,
    burning: Family<Gauge>,
    burn_rate: Family<Gauge>,
    covered: Family<Gauge>,
    budget_left: Family<Gauge>,
    objective: Family<Gauge>,
    consecutive_bad: Family<Gauge>,
    pub(crate) observed: Family<Gauge>,
}

const PAIR: [&str; 3] = ["slo", "long", "short"];
const WINDOW: [&str; 2] = ["slo", "window"];

fn gauge(name: &str, help: &str, labels: &[&str], unit: &str) -> Family<Gauge> {
    Family::new(Spec::gauge(name, help, labels).unit(unit), Cap::Closed)
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Family<Counter> {
    Family::new(Spec::counter(name, help, labels), Cap::Closed)
}

impl AlertMetrics {
    /// Makes and registers the families.
    ///
    /// # Errors
    /// A name is taken by a metric of another shape.
    pub fn new(registry: &Registry) -> Result<Self, RegistryError> {
        let seconds = Spec::histogram(
            "weir_alert_evaluation_seconds",
            "Time an evaluation of all rules and objectives took.",
            &SECONDS_EDGES,
            &[],
        );
        let files =
            "State of alerts and objectives on disk, by what became of it (saved, failed, set_aside).";
        let missed = "Evaluations that came too late to be made.";
        let burn = "How many times faster than sustainable the error budget is spent.";
        let left = "Share of the error budget that is left of the window; below 0 it is overspent.";
        let observed = "Of an objective over judged rows: share of the exchanges that were observed.";
        let alerts = "Alerts of each rule and objective, by state.";
        let metrics = Self {
            alerts: gauge("weir_alerts", alerts, &["alert", "state"], ""),
            evaluations: Family::new(seconds.unit("seconds"), Cap::Closed),
            missed: counter("weir_alert_missed_evaluations_total", missed, &[]),
            failed: counter(
                "weir_alert_failed_evaluations_total",
                "Evaluations that a fault cut short.",
                &[],
            ),
            state_files: counter("weir_alert_state_files_total", files, &["outcome"]),
            memory: gauge("weir_alert_memory_bytes", "Bytes of samples and windows.", &["of"], "bytes"),
            burning: gauge("weir_slo_burning", "1 while a pair of windows burns.", &PAIR, ""),
            burn_rate: gauge("weir_slo_burn_rate", burn, &WINDOW, ""),
            covered: gauge(
                "weir_slo_window_covered_ratio",
                "Share of a window that was observed.",
                &WINDOW,
                "ratio",
            ),
            budget_left: gauge("weir_slo_budget_left_ratio", left, &["slo"], "ratio"),
            objective: gauge(
                "weir_slo_objective_ratio",
                "Share of events that must be good.",
                &["slo"],
                "ratio",
            ),
            consecutive_bad: gauge(
                "weir_slo_consecutive_bad",
                "Bad events in a row, within 24 hours.",
                &["slo"],
                "",
            ),
            observed: gauge("weir_slo_observed_ratio", observed, &["slo"], "ratio"),
        };
        metrics.register(registry)?;
        Ok(metrics)
    }

    fn register(&self, registry: &Registry) -> Result<(), RegistryError> {
        registry.family(&self.evaluations)?;
        registry.family(&self.missed)?;
        registry.family(&self.failed)?;
        self.failed.touch(&[&[]]);
        registry.family(&self.state_files)?;
        self.missed.touch(&[&[]]);
        for outcome in ["saved", "failed", "set_aside"] {
            self.state_files.touch(&[&[outcome]]);
        }
        let gauges = [
            &self.alerts,
            &self.memory,
            &self.burning,
            &self.burn_rate,
            &self.covered,
            &self.budget_left,
            &self.objective,
            &self.consecutive_bad,
            &self.observed,
        ];
        gauges.into_iter().try_for_each(|family| registry.family(family))
    }

    pub(crate) fn evaluated(&self, took: Duration, missed: u64, (samples, windows): (usize, usize)) {
        self.evaluations.get(&[]).observe(took.as_secs_f64());
        self.missed.get(&[]).add(missed);
        self.memory.get(&["samples"]).set(samples as f64);
        self.memory.get(&["windows"]).set(windows as f64);
    }

    pub(crate) fn failed(&self) {
        self.failed.get(&[]).inc();
    }

    pub(crate) fn state_file(&self, outcome: &str) {
        self.state_files.get(&[outcome]).inc();
    }

    /// Shows every rule and objective, and nothing of those that are gone.
    pub(crate) fn show(&self, rules: &[RuleStatus], slos: &[SloWithAlerts]) {
        let of_rules = rules.iter().map(|rule| (&rule.name, &rule.alerts));
        let of_slos = slos.iter().map(|slo| (&slo.slo.name, &slo.alerts));
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        for (name, alerts) in of_rules.chain(of_slos) {
            for state in STATES {
                let count = alerts.iter().filter(|alert| alert.state.as_str() == state).count();
                self.alerts.get(&[name, state]).set(count as f64);
            }
            names.insert(name.clone());
        }
        self.alerts.retain(|labels| names.contains(&labels[0]));
        let mut pairs: BTreeSet<Vec<Arc<str>>> = BTreeSet::new();
        let mut windows: BTreeSet<Vec<Arc<str>>> = BTreeSet::new();
        for SloWithAlerts { slo, .. } in slos {
            self.objective.get(&[&slo.name]).set(slo.objective);
            self.budget_left.get(&[&slo.name]).set(slo.budget_left);
            self.consecutive_bad.get(&[&slo.name]).set(slo.consecutive_bad as f64);
            for pair in &slo.pairs {
                self.burning
                    .get(&[&slo.name, &pair.long, &pair.short])
                    .set(f64::from(u8::from(pair.burning)));
                pairs.insert(vec![slo.name.clone(), pair.long.as_str().into(), pair.short.as_str().into()]);
                let sides = [
                    (&pair.long, pair.long_burn, pair.long_covered),
                    (&pair.short, pair.short_burn, pair.short_covered),
                ];
                for (window, burn, covered) in sides {
                    self.burn_rate.get(&[&slo.name, window]).set(burn.unwrap_or(0.0));
                    self.covered.get(&[&slo.name, window]).set(covered);
                    windows.insert(vec![slo.name.clone(), window.as_str().into()]);
                }
            }
        }
        self.burning.retain(|labels| pairs.contains(labels));
        for family in [&self.burn_rate, &self.covered] {
            family.retain(|labels| windows.contains(labels));
        }
        for family in [&self.objective, &self.budget_left, &self.consecutive_bad, &self.observed] {
            family.retain(|labels| names.contains(&labels[0]));
        }
    }
}

//! What is exported: how a model stands, what its features show, and the counts that whole fleets add up.

use std::collections::BTreeMap;

use weir_plugin_sdk::looks::Standing;
use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::{self, Closed, ProfileInfo, Tally};

use crate::look::{Look, Test};
use crate::settings::Settings;

/// The smallest p-value that is shown as a metric.
const SMALLEST_P: f64 = 1e-15;

/// What is declared.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) standing: Standing,
    pub(crate) bin_rows: Counter,
    drifted: Gauge,
    psi: Gauge,
    adjusted_p: Gauge,
    missing: Gauge,
    rows: Gauge,
    effective: Gauge,
    reference: Gauge,
    reference_rows: Gauge,
    drift: Condition,
    drifted_feature: Condition,
    changes: Counter,
    /// How many features have series of their own.
    features: usize,
    /// Detectors run.
    follows: bool,
}

impl Metrics {
    pub(crate) fn declare(manifest: &mut Manifest, settings: &Settings) -> Self {
        let feature = |name, help| Metric::new(name, help).labels(&["feature"]);
        let bin = |name, help| Metric::new(name, help).labels(&["feature", "bin"]);
        let state = "How the model stands: 1 for ok, drift, not_enough_data, incomplete or no_profile.";
        let drifted = "Features, predictions and scores that drift, in any segment.";
        let psi = "Population stability index of the last look, less what chance alone shows.";
        let adjusted_p = "Holm's p-value of the last look, the smaller of values and missing.";
        let reference = "Share of the reference in each tested bin.";
        let changes = "Changes of the mean rank that a detector has found; no alarm.";
        Self {
            standing: Standing::declare(manifest, state),
            bin_rows: manifest
                .counter(bin("bin_rows", "Rows in each tested bin; over replicas they add up.")),
            drifted: manifest.gauge(Metric::new("drifted_features", drifted)),
            psi: manifest.gauge(feature("psi", psi)),
            adjusted_p: manifest.gauge(feature("adjusted_p", adjusted_p)),
            missing: manifest.gauge(feature("missing", "Share of rows without it.").unit("ratio")),
            rows: manifest.gauge(Metric::new("window_rows", "Rows of the last window.")),
            effective: manifest.gauge(Metric::new(
                "window_effective_rows",
                "Rows that would know as much, were all different and observed alike.",
            )),
            reference: manifest.gauge(bin("reference", reference).unit("ratio")),
            reference_rows: manifest.gauge(Metric::new("reference_rows", "Rows of the reference.")),
            drift: manifest.condition("drift", "Something of the model drifts.", &[]),
            drifted_feature: manifest.condition(
                "drifted_feature",
                "A feature, a prediction or a score drifts, in any segment.",
                &["feature"],
            ),
            changes: manifest.counter(Metric::new("changes", changes).labels(&["feature", "detector"])),
            features: settings.max_features as usize,
            follows: settings.run_length > 0,
        }
    }

    /// What traffic is compared with, so that rules over a fleet can do so too.
    pub(crate) fn show_reference(&self, schema: &Schema, profile: &ProfileInfo, out: &mut Outcome) {
        out.set(self.reference_rows, &[], profile.rows);
        for at in 0..profile.features.len().min(self.features) {
            let feature = reference::label(profile, at);
            let bins = reference::bins(schema, at);
            let total: f64 = bins.iter().map(|(_, rows)| rows).sum();
            for (name, rows) in bins {
                out.set(self.reference, &[&feature, &name], rows / total.max(1.0));
            }
        }
    }

    /// How many rows a verdict rests on.
    pub(crate) fn show_window(&self, closed: &Closed, out: &mut Outcome) {
        out.set(self.rows, &[], closed.rows as f64);
        out.set(self.effective, &[], closed.effective);
    }

    /// What detectors have found in a window, feature by feature: also as (name, ADWIN's, Page-Hinkley's).
    pub(crate) fn show_changes(
        &self,
        profile: &ProfileInfo,
        tally: Tally,
        out: &mut Outcome,
    ) -> Vec<(String, u32, u32)> {
        let mut all = Vec::new();
        for at in 0..if self.follows { profile.features.len() } else { 0 } {
            let Some(numbers) = tally.numbers(at, None) else { continue };
            if numbers.adwin + numbers.page_hinkley == 0 {
                continue;
            }
            let name = reference::label(profile, at);
            for (detector, found) in [("adwin", numbers.adwin), ("page_hinkley", numbers.page_hinkley)] {
                if at < self.features {
                    out.add(self.changes, &[&name, detector], f64::from(found));
                }
            }
            all.push((name, numbers.adwin, numbers.page_hinkley));
        }
        all
    }

    /// Features by themselves: what they show in all rows, and whether they drift in any segment.
    pub(crate) fn show_look(&self, profile: &ProfileInfo, look: &Look, tests: &[Test], out: &mut Outcome) {
        let mut shown: BTreeMap<usize, Shown> = BTreeMap::new();
        for test in tests {
            let (feature, segment) = look.place(test);
            let it = shown.entry(feature).or_default();
            let table = look.table(test.of);
            if test.drift && table.psi.corrected >= it.drift.map_or(0.0, |(psi, _)| psi) {
                it.drift = Some((table.psi.corrected, table.m as u64));
            }
            if segment.is_none() {
                it.adjusted_p = it.adjusted_p.min(test.adjusted_p);
            }
        }
        let drifted: Vec<(f64, u64)> = shown.values().filter_map(|it| it.drift).collect();
        out.set(self.drifted, &[], drifted.len() as f64);
        let largest = drifted.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        out.condition(self.drift, &[], !drifted.is_empty(), largest);
        for at in 0..profile.features.len().min(self.features) {
            let name = reference::label(profile, at);
            let label = [&*name];
            let it = shown.get(&at).copied().unwrap_or_default();
            out.condition(self.drifted_feature, &label, it.drift.is_some(), it.drift.unwrap_or_default());
            // What is smaller is a number of a hundred digits, and says no more.
            out.set(self.adjusted_p, &label, it.adjusted_p.max(SMALLEST_P));
        }
        for ((at, segment), comparison) in &look.compared {
            if segment.is_none() && *at < self.features {
                let name = reference::label(profile, *at);
                let label = [&*name];
                out.set(self.psi, &label, comparison.values.psi.corrected);
                out.set(self.missing, &label, comparison.current_missing);
            }
        }
    }
}

/// What is shown of a feature.
#[derive(Clone, Copy, Debug)]
struct Shown {
    adjusted_p: f64,
    /// Its largest effect that is drift, and the rows it rests on.
    drift: Option<(f64, u64)>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { adjusted_p: 1.0, drift: None }
    }
}

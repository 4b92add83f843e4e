//! What is exported.

use std::collections::BTreeMap;

use weir_plugin_sdk::looks::Standing;
use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::{self, Closed, ProfileInfo};

use crate::check::{Check, Found};
use crate::look::Look;

/// What is declared.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) standing: Standing,
    pub(crate) age: Gauge,
    pub(crate) stale: Condition,
    rows: Counter,
    bad_rows: Counter,
    duplicate_rows: Counter,
    bad_checks: Gauge,
    effective: Gauge,
    bad_data: Condition,
    failed_check: Condition,
    bad_feature: Condition,
    /// How many features have series of their own.
    features: usize,
}

impl Metrics {
    pub(crate) fn declare(manifest: &mut Manifest, features: usize) -> Self {
        let state = "How the model's data are: 1 for ok, bad, not_enough_data, incomplete or no_profile.";
        let bad_rows = Metric::new("bad_rows", "Rows of closed windows that a check has counted.");
        let effective = "Rows of the last window that would know as much, were all different and alike.";
        Self {
            standing: Standing::declare(manifest, state),
            age: manifest.gauge(Metric::new("age", "Age of the last row.").unit("seconds")),
            rows: manifest.counter(Metric::new("rows", "Rows of closed windows.")),
            bad_rows: manifest.counter(bad_rows.labels(&["feature", "check"])),
            duplicate_rows: manifest
                .counter(Metric::new("duplicate_rows", "Rows of closed windows like another in it, about.")),
            bad_checks: manifest
                .gauge(Metric::new("bad_checks", "Checks of the last look that found too much.")),
            effective: manifest.gauge(Metric::new("window_effective_rows", effective)),
            bad_data: manifest.condition("bad_data", "Some check of the model found too much.", &[]),
            failed_check: manifest.condition(
                "failed_check",
                "This check found too much, in whichever feature.",
                &["check"],
            ),
            bad_feature: manifest.condition(
                "bad_feature",
                "Some check of this feature, prediction or score found too much.",
                &["feature"],
            ),
            stale: manifest.condition("stale", "The last row is older than `max_age`.", &[]),
            features,
        }
    }

    /// What every window shows, whatever becomes of it.
    pub(crate) fn show_window(&self, profile: &ProfileInfo, closed: &Closed, look: &Look, out: &mut Outcome) {
        out.add(self.rows, &[], closed.rows as f64);
        out.add(self.duplicate_rows, &[], (closed.rows as f64 - closed.distinct).max(0.0));
        out.set(self.effective, &[], closed.effective);
        for (feature, check, rows) in &look.shown {
            out.add(self.bad_rows, &[&reference::label(profile, *feature), check.as_str()], *rows);
        }
    }

    /// What a look decided. Every condition is said each time, so that none stays that nobody remembers.
    pub(crate) fn show_look(
        &self,
        profile: &ProfileInfo,
        (closed, look): (&Closed, &Look),
        out: &mut Outcome,
    ) {
        let bad: Vec<&Found> = look.found.iter().filter(|it| it.bad).collect();
        out.set(self.bad_checks, &[], bad.len() as f64);
        out.condition(self.bad_data, &[], !bad.is_empty(), (bad.len() as f64, closed.rows));
        for check in Check::ALL {
            let failed = bad.iter().filter(|it| it.check == check).count();
            out.condition(self.failed_check, &[check.as_str()], failed > 0, (failed as f64, closed.rows));
        }
        let mut worst: BTreeMap<usize, f64> = BTreeMap::new();
        for (at, found) in bad.iter().filter_map(|it| Some((it.feature?, it))) {
            let share = worst.entry(at).or_default();
            *share = share.max(found.evidence.share());
        }
        for at in 0..profile.features.len().min(self.features) {
            let share = worst.get(&at).copied();
            let label = reference::label(profile, at);
            let says = (share.unwrap_or_default(), closed.rows);
            out.condition(self.bad_feature, &[&label], share.is_some(), says);
        }
    }
}

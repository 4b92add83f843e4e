//! What the host keeps for a plugin: families, windows, conditions and tallies. It belongs to whoever judges
//! under a key now, and goes from one instance, and one version, to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_telemetry::Cap;

use crate::conditions::Conditions;
use crate::family::{AnyFamily, same_metric};
use crate::metrics::{Cells, StateKind};
use crate::plan::Plan;
use crate::tally::{Owner, SharedTallies};
use crate::windows::Windows;

/// State of one key.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Parallel to the plan's `specs`.
    pub(crate) families: Vec<AnyFamily>,
    pub(crate) windows: Windows,
    pub(crate) conditions: SharedConditions,
    pub(crate) tallies: SharedTallies,
}

/// Conditions are also read by whoever asks for a plugin's status.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedConditions(Arc<Mutex<Conditions>>);

impl SharedConditions {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Conditions> {
        // Nothing under this lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of it there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateLimits {
    /// Series of one metric.
    pub(crate) series: usize,
    /// Bytes of windows and tallies: a plugin may keep as much with the host as in its own memory.
    pub(crate) windows: usize,
}

impl State {
    /// Takes over what goes on and begins the rest anew; a reset is counted where the name stays and the
    /// thing is another. Tallies go on until it shows what the plugin opens again.
    pub(crate) fn redeclared(
        self,
        key: &str,
        plan: &Plan,
        (limits, now_ns): (StateLimits, u64),
        cells: &Cells,
    ) -> Self {
        let mut resets = 0;
        let mut take = |spec: &weir_telemetry::Spec| {
            let old = self.families.iter().find(|old| old.spec().name == spec.name);
            match old {
                Some(old) if same_metric(old.spec(), spec) => match old.cap() {
                    Cap::Open { series } if series == limits.series => old.clone(),
                    _ => old.recapped(limits.series),
                },
                other => {
                    resets += u64::from(other.is_some());
                    AnyFamily::new(spec.clone(), limits.series)
                }
            }
        };
        let families: Vec<AnyFamily> = plan.specs.iter().map(&mut take).collect();
        cells.resets(StateKind::Metric, resets);
        let (mut windows, resets) = self.windows.redeclared(plan.windows.clone(), limits.windows);
        cells.resets(StateKind::Window, resets);
        let gauges = &families[plan.metrics..];
        let resets = self.conditions.lock().redeclare(plan.conditions.clone(), gauges, key);
        cells.resets(StateKind::Condition, resets);
        let owner = Owner { key, families: &families };
        self.tallies.lock().redeclared(owner, &mut windows, now_ns);
        Self { families, windows, conditions: self.conditions, tallies: self.tallies }
    }
}

//! What a key of the configuration has, whichever version of a plugin is behind it: its cells, its
//! conditions and tallies, and the place where one judge leaves what the next takes over.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_exchange::status::PluginState;
use weir_exchange::{Schema, VerdictCount};

use crate::bindings::exports::weir::plugin::snapshot;
use crate::metrics::{Cells, HostMetrics};
use crate::state::{SharedConditions, State};
use crate::tally::SharedTallies;

/// What a judge leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) state: Box<State>,
    pub(crate) saved: Option<snapshot::State>,
    pub(crate) schemas: Vec<Arc<Schema>>,
    /// Exchanges that no judge of this key got to see and has not been told of.
    pub(crate) missed: u64,
}

/// One key.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) cells: Arc<Cells>,
    pub(crate) conditions: SharedConditions,
    pub(crate) tallies: SharedTallies,
    state: AtomicU8,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    left: Option<Left>,
    last_fault: Option<String>,
    verdicts: Vec<VerdictCount>,
}

impl Slot {
    pub(crate) fn new(key: &str, metrics: &HostMetrics) -> Self {
        let cells = Arc::new(metrics.cells(key));
        cells.state(PluginState::Running);
        let conditions = SharedConditions::default();
        let tallies = SharedTallies::default();
        Self { cells, conditions, tallies, state: AtomicU8::new(0), inner: Mutex::default() }
    }

    /// Takes what the judge before left; `None` at first.
    pub(crate) fn take(&self) -> Option<Left> {
        self.lock().left.take()
    }

    /// What the first judge begins with.
    pub(crate) fn fresh(&self) -> Left {
        let (conditions, tallies) = (self.conditions.clone(), self.tallies.clone());
        Left { state: Box::new(State { conditions, tallies, ..State::default() }), ..Left::default() }
    }

    pub(crate) fn leave(&self, left: Left) {
        self.lock().left = Some(left);
    }

    pub(crate) fn set_state(&self, state: PluginState) {
        self.state.store(state as u8, Relaxed);
        self.cells.state(state);
    }

    pub(crate) fn state(&self) -> PluginState {
        PluginState::ALL[usize::from(self.state.load(Relaxed))]
    }

    pub(crate) fn set_fault(&self, fault: String) {
        self.lock().last_fault = Some(fault);
    }

    pub(crate) fn last_fault(&self) -> Option<String> {
        self.lock().last_fault.clone()
    }

    /// Counts verdicts by reason.
    pub(crate) fn count(&self, reasons: impl Iterator<Item = (Arc<str>, u64)>) {
        let counts = &mut self.lock().verdicts;
        for (reason, kept) in reasons {
            match counts.iter_mut().find(|count| count.reason == reason) {
                Some(count) => count.kept += kept,
                None => counts.push(VerdictCount { reason, kept }),
            }
        }
    }

    /// Verdicts of the reasons that are declared now.
    pub(crate) fn verdicts(&self, reasons: &[Arc<str>]) -> Vec<VerdictCount> {
        let inner = self.lock();
        let kept = |reason: &Arc<str>| {
            inner.verdicts.iter().find(|count| count.reason == *reason).map_or(0, |count| count.kept)
        };
        reasons.iter().map(|reason| VerdictCount { reason: reason.clone(), kept: kept(reason) }).collect()
    }

    /// Forgets the reasons that are not declared any more, so that reloads do not pile them up.
    pub(crate) fn keep_reasons(&self, reasons: &[Arc<str>]) {
        self.lock().verdicts.retain(|count| reasons.contains(&count.reason));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock can panic half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

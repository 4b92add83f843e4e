//! Where verdicts go. Trace export will be a further sink.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_exchange::{Batch, Verdict};
use weir_telemetry::{Counter, Family};

use crate::metrics::LineMetrics;

/// Takes what judges say of exchanges. Called on a judge's thread: must not block.
pub trait VerdictSink: Send + Sync + 'static {
    /// The verdicts of one judge on one batch; at least one.
    fn verdicts(&self, judge: &str, batch: &Arc<Batch>, verdicts: &[Verdict]);
}

/// A verdict as the log and the admin API show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub judge: Arc<str>,
    pub route: Arc<str>,
    pub trace_id: u128,
    pub reason: Arc<str>,
    pub probability: f64,
    /// When the exchange's batch closed.
    pub unix_ns: u64,
}

/// Counts verdicts and remembers the last of them.
#[derive(Debug)]
pub struct RecentVerdicts {
    capacity: usize,
    counted: Family<Counter>,
    said: Mutex<VecDeque<Said>>,
}

impl RecentVerdicts {
    /// Remembers the last `capacity` verdicts.
    pub fn new(metrics: &LineMetrics, capacity: usize) -> Self {
        Self { capacity, counted: metrics.verdicts.clone(), said: Mutex::default() }
    }

    /// What was said last, oldest first.
    pub fn recent(&self) -> Vec<Said> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Said>> {
        // Nothing under this lock can panic half way.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VerdictSink for RecentVerdicts {
    fn verdicts(&self, judge: &str, batch: &Arc<Batch>, verdicts: &[Verdict]) {
        verdicts.iter().for_each(|verdict| self.counted.get(&[judge, &verdict.reason]).inc());
        let judge: Arc<str> = judge.into();
        let mut said = self.lock();
        for verdict in verdicts {
            // A judge can name an exchange that is not there.
            let Some(trace_id) = batch.trace_ids.get(verdict.exchange as usize) else { continue };
            if said.len() >= self.capacity {
                said.pop_front();
            }
            said.push_back(Said {
                judge: judge.clone(),
                route: batch.route.name.clone(),
                trace_id: *trace_id,
                reason: verdict.reason.clone(),
                probability: verdict.probability,
                unix_ns: batch.closed_unix_ns,
            });
        }
    }
}

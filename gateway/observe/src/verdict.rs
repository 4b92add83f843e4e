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
    /// All are counted. Of those that are but a probability, the last of a run stands for it: they are said
    /// of nearly every exchange, and would push out the others.
    fn verdicts(&self, judge: &str, batch: &Arc<Batch>, verdicts: &[Verdict]) {
        let judge: Arc<str> = judge.into();
        let mut said = self.lock();
        for run in verdicts.chunk_by(|a, b| a.reason == b.reason && a.probability == b.probability) {
            self.counted.get(&[&judge, &run[0].reason]).add(run.len() as u64);
            // A judge can name an exchange that is not there.
            let there = run.iter().filter(|verdict| (verdict.exchange as usize) < batch.trace_ids.len());
            let passed = if run[0].probability < 1.0 { there.clone().count().saturating_sub(1) } else { 0 };
            for verdict in there.skip(passed) {
                if said.len() >= self.capacity {
                    said.pop_front();
                }
                said.push_back(Said {
                    judge: judge.clone(),
                    route: batch.route.name.clone(),
                    trace_id: batch.trace_ids[verdict.exchange as usize],
                    reason: verdict.reason.clone(),
                    probability: verdict.probability,
                    unix_ns: batch.closed_unix_ns,
                });
            }
        }
    }
}

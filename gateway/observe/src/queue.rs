//! What waits for one judge: bounded by batches and by bytes, counted when it is full.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_exchange::{Batch, SchemaId};
use weir_telemetry::{Counter, Gauge};

use crate::config::QueueLimits;
use crate::keep::Join;
use crate::latch::Ticket;
use crate::metrics::LineMetrics;

/// Something for a judge to do.
pub(crate) enum Job {
    /// With what waits for all judges of the batch.
    Batch(Arc<Batch>, Option<Arc<Join>>),
    Forget(SchemaId),
    /// A barrier: dropped when everything before it is done.
    Mark(Ticket),
}

/// What a judge's thread is to do next.
pub(crate) enum Next {
    Job(Job),
    /// The time it asked for has come.
    Tick,
    /// Nothing is left and nothing will come.
    End,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    batches: usize,
    bytes: usize,
    /// Takes no more batches.
    closed: bool,
    /// Its thread has ended: barriers pass at once.
    gone: bool,
}

pub(crate) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
    ready: Condvar,
    too_many: Arc<Counter>,
    too_large: Arc<Counter>,
    waiting: Arc<Gauge>,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits, judge: &str, metrics: &LineMetrics) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            ready: Condvar::new(),
            too_many: metrics.judge_dropped.get(&[judge, "batches"]),
            too_large: metrics.judge_dropped.get(&[judge, "bytes"]),
            waiting: metrics.judge_queue.local(&[judge]),
        }
    }

    /// Queues a batch, or drops and counts it.
    pub(crate) fn push(&self, batch: &Arc<Batch>, join: Option<&Arc<Join>>) {
        let mut state = self.lock();
        let exchanges = batch.exchanges as u64;
        let bytes = batch.bytes();
        if state.batches >= self.limits.batches || state.gone {
            self.too_many.add(exchanges);
        } else if state.batches > 0 && state.bytes + bytes > self.limits.bytes {
            self.too_large.add(exchanges);
        } else {
            state.batches += 1;
            state.bytes += bytes;
            self.waiting.set(state.bytes as f64);
            self.add(state, Job::Batch(batch.clone(), join.cloned()));
        }
    }

    /// Queues what is never dropped.
    pub(crate) fn order(&self, job: Job) {
        let state = self.lock();
        if !state.gone {
            self.add(state, job);
        }
    }

    /// No more batches will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// Waits for the next thing to do, at most for `patience` if a tick is due then.
    pub(crate) fn next(&self, patience: Option<Duration>) -> Next {
        let idle = |state: &mut State| state.jobs.is_empty() && !state.closed;
        let state = self.lock();
        let mut state = match patience {
            None => self.ready.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let waited = self.ready.wait_timeout_while(state, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        // A due tick goes first: a judge under load must not lose its clock.
        if patience == Some(Duration::ZERO) && !state.closed {
            return Next::Tick;
        }
        let Some(job) = state.jobs.pop_front() else {
            return if state.closed { Next::End } else { Next::Tick };
        };
        if let Job::Batch(batch, _) = &job {
            state.batches -= 1;
            state.bytes -= batch.bytes();
            self.waiting.set(state.bytes as f64);
        }
        Next::Job(job)
    }

    /// The judge's thread has ended; what is left is dropped.
    pub(crate) fn abandon(&self) {
        let left = {
            let mut state = self.lock();
            state.gone = true;
            self.waiting.set(0.0);
            std::mem::take(&mut state.jobs)
        };
        for job in left {
            if let Job::Batch(batch, _) = job {
                self.too_many.add(batch.exchanges as u64);
            }
        }
    }

    fn add(&self, mut state: MutexGuard<'_, State>, job: Job) {
        state.jobs.push_back(job);
        drop(state);
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

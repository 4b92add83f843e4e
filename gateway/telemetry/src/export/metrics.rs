//! What became of everything that was offered, and how the requests went.

use std::sync::Arc;
use std::time::Duration;

use crate::family::{Cap, Family, Spec};
use crate::metric::{Counter, Gauge, Histogram};
use crate::registry::{Registry, RegistryError};

/// Edges of a request's duration in seconds: a collector beside us takes milliseconds, and a request may
/// not take much longer than ten seconds.
const DURATIONS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

/// The end of an item: everything offered comes to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Sent,
    /// The receiver took its batch and said that it did not take this one.
    Rejected,
    /// The receiver refused its batch for good.
    Failed,
    /// Its batch was tried again until its time was over.
    GaveUp,
    /// No room was left when it came.
    QueueFull,
    /// It is longer than a whole batch may be.
    TooLarge,
    /// Weir, or this exporter, ended first.
    Shutdown,
}

impl Outcome {
    pub const ALL: [Self; 7] = [
        Self::Sent,
        Self::Rejected,
        Self::Failed,
        Self::GaveUp,
        Self::QueueFull,
        Self::TooLarge,
        Self::Shutdown,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::GaveUp => "gave_up",
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::Shutdown => "shutdown",
        }
    }
}

/// How one request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestResult {
    /// Everything was taken.
    Ok,
    /// Taken, except for some items.
    Partial,
    /// Answered: try again.
    Retry,
    /// Answered: never try that again.
    Refused,
    /// No answer in time.
    Timeout,
    /// No connection.
    Unreachable,
    /// No secure connection.
    Tls,
    /// The connection broke, or what came back is no answer.
    Broken,
}

impl RequestResult {
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Partial,
        Self::Retry,
        Self::Refused,
        Self::Timeout,
        Self::Unreachable,
        Self::Tls,
        Self::Broken,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Retry => "retry",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Broken => "broken",
        }
    }
}

/// The families of every exporter of a process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ExportMetrics {
    items: Family<Counter>,
    requests: Family<Counter>,
    queue: Family<Gauge>,
    duration: Family<Histogram>,
}

impl ExportMetrics {
    /// Families in which every series of these signals is there from the start.
    pub fn new(signals: &[&str]) -> Self {
        let items = "Items offered for export, by how they ended (sent, rejected, failed, gave_up, queue_full, \
                     too_large, shutdown).";
        let requests = "Requests of exporters, by how they went (ok, partial, retry, refused, timeout, \
                        unreachable, tls, broken).";
        let queue = "Items that wait for export.";
        let duration = "Time from a request of an exporter to its answer.";
        let spec = Spec::histogram("weir_export_request_duration_seconds", duration, &DURATIONS, &["signal"]);
        let metrics = Self {
            items: counter("weir_export_items_total", items, "outcome"),
            requests: counter("weir_export_requests_total", requests, "result"),
            queue: Family::new(Spec::gauge("weir_export_queue_items", queue, &["signal"]), Cap::Closed),
            duration: Family::new(spec.unit("seconds"), Cap::Closed),
        };
        signals.iter().for_each(|signal| drop(metrics.cells(signal)));
        metrics
    }

    /// Registers `weir_export_*`.
    ///
    /// # Errors
    /// A name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), RegistryError> {
        registry.family(&self.items)?;
        registry.family(&self.requests)?;
        registry.family(&self.queue)?;
        registry.family(&self.duration)
    }

    /// The cells of one signal, shared by an exporter and the one that replaces it.
    pub(super) fn cells(&self, signal: &str) -> Cells {
        Cells {
            items: Outcome::ALL.map(|outcome| self.items.get(&[signal, outcome.as_str()])),
            requests: RequestResult::ALL.map(|result| self.requests.get(&[signal, result.as_str()])),
            queue: self.queue.get(&[signal]),
            duration: self.duration.get(&[signal]),
        }
    }
}

fn counter(name: &str, help: &str, label: &str) -> Family<Counter> {
    Family::new(Spec::counter(name, help, &["signal", label]), Cap::Closed)
}

/// The cells of one signal.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    items: [Arc<Counter>; Outcome::ALL.len()],
    requests: [Arc<Counter>; RequestResult::ALL.len()],
    queue: Arc<Gauge>,
    duration: Arc<Histogram>,
}

impl Cells {
    /// Counts the end of `n` items.
    pub(super) fn ended(&self, outcome: Outcome, n: u64) {
        self.items[outcome as usize].add(n);
    }

    /// Counts a request.
    pub(super) fn requested(&self, result: RequestResult, took: Duration) {
        self.requests[result as usize].inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Moves the number of items that wait. Two exporters of one signal may live at a time, so this adds.
    pub(super) fn waiting(&self, change: f64) {
        self.queue.add(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::text;

    #[test]
    fn every_series_is_there_at_zero_and_under_its_own_name() {
        let (metrics, registry) = (ExportMetrics::new(&["traces"]), Registry::default());
        metrics.register(&registry).expect("registered");
        let cells = metrics.cells("traces");
        Outcome::ALL.into_iter().enumerate().for_each(|(i, outcome)| cells.ended(outcome, i as u64));
        let said = text(&registry.gather());
        for (i, outcome) in Outcome::ALL.into_iter().enumerate() {
            let name = outcome.as_str();
            let line = format!("weir_export_items_total{{signal=\"traces\",outcome=\"{name}\"}} {i}");
            assert!(said.contains(&line), "{line} in {said}");
        }
        for result in RequestResult::ALL {
            let name = result.as_str();
            let line = format!("weir_export_requests_total{{signal=\"traces\",result=\"{name}\"}} 0");
            assert!(said.contains(&line), "{line} in {said}");
        }
        assert!(said.contains("weir_export_queue_items{signal=\"traces\"} 0"), "{said}");
        assert!(said.contains("weir_export_request_duration_seconds_count{signal=\"traces\"} 0"), "{said}");
    }
}

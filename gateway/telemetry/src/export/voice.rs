//! What is said of an exporter in the log: when it begins to fail, when it recovers, and nothing in between.

use std::time::{Duration, Instant};

use super::transport::Fault;
use crate::log::Logger;

/// A receiver that fails and recovers by turns is spoken of this often at most.
const AGAIN: Duration = Duration::from_secs(60);

/// The memory of what was said.
#[derive(Debug)]
pub(super) struct Voice {
    log: Logger,
    place: String,
    /// Since when it fails, and whether that was said.
    failing: Option<(Instant, bool)>,
    /// Items lost since then.
    lost: u64,
    failing_said: Option<Instant>,
    rejecting_said: Option<Instant>,
    overflow_said: Option<Instant>,
}

impl Voice {
    pub(super) fn new(log: &Logger, signal: &str, place: &str) -> Self {
        Self {
            log: log.source(&format!("export.{signal}")),
            place: place.to_owned(),
            failing: None,
            lost: 0,
            failing_said: None,
            rejecting_said: None,
            overflow_said: None,
        }
    }

    /// A request failed.
    pub(super) fn failed(&mut self, fault: &Fault) {
        if self.failing.is_some() {
            let fields = [("url", self.place.as_str().into()), ("reason", fault.words.as_str().into())];
            return self.log.debug("export still fails", &fields);
        }
        let say = due(&mut self.failing_said);
        self.failing = Some((Instant::now(), say));
        if say {
            let fields = [
                ("url", self.place.as_str().into()),
                ("result", fault.result.as_str().into()),
                ("reason", fault.words.as_str().into()),
            ];
            self.log.error("export fails", &fields);
        }
    }

    /// A request failed, and with it these items.
    pub(super) fn lost(&mut self, fault: &Fault, items: u64) {
        self.failed(fault);
        self.lost += items;
    }

    /// A request succeeded, except for these items.
    pub(super) fn taken(&mut self, rejected: u64, message: &str) {
        if let Some((since, said)) = self.failing.take() {
            let lost = std::mem::take(&mut self.lost);
            if said {
                let fields = [
                    ("url", self.place.as_str().into()),
                    ("seconds", since.elapsed().as_secs().into()),
                    ("lost", lost.into()),
                ];
                self.log.info("export works again", &fields);
            }
        }
        if (rejected > 0 || !message.is_empty()) && due(&mut self.rejecting_said) {
            let fields = [
                ("url", self.place.as_str().into()),
                ("rejected", rejected.into()),
                ("reason", message.into()),
            ];
            self.log.warn("the receiver took a batch with reservations", &fields);
        }
    }

    /// So many items found no room in the queue while a batch was sent.
    pub(super) fn overflowed(&mut self, items: u64) {
        if self.failing.is_some() {
            // Said already, in other words.
            self.lost += items;
        } else if items > 0 && due(&mut self.overflow_said) {
            let fields = [("url", self.place.as_str().into()), ("lost", items.into())];
            self.log.warn(
                "more is offered for export than the receiver takes (sample less, or give it more room)",
                &fields,
            );
        }
    }
}

/// True if this was not said a short while ago, and notes that it is now.
fn due(said: &mut Option<Instant>) -> bool {
    let due = said.is_none_or(|at| at.elapsed() >= AGAIN);
    if due {
        *said = Some(Instant::now());
    }
    due
}

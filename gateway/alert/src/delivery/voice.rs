//! What is said of a receiver in the log: when it begins to fail, when it recovers, and what it refuses.

use std::time::Duration;

use weir_telemetry::log::Logger;

use super::options::Name;

/// A receiver that fails and recovers by turns is spoken of this often at most.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Voice {
    log: Logger,
    receiver: String,
    place: String,
    /// Since when it fails, and whether that was said.
    failing: Option<(Duration, bool)>,
    failing_said: Option<Duration>,
    refused_said: Option<Duration>,
}

impl Voice {
    pub(super) fn new(log: &Logger, name: &Name) -> Self {
        Self {
            log: log.clone(),
            receiver: name.label.clone(),
            place: name.place.clone(),
            failing: None,
            failing_said: None,
            refused_said: None,
        }
    }

    pub(super) fn failed(&mut self, words: &str, at: Duration) {
        let fields = [
            ("receiver", self.receiver.as_str().into()),
            ("url", self.place.as_str().into()),
            ("reason", words.into()),
        ];
        if self.failing.is_some() {
            return self.log.debug("a receiver of alerts still fails", &fields);
        }
        let say = due(&mut self.failing_said, at);
        self.failing = Some((at, say));
        if say {
            self.log.error("a receiver of alerts fails; it is tried again", &fields);
        }
    }

    pub(super) fn worked(&mut self, at: Duration) {
        if let Some((since, true)) = self.failing.take() {
            let seconds = at.saturating_sub(since).as_secs();
            let fields = [("receiver", self.receiver.as_str().into()), ("seconds", seconds.into())];
            self.log.info("a receiver of alerts works again", &fields);
        }
    }

    pub(super) fn refused(&mut self, words: &str, at: Duration) {
        if due(&mut self.refused_said, at) {
            let fields = [
                ("receiver", self.receiver.as_str().into()),
                ("url", self.place.as_str().into()),
                ("reason", words.into()),
            ];
            self.log.warn("a receiver refused alerts for good", &fields);
        }
    }

    pub(super) fn restarted(&self, incarnation: &str) {
        let fields = [("receiver", self.receiver.as_str().into()), ("since", incarnation.into())];
        self.log.info("an Alertmanager is told everything that fires", &fields);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }
}

/// True if this was not said a short while ago, and notes that it is now.
fn due(said: &mut Option<Duration>, at: Duration) -> bool {
    let due = said.is_none_or(|before| at >= before + AGAIN);
    if due {
        *said = Some(at);
    }
    due
}

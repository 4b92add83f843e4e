//! When the next request may be made: exponential back-off with full jitter, or what the server asked for.

use std::time::Duration;

use tokio::time::Instant;

/// Longest wait a server is granted. Past that it is asked again: one that says "in a year" by mistake must
/// not silence an exporter until it is restarted.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// The state of waiting. It outlives a batch, so that giving one up does not begin a new run of quick tries.
#[derive(Debug)]
pub(super) struct Hold {
    initial: Duration,
    longest: Duration,
    failures: u32,
    until: Option<Instant>,
    asked: bool,
}

impl Hold {
    pub(super) fn new(initial: Duration, longest: Duration) -> Self {
        Self { initial, longest, failures: 0, until: None, asked: false }
    }

    /// Notes a failed request and returns when the next may be made. `random` is uniform in 0..1: with the
    /// whole wait random, many senders that failed together do not come back together.
    pub(super) fn failed(&mut self, asked: Option<Duration>, now: Instant, random: f64) -> Instant {
        let most = self.initial.saturating_mul(1_u32 << self.failures.min(30)).min(self.longest);
        self.failures += 1;
        self.asked = asked.is_some();
        let wait = asked.map_or_else(|| most.mul_f64(random), |wait| wait.min(LONGEST_ASKED));
        let until = now + wait;
        self.until = Some(until);
        until
    }

    /// Notes that the server lives.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// Until when to wait, and whether the server asked for it.
    pub(super) fn wait(&self) -> Option<(Instant, bool)> {
        self.until.map(|until| (until, self.asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_an_answer() {
        let mut hold = Hold::new(SECOND, 5 * SECOND);
        let now = Instant::now();
        let mut wait = |random| hold.failed(None, now, random) - now;
        assert_eq!(
            [wait(1.0), wait(1.0), wait(1.0), wait(1.0)],
            [SECOND, 2 * SECOND, 4 * SECOND, 5 * SECOND]
        );
        assert_eq!([wait(0.0), wait(0.5)], [Duration::ZERO, 5 * SECOND / 2]);
        // Far beyond the width of the shift.
        let _ = (0..100).map(|_| wait(1.0)).count();
        assert_eq!(wait(1.0), 5 * SECOND);
        hold.answered();
        assert_eq!(hold.wait(), None);
        assert_eq!(hold.failed(None, now, 1.0), now + SECOND);
    }

    #[test]
    fn a_server_is_granted_the_wait_it_asks_for_within_reason() {
        let mut hold = Hold::new(SECOND, 5 * SECOND);
        let now = Instant::now();
        hold.failed(Some(20 * SECOND), now, 0.0);
        assert_eq!(hold.wait(), Some((now + 20 * SECOND, true)));
        hold.failed(Some(Duration::MAX), now, 0.0);
        assert_eq!(hold.wait(), Some((now + LONGEST_ASKED, true)));
        hold.failed(None, now, 1.0);
        assert_eq!(hold.wait(), Some((now + 4 * SECOND, false)));
    }
}

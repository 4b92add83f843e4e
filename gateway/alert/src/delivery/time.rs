//! Time as the decisions see it: an argument.

use std::time::Duration;

use super::options::Receivers;

/// How long the end of an alert is told again after it was confirmed, as Prometheus does.
pub(super) const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How long the end of an alert may wait for a receiver.
pub(super) const LONGEST_WAIT_MS: u64 = 24 * 3600 * 1000;
/// Most ends of alerts that may wait for a receiver.
pub(super) const MOST_WAITING: usize = 10_000;
/// How long an Alertmanager's word that it was not restarted is good for.
const FRESH: Duration = Duration::from_secs(1);
/// What is waited beyond `group_wait`, at most.
const MARGIN: Duration = Duration::from_secs(5);
/// Longest wait a webhook is granted, as everywhere else in Weir.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// Since the beginning, on a clock that never jumps: for waits.
    pub(super) at: Duration,
    /// Unix time in ms: for what others read.
    pub(super) unix_ms: u64,
}

impl Now {
    /// The moment on the first clock at which the second showed this; now at the latest.
    pub(super) fn ago(self, unix_ms: u64) -> Duration {
        self.at.saturating_sub(Duration::from_millis(self.unix_ms.saturating_sub(unix_ms)))
    }

    /// What the second clock showed at this moment of the first.
    pub(super) fn unix_of(self, at: Duration) -> u64 {
        self.unix_ms.saturating_sub(self.at.saturating_sub(at).as_millis() as u64)
    }
}

/// The intervals of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) resend: Duration,
    /// How long a receiver that hears late of an alert is left alone with it.
    pub(super) settle: Duration,
    /// How long an alert fires on at a receiver that hears nothing more, in ms.
    pub(super) lifetime_ms: u64,
    pub(super) fresh: Duration,
    pub(super) retry_initial: Duration,
    pub(super) retry_longest: Duration,
}

impl Timing {
    pub(super) fn new(receivers: &Receivers) -> Self {
        let longest = receivers.evaluation.max(receivers.resend);
        Self {
            resend: receivers.resend,
            settle: receivers.group_wait + (receivers.group_wait / 6).min(MARGIN),
            lifetime_ms: 4 * longest.as_millis() as u64,
            fresh: FRESH.min(receivers.resend / 2),
            retry_initial: receivers.retry_initial,
            retry_longest: receivers.retry_longest,
        }
    }
}

/// When the next request may be made: exponential back-off with jitter, or what the server asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    failures: u32,
    until: Duration,
    asked: bool,
}

impl Hold {
    /// Notes a failed request. `random` is uniform in 0..1: the last half of the wait, so that many who
    /// failed together do not come back together.
    pub(super) fn failed(&mut self, asked: Option<Duration>, now: Now, timing: &Timing, random: f64) {
        let doubled = timing.retry_initial.saturating_mul(2_u32 << self.failures.min(29));
        let wait = doubled.min(timing.retry_longest).mul_f64(0.5 + 0.5 * random);
        self.failures = self.failures.saturating_add(1);
        self.asked = asked.is_some();
        self.until = now.at + asked.map_or(wait, |asked| asked.min(LONGEST_ASKED));
    }

    /// Notes that the server does its work.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// Until when to wait. Who is about to end does not wait, unless the server asked for it.
    pub(super) fn until(&self, now: Now, ending: bool) -> Option<Duration> {
        (self.until > now.at && (self.asked || !ending)).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_begin_at_a_second_double_and_end_at_thirty() {
        let (mut hold, timing) = (Hold::default(), Timing::new(&Receivers::default()));
        let now = Now { at: 7 * SECOND, unix_ms: 0 };
        let mut wait = |random| {
            hold.failed(None, now, &timing, random);
            hold.until(now, false).expect("a wait") - now.at
        };
        assert_eq!([wait(0.0), wait(0.0), wait(0.0)], [SECOND, 2 * SECOND, 4 * SECOND]);
        let _ = (0..100).map(|_| wait(0.5)).count();
        assert_eq!([wait(0.0), wait(1.0)], [15 * SECOND, 30 * SECOND]);
        assert_eq!(hold.until(now, true), None, "who ends does not wait");
        hold.failed(Some(Duration::MAX), now, &timing, 0.0);
        assert_eq!(hold.until(now, true), Some(now.at + LONGEST_ASKED));
        hold.answered();
        assert_eq!(hold.until(now, false), None);
    }
}

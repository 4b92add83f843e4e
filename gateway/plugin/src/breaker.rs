//! Takes a plugin that keeps failing out of use for a while. Time is an argument.

use std::collections::VecDeque;
use std::time::Duration;

/// Faults within [`WINDOW`] that open the breaker.
const FAULTS: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);

/// How long it stays open, at first and at most; each time twice as long.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// Without a fault for so long, the next quarantine is a short one again.
const FORGIVEN: Duration = LONGEST;

#[derive(Debug, PartialEq)]
enum State {
    Closed,
    Open {
        until_ns: u64,
    },
    /// The next call decides.
    HalfOpen,
}

/// A breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    recent: VecDeque<u64>,
    last_ns: u64,
    next: Duration,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { state: State::Closed, recent: VecDeque::new(), last_ns: 0, next: SHORTEST }
    }

    /// Whether a call may be made. After the quarantine one is, to see.
    pub(crate) fn admits(&mut self, now_ns: u64) -> bool {
        if matches!(self.state, State::Open { until_ns } if now_ns >= until_ns) {
            self.state = State::HalfOpen;
        }
        !self.is_open()
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// A call went well. True if that ended a quarantine.
    pub(crate) fn succeeded(&mut self) -> bool {
        let ended = self.state == State::HalfOpen;
        if ended {
            self.state = State::Closed;
            self.recent.clear();
        }
        ended
    }

    /// A call failed. The length of the quarantine if it begins one.
    pub(crate) fn failed(&mut self, now_ns: u64) -> Option<Duration> {
        if now_ns.saturating_sub(self.last_ns) > ns(FORGIVEN) {
            self.next = SHORTEST;
        }
        self.last_ns = now_ns;
        self.recent.retain(|at| now_ns.saturating_sub(*at) < ns(WINDOW));
        self.recent.push_back(now_ns);
        if self.state != State::HalfOpen && self.recent.len() < FAULTS {
            return None;
        }
        let length = self.next;
        self.next = (length * 2).min(LONGEST);
        self.recent.clear();
        self.state = State::Open { until_ns: now_ns.saturating_add(ns(length)) };
        Some(length)
    }
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn opened(at: u64) -> Breaker {
        let mut breaker = Breaker::new();
        assert_eq!((breaker.failed(at), breaker.failed(at)), (None, None));
        assert_eq!(breaker.failed(at), Some(SHORTEST));
        breaker
    }

    #[test]
    fn faults_that_are_rare_leave_it_closed() {
        let mut breaker = Breaker::new();
        assert!((0..100).all(|i| breaker.failed(i * 30 * SECOND).is_none()));
        assert!(breaker.admits(0));
    }

    #[test]
    fn it_opens_tries_once_and_stays_open_longer_each_time() {
        let mut breaker = opened(SECOND);
        let mut now = SECOND;
        for expect in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert!(!breaker.admits(now));
            now += 300 * SECOND;
            assert!(breaker.admits(now), "half open");
            assert_eq!(breaker.failed(now), Some(Duration::from_secs(expect)));
        }
    }

    #[test]
    fn one_good_call_closes_it_and_quiet_shortens_the_next_quarantine() {
        let mut breaker = opened(0);
        assert!(!breaker.admits(SECOND - 1));
        assert!(breaker.admits(SECOND));
        assert!(breaker.succeeded() && !breaker.succeeded());
        let again = |breaker: &mut Breaker, at| (0..3).find_map(|_| breaker.failed(at));
        assert_eq!(again(&mut breaker, 10 * SECOND), Some(Duration::from_secs(2)));
        assert!(breaker.admits(12 * SECOND) && breaker.succeeded());
        assert_eq!(again(&mut breaker, 400 * SECOND), Some(SHORTEST));
    }
}

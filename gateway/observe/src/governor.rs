//! Keeps telemetry within its share of the CPU by observing fewer exchanges, each with a known probability.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use weir_telemetry::{Counter, Gauge};

use crate::metrics::LineMetrics;

/// Never less than one exchange in a thousand: what is never looked at cannot be told from what is fine.
pub const FLOOR: f64 = 0.001;

/// Between this part of the target and the target nothing changes, so that the probability does not hunt.
const CALM: f64 = 0.85;

/// How fast the probability rises again: a tenth a second.
const RISE_PER_SECOND: f64 = 1.1;

/// How often the law is applied.
const WINDOW: Duration = Duration::from_secs(1);

/// The control law: the probability for the next window, after a window of `seconds` in which observing with
/// probability `now` cost `share` of the CPU where `target` is allowed.
///
/// Over the target it falls at once to where the cost would have met it, since cost is nearly linear in the
/// exchanges observed; well under the target it rises slowly, and never to where the cost is expected over
/// it.
pub fn steer(now: f64, seconds: f64, share: f64, target: f64) -> f64 {
    if !(share.is_finite() && seconds > 0.0) {
        return now;
    }
    let next = if share > target {
        now * target / share
    } else if share < target * CALM {
        let affordable = if share > 0.0 { now * target / share } else { 1.0 };
        (now * RISE_PER_SECOND.powf(seconds)).min(affordable)
    } else {
        now
    };
    next.clamp(FLOOR, 1.0)
}

/// CPU time of one thread, published as it goes.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    last_ns: u64,
    total_ns: Arc<AtomicU64>,
    seconds: Arc<Counter>,
}

impl CpuMeter {
    /// Must be made on the thread it measures.
    pub(crate) fn new(total_ns: Arc<AtomicU64>, seconds: Arc<Counter>) -> Self {
        Self { last_ns: thread_cpu_ns(), total_ns, seconds }
    }

    /// Adds what was used since the last call. One system call, about 0.2 us.
    pub(crate) fn publish(&mut self) {
        let now = thread_cpu_ns();
        let used = now.saturating_sub(self.last_ns);
        self.last_ns = now;
        self.total_ns.fetch_add(used, Relaxed);
        self.seconds.add_f64(used as f64 * 1e-9);
    }
}

fn thread_cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Applies [`steer`] once a second.
#[derive(Debug)]
pub(crate) struct Governor {
    target: f64,
    workers: f64,
    used_ns: Arc<AtomicU64>,
    last: (Instant, u64),
    /// Kept beside the published `f32`, so that a slow rise is not lost in rounding.
    now: f64,
    published: Arc<AtomicU32>,
    share: Arc<Gauge>,
    probability: Arc<Gauge>,
}

/// What the governor reads and writes beside its metrics.
pub(crate) struct Governed {
    pub(crate) target: f64,
    pub(crate) workers: usize,
    pub(crate) used_ns: Arc<AtomicU64>,
    pub(crate) published: Arc<AtomicU32>,
}

impl Governor {
    pub(crate) fn new(governed: Governed, metrics: &LineMetrics, now: Instant) -> Self {
        let Governed { target, workers, used_ns, published } = governed;
        let (share, probability) = (metrics.share.get(&[]), metrics.probability.get(&[]));
        probability.set(1.0);
        published.store(1f32.to_bits(), Relaxed);
        let last = (now, used_ns.load(Relaxed));
        Self {
            target,
            workers: workers.max(1) as f64,
            used_ns,
            last,
            now: 1.0,
            published,
            share,
            probability,
        }
    }

    /// Looks at the last window if it is over.
    pub(crate) fn pass(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.last.0);
        if elapsed < WINDOW {
            return;
        }
        let used = self.used_ns.load(Relaxed);
        let seconds = elapsed.as_secs_f64();
        let share = (used - self.last.1) as f64 * 1e-9 / (seconds * self.workers);
        self.last = (now, used);
        self.now = steer(self.now, seconds, share, self.target);
        self.published.store((self.now as f32).to_bits(), Relaxed);
        self.share.set(share);
        self.probability.set(self.now);
    }
}

#[cfg(test)]
mod tests {
    use weir_telemetry::Registry;

    use super::*;

    #[test]
    fn under_the_target_everything_is_observed() {
        assert_eq!(steer(1.0, 1.0, 0.10, 0.25), 1.0);
        assert_eq!(steer(1.0, 1.0, 0.25, 0.25), 1.0);
    }

    #[test]
    fn over_the_target_one_window_is_enough_to_meet_it() {
        let p = steer(1.0, 1.0, 0.50, 0.25);
        assert_eq!(p, 0.5);
        // The cost follows: half the exchanges cost half the share, and nothing more changes.
        assert_eq!(steer(p, 1.0, 0.25, 0.25), p);
    }

    #[test]
    fn it_rises_slowly_and_stops_where_the_target_would_be_passed() {
        let mut p = 0.1;
        let cost = |p: f64| p * 0.5;
        for second in 0..60 {
            let next = steer(p, 1.0, cost(p), 0.25);
            assert!(next <= p * 1.100_001, "second {second}: {p} to {next}");
            p = next;
        }
        assert!(cost(p) <= 0.25 && cost(p) >= 0.25 * CALM, "settled at {p}");
    }

    #[test]
    fn a_longer_window_rises_as_far_as_the_same_time_in_short_ones() {
        let once = steer(0.1, 3.0, 0.01, 0.25);
        let thrice = (0..3).fold(0.1, |p, _| steer(p, 1.0, 0.01, 0.25));
        assert!((once - thrice).abs() < 1e-12);
    }

    #[test]
    fn nonsense_changes_nothing_and_the_floor_holds() {
        assert_eq!(steer(0.3, 0.0, 0.9, 0.25), 0.3);
        assert_eq!(steer(0.3, 1.0, f64::NAN, 0.25), 0.3);
        assert_eq!(steer(0.3, 1.0, 5.0, 0.0), FLOOR);
        assert_eq!(steer(0.5, 1.0, 0.0, 0.25), 0.55);
    }

    #[test]
    fn the_governor_publishes_what_the_law_says_once_a_second() {
        let metrics = LineMetrics::new(&Registry::default()).unwrap();
        let (used_ns, published) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
        let start = Instant::now();
        let governed =
            Governed { target: 0.25, workers: 2, used_ns: used_ns.clone(), published: published.clone() };
        let mut governor = Governor::new(governed, &metrics, start);
        let probability = || f32::from_bits(published.load(Relaxed));

        used_ns.store(1_000_000_000, Relaxed);
        governor.pass(start + Duration::from_millis(999));
        assert_eq!(probability(), 1.0, "the window is not over");
        governor.pass(start + Duration::from_secs(1));
        assert_eq!(probability(), 0.5, "one of two cores for a second is twice the share");
        assert_eq!(metrics.probability.get(&[]).get(), 0.5);
        assert_eq!(metrics.share.get(&[]).get(), 0.5);
    }
}

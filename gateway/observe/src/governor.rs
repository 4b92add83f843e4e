//! Keeps telemetry within its share of the CPU by observing fewer exchanges, each with a known probability.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use weir_telemetry::{Counter, Gauge};

use crate::metrics::LineMetrics;

/// Never less than one exchange in a thousand: what is never looked at cannot be told from what is fine.
pub const FLOOR: f64 = 0.001;

/// Between this part of the ceiling and the ceiling nothing changes, so that the probability does not hunt.
const CALM: f64 = 0.85;

/// How fast the probability rises again: a tenth a second.
const RISE_PER_SECOND: f64 = 1.1;

/// How fast a ceiling that shedding lowered is tried again: half way back to the target takes a minute or so.
const TRUST_PER_SECOND: f64 = 1.01;

/// No shedding lowers the ceiling below this part of the target, or it would never be tried again.
const LEAST_CEILING: f64 = 0.05;

/// How often the law is applied.
const WINDOW: Duration = Duration::from_secs(1);

/// What observing cost in a window, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub seconds: f64,
    /// CPU time used, as a share of the workers' wall time.
    pub share: f64,
    /// The part of the exchanges to be observed that found room, 0..=1; the rest was shed.
    pub kept: f64,
}

/// The control law.
///
/// Over its share of the CPU the probability falls at once to where the cost would have met it, since cost is
/// nearly linear in the exchanges observed; well under it, it rises slowly, and never to where the cost is
/// expected over it. A core that the request path wants whole may give less than the target allows: what
/// was shed shows it, the probability falls to what found room, and the share used meanwhile is the ceiling
/// until it has proved too low. So an overload is a known probability, and shedding the exception.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    target: f64,
    ceiling: f64,
    probability: f64,
}

impl Law {
    /// `target`: the share of the CPU that observing may take, 0..=1.
    pub fn new(target: f64) -> Self {
        Self { target, ceiling: target, probability: 1.0 }
    }

    /// The probability for the next window.
    pub fn steer(&mut self, window: Window) -> f64 {
        let Window { seconds, share, kept } = window;
        if !(share.is_finite() && seconds > 0.0) {
            return self.probability;
        }
        let now = self.probability;
        let shed = kept < 1.0;
        self.ceiling = match shed {
            true => (share.min(self.target) * CALM).max(self.target * LEAST_CEILING),
            false => (self.ceiling * TRUST_PER_SECOND.powf(seconds)).min(self.target),
        };
        let affordable = if share > 0.0 { now * self.ceiling / share } else { 1.0 };
        let next = if shed {
            affordable.min(now * kept * CALM)
        } else if share > self.ceiling {
            affordable
        } else if share < self.ceiling * CALM {
            (now * RISE_PER_SECOND.powf(seconds)).min(affordable)
        } else {
            now
        };
        self.probability = next.clamp(FLOOR, 1.0);
        self.probability
    }
}

/// What the threads off the request path did, for the governor to read.
#[derive(Debug, Default)]
pub(crate) struct Work {
    cpu_ns: AtomicU64,
    taken: AtomicU64,
    shed: AtomicU64,
}

impl Work {
    /// Exchanges that crossed, and those that found no room.
    pub(crate) fn crossed(&self, taken: u64, shed: u64) {
        self.taken.fetch_add(taken, Relaxed);
        self.shed.fetch_add(shed, Relaxed);
    }

    fn read(&self) -> Done {
        Done {
            cpu_ns: self.cpu_ns.load(Relaxed),
            taken: self.taken.load(Relaxed),
            shed: self.shed.load(Relaxed),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Done {
    cpu_ns: u64,
    taken: u64,
    shed: u64,
}

impl Done {
    /// The window since `before`, which took so long on so many workers.
    fn since(&self, before: &Self, seconds: f64, workers: f64) -> Window {
        let (taken, shed) = (self.taken - before.taken, self.shed - before.shed);
        let wanted = taken + shed;
        Window {
            seconds,
            share: (self.cpu_ns - before.cpu_ns) as f64 * 1e-9 / (seconds * workers),
            kept: if wanted == 0 { 1.0 } else { taken as f64 / wanted as f64 },
        }
    }
}

/// CPU time of one thread, published as it goes.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    last_ns: u64,
    work: Arc<Work>,
    seconds: Arc<Counter>,
}

impl CpuMeter {
    /// Must be made on the thread it measures.
    pub(crate) fn new(work: Arc<Work>, seconds: Arc<Counter>) -> Self {
        Self { last_ns: thread_cpu_ns(), work, seconds }
    }

    /// Adds what was used since the last call. One system call, about 0.2 us.
    pub(crate) fn publish(&mut self) {
        let now = thread_cpu_ns();
        let used = now.saturating_sub(self.last_ns);
        self.last_ns = now;
        self.work.cpu_ns.fetch_add(used, Relaxed);
        self.seconds.add_f64(used as f64 * 1e-9);
    }
}

fn thread_cpu_ns() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Applies [`Law`] once a second.
#[derive(Debug)]
pub(crate) struct Governor {
    law: Law,
    workers: f64,
    work: Arc<Work>,
    last: (Instant, Done),
    published: Arc<AtomicU32>,
    share: Arc<Gauge>,
    probability: Arc<Gauge>,
}

/// What the governor reads and writes beside its metrics.
pub(crate) struct Governed {
    pub(crate) target: f64,
    pub(crate) workers: usize,
    pub(crate) work: Arc<Work>,
    pub(crate) published: Arc<AtomicU32>,
}

impl Governor {
    pub(crate) fn new(governed: Governed, metrics: &LineMetrics, now: Instant) -> Self {
        let Governed { target, workers, work, published } = governed;
        let (share, probability) = (metrics.share.get(&[]), metrics.probability.get(&[]));
        probability.set(1.0);
        published.store(1f32.to_bits(), Relaxed);
        let last = (now, work.read());
        Self {
            law: Law::new(target),
            workers: workers.max(1) as f64,
            work,
            last,
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
        let done = self.work.read();
        let window = done.since(&self.last.1, elapsed.as_secs_f64(), self.workers);
        self.last = (now, done);
        let probability = self.law.steer(window);
        self.published.store((probability as f32).to_bits(), Relaxed);
        self.share.set(window.share);
        self.probability.set(probability);
    }
}

#[cfg(test)]
mod tests {
    use weir_telemetry::Registry;

    use super::*;

    fn window(share: f64) -> Window {
        Window { seconds: 1.0, share, kept: 1.0 }
    }

    fn at(probability: f64, target: f64) -> Law {
        Law { probability, ..Law::new(target) }
    }

    #[test]
    fn under_the_target_everything_is_observed() {
        let mut law = Law::new(0.25);
        assert_eq!([0.10, 0.25].map(|share| law.steer(window(share))), [1.0, 1.0]);
    }

    #[test]
    fn over_the_target_one_window_is_enough_to_meet_it() {
        let mut law = Law::new(0.25);
        assert_eq!(law.steer(window(0.50)), 0.5);
        // The cost follows: half the exchanges cost half the share, and nothing more changes.
        assert_eq!(law.steer(window(0.25)), 0.5);
    }

    #[test]
    fn it_rises_slowly_and_stops_where_the_target_would_be_passed() {
        let mut law = at(0.1, 0.25);
        let cost = |p: f64| p * 0.5;
        for second in 0..60 {
            let before = law.probability;
            let next = law.steer(window(cost(before)));
            assert!(next <= before * 1.100_001, "second {second}: {before} to {next}");
        }
        let settled = cost(law.probability);
        assert!((0.25 * CALM..=0.25).contains(&settled), "settled at {law:?}");
    }

    #[test]
    fn a_longer_window_rises_as_far_as_the_same_time_in_short_ones() {
        let (mut once, mut thrice) = (at(0.1, 0.25), at(0.1, 0.25));
        let long = once.steer(Window { seconds: 3.0, ..window(0.01) });
        (0..3).for_each(|_| _ = thrice.steer(window(0.01)));
        assert!((long - thrice.probability).abs() < 1e-12);
    }

    #[test]
    fn nonsense_changes_nothing_and_the_floor_holds() {
        let after = |from: f64, target: f64, window: Window| at(from, target).steer(window);
        assert_eq!(after(0.3, 0.25, Window { seconds: 0.0, ..window(0.9) }), 0.3);
        assert_eq!(after(0.3, 0.25, window(f64::NAN)), 0.3);
        assert_eq!(after(0.3, 0.0, window(5.0)), FLOOR);
        assert_eq!(after(0.5, 0.25, window(0.0)), 0.55);
        assert_eq!(after(0.5, 0.25, Window { kept: 0.0, ..window(0.0) }), FLOOR);
    }

    /// A core that the request path wants whole gives telemetry a tenth, though a quarter is allowed.
    #[test]
    fn what_finds_no_room_becomes_a_probability_and_is_seldom_shed_again() {
        let (mut law, mut wanted, mut shed) = (Law::new(0.25), 0.0, 0.0);
        for second in 0..600 {
            // Everything observed would cost 0.8 of the core; 0.1 can be had.
            let (cost, given) = (law.probability * 0.8, 0.1);
            let kept = (given / cost).min(1.0);
            if second >= 2 {
                wanted += law.probability;
                shed += law.probability * (1.0 - kept);
            }
            law.steer(Window { seconds: 1.0, share: cost.min(given), kept });
        }
        assert!(shed / wanted < 0.01, "{:.4} of those to be observed are shed", shed / wanted);
        let used = law.probability * 0.8;
        assert!((0.06..=0.11).contains(&used), "and what can be had is used: {used}");
    }

    #[test]
    fn a_burst_that_is_over_is_forgotten() {
        let mut law = Law::new(0.25);
        assert!(law.steer(Window { kept: 0.5, ..window(0.1) }) < 0.5);
        (0..120).for_each(|_| _ = law.steer(window(law.probability * 0.2)));
        assert_eq!(law.probability, 1.0);
    }

    #[test]
    fn the_governor_publishes_what_the_law_says_once_a_second() {
        let metrics = LineMetrics::new(&Registry::default()).unwrap();
        let (work, published) = (Arc::new(Work::default()), Arc::new(AtomicU32::new(0)));
        let start = Instant::now();
        let governed =
            Governed { target: 0.25, workers: 2, work: work.clone(), published: published.clone() };
        let mut governor = Governor::new(governed, &metrics, start);
        let probability = || f32::from_bits(published.load(Relaxed));

        work.cpu_ns.store(1_000_000_000, Relaxed);
        work.crossed(100, 0);
        governor.pass(start + Duration::from_millis(999));
        assert_eq!(probability(), 1.0, "the window is not over");
        governor.pass(start + Duration::from_secs(1));
        assert_eq!(probability(), 0.5, "one of two cores for a second is twice the share");
        assert_eq!(metrics.probability.get(&[]).get(), 0.5);
        assert_eq!(metrics.share.get(&[]).get(), 0.5);

        work.crossed(40, 60);
        governor.pass(start + Duration::from_secs(2));
        assert!((f64::from(probability()) - 0.5 * 0.4 * CALM).abs() < 1e-6, "what found room, and a margin");
    }
}

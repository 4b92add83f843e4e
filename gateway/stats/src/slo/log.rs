//! The events of one objective, in three rings: ticks, minutes and hours.

use serde::{Deserialize, Serialize};

use super::ring::Ring;

/// How often objectives are evaluated if nothing else is said.
pub const TICK_NS: u64 = 15_000_000_000;
/// The longest period of an objective: 90 days.
pub const MAX_PERIOD_NS: u64 = 90 * 24 * HOUR_NS;

pub(super) const MINUTE_NS: u64 = 60_000_000_000;
pub(super) const HOUR_NS: u64 = 60 * MINUTE_NS;
/// Ticks answer for windows up to 6 h, and minutes for up to 3 d, each with a little to spare.
const TICKS_NS: u64 = 6 * HOUR_NS + HOUR_NS / 2;
const MINUTES_NS: u64 = 73 * HOUR_NS;

/// Good and bad events of one objective, as far back as its period.
#[derive(Clone, Debug)]
pub struct EventLog {
    pub(super) ticks: Ring,
    pub(super) minutes: Ring,
    pub(super) hours: Ring,
    /// When events were last added; 0 before the first.
    pub(super) last_ns: u64,
    pub(super) run: Run,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    pub good: u64,
    pub bad: u64,
    /// Share of the window that was observed, 0 to 1.
    pub covered: f64,
}

/// Ticks with bad events and not one good, since the last good event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Such ticks. Ticks with no event at all neither count nor end the run.
    pub ticks: u64,
    /// Bad events in them.
    pub bad: u64,
    /// When the first of them was added; `None` without one.
    pub since_ns: Option<u64>,
}

impl EventLog {
    /// An empty log for windows up to `period_ns`. A tick counts as 1 s at least and 1 h at most, a period
    /// as 1 h at least and `MAX_PERIOD_NS` at most.
    pub fn new(tick_ns: u64, period_ns: u64) -> Self {
        let period_ns = period_ns.clamp(HOUR_NS, MAX_PERIOD_NS);
        Self {
            ticks: Ring::new(tick_ns.clamp(1_000_000_000, HOUR_NS), TICKS_NS),
            minutes: Ring::new(MINUTE_NS, MINUTES_NS),
            hours: Ring::new(HOUR_NS, period_ns + 24 * HOUR_NS),
            last_ns: 0,
            run: Run::default(),
        }
    }

    /// Bytes it takes, however much is added: 97 kB for 90 days at 15 s, 80 kB for 30.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.ticks.bytes() + self.minutes.bytes() + self.hours.bytes()
    }

    /// Adds the events counted since the add before. `covered_ns` is how much of the time up to `now_ns` was
    /// observed; what the add before has covered already is not covered twice. Events belong to the slot of
    /// `now_ns`, also those of a longer time. If `now_ns` is before the last add, they count there, with
    /// nothing covered.
    pub fn add(&mut self, now_ns: u64, good: u64, bad: u64, covered_ns: u64) {
        let now_ns = now_ns.max(self.last_ns);
        let from_ns = now_ns.saturating_sub(covered_ns).max(self.last_ns);
        for ring in [&mut self.ticks, &mut self.minutes, &mut self.hours] {
            ring.add(now_ns, good, bad, from_ns);
        }
        self.last_ns = now_ns;
        if good > 0 {
            self.run = Run::default();
        } else if bad > 0 {
            self.run.ticks = self.run.ticks.saturating_add(1);
            self.run.bad = self.run.bad.saturating_add(bad);
            self.run.since_ns.get_or_insert(now_ns);
        }
    }

    /// The events of a window that ends at `now_ns`, which is not before the last add. It is read from the
    /// finest ring that reaches back so far, and slides by that ring's slots, the running one among them: it
    /// is shorter than asked for by less than a slot, never longer. Beyond the longest reach nothing was
    /// observed.
    pub fn sum(&self, now_ns: u64, window_ns: u64) -> Sum {
        self.ring(window_ns).sum(now_ns.max(self.last_ns), window_ns)
    }

    /// The run of bad ticks that now lasts, or of a longer one what lies within `within_ns`: then events are
    /// counted as `sum` counts them, and a slot of that ring with bad events as one tick, which may be too
    /// few, never too many.
    pub fn run(&self, now_ns: u64, within_ns: u64) -> Run {
        let now_ns = now_ns.max(self.last_ns);
        if self.run.since_ns.is_none_or(|since| since >= now_ns.saturating_sub(within_ns)) {
            return self.run;
        }
        let mut run = Run { ticks: 0, bad: 0, ..self.run };
        for slot in self.ring(within_ns).window(now_ns, within_ns).filter(|slot| slot.bad() > 0) {
            run.ticks += 1;
            run.bad += slot.bad();
        }
        run
    }

    fn ring(&self, window_ns: u64) -> &Ring {
        [&self.ticks, &self.minutes].into_iter().find(|ring| ring.reaches(window_ns)).unwrap_or(&self.hours)
    }
}

//! What is left of a log on disk, and how a log goes on from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::log::{EventLog, MAX_PERIOD_NS, Run};
use super::ring::{FULL, MOST, Ring, Slot};

/// A log to be stored. Equal neighbouring slots are one stretch, so quiet time takes next to nothing,
/// whether it was observed or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    tick_ns: u64,
    last_ns: u64,
    run: Run,
    ticks: Vec<Stretch>,
    minutes: Vec<Stretch>,
    hours: Vec<Stretch>,
}

/// How many slots are alike, and what each holds: good events, bad events, and 60,000ths of it that were
/// observed. From the newest backwards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch(u32, u64, u64, u16);

/// Why a snapshot cannot be gone on from.
#[derive(Clone, Debug, PartialEq)]
pub enum RestoreError {
    /// It was made with another tick, in ns.
    Tick { found: u64, wanted: u64 },
    /// A ring (ticks, minutes or hours) has an empty stretch or more slots than any log.
    Slots(&'static str),
    /// A slot counts more events, or more observed time, than it can.
    Counts(&'static str),
    /// The run of bad ticks contradicts itself, or begins after the snapshot.
    Run,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick { found, wanted } => {
                write!(
                    f,
                    "its slots are `{found}` ns wide, not `{wanted}` (the evaluation interval was changed)"
                )
            }
            Self::Slots(ring) => write!(f, "its `{ring}` are not as long as a log's"),
            Self::Counts(ring) => write!(f, "its `{ring}` count more than a slot can hold"),
            Self::Run => f.write_str("its run of bad ticks contradicts itself"),
        }
    }
}

impl std::error::Error for RestoreError {}

impl Snapshot {
    /// The same for logs with another tick: minutes and hours stay, and of the ticks nothing, since they do
    /// not fit.
    pub fn with_tick(mut self, tick_ns: u64) -> Self {
        if self.tick_ns != tick_ns {
            self.tick_ns = tick_ns;
            self.ticks.clear();
        }
        self
    }
}

impl EventLog {
    /// What to store.
    pub fn snapshot(&self) -> Snapshot {
        let stretches = |ring: &Ring| {
            let all = ring.stretches().into_iter();
            all.map(|(slots, slot)| Stretch(slots, slot.good(), slot.bad(), slot.covered())).collect()
        };
        Snapshot {
            tick_ns: self.ticks.width_ns(),
            last_ns: self.last_ns,
            run: self.run,
            ticks: stretches(&self.ticks),
            minutes: stretches(&self.minutes),
            hours: stretches(&self.hours),
        }
    }

    /// An empty log like `new`'s that goes on from a snapshot. The time between the snapshot and the next
    /// add counts as not observed. If the snapshot is later than `now_ns`, the clock has gone back, and all
    /// of it is shifted so that its newest is now. What lies beyond the reach of this log is left out.
    pub fn restore(
        tick_ns: u64,
        period_ns: u64,
        snapshot: &Snapshot,
        now_ns: u64,
    ) -> Result<Self, RestoreError> {
        let mut log = Self::new(tick_ns, period_ns);
        let wanted = log.ticks.width_ns();
        if snapshot.tick_ns != wanted {
            return Err(RestoreError::Tick { found: snapshot.tick_ns, wanted });
        }
        let longest = Self::new(tick_ns, MAX_PERIOD_NS);
        log.last_ns = snapshot.last_ns.min(now_ns);
        for (name, ring, like, stretches) in [
            ("ticks", &mut log.ticks, &longest.ticks, &snapshot.ticks),
            ("minutes", &mut log.minutes, &longest.minutes, &snapshot.minutes),
            ("hours", &mut log.hours, &longest.hours, &snapshot.hours),
        ] {
            check(name, stretches, like.slots())?;
            let slots = stretches.iter().map(|s| (s.0, Slot::new(s.1, s.2, s.3)));
            ring.fill(log.last_ns, slots);
        }
        log.run = checked(snapshot)?;
        let shift = snapshot.last_ns - log.last_ns;
        log.run.since_ns = log.run.since_ns.map(|since| since.saturating_sub(shift));
        Ok(log)
    }
}

fn check(name: &'static str, stretches: &[Stretch], most: usize) -> Result<(), RestoreError> {
    let slots: u64 = stretches.iter().map(|stretch| u64::from(stretch.0)).sum();
    if slots > most as u64 || stretches.iter().any(|stretch| stretch.0 == 0) {
        return Err(RestoreError::Slots(name));
    }
    let fits = |stretch: &Stretch| stretch.1 <= MOST && stretch.2 <= MOST && stretch.3 <= FULL;
    if stretches.iter().all(fits) { Ok(()) } else { Err(RestoreError::Counts(name)) }
}

fn checked(snapshot: &Snapshot) -> Result<Run, RestoreError> {
    let run = snapshot.run;
    let sound = match run.since_ns {
        None => run == Run::default(),
        Some(since) => run.ticks > 0 && run.bad >= run.ticks && since <= snapshot.last_ns,
    };
    if sound { Ok(run) } else { Err(RestoreError::Run) }
}

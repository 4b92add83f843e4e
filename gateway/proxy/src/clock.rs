//! Time on the request path: nanoseconds since the process' anchor, and their wall-clock meaning.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

struct Anchor {
    ns: u64,
    unix_ns: u64,
}

fn anchor() -> &'static Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    ANCHOR.get_or_init(|| Anchor {
        ns: monotonic_ns(),
        unix_ns: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64),
    })
}

/// What `Instant` reads, as one number: a subtraction of two needs no carry.
fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

thread_local! {
    static RECENT: Cell<Stamp> = const { Cell::new(Stamp(0)) };
}

/// A moment: nanoseconds since the anchor, monotonic. Never 0, so that 0 can say "not yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(pub(crate) u64);

impl Stamp {
    /// Now.
    pub(crate) fn now() -> Self {
        // The anchor first: whoever makes it must not read the clock before it.
        let anchor = anchor().ns;
        let now = Self((monotonic_ns() - anchor).max(1));
        RECENT.set(now);
        now
    }

    /// The last moment this thread looked at the clock: at most one tick of its worker ago. Good enough for
    /// idle times, and it costs no reading of the clock.
    pub(crate) fn recent() -> Self {
        let recent = RECENT.get();
        if recent.0 == 0 { Self::now() } else { recent }
    }

    /// Nanoseconds from an earlier moment; 0 if it is later.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Unix time in nanoseconds, by the wall clock as it stood when the process started: a clock that jumps
    /// does not tear a request in two.
    pub(crate) fn unix_ns(self) -> u64 {
        anchor().unix_ns + self.0
    }
}

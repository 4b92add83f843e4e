//! A clock that was ahead, and is right again.

use super::set::Tallies;
use super::{GRACE_NS, Tally, Wanted};

impl Tally {
    /// Begins anew if its oldest open window is more than two windows ahead of the clock: every row would be
    /// late until the clock is there, and no window would close. True if it did.
    pub(crate) fn set_back(&mut self, now_ns: u64) -> bool {
        let span = self.span_ns();
        if !self.is_ahead(now_ns) {
            return false;
        }
        let front_ns = now_ns - now_ns % span;
        self.front_ns = front_ns;
        // Windows that were skipped on the way ahead never were.
        self.dropped = u32::try_from(self.open.len() + self.waiting.len()).unwrap_or(u32::MAX);
        self.open.clear();
        self.waiting.clear();
        // A window of a time to come would be compared with the one that really is of that time.
        self.past.retain(|past| past.begin_ns < front_ns);
        self.last = self.last.take().filter(|window| window.begin_ns < front_ns);
        self.last_look_ns = self.last_look_ns.map(|at_ns| at_ns.min(front_ns));
        self.counted_ns = self.counted_ns.min(now_ns);
        if let Wanted::Until(until_ns) = &mut self.wanted {
            *until_ns = (*until_ns).min(now_ns.saturating_add(span).saturating_add(GRACE_NS.min(span)));
        }
        true
    }

    fn is_ahead(&self, now_ns: u64) -> bool {
        self.front_ns > now_ns.saturating_add(self.span_ns().saturating_mul(2))
    }
}

impl Tallies {
    /// Begins those anew that a clock which was ahead has led away. Gives how many.
    pub(crate) fn set_back(&mut self, now_ns: u64) -> u64 {
        self.wait_since(now_ns);
        if self.places.iter().all(|kept| !kept.it.is_ahead(now_ns)) {
            return 0;
        }
        // No row that waits is of a time that never was.
        self.count();
        let reset = self.places.iter_mut().map(|kept| u64::from(kept.it.set_back(now_ns))).sum();
        self.changed |= reset > 0;
        reset
    }
}

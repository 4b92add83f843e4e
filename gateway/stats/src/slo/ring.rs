//! A ring of slots of equal width, each with the events that were counted in it and how much of it was
//! observed.

use super::log::Sum;

/// Parts of a slot that can be observed; a multiple of the seconds of a minute and an hour.
pub(super) const FULL: u16 = 60_000;
/// The most events of a kind that a slot counts, 305 million a second for an hour; further ones are not
/// counted.
pub(super) const MOST: u64 = (1 << 40) - 1;

/// 12 bytes: two counts of 40 bits, and observed parts of `FULL`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Slot {
    good_low: u32,
    bad_low: u32,
    covered: u16,
    good_high: u8,
    bad_high: u8,
}

impl Slot {
    /// Counts beyond `MOST` and parts beyond `FULL` are cut to these.
    pub(super) fn new(good: u64, bad: u64, covered: u16) -> Self {
        let (good, bad) = (good.min(MOST), bad.min(MOST));
        Self {
            good_low: good as u32,
            bad_low: bad as u32,
            covered: covered.min(FULL),
            good_high: (good >> 32) as u8,
            bad_high: (bad >> 32) as u8,
        }
    }

    pub(super) fn good(self) -> u64 {
        u64::from(self.good_high) << 32 | u64::from(self.good_low)
    }

    pub(super) fn bad(self) -> u64 {
        u64::from(self.bad_high) << 32 | u64::from(self.bad_low)
    }

    pub(super) fn covered(self) -> u16 {
        self.covered
    }
}

/// Slot n holds the time after n x width up to (n + 1) x width: what was counted since the tick before
/// belongs to the time before now, also when now is where two slots meet.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    width_ns: u64,
    slots: Box<[Slot]>,
    /// Number of the newest slot; the others are those before it.
    newest: u64,
}

impl Ring {
    /// An empty ring of slots of an hour at most, that reaches back `reach_ns` from the running slot.
    pub(super) fn new(width_ns: u64, reach_ns: u64) -> Self {
        let slots = reach_ns.div_ceil(width_ns) as usize + 1;
        Self { width_ns, slots: vec![Slot::default(); slots].into(), newest: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// True if it holds all slots of such a window, the running one among them.
    pub(super) fn reaches(&self, window_ns: u64) -> bool {
        window_ns.div_ceil(self.width_ns) <= self.slots.len() as u64
    }

    /// The slot that holds the time up to and with `at_ns`.
    fn number(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(1) / self.width_ns
    }

    fn slot(&mut self, number: u64) -> &mut Slot {
        let place = number % self.slots.len() as u64;
        &mut self.slots[place as usize]
    }

    /// Adds events counted up to `now_ns`, and the time from `from_ns` on as observed.
    pub(super) fn add(&mut self, now_ns: u64, good: u64, bad: u64, from_ns: u64) {
        let number = self.number(now_ns);
        self.advance(number);
        let slot = *self.slot(number);
        *self.slot(number) =
            Slot::new(slot.good().saturating_add(good), slot.bad().saturating_add(bad), slot.covered);
        if from_ns < now_ns {
            for number in (from_ns / self.width_ns).max(self.oldest())..=number {
                let start = number * self.width_ns;
                let parts = self.parts(start, now_ns) - self.parts(start, from_ns);
                let slot = self.slot(number);
                slot.covered = slot.covered.saturating_add(parts).min(FULL);
            }
        }
    }

    /// Empties the slots that come into reach when `number` is the newest.
    fn advance(&mut self, number: u64) {
        let new = number.saturating_sub(self.newest).min(self.slots.len() as u64);
        for number in number + 1 - new..=number {
            *self.slot(number) = Slot::default();
        }
        self.newest = self.newest.max(number);
    }

    fn oldest(&self) -> u64 {
        (self.newest + 1).saturating_sub(self.slots.len() as u64)
    }

    /// Whole parts of the slot that starts at `start_ns` that are over at `at_ns`. Adjacent spans add up
    /// exactly.
    fn parts(&self, start_ns: u64, at_ns: u64) -> u16 {
        let over = at_ns.saturating_sub(start_ns).min(self.width_ns);
        (over * u64::from(FULL) / self.width_ns) as u16
    }

    /// The slots of a window that ends at `now_ns`, as far as they are held, oldest first.
    pub(super) fn window(&self, now_ns: u64, window_ns: u64) -> impl Iterator<Item = Slot> {
        let newest = self.number(now_ns);
        let oldest = (newest + 1).saturating_sub(window_ns.div_ceil(self.width_ns).max(1)).max(self.oldest());
        let count = (newest.min(self.newest) + 1).saturating_sub(oldest);
        let (before, from) = self.slots.split_at((oldest % self.slots.len() as u64) as usize);
        from.iter().chain(before).take(count as usize).copied()
    }

    /// What is in a window: as many slots as it is wide, the running one among them.
    pub(super) fn sum(&self, now_ns: u64, window_ns: u64) -> Sum {
        let (mut good, mut bad, mut covered) = (0, 0, 0);
        for slot in self.window(now_ns, window_ns) {
            good += slot.good();
            bad += slot.bad();
            covered += u64::from(slot.covered);
        }
        let running = self.parts(self.number(now_ns) * self.width_ns, now_ns);
        let before = window_ns.div_ceil(self.width_ns).saturating_sub(1) as f64 * f64::from(FULL);
        let all = before + f64::from(running.max(1));
        Sum { good, bad, covered: (covered as f64 / all).min(1.0) }
    }

    /// Equal neighbours as one, newest first, until only empty ones are left.
    pub(super) fn stretches(&self) -> Vec<(u32, Slot)> {
        let mut all: Vec<(u32, Slot)> = Vec::new();
        let (before, from) = self.slots.split_at((self.newest % self.slots.len() as u64) as usize + 1);
        for slot in before.iter().rev().chain(from.iter().rev()) {
            match all.last_mut().filter(|last| last.1 == *slot) {
                Some(last) => last.0 += 1,
                None => all.push((1, *slot)),
            }
        }
        all.pop_if(|last| last.1 == Slot::default());
        all
    }

    /// Fills an empty ring with stretches whose newest slot holds `at_ns`; what is too old is left out.
    pub(super) fn fill(&mut self, at_ns: u64, stretches: impl Iterator<Item = (u32, Slot)>) {
        self.newest = self.number(at_ns);
        let all = stretches.flat_map(|(slots, slot)| std::iter::repeat_n(slot, slots as usize));
        for (number, slot) in (self.oldest()..=self.newest).rev().zip(all) {
            *self.slot(number) = slot;
        }
    }
}

//! Whether two saw the same, at about the same time.

use std::fmt;

use crate::history::SECONDS;
use crate::{KNOWN_MS, STEP_MS};

/// What somebody saw: one look every step.
pub(crate) struct Line {
    pub(crate) from_ms: u64,
    pub(crate) states: Vec<bool>,
}

/// One state gave way to the other for longer than a blip; `from_ms` to `until_ms` it wavered.
struct Change {
    to: bool,
    from_ms: u64,
    until_ms: u64,
}

/// What was compared.
#[derive(Default)]
pub(crate) struct Tally {
    /// Of both.
    pub(crate) changes: usize,
    /// How many are at most one step, two steps, and more apart.
    apart: [usize; 3],
    worst_ms: u64,
    /// Beginnings that only one saw.
    pub(crate) alone: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.apart.iter_mut().zip(other.apart).for_each(|(sum, more)| *sum += more);
        self.worst_ms = self.worst_ms.max(other.worst_ms);
        self.alone += other.alone;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, apart: [one, two, more], worst_ms, alone } = self;
        write!(f, "{changes:>6} changes: {one:>5} within 15 s, {two:>4} within 30 s, {more:>3} beyond, ")?;
        write!(f, "at most {worst_ms:>5} ms; {alone} blips in one of them only")
    }
}

impl Line {
    fn at(&self, look: usize) -> u64 {
        self.from_ms + look as u64 * STEP_MS
    }

    /// When it went to which state.
    fn moves(&self) -> Vec<(u64, bool)> {
        let pairs = self.states.windows(2).enumerate();
        pairs.filter(|(_, pair)| pair[0] != pair[1]).map(|(at, pair)| (self.at(at + 1), pair[1])).collect()
    }

    /// Changes between states that lasted for longer than `blip_ms`.
    fn changes(&self, blip_ms: u64) -> Vec<Change> {
        let (mut look, mut before, mut all) = (0, None::<(bool, usize)>, Vec::new());
        for run in self.states.chunk_by(|a, b| a == b) {
            let (state, begins) = (run[0], look);
            look += run.len();
            if run.len() as u64 * STEP_MS <= blip_ms {
                continue;
            }
            if let Some((_, ends)) = before.filter(|(known, _)| *known != state) {
                all.push(Change { to: state, from_ms: self.at(ends), until_ms: self.at(begins) });
            }
            before = Some((state, look));
        }
        all
    }
}

impl Change {
    /// How far a move is from it.
    fn off(&self, at_ms: u64) -> u64 {
        self.from_ms.saturating_sub(at_ms).max(at_ms.saturating_sub(self.until_ms))
    }

    /// How far the nearest move to the same state is.
    fn nearest(&self, moves: &[(u64, bool)]) -> Option<u64> {
        moves.iter().filter(|(_, to)| *to == self.to).map(|(at_ms, _)| self.off(*at_ms)).min()
    }
}

/// Every change of one is a move of the other, no further away than `bound_ms`. Gives back what is not.
pub(crate) fn compare(ours: &Line, theirs: &Line, bound_ms: u64, tally: &mut Tally) -> Vec<String> {
    let compared = KNOWN_MS + bound_ms..SECONDS * 1000 - 2 * bound_ms;
    let mut apart = Vec::new();
    for (whose, one, other) in [("Weir", ours, theirs), ("Prometheus", theirs, ours)] {
        let moves = other.moves();
        for change in one.changes(bound_ms).iter().filter(|change| compared.contains(&change.from_ms)) {
            let off = change.nearest(&moves);
            tally.changes += 1;
            if let Some(off) = off.filter(|off| *off <= bound_ms) {
                tally.apart[(off.saturating_sub(1) / STEP_MS).min(2) as usize] += 1;
                tally.worst_ms = tally.worst_ms.max(off);
            } else {
                let Change { to, from_ms, .. } = change;
                apart.push(format!("{whose} has it as {to} from {from_ms} ms on, the other {off:?} ms off"));
            }
        }
        let begun = one.moves().into_iter().filter(|(at_ms, to)| *to && compared.contains(at_ms));
        let begun = begun.map(|(at_ms, to)| Change { to, from_ms: at_ms, until_ms: at_ms });
        let alone = |change: &Change| change.nearest(&moves).is_none_or(|off| off > bound_ms);
        tally.alone += begun.filter(alone).count();
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quiet until the windows are known, then as said.
    fn line(from_ms: u64, later: &str) -> Line {
        let quiet = ".".repeat((KNOWN_MS / STEP_MS) as usize + 3);
        Line { from_ms, states: format!("{quiet}{later}").chars().map(|c| c == 'x').collect() }
    }

    #[test]
    fn what_is_further_apart_than_allowed_is_told_and_what_is_not_is_not() {
        let cases = [
            ("..xxxxxx......", 0, "..xxxxxx......", 0, 0),
            ("..xxxxxx......", 4000, "....xxxxxx....", 0, 0),
            ("..xxxxxx......", 4001, "....xxxxxx....", 4, 2),
            ("..xxxxxx......", 0, ".....xxx......", 2, 2),
            ("..xxxxxx......", 0, "..............", 2, 1),
            ("......x.......", 0, "..............", 0, 1),
            ("..x.xxxxxxx.x.....", 0, "....xxxxxxx.......", 0, 1),
            ("..xxxxxxxxxx.....", 0, "..xxx..xxxxx.....", 0, 1),
        ];
        for (ours, from_ms, theirs, apart, alone) in cases {
            let mut tally = Tally::default();
            let found = compare(&line(0, ours), &line(from_ms, theirs), 34_000, &mut tally);
            assert_eq!((found.len(), tally.alone), (apart, alone), "{ours} {theirs}: {found:?}");
        }
    }
}

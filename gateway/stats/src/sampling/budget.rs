//! At most so many items a second, and still an unbiased sample.
//!
//! # How it chooses
//!
//! An item i comes with the threshold T_i by which it was kept already, so its random value R_i is uniform
//! over T_i to M - 1 (M = 2^56), and its *rank* u_i = (R_i - T_i) / (M - T_i) is uniform over [0, 1) whatever
//! T_i is. Of the items of a window, those whose rank is greater than the (k+1)-th largest rank, w, are kept:
//! k of them, fewer only if ranks tie, all if at most k came. R_i takes u_i above w exactly from
//!
//! ```text
//! T'_i = T_i + floor(w (M - T_i)) + 1        (T'_i = T_i if at most k came)
//! ```
//!
//! on, one step beyond the value that ranks w. This is the item's new threshold, again a comparison with R
//! alone, so the decision can be written as `th` and is consistent with all others made from the same R.
//!
//! # Why the estimate is unbiased
//!
//! Take an item i and fix the R of all others. Let w_i be the k-th largest rank among the others that were
//! offered. If u_i > w_i, then w_i is the (k+1)-th largest of all, w = w_i, and i is kept; if not, at least k
//! others rank as high, so w >= u_i and i is not kept. Hence i is offered and kept exactly if R_i >= T'_i
//! computed with w_i, which does not depend on R_i, and R_i is uniform over 0 to M - 1: the probability is
//! p_i = (M - T'_i) / M, and i adds p_i * 1/p_i = 1 to the expected estimate. This holds for every choice of
//! the others, so it holds on the whole; T_i may differ from item to item, as it only has to be settled
//! without looking at R. From k = 2 on the same argument on two items shows their weights uncorrelated, which
//! is what the variance of an [`Estimate`](super::Estimate) wants. This is priority sampling (Duffield, Lund,
//! Thorup, 2007), or bottom-k with rank conditioning (Cohen, Kaplan, 2008). Ranks are compared as exact
//! fractions and thresholds rounded in whole numbers, so "exactly" means it.
//!
//! One condition: some R_i must be able to rank above w_i, that is w_i < 1 - 1/(M - T_i). Else i cannot be
//! kept beside these others and is missing from the estimate. Of n items this happens less than once in (k (M
//! - T_i) / (e n))^k windows: never, for a probability anybody samples with.
//!
//! # Why not by R itself
//!
//! Ranking by R, with max(T_i, w) as the new threshold, is unbiased for the same reason. But items of a high
//! T_i have high R: errors that are always kept (T = 0) would lose nearly every place to a flood thinned to
//! one in a hundred (R >= 0.99 M). Ranked by u, everybody's probability shrinks by the same factor 1 - w, and
//! what mattered more before still does. In OpenTelemetry's words this is a proportional, not an equalizing
//! sampler.
//!
//! # What it asks for
//!
//! R independent from item to item. Items of one trace share R: with equal T they rank equal and are kept or
//! dropped together, and the argument holds for them as a group; with different T it holds only
//! approximately.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;

use super::{Randomness, Threshold, UNIVERSE};

/// The length of a window: one second, in ns.
pub const WINDOW_NS: u64 = 1_000_000_000;

/// An item that a threshold keeps and that asks for a place in the budget.
#[derive(Clone, Debug)]
pub struct Candidate<P> {
    rank: Rank,
    threshold: Threshold,
    payload: P,
}

impl<P> Candidate<P> {
    /// An item, its random value and the threshold that kept it; the payload back if the threshold does not
    /// keep it, since such an item was chosen by something else and no probability is known for it.
    pub fn new(randomness: Randomness, threshold: Threshold, payload: P) -> Result<Self, P> {
        if !threshold.keeps(randomness) {
            return Err(payload);
        }
        let rank = Rank { above: randomness.bits() - threshold.bits(), room: UNIVERSE - threshold.bits() };
        Ok(Self { rank, threshold, payload })
    }
}

/// An item that got a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<P> {
    pub payload: P,
    /// The threshold of both decisions together; its probability is that of the item in the sample.
    pub threshold: Threshold,
}

/// A window that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed<P> {
    /// Which second it was, counted from 0 of the caller's clock.
    pub second: u64,
    /// Items that asked for a place; those not kept are gone.
    pub offered: u64,
    /// At most `k` items, highest rank first.
    pub kept: Vec<Kept<P>>,
    /// The new threshold of an item that came with [`Threshold::ALWAYS`]; unchanged if at most `k` asked.
    pub threshold: Threshold,
}

/// Keeps at most k of the items of each second, with a known probability (see the head of this file).
///
/// Holds at most k + 1 payloads; an offer costs O(log k). Items come out when their second is over: up to one
/// second later.
#[derive(Clone, Debug)]
pub struct Budget<P> {
    k: usize,
    second: u64,
    offered: u64,
    /// The k + 1 highest ranks, the least on top.
    best: BinaryHeap<Place<P>>,
}

impl<P> Budget<P> {
    /// A budget of `k` items a second. Two or more, if a variance is to be estimated.
    pub fn new(k: NonZeroUsize) -> Self {
        Self { k: k.get(), second: 0, offered: 0, best: BinaryHeap::new() }
    }

    /// Adds an item at `now_ns`; returns the window before if this begins a new one. An item from an earlier
    /// second than the running one counts in the running one: which window it falls in does not depend on its
    /// random value.
    pub fn offer(&mut self, now_ns: u64, candidate: Candidate<P>) -> Option<Closed<P>> {
        let closed = self.close(now_ns);
        self.offered += 1;
        let place = Place(candidate);
        if self.best.len() <= self.k {
            self.best.push(place);
        } else if let Some(mut least) = self.best.peek_mut()
            && place.0.rank > least.0.rank
        {
            *least = place;
        }
        closed
    }

    /// The running window, if it is over at `now_ns` and had items. The second of `now_ns` runs from then on.
    pub fn close(&mut self, now_ns: u64) -> Option<Closed<P>> {
        let second = now_ns / WINDOW_NS;
        if second <= self.second {
            return None;
        }
        let closed = self.finish();
        self.second = second;
        closed
    }

    /// The running window, over or not, if it had items. An item offered later in the same second begins it
    /// anew, with a budget of its own.
    pub fn finish(&mut self) -> Option<Closed<P>> {
        if self.offered == 0 {
            return None;
        }
        let mut ranked = std::mem::take(&mut self.best).into_sorted_vec();
        let bar = if ranked.len() > self.k { ranked.last().map(|least| least.0.rank) } else { None };
        ranked.retain(|place| bar.is_none_or(|bar| place.0.rank > bar));
        let kept = ranked
            .into_iter()
            .map(|Place(item)| Kept { threshold: raised(item.threshold, bar), payload: item.payload });
        let closed = Closed {
            second: self.second,
            offered: self.offered,
            kept: kept.collect(),
            threshold: raised(Threshold::ALWAYS, bar),
        };
        self.offered = 0;
        Some(closed)
    }
}

/// The least random value whose rank above `threshold` is greater than the bar.
fn raised(threshold: Threshold, bar: Option<Rank>) -> Threshold {
    let Some(bar) = bar else { return threshold };
    let room = UNIVERSE - threshold.bits();
    let step = u128::from(bar.above) * u128::from(room) / u128::from(bar.room) + 1;
    // No random value ranks above a bar so high that this reaches 2^56; then nothing is kept and the least
    // probability stands for none.
    let bits = (u128::from(threshold.bits()) + step).min(u128::from(UNIVERSE - 1));
    Threshold::from_bits(bits as u64).unwrap_or(threshold)
}

/// Where a random value stands above its threshold: `above` of `room` values, a fraction in [0, 1).
#[derive(Clone, Copy, Debug)]
struct Rank {
    above: u64,
    room: u64,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.above) * u128::from(other.room);
        left.cmp(&(u128::from(other.above) * u128::from(self.room)))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

/// A candidate in the heap, where the least rank is the greatest.
#[derive(Clone, Debug)]
struct Place<P>(Candidate<P>);

impl<P> Ord for Place<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.rank.cmp(&self.0.rank)
    }
}

impl<P> PartialOrd for Place<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for Place<P> {
    fn eq(&self, other: &Self) -> bool {
        self.0.rank == other.0.rank
    }
}

impl<P> Eq for Place<P> {}

#[cfg(test)]
mod tests;

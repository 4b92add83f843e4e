//! ADWIN and Page-Hinkley over the ranks of numbers in the reference: when something changed, beside whether.
//!
//! They are no test with a level, know no phi, and begin anew with a restart: what they find is shown.

use weir_profile::{FeatureKind, Profile};
use weir_stats::drift::{Adwin, PageHinkley, mid_ranks};

use super::block::Block;

/// The change of the mean rank that Page-Hinkley is tuned to.
const SHIFT: f64 = 0.1;

/// Bytes of one feature: the rings of ADWIN, and a rank a bin.
pub(super) const BYTES: usize = 3072 + 256 * size_of::<f64>();

/// One of each for every number; `None` for categories.
#[derive(Debug)]
pub(super) struct Detectors(Vec<Option<Pair>>);

#[derive(Debug)]
struct Pair {
    ranks: Vec<f64>,
    adwin: Adwin,
    page_hinkley: PageHinkley,
}

/// Changes of one feature that were found: by ADWIN, by Page-Hinkley.
pub(super) type Changes = [u32; 2];

impl Detectors {
    /// `None` if none is wanted, or the run length makes no sense.
    pub(super) fn new(run_length: u64, profile: &Profile) -> Option<Self> {
        let wanted = run_length as f64;
        let whole = profile.cell(None, None)?;
        let pair = |(at, feature): (usize, &weir_profile::Feature)| match feature.kind {
            FeatureKind::Category { .. } => None,
            FeatureKind::Number { .. } => Some(Pair {
                ranks: mid_ranks(&whole.counts.get(at)?.bins),
                adwin: Adwin::for_run_length(wanted)?,
                page_hinkley: PageHinkley::for_run_length(wanted, SHIFT)?,
            }),
        };
        let all: Vec<Option<Pair>> = profile.features.iter().enumerate().map(pair).collect();
        (run_length > 0 && all.iter().any(Option::is_some)).then_some(Self(all))
    }

    /// Follows the rows that count of a block, and adds what is found to `changes`, by feature.
    pub(super) fn follow(&mut self, block: &Block, profile: &Profile, changes: &mut Vec<Changes>) {
        changes.resize(self.0.len(), [0; 2]);
        for (at, (pair, changes)) in self.0.iter_mut().zip(changes).enumerate() {
            let (Some(pair), Some(feature)) = (pair, profile.features.get(at)) else { continue };
            let FeatureKind::Number { bins, .. } = &feature.kind else { continue };
            let Some(values) = block.numbers(at) else { continue };
            let rows = block.chosen(feature.role).all.iter().map(|row| values[*row as usize]);
            for rank in rows.filter_map(|x| bins.rank(&pair.ranks, x)) {
                changes[0] += u32::from(pair.adwin.push(rank));
                changes[1] += u32::from(pair.page_hinkley.push(rank).is_some());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::tally::rows::Scratch;
    use crate::tally::tests::{SPAN, ages, simple, wish};
    use crate::tally::{Lost, Tally, Wish};

    /// Detectors follow ranks: nothing is found in rows of the reference, and a shift is, by both, within a
    /// window.
    #[test]
    fn detectors_find_a_shift_and_nothing_in_what_is_alike() {
        let follows = Wish { run_length: 100_000, ..wish(None) };
        let mut tally = Tally::new(follows, Arc::new(simple()), 0);
        let mut scratch = Scratch::default();
        // Every age once, in an order without a trend.
        let alike: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 100)).collect();
        let shifted: Vec<f64> = alike.iter().map(|age| 60.0 + age * 0.4).collect();
        let lost = Lost { total: None, share: 1.0 };
        for values in [&alike, &shifted] {
            let begin = tally.front_ns;
            for i in 0..10 {
                tally.take_in(&ages(begin + 1 + i, values), lost, &mut scratch);
            }
            tally.advance(begin + 2 * SPAN, lost);
        }
        let found: Vec<[u32; 2]> = tally.waiting.iter().map(|window| window.changes[0]).collect();
        assert_eq!(found[0], [0, 0]);
        assert!(found[1].iter().all(|changes| *changes > 0), "{found:?}");
        let none = Tally::new(wish(None), Arc::new(simple()), 0);
        assert!(none.detectors.is_none());
    }
}

//! ADWIN and Page-Hinkley over the ranks of numbers in the reference: when something changed, beside whether.
//!
//! They are no test with a level, know no phi, and begin anew with a restart: what they find is shown.

use weir_exchange::{Batch, ColumnData, Role};
use weir_profile::{FeatureKind, Profile};
use weir_stats::drift::{Adwin, PageHinkley, mid_ranks};

use super::map::Map;
use super::rows::Scratch;

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

    /// Follows the rows that were chosen of a batch, and adds what is found to `changes`, by feature.
    pub(super) fn follow(
        &mut self,
        batch: &Batch,
        (profile, map): (&Profile, &Map),
        scratch: &Scratch,
        changes: &mut Vec<Changes>,
    ) {
        changes.resize(self.0.len(), [0; 2]);
        for (at, (pair, changes)) in self.0.iter_mut().zip(changes).enumerate() {
            let (Some(pair), Some(feature)) = (pair, profile.features.get(at)) else { continue };
            let FeatureKind::Number { bins, .. } = &feature.kind else { continue };
            let column = map.features[at].column.and_then(|at| batch.columns.get(at));
            let Some(ColumnData::Number(values)) = column else { continue };
            let chosen = if feature.role == Role::Input { &scratch.inputs } else { &scratch.predictions };
            let rows = chosen.all.iter().filter_map(|row| values.get(*row as usize));
            for rank in rows.filter_map(|x| bins.rank(&pair.ranks, *x)) {
                changes[0] += u32::from(pair.adwin.push(rank));
                changes[1] += u32::from(pair.page_hinkley.push(rank).is_some());
            }
        }
    }
}

//! Counts of one window, of all its rows or of one segment's.

use serde::{Deserialize, Serialize};
use weir_stats::drift::Distinct;

use super::layout::Layout;

/// What is in no bin, as `Placed` says it.
pub(crate) const MISSING: u16 = u16::MAX;
/// A value of the kind that the reference does not have.
pub(crate) const OTHER_KIND: u16 = u16::MAX - 1;

/// What is counted of a feature beside its bins; sums of weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) missing: f64,
    pub(crate) below: f64,
    pub(crate) above: f64,
    pub(crate) infinite: f64,
    pub(crate) other_kind: f64,
    pub(crate) unseen: f64,
    /// Of the numbers; infinite ones too. The wrong way round while there is none.
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// What tells the first value from others: the bits of a number, the hash of a text.
    first: u64,
    any: bool,
    pub(crate) varies: bool,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            missing: 0.0,
            below: 0.0,
            above: 0.0,
            infinite: 0.0,
            other_kind: 0.0,
            unseen: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            first: 0,
            any: false,
            varies: false,
        }
    }
}

impl Side {
    /// Lowest and highest number; NaN without any.
    pub(crate) fn range(&self) -> (f64, f64) {
        if self.min <= self.max { (self.min, self.max) } else { (f64::NAN, f64::NAN) }
    }

    fn merge(&mut self, other: &Self) {
        self.missing += other.missing;
        self.below += other.below;
        self.above += other.above;
        self.infinite += other.infinite;
        self.other_kind += other.other_kind;
        self.unseen += other.unseen;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.varies |= other.varies;
        if other.any {
            self.saw(other.first);
        }
    }

    fn saw(&mut self, value: u64) {
        // Nearly always known after the second row.
        if self.varies {
            return;
        }
        if !self.any {
            (self.first, self.any) = (value, true);
        }
        self.varies = self.first != value;
    }
}

/// One feature's values, each with its bin.
#[derive(Clone, Copy)]
pub(crate) enum Placed<'a> {
    /// `range` is the reference's.
    Numbers { bins: &'a [u16], values: &'a [f64], range: (f64, f64) },
    /// `hashes` tell texts apart. The last bin is that of unseen texts.
    Texts { bins: &'a [u16], hashes: &'a [u64] },
}

impl Placed<'_> {
    /// The bin of each row, or why there is none.
    pub(crate) fn bins(&self) -> &[u16] {
        match self {
            Self::Numbers { bins, .. } | Self::Texts { bins, .. } => bins,
        }
    }
}

/// Rows that count, with their weights.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) rows: &'a [u32],
    /// For each row, those that do not count included.
    pub(crate) weights: &'a [f64],
}

/// The counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) rows: u64,
    /// Sum of the weights, and of their squares.
    pub(crate) weight: f64,
    pub(crate) squares: f64,
    pub(crate) distinct: Distinct,
    /// Fine bins of all features, as the layout says.
    #[serde(with = "super::packed")]
    pub(crate) bins: Vec<f64>,
    pub(crate) sides: Vec<Side>,
}

impl Part {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            rows: 0,
            weight: 0.0,
            squares: 0.0,
            distinct: Distinct::default(),
            bins: vec![0.0; layout.all_bins()],
            sides: vec![Side::default(); layout.features()],
        }
    }

    /// Whether it is one of this layout.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        self.bins.len() == layout.all_bins() && self.sides.len() == layout.features()
    }

    /// Adds the counts of other rows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.weight += other.weight;
        self.squares += other.squares;
        self.distinct.merge(&other.distinct);
        self.bins.iter_mut().zip(&other.bins).for_each(|(sum, count)| *sum += count);
        self.sides.iter_mut().zip(&other.sides).for_each(|(side, other)| side.merge(other));
    }

    /// How many equally weighted rows know as much (Kish 1965), before rows that repeat.
    pub(crate) fn kish(&self) -> f64 {
        if self.squares > 0.0 { self.weight * (self.weight / self.squares) } else { 0.0 }
    }

    /// Counts rows as such. `hashes` tell them apart.
    pub(crate) fn add_rows(&mut self, Rows { rows, weights }: Rows<'_>, hashes: &[u64]) {
        self.rows += rows.len() as u64;
        for row in rows {
            let weight = weights[*row as usize];
            self.weight += weight;
            self.squares += weight * weight;
            self.distinct.push(hashes[*row as usize]);
        }
    }

    /// Counts what these rows have of a feature.
    pub(crate) fn add(&mut self, layout: &Layout, feature: usize, rows: Rows<'_>, placed: Placed<'_>) {
        let (Some(bins), Some(side)) = (self.bins.get_mut(layout.bins(feature)), self.sides.get_mut(feature))
        else {
            return;
        };
        match placed {
            Placed::Numbers { bins: at, values, range } => numbers(bins, side, rows, (at, values, range)),
            Placed::Texts { bins: at, hashes } => texts(bins, side, rows, (at, hashes)),
        }
    }
}

fn numbers(
    bins: &mut [f64],
    side: &mut Side,
    Rows { rows, weights }: Rows<'_>,
    (at, values, (low, high)): (&[u16], &[f64], (f64, f64)),
) {
    // Kept out of memory while rows are counted.
    let (mut min, mut max) = (side.min, side.max);
    for row in rows {
        let row = *row as usize;
        let weight = weights[row];
        let Some(bin) = bins.get_mut(usize::from(at[row])) else {
            let none = if at[row] == MISSING { &mut side.missing } else { &mut side.other_kind };
            *none += weight;
            continue;
        };
        *bin += weight;
        let Some(x) = values.get(row).copied() else { continue };
        // No bin is that of NaN.
        min = if x < min { x } else { min };
        max = if x > max { x } else { max };
        if x < low || x > high {
            *(if x < low { &mut side.below } else { &mut side.above }) += weight;
            side.infinite += if x.is_infinite() { weight } else { 0.0 };
        }
        if !side.varies {
            // The two zeros are one number.
            side.saw((x + 0.0).to_bits());
        }
    }
    (side.min, side.max) = (min, max);
}

fn texts(
    bins: &mut [f64],
    side: &mut Side,
    Rows { rows, weights }: Rows<'_>,
    (at, hashes): (&[u16], &[u64]),
) {
    let last = bins.len().saturating_sub(1);
    for row in rows {
        let row = *row as usize;
        let weight = weights[row];
        let place = usize::from(at[row]);
        let Some(bin) = bins.get_mut(place) else {
            let none = if at[row] == MISSING { &mut side.missing } else { &mut side.other_kind };
            *none += weight;
            continue;
        };
        *bin += weight;
        if place == last {
            side.unseen += weight;
        }
        side.saw(hashes[row]);
    }
}

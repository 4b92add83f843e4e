//! Where a value falls: fine bins fixed by the reference, and categories by their code.

use super::groups::Groups;

/// Fine bins of a numeric feature, at most: a multiple of the deciles, so that each decile is one of their
/// edges, and no more than 256.
pub const FINE_BINS: usize = 250;

/// Bins of the test, before those that expect too little are merged.
pub const DECILES: usize = 10;

/// Fine bins of a numeric feature. A value that equals an edge lies in the bin below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Rising upper edges of all bins but the last, which is open, as the first is.
    edges: Box<[f64]>,
    /// Those of `edges` that are deciles.
    deciles: Box<[f64]>,
    /// Mean of the reference rows in each bin.
    points: Box<[f64]>,
    min: f64,
    max: f64,
}

/// Where one value falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not a number; it belongs to no bin.
    Missing,
    Inside(usize),
    /// Beyond what the reference held, counted in this end bin all the same.
    Below(usize),
    Above(usize),
}

/// What fell where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// A count a fine bin, out of range included; without what is missing.
    pub bins: Vec<f64>,
    pub below: u64,
    pub above: u64,
    pub missing: u64,
}

impl Bins {
    /// Bins at the quantiles k / 250 of the finite reference rows, equal ones merged; `None` without rows.
    ///
    /// A quantile is of the inverted distribution function (type 1 of Hyndman and Fan 1996): of n rows in
    /// order, that at ceil(n q), counted from 1. One that equals the maximum bounds nothing and is left out.
    pub fn of(reference: &[f64]) -> Option<Self> {
        let mut rows: Vec<f64> = reference.iter().copied().filter(|x| x.is_finite()).collect();
        rows.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*rows.first()?, *rows.last()?);
        let edges = quantiles(&rows, FINE_BINS);
        let points = means(&rows, &edges);
        Some(Self { deciles: quantiles(&rows, DECILES), edges, points, min, max })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.edges.len() + 1
    }

    /// Never: a reference of equal values has one bin.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Upper edges of all bins but the last.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Mean of the reference rows in each bin: where `wasserstein` has them lie.
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// The lowest and the highest reference value.
    pub fn range(&self) -> (f64, f64) {
        (self.min, self.max)
    }

    /// Where a value falls.
    pub fn place(&self, x: f64) -> Place {
        if x.is_nan() {
            return Place::Missing;
        }
        let bin = self.edges.partition_point(|edge| *edge < x);
        match x {
            x if x < self.min => Place::Below(bin),
            x if x > self.max => Place::Above(bin),
            _ => Place::Inside(bin),
        }
    }

    /// Counts values.
    pub fn count(&self, values: &[f64]) -> Counts {
        let mut counts = Counts { bins: vec![0.0; self.len()], ..Counts::default() };
        for x in values {
            let bin = match self.place(*x) {
                Place::Missing => {
                    counts.missing += 1;
                    continue;
                }
                Place::Inside(bin) => bin,
                Place::Below(bin) => {
                    counts.below += 1;
                    bin
                }
                Place::Above(bin) => {
                    counts.above += 1;
                    bin
                }
            };
            counts.bins[bin] += 1.0;
        }
        counts
    }

    /// The fine bins of each decile.
    pub fn deciles(&self) -> Groups {
        let group = |edge: &f64| self.deciles.partition_point(|decile| decile < edge);
        Groups::new(self.edges.iter().map(group).chain([self.deciles.len()]).collect())
    }
}

/// The quantiles k / parts below the maximum of rows in order, equal ones merged.
fn quantiles(rows: &[f64], parts: usize) -> Box<[f64]> {
    let at = |k: usize| rows.get((rows.len() * k).div_ceil(parts).saturating_sub(1)).copied();
    let max = rows.last().copied();
    let mut edges: Vec<f64> = (1..parts).filter_map(at).filter(|edge| Some(*edge) != max).collect();
    edges.dedup();
    edges.into()
}

/// The mean of the rows of each bin, none of which is empty: each edge is a row.
fn means(rows: &[f64], edges: &[f64]) -> Box<[f64]> {
    let mut from = 0;
    let ends = edges.iter().map(|edge| rows.partition_point(|x| x <= edge)).chain([rows.len()]);
    let mean = |to: usize| {
        let part = rows.get(from..to).unwrap_or_default();
        from = to;
        // Divided first, so that no sum overflows.
        part.iter().map(|x| x / part.len() as f64).sum()
    };
    ends.map(mean).collect()
}

/// Categories of a feature, by code: one count each, and a last one for every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Categories {
    codes: usize,
}

impl Categories {
    /// The codes 0 to `codes - 1` are those of the reference.
    pub fn new(codes: usize) -> Self {
        Self { codes }
    }

    /// How many counts there are: one more than codes.
    pub fn len(&self) -> usize {
        self.codes + 1
    }

    /// Never: there is always the other one.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bin of a code; one that the reference lacks, or `None`, is the last.
    pub fn place(&self, code: Option<usize>) -> usize {
        code.map_or(self.codes, |code| code.min(self.codes))
    }

    /// Counts codes.
    pub fn count(&self, codes: impl IntoIterator<Item = Option<usize>>) -> Vec<f64> {
        let mut counts = vec![0.0; self.len()];
        codes.into_iter().for_each(|code| counts[self.place(code)] += 1.0);
        counts
    }
}

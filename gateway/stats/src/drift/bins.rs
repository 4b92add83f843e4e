//! Where a value falls: fine bins fixed by the reference, and categories by their code.

use super::groups::Groups;

/// Fine bins of a numeric feature, at most: as many as a byte can name.
pub const FINE_BINS: usize = 256;

/// Bins of the test, before those that expect too little are merged.
pub const DECILES: usize = 10;

/// Fine bins of each decile, so that every decile is a fine edge too: 256 is no multiple of ten, and the
/// tails, where a shift shows most in the feature's unit, get the six that are left over.
const FINE_OF_DECILE: [usize; DECILES] = [26, 26, 26, 25, 25, 25, 25, 26, 26, 26];

/// Values that are placed at a time: what they need fits into the registers.
const LANES: usize = 4;

/// Steps of a search.
const STEPS: usize = FINE_BINS.ilog2() as usize;

/// Fine bins of a numeric feature. A value that equals an edge lies in the bin below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Rising upper edges of all bins but the last, which is open, as the first is.
    edges: Box<[f64]>,
    /// The same as `search_tree` lays them out.
    tree: Box<[f64; FINE_BINS]>,
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
    /// Bins at 256 quantiles of the finite reference rows, equal ones merged; `None` without rows. The k-th
    /// decile is cut into `FINE_OF_DECILE` parts f of equal share: q = (k + j / f) / 10.
    ///
    /// A quantile is of the inverted distribution function (type 1 of Hyndman and Fan 1996): of n rows in
    /// order, that at ceil(n q), counted from 1. One that equals the maximum bounds nothing and is left out.
    pub fn of(reference: &[f64]) -> Option<Self> {
        let mut rows: Vec<f64> = reference.iter().copied().filter(|x| x.is_finite()).collect();
        rows.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*rows.first()?, *rows.last()?);
        let edges = quantiles(&rows, &FINE_OF_DECILE);
        let points = means(&rows, &edges);
        let deciles = quantiles(&rows, &[1; DECILES]);
        Some(Self { tree: search_tree(&edges), edges, deciles, points, min, max })
    }

    /// Bins as a file kept them; `None` unless they could have come from rows: edges that rise from `min` and
    /// stay below `max`, deciles among them, and for each bin a point in it, all of them finite.
    pub fn from_parts(
        edges: Vec<f64>,
        deciles: Vec<f64>,
        points: Vec<f64>,
        range: (f64, f64),
    ) -> Option<Self> {
        let (min, max) = range;
        let rises = |numbers: &[f64]| numbers.is_sorted_by(|a, b| a < b);
        let finite = edges.iter().chain(&points).chain([&min, &max]).all(|x| x.is_finite());
        let within = min <= max && edges.iter().all(|edge| (min..max).contains(edge));
        let of_edges = deciles.iter().all(|decile| edges.contains(decile));
        // A mean is rounded, so that the mean of equal rows may be a little off them.
        let slack = (max - min).max(min.abs()).max(max.abs()) * 1e-9;
        let (lower, upper) = ([min].into_iter().chain(edges.clone()), edges.iter().copied().chain([max]));
        let inside = |((low, high), x): ((f64, f64), &f64)| (low - slack..=high + slack).contains(x);
        let pointed = points.len() == edges.len() + 1 && lower.zip(upper).zip(&points).all(inside);
        let fits = finite && within && rises(&edges) && rises(&deciles) && of_edges && pointed;
        (fits && edges.len() < FINE_BINS).then(|| Self {
            tree: search_tree(&edges),
            edges: edges.into(),
            deciles: deciles.into(),
            points: points.into(),
            min,
            max,
        })
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

    /// Those of the edges that are deciles.
    pub fn decile_edges(&self) -> &[f64] {
        &self.deciles
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
        let [bin] = self.edges_below(&[x]);
        match x {
            x if x < self.min => Place::Below(bin),
            x if x > self.max => Place::Above(bin),
            _ => Place::Inside(bin),
        }
    }

    /// The bin of each value, `missing` for what is none; appended to `bins`.
    ///
    /// Four values at a time: each step of a search waits for the one before, and those of others go on
    /// meanwhile.
    pub fn place_all(&self, values: &[f64], missing: u16, bins: &mut Vec<u16>) {
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            let below = self.edges_below(chunk);
            let bin = |lane: usize| if chunk[lane].is_nan() { missing } else { below[lane] as u16 };
            bins.extend((0..LANES).map(bin));
        }
        let bin = |x: &f64| if x.is_nan() { missing } else { self.edges_below(&[*x])[0] as u16 };
        bins.extend(rest.iter().map(bin));
    }

    /// How many edges are below each value, of numbers.
    ///
    /// Each step goes down to the left or to the right, by arithmetic: a branch would be guessed wrong every
    /// other time. (That an edge is not at or above the value is, of numbers, that it is below; the processor
    /// has it in the carry.)
    #[inline(always)]
    fn edges_below<const N: usize>(&self, values: &[f64; N]) -> [usize; N] {
        let mut at = [1; N];
        for _ in 0..STEPS {
            for (at, x) in at.iter_mut().zip(values) {
                #[expect(
                    clippy::neg_cmp_op_on_partial_ord,
                    reason = "see above; NaN is looked at by callers"
                )]
                let right = !(self.tree[*at] >= *x);
                *at = *at + *at + usize::from(right);
            }
        }
        at.map(|at| at - FINE_BINS)
    }

    /// The rank of a value in the reference, from 0 to 1, by the `mid_ranks` of its counts; 0 and 1 beyond
    /// the range, `None` of what is missing.
    pub fn rank(&self, mid_ranks: &[f64], x: f64) -> Option<f64> {
        match self.place(x) {
            Place::Missing => None,
            Place::Inside(bin) => mid_ranks.get(bin).copied(),
            Place::Below(_) => Some(0.0),
            Place::Above(_) => Some(1.0),
        }
    }

    /// Counts values.
    pub fn count(&self, values: &[f64]) -> Counts {
        let mut counts = Counts { bins: vec![0.0; self.len()], ..Counts::default() };
        self.count_into(values, &mut counts);
        counts
    }

    /// Adds values to counts of these bins, without allocating; false, and nothing added, to those of others.
    pub fn count_into(&self, values: &[f64], counts: &mut Counts) -> bool {
        if counts.bins.len() != self.len() {
            return false;
        }
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
        true
    }

    /// The fine bins of each decile.
    pub fn deciles(&self) -> Groups {
        let group = |edge: &f64| self.deciles.partition_point(|decile| decile < edge);
        Groups::new(self.edges.iter().map(group).chain([self.deciles.len()]).collect())
    }
}

/// The quantiles of rows in order that cut each decile into its parts, below the maximum, equal ones merged.
fn quantiles(rows: &[f64], parts: &[usize; DECILES]) -> Box<[f64]> {
    // ceil(n (k + j / parts) / 10) in whole numbers, so that a decile is the same row however fine the cut.
    let rank = |k: usize, j: usize| (rows.len() * (k * parts[k] + j)).div_ceil(DECILES * parts[k]);
    let at = |(k, j)| rows.get(rank(k, j).saturating_sub(1)).copied();
    let max = rows.last().copied();
    let cuts = (0..DECILES).flat_map(|k| (0..parts[k]).map(move |j| (k, j))).skip(1);
    let mut edges: Vec<f64> = cuts.filter_map(at).filter(|edge| Some(*edge) != max).collect();
    edges.dedup();
    edges.into()
}

/// The edges, and infinity up to one less than a power of two, as a tree: the middle one at 1, and below that
/// at k those at 2k and 2k + 1 (Khuong and Morin 2017). What a search looks at first lies together.
fn search_tree(edges: &[f64]) -> Box<[f64; FINE_BINS]> {
    let mut tree = Box::new([f64::INFINITY; FINE_BINS]);
    for (at, node) in tree.iter_mut().enumerate().skip(1) {
        // At depth d are the multiples of 2^(8 - d - 1) that are no multiples of the next power, in order.
        let depth = at.ilog2() as usize;
        let width = FINE_BINS >> depth;
        let rank = (at - (1 << depth)) * width + width / 2;
        if let Some(edge) = edges.get(rank - 1) {
            *node = *edge;
        }
    }
    tree
}

/// The rank of each bin of a reference, from 0 to 1: the share of rows in bins below, and half of those in
/// its own (Bross 1958: ridit). Over the reference's own rows the mean is 1/2 and the variance 1/12 or
/// less.
pub fn mid_ranks(reference: &[f64]) -> Vec<f64> {
    let total: f64 = reference.iter().sum();
    let mut below = 0.0;
    let rank = |rows: &f64| {
        let middle = below + rows / 2.0;
        below += rows;
        if total > 0.0 { middle / total } else { 0.5 }
    };
    reference.iter().map(rank).collect()
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

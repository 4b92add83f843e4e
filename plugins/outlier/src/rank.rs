//! How far out a value lies in the reference, as a score: minus the decimal logarithm of the probability that
//! any of a row's features lies as far out.

use std::collections::BTreeMap;

use weir_plugin_sdk::reference::Feature;

/// Steps of the reference's quantiles, so that no fine bin has a smaller share of its rows. Bins of equal
/// quantiles are merged, and have more.
const STEPS: f64 = 250.0;

/// The score of what is as far out as can be.
pub(crate) const HIGHEST: f64 = 12.0;

/// A group of categories in the names of bins.
const OTHER: &str = "other";

/// The score of a row one of whose features has this tail probability: Sidak's correction for so many.
pub(crate) fn score(p: f64, features: usize) -> f64 {
    let any = -(features as f64 * (-p.clamp(0.0, 1.0)).ln_1p()).exp_m1();
    (0.0 - any.log10()).clamp(0.0, HIGHEST)
}

/// A feature of numbers.
#[derive(Debug)]
pub(crate) struct Ranks {
    /// Upper edges of the fine bins but for the last.
    edges: Vec<f64>,
    /// By fine bin.
    scores: Vec<f64>,
    min: f64,
    max: f64,
    /// Tail probability of a value just beyond the reference.
    beyond: f64,
    features: usize,
}

impl Ranks {
    /// From the fine edges, and the bins that are tested with their rows, each named by its upper edge.
    pub(crate) fn new(
        feature: &Feature,
        edges: Vec<f64>,
        bins: &[(String, f64)],
        (rows, features): (f64, usize),
    ) -> Self {
        let tails = tails(&edges, bins, rows);
        // Of n rows that are alike, the next one is the lowest with probability 1 / (n + 1).
        let beyond = 2.0 / (rows + 1.0);
        let scores = tails.into_iter().map(|tail| score((2.0 * tail).max(beyond), features)).collect();
        Self { edges, scores, min: feature.min, max: feature.max, beyond, features }
    }

    /// The score of a value that is there.
    pub(crate) fn score(&self, x: f64) -> f64 {
        let inside = x >= self.min && x <= self.max;
        let bin = self.edges.partition_point(|edge| *edge < x);
        let known = self.scores.get(bin).filter(|_| inside);
        known.copied().unwrap_or_else(|| self.beyond_range(x))
    }

    /// Beyond the reference the tail is taken to fall with the square of the distance, in widths of its
    /// range: no slower than any distribution's that has a variance.
    #[cold]
    fn beyond_range(&self, x: f64) -> f64 {
        let width = self.max - self.min;
        let width = if width > 0.0 { width } else { self.max.abs().max(1.0) };
        let distance = (self.min - x).max(x - self.max) / width;
        score(self.beyond / (1.0 + distance).powi(2), self.features)
    }
}

/// By fine bin, the share of the reference that lies as far down as its upper edge, or as far up as its lower
/// one, whichever is less; no smaller than it is, for how a tested bin's rows spread over its fine ones is
/// only known as far as each has one step.
fn tails(edges: &[f64], bins: &[(String, f64)], rows: f64) -> Vec<f64> {
    let step = 1.0 / STEPS.max(edges.len() as f64 + 1.0);
    let off = 1.0 / rows.max(1.0);
    let mut tails = Vec::with_capacity(edges.len() + 1);
    let (mut first, mut below) = (0, 0.0);
    for (last, share) in groups(edges, bins) {
        let above = (1.0 - below - share).max(0.0);
        for bin in first..=last {
            let low = below + (share - (last - bin) as f64 * step + off).clamp(0.0, share);
            let high = above + (share - (bin - first) as f64 * step + off).clamp(0.0, share);
            tails.push(low.min(high));
        }
        (first, below) = (last + 1, below + share);
    }
    tails
}

/// Tested bins as the last fine bin of each, and its share of rows. One for all, if names are not understood.
fn groups(edges: &[f64], bins: &[(String, f64)]) -> Vec<(usize, f64)> {
    let whole = vec![(edges.len(), 1.0)];
    let total: f64 = bins.iter().map(|(_, rows)| rows).sum();
    let Some(((_, at_end), rest)) = bins.split_last().filter(|_| total > 0.0) else { return whole };
    let mut groups = Vec::with_capacity(bins.len());
    for (name, rows) in rest {
        let Some(bin) = name.parse().ok().and_then(|edge| place(edges, edge)) else { return whole };
        if groups.last().is_some_and(|(last, _)| bin <= *last) {
            return whole;
        }
        groups.push((bin, rows / total));
    }
    groups.push((edges.len(), at_end / total));
    groups
}

/// The edge that a name stands for, which has some of its digits.
fn place(edges: &[f64], named: f64) -> Option<usize> {
    let after = edges.partition_point(|edge| *edge < named);
    let near = |at: &usize| (edges[*at] - named).abs();
    let nearest =
        (after.saturating_sub(1)..edges.len().min(after + 1)).min_by(|a, b| near(a).total_cmp(&near(b)))?;
    (near(&nearest) <= 1e-5 * named.abs()).then_some(nearest)
}

/// A feature of texts.
#[derive(Debug)]
pub(crate) struct Rarity {
    /// Scores of texts that the reference tells apart.
    known: BTreeMap<String, f64>,
    /// Of all others: rare ones, and those it lacks.
    other: f64,
}

impl Rarity {
    /// From the bins that are tested, with their rows. What is rarer than any of them is tested together.
    pub(crate) fn new(bins: Vec<(String, f64)>, (rows, features): (f64, usize)) -> Self {
        let total = bins.iter().map(|(_, rows)| rows).sum::<f64>().max(1.0);
        let off = 1.0 / (rows + 1.0);
        let (other, mut alone): (Vec<_>, Vec<_>) = bins.into_iter().partition(|(name, _)| name == OTHER);
        let rare: f64 = other.iter().map(|(_, rows)| rows).sum();
        alone.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut sum = rare;
        let mut known = BTreeMap::new();
        // Texts with as many rows are as rare as each other.
        for equal in alone.chunk_by(|a, b| a.1 == b.1) {
            sum += equal.iter().map(|(_, rows)| rows).sum::<f64>();
            let score = score(sum / total + off, features);
            known.extend(equal.iter().map(|(name, _)| (name.clone(), score)));
        }
        Self { known, other: score(rare / total + off, features) }
    }

    pub(crate) fn score(&self, text: &str) -> f64 {
        self.known.get(text).copied().unwrap_or(self.other)
    }
}

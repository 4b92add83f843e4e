//! Trees as flat arrays.

use serde::{Deserialize, Serialize};

/// A forest. The probability of a class is the mean, over the trees, of its share among the training rows
/// that fell into the same leaf: finer than counting the trees' votes.
///
/// All trees lie behind each other in four parallel arrays; children lie behind their parent and beside each
/// other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forest {
    pub(crate) classes: usize,
    /// For each feature, the value that stands for NaN: the mean over training rows.
    pub(crate) fallback: Vec<f64>,
    /// First node of each tree.
    pub(crate) roots: Vec<u32>,
    /// Feature a node looks at; [`LEAF`] for a leaf.
    pub(crate) feature: Vec<u16>,
    /// A row whose value is at most this goes to the first child, else to the second.
    pub(crate) threshold: Vec<f64>,
    /// The first child, the second follows it; for a leaf, the row of its shares.
    pub(crate) child: Vec<u32>,
    /// Class shares of the leaves, `classes` each.
    pub(crate) shares: Vec<f64>,
    /// Mean number of nodes a training row passes, over all trees.
    pub(crate) steps: f64,
}

/// Marks a leaf in [`Forest::feature`].
pub(crate) const LEAF: u16 = u16::MAX;

impl Forest {
    /// Probabilities of encoded rows. `rows` is changed: what stands for NaN takes its place.
    pub(crate) fn predict(&self, rows: &mut [f64], into: &mut [f64]) {
        let width = self.fallback.len();
        for row in rows.chunks_exact_mut(width) {
            for (value, fallback) in row.iter_mut().zip(&self.fallback) {
                if value.is_nan() {
                    *value = *fallback;
                }
            }
        }
        into.fill(0.0);
        // Tree by tree, so that one tree's nodes stay in the cache for all rows.
        for root in &self.roots {
            for (row, sums) in rows.chunks_exact(width).zip(into.chunks_exact_mut(self.classes)) {
                let leaf = self.leaf(*root, row) * self.classes;
                let shares = &self.shares[leaf..leaf + self.classes];
                sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
            }
        }
        let trees = self.roots.len() as f64;
        into.iter_mut().for_each(|sum| *sum /= trees);
    }

    /// The row of shares that a row without NaN ends at.
    pub(crate) fn leaf(&self, root: u32, row: &[f64]) -> usize {
        let mut at = root as usize;
        loop {
            let feature = self.feature[at];
            let next = self.child[at] as usize;
            if feature == LEAF {
                return next;
            }
            at = next + usize::from(row[usize::from(feature)] > self.threshold[at]);
        }
    }

    /// Refuses arrays that would lead outside themselves or round in circles.
    pub(crate) fn check(&self, features: usize, classes: usize) -> Result<(), String> {
        let nodes = self.feature.len();
        if self.classes != classes || self.fallback.len() != features || features >= usize::from(LEAF) {
            return Err("the forest has other classes or features than the model".into());
        }
        if self.threshold.len() != nodes || self.child.len() != nodes || self.roots.is_empty() {
            return Err("the forest's arrays differ in length".into());
        }
        if self.roots.iter().any(|root| *root as usize >= nodes) {
            return Err("a tree begins behind the last node".into());
        }
        for (at, (feature, child)) in self.feature.iter().zip(&self.child).enumerate() {
            let child = *child as usize;
            let fits = match *feature {
                LEAF => child < self.shares.len() / classes,
                feature => usize::from(feature) < features && child > at && child + 1 < nodes,
            };
            if !fits {
                return Err(format!("node {at} of the forest leads nowhere"));
            }
        }
        let numbers = self.fallback.iter().chain(&self.threshold).chain([&self.steps]);
        if numbers.clone().any(|number| !number.is_finite()) {
            return Err("the forest holds a number that is not finite".into());
        }
        let whole = |shares: &[f64]| (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9;
        let shares = self.shares.chunks_exact(classes);
        if !shares.remainder().is_empty() || !shares.clone().all(whole) {
            return Err("the shares of a leaf do not sum to 1".into());
        }
        Ok(())
    }
}

//! How much wider than by chance tables of a feature spread, how unevenly, and how well that is known.
//!
//! Rows of one hour or one session are alike. Dividing X2 by phi mends its mean, not its tail: what days
//! share is mostly one thing, such as their mean, so X2 is nearly phi dof times the square of one normal
//! number, whose tail is far heavier than that of chi-squared / dof with many; and phi itself is an estimate
//! from a few blocks. With phi from 30 blocks chi-squared at 1e-4 alarms 470 times too often.
//!
//! So X2 is taken for what it is, sum l_i Z_i^2 with l the eigenvalues of the covariance of the residuals
//! (o - e) / sqrt(e), and is judged by F with d1 = sum l / max l and d2 = k - 1 degrees of freedom:
//!
//! - Of all such sums with this mean and this largest l, the one of d1 equal terms has the greatest moment
//!   generating function, as -ln(1 - 2 t l) is convex in l: far out no other has more. For max l = sum l this
//!   is the theorem of Szekely and Bakirov (2003), for equal l it is chi-squared of `dof`.
//! - The mean over k blocks against the rest is known as well as a variance of k numbers is, or better: the
//!   ratio of two such is F (Satterthwaite 1946, Box 1954). d2 = (k - 1) d1 would be its own if l were known;
//!   with l from the same blocks it alarmed up to 1.2 times the level at 1e-5.

use super::chi2::{chi2_sf, f_sf};
use super::table::{Pearson, pearson, total};

/// Squarings of the matrix of blocks: (tr S^64)^(1/64) is at most 7 % above its largest eigenvalue, of 100
/// equal ones, and never below, which is the safe side.
const SQUARINGS: u32 = 6;

/// Overdispersion of a feature's tables.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Dispersion {
    /// The mean of X2 / dof, at least 1. Every X2 is divided by it.
    pub phi: f64,
    /// d1 and d2 of F, if phi comes of blocks.
    pub dof: Option<(f64, f64)>,
}

impl Default for Dispersion {
    fn default() -> Self {
        Self::none()
    }
}

impl Dispersion {
    /// Rows that have nothing to do with each other: phi is 1, and X2 is chi-squared.
    pub fn none() -> Self {
        Self { phi: 1.0, dof: None }
    }

    /// Of blocks of the reference, counts of the groups that are tested; see `phi` for what a block is. Less
    /// than two blocks that can be compared say nothing: `none`.
    pub fn of(blocks: &[Vec<f64>]) -> Self {
        let residuals = residuals(blocks);
        let k = residuals.len();
        let trace: f64 = residuals.iter().flatten().map(|u| u * u).sum();
        let largest = largest_eigenvalue(&residuals);
        if k < 2 || !(trace > 0.0 && largest > 0.0) {
            return Self::none();
        }
        let d1 = (trace / largest).max(1.0);
        Self { phi: phi(blocks), dof: Some((d1, (k - 1) as f64)) }
    }

    /// The tail of a statistic of a table that is about chi-squared without overdispersion, such as X2 or G2.
    pub fn tail(&self, statistic: f64, dof: u32) -> f64 {
        let phi = self.phi.max(1.0);
        let Some((d1, d2)) = self.dof.filter(|_| dof > 0) else {
            return chi2_sf(statistic / phi, dof);
        };
        // A window that leaves bins empty has fewer degrees of freedom than the blocks had.
        f_sf(statistic / (phi * f64::from(dof)), d1.min(f64::from(dof)), d2)
    }

    /// The statistic whose tail is `level`, by bisection; infinite for a level that none reaches.
    pub fn critical(&self, level: f64, dof: u32) -> f64 {
        if dof == 0 || level.is_nan() || level <= 0.0 {
            return f64::INFINITY;
        }
        let (mut low, mut high) = (0.0, f64::from(dof));
        while self.tail(high, dof) > level {
            (low, high) = (high, high * 2.0);
        }
        for _ in 0..64 {
            let middle = low + (high - low) / 2.0;
            if self.tail(middle, dof) > level { low = middle } else { high = middle }
        }
        high
    }
}

/// How much wider than by chance blocks of the reference differ: the mean over blocks of X2 of the block
/// against the rest / dof, at least 1. Blocks are counts of the groups that are tested.
///
/// It is the overdispersion of a quasi-likelihood (McCullagh and Nelder 1989, 4.5; Rao and Scott 1981). Rows
/// of one session or one hour are alike, so blocks have to be stretches of time as long as the window they
/// stand for; blocks of shuffled rows always give 1. Of k blocks its own error is about sqrt(2 / (k d1)).
pub fn phi(blocks: &[Vec<f64>]) -> f64 {
    let all = sum(blocks);
    let ratio = |block: &Vec<f64>| {
        let test = against_the_rest(&all, block)?;
        Some(test.x2 / f64::from(test.dof))
    };
    let ratios: Vec<f64> = blocks.iter().filter_map(ratio).collect();
    if ratios.is_empty() { 1.0 } else { (ratios.iter().sum::<f64>() / ratios.len() as f64).max(1.0) }
}

fn sum(blocks: &[Vec<f64>]) -> Vec<f64> {
    let bins = blocks.first().map_or(0, Vec::len);
    let mut all = vec![0.0; bins];
    for block in blocks.iter().filter(|block| block.len() == bins) {
        all.iter_mut().zip(block).for_each(|(sum, count)| *sum += count);
    }
    all
}

fn against_the_rest(all: &[f64], block: &[f64]) -> Option<Pearson> {
    // Weighted counts may not cancel to the last digit.
    let rest: Vec<f64> = all.iter().zip(block).map(|(sum, count)| (sum - count).max(0.0)).collect();
    pearson(&rest, block, 1.0).filter(|test| test.dof > 0)
}

/// (o - e) / sqrt(e (1 - m / n)) of each bin of each block that can be compared: their squares sum to X2 of
/// the block against the rest.
fn residuals(blocks: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let all = sum(blocks);
    let n = total(&all).unwrap_or_default();
    let residual = |block: &Vec<f64>| {
        against_the_rest(&all, block)?;
        let share = total(block)? / n;
        let of_bin = |(count, sum): (&f64, &f64)| {
            let expected = sum * share;
            if expected > 0.0 { (count - expected) / (expected * (1.0 - share)).sqrt() } else { 0.0 }
        };
        Some(block.iter().zip(&all).map(of_bin).collect())
    };
    blocks.iter().filter_map(residual).collect()
}

/// The largest eigenvalue of sum u u', or just above. The matrix of the products u_a . u_b has the same
/// ones, so the smaller of the two is taken.
fn largest_eigenvalue(residuals: &[Vec<f64>]) -> f64 {
    let dot = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let products = |rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        rows.iter().map(|a| rows.iter().map(|b| dot(a, b)).collect()).collect()
    };
    let bins = residuals.first().map_or(0, Vec::len);
    let by_bin = || (0..bins).map(|bin| residuals.iter().map(|u| u[bin]).collect()).collect::<Vec<_>>();
    let mut matrix = if bins < residuals.len() { products(&by_bin()) } else { products(residuals) };
    let mut ln = 0.0;
    for squaring in 0..=SQUARINGS {
        let trace: f64 = matrix.iter().enumerate().map(|(i, row)| row[i]).sum();
        if trace.is_nan() || trace <= 0.0 {
            return 0.0;
        }
        // The trace is divided out, so that no power overflows.
        ln += trace.ln() / f64::from(1 << squaring);
        if squaring < SQUARINGS {
            matrix.iter_mut().flatten().for_each(|cell| *cell /= trace);
            matrix = products(&matrix);
        }
    }
    ln.exp()
}

//! Pearson's test of a table of two rows, and that of Kolmogorov and Smirnov.

use super::chi2::{chi2_sf, kolmogorov_sf};

/// Pearson's test of two rows of counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pearson {
    /// Before it is divided by phi.
    pub x2: f64,
    /// Bins in which either row has something, less one.
    pub dof: u32,
    /// P(chi-squared of `dof` >= x2 / phi); 1 without degrees of freedom.
    pub p: f64,
}

/// X2 = sum (observed - expected)^2 / expected over the 2 x B table of counts, expected from the margins,
/// with x2 / phi judged; `None` if a row is empty, has another length, or has what is no count.
///
/// Of n rows against m it is the sum of (m n_i - n m_i)^2 / (n m (n_i + m_i)).
///
/// How well the tail holds, of 800,000 draws each: at 1e-4 it is passed in 1.1e-4 of 1000 against 1000 rows,
/// 1.8e-4 of 5000 against 50 (where PSI with a floor is in 5e-2), 0.4e-4 of 100 against 100. So this p is
/// what is reported, and `significance` what alarms compare.
pub fn pearson(reference: &[f64], current: &[f64], phi: f64) -> Option<Pearson> {
    let (n, m) = (total(reference)?, total(current)?);
    if reference.len() != current.len() {
        return None;
    }
    let filled = || reference.iter().zip(current).filter(|(r, c)| *r + *c > 0.0);
    let x2 = filled().map(|(r, c)| (m * r - n * c).powi(2) / (r + c)).sum::<f64>() / (n * m);
    let dof = u32::try_from(filled().count().saturating_sub(1)).ok()?;
    Some(Pearson { x2, dof, p: chi2_sf(x2 / phi.max(1.0), dof) })
}

/// The test of Kolmogorov and Smirnov of two rows of counts of ordered bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// max |F - G| at the edges of bins, of counts as they are.
    pub d: f64,
    pub p: f64,
}

/// D of n rows against m, and Kolmogorov's limit at d sqrt(n m / ((n + m) phi)); `None` where `pearson` has
/// none.
///
/// The limit is that of values without ties. Bins and ties make d smaller and leave the limit as it is, so p
/// is an upper bound: a test that alarms too seldom, never too often. Fine bins lose least.
pub fn kolmogorov_smirnov(reference: &[f64], current: &[f64], phi: f64) -> Option<KolmogorovSmirnov> {
    let (n, m) = (total(reference)?, total(current)?);
    if reference.len() != current.len() {
        return None;
    }
    let (mut below, mut d) = ((0.0, 0.0), 0.0);
    for (r, c) in reference.iter().zip(current) {
        below = (below.0 + r, below.1 + c);
        d = f64::max(d, (m * below.0 - n * below.1).abs() / (n * m));
    }
    Some(KolmogorovSmirnov { d, p: kolmogorov_sf(d * (n * m / ((n + m) * phi.max(1.0))).sqrt()) })
}

/// The sum of counts, if they are counts and it is not 0.
pub(super) fn total(counts: &[f64]) -> Option<f64> {
    let sum: f64 = counts.iter().sum();
    (sum.is_finite() && sum > 0.0 && counts.iter().all(|count| *count >= 0.0)).then_some(sum)
}

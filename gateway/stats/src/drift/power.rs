//! What a test could see at all, so that its silence can be read.

use super::chi2::{chi2_isf, chi2_sf, ln_gamma};

/// How often a change of the smallest visible size is seen.
const POWER: f64 = 0.8;

/// The corrected PSI that n rows against m show at this level in 80 % of looks; infinite if none is.
///
/// Under change X2 / phi is about non-central chi-squared with lambda = PSI n m / ((n + m) phi).
pub fn smallest_psi(n: f64, m: f64, level: f64, dof: u32, phi: f64) -> f64 {
    visible(level, dof) * phi.max(1.0) * (1.0 / n + 1.0 / m)
}

/// By how much the share of a bin that has `share` has to change, the others in proportion, to be as visible:
/// such a change d has sum (q - p)^2 / p = d^2 / (share (1 - share)). It may be more than fits.
pub fn smallest_share_shift(share: f64, smallest_psi: f64) -> f64 {
    (smallest_psi * share * (1.0 - share)).sqrt()
}

/// The non-centrality at which a test at this level has its power, by bisection.
fn visible(level: f64, dof: u32) -> f64 {
    let critical = chi2_isf(level, dof);
    if dof == 0 || level.is_nan() || !critical.is_finite() {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while noncentral_sf(critical, dof, high) < POWER {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..60 {
        let middle = low + (high - low) / 2.0;
        if noncentral_sf(critical, dof, middle) < POWER { low = middle } else { high = middle }
    }
    high
}

/// P(X >= x) of non-central chi-squared: the mean of `chi2_sf` of dof + 2 j over a Poisson j of mean
/// lambda / 2, summed over ten standard deviations around it.
fn noncentral_sf(x: f64, dof: u32, lambda: f64) -> f64 {
    let mean = lambda / 2.0;
    let reach = 10.0 * mean.sqrt() + 20.0;
    let (from, to) = ((mean - reach).max(0.0) as u32, (mean + reach) as u32);
    let term = |j: u32| {
        let weight = (f64::from(j) * mean.ln() - mean - ln_gamma(f64::from(j) + 1.0)).exp();
        weight * chi2_sf(x, dof.saturating_add(2 * j))
    };
    (from..=to).map(term).sum()
}

//! What a test could see at all, so that its silence can be read.

use super::chi2::{chi2_isf, chi2_sf, ln_gamma};
use super::dispersion::Dispersion;

/// How often a change of the smallest visible size is seen.
const POWER: f64 = 0.8;

/// A threshold above this is one that nothing reaches: a thousand times what a change of all rows gives.
const LARGEST_CRITICAL: f64 = 1e6;

/// The corrected PSI that n rows against m show at this level in 80 % of looks; infinite if none is.
///
/// Under change X2 / phi is about non-central chi-squared with lambda = PSI n m / ((n + m) phi).
pub fn smallest_psi(n: f64, m: f64, level: f64, dof: u32, phi: f64) -> f64 {
    visible(level, dof) * phi.max(1.0) * (1.0 / n + 1.0 / m)
}

/// The same of alarms, whose phi comes of blocks: the threshold is that of `Dispersion::tail`, which is
/// higher for few blocks and for one cause.
pub fn smallest_psi_of(rows: (f64, f64), level: f64, dof: u32, dispersion: &Dispersion) -> f64 {
    let phi = dispersion.phi.max(1.0);
    visible_over(dispersion.critical(level, dof) / phi, dof) * phi * (1.0 / rows.0 + 1.0 / rows.1)
}

/// By how much the share of a bin that has `share` has to change, the others in proportion, to be as visible:
/// such a change d has sum (q - p)^2 / p = d^2 / (share (1 - share)). It may be more than fits.
pub fn smallest_share_shift(share: f64, smallest_psi: f64) -> f64 {
    (smallest_psi * share * (1.0 - share)).sqrt()
}

/// The non-centrality at which a test at this level has its power, by bisection.
fn visible(level: f64, dof: u32) -> f64 {
    visible_over(if level.is_nan() { f64::INFINITY } else { chi2_isf(level, dof) }, dof)
}

/// The same of a test that rejects above `critical`.
fn visible_over(critical: f64, dof: u32) -> f64 {
    // So high, as F of two blocks is, that no change within reason is seen.
    if dof == 0 || critical.is_nan() || critical > LARGEST_CRITICAL {
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
///
/// Both factors follow from those before: Q(a + 1, y) = Q(a, y) + y^a e^-y / G(a + 1), and a Poisson's next
/// weight is mean / (j + 1) of the last. So a sum costs about as much as one `chi2_sf`.
fn noncentral_sf(x: f64, dof: u32, lambda: f64) -> f64 {
    let mean = lambda / 2.0;
    let reach = 10.0 * mean.sqrt() + 20.0;
    let (from, to) = ((mean - reach).max(0.0) as u32, (mean + reach) as u32);
    let mut weight = (f64::from(from) * mean.ln() - mean - ln_gamma(f64::from(from) + 1.0)).exp();
    let (mut a, y) = (f64::from(dof) / 2.0 + f64::from(from), x / 2.0);
    let mut tail = chi2_sf(x, dof.saturating_add(2 * from));
    let mut step = (a * y.ln() - y - ln_gamma(a + 1.0)).exp();
    let mut sum = 0.0;
    for j in from..=to {
        sum += weight * tail.min(1.0);
        weight *= mean / (f64::from(j) + 1.0);
        tail += step;
        a += 1.0;
        step *= y / a;
    }
    sum
}

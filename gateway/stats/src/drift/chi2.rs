//! Tails of chi-squared, of F and of Kolmogorov's distribution.
//!
//! The survival function of chi-squared with k degrees of freedom is Q(k/2, x/2), the regularised upper
//! incomplete gamma function. As in Press et al., "Numerical Recipes", 3rd ed., 6.2: below a + 1 by the
//! series P(a, y) = y^a e^-y / G(a + 1) * sum of y^i / ((a + 1) .. (a + i)), above by Lentz's continued
//! fraction. The factor in front is taken in logarithms, so that tails of 1e-300 keep nine digits and more.

use std::f64::consts::{LN_2, PI};

/// More terms than either expansion needs up to a million degrees of freedom.
const MAX_TERMS: u32 = 20_000;

/// P(X >= x) of chi-squared; 1 without degrees of freedom, below 0, and of what is not a number.
pub fn chi2_sf(x: f64, dof: u32) -> f64 {
    upper_gamma(x, dof.into()).unwrap_or_else(f64::exp)
}

/// The natural logarithm of `chi2_sf`, which goes on where that is 0.
pub fn chi2_ln_sf(x: f64, dof: u32) -> f64 {
    upper_gamma(x, dof.into()).map_or_else(|ln| ln, f64::ln)
}

/// The x whose `chi2_sf` is `p`, by bisection; 0 for p of 1 and more, infinite for 0 and less.
pub fn chi2_isf(p: f64, dof: u32) -> f64 {
    if dof == 0 || p.is_nan() || p >= 1.0 {
        return 0.0;
    }
    if p <= 0.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0.0, f64::from(dof) + 1.0);
    while chi2_ln_sf(high, dof) > p.ln() {
        (low, high) = (high, high * 2.0);
    }
    // 64 halvings leave less than the last digit of a double.
    for _ in 0..64 {
        let middle = low + (high - low) / 2.0;
        if chi2_sf(middle, dof) > p { low = middle } else { high = middle }
    }
    low + (high - low) / 2.0
}

/// How many standard deviations a normal interval of this confidence reaches to either side (1.96 of 0.95).
pub fn z_of(confidence: f64) -> f64 {
    chi2_isf(1.0 - confidence, 1).sqrt()
}

/// P(K >= x) of Kolmogorov's limit: 2 sum (-1)^(k-1) exp(-2 k^2 x^2), and for small x its other form,
/// 1 - sqrt(2 pi) / x * sum exp(-(2k - 1)^2 pi^2 / (8 x^2)).
pub fn kolmogorov_sf(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        let term = |k: f64| (-(2.0 * k - 1.0).powi(2) * PI * PI / (8.0 * x * x)).exp();
        let cdf = (2.0 * PI).sqrt() / x * (term(1.0) + term(2.0) + term(3.0) + term(4.0));
        return 1.0 - cdf;
    }
    let term = |k: f64| (-2.0 * k * k * x * x).exp();
    2.0 * (term(1.0) - term(2.0) + term(3.0) - term(4.0) + term(5.0))
}

/// P(X >= x) of F with `d1` and `d2` degrees of freedom, which need not be whole: the regularised incomplete
/// beta function I(d2 / (d2 + d1 x); d2 / 2, d1 / 2). 1 without degrees of freedom, of x up to 0, and of NaN.
pub fn f_sf(x: f64, d1: f64, d2: f64) -> f64 {
    if !(x > 0.0 && d1 > 0.0 && d2 > 0.0) {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    let whole = d2 + d1 * x;
    let (y, rest) = (d2 / whole, d1 * x / whole);
    let (a, b) = (d2 / 2.0, d1 / 2.0);
    let front = a * y.ln() + b * rest.ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    // The fraction is quick on its own side of the mean, and the other side is what is left of 1.
    if y < (a + 1.0) / (a + b + 2.0) {
        front.exp() * beta_fraction(y, a, b) / a
    } else {
        1.0 - front.exp() * beta_fraction(rest, b, a) / b
    }
}

/// I(y; a, b) without the factor y^a (1 - y)^b / (a B(a, b)), as in Press et al., 6.4, by Lentz's method.
fn beta_fraction(y: f64, a: f64, b: f64) -> f64 {
    let nonzero = |x: f64| if x.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { x };
    let mut c = 1.0;
    let mut d = 1.0 / nonzero(1.0 - (a + b) * y / (a + 1.0));
    let mut h = d;
    for i in 1..=MAX_TERMS {
        let (i, twice) = (f64::from(i), f64::from(2 * i));
        let even = i * (b - i) * y / ((a + twice - 1.0) * (a + twice));
        let odd = -(a + i) * (a + b + i) * y / ((a + twice) * (a + twice + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / nonzero(1.0 + numerator * d);
            c = nonzero(1.0 + numerator / c);
            change = d * c;
            h *= change;
        }
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    h
}

/// Q as itself where it is near 1, and as its logarithm (`Err`) where it may be tiny.
fn upper_gamma(x: f64, dof: f64) -> Result<f64, f64> {
    if dof <= 0.0 || x.is_nan() || x <= 0.0 {
        return Ok(1.0);
    }
    if x.is_infinite() {
        return Err(f64::NEG_INFINITY);
    }
    let (a, y) = (dof / 2.0, x / 2.0);
    let front = a * y.ln() - y - ln_gamma(a);
    if y < a + 1.0 { Ok(1.0 - (front + series(a, y).ln()).exp()) } else { Err(front + fraction(a, y).ln()) }
}

/// P(a, y) without the factor y^a e^-y / G(a).
fn series(a: f64, y: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for i in 1..=MAX_TERMS {
        term *= y / (a + f64::from(i));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

/// Q(a, y) without the factor y^a e^-y / G(a): 1 / (y + 1 - a - 1 (1 - a) / (y + 3 - a - ..)).
fn fraction(a: f64, y: f64) -> f64 {
    let mut b = y + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..=MAX_TERMS {
        let i = f64::from(i);
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        h *= d * c;
        if (d * c - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    h
}

/// The logarithm of the gamma function of a positive number: Stirling's series from 16 up, and
/// G(a) = G(a + k) / (a .. (a + k - 1)) below.
pub(super) fn ln_gamma(a: f64) -> f64 {
    let (mut z, mut product) = (a, 1.0);
    while z < 16.0 {
        product *= z;
        z += 1.0;
    }
    let (r, r2) = (1.0 / z, 1.0 / (z * z));
    let tail =
        r * (1.0 / 12.0 - r2 * (1.0 / 360.0 - r2 * (1.0 / 1260.0 - r2 * (1.0 / 1680.0 - r2 / 1188.0))));
    (z - 0.5) * z.ln() - z + (LN_2 + PI.ln()) / 2.0 + tail - f64::ln(product)
}

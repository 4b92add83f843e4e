//! Fisher's exact test of two shares: right for events so rare that none is expected.
//!
//! Given how many there were in all, those in the current row of a table without change are hypergeometric.
//! Logarithms of its probabilities are right to a few digits of a double however many rows there are, by the
//! saddle-point form of the binomial (Loader 2000, "Fast and accurate computation of binomial
//! probabilities"), of which the hypergeometric is three: b(x; t, p) b(m - x; N - t, p) / b(m; N, p).

use std::f64::consts::PI;

use super::chi2::ln_gamma;

/// Outcomes as likely as the observed one but for rounding count as such (R's `fisher.test`).
const TIES: f64 = 1e-7;

/// A hypergeometric number: of `all` rows `marked` are marked, and `drawn` are drawn.
struct Hypergeometric {
    all: f64,
    marked: f64,
    drawn: f64,
}

/// The p-value of `hits` of n rows against `hits` of m, each `(hits, rows)` in whole numbers: how likely any
/// outcome is that is no likelier than this one, of the same rows and the same hits in all.
///
/// 1 if nothing could come out otherwise, as without hits on either side.
pub fn fisher_exact(reference: (f64, f64), current: (f64, f64)) -> f64 {
    let law =
        Hypergeometric { all: reference.1 + current.1, marked: reference.0 + current.0, drawn: current.1 };
    let (low, high) = law.support();
    let x = current.0;
    if !(low < high && (low..=high).contains(&x)) {
        return 1.0;
    }
    let mode = law.mode().clamp(low, high);
    let limit = law.ln(x) + TIES;
    if law.ln(mode) <= limit {
        return 1.0;
    }
    let (from, step) = if x > mode { (low, 1.0) } else { (high, -1.0) };
    let near = law.tail(x, step);
    let far = law.furthest_in(from, mode, limit).map_or(0.0, |x| law.tail(x, -step));
    (near + far).min(1.0)
}

impl Hypergeometric {
    fn support(&self) -> (f64, f64) {
        ((self.drawn + self.marked - self.all).max(0.0), self.drawn.min(self.marked))
    }

    fn mode(&self) -> f64 {
        ((self.drawn + 1.0) * (self.marked + 1.0) / (self.all + 2.0)).floor()
    }

    fn ln(&self, x: f64) -> f64 {
        let p = self.drawn / self.all;
        ln_binomial(x, self.marked, p) + ln_binomial(self.drawn - x, self.all - self.marked, p)
            - ln_binomial(self.drawn, self.all, p)
    }

    /// The probability of x and all beyond it, away from the mode, where each is less likely than the last.
    fn tail(&self, x: f64, step: f64) -> f64 {
        let ratio = |x: f64| {
            let up = (self.marked - x) * (self.drawn - x);
            let down = (x + 1.0) * (self.all - self.marked - self.drawn + x + 1.0);
            if step > 0.0 { up / down } else { down / up }
        };
        let (mut at, mut term, mut sum) = (x, 1.0, 1.0);
        loop {
            term *= ratio(if step > 0.0 { at } else { at - 1.0 });
            at += step;
            sum += term;
            // At the end of the support the ratio is 0.
            if term <= sum * f64::EPSILON / 16.0 {
                return self.ln(x).exp() * sum;
            }
        }
    }

    /// Of the outcomes from the end of the support to the mode that are at most as likely as the limit, the
    /// one nearest to the mode, by bisection.
    fn furthest_in(&self, end: f64, mode: f64, limit: f64) -> Option<f64> {
        if self.ln(end) > limit {
            return None;
        }
        let (mut inside, mut outside) = (end, mode);
        while (outside - inside).abs() > 1.0 {
            let middle = ((inside + outside) / 2.0).floor();
            if self.ln(middle) <= limit { inside = middle } else { outside = middle }
        }
        Some(inside)
    }
}

/// The logarithm of the probability of x of n.
fn ln_binomial(x: f64, n: f64, p: f64) -> f64 {
    let q = 1.0 - p;
    if x <= 0.0 {
        return if n > 0.0 { n * f64::ln_1p(-p) } else { 0.0 };
    }
    if x >= n {
        return n * p.ln();
    }
    let corrections = stirling(n) - stirling(x) - stirling(n - x);
    corrections - deviance(x, n * p) - deviance(n - x, n * q) - (2.0 * PI * x * (1.0 - x / n)).ln() / 2.0
}

/// ln n! - (n + 1/2) ln n + n - ln(2 pi) / 2.
fn stirling(n: f64) -> f64 {
    if n < 16.0 {
        return ln_gamma(n + 1.0) - (n + 0.5) * n.ln() + n - (2.0 * PI).ln() / 2.0;
    }
    let r2 = 1.0 / (n * n);
    (1.0 / 12.0 - r2 * (1.0 / 360.0 - r2 * (1.0 / 1260.0 - r2 * (1.0 / 1680.0 - r2 / 1188.0)))) / n
}

/// x ln(x / mean) + mean - x, without the loss of digits where they are close.
fn deviance(x: f64, mean: f64) -> f64 {
    let d = x - mean;
    if d.abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() - d;
    }
    let v = d / (x + mean);
    let (mut sum, mut term, mut j) = (d * v, 2.0 * x * v, 1.0);
    loop {
        term *= v * v;
        let next = sum + term / (2.0 * j + 1.0);
        // NaN ends it too.
        if next == sum || next.is_nan() {
            return next;
        }
        (sum, j) = (next, j + 1.0);
    }
}

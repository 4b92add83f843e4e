//! Random numbers of the distributions that months need.

use fastrand::Rng;

pub(super) struct Draws(Rng);

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// By Marsaglia's polar method.
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.0.f64() - 1.0, 2.0 * self.0.f64() - 1.0);
            let s = x * x + y * y;
            if s > 0.0 && s < 1.0 {
                return x * (-2.0 * s.ln() / s).sqrt();
            }
        }
    }

    /// Of a shape over 1: Marsaglia and Tsang 2000.
    pub(super) fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.0.f64()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// By inversion where few are expected, else by Hörmann's BTRS (1993).
    pub(super) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        if n == 0 || p <= 0.0 {
            return 0;
        }
        if n as f64 * p < 10.0 { self.few(n, p) } else { self.many(n as f64, p) as u64 }
    }

    fn few(&mut self, n: u64, p: f64) -> u64 {
        let odds = p / (1.0 - p);
        let mut chance = (n as f64 * f64::ln_1p(-p)).exp();
        let (mut u, mut x) = (self.0.f64(), 0);
        while u > chance && x < n {
            u -= chance;
            chance *= odds * (n - x) as f64 / (x + 1) as f64;
            x += 1;
        }
        x
    }

    fn many(&mut self, n: f64, p: f64) -> f64 {
        let sd = (n * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * sd;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let (c, alpha) = (n * p + 0.5, (2.83 + 5.1 / b) * sd);
        let quick = 0.92 - 4.2 / b;
        let mode = ((n + 1.0) * p).floor();
        loop {
            let (u, v) = (self.0.f64() - 0.5, self.0.f64());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + c).floor();
            if us >= 0.07 && v <= quick {
                return k;
            }
            if k < 0.0 || k > n {
                continue;
            }
            let odds = p / (1.0 - p);
            let v = (v * alpha / (a / (us * us) + b)).ln();
            let likely = (mode + 0.5) * ((mode + 1.0) / (odds * (n - mode + 1.0))).ln()
                + rest(mode)
                + rest(n - mode)
                + (n + 1.0) * ((n - mode + 1.0) / (n - k + 1.0)).ln()
                + (k + 0.5) * (odds * (n - k + 1.0) / (k + 1.0)).ln()
                - rest(k)
                - rest(n - k);
            if v <= likely {
                return k;
            }
        }
    }

    pub(super) fn multinomial(&mut self, n: u64, shares: &[f64]) -> Vec<f64> {
        let (mut left, mut share) = (n, 1.0);
        let last = shares.iter().rposition(|p| *p > 0.0).unwrap_or_default();
        let draw = |(i, p): (usize, &f64)| {
            let x = if i == last { left } else { self.binomial(left, (p / share).min(1.0)) };
            left -= x;
            share -= p;
            x as f64
        };
        shares.iter().enumerate().map(draw).collect()
    }
}

/// What Stirling's formula of ln k! leaves, with k + 1 in place of k.
fn rest(k: f64) -> f64 {
    if k < 10.0 {
        let ln: f64 = (2..=k as u32).map(|i| f64::from(i).ln()).sum();
        return ln - (k + 0.5) * (k + 1.0).ln() + (k + 1.0) - std::f64::consts::TAU.ln() / 2.0;
    }
    let r = 1.0 / (k + 1.0);
    (1.0 / 12.0 - (1.0 / 360.0 - r * r / 1260.0) * r * r) * r
}

/// Shares between the deciles of a standard normal number, of a day whose mean is `shift` and whose other
/// spread is `scale` of what is left of the variance.
pub(super) fn deciles_of_day(shift: f64, scale: f64) -> Vec<f64> {
    const EDGES: [f64; 9] = [
        -1.281_551_565_544_6,
        -0.841_621_233_572_914,
        -0.524_400_512_708_041,
        -0.253_347_103_135_8,
        0.0,
        0.253_347_103_135_8,
        0.524_400_512_708_041,
        0.841_621_233_572_914,
        1.281_551_565_544_6,
    ];
    let spread = scale * (1.0 - 0.09_f64).sqrt();
    let below = EDGES.map(|edge| normal_cdf((edge - shift) / spread));
    let mut before = 0.0;
    let mut shares: Vec<f64> = below.iter().map(|to| to - std::mem::replace(&mut before, *to)).collect();
    shares.push(1.0 - before);
    shares
}

/// Of chi-squared's tail with one degree of freedom.
fn normal_cdf(z: f64) -> f64 {
    let tail = weir_stats::drift::chi2_sf(z * z, 1) / 2.0;
    if z < 0.0 { tail } else { 1.0 - tail }
}

//! How far two distributions are apart, less what chance alone would show.
//!
//! Shares are (count + 0.5) / (rows + 0.5 B), so that no bin is empty and no floor is needed (Jeffreys'
//! prior). They pull towards no change where bins are many and rows few, so effects are for groups, as the
//! test is. With v = phi (1 / n + 1 / m) and p the pooled shares, to second order around no change:
//!
//! | effect | null mean | subtracted from |
//! |---|---|---|
//! | PSI | dof v | itself, since it is nearly X2 v / phi |
//! | JS distance, base 2 | dof v / (8 ln 2) | its square |
//! | Hellinger | dof v / 8 | its square |
//! | total variation | sum sqrt(p (1 - p) v / (2 pi)) | itself |
//! | KS D | sqrt(pi / 2) ln 2 sqrt(v) | itself; of a limit without ties, so bins have less |
//! | Wasserstein-1 | sum width sqrt(2 F (1 - F) v / pi) | itself |
//!
//! The first three follow from a Taylor series (Csiszar and Shields 2004, theorem 4.1); the mean of |Z| of a
//! normal Z, sqrt(2 / pi) sd, gives total variation and W1 exactly but for normality; D is Kolmogorov's mean.
//! What is below its null mean is 0. An effect answers "how much", never "is it real": that is the test's.

use std::f64::consts::{LN_2, PI};

use super::table::total;

/// One effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// As measured.
    pub raw: f64,
    /// Less what is expected without any change; at least 0.
    pub corrected: f64,
}

/// All effects that need no values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effects {
    /// sum (q - p) ln (q / p).
    pub psi: Effect,
    /// sqrt(KL(p, M) / 2 + KL(q, M) / 2), M = (p + q) / 2, base 2: from 0 to 1.
    pub js: Effect,
    /// max |F - G| at the edges of bins; of ordered bins only. The test has its own, `kolmogorov_smirnov`.
    pub ks: Effect,
    /// sum |p - q| / 2.
    pub total_variation: Effect,
    /// sqrt(sum (sqrt p - sqrt q)^2 / 2).
    pub hellinger: Effect,
}

/// Shares of two rows of counts, and what chance does to them.
struct Shares {
    p: Vec<f64>,
    q: Vec<f64>,
    pooled: Vec<f64>,
    /// phi (1 / n + 1 / m).
    v: f64,
    dof: f64,
}

/// Effects of a current row of counts against the reference; `None` where `pearson` has none.
pub fn effects(reference: &[f64], current: &[f64], phi: f64) -> Option<Effects> {
    let shares = Shares::of(reference, current, phi)?;
    let Shares { p, q, pooled, v, dof } = &shares;
    let each = |f: fn(f64, f64) -> f64| p.iter().zip(q).map(|(p, q)| f(*p, *q)).sum::<f64>();
    let psi = each(|p, q| (q - p) * (q / p).ln());
    let js2 = each(|p, q| {
        let middle = (p + q) / 2.0;
        (p * (p / middle).ln() + q * (q / middle).ln()) / (2.0 * LN_2)
    });
    let hellinger2 = each(|p, q| (p.sqrt() - q.sqrt()).powi(2) / 2.0);
    let chance = pooled.iter().map(|p| (p * (1.0 - p) * v / (2.0 * PI)).sqrt()).sum();
    Some(Effects {
        psi: Effect::less(psi, dof * v),
        js: Effect::less(js2, dof * v / (8.0 * LN_2)).sqrt(),
        ks: Effect::less(shares.largest_gap(), (PI / 2.0).sqrt() * LN_2 * v.sqrt()),
        total_variation: Effect::less(each(|p, q| (p - q).abs() / 2.0), chance),
        hellinger: Effect::less(hellinger2, dof * v / 8.0).sqrt(),
    })
}

/// The Wasserstein-1 distance, in the feature's unit, with the rows of each bin at its point (rising, such as
/// `Bins::points`); `None` where `pearson` has none, or with another number of points.
///
/// What is beyond the reference's range counts as if it were in the end bin's point: a lower bound.
pub fn wasserstein(points: &[f64], reference: &[f64], current: &[f64], phi: f64) -> Option<Effect> {
    let shares = Shares::of(reference, current, phi).filter(|shares| shares.p.len() == points.len())?;
    let widths = points.windows(2).map(|pair| pair[1] - pair[0]);
    let (mut f, mut g, mut h, mut raw, mut chance) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (bin, width) in widths.enumerate() {
        f += shares.p[bin];
        g += shares.q[bin];
        h += shares.pooled[bin];
        raw += width * f64::abs(f - g);
        chance += width * (2.0 * h * f64::max(1.0 - h, 0.0) * shares.v / PI).sqrt();
    }
    Some(Effect::less(raw, chance))
}

impl Shares {
    fn of(reference: &[f64], current: &[f64], phi: f64) -> Option<Self> {
        let (n, m) = (total(reference)?, total(current)?);
        if reference.len() != current.len() {
            return None;
        }
        let bins = reference.len() as f64;
        let shares = |counts: &[f64], rows: f64| -> Vec<f64> {
            counts.iter().map(|count| (count + 0.5) / (rows + 0.5 * bins)).collect()
        };
        let both = reference.iter().zip(current);
        let filled = both.clone().filter(|(r, c)| *r + *c > 0.0).count();
        Some(Self {
            p: shares(reference, n),
            q: shares(current, m),
            pooled: both.map(|(r, c)| (r + c) / (n + m)).collect(),
            v: phi.max(1.0) * (1.0 / n + 1.0 / m),
            dof: filled.saturating_sub(1) as f64,
        })
    }

    fn largest_gap(&self) -> f64 {
        let step = |gap: &mut f64, (p, q): (&f64, &f64)| {
            *gap += p - q;
            Some(gap.abs())
        };
        self.p.iter().zip(&self.q).scan(0.0, step).fold(0.0, f64::max)
    }
}

impl Effect {
    fn less(raw: f64, chance: f64) -> Self {
        Self { raw, corrected: (raw - chance).max(0.0) }
    }

    /// Of a square, the effect; rounding may have left it just below 0.
    fn sqrt(self) -> Self {
        Self { raw: self.raw.max(0.0).sqrt(), corrected: self.corrected.sqrt() }
    }
}

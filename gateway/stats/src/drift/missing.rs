//! What is missing: a table of two shares, in which one side may have none.

use super::chi2::f_sf;
use super::dispersion::Dispersion;
use super::effects::{Effect, effects};
use super::fisher::fisher_exact;
use super::table::pearson;

/// Rows with and without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Presence {
    pub missing: f64,
    pub present: f64,
}

/// How shares of missing rows differ between blocks of the reference.
///
/// Phi is not enough: shares that go up by a factor as easily as down by it are skewed, and with a factor of
/// exp(0.5 Z) a day, of 2 % of 500 rows, F of X2 / phi passed 3.5e-4 eight times too often. So a window has
/// to be unusual on the scale of logits as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MissingDispersion {
    /// Of the blocks' tables.
    pub dispersion: Dispersion,
    /// Of the blocks' logits, if phi comes of blocks.
    pub logits: Option<Logits>,
}

/// Empirical logits of blocks, ln((missing + 1/2) / (present + 1/2)) (Cox and Snell 1989).
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Logits {
    pub mean: f64,
    pub sd: f64,
    pub blocks: f64,
}

impl MissingDispersion {
    /// Rows that have nothing to do with each other.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of blocks of the reference. Where nothing is missing in any there is nothing to learn: `none`.
    pub fn of(blocks: &[Presence]) -> Self {
        let counts: Vec<Vec<f64>> = blocks.iter().map(|block| block.counts().into()).collect();
        let dispersion = Dispersion::of(&counts);
        let filled = blocks.iter().filter(|block| block.rows() > 0.0);
        let logits: Vec<f64> = filled.map(Presence::logit).collect();
        let blocks = logits.len() as f64;
        let mean = logits.iter().sum::<f64>() / blocks;
        let sd = (logits.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (blocks - 1.0)).sqrt();
        Self { dispersion, logits: dispersion.dof.map(|_| Logits { mean, sd, blocks }) }
    }
}

impl Logits {
    /// Both tails of Student's t of one more block: t = (x - mean) / (sd sqrt(1 + 1 / k)) with k - 1 degrees
    /// of freedom, whose square is F.
    fn tail(&self, x: f64) -> f64 {
        let variance = self.sd * self.sd * (1.0 + 1.0 / self.blocks);
        f_sf((x - self.mean).powi(2) / variance, 1.0, self.blocks - 1.0)
    }
}

/// The shares of missing rows, compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MissingComparison {
    /// Missing / all, of the reference and of the current rows.
    pub shares: (f64, f64),
    /// Before it is divided by phi.
    pub x2: f64,
    /// What alarms compare; see `missing`.
    pub p: f64,
    /// Of the two bins.
    pub psi: Effect,
}

impl Presence {
    /// All rows.
    pub fn rows(&self) -> f64 {
        self.missing + self.present
    }

    fn share(&self) -> f64 {
        self.missing / self.rows()
    }

    fn logit(&self) -> f64 {
        ((self.missing + 0.5) / (self.present + 0.5)).ln()
    }

    fn counts(&self) -> [f64; 2] {
        [self.missing, self.present]
    }

    /// Whole numbers (missing, rows) of 1 / phi as many rows, rounded towards a smaller share or a larger
    /// one. Counts that are whole stay as they are.
    fn whole(&self, phi: f64, smaller: bool) -> (f64, f64) {
        let (missing, rows) = (self.missing / phi, self.rows() / phi);
        let (missing, rows) =
            if smaller { (missing.floor(), rows.ceil()) } else { (missing.ceil(), rows.floor()) };
        (missing.min(rows), rows)
    }
}

/// Whether such a table can say anything: not if nothing is missing on either side, or everything is, for
/// then no other table has the same margins, and p is 1 whatever is true. It leaves the family, which keeps
/// its level, since margins know nothing of a change.
pub fn is_hypothesis(reference: &Presence, current: &Presence) -> bool {
    let both = |part: fn(&Presence) -> f64| part(reference) + part(current) > 0.0;
    both(|rows| rows.missing) && both(|rows| rows.present) && reference.rows() > 0.0 && current.rows() > 0.0
}

/// The shares compared; `None` if that is no hypothesis or a count is none.
///
/// p is that of `fisher_exact`, of 1 / phi as many rows (phi rows that go missing together are one event), in
/// whole numbers nearer to each other than the counts are. If phi comes of blocks it is the largest of that,
/// of the F of X2 / phi, which knows how well phi is known, and of the t of the logit among the blocks'
/// logits. The test of rare events errs to the quiet side.
pub fn missing(
    reference: &Presence,
    current: &Presence,
    by_block: &MissingDispersion,
) -> Option<MissingComparison> {
    if !is_hypothesis(reference, current) {
        return None;
    }
    let MissingDispersion { dispersion, logits } = by_block;
    let (before, now) = (reference.counts(), current.counts());
    let test = pearson(&before, &now, dispersion.phi)?;
    let phi = dispersion.phi.max(1.0);
    let more = current.share() > reference.share();
    let exact = fisher_exact(reference.whole(phi, !more), current.whole(phi, more));
    let known = dispersion.dof.map_or(0.0, |_| dispersion.tail(test.x2, test.dof));
    let usual = logits.map_or(0.0, |logits| logits.tail(current.logit()));
    Some(MissingComparison {
        shares: (reference.share(), current.share()),
        x2: test.x2,
        p: exact.max(known).max(usual),
        psi: effects(&before, &now, phi)?.psi,
    })
}

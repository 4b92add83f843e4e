//! A whole look: one feature, or predictions, or scores, compared with the reference; and a family of them
//! judged.

use super::dispersion::Dispersion;
use super::effects::{Effect, Effects, effects, wasserstein};
use super::family::holm;
use super::groups::Groups;
use super::missing::{MissingComparison, MissingDispersion, Presence, missing};
use super::significance::{Significance, significance};
use super::table::{KolmogorovSmirnov, Pearson, kolmogorov_smirnov, pearson};

/// What the profile knows of a feature.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// Counts of its fine bins.
    pub reference: Sample<'a>,
    /// Which bins are tested together.
    pub groups: &'a Groups,
    /// From blocks of the reference, counted by group.
    pub dispersion: Dispersion,
    /// From the same blocks, counted as missing and present.
    pub missing_dispersion: MissingDispersion,
    /// Of ordered bins, where their rows lie, such as `Bins::points`.
    pub points: Option<&'a [f64]>,
}

/// Counts of one side.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// A count a fine bin, or a sum of weights.
    pub counts: &'a [f64],
    /// Rows without a value, counted or weighted as `counts` are.
    pub missing: f64,
    /// How many independent rows a count stands for, up to 1 for plain counts: distinct rows / rows where
    /// rows repeat, `effective` / sum of weights where they are weighted. Above 0 and finite, else 1.
    pub factor: f64,
}

/// What a look at one feature found.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Effective rows with a value, of the reference and of the window.
    pub n: f64,
    pub m: f64,
    /// X2, its degrees of freedom and the p that is reported, of chi-squared. `None`, as all of values,
    /// without rows on either side.
    pub test: Option<Pearson>,
    /// What alarms compare.
    pub significance: Option<Significance>,
    /// Of the groups.
    pub effects: Option<Effects>,
    /// Of the fine bins; of ordered ones only. Shown, no alarm: of overdispersion it knows phi alone.
    pub kolmogorov_smirnov: Option<KolmogorovSmirnov>,
    /// Of the groups, in the feature's unit; of ordered ones only.
    pub wasserstein: Option<Effect>,
    /// `None` where nothing is missing on either side.
    pub missing: Option<MissingComparison>,
}

/// A p-value and the effect that makes it worth an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hypothesis {
    pub p: f64,
    /// Corrected PSI.
    pub effect: f64,
}

/// What became of a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// Holm's adjusted p in its family.
    pub adjusted: f64,
    /// Both the test and the effect say so.
    pub drift: bool,
}

/// What became of a feature; `None` where there was no hypothesis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub values: Option<Finding>,
    pub missing: Option<Finding>,
}

impl Sample<'_> {
    fn factor(&self) -> f64 {
        if self.factor.is_finite() && self.factor > 0.0 { self.factor } else { 1.0 }
    }

    fn scaled(&self, counts: &[f64]) -> Vec<f64> {
        counts.iter().map(|count| count * self.factor()).collect()
    }

    fn presence(&self) -> Presence {
        let present = self.counts.iter().sum::<f64>() * self.factor();
        Presence { missing: self.missing * self.factor(), present }
    }
}

/// Compares the rows of a window with the profile.
pub fn compare(profile: &Profile<'_>, current: &Sample<'_>) -> Comparison {
    let Profile { reference, groups, dispersion, .. } = profile;
    let grouped = |side: &Sample<'_>| side.scaled(&groups.sum(side.counts));
    let (before, now) = (grouped(reference), grouped(current));
    let ordered = |points: &[f64]| {
        let points = group_points(points, reference.counts, groups)?;
        wasserstein(&points, &before, &now, dispersion.phi)
    };
    let fine = |_| {
        let (before, now) = (reference.scaled(reference.counts), current.scaled(current.counts));
        kolmogorov_smirnov(&before, &now, dispersion.phi)
    };
    let presence = (reference.presence(), current.presence());
    Comparison {
        n: presence.0.present,
        m: presence.1.present,
        test: pearson(&before, &now, dispersion.phi),
        significance: significance(&before, &now, dispersion),
        effects: effects(&before, &now, dispersion.phi),
        kolmogorov_smirnov: profile.points.and_then(fine),
        wasserstein: profile.points.and_then(ordered),
        missing: missing(&presence.0, &presence.1, &profile.missing_dispersion),
    }
}

/// The mean of the reference rows in each group; `None` if that is not where rows are.
fn group_points(points: &[f64], counts: &[f64], groups: &Groups) -> Option<Vec<f64>> {
    let weighted: Vec<f64> = points.iter().zip(counts).map(|(point, count)| point * count).collect();
    let (sums, rows) = (groups.sum(&weighted), groups.sum(counts));
    let means: Vec<f64> = sums.iter().zip(&rows).map(|(sum, rows)| sum / rows).collect();
    means.iter().all(|mean| mean.is_finite()).then_some(means)
}

impl Comparison {
    /// Whether the distribution of values changed; `None` if no other table has the same margins.
    pub fn values_hypothesis(&self) -> Option<Hypothesis> {
        self.test.filter(|test| test.dof > 0)?;
        Some(Hypothesis { p: self.significance?.p, effect: self.effects?.psi.corrected })
    }

    /// Whether the share of missing rows changed.
    pub fn missing_hypothesis(&self) -> Option<Hypothesis> {
        self.missing.map(|missing| Hypothesis { p: missing.p, effect: missing.psi.corrected })
    }
}

/// Judges a family of hypotheses at the level of the look: drift is what Holm rejects and what has more than
/// this effect. `None` is no member and stays `None`.
pub fn judge(family: &[Option<Hypothesis>], level: f64, min_effect: f64) -> Vec<Option<Finding>> {
    let p: Vec<f64> = family.iter().flatten().map(|hypothesis| hypothesis.p).collect();
    let mut adjusted = holm(&p).into_iter();
    let finding = |hypothesis: &Option<Hypothesis>| {
        let effect = hypothesis.as_ref()?.effect;
        let adjusted = adjusted.next()?;
        Some(Finding { adjusted, drift: adjusted <= level && effect > min_effect })
    };
    family.iter().map(finding).collect()
}

/// Judges all comparisons of a look as one family: values and missing, of features, predictions and scores,
/// of all segments.
pub fn judge_comparisons(comparisons: &[Comparison], level: f64, min_effect: f64) -> Vec<Verdict> {
    let pair = |one: &Comparison| [one.values_hypothesis(), one.missing_hypothesis()];
    let family: Vec<Option<Hypothesis>> = comparisons.iter().flat_map(pair).collect();
    let findings = judge(&family, level, min_effect);
    findings.chunks(2).map(|pair| Verdict { values: pair[0], missing: pair[1] }).collect()
}

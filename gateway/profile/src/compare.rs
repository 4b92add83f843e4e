//! A reference beside what is there now: live counts, or another profile.

mod other;

pub(crate) use other::extent;

use std::sync::Arc;

use weir_exchange::Role;
use weir_stats::drift::{Effects, Groups, Pearson, Presence, effects, holm, missing, pearson, significance};

use crate::fit::Misfits;
use crate::profile::{Cell, Feature, FeatureCounts, FeatureKind, Profile};

/// Rows of now, counted in a profile's bins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Current {
    /// Where they come from, in words.
    pub source: String,
    pub rows: f64,
    /// Rows that are distinct, or entities.
    pub distinct: f64,
    /// Parallel to the profile's features; `None` where there is no such column.
    pub counts: Vec<Option<FeatureCounts>>,
    /// What lies beyond the reference, parallel to the features; nothing for categories.
    pub outside: Vec<Outside>,
    /// Columns that differ.
    pub misfits: Misfits,
    /// What else is known of features, in words, by their number.
    pub notes: Vec<(usize, String)>,
}

/// Rows beyond the range of the reference; they are also in the end bins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outside {
    pub below: f64,
    pub above: f64,
    /// The lowest and the highest value there is, if it is known.
    pub lowest: Option<f64>,
    pub highest: Option<f64>,
}

/// What became of a profile's features.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Rows of the reference and of now.
    pub rows: (f64, f64),
    /// Where they come from, in words.
    pub sources: (String, String),
    /// Those with a column now; largest corrected PSI first.
    pub features: Vec<Skew>,
    pub misfits: Misfits,
    /// Verdicts come from rows that are assumed to be independent.
    pub independent_rows_assumed: bool,
    /// The adjusted p up to which a difference is told from chance.
    pub level: f64,
}

/// One feature, then and now.
#[derive(Clone, Debug, PartialEq)]
pub struct Skew {
    /// Its number in the profile.
    pub feature: usize,
    pub role: Role,
    pub name: Arc<str>,
    /// Of its groups; `None` if either side has no value.
    pub values: Option<Verdict>,
    /// Of what is present and what is missing.
    pub presence: Option<Verdict>,
    /// Shares of missing rows.
    pub missing: (f64, f64),
    /// Shares of the groups that changed most, in words; largest change first.
    pub changes: Vec<Change>,
    /// What a person should look at.
    pub notes: Vec<String>,
}

/// A test and its effects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub test: Pearson,
    /// What counts, beside the p of the test: it holds its level for few rows and an estimated phi too.
    pub p: f64,
    /// The test's p, adjusted after Holm over all tables of the comparison.
    pub adjusted: f64,
    pub effects: Effects,
}

/// The share of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub group: String,
    pub then: f64,
    pub now: f64,
}

/// Groups named in [`Skew::changes`].
const CHANGES: usize = 3;
/// Corrected PSI from which a difference is worth a person's time.
const LEAST_PSI: f64 = 0.01;
/// Total variation from which classes are in another proportion.
const REBALANCED: f64 = 0.1;
/// Share of rows beyond the range that is no accident.
const SPIKE: f64 = 0.001;

impl Skew {
    /// Whether it is both told from chance and large enough to be looked at.
    pub fn differs(&self, level: f64) -> bool {
        let differs =
            |verdict: &Verdict| verdict.adjusted <= level && verdict.effects.psi.corrected > LEAST_PSI;
        self.values.as_ref().is_some_and(differs) || self.presence.as_ref().is_some_and(differs)
    }

    /// The larger corrected PSI of values and of what is missing.
    pub fn psi(&self) -> f64 {
        let psi = |verdict: &Option<Verdict>| verdict.map_or(0.0, |verdict| verdict.effects.psi.corrected);
        psi(&self.values).max(psi(&self.presence))
    }
}

impl Profile {
    /// Compares rows of now with a cell of the reference, at a level for all tables together.
    pub fn compare(&self, cell: &Cell, current: &Current, level: f64) -> Comparison {
        let scales = (self.scale(cell.rows, cell.distinct), self.scale(current.rows, current.distinct));
        let pairs = self.features.iter().zip(&cell.counts).enumerate();
        let mut features: Vec<Skew> = pairs
            .filter_map(|(at, (feature, then))| {
                let now = current.counts.get(at)?.as_ref()?;
                Some(skew(at, feature, (then, scales.0), (now, scales.1)))
            })
            .collect();
        adjust(&mut features);
        for skew in &mut features {
            let outside = current.outside.get(skew.feature).copied().unwrap_or_default();
            skew.notes = notes(&self.features[skew.feature], skew, &outside, current.rows, level);
            let told = current.notes.iter().filter(|(at, _)| *at == skew.feature);
            skew.notes.extend(told.map(|(_, note)| note.clone()));
        }
        features.sort_by(|a, b| b.psi().total_cmp(&a.psi()));
        Comparison {
            rows: (cell.rows, current.rows),
            sources: (self.made.source.clone(), current.source.clone()),
            features,
            misfits: current.misfits.clone(),
            independent_rows_assumed: self.assumes_independent_rows(),
            level,
        }
    }
}

fn skew(
    at: usize,
    feature: &Feature,
    (then, scale_then): (&FeatureCounts, f64),
    (now, scale_now): (&FeatureCounts, f64),
) -> Skew {
    let groups = (feature.groups.sum(&then.bins), feature.groups.sum(&now.bins));
    let totals = (groups.0.iter().sum::<f64>(), groups.1.iter().sum::<f64>());
    let scaled = |counts: &[f64], scale: f64| counts.iter().map(|x| x * scale).collect::<Vec<f64>>();
    let verdict = |then: &[f64], now: &[f64]| {
        let (then, now) = (scaled(then, scale_then), scaled(now, scale_now));
        let test = pearson(&then, &now, feature.dispersion.phi)?;
        let p = significance(&then, &now, &feature.dispersion)?.p;
        Some(Verdict { test, p, adjusted: p, effects: effects(&then, &now, feature.dispersion.phi)? })
    };
    let presence = |present: f64, missing: f64, scale: f64| Presence {
        present: present * scale,
        missing: missing * scale,
    };
    let of_presence = || {
        let (then, now) =
            (presence(totals.0, then.missing, scale_then), presence(totals.1, now.missing, scale_now));
        let compared = missing(&then, &now, &feature.missing_dispersion)?;
        let phi = feature.missing_dispersion.dispersion.phi;
        let counts = |rows: &Presence| [rows.present, rows.missing];
        let test = pearson(&counts(&then), &counts(&now), phi)?;
        Some(Verdict {
            test,
            p: compared.p,
            adjusted: compared.p,
            effects: effects(&counts(&then), &counts(&now), phi)?,
        })
    };
    let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
    Skew {
        feature: at,
        role: feature.role,
        name: Arc::clone(&feature.name),
        values: verdict(&groups.0, &groups.1),
        presence: of_presence(),
        missing: (share(then.missing, totals.0 + then.missing), share(now.missing, totals.1 + now.missing)),
        changes: changes(feature, (&groups.0, totals.0), (&groups.1, totals.1)),
        notes: Vec::new(),
    }
}

/// Adjusts the p of all tables, which are one family.
fn adjust(features: &mut [Skew]) {
    let tables = || features.iter().flat_map(|skew| [skew.values, skew.presence]);
    let p: Vec<f64> = tables().map(|verdict| verdict.map_or(1.0, |verdict| verdict.p)).collect();
    for (skew, adjusted) in features.iter_mut().zip(holm(&p).chunks_exact(2)) {
        for (verdict, adjusted) in [&mut skew.values, &mut skew.presence].into_iter().zip(adjusted) {
            if let Some(verdict) = verdict {
                verdict.adjusted = *adjusted;
            }
        }
    }
}

fn changes(feature: &Feature, then: (&[f64], f64), now: (&[f64], f64)) -> Vec<Change> {
    let share =
        |(counts, total): (&[f64], f64), group: usize| if total > 0.0 { counts[group] / total } else { 0.0 };
    let names = feature.group_names();
    let mut changes: Vec<Change> = names
        .into_iter()
        .enumerate()
        .map(|(at, group)| Change { group, then: share(then, at), now: share(now, at) })
        .filter(|change| change.then != change.now)
        .collect();
    changes.sort_by(|a, b| (b.now - b.then).abs().total_cmp(&(a.now - a.then).abs()));
    changes.truncate(CHANGES);
    changes
}

impl Feature {
    /// A group of texts: the first and the last by name, if it has any, and whether it is that of all
    /// others too.
    pub fn texts_of<'t>(&self, texts: &'t [Arc<str>], group: usize) -> (Option<(&'t str, &'t str)>, bool) {
        let of = self.groups.of_bins();
        let mut members = texts.iter().zip(of).filter(|(_, of)| **of == group).map(|(text, _)| &**text);
        let widen = |(low, high): (&'t str, &'t str), text| (low.min(text), high.max(text));
        let range = members.next().map(|first| members.fold((first, first), widen));
        (range, of.last() == Some(&group))
    }

    /// The groups in words: `4 to 8`, `over 8`, `Yes`, `Ohio` to `Utah`, `Yes` and others.
    pub fn group_names(&self) -> Vec<String> {
        match &self.kind {
            FeatureKind::Number { bins, .. } => {
                let edges = upper_edges(&self.groups, bins.edges());
                let last = edges.len();
                let name = |group: usize| match (
                    group.checked_sub(1).and_then(|at| edges.get(at)),
                    edges.get(group),
                ) {
                    (None, Some(to)) => format!("up to {}", short(*to)),
                    (Some(from), Some(to)) => format!("{} to {}", short(*from), short(*to)),
                    (Some(from), None) => format!("over {}", short(*from)),
                    (None, None) => "all".to_owned(),
                };
                (0..=last).map(name).collect()
            }
            FeatureKind::Category { texts } => {
                let name = |group: usize| {
                    let (range, others) = self.texts_of(texts, group);
                    let known = range.map(|(first, last)| match first == last {
                        true => format!("`{first}`"),
                        false => format!("`{first}` to `{last}`"),
                    });
                    let others = others.then(|| "others".to_owned());
                    known.into_iter().chain(others).collect::<Vec<_>>().join(" and ")
                };
                (0..self.groups.len()).map(name).collect()
            }
        }
    }
}

/// The upper edge of each group of neighbours but the last.
fn upper_edges(groups: &Groups, edges: &[f64]) -> Vec<f64> {
    let of = groups.of_bins();
    edges
        .iter()
        .enumerate()
        .filter(|(bin, _)| of.get(*bin) != of.get(bin + 1))
        .map(|(_, edge)| *edge)
        .collect()
}

/// A number in a few digits.
pub(crate) fn short(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if x.abs() >= 1e7 || x.abs() < 1e-3 {
        return format!("{x:.2e}");
    }
    let digits = (3 - x.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn notes(feature: &Feature, skew: &Skew, outside: &Outside, rows: f64, level: f64) -> Vec<String> {
    let mut notes = Vec::new();
    if let FeatureKind::Number { bins, .. } = &feature.kind {
        let (min, max) = bins.range();
        let ends =
            [(outside.below, "below", min, outside.lowest), (outside.above, "above", max, outside.highest)];
        for (count, side, end, extreme) in ends {
            if rows > 0.0 && count / rows >= SPIKE {
                let share = 100.0 * count / rows;
                let far = extreme.filter(|x| (x - end).abs() > max - min);
                let reach = extreme.map_or(String::new(), |x| format!(", as far as {x}"));
                let code = if far.is_some() { ": a code for a missing value?" } else { "" };
                notes.push(format!("{share:.1} % {side} {end}, the reference's end{reach}{code}"));
            }
        }
    }
    let classes = feature.role == Role::Output && feature.groups.len() <= 20;
    let moved =
        |verdict: Verdict| verdict.adjusted <= level && verdict.effects.total_variation.raw > REBALANCED;
    if classes && skew.values.is_some_and(moved) {
        notes.push("classes are in another proportion: was either side rebalanced?".to_owned());
    }
    notes
}

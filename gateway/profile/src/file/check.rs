//! What holds for every profile: checked when one is read, and when one was built.

use std::collections::HashSet;
use std::time::Duration;

use weir_exchange::Role;

use crate::profile::{Cell, Feature, FeatureKind, Profile};
use weir_stats::drift::Logits;

/// Features of one profile.
const MAX_FEATURES: usize = 4096;
/// Categories of one feature, as many as live dictionaries hold.
pub(crate) const MAX_CATEGORIES: usize = 1024;
/// Bins of one number.
const MAX_BINS: usize = 1024;
/// The whole, and each slot of the longest season and of a dozen segments.
const MAX_CELLS: usize = 169 * 13;
/// Texts longer than this are no names.
const MAX_TEXT: usize = 4096;

/// Place and message.
type Fault = (String, String);

fn fault<T>(place: impl Into<String>, message: impl Into<String>) -> Result<T, Fault> {
    Err((place.into(), message.into()))
}

fn ensure(holds: bool, place: impl FnOnce() -> String, message: &str) -> Result<(), Fault> {
    if holds { Ok(()) } else { fault(place(), message) }
}

pub(super) fn check(profile: &Profile) -> Result<(), Fault> {
    ensure(profile.window_rows > 0, || "window_rows".into(), "it has to be 1 and more")?;
    for (key, period) in [("block_ms", profile.block), ("window_ms", profile.window)] {
        ensure(period != Some(Duration::ZERO), || key.into(), "it has to be 1 and more")?;
    }
    let features = profile.features.len();
    if !(1..=MAX_FEATURES).contains(&features) {
        return fault("features", format!("there are {features}, where 1 to {MAX_FEATURES} fit"));
    }
    let mut names = HashSet::new();
    for (at, feature) in profile.features.iter().enumerate() {
        let named = names.insert((feature.role, &feature.name));
        ensure(named, || format!("features[{at}].name"), "it stands there twice")?;
        check_feature(feature).map_err(|(key, message)| (format!("features[{at}].{key}"), message))?;
    }
    check_cells(profile)
}

fn check_feature(feature: &Feature) -> Result<(), Fault> {
    let at = |key: &'static str| move || key.to_owned();
    ensure(feature.name.len() <= MAX_TEXT, at("name"), "it is too long")?;
    let row = matches!(feature.role, Role::Input | Role::Output | Role::Score);
    ensure(row, at("role"), "it has to be `input`, `output` or `score`")?;
    let missing = &feature.missing_dispersion;
    for (key, dispersion) in [("dispersion", feature.dispersion), ("missing_dispersion", missing.dispersion)]
    {
        ensure(dispersion.phi.is_finite() && dispersion.phi >= 1.0, at(key), "its phi has to be 1 and more")?;
        let known = |(d1, d2): (f64, f64)| [d1, d2].iter().all(|dof| dof.is_finite() && *dof > 0.0);
        ensure(dispersion.dof.is_none_or(known), at(key), "its degrees of freedom have to be above 0")?;
    }
    let spread = |logits: Logits| logits.mean.is_finite() && logits.sd >= 0.0 && logits.blocks >= 2.0;
    let words = "its logits have to be of two blocks and more";
    ensure(missing.logits.is_none_or(spread), at("missing_dispersion"), words)?;
    let rate = feature.unstable.unwrap_or_default();
    ensure(rate.is_finite() && rate >= 0.0, at("unstable"), "it has to be 0 and more")?;
    match &feature.kind {
        FeatureKind::Number { bins, .. } => {
            ensure(bins.len() <= MAX_BINS, at("kind.number"), "it has over 1024 bins")?;
        }
        FeatureKind::Category { texts } => {
            ensure(texts.len() <= MAX_CATEGORIES, at("kind.category"), "it has over 1024 texts")?;
            let distinct: HashSet<_> = texts.iter().collect();
            ensure(distinct.len() == texts.len(), at("kind.category"), "a text stands there twice")?;
            let short = texts.iter().all(|text| text.len() <= MAX_TEXT);
            ensure(short, at("kind.category"), "a text is too long")?;
        }
    }
    let groups = feature.groups.of_bins();
    ensure(groups.len() == feature.bins(), at("groups"), "there have to be as many as bins")?;
    let used: HashSet<_> = groups.iter().collect();
    ensure(used.len() == feature.groups.len(), at("groups"), "a group has no bin")
}

fn check_cells(profile: &Profile) -> Result<(), Fault> {
    let whole = profile.cells.first().is_some_and(|cell| cell.slot.is_none() && cell.segment.is_none());
    ensure(whole, || "cells".into(), "the first has to be the whole")?;
    ensure(profile.cells.len() <= MAX_CELLS, || "cells".into(), "there are too many")?;
    let mut seen = HashSet::new();
    for (at, cell) in profile.cells.iter().enumerate() {
        let place = || format!("cells[{at}]");
        ensure(seen.insert((cell.slot, &cell.segment)), place, "its slot and segment stand there twice")?;
        let slots = profile.season.map_or(0, crate::Season::slots);
        ensure(cell.slot.is_none_or(|slot| slot < slots), place, "the season has no such slot")?;
        let segment = cell.segment.is_none() || profile.segment.is_some();
        ensure(segment, place, "the profile has no segments")?;
        check_counts(profile, cell).map_err(|(key, message)| (format!("cells[{at}].{key}"), message))?;
    }
    Ok(())
}

fn check_counts(profile: &Profile, cell: &Cell) -> Result<(), Fault> {
    let count = |x: f64| x.is_finite() && x >= 0.0;
    ensure(count(cell.rows) && cell.rows > 0.0, || "rows".into(), "a cell has to hold rows")?;
    let distinct = count(cell.distinct) && cell.distinct <= cell.rows;
    ensure(distinct, || "distinct".into(), "it has to be 0 to `rows`")?;
    let parallel = cell.counts.len() == profile.features.len();
    ensure(parallel, || "counts".into(), "there have to be as many as features")?;
    for (at, (counts, feature)) in cell.counts.iter().zip(&profile.features).enumerate() {
        let place = || format!("counts[{at}]");
        ensure(counts.bins.len() == feature.bins(), place, "there have to be as many as bins")?;
        let counted = counts.bins.iter().chain([&counts.missing]).all(|x| count(*x));
        ensure(counted, place, "what is no count is there")?;
        let sum = counts.bins.iter().sum::<f64>() + counts.missing;
        ensure((sum - cell.rows).abs() <= 1e-6 * cell.rows, place, "they do not add up to `rows`")?;
    }
    Ok(())
}

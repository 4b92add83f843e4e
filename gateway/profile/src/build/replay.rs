//! What the reference would have said of itself.

use std::time::Duration;

use weir_stats::drift::{
    Dispersion, Finding, Hypothesis, Presence, effects, judge, look_level, missing, pearson, significance,
};

use super::placed::Placed;
use super::rows::Blocks;
use super::spread::{Tables, tables};
use crate::options::Replay;
use crate::profile::{Feature, Profile};

/// Days of the month that a budget is of.
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// Corrected PSI below which a change, however certain, is no alarm.
pub(super) const LEAST_PSI: f64 = 0.05;
/// One alarm may be the one that chance is allowed.
const FEWEST_ALARMS: u32 = 2;

/// Judges each window of the reference against the rest of its slot, as it would be live.
pub(super) fn replay(
    placed: &[Placed],
    profile: &Profile,
    windows: &Blocks,
    keys: &[u64],
    (window, budget): (Duration, f64),
) -> Replay {
    let mut stretches: Vec<i64> = windows.keys().map(|(_, stretch)| *stretch).collect();
    stretches.sort_unstable();
    stretches.dedup();
    let months = stretches.len() as f64 * window.as_secs_f64() / MONTH.as_secs_f64();
    let enough = |rows: &&Vec<u32>| rows.len() as u64 >= profile.window_rows;
    let judged = windows.values().filter(enough).count();
    let level = look_level(budget, judged as f64 / months);
    let mut alarms = vec![0_u32; placed.len()];
    let slots: Vec<u32> = windows.keys().map(|(slot, _)| *slot).collect();
    for slot in slots.chunk_by(|a, b| a == b).filter_map(<[u32]>::first) {
        let of_slot = windows.range((*slot, i64::MIN)..=(*slot, i64::MAX));
        let looks: Vec<(usize, Vec<Tables>)> =
            of_slot.map(|(_, rows)| (rows.len(), tables(placed, profile, rows, keys))).collect();
        let whole = sum(&looks, placed.len());
        for (rows, look) in looks.iter().filter(|(rows, _)| *rows as u64 >= profile.window_rows) {
            debug_assert!(*rows > 0);
            let raised = raise(placed.iter().map(|p| &p.feature), &whole, look, level);
            alarms.iter_mut().zip(raised).for_each(|(sum, raised)| *sum += u32::from(raised));
        }
    }
    let (judged, all) = (judged as u32, windows.len() as u32);
    Replay { judged, too_small: all - judged, months, alarms }
}

/// The tables of all looks of a slot together.
fn sum(looks: &[(usize, Vec<Tables>)], features: usize) -> Vec<Tables> {
    let add = |into: &mut [f64], counts: &[f64]| {
        into.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    };
    let feature = |at: usize| {
        let groups = looks.first().map_or(0, |(_, look)| look[at].groups.len());
        let mut whole = Tables { groups: vec![0.0; groups], presence: [0.0; 2] };
        for (_, look) in looks {
            add(&mut whole.groups, &look[at].groups);
            add(&mut whole.presence, &look[at].presence);
        }
        whole
    };
    (0..features).map(feature).collect()
}

/// Which features one look alarms of: the one place that knows how an alarm comes about.
///
/// Both tables of every feature are one family; a table alarms if its p, adjusted after Holm, is at most the
/// level and its corrected PSI over 0.05.
fn raise<'f>(
    features: impl Iterator<Item = &'f Feature>,
    whole: &[Tables],
    look: &[Tables],
    level: f64,
) -> Vec<bool> {
    let mut family = Vec::with_capacity(2 * look.len());
    for ((feature, whole), look) in features.zip(whole).zip(look) {
        // Scaled counts may not cancel to the last digit.
        let rest = |whole: &[f64], look: &[f64]| -> Vec<f64> {
            whole.iter().zip(look).map(|(all, part)| (all - part).max(0.0)).collect()
        };
        let (groups, presence) = (rest(&whole.groups, &look.groups), rest(&whole.presence, &look.presence));
        family.push(values(&groups, &look.groups, &feature.dispersion));
        let rows = |counts: &[f64]| Presence { present: counts[0], missing: counts[1] };
        let compared = missing(&rows(&presence), &rows(&look.presence), &feature.missing_dispersion);
        family.push(compared.map(|it| Hypothesis { p: it.p, effect: it.psi.corrected }));
    }
    let drift = |found: &Option<Finding>| found.is_some_and(|found| found.drift);
    judge(&family, level, LEAST_PSI).chunks(2).map(|tables| tables.iter().any(drift)).collect()
}

fn values(rest: &[f64], look: &[f64], dispersion: &Dispersion) -> Option<Hypothesis> {
    pearson(rest, look, dispersion.phi).filter(|test| test.dof > 0)?;
    let effect = effects(rest, look, dispersion.phi)?.psi.corrected;
    Some(Hypothesis { p: significance(rest, look, dispersion)?.p, effect })
}

/// Marks the features whose own reference alarms more often than the whole budget, and twice at least.
pub(super) fn mark_unstable(profile: &mut Profile, replay: &Replay, budget: f64) {
    for (at, feature) in profile.features.iter_mut().enumerate() {
        let alarms = replay.alarms.get(at).copied().unwrap_or_default();
        let monthly = replay.monthly(at);
        feature.unstable = (alarms >= FEWEST_ALARMS && monthly > budget).then_some(monthly);
    }
}

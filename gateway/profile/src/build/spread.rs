//! Phi: how much wider than by chance blocks of the reference spread.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_stats::drift::{Dispersion, MissingDispersion, Presence};

use super::placed::{Placed, distinct};
use super::rows::Blocks;
use crate::profile::{FeatureCounts, Profile};

/// Two rows of counts of a stretch of rows: of groups, and of what is present and missing.
pub(super) struct Tables {
    pub(super) groups: Vec<f64>,
    pub(super) presence: [f64; 2],
}

impl Tables {
    /// From counts of rows, `scale` of which are distinct.
    pub(super) fn of(placed: &Placed, counts: &FeatureCounts, scale: f64) -> Self {
        let groups = placed.feature.groups.sum(&counts.bins);
        let present: f64 = counts.bins.iter().sum();
        Self {
            groups: groups.into_iter().map(|count| count * scale).collect(),
            presence: [present * scale, counts.missing * scale],
        }
    }
}

/// The tables of each feature, for each block in its slot.
pub(super) fn tables(placed: &[Placed], profile: &Profile, rows: &[u32], keys: &[u64]) -> Vec<Tables> {
    let scale = profile.scale(rows.len() as f64, distinct(keys, rows));
    placed.iter().map(|placed| Tables::of(placed, &placed.count(rows), scale)).collect()
}

/// Measures phi of every feature, if there are two blocks and more.
pub(super) fn measure(
    placed: &mut [Placed],
    profile: &mut Profile,
    blocks: &Blocks,
    keys: &[u64],
    length: Duration,
) {
    let mut slots: BTreeMap<u32, Vec<Vec<Tables>>> = BTreeMap::new();
    let mut stretches: Vec<i64> = Vec::new();
    for ((slot, stretch), rows) in blocks {
        slots.entry(*slot).or_default().push(tables(placed, profile, rows, keys));
        stretches.push(*stretch);
    }
    stretches.sort_unstable();
    stretches.dedup();
    profile.blocks = u32::try_from(stretches.len()).unwrap_or(u32::MAX);
    if stretches.len() < 2 {
        return;
    }
    profile.block = Some(length);
    let slots: Vec<Vec<Vec<Tables>>> = slots.into_values().collect();
    for (at, placed) in placed.iter_mut().enumerate() {
        placed.feature.dispersion = over_slots(&slots, |tables| tables[at].groups.clone());
        placed.feature.missing_dispersion = missing(&slots, at);
    }
}

/// What blocks of one slot spread by; of several slots the mean phi, each weighted by its blocks, since a
/// block is compared with the rest of its slot. Each is at least 1 and d1 is the smallest of any, so a
/// season of few blocks errs to the quiet side.
fn over_slots(slots: &[Vec<Vec<Tables>>], table: impl Fn(&Vec<Tables>) -> Vec<f64>) -> Dispersion {
    let of = |blocks: &Vec<Vec<Tables>>| {
        let counts: Vec<Vec<f64>> = blocks.iter().map(&table).collect();
        (Dispersion::of(&counts), blocks.len() as f64)
    };
    let each: Vec<(Dispersion, f64)> = slots.iter().filter(|blocks| blocks.len() > 1).map(of).collect();
    if let [(only, _)] = each.as_slice() {
        return *only;
    }
    let known: Vec<(Dispersion, f64)> = each.into_iter().filter(|(it, _)| it.dof.is_some()).collect();
    let weight: f64 = known.iter().map(|(_, blocks)| blocks).sum();
    if weight == 0.0 {
        return Dispersion::none();
    }
    let phi = known.iter().map(|(it, blocks)| it.phi * blocks).sum::<f64>() / weight;
    let dof = known.iter().filter_map(|(it, _)| it.dof);
    let (d1, d2) = dof.fold((f64::INFINITY, 0.0), |(d1, d2), (one, two)| (f64::min(d1, one), d2 + two));
    Dispersion { phi: phi.max(1.0), dof: Some((d1, d2)) }
}

/// Of what is present and missing. Logits are of one slot only: a season moves their mean.
fn missing(slots: &[Vec<Vec<Tables>>], at: usize) -> MissingDispersion {
    match slots {
        [blocks] => {
            let presence = |tables: &Vec<Tables>| {
                let [present, missing] = tables[at].presence;
                Presence { missing, present }
            };
            MissingDispersion::of(&blocks.iter().map(presence).collect::<Vec<_>>())
        }
        several => {
            let dispersion = over_slots(several, |tables| tables[at].presence.to_vec());
            MissingDispersion { dispersion, logits: None }
        }
    }
}

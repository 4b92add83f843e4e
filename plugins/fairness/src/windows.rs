//! Sums over the last window, which the gateway keeps.

use std::time::Duration;

use weir_plugin_sdk::prelude::*;

use crate::groups::Groups;
use crate::judge::Rows;
use crate::metrics::OTHER;

/// Steps a window slides in: each takes memory for each group.
const SLICES: u32 = 60;

/// What is declared.
#[derive(Debug)]
pub(crate) struct Windows {
    /// Weights of rows, by group.
    rows: Window,
    /// Weights of those with the favourable outcome, by group; summed up by batch.
    favourable: Window,
    /// Exchanges, each as many times as it stands for, and those nobody saw.
    observed: Window,
    missed: Window,
}

impl Windows {
    pub(crate) fn declare(manifest: &mut Manifest, span: Duration) -> Self {
        let mut window = |name, labels: &[&str]| {
            manifest.window(WindowSpec { name, span, slices: SLICES, edges: &[], labels })
        };
        Self {
            rows: window("rows", &["group"]),
            favourable: window("favourable_rows", &["group"]),
            observed: window("observed", &[]),
            missed: window("missed", &[]),
        }
    }

    /// Weights of a group's rows, and the sum of those with the favourable outcome.
    pub(crate) fn feed(
        &self,
        groups: &Groups,
        group: usize,
        (all, favourable): (&Vec<f64>, f64),
        out: &mut Outcome,
    ) {
        let label = label(groups, group);
        out.feed(self.rows, &[&label], all);
        out.feed(self.favourable, &[&label], favourable);
    }

    pub(crate) fn feed_exchanges(&self, batch: &Batch, out: &mut Outcome) {
        let observed: f64 = (0..batch.exchanges()).map(|it| weight(batch, it)).sum();
        out.feed(self.observed, &[], observed);
        out.feed(self.missed, &[], batch.missed() as f64);
    }

    /// What there is by group, and last of all that are not told apart.
    pub(crate) fn read(&self, groups: &Groups, out: &mut Outcome) -> Vec<Rows> {
        let mut read = |group: usize| {
            let label = label(groups, group);
            let weights = out.read(self.rows, &[&label]).filter(|it| it.count > 0)?;
            let favourable = out.read(self.favourable, &[&label]).map_or(0.0, |it| it.sum);
            let squares = weights.count as f64 * (weights.variance + weights.mean * weights.mean);
            Some(Rows { weight: weights.sum, squares, favourable })
        };
        let named = 0..groups.names.len();
        named.chain([groups.most]).map(|group| read(group).unwrap_or_default()).collect()
    }

    /// Exchanges that were observed, and that were missed.
    pub(crate) fn read_exchanges(&self, out: &mut Outcome) -> (f64, f64) {
        let mut sum = |window| out.read(window, &[]).map_or(0.0, |it| it.sum);
        (sum(self.observed), sum(self.missed))
    }
}

/// How many exchanges one stands for.
pub(crate) fn weight(batch: &Batch, exchange: usize) -> f64 {
    let p = batch.probability(exchange);
    if p > 0.0 { 1.0 / p } else { 0.0 }
}

/// The label of a group's windows: one of that name may be called `other` too.
fn label(groups: &Groups, group: usize) -> String {
    groups.names.get(group).map_or_else(|| OTHER.to_owned(), |name| format!("={name}"))
}

//! Sums over tumbling windows, which the gateway keeps in sliding ones: these slide by a whole window, and
//! what each feeds is labelled by its number.

use std::time::Duration;

use weir_plugin_sdk::prelude::*;

use crate::groups::Groups;
use crate::judge::Rows;
use crate::metrics::OTHER;

/// Windows that are told apart: the one that runs, and two before it, for one is read late.
const TOLD_APART: u32 = 3;

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
            let span = span * TOLD_APART;
            manifest.window(WindowSpec { name, span, slices: TOLD_APART, edges: &[], labels })
        };
        Self {
            rows: window("rows", &["window", "group"]),
            favourable: window("favourable_rows", &["window", "group"]),
            observed: window("observed", &["window"]),
            missed: window("missed", &["window"]),
        }
    }

    /// Of a window: weights of a group's rows, and the sum of those with the favourable outcome.
    pub(crate) fn feed(
        &self,
        window: u64,
        (groups, group): (&Groups, usize),
        (all, favourable): (&Vec<f64>, f64),
        out: &mut Outcome,
    ) {
        let (number, label) = (number(window), label(groups, group));
        out.feed(self.rows, &[&number, &label], all);
        out.feed(self.favourable, &[&number, &label], favourable);
    }

    pub(crate) fn feed_exchanges(&self, window: u64, batch: &Batch, out: &mut Outcome) {
        let observed: f64 = (0..batch.exchanges()).map(|it| weight(batch, it)).sum();
        let number = number(window);
        out.feed(self.observed, &[&number], observed);
        out.feed(self.missed, &[&number], batch.missed() as f64);
    }

    /// What there is of a window by group, and last of all that are not told apart. It runs, or is one of the
    /// two before that.
    pub(crate) fn read(&self, window: u64, groups: &Groups, out: &mut Outcome) -> Vec<Rows> {
        let number = number(window);
        let mut read = |group: usize| {
            let label = label(groups, group);
            let weights = out.read(self.rows, &[&number, &label]).filter(|it| it.count > 0)?;
            let favourable = out.read(self.favourable, &[&number, &label]).map_or(0.0, |it| it.sum);
            let squares = weights.count as f64 * (weights.variance + weights.mean * weights.mean);
            Some(Rows { weight: weights.sum, squares, favourable })
        };
        let named = 0..groups.names.len();
        named.chain([groups.most]).map(|group| read(group).unwrap_or_default()).collect()
    }

    /// Exchanges of a window that were observed, and that were missed.
    pub(crate) fn read_exchanges(&self, window: u64, out: &mut Outcome) -> (f64, f64) {
        let number = number(window);
        let mut sum = |window| out.read(window, &[&number]).map_or(0.0, |it| it.sum);
        (sum(self.observed), sum(self.missed))
    }
}

/// How many exchanges one stands for.
pub(crate) fn weight(batch: &Batch, exchange: usize) -> f64 {
    let p = batch.probability(exchange);
    if p > 0.0 { 1.0 / p } else { 0.0 }
}

/// The label of a window.
fn number(window: u64) -> String {
    (window % u64::from(TOLD_APART)).to_string()
}

/// The label of a group's windows: one of that name may be called `other` too.
fn label(groups: &Groups, group: usize) -> String {
    groups.names.get(group).map_or_else(|| OTHER.to_owned(), |name| format!("={name}"))
}

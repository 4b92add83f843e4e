//! Rows that the reference has hardly any of, so that their exchanges are kept.
//!
//! A number is as far out as the smaller share of the reference that lies beyond it, twice over for the two
//! sides; a text, as the share of texts that are as rare. A row goes by its most extreme feature, corrected
//! for how many it has (Sidak): of rows like the reference no more than the `contamination` are outliers,
//! however many features there are. Features that go together make them fewer still.
//!
//! The reference has 250 fine bins, so that within its range no value is rarer than one in 125: with more
//! than a feature or two, outliers are what lies beyond the range of the reference, or nearly all of them.

mod plan;
mod rank;
#[cfg(test)]
mod tests;

use std::time::Duration;

use plan::{By, Plan, Scored};
use weir_plugin_sdk::prelude::*;

/// One in 10, 30, 100 and so on.
const SCORES: [f64; 10] = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, rank::HIGHEST];

const STATES: [&str; 3] = ["ok", "no_features", "no_profile"];

settings! {
    /// What an outlier is, and how many of them are kept.
    pub struct Settings {
        /// Share of rows like the reference that are outliers, at most.
        pub contamination: f64 = 0.01,
        /// Share of the exchanges with an outlier that is kept.
        pub probability: f64 = 1.0,
        /// Features that are not looked at.
        pub ignore: Vec<String> = Vec::new(),
        /// Features with series of their own: the first in the profile. The others share `other`.
        pub max_features: u64 = 50,
    }
}

/// Scores rows.
#[derive(Debug)]
pub struct Outlier {
    settings: Settings,
    /// The score from which a row is one.
    from: f64,
    state: Gauge,
    rows: Counter,
    outlier_rows: Counter,
    score: Histogram,
    outlier: Reason,
    plans: PerSchema<Option<Plan>>,
    /// By row of the batch: its score, below 0 without any value, and the feature that made it so.
    scores: Vec<f64>,
    by: Vec<u16>,
}

impl Plugin for Outlier {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        let Settings { contamination, probability, max_features, .. } = settings;
        let part = contamination > 0.0 && contamination < 1.0;
        faults.check(part, "/contamination", "expected a share above 0, below 1");
        faults.check((0.0..=1.0).contains(&probability), "/probability", "expected a share from 0 to 1");
        faults.check(max_features <= 1000, "/max_features", "expected at most 1000");

        manifest.want(Columns::role(role::INPUT));
        manifest.tick_every(Duration::from_secs(1));
        let state = "Whether rows are scored: 1 for ok, no_features (none of the profile's) or no_profile.";
        let outliers = "Outliers by the feature that is most extreme.";
        let score = "How far out rows lie: 2 for one in a hundred, 3 for one in a thousand.";
        Self {
            from: -contamination.log10(),
            state: manifest.gauge(Metric::new("state", state).labels(&["state"])),
            rows: manifest.counter(Metric::new("scored_rows", "Rows with a value that could be scored.")),
            outlier_rows: manifest.counter(Metric::new("rows", outliers).labels(&["feature"])),
            score: manifest.histogram(Metric::new("score", score), &SCORES),
            outlier: manifest.reason("outlier"),
            plans: PerSchema::default(),
            scores: Vec::new(),
            by: Vec::new(),
            settings,
        }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        let schema = batch.schema();
        let mut plan = self.plans.remove(schema).unwrap_or_default();
        if Plan::update(&mut plan, schema, &self.settings.ignore)
            && let Some(plan) = &plan
        {
            self.score_rows(&plan.features, batch);
            self.report(&plan.features, batch, out);
        }
        self.plans.of(schema, || plan);
    }

    fn tick(&mut self, schema: &Schema, _now_ns: u64, out: &mut Outcome) {
        let plan = self.plans.of(schema, || None);
        let state = match (Plan::update(plan, schema, &self.settings.ignore), plan) {
            (true, Some(plan)) if plan.has_features() => "ok",
            (true, _) => "no_features",
            (false, _) => "no_profile",
        };
        out.set_state(self.state, &STATES, state);
    }

    fn retire(&mut self, schema: &Schema) {
        self.plans.remove(schema);
    }
}

impl Outlier {
    /// The highest score of each row, a feature at a time.
    fn score_rows(&mut self, features: &[Scored], batch: &Batch) {
        let Self { scores, by, .. } = self;
        scores.clear();
        scores.resize(batch.rows(), -1.0);
        by.clear();
        by.resize(batch.rows(), 0);
        for (at, Scored { column, by: how, .. }) in features.iter().enumerate() {
            let mut see = |row: usize, score: f64| {
                if score > scores[row] {
                    (scores[row], by[row]) = (score, at as u16);
                }
            };
            match how {
                By::Rank(ranks) => {
                    let there = batch.numbers(*column).iter().enumerate().filter(|(_, x)| !x.is_nan());
                    there.for_each(|(row, x)| see(row, ranks.score(*x)));
                }
                By::Rarity(_, by_code) => {
                    let score = |code: &u32| by_code.get(*code as usize).copied();
                    let codes = batch.codes(*column).iter().enumerate();
                    codes.filter_map(|(row, code)| Some((row, score(code)?))).for_each(|it| see(it.0, it.1));
                }
            }
        }
    }

    fn report(&mut self, features: &[Scored], batch: &Batch, out: &mut Outcome) {
        let own = features.len().min(self.settings.max_features as usize);
        // Every feature is shown at 0 before it has any: the increase of what is first seen at 40 is 0.
        let mut counts = vec![0_u32; own + 1];
        let mut kept = Vec::new();
        let (by, of_row) = (&self.by, batch.row_exchange());
        for (row, _) in self.scores.iter().enumerate().filter(|(_, score)| **score >= self.from) {
            counts[usize::from(by[row]).min(own)] += 1;
            // The rows of an exchange stand together.
            let exchange = of_row.get(row).copied().filter(|it| kept.last() != Some(it));
            kept.extend(exchange);
        }
        for (at, count) in counts.into_iter().enumerate() {
            let named = if at < own { Some(features[at].name.as_str()) } else { None };
            if named.is_some() || count > 0 {
                out.add(self.outlier_rows, &[named.unwrap_or("other")], f64::from(count));
            }
        }
        out.keep(self.outlier, self.settings.probability, kept);
        self.scores.retain(|score| *score >= 0.0);
        out.add(self.rows, &[], self.scores.len() as f64);
        if !self.scores.is_empty() {
            out.observe(self.score, &[], &self.scores);
        }
    }
}

weir_plugin_sdk::export!(Outlier);

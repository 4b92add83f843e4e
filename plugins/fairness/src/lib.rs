//! Whether groups of rows get the favourable outcome equally often.
//!
//! Each group is compared with all other rows: never the best with the worst, whose difference grows with the
//! number of groups though all are treated alike. A disparity is a difference that is certainly larger than
//! is tolerated, with Holm's procedure over the groups and a budget of false alarms. It says that outcomes
//! differ (statistical parity), not why.
//!
//! Rows that were observed with a probability count as many times as they stand for, and know as much as
//! Kish's effective number of them. Windows are the gateway's: they survive a trap or a reload.

mod groups;
mod judge;
mod metrics;
mod report;
mod settings;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use groups::{Groups, Known, NONE};
use judge::{Judged, Rows};
use metrics::{Metrics, STATES, label};
use report::Verdict;
use settings::Settings;
use weir_plugin_sdk::json;
use weir_plugin_sdk::log;
use weir_plugin_sdk::looks::Pace;
use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference;
use windows::{Windows, weight};

/// How long after its end a window waits for batches that are late, in ns; at most its own length.
const GRACE_NS: u64 = 2_000_000_000;

/// Compares groups.
#[derive(Debug)]
pub struct Fairness {
    settings: Settings,
    pace: Pace,
    metrics: Metrics,
    windows: Windows,
    /// By schema: its model, and what is known of its columns.
    schemas: BTreeMap<u32, (String, Known)>,
    models: BTreeMap<String, Model>,
    /// By row of the batch.
    group_of: Vec<u16>,
    outcomes: Vec<Option<bool>>,
    /// By group: weights of its rows in the batch, and of those with the favourable outcome.
    weights: Vec<(Vec<f64>, f64)>,
}

/// What is kept of a model.
#[derive(Clone, Debug)]
struct Model {
    groups: Groups,
    /// The oldest window that is not done, in windows since 1970.
    running: u64,
    last_look_ns: Option<u64>,
    /// Windows in a row that should have been looked at and could not be.
    misses: u32,
    /// It has been said how it stands, by this instance or the one before: the gateway keeps that.
    said: bool,
}

/// What is saved of a model: groups, running window, last look, misses.
type Saved = (Vec<String>, u64, Option<u64>, u32);

impl Plugin for Fairness {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        let pace = Pace::new(settings.window, settings.budget, settings.looks, faults);
        settings.check(faults);
        manifest.want(Columns::role(role::INPUT).named(&settings.group));
        match (settings.score.as_str(), settings.output.as_str()) {
            ("", "") => manifest.want(Columns::role(role::OUTPUT)),
            ("", output) => manifest.want(Columns::role(role::OUTPUT).named(output)),
            (score, _) => {
                manifest.want(Columns::role(role::SCORE).named(score).numbers());
                manifest.want(Columns::role(role::OUTPUT).named(score).numbers());
            }
        }
        manifest.tick_every(Duration::from_secs(1));
        Self {
            pace,
            metrics: Metrics::declare(manifest),
            windows: Windows::declare(manifest, settings.window),
            schemas: BTreeMap::new(),
            models: BTreeMap::new(),
            group_of: Vec::new(),
            outcomes: Vec::new(),
            weights: Vec::new(),
            settings,
        }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        let Self { settings, pace, schemas, models, group_of, outcomes, .. } = self;
        let (key, known) = entry(schemas, batch.schema());
        let window = batch.closed_ns() / pace.span_ns();
        let model = model_of(models, key, settings, window);
        if window < model.running {
            return out.add(self.metrics.left_out, &["window"], batch.rows() as f64);
        }
        known.groups(&mut model.groups, batch, &settings.group, group_of);
        known.outcomes(settings, batch, outcomes);
        let groups = model.groups.clone();
        self.count(window, &groups, batch, out);
        self.windows.feed_exchanges(window, batch, out);
    }

    fn tick(&mut self, schema: &Schema, now_ns: u64, out: &mut Outcome) {
        let span = self.pace.span_ns();
        let (key, _) = entry(&mut self.schemas, schema);
        let key = key.clone();
        let model = model_of(&mut self.models, &key, &self.settings, now_ns / span);
        if !std::mem::replace(&mut model.said, true) {
            self.metrics.standing.stand(&STATES, "not_enough_data", model.misses, out);
        }
        let ended = (now_ns.saturating_sub(GRACE_NS.min(span)) / span).saturating_sub(model.running);
        if ended == 0 {
            return;
        }
        model.running += ended;
        // Whatever of them ended while nobody looked has slid away.
        if ended > 1 {
            self.metrics.standing.result("dropped", u32::try_from(ended - 1).unwrap_or(u32::MAX), out);
        }
        self.end(schema, &key, out);
    }

    fn retire(&mut self, schema: &Schema) {
        let Some((key, _)) = self.schemas.remove(&schema.id) else { return };
        if !self.schemas.values().any(|(other, _)| *other == key) {
            self.models.remove(&key);
        }
    }

    fn save(&self) -> Option<(u32, Vec<u8>)> {
        let saved = |it: &Model| (it.groups.names.clone(), it.running, it.last_look_ns, it.misses);
        let all: BTreeMap<&str, Saved> =
            self.models.iter().map(|(key, it)| (key.as_str(), saved(it))).collect();
        Some((1, json::to_vec(&all).ok()?))
    }

    fn load(&mut self, format: u32, data: &[u8]) -> bool {
        let read = (format == 1).then(|| json::from_slice::<BTreeMap<String, Saved>>(data).ok()).flatten();
        let Some(read) = read else { return false };
        let model = |(key, (names, running, last_look_ns, misses)): (String, Saved)| {
            let groups = Groups::new(&self.settings, names);
            (key, Model { groups, running, last_look_ns, misses, said: true })
        };
        self.models = read.into_iter().map(model).collect();
        true
    }
}

impl Fairness {
    /// Sorts the rows of a batch by group, for a window takes its values in one piece.
    fn count(&mut self, window: u64, groups: &Groups, batch: &Batch, out: &mut Outcome) {
        let most = groups.most;
        self.weights.resize_with(most + 1, Default::default);
        self.weights.iter_mut().for_each(|(all, favourable)| (*favourable, _) = (0.0, all.clear()));
        let (mut no_group, mut no_outcome) = (0, 0);
        let rows = self.group_of.iter().zip(&self.outcomes).zip(batch.row_exchange());
        for ((group, outcome), exchange) in rows {
            match (*group, outcome) {
                (_, None) => no_outcome += 1,
                (NONE, _) => no_group += 1,
                (group, Some(favourable)) => {
                    let weight = weight(batch, *exchange as usize);
                    let (all, sum) = &mut self.weights[usize::from(group).min(most)];
                    all.push(weight);
                    *sum += if *favourable { weight } else { 0.0 };
                }
            }
        }
        out.add(self.metrics.left_out, &["group"], f64::from(no_group));
        out.add(self.metrics.left_out, &["outcome"], f64::from(no_outcome));
        for (group, (all, favourable)) in self.weights.iter().enumerate().filter(|(_, it)| !it.0.is_empty()) {
            self.windows.feed(window, (groups, group), (all, *favourable), out);
            let sums = (all.iter().sum(), *favourable);
            self.metrics.count(label(&self.settings, groups, group), sums, out);
        }
    }

    /// The window before the one that runs has ended.
    fn end(&mut self, schema: &Schema, key: &str, out: &mut Outcome) {
        let Some(mut model) = self.models.remove(key) else { return };
        let end_ns = model.running * self.pace.span_ns();
        let ended = model.running.saturating_sub(1);
        let rows = self.windows.read(ended, &model.groups, out);
        let (observed, missed) = self.windows.read_exchanges(ended, out);
        let share = if observed + missed > 0.0 { observed / (observed + missed) } else { 1.0 };
        self.metrics.show_rates(&self.settings, &rows, share, out);
        if observed > 0.0
            && let Some(words) = nothing(&self.settings, &rows)
        {
            log(Level::Warn, &format!("{words} in a window with {observed} exchanges of {key}"));
        }

        let due = self.pace.is_due(end_ns, model.last_look_ns);
        let judged = (share >= self.settings.min_observed && due).then(|| self.judge(&rows));
        let verdict = match judged.as_deref() {
            _ if share < self.settings.min_observed => "incomplete",
            None => "skipped",
            Some([]) => "not_enough_data",
            Some(judged) if judged.iter().any(|it| it.disparity) => "disparity",
            Some(_) => "ok",
        };
        self.metrics.standing.result(verdict, 1, out);
        if matches!(verdict, "ok" | "disparity") {
            (model.misses, model.last_look_ns) = (0, Some(end_ns));
            self.metrics.show_judged(&self.settings, judged.as_deref().unwrap_or_default(), out);
        } else if verdict != "skipped" {
            model.misses = model.misses.saturating_add(1);
        }
        if verdict != "skipped" {
            self.metrics.standing.stand(&STATES, verdict, model.misses, out);
        }
        let verdict = Verdict {
            verdict,
            end_ns,
            settings: &self.settings,
            pace: &self.pace,
            names: &model.groups,
            rows: &rows,
            judged: judged.as_deref(),
            exchanges: (observed, observed + missed),
        };
        reference::report(schema, "fairness", &verdict.finding());
        self.models.insert(key.to_owned(), model);
    }

    fn judge(&self, rows: &[Rows]) -> Vec<Judged> {
        let Settings { min_rows, min_difference, .. } = self.settings;
        judge::judge(rows, min_rows as f64, (min_difference, self.pace.level()))
    }
}

/// What no row has, if there is anything: most likely it is written another way.
fn nothing(settings: &Settings, rows: &[Rows]) -> Option<String> {
    let Settings { group, positive, .. } = settings;
    if rows.iter().all(|it| it.weight <= 0.0) {
        return Some(format!("no row has a `{group}` (`group`) and an outcome"));
    }
    let none = !positive.is_empty() && rows.iter().all(|it| it.favourable <= 0.0);
    none.then(|| format!("no row has the outcome `{positive}` (`positive`)"))
}

fn entry<'a>(
    schemas: &'a mut BTreeMap<u32, (String, Known)>,
    schema: &Schema,
) -> (&'a mut String, &'a mut Known) {
    let (key, known) = schemas.entry(schema.id).or_insert_with(|| (schema.model_key(), Known::default()));
    (key, known)
}

fn model_of<'a>(
    models: &'a mut BTreeMap<String, Model>,
    key: &str,
    settings: &Settings,
    running: u64,
) -> &'a mut Model {
    models.entry(key.to_owned()).or_insert_with(|| {
        let groups = Groups::new(settings, []);
        Model { groups, running, last_look_ns: None, misses: 0, said: false }
    })
}

weir_plugin_sdk::export!(Fairness);

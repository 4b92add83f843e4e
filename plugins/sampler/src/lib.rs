//! Which exchanges are worth keeping: errors, slow ones, unsure answers, classes never seen before, and a
//! share of the rest. An exchange that is worth it for several reasons is named for each.

mod classes;
#[cfg(test)]
mod tests;

use std::time::Duration;

use classes::{Classes, Seen};
use weir_plugin_sdk::json;
use weir_plugin_sdk::prelude::*;

const FAILURES: [&str; 5] = ["client_error", "upstream_error", "timeout", "cancelled", "model_error"];

settings! {
    /// What is kept, and how much of the rest.
    pub struct Settings {
        /// Outcomes that are errors: `client_error`, `upstream_error`, `timeout`, `cancelled`, `model_error`.
        pub errors: Vec<String> =
            ["client_error", "upstream_error", "timeout", "model_error"].map(str::to_owned).to_vec(),
        /// An exchange that the model takes longer for is slow.
        pub slow: Duration = Duration::from_secs(1),
        /// Probability of the chosen class below which an answer is unsure.
        pub low_confidence: f64 = 0.6,
        /// Classes of a model of which the first exchange is kept; 0: none.
        pub max_classes: u64 = 100,
        /// Share of all other exchanges that is kept.
        pub rest: f64 = 0.01,
    }
}

/// Names exchanges to keep.
#[derive(Debug)]
pub struct Sampler {
    settings: Settings,
    reasons: Reasons,
    /// By model: the classes seen.
    seen: Vec<(String, Seen)>,
    classes: PerSchema<Classes>,
    /// By row of the batch: the highest score.
    top: Vec<f64>,
}

#[derive(Debug)]
struct Reasons {
    error: Reason,
    slow: Reason,
    low_confidence: Reason,
    new_class: Reason,
    rest: Reason,
}

impl Plugin for Sampler {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        for (i, outcome) in settings.errors.iter().enumerate() {
            let known = FAILURES.contains(&outcome.as_str());
            faults.check(known, &format!("/errors/{i}"), &format!("expected one of {}", FAILURES.join(", ")));
        }
        let a_share = "expected a share from 0 to 1";
        faults.check((0.0..=1.0).contains(&settings.low_confidence), "/low_confidence", a_share);
        faults.check((0.0..=1.0).contains(&settings.rest), "/rest", a_share);
        faults.check(settings.max_classes <= 10_000, "/max_classes", "expected at most 10000");

        manifest.want(Columns::role(role::OUTCOME));
        manifest.want(Columns::role(role::DURATION));
        manifest.want(Columns::role(role::SCORE).numbers());
        manifest.want(Columns::role(role::OUTPUT));
        let reasons = Reasons {
            error: manifest.reason("error"),
            slow: manifest.reason("slow"),
            low_confidence: manifest.reason("low_confidence"),
            new_class: manifest.reason("new_class"),
            rest: manifest.reason("rest"),
        };
        Self { settings, reasons, seen: Vec::new(), classes: PerSchema::default(), top: Vec::new() }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        self.keep_errors(batch, out);
        self.keep_slow(batch, out);
        if batch.schema().task != Task::Regression {
            self.keep_unsure(batch, out);
            self.keep_new_classes(batch, out);
        }
        if self.settings.rest > 0.0 {
            out.keep_rest(self.reasons.rest, self.settings.rest);
        }
    }

    fn retire(&mut self, schema: &Schema) {
        // What other schemas of the model have looked up they do not ask for again.
        if let Some(classes) = self.classes.remove(schema) {
            self.seen.retain(|(model, _)| model != classes.model());
        }
    }

    fn save(&self) -> Option<(u32, Vec<u8>)> {
        Some((1, json::to_vec(&self.seen).ok()?))
    }

    fn load(&mut self, format: u32, data: &[u8]) -> bool {
        let read = (format == 1).then(|| json::from_slice(data).ok()).flatten();
        read.map(|seen| self.seen = seen).is_some()
    }
}

impl Sampler {
    fn keep_errors(&self, batch: &Batch, out: &mut Outcome) {
        let Some(i) = batch.schema().find(role::OUTCOME, Kind::Code) else { return };
        let texts = &batch.schema().columns[i].texts;
        let error: Vec<bool> = texts.iter().map(|text| self.settings.errors.contains(text)).collect();
        let is_error = |code: &u32| error.get(*code as usize).is_some_and(|it| *it);
        out.keep(self.reasons.error, 1.0, positions(batch.codes(i), is_error));
    }

    fn keep_slow(&self, batch: &Batch, out: &mut Outcome) {
        let Some(i) = batch.schema().find(role::DURATION, Kind::Number) else { return };
        let limit = self.settings.slow.as_secs_f64();
        out.keep(self.reasons.slow, 1.0, positions(batch.numbers(i), |seconds| *seconds > limit));
    }

    /// Exchanges with a row whose highest score is low.
    fn keep_unsure(&mut self, batch: &Batch, out: &mut Outcome) {
        self.top.clear();
        self.top.resize(batch.rows(), f64::NAN);
        for (i, _) in batch.schema().with_role(role::SCORE) {
            // `max` takes the other one of a missing score.
            self.top.iter_mut().zip(batch.numbers(i)).for_each(|(top, score)| *top = top.max(*score));
        }
        let limit = self.settings.low_confidence;
        let rows = positions(&self.top, |top| *top < limit);
        out.keep(self.reasons.low_confidence, 1.0, exchanges(batch, rows));
    }

    /// Exchanges with the first row of a class.
    fn keep_new_classes(&mut self, batch: &Batch, out: &mut Outcome) {
        let schema = batch.schema();
        let classes = self.classes.of(schema, || Classes::of(schema));
        let at = self.seen.iter().position(|(model, _)| model == classes.model());
        let at = at.unwrap_or_else(|| {
            self.seen.push((classes.model().to_owned(), Seen::new()));
            self.seen.len() - 1
        });
        let seen = &mut self.seen[at].1;
        let most = self.settings.max_classes as usize;
        let rows = classes.first_rows(batch, &self.top, |class| {
            let new = seen.len() < most && !seen.iter().any(|it| it == class);
            if new {
                seen.push(class.to_owned());
            }
            new
        });
        out.keep(self.reasons.new_class, 1.0, exchanges(batch, rows));
    }
}

/// Where in a list something is the case.
fn positions<T>(list: &[T], is: impl Fn(&T) -> bool) -> impl Iterator<Item = u32> {
    list.iter().enumerate().filter_map(move |(i, it)| is(it).then_some(i as u32))
}

/// The exchanges of rows, each once: the rows of an exchange stand together.
fn exchanges(batch: &Batch, rows: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u32> {
    let of_row = batch.row_exchange();
    let mut last = None;
    rows.into_iter().filter_map(move |row| {
        let exchange = of_row.get(row as usize).copied();
        (exchange != last).then(|| last = exchange).and(exchange)
    })
}

weir_plugin_sdk::export!(Sampler);

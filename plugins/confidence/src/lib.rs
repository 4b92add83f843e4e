//! How sure a classifier is: probability of the class it chose, its lead over the runner-up, entropy, and a
//! condition for when too many answers are unsure.

use std::time::Duration;

use weir_plugin_sdk::json;
use weir_plugin_sdk::prelude::*;

/// An edge at every threshold people alert on, and finer where a good classifier lives.
const TOP_EDGES: [f64; 14] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0];
/// Tenths: what matters about margin and entropy is their middle.
const TENTHS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

settings! {
    /// What counts as unsure, and when that is worth an alert.
    pub struct Settings {
        /// Probability of the chosen class below which an answer is unsure.
        pub threshold: f64 = 0.6,
        /// Share of unsure rows in the window from which `low_confidence` holds.
        pub min_share: f64 = 0.2,
        /// Share below which it no longer holds; default: four fifths of `min_share`.
        pub clear_share: Option<f64> = None,
        /// The window.
        pub window: Duration = Duration::from_secs(600),
        /// Rows the window needs before anything is said of it.
        pub min_rows: u64 = 200,
        /// Classes with series of their own; the others share `other`.
        pub classes: u64 = 50,
        /// A model's only score is the probability of its positive class, so that the other class has the
        /// rest. False: it is the probability of whichever class was chosen.
        pub binary: bool = false,
    }
}

/// Judges the scores of classifiers.
#[derive(Debug)]
pub struct Confidence {
    settings: Settings,
    clear_share: f64,
    top: Histogram,
    margin: Histogram,
    entropy: Histogram,
    low: Counter,
    invalid: Counter,
    window: Window,
    low_confidence: Condition,
    /// Models for which the condition holds.
    unsure: Vec<String>,
    rows: Vec<Row>,
    /// By class: where its rows begin in `sorted`.
    starts: Vec<usize>,
    sorted: [Vec<f64>; 3],
}

/// What is known of a row while its scores are gone through.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    top: f64,
    second: f64,
    sum: f64,
    /// Sum of p ln p.
    p_ln_p: f64,
    class: usize,
}

impl Row {
    fn see(&mut self, p: f64, class: usize) {
        if p.is_nan() {
            return;
        }
        // Not a number from here on: a score that is no probability.
        self.sum += if (0.0..=1.000_001).contains(&p) { p } else { f64::NAN };
        if p > 0.0 {
            self.p_ln_p += p * p.ln();
        }
        if p > self.top {
            (self.second, self.top, self.class) = (self.top, p, class);
        } else if p > self.second {
            self.second = p;
        }
    }

    /// Of the scores divided by their sum, as a share of the most that is possible: 1 is a guess.
    fn entropy(&self, classes: usize) -> f64 {
        ((self.sum.ln() - self.p_ln_p / self.sum) / (classes as f64).ln()).max(0.0)
    }
}

impl Plugin for Confidence {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        let Settings { threshold, min_share, window: span, .. } = settings;
        let clear_share = settings.clear_share.unwrap_or(0.8 * min_share);
        let (a_share, order) =
            ("expected a share above 0, at most 1", "expected at most `min_share`, from 0 on");
        faults.check(threshold > 0.0 && threshold <= 1.0, "/threshold", a_share);
        faults.check(min_share > 0.0 && min_share <= 1.0, "/min_share", a_share);
        faults.check((0.0..=min_share).contains(&clear_share), "/clear_share", order);
        faults.check(!span.is_zero(), "/window", "expected more than no time");
        faults.check(settings.classes > 0, "/classes", "expected at least 1");

        manifest.want(Columns::role(role::SCORE).numbers());
        manifest.tick_every(Duration::from_secs(1));
        let by_class = |name, help| Metric::new(name, help).labels(&["class"]);
        let ratio = |name, help| by_class(name, help).unit("ratio");
        let top = ratio("top", "Probability of the class chosen.");
        let margin = ratio("margin", "Lead of the class chosen over the next.");
        let entropy = ratio("entropy", "Entropy of the classes as a share of the highest; 1 is a guess.");
        let invalid =
            Metric::new("invalid_rows", "Rows whose scores are no probabilities, left out elsewhere.");
        // The window slides in steps of a minute or less.
        let slices = span.as_secs().div_ceil(60).clamp(10, 120) as u32;
        Self {
            clear_share,
            top: manifest.histogram(top, &TOP_EDGES),
            margin: manifest.histogram(margin, &TENTHS),
            entropy: manifest.histogram(entropy, &TENTHS),
            low: manifest.counter(by_class("low_rows", "Rows below the threshold.")),
            invalid: manifest.counter(invalid),
            // Upper edges are inclusive, and the threshold itself is not low.
            window: manifest.window(WindowSpec {
                name: "top",
                span,
                slices,
                edges: &[threshold.next_down()],
                labels: &[],
            }),
            low_confidence: manifest.condition("low_confidence", "Too large a share of unsure rows.", &[]),
            unsure: Vec::new(),
            rows: Vec::new(),
            starts: Vec::new(),
            sorted: Default::default(),
            settings,
        }
    }

    fn observe(&mut self, batch: &Batch, out: &mut Outcome) {
        if batch.schema().task == Task::Regression {
            return;
        }
        let scores: Vec<(usize, &str)> =
            batch.schema().with_role(role::SCORE).map(|(i, column)| (i, column.name.as_str())).collect();
        match scores.as_slice() {
            [] => {}
            [(only, name)] if self.settings.binary => {
                self.look_at([batch.numbers(*only)], batch.rows(), |row, _, p| {
                    row.see(p, 0);
                    row.see(1.0 - p, 1);
                });
                self.report(&[name, &format!("not {name}")], out);
            }
            _ => {
                let values = scores.iter().map(|(i, _)| batch.numbers(*i));
                self.look_at(values, batch.rows(), |row, class, p| row.see(p, class));
                let names: Vec<&str> = scores.iter().map(|(_, name)| *name).collect();
                self.report(&names, out);
            }
        }
    }

    fn tick(&mut self, schema: &Schema, _now_ns: u64, out: &mut Outcome) {
        let Some(seen) = out.read(self.window, &[]) else { return };
        let share = seen.bins[0] as f64 / seen.count.max(1) as f64;
        let model = schema.model_key();
        // Once raised it needs a clearly lower share to end, or too few rows to say.
        let bar = if self.unsure.contains(&model) { self.clear_share } else { self.settings.min_share };
        let active = seen.count >= self.settings.min_rows.max(1) && share >= bar;
        self.unsure.retain(|it| *it != model);
        if active {
            self.unsure.push(model);
        }
        out.condition(self.low_confidence, &[], active, (share, seen.count));
    }

    fn retire(&mut self, schema: &Schema) {
        // Should the model have other schemas, its condition ends a little early at worst.
        let model = schema.model_key();
        self.unsure.retain(|it| *it != model);
    }

    fn save(&self) -> Option<(u32, Vec<u8>)> {
        Some((1, json::to_vec(&self.unsure).ok()?))
    }

    fn load(&mut self, format: u32, data: &[u8]) -> bool {
        let read = (format == 1).then(|| json::from_slice(data).ok()).flatten();
        read.map(|unsure| self.unsure = unsure).is_some()
    }
}

impl Confidence {
    /// Goes through the scores, a class at a time.
    fn look_at<'a>(
        &mut self,
        scores: impl IntoIterator<Item = &'a [f64]>,
        rows: usize,
        see: impl Fn(&mut Row, usize, f64),
    ) {
        self.rows.clear();
        self.rows.resize(rows, Row::default());
        for (class, values) in scores.into_iter().enumerate() {
            self.rows.iter_mut().zip(values).for_each(|(row, p)| see(row, class, *p));
        }
    }

    /// Sorts the rows by class, for a series takes its values in one piece, and says what there is.
    fn report(&mut self, classes: &[&str], out: &mut Outcome) {
        let own = classes.len().min(self.settings.classes as usize);
        let invalid = self.rows.iter().filter(|row| row.sum.is_nan()).count();
        self.rows.retain(|row| row.sum > 0.0);
        self.starts.clear();
        self.starts.resize(own + 2, 0);
        for row in &mut self.rows {
            row.class = row.class.min(own);
            self.starts[row.class + 1] += 1;
        }
        for class in 1..self.starts.len() {
            self.starts[class] += self.starts[class - 1];
        }
        let [tops, margins, entropies] = &mut self.sorted;
        for values in [&mut *tops, &mut *margins, &mut *entropies] {
            values.clear();
            values.resize(self.rows.len(), 0.0);
        }
        let mut next = self.starts.clone();
        for row in &self.rows {
            let place = next[row.class];
            next[row.class] += 1;
            tops[place] = row.top;
            margins[place] = row.top - row.second;
            entropies[place] = row.entropy(classes.len());
        }
        let placed = out.values(tops);
        out.feed(self.window, &[], placed);
        out.add(self.invalid, &[], invalid as f64);
        for class in 0..=own {
            let range = self.starts[class]..self.starts[class + 1];
            if range.is_empty() {
                continue;
            }
            let label = [if class < own { classes[class] } else { "other" }];
            let low = tops[range.clone()].iter().filter(|top| **top < self.settings.threshold).count();
            out.add(self.low, &label, low as f64);
            out.observe(self.top, &label, placed.part(range.clone()));
            if classes.len() > 1 {
                out.observe(self.margin, &label, &margins[range.clone()]);
                out.observe(self.entropy, &label, &entropies[range]);
            }
        }
    }
}

weir_plugin_sdk::export!(Confidence);

#[cfg(test)]
mod tests;

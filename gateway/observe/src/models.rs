//! What every model server should have emitted: predictions, latency, confidence, classes, sizes.
//!
//! Facts of an exchange are counted when it is appended, facts of rows when their batch closes. Each
//! telemetry thread has cells of its own, so that counting is a load and a store.

use std::sync::Arc;

use hashbrown::HashMap;
use weir_exchange::{Batch, Column, ColumnData, Kind, Outcome, Role, Schema, Task};
use weir_telemetry::{Cap, Counter, Family, Histogram, Metric, Registry, RegistryError, Spec};

use crate::directory::Pair;
use crate::keep::Told;
use crate::open::Facts;

/// From a tree in 100 us to a generation of a minute.
pub const LATENCY_EDGES: [f64; 18] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0,
];

/// Tenths, and finer above 0.9, where a good classifier lives and where drift shows first. An edge at every
/// threshold people alert on (0.5, 0.6, 0.7, 0.8, 0.9) makes such an alert exact. 1 is the last: scores that
/// are no probabilities fall beyond it.
pub const CONFIDENCE_EDGES: [f64; 14] =
    [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0];

/// Rows of one request: from one to the bound of a batch.
pub const ROWS_EDGES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0];

/// Body sizes in factors of four from 64 bytes to 16 MiB.
pub const SIZE_EDGES: [f64; 10] =
    [64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// A score beyond this is none: a sum that took it in would stay too coarse for probabilities, or infinite,
/// for ever.
const LARGEST_SCORE: f64 = 1e9;

/// Series of the families whose model names come from traffic.
const SERIES: usize = 2000;
/// Classes times models.
const CLASS_SERIES: usize = 10_000;

const MODEL: [&str; 3] = ["route", "model", "model_version"];

/// The families. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ModelMetrics {
    predictions: Family<Counter>,
    pub(crate) latency: Family<Histogram>,
    pub(crate) confidence: Family<Histogram>,
    classes: Family<Counter>,
    rows: Family<Histogram>,
    request_bytes: Family<Histogram>,
    response_bytes: Family<Histogram>,
}

impl ModelMetrics {
    /// Makes and registers the families.
    ///
    /// # Errors
    /// A name is taken by a metric of another shape.
    pub fn new(registry: &Registry) -> Result<Self, RegistryError> {
        let open = Cap::Open { series: SERIES };
        let histogram = |name, help, edges: &[f64], unit| {
            Family::new(Spec::histogram(name, help, edges, &MODEL).unit(unit), open)
        };
        let outcome = "Rows predicted on success, rows asked for otherwise, by outcome.";
        let class = "Rows predicted, by class.";
        let metrics = Self {
            // Bounded by the pairs of each route, which are forgotten as they fall idle.
            predictions: Family::new(
                Spec::counter("predictions_total", outcome, &[MODEL[0], MODEL[1], MODEL[2], "outcome"]),
                Cap::Closed,
            ),
            latency: histogram(
                "prediction_latency_seconds",
                "Time of an exchange from its first byte upstream, or the start of its job, to the last response byte.",
                &LATENCY_EDGES,
                "seconds",
            ),
            confidence: histogram(
                "prediction_confidence",
                "Highest class score of each row.",
                &CONFIDENCE_EDGES,
                "",
            ),
            classes: Family::new(
                Spec::counter("predictions_by_class_total", class, &[MODEL[0], MODEL[1], MODEL[2], "class"]),
                Cap::Open { series: CLASS_SERIES },
            ),
            rows: histogram("prediction_request_rows", "Rows of an exchange that has rows.", &ROWS_EDGES, ""),
            request_bytes: histogram(
                "prediction_request_size_bytes",
                "Body size of requests.",
                &SIZE_EDGES,
                "bytes",
            ),
            response_bytes: histogram(
                "prediction_response_size_bytes",
                "Body size of responses.",
                &SIZE_EDGES,
                "bytes",
            ),
        };
        registry.family(&metrics.predictions)?;
        registry.family(&metrics.classes)?;
        let Self { latency, confidence, rows, request_bytes, response_bytes, .. } = &metrics;
        for family in [latency, confidence, rows, request_bytes, response_bytes] {
            registry.family(family)?;
        }
        Ok(metrics)
    }

    /// Exports the outcomes of a model at 0.
    pub(crate) fn announce(&self, route: &str, model: &str, version: &str) {
        self.predictions.touch_product(&[&[route], &[model], &[version], &Outcome::ALL.map(Outcome::as_str)]);
    }

    pub(crate) fn forget(&self, route: &str, model: &str, version: &str) {
        for outcome in Outcome::ALL {
            self.predictions.remove(&[route, model, version, outcome.as_str()]);
        }
    }
}

/// One thread's cells for one model of a route.
#[derive(Debug)]
pub(crate) struct ModelCells {
    predictions: [Arc<Counter>; Outcome::ALL.len()],
    latency: Arc<Histogram>,
    confidence: Arc<Histogram>,
    rows: Arc<Histogram>,
    request_bytes: Arc<Histogram>,
    response_bytes: Arc<Histogram>,
}

impl ModelCells {
    pub(crate) fn new(metrics: &ModelMetrics, route: &str, pair: &Pair) -> Self {
        let labels = [route, &*pair.model, &*pair.version];
        let histogram = |family: &Family<Histogram>| cell(family, &labels, pair.overflow);
        Self {
            predictions: Outcome::ALL.map(|outcome| {
                let [route, model, version] = labels;
                cell(&metrics.predictions, &[route, model, version, outcome.as_str()], pair.overflow)
            }),
            latency: histogram(&metrics.latency),
            confidence: histogram(&metrics.confidence),
            rows: histogram(&metrics.rows),
            request_bytes: histogram(&metrics.request_bytes),
            response_bytes: histogram(&metrics.response_bytes),
        }
    }

    /// Counts one exchange that predicted (or asked for) `rows`.
    pub(crate) fn count(&self, facts: &Facts<'_>, rows: usize) {
        self.predictions[facts.outcome as usize].bump(rows as u64);
        self.latency.observe_local(facts.duration);
        self.request_bytes.observe_local(facts.request_bytes);
        self.response_bytes.observe_local(facts.response_bytes);
        if rows > 0 {
            self.rows.observe_local(rows as f64);
        }
    }
}

/// A cell of the label set, or of the set that stands for all past the cap of models.
fn cell<M: Metric>(family: &Family<M>, labels: &[&str], overflow: bool) -> Arc<M> {
    if overflow { family.local_overflow(labels) } else { family.local(labels) }
}

/// Row facts of one schema: where its scores and labels stand, and a counter for each class.
#[derive(Debug, Default)]
pub(crate) struct RowMeter {
    version: u32,
    /// Columns of the highest score.
    scores: Vec<usize>,
    labels: Labels,
    by_code: Vec<Option<Arc<Counter>>>,
    by_number: HashMap<u64, Arc<Counter>, ahash::RandomState>,
    by_score: Vec<Option<Arc<Counter>>>,
    classes: usize,
    other: Option<Arc<Counter>>,
}

/// Memory for one batch at a time.
#[derive(Debug, Default)]
pub(crate) struct RowScratch {
    /// The highest score of each row and its place; rows without scores keep minus infinity.
    top: Vec<(f64, u32)>,
    counts: Vec<u64>,
}

/// Which columns say the class of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Labels {
    /// Nothing does: a regression, or several outputs.
    #[default]
    None,
    /// The one output field, as numbers, texts or both.
    Output { number: Option<usize>, code: Option<usize> },
    /// The highest score.
    Scores,
}

/// Makes the counters of classes, up to a cap.
pub(crate) struct ClassCells<'a> {
    pub(crate) metrics: &'a ModelMetrics,
    pub(crate) batch: &'a Batch,
    pub(crate) cap: usize,
    /// The model is one of those past the cap.
    pub(crate) overflow: bool,
}

impl ClassCells<'_> {
    fn cell(&self, class: &str) -> Arc<Counter> {
        let Schema { route, model, model_version, .. } = &*self.batch.schema;
        cell(&self.metrics.classes, &[route, model, model_version, class], self.overflow)
    }
}

impl RowMeter {
    /// Counts the rows of a closed batch. Returns how many rows fell to a class past the cap.
    pub(crate) fn count(
        &mut self,
        cells: &ModelCells,
        classes: &ClassCells<'_>,
        scratch: &mut RowScratch,
    ) -> u64 {
        let batch = classes.batch;
        if self.version != batch.schema.version {
            self.look_at(&batch.schema, batch.route.output.task);
        }
        if !self.scores.is_empty() {
            self.find_top(batch, scratch);
            cells.confidence.observe_all_local(self.scores(scratch));
        }
        match self.labels {
            Labels::None => 0,
            Labels::Output { number, code } => {
                code.map_or(0, |column| self.count_codes(column, classes, scratch))
                    + number.map_or(0, |column| self.count_numbers(column, classes))
            }
            Labels::Scores => self.count_top(classes, scratch),
        }
    }

    /// The highest score of each row of a batch that was just counted, of those rows that have one.
    pub(crate) fn scores<'s>(
        &self,
        RowScratch { top, .. }: &'s RowScratch,
    ) -> impl Iterator<Item = f64> + Clone + use<'s> {
        let top: &[(f64, u32)] = if self.scores.is_empty() { &[] } else { top };
        top.iter().map(|(score, _)| *score).filter(|score| score.abs() <= LARGEST_SCORE)
    }

    /// What the first rows of a batch that was just counted tell of its exchanges.
    pub(crate) fn tell(&self, batch: &Batch, RowScratch { top, .. }: &RowScratch) -> Vec<Told> {
        let mut told = vec![Told { class: 0, confidence: f64::NAN }; batch.exchanges];
        let mut last = None;
        for (row, exchange) in batch.row_exchange.iter().enumerate() {
            if last.replace(*exchange) != Some(*exchange)
                && let Some(told) = told.get_mut(*exchange as usize)
            {
                let best = top.get(row).filter(|_| !self.scores.is_empty());
                let best = best.filter(|(score, _)| score.is_finite());
                told.confidence = best.map_or(f64::NAN, |(score, _)| *score);
                told.class = self.class_key(batch, row, best.map(|(_, place)| *place));
            }
        }
        told
    }

    fn class_key(&self, batch: &Batch, row: usize, best: Option<u32>) -> u64 {
        match self.labels {
            Labels::None => 0,
            Labels::Scores => best.map_or(0, |place| u64::from(place) + 1),
            Labels::Output { number, code } => {
                let code = code.and_then(|at| match &batch.columns[at] {
                    ColumnData::Code(codes) => codes.get(row).map(|code| u64::from(*code) + 1),
                    ColumnData::Number(_) => None,
                });
                let number = || match number.map(|at| &batch.columns[at]) {
                    Some(ColumnData::Number(values)) => values.get(row).map_or(0, |value| value.to_bits()),
                    _ => 0,
                };
                code.unwrap_or_else(number)
            }
        }
    }

    /// Finds the columns again: the schema has grown.
    fn look_at(&mut self, schema: &Schema, task: Task) {
        self.version = schema.version;
        let scored = schema.classification == Some(true);
        self.scores.clear();
        if scored {
            self.scores.extend(schema.with_role(Role::Score));
        }
        self.labels = match one_output(schema) {
            Some((number, code)) if scored => Labels::Output { number, code },
            // Texts are classes whatever else is known; numbers may be values.
            Some((_, code @ Some(_))) if task != Task::Regression => Labels::Output { number: None, code },
            None if scored && schema.with_role(Role::Output).next().is_none() && !self.scores.is_empty() => {
                Labels::Scores
            }
            _ => Labels::None,
        };
    }

    fn find_top(&self, batch: &Batch, RowScratch { top, .. }: &mut RowScratch) {
        top.clear();
        top.resize(batch.rows, (f64::NEG_INFINITY, 0));
        for (place, column) in self.scores.iter().enumerate() {
            if let ColumnData::Number(values) = &batch.columns[*column] {
                for (top, value) in top.iter_mut().zip(values) {
                    if *value > top.0 {
                        *top = (*value, place as u32);
                    }
                }
            }
        }
    }

    fn count_codes(
        &mut self,
        column: usize,
        classes: &ClassCells<'_>,
        RowScratch { counts, .. }: &mut RowScratch,
    ) -> u64 {
        let ColumnData::Code(codes) = &classes.batch.columns[column] else { return 0 };
        let names = &classes.batch.schema.columns[column].codes;
        counts.clear();
        counts.resize(names.len(), 0);
        for code in codes {
            if let Some(count) = counts.get_mut(*code as usize) {
                *count += 1;
            }
        }
        let mut by_code = std::mem::take(&mut self.by_code);
        let beyond = self.add(counts, &mut by_code, |at| &names[at], classes);
        self.by_code = by_code;
        beyond
    }

    fn count_numbers(&mut self, column: usize, classes: &ClassCells<'_>) -> u64 {
        let ColumnData::Number(values) = &classes.batch.columns[column] else { return 0 };
        let mut beyond = 0;
        for value in values.iter().filter(|value| !value.is_nan()) {
            // Both zeros are one class.
            let bits = (value + 0.0).to_bits();
            if let Some(cell) = self.by_number.get(&bits) {
                cell.bump(1);
                continue;
            }
            let name = class_of_number(*value, &classes.batch.route.output.classes);
            let (cell, fits) = self.new_class(&name, classes);
            cell.bump(1);
            if fits {
                self.by_number.insert(bits, cell);
            } else {
                beyond += 1;
            }
        }
        beyond
    }

    fn count_top(&mut self, classes: &ClassCells<'_>, RowScratch { top, counts }: &mut RowScratch) -> u64 {
        let columns = &classes.batch.schema.columns;
        counts.clear();
        counts.resize(self.scores.len(), 0);
        for (_, place) in top.iter().filter(|(score, _)| *score > f64::NEG_INFINITY) {
            counts[*place as usize] += 1;
        }
        let (mut by_score, scores) = (std::mem::take(&mut self.by_score), std::mem::take(&mut self.scores));
        let beyond = self.add(counts, &mut by_score, |place| &columns[scores[place]].name, classes);
        (self.by_score, self.scores) = (by_score, scores);
        beyond
    }

    /// Adds counts to the cells of their classes, which are made as they are needed. Returns how many fell to
    /// a class past the cap.
    fn add<'n>(
        &mut self,
        counts: &[u64],
        cells: &mut Vec<Option<Arc<Counter>>>,
        name: impl Fn(usize) -> &'n str,
        classes: &ClassCells<'_>,
    ) -> u64 {
        let mut beyond = 0;
        cells.resize(counts.len(), None);
        for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if let Some(cell) = &cells[at] {
                cell.bump(*count);
                continue;
            }
            let (cell, fits) = self.new_class(name(at), classes);
            cell.bump(*count);
            if fits {
                cells[at] = Some(cell);
            } else {
                beyond += count;
            }
        }
        beyond
    }

    /// A counter for a class seen first; false if it is the one that all past the cap share.
    fn new_class(&mut self, name: &str, classes: &ClassCells<'_>) -> (Arc<Counter>, bool) {
        if self.classes >= classes.cap {
            let other = self.other.get_or_insert_with(|| classes.cell(Column::OTHER));
            return (other.clone(), false);
        }
        self.classes += 1;
        (classes.cell(name), true)
    }
}

/// Columns of the output field, if there is exactly one.
fn one_output(schema: &Schema) -> Option<(Option<usize>, Option<usize>)> {
    let mut outputs = schema.with_role(Role::Output);
    let first = outputs.next()?;
    let second = outputs.next();
    let is_code = |at: usize| schema.columns[at].kind == Kind::Code;
    match second {
        None if is_code(first) => Some((None, Some(first))),
        None => Some((Some(first), None)),
        Some(second)
            if schema.columns[first].name == schema.columns[second].name && outputs.next().is_none() =>
        {
            Some(if is_code(first) { (Some(second), Some(first)) } else { (Some(first), Some(second)) })
        }
        Some(_) => None,
    }
}

/// The class of a label that came as a number: itself if it is a class name, else its place among the names.
fn class_of_number(value: f64, classes: &[Arc<str>]) -> Arc<str> {
    let text = value.to_string();
    if classes.iter().any(|class| **class == *text) || value.fract() != 0.0 || value < 0.0 {
        return text.into();
    }
    classes.get(value as usize).cloned().unwrap_or_else(|| text.into())
}

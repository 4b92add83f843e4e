//! A trained model: what it is, and how it predicts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_exchange::{Fields, Reply, Table};

use crate::about::About;
use crate::encode;
use crate::error::{InputError, ModelError};
use crate::forest::Forest;
use crate::input::Input;
use crate::linear::Linear;
use crate::metrics::most_probable;

/// A model, ready to predict.
#[derive(Clone, Debug)]
pub struct Model {
    content: Content,
    input: Input,
    classes: Vec<Arc<str>>,
    /// The classes as numbers, if they are.
    numbers: Option<Vec<f64>>,
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) about: About,
    pub(crate) predictor: Predictor,
    pub(crate) golden: Golden,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Predictor {
    Forest(Forest),
    Linear(Linear),
}

/// A few rows and what the model said of them when it was trained: predicted again whenever the file is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Golden {
    /// Row-major; NaN is missing or a text.
    pub(crate) numbers: Vec<f64>,
    /// Cell and text.
    pub(crate) texts: Vec<(u32, String)>,
    /// Row-major, one column a class.
    pub(crate) probabilities: Vec<f64>,
}

/// Rows encoded at a time: the scratch of a request is this much, however many rows it has.
const BLOCK: usize = 256;

impl Model {
    /// Makes a model of what it was trained to, or of what a file said.
    ///
    /// # Errors
    /// [`ModelError::Malformed`] if a part does not fit the others.
    pub(crate) fn new(content: Content) -> Result<Self, ModelError> {
        check(&content).map_err(ModelError::Malformed)?;
        let about = &content.about;
        let input = Input::new(&about.features);
        let classes = about.classes.iter().map(|class| class.as_str().into()).collect();
        let parse = |class: &String| class.parse().ok();
        let numbers = if about.numeric_classes { about.classes.iter().map(parse).collect() } else { None };
        Ok(Self { input, classes, numbers, content })
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// What the model is.
    pub fn about(&self) -> &About {
        &self.content.about
    }

    /// Class names in the order of the probabilities.
    pub(crate) fn classes(&self) -> &[Arc<str>] {
        &self.classes
    }

    /// Predicts every row: into `outputs` the most probable class (the first of equals; as a number if all
    /// classes are numbers), into `scores` the probability of each class, named. Names of model and version
    /// are left empty.
    ///
    /// Named columns may come in any order; a column that one row leaves out is missing there. A category
    /// never seen is no error: it counts as the average one.
    ///
    /// # Errors
    /// Says which columns are missing or unknown, or which value has the wrong type; `into` is then empty.
    pub fn predict(&self, table: &Table, into: &mut Reply) -> Result<(), InputError> {
        into.clear();
        let aligned = self.input.align(table)?;
        let classes = self.classes.len();
        into.scores.numbers.resize(table.rows * classes, 0.0);
        let mut encoded = Vec::with_capacity(table.rows.min(BLOCK) * self.input.width());
        for start in (0..table.rows).step_by(BLOCK) {
            let rows = start..(start + BLOCK).min(table.rows);
            let scores = &mut into.scores.numbers[rows.start * classes..rows.end * classes];
            if let Err(error) = aligned.encode(rows, &mut encoded) {
                into.clear();
                return Err(error);
            }
            self.probabilities(&mut encoded, scores);
        }
        (into.scores.rows, into.scores.width) = (table.rows, classes);
        into.scores.fields = Fields::Named(self.classes.clone());
        self.label(&into.scores, &mut into.outputs);
        Ok(())
    }

    fn label(&self, scores: &Table, outputs: &mut Table) {
        (outputs.rows, outputs.width) = (scores.rows, 1);
        for (cell, row) in scores.numbers.chunks_exact(scores.width).enumerate() {
            let class = most_probable(row);
            outputs.numbers.push(self.numbers.as_ref().map_or(f64::NAN, |numbers| numbers[class]));
            if self.numbers.is_none() {
                outputs.push_text(cell, &self.classes[class]);
            }
        }
    }

    fn probabilities(&self, rows: &mut [f64], into: &mut [f64]) {
        match &self.content.predictor {
            Predictor::Forest(forest) => forest.predict(rows, into),
            Predictor::Linear(linear) => linear.predict(rows, self.classes.len(), into),
        }
    }

    /// What a row costs, in ns, by the steps it takes; what a step costs is measured in `benches/predict.rs`.
    pub(crate) fn nanoseconds_per_row(&self) -> f64 {
        const PER_NODE: f64 = 4.0;
        const PER_TERM: f64 = 4.0;
        const ENCODE_FEATURE: f64 = 8.0;
        let features = self.input.width() as f64;
        ENCODE_FEATURE * features
            + match &self.content.predictor {
                Predictor::Forest(forest) => PER_NODE * forest.steps * forest.roots.len() as f64,
                Predictor::Linear(linear) => PER_TERM * features * linear.intercepts.len() as f64,
            }
    }

    /// Predicts the golden rows: a self-test, and it warms the caches.
    pub(crate) fn self_test(&self) -> Result<(), ModelError> {
        let mut reply = Reply::default();
        let golden = &self.content.golden;
        self.predict(&golden.table(self.input.width()), &mut reply)
            .map_err(|error| ModelError::Malformed(format!("its golden rows do not fit it: {error}")))?;
        if golden.probabilities.len() != reply.scores.numbers.len() {
            return Err(ModelError::Malformed("its golden rows have no probabilities".into()));
        }
        for (at, (found, expected)) in reply.scores.numbers.iter().zip(&golden.probabilities).enumerate() {
            // Another processor may round `exp` differently.
            if (found - expected).abs() > 1e-9 || found.is_nan() {
                let class = self.classes[at % self.classes.len()].to_string();
                let row = at / self.classes.len();
                return Err(ModelError::SelfTest { row, class, found: *found, expected: *expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Model {
    /// A model that panics when it predicts.
    pub(crate) fn broken(mut self) -> Self {
        if let Predictor::Linear(linear) = &mut self.content.predictor {
            linear.terms.clear();
        }
        self
    }
}

impl Golden {
    pub(crate) fn table(&self, width: usize) -> Table {
        let mut table = Table {
            rows: self.numbers.len() / width,
            width,
            numbers: self.numbers.clone(),
            ..Table::default()
        };
        let mut texts: Vec<&(u32, String)> = self.texts.iter().collect();
        texts.sort_by_key(|(cell, _)| *cell);
        texts.iter().for_each(|(cell, text)| table.push_text(*cell as usize, text));
        table
    }
}

fn check(content: &Content) -> Result<(), String> {
    let Content { about, predictor, .. } = content;
    let (features, classes) = (about.features.len(), about.classes.len());
    if features == 0 || classes < 2 {
        return Err(format!("{features} features and {classes} classes make no classifier"));
    }
    if about.numeric_classes && about.classes.iter().any(|class| class.parse::<f64>().is_err()) {
        return Err("a class that should be a number is none".into());
    }
    match predictor {
        Predictor::Forest(forest) => forest.check(features, classes),
        Predictor::Linear(linear) => {
            linear.check(&about.features.iter().map(encode::codes).collect::<Vec<_>>(), classes)
        }
    }
}

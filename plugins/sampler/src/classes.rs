//! The classes a model has answered with.

use weir_plugin_sdk::prelude::*;

/// The classes of a model by name.
pub(crate) type Seen = Vec<String>;

/// Where a schema has the class of a row, and which were looked up already: what is known costs one
/// comparison a row.
#[derive(Debug)]
pub(crate) struct Classes {
    model: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A regression, several outputs or none.
    Unknown,
    /// A column of texts: by code, whether it was looked up.
    Texts(usize, Vec<bool>),
    /// A column of numbers: those looked up.
    Numbers(usize, Vec<f64>),
    /// The column of the highest score: columns, and whether they were looked up.
    Scores(Vec<(usize, bool)>),
}

/// Numbers looked up at most: more of them are no classes.
const MOST_NUMBERS: usize = 256;

impl Classes {
    /// Finds the class in a schema: the only output, else the highest score.
    pub(crate) fn of(schema: &Schema) -> Self {
        let outputs: Vec<_> = schema.with_role(role::OUTPUT).collect();
        let scores: Vec<_> = schema.with_role(role::SCORE).map(|(i, _)| (i, false)).collect();
        let source = match outputs.as_slice() {
            [] if scores.len() > 1 => Source::Scores(scores),
            [(i, column)] if column.kind == Kind::Code => Source::Texts(*i, Vec::new()),
            // A number beside scores is a label; alone it is one only if the model is said to classify.
            [(i, _)] if schema.task == Task::Classification || !scores.is_empty() => {
                Source::Numbers(*i, Vec::new())
            }
            _ => Source::Unknown,
        };
        Self { model: schema.model_key(), source }
    }

    /// Whose classes they are.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Rows, rising, with a class that `is_new` says is new, asked once for each class. `top` is the highest
    /// score by row.
    pub(crate) fn first_rows(
        &mut self,
        batch: &Batch,
        top: &[f64],
        mut is_new: impl FnMut(&str) -> bool,
    ) -> Vec<u32> {
        let mut rows: Vec<u32> = Vec::new();
        let mut ask = |row: usize, class: &str| {
            if is_new(class) {
                let row = row as u32;
                rows.insert(rows.partition_point(|before| *before < row), row);
            }
        };
        match &mut self.source {
            Source::Unknown => {}
            Source::Texts(column, known) => {
                known.resize(batch.schema().columns[*column].texts.len(), false);
                for (row, code) in batch.codes(*column).iter().enumerate() {
                    if let Some(known @ false) = known.get_mut(*code as usize) {
                        *known = true;
                        ask(row, batch.text(*column, *code).unwrap_or_default());
                    }
                }
            }
            Source::Numbers(column, known) => {
                for (row, x) in batch.numbers(*column).iter().enumerate().filter(|(_, x)| !x.is_nan()) {
                    if known.len() < MOST_NUMBERS && !known.contains(x) {
                        known.push(*x);
                        ask(row, &x.to_string());
                    }
                }
            }
            Source::Scores(columns) => {
                for (column, known) in columns.iter_mut().filter(|(_, known)| !known) {
                    let mut both = batch.numbers(*column).iter().zip(top);
                    if let Some(row) = both.position(|(score, top)| score == top) {
                        *known = true;
                        ask(row, &batch.schema().columns[*column].name);
                    }
                }
            }
        }
        rows
    }
}

//! What a model says of the reference rows, as columns beside them.

use std::sync::Arc;

use weir_exchange::{Column, Fields, Reply, Role, Table};
use weir_inference::{Kind, Model};
use weir_profile::{Sheet, SheetColumn, Texts, Typing, Values};

/// Rows predicted at a time.
const BATCH: usize = 4096;
/// The name that a prediction without one has live.
const UNNAMED: &str = "0";

/// The sheet with a column of predictions, named as in live replies without names, and one of scores a class.
///
/// # Errors
/// The sheet lacks a column of the model, or has values that it does not take, in words.
pub(super) fn with_predictions(sheet: Sheet, model: &Model) -> Result<Sheet, String> {
    // What the model learnt as texts is text, even if these rows happen to hold numbers.
    let texts = model.about().features.iter().filter(|feature| matches!(feature.kind, Kind::Category { .. }));
    let has = |name: &String| sheet.columns.iter().any(|column| *column.name == **name);
    let category = texts.map(|feature| feature.name.clone()).filter(has).collect();
    let typing = Typing { category, ..Typing::default() };
    let mut sheet = sheet.typed(&typing).map_err(|error| error.to_string())?;
    let taken = |column: &&SheetColumn| model.about().features.iter().any(|f| *f.name == *column.name);
    let inputs: Vec<&SheetColumn> = sheet.columns.iter().filter(taken).collect();
    let mut replies = Replies::default();
    let mut reply = Reply::default();
    for from in (0..sheet.rows).step_by(BATCH) {
        let table = table(&inputs, from..(from + BATCH).min(sheet.rows));
        model
            .predict(&table, &mut reply)
            .map_err(|error| format!("the model does not take its rows: {error}"))?;
        replies.add(&reply);
    }
    let columns = replies.into_columns();
    sheet.columns.extend(columns);
    Ok(sheet)
}

fn table(inputs: &[&SheetColumn], rows: std::ops::Range<usize>) -> Table {
    let names = inputs.iter().map(|column| Arc::clone(&column.name)).collect();
    let mut table = Table { rows: rows.len(), width: inputs.len(), ..Table::default() };
    table.fields = Fields::Named(names);
    for row in rows {
        for column in inputs {
            let number = match &column.values {
                Values::Number(numbers) => numbers[row],
                Values::Text(texts) => {
                    if let Some(text) = texts.get(row) {
                        table.push_text(table.numbers.len(), text);
                    }
                    f64::NAN
                }
                Values::Time(_) | Values::Unread(_) => f64::NAN,
            };
            table.numbers.push(number);
        }
    }
    table
}

/// The replies of all rows.
#[derive(Default)]
struct Replies {
    numbers: Vec<f64>,
    texts: Texts,
    classes: Vec<Arc<str>>,
    /// One list a class.
    scores: Vec<Vec<f64>>,
}

impl Replies {
    fn add(&mut self, reply: &Reply) {
        for row in 0..reply.outputs.rows {
            let text = reply.outputs.text_at(row);
            self.numbers.push(reply.outputs.numbers.get(row).copied().unwrap_or(f64::NAN));
            self.texts
                .codes
                .push(text.map_or(Column::MISSING, |text| code(&mut self.texts.dictionary, text)));
        }
        if let Fields::Named(classes) = &reply.scores.fields {
            self.classes.clone_from(classes);
        }
        self.scores.resize(reply.scores.width, Vec::new());
        for row in reply.scores.numbers.chunks_exact(reply.scores.width.max(1)) {
            self.scores.iter_mut().zip(row).for_each(|(scores, score)| scores.push(*score));
        }
    }

    fn into_columns(self) -> impl Iterator<Item = SheetColumn> {
        let values = if self.texts.dictionary.is_empty() {
            Values::Number(self.numbers)
        } else {
            Values::Text(self.texts)
        };
        let output = SheetColumn { name: UNNAMED.into(), role: Role::Output, values };
        let score = |(name, scores)| SheetColumn { name, role: Role::Score, values: Values::Number(scores) };
        [output].into_iter().chain(self.classes.into_iter().zip(self.scores).map(score))
    }
}

/// The code of a class, of which there are few.
fn code(dictionary: &mut Vec<Arc<str>>, text: &str) -> u32 {
    let known = dictionary.iter().position(|known| **known == *text);
    let at = known.unwrap_or_else(|| {
        dictionary.push(text.into());
        dictionary.len() - 1
    });
    u32::try_from(at).unwrap_or(Column::MISSING)
}

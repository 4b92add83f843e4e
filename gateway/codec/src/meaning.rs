//! What a reply means: which of its numbers are class scores.

use std::sync::Arc;

use weir_exchange::{Fields, Output, Reply, Table, Task};

/// Names under which model servers give class scores beside their predictions.
pub const SCORE_NAMES: [&str; 4] = ["probabilities", "probs", "predict_proba", "scores"];

/// How far from 1 the scores of a row may sum and still be taken for probabilities.
///
/// A softmax in `f32` over a thousand classes is off by 1e-5, ten scores rounded to four decimals by up to
/// 5e-4. Two unrelated values in [0, 1] come this close to 1 once in five hundred rows, and a batch of rows
/// never does.
pub const SUM_TOLERANCE: f64 = 1e-3;

/// How far outside [0, 1] a probability may lie by rounding alone.
const RANGE_SLACK: f64 = 1e-6;

/// Sorts a decoded reply into predictions and class scores, and says whether it has scores.
///
/// - Scores that stood under a name of their own (a field, a tensor, or columns of object rows such as
///   `probabilities_0`, `probabilities.yes`) are scores, unless the task is regression.
/// - Predictions that are scores themselves become `reply.scores`; `reply.outputs` keeps its `rows` and
///   width 0. That is so if the task is classification, if `decision` is `Some(true)`, or, while it is
///   `None` and the task is auto, if every row without a missing value has two or more values in [0, 1] that
///   sum to 1 within [`SUM_TOLERANCE`].
/// - Score columns without names are named by `output.classes`, if there are as many.
///
/// The caller freezes the answer per schema and hands it in as `decision`: one odd reply must not turn a
/// regression into a classifier. `None` comes back while a reply decides nothing (no row, or none without a
/// missing value).
/// `Some(false)` says that there are no scores, not that the predictions are no labels.
pub fn classify(reply: &mut Reply, decision: Option<bool>, output: &Output) -> Option<bool> {
    if output.task == Task::Regression {
        return Some(false);
    }
    if reply.scores.width == 0 {
        split_named(reply, output);
    }
    if reply.scores.width > 0 {
        name_by_class(&mut reply.scores, &output.classes);
        return Some(true);
    }
    if reply.outputs.rows == 0 {
        return decision;
    }
    let wanted = if output.task == Task::Classification { Some(true) } else { decision };
    let scores = match wanted {
        Some(frozen) => frozen && could_be_scores(&reply.outputs),
        None if !could_be_scores(&reply.outputs) => false,
        None => {
            // A row with a missing value says nothing either way.
            let mut whole =
                reply_rows(&reply.outputs).filter(|row| !row.iter().any(|p| p.is_nan())).peekable();
            whole.peek()?;
            whole.all(sums_to_one)
        }
    };
    if scores {
        std::mem::swap(&mut reply.outputs, &mut reply.scores);
        reply.outputs.clear();
        reply.outputs.rows = reply.scores.rows;
        name_by_class(&mut reply.scores, &output.classes);
    }
    Some(wanted.unwrap_or(scores))
}

/// Several numbers a row, and no text.
fn could_be_scores(table: &Table) -> bool {
    table.width >= 2 && table.texts.is_empty()
}

fn reply_rows(table: &Table) -> impl Iterator<Item = &[f64]> {
    table.numbers.chunks_exact(table.width)
}

fn sums_to_one(row: &[f64]) -> bool {
    let range = -RANGE_SLACK..=1.0 + RANGE_SLACK;
    row.iter().all(|p| range.contains(p)) && (row.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
}

fn name_by_class(scores: &mut Table, classes: &[Arc<str>]) {
    if scores.fields == Fields::Positional && !classes.is_empty() && classes.len() == scores.width {
        scores.fields = Fields::Named(classes.to_vec());
    }
}

/// Moves the score columns of object rows, `{"label": "yes", "probabilities": [0.1, 0.9]}`, to the scores.
fn split_named(reply: &mut Reply, output: &Output) {
    let Fields::Named(names) = &reply.outputs.fields else { return };
    let field = output.scores.as_ref().and_then(|path| path.segments().last());
    let classes: Vec<Option<Arc<str>>> =
        names.iter().map(|name| score_class(name, field.map(|f| &**f))).collect();
    if classes.iter().all(Option::is_none) {
        return;
    }
    let scores = pick(&reply.outputs, |column| classes[column].is_some());
    if !scores.texts.is_empty() {
        return;
    }
    reply.outputs = pick(&reply.outputs, |column| classes[column].is_none());
    reply.scores = scores;
    let classes: Vec<Arc<str>> = classes.into_iter().flatten().collect();
    let indexed = classes.iter().enumerate().all(|(at, class)| class.parse() == Ok(at));
    reply.scores.fields =
        if indexed || classes.len() == 1 { Fields::Positional } else { Fields::Named(classes) };
}

/// The class a column of scores stands for: `probabilities_1` is 1, `probabilities.yes` is yes, `scores` is
/// 0.
fn score_class(column: &str, field: Option<&str>) -> Option<Arc<str>> {
    let rest = match field {
        Some(field) => column.strip_prefix(field),
        None => SCORE_NAMES.iter().find_map(|name| column.strip_prefix(name)),
    }?;
    match rest.split_at_checked(1) {
        _ if rest.is_empty() => Some("0".into()),
        Some((".", class)) if !class.is_empty() => Some(class.into()),
        Some(("_", index)) if index.bytes().all(|b| b.is_ascii_digit()) && !index.is_empty() => {
            Some(index.into())
        }
        _ => None,
    }
}

/// Some columns of a table, as a table.
fn pick(table: &Table, wanted: impl Fn(usize) -> bool) -> Table {
    let columns: Vec<usize> = (0..table.width).filter(|column| wanted(*column)).collect();
    let mut picked = Table { rows: table.rows, width: columns.len(), ..Table::default() };
    for row in 0..table.rows {
        for column in &columns {
            let cell = row * table.width + column;
            if let Some(text) = table.text_at(cell) {
                picked.push_text(picked.numbers.len(), text);
            }
            picked.numbers.push(table.numbers[cell]);
        }
    }
    if let Fields::Named(names) = &table.fields
        && picked.width > 0
    {
        picked.fields = Fields::Named(columns.iter().map(|column| Arc::clone(&names[*column])).collect());
    }
    picked
}

//! Columns that are no features, and why.

use std::collections::HashSet;

use weir_exchange::{Column, Role};

use super::rows::{Rows, number_key};
use crate::error::BuildError;
use crate::options::BuildOptions;
use crate::profile::LeftOut;
use crate::sheet::{Sheet, SheetColumn, Texts, Values};
use crate::time::timestamp;

/// Fewer rows are all different, or in order, by chance.
const FEW_ROWS: usize = 20;
/// Fewer different values in order are a step or two, not a clock.
const FEW_VALUES: usize = 10;
/// Of this share of texts that are different, they name rows.
const ID_SHARE: f64 = 0.9;
/// Seconds from 2000 to 2100, between which a whole number may be a time.
const EPOCH_SECS: std::ops::RangeInclusive<f64> = 946_684_800.0..=4_102_444_800.0;

/// Names every column that is left out. Those of `options.keep`, predictions and scores are kept, if they
/// have any value.
pub(super) fn leave_out(
    sheet: &Sheet,
    rows: &Rows,
    options: &BuildOptions,
    of_time: &[usize],
) -> Result<Vec<LeftOut>, BuildError> {
    let mut told: Vec<(usize, &str)> = of_time.iter().map(|at| (*at, "the time of the rows")).collect();
    if let Some(name) = &options.label {
        told.push((sheet.column("label", name)?, "the label"));
    }
    if let Some(name) = &options.entity {
        told.push((sheet.column("entity", name)?, "the entity of the rows"));
    }
    for name in &options.ignore {
        told.push((sheet.column("ignore", name)?, "as asked"));
    }
    let mut left_out = Vec::new();
    for (at, column) in sheet.columns.iter().enumerate() {
        let named = |names: &Vec<String>| names.iter().any(|name| **name == *column.name);
        let of_model = options.inputs.as_ref().map(named);
        let kept = column.role != Role::Input || named(&options.keep) || of_model == Some(true);
        let reason = match told.iter().find(|(told, _)| *told == at) {
            Some((_, reason)) => Some((*reason).to_owned()),
            None if !kept && of_model == Some(false) => Some("no input of the model".to_owned()),
            None => unusable(column).or_else(|| if kept { None } else { looks_like(column, rows) }),
        };
        left_out.extend(reason.map(|reason| LeftOut { column: column.name.to_string(), reason }));
    }
    Ok(left_out)
}

/// Why nothing can be made of a column.
fn unusable(column: &SheetColumn) -> Option<String> {
    match &column.values {
        Values::Unread(why) => Some((*why).to_owned()),
        Values::Time(_) => Some("timestamps".to_owned()),
        Values::Number(numbers) if !numbers.iter().any(|x| x.is_finite()) => {
            Some("no value in any row".to_owned())
        }
        Values::Text(texts) if texts.codes.iter().all(|code| *code == Column::MISSING) => {
            Some("no value in any row".to_owned())
        }
        _ => None,
    }
}

/// Why a column tells rows apart rather than what they are like.
fn looks_like(column: &SheetColumn, rows: &Rows) -> Option<String> {
    let reason = match &column.values {
        Values::Number(numbers) => number_reason(numbers, rows),
        Values::Text(texts) => text_reason(texts),
        _ => None,
    };
    reason.map(|reason| format!("{reason} (keep it with `--number` or `--category`)"))
}

fn number_reason(numbers: &[f64], rows: &Rows) -> Option<&'static str> {
    let present: Vec<f64> =
        rows.order.iter().map(|row| numbers[*row as usize]).filter(|x| x.is_finite()).collect();
    let distinct = present.iter().map(|x| number_key(*x)).collect::<HashSet<u64>>().len();
    if present.len() < FEW_ROWS || distinct < FEW_VALUES {
        return None;
    }
    let whole = present.iter().all(|x| x.fract() == 0.0);
    let within = |scale: f64| present.iter().all(|x| EPOCH_SECS.contains(&(x / scale)));
    // A measure is seldom as large as a time, and never in every row.
    if whole && distinct > FEW_ROWS && (within(1.0) || within(1e3) || within(1e6) || within(1e9)) {
        return Some("timestamps");
    }
    if present.is_sorted() || present.is_sorted_by(|a, b| a >= b) {
        let by_time =
            if rows.times.is_some() { "rises or falls with time" } else { "rises or falls with the rows" };
        return Some(by_time);
    }
    (whole && distinct == present.len()).then_some("an id: every value is different")
}

fn text_reason(texts: &Texts) -> Option<&'static str> {
    let present = texts.codes.iter().filter(|code| **code != Column::MISSING).count();
    if texts.dictionary.iter().all(|text| timestamp(text).is_some()) {
        return Some("timestamps");
    }
    if present >= FEW_ROWS && texts.dictionary.len() as f64 > ID_SHARE * present as f64 {
        return Some("an id: nearly every value is different");
    }
    None
}

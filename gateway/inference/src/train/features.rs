//! What the columns of the data are: labels, numbers, flags, categories.

use std::collections::HashMap;

use crate::about::{Category, Feature, Kind};
use crate::encode::flag;
use crate::error::TrainError;
use crate::train::data::Data;

/// The target column.
pub(crate) struct Labels {
    pub(crate) classes: Vec<String>,
    /// All classes are numbers.
    pub(crate) numeric: bool,
    /// Class of each row; `None` where the target is missing.
    pub(crate) of_row: Vec<Option<u32>>,
}

/// More classes than this are a number to be estimated, or an id.
const MOST_CLASSES: usize = 100;
/// As many as telemetry tells apart.
const MOST_CATEGORIES: usize = 1024;
/// A column with more numbers than this for each text is one of numbers with a slip in it.
const SLIP: usize = 9;

/// Reads the classes of a column.
pub(crate) fn labels(data: &Data, column: usize) -> Result<Labels, TrainError> {
    let fail = |message| Err(TrainError::Column { column: data.header[column].clone(), message });
    let cells: Vec<Option<&str>> = (0..data.records.len()).map(|row| data.cell(row, column)).collect();
    let numbers: Vec<f64> = cells.iter().flatten().map_while(|cell| finite(cell)).collect();
    let numeric = numbers.len() == cells.iter().flatten().count();
    // `1` and `1.0` are one class.
    let name = |cell: &str| if numeric { number(cell).to_string() } else { cell.to_owned() };
    let mut classes: Vec<String> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for cell in cells.iter().flatten() {
        *seen.entry(name(cell)).or_insert_with_key(|class| {
            classes.push(class.clone());
            0
        }) += 1;
        if classes.len() > MOST_CLASSES {
            return fail(format!("more than {MOST_CLASSES} classes (only classifiers are trained here)"));
        }
    }
    if classes.len() < 2 {
        return fail(format!("{} classes where two or more are needed to tell apart", classes.len()));
    }
    classes.sort_by(|a, b| if numeric { number(a).total_cmp(&number(b)) } else { a.cmp(b) });
    if let Some(class) = classes.iter().find(|class| seen[*class] < 2) {
        return fail(format!(
            "class `{class}` has one row where two are needed (one to train, one to check)"
        ));
    }
    let index: HashMap<&str, u32> = classes.iter().zip(0..).map(|(class, at)| (class.as_str(), at)).collect();
    let of_row = cells.iter().map(|cell| cell.map(|cell| index[name(cell).as_str()])).collect();
    Ok(Labels { of_row, numeric, classes })
}

/// Describes a column by the rows trained on. What kind it is, all rows say.
pub(crate) fn feature(
    data: &Data,
    column: usize,
    train: &[usize],
    labels: &Labels,
) -> Result<Feature, TrainError> {
    let cells = train.iter().map(|row| data.cell(*row, column));
    let missing = cells.clone().filter(Option::is_none).count() as u64;
    let present = cells.clone().flatten();
    let kind = match Shape::of(data, column)? {
        Shape::Numbers => numbers(present.map(number)),
        Shape::Flags => {
            let (sum, count) = present.fold((0.0, 0.0), |(sum, count), cell| {
                (sum + f64::from(u8::from(flag(cell) == Some(true))), count + 1.0)
            });
            Kind::Flag { mean: if count > 0.0 { sum / count } else { 0.0 } }
        }
        Shape::Texts => {
            let last = labels.classes.len() as u32 - 1;
            categories(cells.zip(train.iter().map(|row| labels.of_row[*row] == Some(last))))
        }
    };
    if matches!(&kind, Kind::Category { values } if values.len() > MOST_CATEGORIES) {
        let message = format!("over {MOST_CATEGORIES} different texts (is it an id? then ignore it)");
        return Err(TrainError::Column { column: data.header[column].clone(), message });
    }
    Ok(Feature { name: data.header[column].clone(), kind, missing })
}

enum Shape {
    Numbers,
    Flags,
    Texts,
}

impl Shape {
    fn of(data: &Data, column: usize) -> Result<Self, TrainError> {
        let name = || data.header[column].clone();
        let cells = || (0..data.records.len()).filter_map(|row| Some((row, data.cell(row, column)?)));
        let texts = cells().filter(|(_, cell)| cell.parse::<f64>().is_err()).count();
        let numbers = cells().count() - texts;
        if texts + numbers == 0 {
            let message = "no value in any row (ignore the column)".to_owned();
            return Err(TrainError::Column { column: name(), message });
        }
        if texts == 0 {
            let infinite = cells().find(|(_, cell)| finite(cell).is_none());
            let Some((row, cell)) = infinite else { return Ok(Self::Numbers) };
            let message = format!("`{cell}` is not a finite number (leave the cell empty if it is missing)");
            return Err(TrainError::Cell { line: data.line(row), column: name(), message });
        }
        if numbers > SLIP * texts {
            let slip = cells().find(|(_, cell)| cell.parse::<f64>().is_err());
            let (row, cell) = slip.expect("a text was counted");
            let message = format!(
                "`{cell}` is a text where {numbers} rows have a number (mend the cell, leave it empty if it is \
                 missing, or ignore the column)"
            );
            return Err(TrainError::Cell { line: data.line(row), column: name(), message });
        }
        Ok(if cells().all(|(_, cell)| flag(cell).is_some()) { Self::Flags } else { Self::Texts })
    }
}

fn numbers(values: impl Iterator<Item = f64>) -> Kind {
    let (mut min, mut max, mut sum, mut count, mut whole) =
        (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0, true);
    for value in values {
        (min, max) = (value.min(min), value.max(max));
        (sum, count) = (sum + value, count + 1.0);
        whole &= value.fract() == 0.0;
    }
    // The few values there are may all be held out.
    if count == 0.0 {
        Kind::Number { min: 0.0, max: 0.0, mean: 0.0, whole }
    } else {
        Kind::Number { min, max, mean: sum / count, whole }
    }
}

/// Distinct texts by rising share of the last class, then by name.
fn categories<'c>(cells: impl Iterator<Item = (Option<&'c str>, bool)>) -> Kind {
    let mut seen: HashMap<&str, (u64, u64)> = HashMap::new();
    for (cell, last) in cells {
        if let Some(cell) = cell {
            let (rows, of_last) = seen.entry(cell).or_default();
            *rows += 1;
            *of_last += u64::from(last);
        }
    }
    let mut values: Vec<(&str, (u64, u64))> = seen.into_iter().collect();
    let share = |(rows, of_last): (u64, u64)| of_last as f64 / rows as f64;
    values.sort_by(|a, b| share(a.1).total_cmp(&share(b.1)).then(a.0.cmp(b.0)));
    let category = |(value, (rows, _)): (&str, (u64, u64))| Category { value: value.to_owned(), rows };
    Kind::Category { values: values.into_iter().map(category).collect() }
}

fn finite(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Of a cell that is known to be a number.
fn number(cell: &str) -> f64 {
    cell.parse().unwrap_or(f64::NAN)
}

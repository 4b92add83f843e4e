//! Counts of the whole, of slots and of segments.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::placed::{Placed, distinct};
use super::rows::Rows;
use crate::error::BuildError;
use crate::profile::Cell;
use crate::sheet::{Sheet, Values};

/// Segments that have a reference of their own.
const SEGMENTS: usize = 10;
/// Counts of all cells: what is read back has to fit a file.
const MOST_COUNTS: usize = 1 << 22;

/// The most frequent values of a column, and which of them each row has.
pub(super) struct Segments {
    values: Vec<Arc<str>>,
    of_row: Vec<Option<u32>>,
}

/// The segments of a column: numbers as JSON writes them.
pub(super) fn segments(sheet: &Sheet, name: &str) -> Result<Segments, BuildError> {
    let values = &sheet.columns[sheet.column("segment", name)?].values;
    let value = |row: usize| -> Option<Arc<str>> {
        match values {
            Values::Number(numbers) => numbers.get(row).filter(|x| !x.is_nan()).map(|x| x.to_string().into()),
            Values::Text(texts) => texts.get(row).cloned(),
            Values::Time(_) | Values::Unread(_) => None,
        }
    };
    let mut rows: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    (0..sheet.rows).filter_map(value).for_each(|value| *rows.entry(value).or_default() += 1);
    let mut order: Vec<(Arc<str>, usize)> = rows.into_iter().collect();
    // Stable: of equals the first by name.
    order.sort_by_key(|(_, rows)| Reverse(*rows));
    let values: Vec<Arc<str>> = order.into_iter().take(SEGMENTS).map(|(value, _)| value).collect();
    let number = |value: Arc<str>| values.iter().position(|known| *known == value).map(|at| at as u32);
    let of_row = (0..sheet.rows).map(|row| value(row).and_then(number)).collect();
    Ok(Segments { values, of_row })
}

/// The whole, each slot, each segment, and each segment in each slot, where there are rows.
pub(super) fn cells(
    placed: &[Placed],
    rows: &Rows,
    keys: &[u64],
    segments: Option<&Segments>,
) -> Result<Vec<Cell>, BuildError> {
    let mut parts: BTreeMap<(Option<u32>, Option<u32>), Vec<u32>> = BTreeMap::new();
    for row in &rows.order {
        let at = *row as usize;
        let slot = rows.slots.as_ref().map(|slots| slots[at]);
        let segment = segments.and_then(|segments| segments.of_row[at]);
        let mut add = |slot, segment| parts.entry((slot, segment)).or_default().push(*row);
        add(None, None);
        if slot.is_some() {
            add(slot, None);
        }
        if segment.is_some() {
            add(None, segment);
        }
        if slot.is_some() && segment.is_some() {
            add(slot, segment);
        }
    }
    let bins: usize = placed.iter().map(|placed| placed.feature.bins()).sum();
    if bins.saturating_mul(parts.len()) > MOST_COUNTS {
        let message = format!(
            "{} slots and segments of {bins} bins are over {MOST_COUNTS} counts (take a shorter season, or none)",
            parts.len()
        );
        return Err(BuildError::Option { key: "season", message });
    }
    let text = |segment: u32| segments.and_then(|segments| segments.values.get(segment as usize)).cloned();
    let cell = |((slot, segment), rows): ((Option<u32>, Option<u32>), Vec<u32>)| Cell {
        slot,
        segment: segment.and_then(text),
        rows: rows.len() as f64,
        distinct: distinct(keys, &rows),
        counts: placed.iter().map(|placed| placed.count(&rows)).collect(),
    };
    Ok(parts.into_iter().map(cell).collect())
}

//! Features, and the bin of each row's value.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use weir_exchange::{Column, Role};
use weir_stats::drift::{Bins, Categories, DECILES, Groups, Place};

use super::rows::number_key;
use crate::file::MAX_CATEGORIES;
use crate::profile::{Feature, FeatureCounts, FeatureKind};
use crate::sheet::{Sheet, SheetColumn, Texts, Values};

/// Longer texts are not kept live either: they are of the last bin.
const LONGEST_TEXT: usize = 128;
/// The bin of a missing value.
const MISSING: u16 = u16::MAX;

/// A feature, not yet spread.
pub(super) struct Placed {
    pub(super) feature: Feature,
    /// The bin of each row.
    bins: Vec<u16>,
}

/// The columns that are left, as features; their groups expect five rows of the smallest window.
pub(super) fn place(sheet: &Sheet, window_rows: u64) -> Vec<Placed> {
    sheet.columns.iter().filter_map(|column| place_column(column, window_rows)).collect()
}

fn place_column(column: &SheetColumn, window_rows: u64) -> Option<Placed> {
    let (kind, bins, groups) = match &column.values {
        Values::Number(numbers) => {
            let bins = Bins::of(numbers)?;
            let integers = numbers.iter().filter(|x| x.is_finite()).all(|x| x.fract() == 0.0);
            let counts = bins.count(numbers).bins;
            let groups = number_groups(&bins, &counts).merge_neighbours(&counts, window_rows);
            let placed = numbers.iter().map(|x| match bins.place(*x) {
                Place::Missing => MISSING,
                Place::Inside(bin) | Place::Below(bin) | Place::Above(bin) => bin as u16,
            });
            let placed = placed.collect();
            (FeatureKind::Number { bins, integers }, placed, groups)
        }
        Values::Text(texts) => {
            let (kept, bins) = categories(texts);
            let mut counts = vec![0.0; Categories::new(kept.len()).len()];
            bins.iter().filter(|bin| **bin != MISSING).for_each(|bin| counts[*bin as usize] += 1.0);
            let groups = category_groups(&counts, window_rows);
            (FeatureKind::Category { texts: kept }, bins, groups)
        }
        Values::Time(_) | Values::Unread(_) => return None,
    };
    let feature = Feature::new(column.name.clone(), column.role, kind, groups);
    Some(Placed { feature, bins })
}

/// Deciles, and each bin that alone holds a tenth of the rows. Where many rows are equal, deciles coincide:
/// without the second, a flag that nine in ten rows have would be of one group, and never tested.
fn number_groups(bins: &Bins, counts: &[f64]) -> Groups {
    let tenth = counts.iter().sum::<f64>() / DECILES as f64;
    let deciles = bins.deciles();
    let (of, mut group) = (deciles.of_bins(), 0);
    let numbered = (0..bins.len()).map(|bin| {
        let apart = |last: usize| of[bin] != of[last] || counts[bin] >= tenth || counts[last] >= tenth;
        group += usize::from(bin.checked_sub(1).is_some_and(apart));
        group
    });
    Groups::new(numbered.collect())
}

/// Neighbours by name merged until each group expects enough, the bin of all others last.
///
/// Others are tested alone if none are to be expected: texts that a reference lacks have about the share of
/// those that it has once (Good 1953). A stray row of a new text is no alarm, since the likelihood ratio sees
/// little in it.
fn category_groups(counts: &[f64], window_rows: u64) -> Groups {
    let Some((others, known)) = counts.split_last() else { return Groups::new(Vec::new()) };
    let closed = *others == 0.0 && known.iter().all(|rows| *rows != 1.0) && !known.is_empty();
    if !closed {
        return Groups::of_categories(counts, window_rows);
    }
    let merged = Groups::of_categories(known, window_rows);
    Groups::new(merged.of_bins().iter().copied().chain([merged.len()]).collect())
}

/// The most frequent texts, by name, and the bin of each row. By name, since neighbours are tested together
/// where they are rare: an order of the counts would have chance choose which, and of 100 texts by Zipf's law
/// 1000 rows against 1000 alarmed in 38 times the looks they should at 1e-4.
fn categories(texts: &Texts) -> (Vec<Arc<str>>, Vec<u16>) {
    let mut rows = vec![0_u64; texts.dictionary.len()];
    texts.codes.iter().filter(|code| **code != Column::MISSING).for_each(|code| rows[*code as usize] += 1);
    let kept = |code: &usize| texts.dictionary[*code].len() <= LONGEST_TEXT && rows[*code] > 0;
    let mut order: Vec<usize> = (0..rows.len()).filter(kept).collect();
    order.sort_by(|a, b| {
        rows[*b].cmp(&rows[*a]).then_with(|| texts.dictionary[*a].cmp(&texts.dictionary[*b]))
    });
    order.truncate(MAX_CATEGORIES);
    order.sort_by(|a, b| texts.dictionary[*a].cmp(&texts.dictionary[*b]));
    let mut bin_of = vec![order.len() as u16; rows.len()];
    order.iter().enumerate().for_each(|(bin, code)| bin_of[*code] = bin as u16);
    let bin = |code: &u32| bin_of.get(*code as usize).copied().unwrap_or(MISSING);
    let bins = texts.codes.iter().map(bin).collect();
    (order.into_iter().map(|code| Arc::clone(&texts.dictionary[code])).collect(), bins)
}

impl Placed {
    /// Counts some rows.
    pub(super) fn count(&self, rows: &[u32]) -> FeatureCounts {
        let mut counts = FeatureCounts { bins: vec![0.0; self.feature.bins()], missing: 0.0 };
        for row in rows {
            let bin = self.bins[*row as usize];
            // Missing has a number beyond every bin.
            *counts.bins.get_mut(bin as usize).unwrap_or(&mut counts.missing) += 1.0;
        }
        counts
    }
}

/// A key of each row's inputs: rows that are alike in all of them have the same.
pub(super) fn row_keys(sheet: &Sheet) -> Vec<u64> {
    let inputs = || sheet.columns.iter().filter(|column| column.role == Role::Input);
    let key = |row: usize| {
        let mut hasher = DefaultHasher::new();
        for column in inputs() {
            match &column.values {
                Values::Number(numbers) | Values::Time(numbers) => number_key(numbers[row]).hash(&mut hasher),
                Values::Text(texts) => texts.codes[row].hash(&mut hasher),
                Values::Unread(_) => {}
            }
        }
        hasher.finish()
    };
    (0..sheet.rows).map(key).collect()
}

/// How many different keys some rows have.
pub(super) fn distinct(keys: &[u64], rows: &[u32]) -> f64 {
    rows.iter().map(|row| keys[*row as usize]).collect::<HashSet<u64>>().len() as f64
}

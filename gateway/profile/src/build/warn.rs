//! What may be wrong with the data, in words.

use std::collections::HashMap;

use weir_exchange::Column;

use super::rows::number_key;
use crate::file::MAX_CATEGORIES;
use crate::options::Replay;
use crate::profile::{LeftOut, Profile};
use crate::sheet::{Sheet, Texts, Values, to_number};

/// Of this share of a column's texts that are numbers, the others are slips.
const NEARLY: f64 = 0.5;
/// Rows and share of them that a null code has at least.
const SPIKE_ROWS: u64 = 5;
const SPIKE_SHARE: f64 = 0.001;
/// Blocks that are too few for a phi to be relied on.
const FEW_BLOCKS: u32 = 5;
/// Windows that are too few for a replay to say anything.
const FEW_WINDOWS: u32 = 20;

pub(super) fn of_columns(sheet: &Sheet, left_out: &[LeftOut]) -> Vec<String> {
    let kept = |name: &str| !left_out.iter().any(|left| left.column == name);
    let mut warnings = Vec::new();
    for column in sheet.columns.iter().filter(|column| kept(&column.name)) {
        let warning = match &column.values {
            Values::Number(numbers) => null_code(numbers),
            Values::Text(texts) => nearly_numbers(texts).or_else(|| many(texts)),
            _ => None,
        };
        warnings.extend(warning.map(|warning| format!("`{}`: {warning}", column.name)));
    }
    warnings
}

pub(super) fn of_profile(profile: &Profile, replay: Option<&Replay>) -> Vec<String> {
    let mut warnings = Vec::new();
    if profile.blocks == 1 {
        warnings
            .push("all rows are of one block, so independent rows are assumed (take shorter blocks)".into());
    } else if profile.block.is_some() && profile.blocks < FEW_BLOCKS {
        warnings
            .push(format!("phi of {} blocks is a guess (take shorter blocks, or more rows)", profile.blocks));
    }
    if let (Some(block), Some(window)) = (profile.block, profile.window)
        && block != window
    {
        warnings.push("blocks and windows differ in length, and phi is that of blocks".into());
    }
    if let Some(replay) = replay.filter(|replay| replay.judged < FEW_WINDOWS) {
        let (judged, rows) = (replay.judged, profile.window_rows);
        warnings.push(format!(
            "{judged} windows held {rows} rows and were judged, which says little (take other windows, a shorter \
             season, or more rows)"
        ));
    }
    if profile.window_rows < 50 {
        let rows = profile.window_rows;
        warnings.push(format!("windows of {rows} rows are judged in fewer groups than deciles"));
    }
    warnings
}

/// A value at either end that is far from all others, in many rows: what some write for nothing.
fn null_code(numbers: &[f64]) -> Option<String> {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    numbers.iter().filter(|x| x.is_finite()).for_each(|x| *counts.entry(number_key(*x)).or_default() += 1);
    let mut values: Vec<(f64, u64)> =
        counts.into_iter().map(|(key, rows)| (f64::from_bits(key), rows)).collect();
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let rows: u64 = values.iter().map(|(_, rows)| rows).sum();
    let [first, second, .., before, last] = values[..] else { return None };
    // As far from the nearest as all others are from each other.
    let far = |(x, count): (f64, u64), nearest: f64, farthest: f64| {
        let many = count >= SPIKE_ROWS && count as f64 >= SPIKE_SHARE * rows as f64;
        (x != 0.0 && many && (x - nearest).abs() >= (farthest - nearest).abs()).then_some((x, count))
    };
    let (x, count) = far(first, second.0, last.0).or_else(|| far(last, before.0, first.0))?;
    Some(format!(
        "{count} rows have {x}, far from all others: is it a code for a missing value? (then `--missing {x}`, and \
         see that live rows have none)"
    ))
}

fn nearly_numbers(texts: &Texts) -> Option<String> {
    let mut rows = vec![0_u64; texts.dictionary.len()];
    texts.codes.iter().filter(|code| **code != Column::MISSING).for_each(|code| rows[*code as usize] += 1);
    let words = || (0..rows.len()).filter(|code| to_number(&texts.dictionary[*code]).is_none());
    let (slips, present): (u64, u64) = (words().map(|code| rows[code]).sum(), rows.iter().sum());
    let most = words().max_by_key(|code| rows[*code])?;
    if (present - slips) as f64 <= NEARLY * present as f64 {
        return None;
    }
    let text = &texts.dictionary[most];
    Some(format!(
        "{slips} of {present} values are texts such as `{text}`, the others numbers; it is taken as text (if they \
         stand for nothing: `--missing {text}`)"
    ))
}

fn many(texts: &Texts) -> Option<String> {
    let values = texts.dictionary.len();
    (values > MAX_CATEGORIES)
        .then(|| format!("it has {values} texts, of which the {MAX_CATEGORIES} most frequent are told apart"))
}

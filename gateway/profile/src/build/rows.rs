//! The rows, with what tells them apart: time, slot, entity.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::error::BuildError;
use crate::options::BuildOptions;
use crate::sheet::{Sheet, Values};

/// Rows of the smallest window, if nothing says how many come in one.
const WINDOW_ROWS: u64 = 500;
/// With fewer, deciles do not expect five rows each.
const LEAST_WINDOW_ROWS: usize = 50;
/// More make no test better.
const MOST_WINDOW_ROWS: usize = 100_000;

pub(super) struct Rows {
    pub(super) len: usize,
    /// Milliseconds since 1970.
    pub(super) times: Option<Vec<i64>>,
    /// Row numbers by time; as they came without one.
    pub(super) order: Vec<u32>,
    /// The slot of each row.
    pub(super) slots: Option<Vec<u32>>,
    /// A key of each row's entity.
    pub(super) entities: Option<Vec<u64>>,
}

/// Row numbers by slot (0 without a season) and stretch of time.
pub(super) type Blocks = BTreeMap<(u32, i64), Vec<u32>>;

impl Rows {
    /// The rows of a sheet, and the columns that say only when they were.
    pub(super) fn of(sheet: &Sheet, options: &BuildOptions) -> Result<(Self, Vec<usize>), BuildError> {
        let (times, of_time) = match &options.time {
            Some(time) => sheet.times(time).map(|(times, columns)| (Some(times), columns))?,
            None => (None, Vec::new()),
        };
        let needs = [
            ("block", options.block.is_some()),
            ("window", options.window.is_some()),
            ("season", options.season.is_some()),
        ];
        if let Some((key, _)) = needs.into_iter().find(|(_, asked)| *asked && times.is_none()) {
            let message =
                "it needs to know when rows were (say where that stands, with `--time COLUMN`)".to_owned();
            return Err(BuildError::Option { key, message });
        }
        let mut order: Vec<u32> = (0..u32::try_from(sheet.rows).unwrap_or(u32::MAX)).collect();
        if let Some(times) = &times {
            order.sort_by_key(|row| times[*row as usize]);
        }
        let slots = times
            .as_ref()
            .zip(options.season)
            .map(|(times, season)| times.iter().map(|ms| season.slot_at(ms.div_euclid(1000))).collect());
        let entities = match &options.entity {
            Some(name) => Some(keys_of(&sheet.columns[sheet.column("entity", name)?].values)),
            None => None,
        };
        Ok((Self { len: sheet.rows, times, order, slots, entities }, of_time))
    }

    /// Rows by stretches of time of a length, which begin at multiples of it since 1970, within their slots.
    pub(super) fn blocks(&self, times: &[i64], length: Duration) -> Blocks {
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut blocks = Blocks::new();
        for row in &self.order {
            let at = *row as usize;
            let slot = self.slots.as_ref().map_or(0, |slots| slots[at]);
            blocks.entry((slot, times[at].div_euclid(length))).or_default().push(*row);
        }
        blocks
    }

    /// What is asked for; else the rows that nine in ten windows reach, or 500.
    pub(super) fn smallest_window(&self, options: &BuildOptions) -> u64 {
        if let Some(rows) = options.window_rows {
            return rows.max(1);
        }
        let Some((times, window)) = self.times.as_ref().zip(options.window) else {
            return WINDOW_ROWS.min(self.len as u64).max(1);
        };
        let mut sizes: Vec<usize> = self.blocks(times, window).values().map(Vec::len).collect();
        sizes.sort_unstable();
        let tenth = sizes.get(sizes.len().div_ceil(10).saturating_sub(1)).copied().unwrap_or_default();
        tenth.clamp(LEAST_WINDOW_ROWS, MOST_WINDOW_ROWS) as u64
    }
}

/// A key of each value; equal for equal values. Rows without a value are one.
fn keys_of(values: &Values) -> Vec<u64> {
    match values {
        Values::Number(numbers) | Values::Time(numbers) => {
            numbers.iter().map(|x| hashed(&number_key(*x))).collect()
        }
        Values::Text(texts) => texts.codes.iter().map(hashed).collect(),
        Values::Unread(_) => Vec::new(),
    }
}

/// Bits of a number; 0 and -0 are one, and so is all that is missing.
pub(super) fn number_key(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() }
}

pub(super) fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

//! Rows that wait to be counted. Counts of many features, each in bins of many segments, are more than a
//! cache holds: a column of a thousand rows is counted while its bins are at hand.

use std::ops::Range;

use weir_exchange::{Batch, Column, ColumnData, Role};
use weir_profile::{FeatureKind, Profile};

use super::map::{Found, Map};
use super::part::{MISSING, OTHER_KIND, Placed};
use super::rows::Chosen;

/// Rows of a block at most.
const MOST_ROWS: usize = 1024;

/// Bytes of its values at most, or those of a few rows.
const MOST_BYTES: usize = 16 << 20;
const FEWEST_ROWS: usize = 16;

/// What a value takes at most: a number and the row of one that is none, or a bin and a hash.
const VALUE_BYTES: usize = size_of::<f64>() + size_of::<u32>();

/// What a row takes beside its values: weight, hash, and its number in six lists.
const ROW_BYTES: usize = size_of::<f64>() + size_of::<u64>() + 6 * 2 * size_of::<u32>();

/// Rows of one window of a tally, a column for each feature.
#[derive(Debug)]
pub(crate) struct Block {
    most_rows: usize,
    /// The begin of the window.
    pub(crate) begin_ns: u64,
    /// For each row, by how much it counts; 0 if its exchange was not answered well.
    pub(crate) weights: Vec<f64>,
    /// For each row, the hash of what tells it apart.
    pub(crate) hashes: Vec<u64>,
    pub(crate) inputs: Chosen,
    pub(crate) predictions: Chosen,
    /// Those that are in either.
    pub(crate) any: Chosen,
    columns: Vec<Values>,
}

/// Values of one feature, for each row up to the last that counts for it.
#[derive(Debug)]
enum Values {
    /// NaN: missing, or of the other kind in the rows that are named.
    Numbers { values: Vec<f64>, other_kind: Vec<u32> },
    /// The bin, or why there is none, and what tells the text from others.
    Texts { bins: Vec<u16>, hashes: Vec<u64> },
}

impl Block {
    pub(crate) fn new(profile: &Profile) -> Self {
        let values = |kind: &FeatureKind| match kind {
            FeatureKind::Number { .. } => Values::Numbers { values: Vec::new(), other_kind: Vec::new() },
            FeatureKind::Category { .. } => Values::Texts { bins: Vec::new(), hashes: Vec::new() },
        };
        Self {
            most_rows: most_rows(profile),
            begin_ns: 0,
            weights: Vec::new(),
            hashes: Vec::new(),
            inputs: Chosen::default(),
            predictions: Chosen::default(),
            any: Chosen::default(),
            columns: profile.features.iter().map(|feature| values(&feature.kind)).collect(),
        }
    }

    /// Bytes it takes at most.
    pub(crate) fn bytes(profile: &Profile) -> usize {
        most_rows(profile) * (profile.features.len() * VALUE_BYTES + ROW_BYTES)
    }

    pub(crate) fn rows(&self) -> usize {
        self.weights.len()
    }

    /// What tells rows apart, with room for as many as there can be.
    pub(crate) fn hashes(&mut self) -> &mut Vec<u64> {
        reserve(&mut self.hashes, self.most_rows);
        &mut self.hashes
    }

    /// For how many rows there is room.
    pub(crate) fn room(&self) -> usize {
        self.most_rows.saturating_sub(self.rows())
    }

    pub(crate) fn clear(&mut self) {
        self.weights.clear();
        self.hashes.clear();
        [&mut self.inputs, &mut self.predictions, &mut self.any].into_iter().for_each(Chosen::clear);
        self.columns.iter_mut().for_each(Values::clear);
    }

    /// Takes the values of rows of a batch, which become the rows from `from` on. Of inputs and predictions,
    /// those alone that any of these rows counts for.
    pub(crate) fn extend(
        &mut self,
        batch: &Batch,
        (from, rows): (usize, Range<usize>),
        (profile, map): (&Profile, &Map),
        [asked, told]: [bool; 2],
    ) {
        let features = profile.features.iter().zip(&map.features);
        let columns = self.columns.iter_mut().zip(features);
        let most = self.most_rows;
        for (values, (feature, found)) in columns {
            if if feature.role == Role::Input { asked } else { told } {
                values.reserve(most);
                values.extend(batch, (from, rows.clone()), (found, map));
            }
        }
    }

    /// Rows that count for features of a role.
    pub(crate) fn chosen(&self, role: Role) -> &Chosen {
        if role == Role::Input { &self.inputs } else { &self.predictions }
    }

    /// The values of a feature that is a number.
    pub(crate) fn numbers(&self, feature: usize) -> Option<&[f64]> {
        match self.columns.get(feature)? {
            Values::Numbers { values, .. } => Some(values),
            Values::Texts { .. } => None,
        }
    }

    /// Finds the bin of each value of a feature, of which there are any if any row counts for it; `memory` is
    /// used again.
    pub(crate) fn place<'a>(
        &'a self,
        feature: usize,
        kind: &FeatureKind,
        memory: &'a mut Vec<u16>,
    ) -> Placed<'a> {
        match (kind, self.columns.get(feature)) {
            (FeatureKind::Number { bins: edges, .. }, Some(Values::Numbers { values, other_kind })) => {
                memory.clear();
                edges.place_all(values, MISSING, memory);
                other_kind.iter().for_each(|row| memory[*row as usize] = OTHER_KIND);
                Placed::Numbers { bins: memory, values, range: edges.range() }
            }
            (_, Some(Values::Texts { bins, hashes })) => Placed::Texts { bins, hashes },
            _ => Placed::Texts { bins: &[], hashes: &[] },
        }
    }
}

/// A power of two, so that what grows by doubling ends there.
fn most_rows(profile: &Profile) -> usize {
    let rows = (MOST_BYTES / (profile.features.len().max(1) * VALUE_BYTES)).clamp(FEWEST_ROWS, MOST_ROWS);
    1 << rows.ilog2()
}

impl Values {
    /// Makes room for so many rows, once and for no more: they come many at a time.
    fn reserve(&mut self, rows: usize) {
        match self {
            Self::Numbers { values, .. } => reserve(values, rows),
            Self::Texts { bins, hashes } => {
                reserve(bins, rows);
                reserve(hashes, rows);
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Numbers { values, other_kind } => {
                values.clear();
                other_kind.clear();
            }
            Self::Texts { bins, hashes } => {
                bins.clear();
                hashes.clear();
            }
        }
    }

    /// Rows beyond the end of a column are missing; so is what is missing here and there in the column of
    /// the other kind too.
    fn extend(&mut self, batch: &Batch, (from, rows): (usize, Range<usize>), (found, map): (&Found, &Map)) {
        let data = |at: Option<usize>| at.and_then(|at| batch.columns.get(at));
        let (own, other) = (data(found.column), data(found.other));
        let to = from + rows.len();
        match self {
            Self::Numbers { values, other_kind } => {
                values.resize(from, f64::NAN);
                if let Some(ColumnData::Number(own)) = own {
                    values.extend_from_slice(part(own, &rows));
                }
                values.resize(to, f64::NAN);
                if let Some(ColumnData::Code(codes)) = other {
                    let told = |(row, code): (usize, &u32)| {
                        (*code != Column::MISSING && values[row].is_nan()).then_some(row as u32)
                    };
                    other_kind.extend((from..to).zip(part(codes, &rows)).filter_map(told));
                }
            }
            Self::Texts { bins, hashes } => {
                bins.resize(from, MISSING);
                hashes.resize(from, 0);
                if let (Some(ColumnData::Code(codes)), Some(at)) = (own, found.column) {
                    let known = map.hashes.get(at).map_or(&[][..], Vec::as_slice);
                    let codes = part(codes, &rows).iter().map(|code| *code as usize);
                    bins.extend(codes.clone().map(|code| found.bins.get(code).copied().unwrap_or(MISSING)));
                    hashes.extend(codes.map(|code| known.get(code).copied().unwrap_or_default()));
                }
                bins.resize(to, MISSING);
                hashes.resize(to, 0);
                if let Some(ColumnData::Number(numbers)) = other {
                    let rows = bins[from..].iter_mut().zip(part(numbers, &rows));
                    let told = rows.filter(|(bin, x)| **bin == MISSING && !x.is_nan());
                    told.for_each(|(bin, _)| *bin = OTHER_KIND);
                }
            }
        }
    }
}

fn reserve<T>(rows: &mut Vec<T>, most: usize) {
    if rows.capacity() < most {
        rows.reserve_exact(most - rows.len());
    }
}

/// As many of these rows as there are.
fn part<'a, T>(column: &'a [T], rows: &Range<usize>) -> &'a [T] {
    &column[rows.start.min(column.len())..rows.end.min(column.len())]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_exchange::{Batch, Role, SchemaId};

    use super::{Block, FEWEST_ROWS, MOST_BYTES, MOST_ROWS};
    use crate::tally::rows::Scratch;
    use crate::tally::tests::{NOBODY, SPAN, T0, ages, number, profile, rows, simple, wish};
    use crate::tally::{Owner, SharedTallies, Tally};
    use crate::windows::Windows;

    /// Four schemas of the same model: all there is, no colours, ages that are texts here and there, and
    /// requests that were not read.
    fn batches(count: u64) -> impl Iterator<Item = Batch> {
        (0..count).map(|i| {
            let missing = |row: u64| (i + row).is_multiple_of(5);
            let age = |row: u64| if missing(row) { f64::NAN } else { ((i * 31 + row) % 130) as f64 };
            let values: Vec<f64> = (0..6).map(age).collect();
            let batch = rows(T0 + i * SPAN / 40, 6);
            let colours = [(i % 3) as u32, 1, 0, 2, u32::MAX, 1];
            let mut batch = match i % 4 {
                0 => batch.numbers("age", &values).texts("colour", &["red", "x", "blue"], &colours).0,
                1 => batch.numbers("age", &values).numbers("colour", &[1.0, f64::NAN]).0,
                2 => {
                    let batch = batch.numbers("age", &values).texts("age", &["old"], &[0; 6]);
                    batch.texts("colour", &["red"], &[0, 0]).0
                }
                _ => batch.scores("p", &[0.5; 6]).0,
            };
            Arc::make_mut(&mut batch.schema).id = SchemaId(i as u32 % 4);
            batch.probabilities = (0..6).map(|row| [1.0, 0.3, 0.7][row % 3]).collect();
            batch
        })
    }

    #[test]
    fn rows_that_waited_are_counted_as_if_they_had_not() {
        let run = |at_once: bool| {
            let ages: Vec<f64> = (0..100).map(f64::from).collect();
            let score = number("p", &[0.25, 0.5, 0.75]);
            let mut known = profile(vec![number("age", &ages), score]);
            known.features.extend(simple().features.into_iter().skip(1));
            known.features[1].role = Role::Score;
            known.rows_distinct = true;
            let mut tally = Tally::new(wish(Some("colour")), Arc::new(known), T0);
            let mut scratch = Scratch::default();
            for batch in batches(100) {
                tally.take_in(&batch, NOBODY, &mut scratch);
                if at_once {
                    tally.count();
                }
            }
            // Whoever looks counts for himself.
            let live = format!("{:?}", tally.live());
            tally.count();
            assert_eq!(live, format!("{:?}", tally.live()));
            (tally.waiting, tally.open, tally.segments.names)
        };
        let (waiting, open, names) = run(false);
        assert_eq!((waiting.len(), open.len(), names.len()), (2, 1, 2));
        let scores = waiting.iter().map(|window| window.whole.bins[100..].iter().sum::<f64>());
        assert!(scores.clone().all(|rows| rows > 0.0), "{:?}", scores.collect::<Vec<_>>());
        assert!((waiting, open, names) == run(true));
    }

    #[test]
    fn a_block_is_counted_when_it_is_full_and_takes_no_more_than_is_booked() {
        let mut tally = Tally::new(wish(None), Arc::new(simple()), T0);
        let mut scratch = Scratch::default();
        let mut take = |tally: &mut Tally, rows: usize| {
            tally.take_in(&ages(T0, &vec![1.0; rows]), NOBODY, &mut scratch);
            (tally.open[0].whole.rows as usize, tally.block.rows())
        };
        assert_eq!(take(&mut tally, MOST_ROWS - 1), (0, MOST_ROWS - 1));
        assert_eq!(take(&mut tally, 1), (MOST_ROWS, 0));
        let rows = 10 * MOST_ROWS;
        assert_eq!(take(&mut tally, rows + 5), (11 * MOST_ROWS, 5), "a batch in pieces");
        assert!(tally.block.hashes.capacity() <= MOST_ROWS && tally.block.any.all.capacity() <= MOST_ROWS);
        let wide = |features: usize| {
            let one = || number("f", &[1.0, 2.0]);
            profile(std::iter::repeat_with(one).take(features).collect())
        };
        assert_eq!(Block::new(&wide(1000)).room(), MOST_ROWS);
        assert_eq!(Block::new(&wide(200_000)).room(), FEWEST_ROWS);
        assert!(Block::bytes(&wide(10_000)) < MOST_BYTES + MOST_BYTES / 8);
    }

    /// Nobody has to ask: after a second they are counted, whichever models they are of.
    #[test]
    fn rows_wait_for_a_second_at_most() {
        let tallies = SharedTallies::default();
        let profile = Arc::new(simple());
        let models = ["1", "2"].map(|version| ["r", "m", version].map(Arc::from));
        let owner = Owner { key: "p", families: &[] };
        let windows = &mut Windows::new(Vec::new(), 1 << 24);
        for model in &models {
            tallies.lock().open((model, wish(None)), &profile, (owner, windows), T0).unwrap();
        }
        let window = tallies.lock().due();
        for (now, model) in [(T0 + 5, 0), (T0 + 6, 1), (T0 + 7, 0)] {
            tallies.lock().take_in(&ages(T0, &[1.0]), &models[model], (&|_| None, now), false);
        }
        let second = 1_000_000_000;
        assert_eq!(tallies.lock().due(), Some(T0 + 5 + second));
        tallies.lock().set_back(T0 + 1);
        assert_eq!(tallies.lock().due(), Some(T0 + 1 + second), "the clock was ahead");
        tallies.lock().count();
        let counted = |place: usize| tallies.lock().get(place).unwrap().open[0].whole.rows;
        assert_eq!((counted(0), counted(1), tallies.lock().due()), (2, 1, window));
    }
}

//! Rows that wait to be counted. Counts of many features, each in bins of many segments, are more than a
//! cache holds: a column of a thousand rows is counted while its bins are at hand.

use weir_exchange::{Batch, Column, ColumnData, Role};
use weir_profile::{FeatureKind, Profile};

use super::map::{Found, Map};
use super::part::{MISSING, OTHER_KIND, Placed};
use super::rows::Chosen;

/// Rows at most, but for the last batch.
const MOST_ROWS: usize = 1024;

/// Bytes of values at most, but for the last batch.
const MOST_BYTES: usize = 8 << 20;

/// What a value takes, about.
const VALUE_BYTES: usize = size_of::<f64>() + size_of::<u16>();

/// Rows of one window of one tally, a column for each feature.
#[derive(Debug, Default)]
pub(crate) struct Block {
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

/// Values of one feature, for each row.
#[derive(Debug)]
enum Values {
    /// NaN: missing, or of the other kind in the rows that are named.
    Numbers { values: Vec<f64>, other_kind: Vec<u32> },
    /// The bin, or why there is none, and what tells the text from others.
    Texts { bins: Vec<u16>, hashes: Vec<u64> },
}

impl Block {
    pub(crate) fn rows(&self) -> usize {
        self.weights.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rows() >= MOST_ROWS || self.rows() * self.columns.len() * VALUE_BYTES >= MOST_BYTES
    }

    pub(crate) fn clear(&mut self) {
        self.weights.clear();
        self.hashes.clear();
        [&mut self.inputs, &mut self.predictions, &mut self.any].into_iter().for_each(Chosen::clear);
        self.columns.iter_mut().for_each(Values::clear);
    }

    /// Takes the values of the features of so many rows of a batch.
    pub(crate) fn extend(&mut self, batch: &Batch, rows: usize, profile: &Profile, map: &Map) {
        // The tally before may have had others.
        self.columns.resize_with(profile.features.len(), Values::default);
        let features = profile.features.iter().zip(&map.features);
        for (values, (feature, found)) in self.columns.iter_mut().zip(features) {
            values.become_of(&feature.kind);
            values.extend(batch, rows, (found, map));
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

    /// Finds the bin of each value of a feature; `memory` is used again.
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
            _ => Placed::Nothing,
        }
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::Numbers { values: Vec::new(), other_kind: Vec::new() }
    }
}

impl Values {
    /// Empty, if they were of another kind.
    fn become_of(&mut self, kind: &FeatureKind) {
        match (kind, &self) {
            (FeatureKind::Number { .. }, Self::Texts { .. }) => *self = Self::default(),
            (FeatureKind::Category { .. }, Self::Numbers { .. }) => {
                *self = Self::Texts { bins: Vec::new(), hashes: Vec::new() };
            }
            _ => {}
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
    fn extend(&mut self, batch: &Batch, rows: usize, (found, map): (&Found, &Map)) {
        let data = |at: Option<usize>| at.and_then(|at| batch.columns.get(at));
        let (own, other) = (data(found.column), data(found.other));
        match self {
            Self::Numbers { values, other_kind } => {
                let from = values.len();
                if let Some(ColumnData::Number(own)) = own {
                    values.extend(own.iter().take(rows));
                }
                values.resize(from + rows, f64::NAN);
                if let Some(ColumnData::Code(codes)) = other {
                    let told = |(row, code): (usize, &u32)| {
                        (*code != Column::MISSING && values[row].is_nan()).then_some(row as u32)
                    };
                    other_kind.extend((from..).zip(codes.iter().take(rows)).filter_map(told));
                }
            }
            Self::Texts { bins, hashes } => {
                let from = bins.len();
                if let (Some(ColumnData::Code(codes)), Some(at)) = (own, found.column) {
                    let known = map.hashes.get(at).map_or(&[][..], Vec::as_slice);
                    let codes = codes.iter().take(rows).map(|code| *code as usize);
                    bins.extend(codes.clone().map(|code| found.bins.get(code).copied().unwrap_or(MISSING)));
                    hashes.extend(codes.map(|code| known.get(code).copied().unwrap_or_default()));
                }
                bins.resize(from + rows, MISSING);
                hashes.resize(from + rows, 0);
                if let Some(ColumnData::Number(numbers)) = other {
                    let rows = bins[from..].iter_mut().zip(numbers);
                    let told = rows.filter(|(bin, x)| **bin == MISSING && !x.is_nan());
                    told.for_each(|(bin, _)| *bin = OTHER_KIND);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_exchange::SchemaId;

    use super::MOST_ROWS;
    use crate::tally::rows::Scratch;
    use crate::tally::tests::{NOBODY, SPAN, T0, ages, rows, simple, wish};
    use crate::tally::{SharedTallies, Tally};
    use crate::windows::Windows;

    /// Three schemas of the same model: all there is, no colours, and ages that are texts here and there.
    fn batches(count: u64) -> impl Iterator<Item = weir_exchange::Batch> {
        (0..count).map(|i| {
            let age =
                |row: u64| if (i + row).is_multiple_of(5) { f64::NAN } else { ((i * 31 + row) % 130) as f64 };
            let values: Vec<f64> = (0..6).map(age).collect();
            let batch = rows(T0 + i * SPAN / 40, 6).numbers("age", &values);
            let colours = [(i % 3) as u32, 1, 0, 2, u32::MAX, 1];
            let mut batch = match i % 3 {
                0 => batch.texts("colour", &["red", "x", "blue"], &colours).0,
                1 => batch.numbers("colour", &[1.0, f64::NAN]).0,
                _ => batch.texts("age", &["old"], &[0; 6]).texts("colour", &["red"], &[0, 0]).0,
            };
            Arc::make_mut(&mut batch.schema).id = SchemaId(i as u32 % 3);
            batch.probabilities = (0..6).map(|row| [1.0, 0.3, 0.7][row % 3]).collect();
            batch
        })
    }

    #[test]
    fn rows_that_waited_are_counted_as_if_they_had_not() {
        let run = |at_once: bool| {
            let mut known = simple();
            known.rows_distinct = true;
            let mut tally = Tally::new(wish(Some("colour")), Arc::new(known), T0);
            let mut scratch = Scratch::default();
            for batch in batches(100) {
                tally.take_in(&batch, NOBODY, &mut scratch);
                if at_once {
                    tally.count(&mut scratch);
                }
            }
            tally.count(&mut scratch);
            (tally.waiting, tally.open, tally.segments.names)
        };
        let (waiting, open, names) = run(false);
        assert_eq!((waiting.len(), open.len(), names.len()), (2, 1, 2));
        assert!((waiting, open, names) == run(true));
    }

    #[test]
    fn a_full_block_is_counted() {
        let mut tally = Tally::new(wish(None), Arc::new(simple()), T0);
        let mut scratch = Scratch::default();
        let half = vec![1.0; MOST_ROWS / 2];
        tally.take_in(&ages(T0, &half), NOBODY, &mut scratch);
        assert_eq!((tally.open[0].whole.rows, scratch.block.rows()), (0, MOST_ROWS / 2));
        tally.take_in(&ages(T0, &half), NOBODY, &mut scratch);
        assert_eq!((tally.open[0].whole.rows, scratch.block.rows()), (MOST_ROWS as u64, 0));
    }

    /// Whoever looks sees every row, whichever model had the last; and nobody has to look.
    #[test]
    fn rows_wait_for_a_second_at_most_and_no_one_who_looks_misses_them() {
        let tallies = SharedTallies::default();
        let profile = Arc::new(simple());
        let models = ["1", "2"].map(|version| ["r", "m", version].map(Arc::from));
        let owner = crate::tally::Owner { key: "p", families: &[] };
        let windows = &mut Windows::new(Vec::new(), 1 << 24);
        for model in &models {
            tallies.lock().open((model, wish(None)), &profile, (owner, windows), T0).unwrap();
        }
        let window = tallies.lock().due();
        let counted = |place: usize| {
            let tallies = tallies.lock_uncounted();
            tallies.get(place).unwrap().open.front().map(|window| window.whole.rows)
        };
        for (at_ns, model) in [(T0 + 5, 0), (T0 + 6, 0), (T0 + 7, 1)] {
            tallies.lock_uncounted().take_in(&ages(at_ns, &[1.0]), &models[model], &|_| None, false);
        }
        assert_eq!((counted(0), counted(1)), (Some(2), Some(0)), "another model's rows came");
        assert_eq!(tallies.lock_uncounted().due(), Some(T0 + 7 + 1_000_000_000));
        drop(tallies.lock());
        assert_eq!((counted(1), tallies.lock().due()), (Some(1), window));
    }
}

//! Which rows of a batch count, with what weight, in which segment, and what tells them apart.
//!
//! Rows of exchanges that were not answered well are left out. Of the others a row counts for the inputs if
//! any row of its exchange has an input value: else the request was not read, and nothing is known of it. The
//! same goes for outputs and scores: a reply that was not read is no prediction that is missing.

use std::collections::HashMap;
use std::ops::Range;

use weir_exchange::{Batch, Column, ColumnData, Outcome};
use weir_profile::Profile;

use super::block::Block;
use super::map::Map;
use super::part::Rows;
use super::wish::Wish;

/// Rows, all of them and by segment.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) all: Vec<u32>,
    /// Those that have no segment; `None`: all.
    rest: Option<Vec<u32>>,
    /// By number of the segment.
    pub(crate) segments: Vec<Vec<u32>>,
}

/// Numbers of segments, the profile's first, and the rest as they come until there is no room.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    pub(crate) names: Vec<std::sync::Arc<str>>,
    pub(crate) most: usize,
}

/// What is known of a batch, in memory that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// For each row of a batch, its segment's number; `NO_SEGMENT` for none.
    segment: Vec<u32>,
    /// For each exchange, whether any row has a value of the one side, and of the other.
    sides: [Vec<bool>; 2],
    /// For the codes of the segment's column, the segment; for its numbers, by their bits.
    codes: Vec<u32>,
    numbers: HashMap<u64, u32, ahash::RandomState>,
}

const NO_SEGMENT: u32 = u32::MAX;

impl Chosen {
    /// Those of a segment, or those that have none.
    pub(crate) fn rows<'a>(&'a self, segment: Option<usize>, weights: &'a [f64]) -> Rows<'a> {
        let rest = self.rest.as_ref().unwrap_or(&self.all);
        let rows = segment.map_or(Some(rest), |segment| self.segments.get(segment));
        Rows { rows: rows.map_or(&[], Vec::as_slice), weights }
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.rest = None;
        self.segments.iter_mut().for_each(Vec::clear);
    }

    fn push(&mut self, row: usize, segment: u32) {
        if segment == NO_SEGMENT {
            if let Some(rest) = &mut self.rest {
                rest.push(row as u32);
            }
        } else {
            self.rest.get_or_insert_with(|| self.all.clone());
            let segment = segment as usize;
            if self.segments.len() <= segment {
                self.segments.resize_with(segment + 1, Vec::new);
            }
            self.segments[segment].push(row as u32);
        }
        self.all.push(row as u32);
    }
}

impl Segments {
    pub(crate) fn new(wish: &Wish, profile: &Profile) -> Self {
        let most = wish.shape.segments as usize;
        let same = wish.shape.segment.is_some() && wish.shape.segment == profile.segment;
        let cells = profile.cells.iter().filter(|cell| same && cell.slot.is_none());
        let names = cells.filter_map(|cell| cell.segment.clone()).take(most);
        Self { names: names.collect(), most }
    }

    /// The number of a text; a new one if there is room.
    fn number(&mut self, text: &str) -> u32 {
        let known = self.names.iter().position(|name| **name == *text);
        match known {
            Some(at) => at as u32,
            None if self.names.len() < self.most && text != Column::OTHER => {
                self.names.push(text.into());
                (self.names.len() - 1) as u32
            }
            None => NO_SEGMENT,
        }
    }
}

impl Scratch {
    /// Looks through a batch. Gives the exchanges that were answered well and have rows that count, each
    /// counted as many times as it stands for.
    pub(crate) fn look_through(&mut self, batch: &Batch, map: &Map, segments: &mut Segments) -> f64 {
        for (side, columns) in self.sides.iter_mut().zip([&map.inputs, &map.predictions]) {
            answered(side, batch, columns);
        }
        self.find_segments(batch, map, segments);
        let counts = |exchange: usize| self.sides.iter().any(|side| side.get(exchange) == Some(&true));
        let whole =
            (0..batch.exchanges).filter(|exchange| counts(*exchange) && !continued(batch, map, *exchange));
        whole.map(|exchange| weight_of(batch, exchange)).sum()
    }

    /// Takes rows of the batch that was looked through into a block.
    pub(crate) fn take(
        &self,
        batch: &Batch,
        rows: Range<usize>,
        (profile, map): (&Profile, &Map),
        block: &mut Block,
    ) {
        let from = block.rows();
        let (mut any_asked, mut any_told) = (false, false);
        for (at, row) in (from..).zip(rows.clone()) {
            let exchange = batch.row_exchange[row] as usize;
            let weight = weight_of(batch, exchange);
            block.weights.push(weight);
            if weight <= 0.0 {
                continue;
            }
            let [asked, told] = [0, 1].map(|side: usize| self.sides[side].get(exchange) == Some(&true));
            let segment = self.segment.get(row).copied().unwrap_or(NO_SEGMENT);
            let Block { inputs, predictions, any, .. } = block;
            let to = [(inputs, asked), (predictions, told), (any, asked || told)];
            to.into_iter().filter(|(_, counts)| *counts).for_each(|(to, _)| to.push(at, segment));
            (any_asked, any_told) = (any_asked || asked, any_told || told);
        }
        hash(batch, rows.clone(), map, block.hashes());
        block.extend(batch, (from, rows), (profile, map), [any_asked, any_told]);
    }

    fn find_segments(&mut self, batch: &Batch, map: &Map, segments: &mut Segments) {
        self.segment.clear();
        self.numbers.clear();
        self.codes.clear();
        let of = |column: Option<usize>| column.and_then(|at| Some((at, batch.columns.get(at)?)));
        if let Some((at, ColumnData::Code(codes))) = of(map.segment_codes) {
            let texts = &batch.schema.columns[at].codes;
            // Unasked until a row has it: what no row has takes no segment.
            self.codes.resize(texts.len(), UNASKED);
            for code in codes.iter().take(batch.rows) {
                let segment = self.codes.get_mut(*code as usize).map(|segment| {
                    if *segment == UNASKED {
                        *segment = segments.number(&texts[*code as usize]);
                    }
                    *segment
                });
                self.segment.push(segment.unwrap_or(NO_SEGMENT));
            }
        }
        let Some((_, ColumnData::Number(values))) = of(map.segment_numbers) else { return };
        self.segment.resize(batch.rows, NO_SEGMENT);
        for (segment, x) in self.segment.iter_mut().zip(values).filter(|(_, x)| !x.is_nan()) {
            if *segment == NO_SEGMENT {
                let known = self.numbers.entry(x.to_bits());
                *segment = *known.or_insert_with(|| segments.number(&x.to_string()));
            }
        }
    }
}

/// What tells rows apart: a sum over the columns, whose order differs from schema to schema. What is missing
/// adds nothing. One for each row, appended to `hashes`.
fn hash(batch: &Batch, rows: Range<usize>, map: &Map, hashes: &mut Vec<u64>) {
    let from = hashes.len();
    hashes.resize(from + rows.len(), 0);
    let hashes = &mut hashes[from..];
    for key in &map.keys {
        match batch.columns.get(key.column) {
            Some(ColumnData::Number(values)) => {
                let values = values.iter().skip(rows.start);
                for (hash, x) in hashes.iter_mut().zip(values).filter(|(_, x)| !x.is_nan()) {
                    *hash = hash.wrapping_add(key.seed.number(*x).finish());
                }
            }
            Some(ColumnData::Code(codes)) => {
                let texts = &map.hashes[key.column];
                for (hash, code) in hashes.iter_mut().zip(codes.iter().skip(rows.start)) {
                    let text = texts.get(*code as usize);
                    *hash = hash.wrapping_add(text.map_or(0, |text| key.seed.text(*text).finish()));
                }
            }
            None => {}
        }
    }
}

/// A code that no row had yet.
const UNASKED: u32 = u32::MAX - 1;

/// How many exchanges this one stands for; 0 if it was not answered well, or observed for its spans only.
fn weight_of(batch: &Batch, exchange: usize) -> f64 {
    if batch.outcomes.get(exchange) != Some(&Outcome::Ok) {
        return 0.0;
    }
    match batch.probabilities.get(exchange) {
        Some(p) if *p <= 0.0 || p.is_nan() => 0.0,
        Some(p) if *p < 1.0 => 1.0 / f64::from(*p),
        _ => 1.0,
    }
}

/// An exchange of which an earlier batch had the beginning is counted there: here it has no outcome.
fn continued(batch: &Batch, map: &Map, exchange: usize) -> bool {
    let codes = map.outcome.and_then(|at| batch.columns.get(at));
    matches!(codes, Some(ColumnData::Code(codes)) if codes.get(exchange) == Some(&Column::MISSING))
}

/// For each exchange, whether any of its rows has a value in one of these columns.
fn answered(side: &mut Vec<bool>, batch: &Batch, columns: &[usize]) {
    side.clear();
    side.resize(batch.exchanges, false);
    let mut left = batch.exchanges;
    for column in columns {
        let mut mark = |row: usize| {
            let exchange = batch.row_exchange.get(row).and_then(|exchange| side.get_mut(*exchange as usize));
            if let Some(seen) = exchange.filter(|seen| !**seen) {
                *seen = true;
                left -= 1;
            }
        };
        match batch.columns.get(*column) {
            Some(ColumnData::Number(values)) => {
                (0..).zip(values).filter(|(_, x)| !x.is_nan()).for_each(|(row, _)| mark(row));
            }
            Some(ColumnData::Code(codes)) => {
                let there = (0..).zip(codes).filter(|(_, code)| **code != Column::MISSING);
                there.for_each(|(row, _)| mark(row));
            }
            None => {}
        }
        // Nearly always after the first column.
        if left == 0 {
            return;
        }
    }
}

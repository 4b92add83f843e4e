//! A table while it is being filled: rows of any length in, a dense matrix out.

use weir_exchange::{Fields, Table};

use crate::error::{DecodeLimits, Read, too_large, unsupported};
use crate::json::{Reader, Scalar};
use crate::read::names::{NameCache, Names};

/// Rows are appended to the table's cells as they come. While they are of one length that is the matrix
/// already; once one is longer than those before it, the ends are noted and [`Sheet::finish`] moves each
/// row to its place, once.
#[derive(Debug)]
pub(crate) struct Sheet<'t> {
    table: &'t mut Table,
    ends: &'t mut Vec<usize>,
    names: Names,
    limits: DecodeLimits,
    kind: Option<RowKind>,
    width: usize,
    ragged: bool,
    row: Row,
}

/// Array rows or object rows: a table holds one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    Positional,
    Named,
}

/// Marks a text cell that a later value of the same row took back.
const RETRACTED: u32 = u32::MAX;

/// The open row.
#[derive(Debug, Default)]
struct Row {
    first_cell: usize,
    first_text: usize,
    /// A field came out of order or twice: its texts need sorting.
    disorder: bool,
}

impl<'t> Sheet<'t> {
    /// An empty sheet over a table, which is cleared.
    pub(crate) fn new(table: &'t mut Table, ends: &'t mut Vec<usize>, limits: DecodeLimits) -> Self {
        let names = Names::of(table, limits.columns);
        table.clear();
        ends.clear();
        Self { table, ends, names, limits, kind: None, width: 0, ragged: false, row: Row::default() }
    }

    /// Starts a row.
    #[inline(always)]
    pub(crate) fn start(&mut self, kind: RowKind) -> Read<()> {
        self.expect(kind)?;
        self.names.start_row();
        self.row =
            Row { first_cell: self.table.numbers.len(), first_text: self.table.texts.len(), disorder: false };
        Ok(())
    }

    /// Settles the kind of the rows before there is one.
    #[inline(always)]
    pub(crate) fn expect(&mut self, kind: RowKind) -> Read<()> {
        if *self.kind.get_or_insert(kind) != kind {
            return unsupported(format_args!("row {} mixes array rows and object rows", self.table.rows));
        }
        Ok(())
    }

    /// True if the rows so far are objects.
    pub(crate) fn is_named(&self) -> bool {
        self.kind == Some(RowKind::Named)
    }

    /// Appends a number to the open row.
    #[inline(always)]
    pub(crate) fn push_number(&mut self, value: f64) {
        self.table.numbers.push(value);
    }

    /// Appends the numbers at the reader to the open row. False: there is none.
    #[inline(always)]
    pub(crate) fn push_numbers(&mut self, r: &mut Reader<'_>) -> bool {
        r.numbers(&mut self.table.numbers)
    }

    /// Appends a text to the open row.
    pub(crate) fn push_text(&mut self, value: &str) {
        self.table.push_text(self.table.numbers.len(), value);
        self.table.numbers.push(f64::NAN);
    }

    /// The column of a field of the open row.
    #[inline(always)]
    pub(crate) fn column(&mut self, name: &str, cache: &mut NameCache) -> Read<usize> {
        self.names.position(name, cache)
    }

    /// Sets a cell of the open row; the last value of a field counts.
    #[inline(always)]
    pub(crate) fn set(&mut self, column: usize, value: Scalar<'_>) {
        let cell = self.row.first_cell + column;
        let number = match value {
            Scalar::Number(number) => number,
            Scalar::Text(_) => f64::NAN,
        };
        let overwrites = cell < self.table.numbers.len();
        if overwrites {
            self.row.disorder = true;
            self.table.numbers[cell] = number;
        } else {
            self.table.numbers.resize(cell, f64::NAN);
            self.table.numbers.push(number);
        }
        match value {
            Scalar::Text(text) => self.table.push_text(cell, text),
            Scalar::Number(_) if overwrites => self.table.texts.push((cell as u32, RETRACTED..RETRACTED)),
            Scalar::Number(_) => {}
        }
    }

    /// Ends the open row.
    #[inline(always)]
    pub(crate) fn end(&mut self) -> Read<()> {
        let end = self.table.numbers.len();
        let length = end - self.row.first_cell;
        if self.row.disorder {
            self.settle_texts();
        }
        if length != self.width || self.ragged {
            self.end_uneven(length)?;
        }
        self.table.rows += 1;
        if self.table.numbers.len() > self.limits.cells {
            return too_large("cells", self.limits.cells);
        }
        Ok(())
    }

    /// Makes the matrix dense and hands it to the table.
    pub(crate) fn finish(mut self) -> Read<()> {
        if self.is_named() && self.width != self.names.len() {
            // A CSV header names fields that no line reached.
            self.note_ends();
            self.width = self.names.len();
        }
        let cells = self.table.rows.saturating_mul(self.width);
        if cells > self.limits.cells {
            return too_large("cells", self.limits.cells);
        }
        self.table.width = self.width;
        if self.ragged {
            self.spread_texts();
            self.spread_numbers(cells);
        }
        self.table.fields = if self.is_named() { self.names.finish() } else { Fields::Positional };
        Ok(())
    }

    fn end_uneven(&mut self, length: usize) -> Read<()> {
        if length > self.limits.columns {
            return too_large("columns", self.limits.columns);
        }
        if self.table.rows == 0 {
            self.width = length;
            return Ok(());
        }
        if !self.ragged && length > self.width {
            self.note_ends();
            self.width = length;
        }
        if self.ragged {
            self.width = self.width.max(length);
            self.ends.push(self.table.numbers.len());
        } else {
            self.table.numbers.resize(self.row.first_cell + self.width, f64::NAN);
        }
        Ok(())
    }

    /// From here on rows may differ in length.
    fn note_ends(&mut self) {
        if !self.ragged {
            self.ragged = true;
            self.ends.extend((1..=self.table.rows).map(|row| row * self.width));
        }
    }

    /// Sorts the open row's texts by cell and keeps the last of each.
    fn settle_texts(&mut self) {
        let texts = &mut self.table.texts;
        let mut row = texts.split_off(self.row.first_text);
        row.sort_by_key(|(cell, _)| *cell);
        for (at, (cell, range)) in row.iter().enumerate() {
            let last = row.get(at + 1).is_none_or(|(next, _)| next != cell);
            if last && range.start != RETRACTED {
                texts.push((*cell, range.clone()));
            }
        }
    }

    fn spread_texts(&mut self) {
        let (mut row, mut start) = (0, 0);
        for (cell, _) in &mut self.table.texts {
            while *cell as usize >= self.ends[row] {
                start = self.ends[row];
                row += 1;
            }
            *cell = (row * self.width + *cell as usize - start) as u32;
        }
    }

    /// From the last row back, so that no row is overwritten before it has moved.
    fn spread_numbers(&mut self, cells: usize) {
        let numbers = &mut self.table.numbers;
        numbers.resize(cells, f64::NAN);
        for row in (0..self.table.rows).rev() {
            let start = if row == 0 { 0 } else { self.ends[row - 1] };
            let (end, place) = (self.ends[row], row * self.width);
            numbers.copy_within(start..end, place);
            numbers[place + (end - start)..place + self.width].fill(f64::NAN);
        }
    }
}

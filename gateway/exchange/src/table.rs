//! What one body said, as rows and fields: the form between a codec and a batch.

use std::ops::Range;
use std::sync::Arc;

/// The fields of a table, in column order.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fields {
    /// Array rows: only a width. Short rows were padded with missing cells.
    #[default]
    Positional,
    /// Object rows or named columns.
    Named(Vec<Arc<str>>),
}

/// Rows by fields, row-major. A cell is a number, a text or missing.
///
/// `numbers` is dense (`rows * width`); a missing cell and a text cell are NaN there, and text cells are
/// listed in `texts` by rising cell index. A decoder reuses one `Table` for many bodies: `clear` keeps the
/// allocations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub fields: Fields,
    pub rows: usize,
    pub width: usize,
    pub numbers: Vec<f64>,
    /// (cell index, byte range in `text`), rising by cell.
    pub texts: Vec<(u32, Range<u32>)>,
    pub text: String,
}

/// One cell of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Null, absent, or a number that is not one (NaN).
    Missing,
    Number(f64),
    Text(&'a str),
}

impl Table {
    /// Empties the table, keeping its memory.
    pub fn clear(&mut self) {
        self.fields = Fields::Positional;
        self.rows = 0;
        self.width = 0;
        self.numbers.clear();
        self.texts.clear();
        self.text.clear();
    }

    /// Appends a text cell's content; the caller pushes NaN into `numbers` for it.
    pub fn push_text(&mut self, cell: usize, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        self.texts.push((cell as u32, start as u32..self.text.len() as u32));
    }

    /// The text of a cell, if it holds one. O(log texts).
    pub fn text_at(&self, cell: usize) -> Option<&str> {
        let at = self.texts.binary_search_by_key(&(cell as u32), |(c, _)| *c).ok()?;
        let range = &self.texts[at].1;
        self.text.get(range.start as usize..range.end as usize)
    }

    /// The cell in `row` and `column`.
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let index = row * self.width + column;
        match self.numbers.get(index) {
            Some(n) if !n.is_nan() => Cell::Number(*n),
            _ => self.text_at(index).map_or(Cell::Missing, Cell::Text),
        }
    }

    /// The numbers of one row; text and missing cells are NaN.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.numbers[row * self.width..(row + 1) * self.width]
    }

    /// Bytes this table holds on the heap, for budgets.
    pub fn heap_bytes(&self) -> usize {
        self.numbers.capacity() * 8 + self.texts.capacity() * 12 + self.text.capacity()
    }
}

/// A decoded response: what was predicted, and how sure the model was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// Predictions, one table row for each predicted row; width 1 for a label or a value, more for several
    /// outputs. Width 0 with `rows` set when the reply is nothing but scores.
    pub outputs: Table,
    /// Class scores, one column a class; width 0 when the reply has none.
    pub scores: Table,
    /// The model's name and version if the body gave them; empty otherwise.
    pub model: String,
    pub model_version: String,
}

impl Reply {
    /// Empties the reply, keeping its memory.
    pub fn clear(&mut self) {
        self.outputs.clear();
        self.scores.clear();
        self.model.clear();
        self.model_version.clear();
    }

    /// Rows predicted.
    pub fn rows(&self) -> usize {
        self.outputs.rows.max(self.scores.rows)
    }
}

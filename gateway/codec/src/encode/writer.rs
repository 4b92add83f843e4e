//! JSON into bytes.

use weir_exchange::{Cell, Fields, Table};

/// A growing JSON text.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A writer with room for a reply's numbers.
    pub(super) fn for_cells(cells: usize) -> Self {
        /// A double and its comma.
        const CELL: usize = 20;
        /// Names of fields, model and classes.
        const REST: usize = 256;
        Self { out: Vec::with_capacity(REST + CELL * cells) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub(super) fn raw(&mut self, json: &str) -> &mut Self {
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// A string with its quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.out.push(b'"');
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.extend_from_slice(&text.as_bytes()[plain..at]);
            plain = at + 1;
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.raw("\\n").ignore(),
                _ => {
                    let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                    self.out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                }
            }
        }
        self.out.extend_from_slice(&text.as_bytes()[plain..]);
        self.out.push(b'"');
        self
    }

    /// A number in its shortest form that reads back the same: whole numbers without a fraction, as labels
    /// are written.
    pub(super) fn number(&mut self, value: f64) -> &mut Self {
        const WHOLE: f64 = 1e15;
        if !value.is_finite() {
            return self.raw("null");
        }
        if value == value.trunc() && value.abs() < WHOLE && !(value == 0.0 && value.is_sign_negative()) {
            return self.integer(value as i64);
        }
        self.raw(ryu::Buffer::new().format_finite(value))
    }

    pub(super) fn integer(&mut self, value: i64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(value))
    }

    /// One cell.
    pub(super) fn cell(&mut self, cell: Cell<'_>) -> &mut Self {
        match cell {
            Cell::Missing => self.raw("null"),
            Cell::Number(value) => self.number(value),
            Cell::Text(text) => self.text(text),
        }
    }

    /// A comma-separated list in brackets.
    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut one: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.raw("[");
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.raw(",");
            }
            one(self, item);
        }
        self.raw("]")
    }

    /// A table as rows: plain values if it has one unnamed column, lists if several, objects if they have
    /// names.
    pub(super) fn rows(&mut self, table: &Table) -> &mut Self {
        match &table.fields {
            Fields::Positional if table.width == 1 => self.list(0..table.rows, |out, row| {
                out.cell(table.cell(row, 0)).ignore();
            }),
            Fields::Positional => self.matrix(table),
            Fields::Named(names) => self.list(0..table.rows, |out, row| {
                for (column, name) in names.iter().enumerate() {
                    out.raw(if column == 0 { "{" } else { "," })
                        .text(name)
                        .raw(":")
                        .cell(table.cell(row, column))
                        .ignore();
                }
                out.raw(if names.is_empty() { "{}" } else { "}" }).ignore();
            }),
        }
    }

    /// A table as a list of lists, whatever its names.
    pub(super) fn matrix(&mut self, table: &Table) -> &mut Self {
        self.list(0..table.rows, |out, row| {
            out.list(0..table.width, |out, column| out.cell(table.cell(row, column)).ignore()).ignore();
        })
    }

    /// Ends a chain in a place that takes no value.
    pub(super) fn ignore(&mut self) {}
}

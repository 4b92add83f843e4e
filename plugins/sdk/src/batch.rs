//! A batch as a plugin sees it.

use crate::bindings::weir::plugin::types;
use crate::schema::{Column, Kind, MISSING, Per, Schema};

/// Exchanges of one schema, as columns.
#[derive(Debug)]
pub struct Batch<'a> {
    schema: &'a Schema,
    wire: &'a types::Batch,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(schema: &'a Schema, wire: &'a types::Batch) -> Self {
        Self { schema, wire }
    }

    /// What the columns are.
    pub fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// Rows; an exchange may have several, or none.
    pub fn rows(&self) -> usize {
        self.wire.rows as usize
    }

    /// Exchanges.
    pub fn exchanges(&self) -> usize {
        self.wire.exchanges as usize
    }

    /// Unix time in ns at which the batch closed.
    pub fn closed_ns(&self) -> u64 {
        self.wire.closed_ns
    }

    /// Exchanges this plugin did not get to see since the batch before.
    pub fn missed(&self) -> u64 {
        self.wire.missed
    }

    /// For each row, its exchange.
    pub fn row_exchange(&self) -> &'a [u32] {
        &self.wire.row_exchange
    }

    /// Probability with which an exchange was observed.
    pub fn probability(&self, exchange: usize) -> f64 {
        self.wire.probabilities.get(exchange).map_or(1.0, |p| f64::from(*p))
    }

    /// The values of a number column, one a row or one an exchange; NaN is missing. Empty for a column of
    /// codes or one that is not sent.
    pub fn numbers(&self, column: usize) -> &'a [f64] {
        match self.sent(column) {
            Some((Kind::Number, Per::Row, k)) => part(&self.wire.row_numbers, k, self.rows()),
            Some((Kind::Number, Per::Exchange, k)) => part(&self.wire.exchange_numbers, k, self.exchanges()),
            _ => &[],
        }
    }

    /// The values of a code column, one a row or one an exchange; [`MISSING`] is missing. Empty for a column
    /// of numbers or one that is not sent.
    pub fn codes(&self, column: usize) -> &'a [u32] {
        match self.sent(column) {
            Some((Kind::Code, Per::Row, k)) => part(&self.wire.row_codes, k, self.rows()),
            Some((Kind::Code, Per::Exchange, k)) => part(&self.wire.exchange_codes, k, self.exchanges()),
            _ => &[],
        }
    }

    /// The text of a code in a column.
    pub fn text(&self, column: usize, code: u32) -> Option<&'a str> {
        let texts = &self.schema.columns.get(column)?.texts;
        if code == MISSING { None } else { texts.get(code as usize).map(String::as_str) }
    }

    fn sent(&self, column: usize) -> Option<(Kind, Per, usize)> {
        let Column { kind, per, place, .. } = self.schema.columns.get(column)?;
        Some((*kind, *per, (*place)?))
    }
}

fn part<T>(all: &[T], k: usize, len: usize) -> &[T] {
    all.get(k * len..(k + 1) * len).unwrap_or_default()
}

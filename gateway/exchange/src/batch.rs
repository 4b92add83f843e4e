//! A closed batch: columns over many exchanges of one schema, as every judge gets it.

use std::sync::Arc;

use crate::exchange::Outcome;
use crate::route::ObservedRoute;
use crate::schema::Schema;

/// The values of one column over the batch.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnData {
    Number(Vec<f64>),
    Code(Vec<u32>),
}

impl ColumnData {
    /// Values held.
    pub fn len(&self) -> usize {
        match self {
            Self::Number(v) => v.len(),
            Self::Code(v) => v.len(),
        }
    }

    /// True if no value is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Exchanges of one route, model version and schema, as columns.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Rises by one with every batch closed in this process.
    pub sequence: u64,
    pub route: Arc<ObservedRoute>,
    pub schema: Arc<Schema>,
    pub rows: usize,
    pub exchanges: usize,
    /// For each row, the index of its exchange in this batch.
    pub row_exchange: Vec<u32>,
    /// Parallel to `schema.columns`; `rows` values for a row role, `exchanges` values for an exchange role.
    pub columns: Vec<ColumnData>,
    /// Outcome of each exchange.
    pub outcomes: Vec<Outcome>,
    /// Trace id of each exchange, for verdicts and logs.
    pub trace_ids: Vec<u128>,
    /// Probability with which each exchange was observed (1 unless telemetry is over its CPU share).
    pub probabilities: Vec<f32>,
    /// Unix time in ns at which the batch closed.
    pub closed_unix_ns: u64,
}

impl Batch {
    /// Bytes of column data, for queues that are bounded by size.
    pub fn bytes(&self) -> usize {
        let columns: usize = self
            .columns
            .iter()
            .map(|c| match c {
                ColumnData::Number(v) => v.len() * 8,
                ColumnData::Code(v) => v.len() * 4,
            })
            .sum();
        columns + self.rows * 4 + self.exchanges * 24
    }
}

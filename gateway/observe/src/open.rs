//! A batch that is still being filled.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use weir_exchange::{
    Batch, Column, ColumnData, Kind, ObservedRoute, Outcome, Per, Schema, SpanFacts, Table, Traced,
};

use crate::keep::Undecided;
use crate::schema::{EXCHANGE_BYTES, EXCHANGE_ROLES, OpenSchema, Tables};

/// What is known of an exchange beside its rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) route: &'a Arc<ObservedRoute>,
    pub(crate) outcome: Outcome,
    pub(crate) status: f64,
    /// Seconds from first upstream byte to the end; NaN if nothing was sent upstream.
    pub(crate) duration: f64,
    pub(crate) request_bytes: f64,
    pub(crate) response_bytes: f64,
    pub(crate) unix_seconds: f64,
    pub(crate) trace_id: u128,
    pub(crate) probability: f32,
}

impl Facts<'_> {
    /// The number columns of [`EXCHANGE_ROLES`], in order.
    fn numbers(&self) -> [f64; 5] {
        [self.status, self.duration, self.request_bytes, self.response_bytes, self.unix_seconds]
    }
}

/// How much the last batch of the schema held: what the next one reserves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) exchanges: usize,
}

#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) route: Arc<ObservedRoute>,
    pub(crate) opened: Instant,
    /// Bytes charged to the budget of all open batches.
    pub(crate) charged: usize,
    size: Size,
    expected: Size,
    /// Parallel to the schema's columns. A row column may be shorter than `size.rows`: what is behind its end
    /// is missing.
    columns: Vec<ColumnData>,
    row_exchange: Vec<u32>,
    outcomes: Vec<Outcome>,
    trace_ids: Vec<u128>,
    probabilities: Vec<f32>,
    undecided: Vec<Undecided>,
}

/// About what an exchange whose spans may be exported holds.
const TRACED_BYTES: usize = size_of::<Undecided>() + size_of::<SpanFacts>();

impl OpenBatch {
    pub(crate) fn new(route: Arc<ObservedRoute>, opened: Instant, expected: Size) -> Self {
        Self {
            route,
            opened,
            charged: 0,
            size: Size::default(),
            expected,
            columns: Vec::new(),
            row_exchange: Vec::with_capacity(expected.rows),
            outcomes: Vec::with_capacity(expected.exchanges),
            trace_ids: Vec::with_capacity(expected.exchanges),
            probabilities: Vec::with_capacity(expected.exchanges),
            undecided: Vec::new(),
        }
    }

    /// The exchange that is appended next may be exported.
    pub(crate) fn trace_next(&mut self, traced: Traced) {
        self.undecided.push(Undecided { exchange: self.size.exchanges as u32, traced });
    }

    /// Bytes held beside the columns.
    pub(crate) fn traced_bytes(&self) -> usize {
        self.undecided.len() * TRACED_BYTES
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Bytes of column data if it closed now; a column that has just been added counts for every row.
    pub(crate) fn bytes(&self, schema: &OpenSchema) -> usize {
        self.size.rows * schema.row_bytes() + self.size.exchanges * EXCHANGE_BYTES
    }

    /// Appends one exchange with the given rows of its tables, which the schema has prepared. A `continued`
    /// exchange has its facts in an earlier batch: here they are missing, so that nothing is counted twice.
    pub(crate) fn append(
        &mut self,
        schema: &mut OpenSchema,
        facts: &Facts<'_>,
        tables: &Tables<'_>,
        (rows, continued): (Range<usize>, bool),
    ) {
        self.add_columns(schema.columns());
        let count = rows.len();
        let exchange = self.size.exchanges as u32;
        self.row_exchange.extend(std::iter::repeat_n(exchange, count));
        self.outcomes.push(facts.outcome);
        self.trace_ids.push(facts.trace_id);
        self.probabilities.push(facts.probability);
        let numbers = if continued { [f64::NAN; 5] } else { facts.numbers() };
        for (column, value) in self.columns.iter_mut().zip(numbers) {
            push_number(column, value);
        }
        let outcome = if continued { Column::MISSING } else { facts.outcome as u32 };
        push_code(&mut self.columns[EXCHANGE_ROLES.len() - 1], outcome);
        for (side, table) in tables.iter().enumerate() {
            if let Some(table) = table {
                self.append_numbers(schema, side, table, &rows);
                self.append_texts(schema, side, table, &rows);
            }
        }
        self.size.rows += count;
        self.size.exchanges += 1;
    }

    /// Ends the batch: every column as long as it has rows.
    pub(crate) fn close(mut self, schema: Arc<Schema>, closed_unix_ns: u64) -> (Batch, Vec<Undecided>) {
        self.add_columns(&schema.columns);
        for (data, column) in self.columns.iter_mut().zip(&schema.columns) {
            if column.role.per() == Per::Row {
                set_len(data, self.size.rows);
            }
        }
        let batch = Batch {
            sequence: 0,
            route: self.route,
            schema,
            rows: self.size.rows,
            exchanges: self.size.exchanges,
            row_exchange: self.row_exchange,
            columns: self.columns,
            outcomes: self.outcomes,
            trace_ids: self.trace_ids,
            probabilities: self.probabilities,
            closed_unix_ns,
        };
        (batch, self.undecided)
    }

    /// Columns that the schema has got since.
    fn add_columns(&mut self, columns: &[Column]) {
        for column in &columns[self.columns.len()..] {
            let expected = match column.role.per() {
                Per::Row => self.expected.rows,
                Per::Exchange => self.expected.exchanges,
            };
            self.columns.push(match column.kind {
                Kind::Number => ColumnData::Number(Vec::with_capacity(expected)),
                Kind::Code => ColumnData::Code(Vec::with_capacity(expected)),
            });
        }
    }

    fn append_numbers(&mut self, schema: &OpenSchema, side: usize, table: &Table, rows: &Range<usize>) {
        let width = table.width;
        for field in 0..width {
            let Some(column) = schema.number_column(side, field) else { continue };
            let ColumnData::Number(values) = &mut self.columns[column] else { continue };
            values.resize(self.size.rows, f64::NAN);
            values.reserve(rows.len());
            // `step_by` would divide to know its length: for two rows that costs more than the copying.
            let mut cell = rows.start * width + field;
            while cell < rows.end * width {
                values.push(table.numbers[cell]);
                cell += width;
            }
        }
    }

    fn append_texts(&mut self, schema: &mut OpenSchema, side: usize, table: &Table, rows: &Range<usize>) {
        let width = table.width;
        let from = table.texts.partition_point(|(cell, _)| (*cell as usize) < rows.start * width);
        for (cell, range) in &table.texts[from..] {
            let (row, field) = (*cell as usize / width, *cell as usize % width);
            if row >= rows.end {
                break;
            }
            let text = table.text.get(range.start as usize..range.end as usize).unwrap_or_default();
            let Some(column) = schema.code_column(side, field) else { continue };
            let code = schema.encode(column, text);
            if let ColumnData::Code(values) = &mut self.columns[column] {
                values.resize(self.size.rows + row - rows.start, Column::MISSING);
                values.push(code);
            }
        }
    }
}

fn push_number(column: &mut ColumnData, value: f64) {
    if let ColumnData::Number(values) = column {
        values.push(value);
    }
}

fn push_code(column: &mut ColumnData, value: u32) {
    if let ColumnData::Code(values) = column {
        values.push(value);
    }
}

fn set_len(column: &mut ColumnData, rows: usize) {
    match column {
        ColumnData::Number(values) => values.resize(rows, f64::NAN),
        ColumnData::Code(values) => values.resize(rows, Column::MISSING),
    }
}

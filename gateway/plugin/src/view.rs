//! A schema as one plugin sees it: the columns its manifest asked for, and how a batch is packed for it.

use std::sync::Arc;

use weir_exchange::{Batch, Column, ColumnData, Kind, Per, Schema};

use crate::bindings::weir::plugin::types;
use crate::plan::Query;

/// One column of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Its index in the schema.
    pub(crate) column: usize,
    pub(crate) kind: Kind,
    pub(crate) per: Per,
    send: bool,
    /// Texts of its dictionary that were sent.
    texts: usize,
}

/// What an instance knows of a schema.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) columns: Vec<Seen>,
    /// Columns of the schema that were matched, wanted or not.
    matched: usize,
    version: Option<u32>,
}

impl View {
    pub(crate) fn new() -> Self {
        Self { columns: Vec::new(), matched: 0, version: None }
    }

    /// What the instance does not know yet; `None` if it knows the schema as it is.
    pub(crate) fn delta(&mut self, schema: &Schema, queries: &[Query]) -> Option<types::SchemaDelta> {
        if self.version.is_some_and(|version| version >= schema.version) {
            return None;
        }
        self.version = Some(schema.version);
        let mut columns = Vec::new();
        for (index, column) in schema.columns.iter().enumerate().skip(self.matched) {
            let wishes: Vec<&Query> = queries.iter().filter(|query| query.matches(column)).collect();
            if !wishes.is_empty() {
                let send = wishes.iter().any(|query| query.send);
                let (kind, per) = (column.kind, column.role.per());
                self.columns.push(Seen { column: index, kind, per, send, texts: 0 });
                columns.push(introduced(column, send));
            }
        }
        self.matched = self.matched.max(schema.columns.len());
        Some(types::SchemaDelta {
            id: schema.id.0,
            route: schema.route.to_string(),
            model: schema.model.to_string(),
            model_version: schema.model_version.to_string(),
            task: match schema.classification {
                None => types::Task::Unknown,
                Some(true) => types::Task::Classification,
                Some(false) => types::Task::Regression,
            },
            columns,
            codes: self.new_codes(schema),
        })
    }

    fn new_codes(&mut self, schema: &Schema) -> Vec<types::NewCodes> {
        let mut codes = Vec::new();
        for (column, seen) in (0..).zip(&mut self.columns) {
            let dictionary = &schema.columns[seen.column].codes;
            if dictionary.len() > seen.texts {
                let texts = dictionary[seen.texts..].iter().map(ToString::to_string).collect();
                codes.push(types::NewCodes { column, texts });
                seen.texts = dictionary.len();
            }
        }
        codes
    }

    /// Fills a batch for the plugin, reusing its memory.
    pub(crate) fn pack(&self, batch: &Batch, packed: &mut types::Batch) {
        packed.schema = batch.schema.id.0;
        packed.closed_ns = batch.closed_unix_ns;
        packed.rows = batch.rows as u32;
        packed.exchanges = batch.exchanges as u32;
        fill(&mut packed.row_exchange, &batch.row_exchange, batch.rows, 0);
        packed.row_numbers.clear();
        packed.row_codes.clear();
        packed.exchange_numbers.clear();
        packed.exchange_codes.clear();
        for seen in self.columns.iter().filter(|seen| seen.send) {
            let (numbers, codes, len) = match seen.per {
                Per::Row => (&mut packed.row_numbers, &mut packed.row_codes, batch.rows),
                Per::Exchange => (&mut packed.exchange_numbers, &mut packed.exchange_codes, batch.exchanges),
            };
            match (seen.kind, batch.columns.get(seen.column)) {
                (Kind::Number, Some(ColumnData::Number(values))) => extend(numbers, values, len, f64::NAN),
                (Kind::Number, _) => extend(numbers, &[], len, f64::NAN),
                (Kind::Code, Some(ColumnData::Code(values))) => extend(codes, values, len, Column::MISSING),
                (Kind::Code, _) => extend(codes, &[], len, Column::MISSING),
            }
        }
        packed.probabilities.clear();
        if batch.probabilities.iter().any(|p| *p != 1.0) {
            fill(&mut packed.probabilities, &batch.probabilities, batch.exchanges, 1.0);
        }
    }
}

/// An empty batch to pack into.
pub(crate) fn empty_batch() -> types::Batch {
    types::Batch {
        schema: 0,
        closed_ns: 0,
        rows: 0,
        exchanges: 0,
        missed: 0,
        row_exchange: Vec::new(),
        row_numbers: Vec::new(),
        row_codes: Vec::new(),
        exchange_numbers: Vec::new(),
        exchange_codes: Vec::new(),
        probabilities: Vec::new(),
    }
}

/// Route, model and version of a schema.
pub(crate) fn model(schema: &Schema) -> [Arc<str>; 3] {
    [schema.route.clone(), schema.model.clone(), schema.model_version.clone()]
}

fn introduced(column: &Column, send: bool) -> types::Column {
    types::Column {
        role: column.role.as_str().to_owned(),
        name: column.name.to_string(),
        kind: match column.kind {
            Kind::Number => types::Kind::Number,
            Kind::Code => types::Kind::Code,
        },
        per: match column.role.per() {
            Per::Row => types::Per::Row,
            Per::Exchange => types::Per::Exchange,
        },
        send,
    }
}

fn fill<T: Copy>(to: &mut Vec<T>, values: &[T], len: usize, missing: T) {
    to.clear();
    extend(to, values, len, missing);
}

/// Appends exactly `len` values: a batch that was closed before its schema grew has fewer columns, or shorter
/// ones.
fn extend<T: Copy>(to: &mut Vec<T>, values: &[T], len: usize, missing: T) {
    let end = to.len() + len;
    to.extend_from_slice(&values[..values.len().min(len)]);
    to.resize(end, missing);
}

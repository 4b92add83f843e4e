//! Records of the prediction log, made of the rows that judges saw.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Number, Value, json};
use weir_exchange::{Batch, Column, ColumnData, PredictionRecord, Role, Traced};
use weir_telemetry::log::rfc3339;

/// Takes records. Must not block.
pub trait RecordSink: Send + Sync + 'static {
    fn record(&self, record: PredictionRecord);
}

/// Which exchanges are recorded, and what of them.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordRule {
    /// Share of all exchanges, 0..=1.
    pub sample: f64,
    /// Those that a judge keeps, too.
    pub verdicts: bool,
    /// Names of the routes; empty: all.
    pub routes: Vec<Arc<str>>,
    /// Rows of one exchange, at most.
    pub rows: usize,
    /// Whole bodies are wanted too, in the words of KServe V1.
    pub payloads: bool,
}

impl RecordRule {
    pub(crate) fn takes(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|name| **name == *route)
    }
}

/// One exchange of a batch, why it is recorded, and with which probability.
pub(crate) struct Recorded<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) exchange: u32,
    pub(crate) traced: &'a Traced,
    pub(crate) reasons: &'a [Arc<str>],
    pub(crate) probability: f64,
}

impl Recorded<'_> {
    pub(crate) fn record(&self, rule: &RecordRule) -> PredictionRecord {
        let Self { batch, traced, .. } = self;
        let from = batch.row_exchange.partition_point(|at| *at < self.exchange);
        let to = batch.row_exchange.partition_point(|at| *at <= self.exchange);
        let rows = from..to.min(from.saturating_add(rule.rows));
        let lines = match rows.is_empty() {
            true => vec![Value::Object(self.head()).to_string()],
            false => rows.clone().map(|row| self.row(row, from)).collect(),
        };
        let payload = |name: &str, roles: &[Role]| {
            let values = self.payload(roles, rows.clone()).filter(|_| rule.payloads)?;
            Some(json!({ name: values }).to_string())
        };
        PredictionRecord {
            unix_ns: traced.timing.start_unix_ns,
            trace_id: traced.ids.trace_id,
            span_id: traced.ids.span_id,
            sampled: traced.ids.sampled(),
            route: batch.route.name.clone(),
            model: batch.schema.model.clone(),
            model_version: batch.schema.model_version.clone(),
            rows: lines,
            payloads: [
                payload("instances", &[Role::Input]),
                payload("predictions", &[Role::Output]).or_else(|| payload("predictions", &[Role::Score])),
            ],
        }
    }

    /// What is the same for all rows.
    fn head(&self) -> Map<String, Value> {
        let Self { batch, traced, reasons, probability, .. } = self;
        let reasons: Vec<&str> = reasons.iter().map(|reason| &**reason).collect();
        let head = json!({
            "time": rfc3339(traced.timing.start_unix_ns / 1_000_000),
            "trace_id": format!("{:032x}", traced.ids.trace_id),
            "span_id": format!("{:016x}", traced.ids.span_id),
            "route": &*batch.route.name,
            "model": &*batch.schema.model,
            "model_version": &*batch.schema.model_version,
            "status": traced.status,
            "outcome": traced.outcome.as_str(),
            "duration_ms": (traced.timing.end_ns / 1000) as f64 / 1000.0,
            "reasons": reasons,
            "probability": probability,
        });
        match head {
            Value::Object(head) => head,
            _ => Map::new(),
        }
    }

    /// One row. Its `id` is the same wherever the row is told of; `label` is for whoever learns the truth.
    fn row(&self, row: usize, first: usize) -> String {
        let schema = &self.batch.schema;
        let scored = schema.classification == Some(true);
        let mut line = self.head();
        let id =
            format!("{:032x}-{:016x}-{}", self.traced.ids.trace_id, self.traced.ids.span_id, row - first);
        line.insert("id".into(), id.into());
        line.insert("row".into(), (row - first).into());
        line.insert("features".into(), Value::Object(self.object(Role::Input, row)));
        let mut outputs = self.object(Role::Output, row);
        let prediction = match outputs.len() {
            0 => Value::Null,
            1 => outputs.values_mut().next().map(Value::take).unwrap_or_default(),
            _ => Value::Object(outputs),
        };
        line.insert("prediction".into(), prediction);
        if scored {
            line.insert("scores".into(), Value::Object(self.object(Role::Score, row)));
        }
        line.insert("label".into(), Value::Null);
        Value::Object(line).to_string()
    }

    /// The values of a role in one row, by field. A field with numbers and texts has two columns.
    fn object(&self, role: Role, row: usize) -> Map<String, Value> {
        let mut all = Map::new();
        for at in self.batch.schema.with_role(role) {
            let column = &self.batch.schema.columns[at];
            let value = value(column, &self.batch.columns[at], row);
            let known = all.get(&*column.name).is_some_and(|known| !known.is_null());
            if !known {
                all.insert(column.name.to_string(), value);
            }
        }
        all
    }

    /// Rows as a body has them: objects where fields have names, else arrays, or bare values.
    fn payload(&self, roles: &[Role], rows: Range<usize>) -> Option<Vec<Value>> {
        let role = *roles.first()?;
        self.batch.schema.with_role(role).next()?;
        let row = |row: usize| {
            let fields = self.object(role, row);
            let positional = fields.keys().enumerate().all(|(at, name)| *name == at.to_string());
            match (fields.len(), positional) {
                (1, true) if role == Role::Output => {
                    fields.into_iter().next().map_or(Value::Null, |(_, v)| v)
                }
                (_, true) => fields.into_iter().map(|(_, value)| value).collect(),
                (_, false) if role == Role::Input => Value::Object(fields),
                (_, false) => fields.into_iter().map(|(_, value)| value).collect(),
            }
        };
        (!rows.is_empty()).then(|| rows.map(row).collect())
    }
}

fn value(column: &Column, data: &ColumnData, row: usize) -> Value {
    match data {
        ColumnData::Number(values) => values.get(row).map_or(Value::Null, |value| number(*value)),
        ColumnData::Code(codes) => {
            let text = codes.get(row).and_then(|code| column.codes.get(*code as usize));
            text.map_or(Value::Null, |text| Value::String(text.to_string()))
        }
    }
}

/// Whole numbers as people write them.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Value::Number((value as i64).into());
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

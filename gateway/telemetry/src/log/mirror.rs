//! Lines of the log as OpenTelemetry's log records, for a collector beside standard error.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use super::access::Access;
use super::line::Field;
use super::{Level, unix_ms};
use crate::export::Exporter;

/// What an exporter says of itself is not exported: it would say it again and again.
const EXPORTERS: &str = "export";

/// Sends a copy of every line.
#[derive(Clone, Debug)]
pub struct Mirror(Exporter<LogRecord>);

impl Mirror {
    pub fn new(exporter: Exporter<LogRecord>) -> Self {
        Self(exporter)
    }

    pub(super) fn line(&self, level: Level, source: &str, message: &str, fields: &[(&str, Field<'_>)]) {
        if source.starts_with(EXPORTERS) {
            return;
        }
        let mut record = record(level, message, unix_ms() * 1_000_000);
        record.attributes.push(pair("weir.source", Value::StringValue(source.to_owned())));
        for (name, field) in fields {
            match field {
                Field::Trace(id) => record.trace_id = id.to_be_bytes().to_vec(),
                Field::Span(id) => record.span_id = id.to_be_bytes().to_vec(),
                field => record.attributes.push(pair(name, value(*field))),
            }
        }
        self.0.offer(record);
    }

    pub(super) fn access(&self, access: &Access<'_>) {
        let mut record = record(Level::Info, "access", access.unix_ns);
        record.event_name = "weir.access".to_owned();
        record.trace_id = access.trace.trace_id.to_be_bytes().to_vec();
        record.span_id = access.trace.span_id.to_be_bytes().to_vec();
        record.flags = u32::from(access.trace.sampled());
        let text = |text: &str| Value::StringValue(text.to_owned());
        record.attributes = vec![
            pair("weir.route", text(access.route)),
            pair("http.request.method", text(access.method)),
            pair("url.path", text(access.path)),
            pair("http.response.status_code", Value::IntValue(access.status.into())),
            pair("client.address", text(&access.client.to_string())),
            pair("weir.duration_ms", Value::DoubleValue(access.duration_ns as f64 * 1e-6)),
        ];
        if let Some(error) = access.error {
            record.attributes.push(pair("error.type", text(error.as_str())));
        }
        self.0.offer(record);
    }
}

fn record(level: Level, message: &str, unix_ns: u64) -> LogRecord {
    let severity = match level {
        Level::Debug => SeverityNumber::Debug,
        Level::Info => SeverityNumber::Info,
        Level::Warn => SeverityNumber::Warn,
        Level::Error => SeverityNumber::Error,
    };
    LogRecord {
        time_unix_nano: unix_ns,
        observed_time_unix_nano: unix_ns,
        severity_number: severity.into(),
        severity_text: level.as_str().to_uppercase(),
        body: Some(AnyValue { value: Some(Value::StringValue(message.to_owned())) }),
        ..LogRecord::default()
    }
}

fn value(field: Field<'_>) -> Value {
    match field {
        Field::Str(text) => Value::StringValue(text.to_owned()),
        Field::U64(n) => Value::IntValue(i64::try_from(n).unwrap_or(i64::MAX)),
        Field::I64(n) => Value::IntValue(n),
        Field::F64(x) => Value::DoubleValue(x),
        Field::Bool(b) => Value::BoolValue(b),
        Field::Trace(id) => Value::StringValue(format!("{id:032x}")),
        Field::Span(id) => Value::StringValue(format!("{id:016x}")),
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

//! Records of predictions as OpenTelemetry's log records.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use weir_exchange::PredictionRecord;

/// One log record a row: the row's JSON as its body, under the event name `weir.prediction`.
pub fn log_records(record: &PredictionRecord) -> Vec<LogRecord> {
    let text = |value: &str| AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    let pair = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(text(value)),
        ..KeyValue::default()
    };
    let attributes = vec![
        pair("weir.route", &record.route),
        pair("weir.model", &record.model),
        pair("weir.model_version", &record.model_version),
    ];
    let one = |row: &String| LogRecord {
        time_unix_nano: record.unix_ns,
        observed_time_unix_nano: record.unix_ns,
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".to_owned(),
        event_name: "weir.prediction".to_owned(),
        body: Some(text(row)),
        attributes: attributes.clone(),
        trace_id: record.trace_id.to_be_bytes().to_vec(),
        span_id: record.span_id.to_be_bytes().to_vec(),
        flags: u32::from(record.sampled),
        ..LogRecord::default()
    };
    record.rows.iter().map(one).collect()
}

//! What differs between the signals of OTLP: messages and names, nothing else.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as Described;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// A signal of OTLP.
pub trait Signal: Send + 'static {
    /// One record of it.
    type Item: Message + 'static;

    /// The `signal` label, as the specification names it.
    const NAME: &'static str;
    /// Where it is posted, below the URL of the collector.
    const PATH: &'static str;
    /// The gRPC method.
    const METHOD: &'static str;

    /// The request of a batch, encoded: all of one resource and one scope.
    fn request(resource: &Described, items: Vec<Self::Item>) -> Vec<u8>;

    /// What an answer says about items that were not taken. An answer that is none says nothing: whoever
    /// answers 200 has taken the batch.
    fn rejected(answer: &[u8]) -> Option<(i64, String)>;
}

/// Spans.
#[derive(Clone, Copy, Debug)]
pub struct Traces;

impl Signal for Traces {
    type Item = Span;

    const NAME: &'static str = "traces";
    const PATH: &'static str = "/v1/traces";
    const METHOD: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    fn request(resource: &Described, spans: Vec<Span>) -> Vec<u8> {
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, schema_url: String::new() }];
        let resource_spans =
            vec![ResourceSpans { resource: Some(resource.clone()), scope_spans, schema_url: String::new() }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    fn rejected(answer: &[u8]) -> Option<(i64, String)> {
        let partial = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
        Some((partial.rejected_spans, partial.error_message))
    }
}

/// Log records.
#[derive(Clone, Copy, Debug)]
pub struct Logs;

impl Signal for Logs {
    type Item = LogRecord;

    const NAME: &'static str = "logs";
    const PATH: &'static str = "/v1/logs";
    const METHOD: &'static str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

    fn request(resource: &Described, log_records: Vec<LogRecord>) -> Vec<u8> {
        let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, schema_url: String::new() }];
        let resource_logs =
            vec![ResourceLogs { resource: Some(resource.clone()), scope_logs, schema_url: String::new() }];
        ExportLogsServiceRequest { resource_logs }.encode_to_vec()
    }

    fn rejected(answer: &[u8]) -> Option<(i64, String)> {
        let partial = ExportLogsServiceResponse::decode(answer).ok()?.partial_success?;
        Some((partial.rejected_log_records, partial.error_message))
    }
}

/// Who made these records.
fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "weir".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
    }
}

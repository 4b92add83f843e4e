//! An OTLP collector that keeps what it is sent: protobuf over HTTP.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::upstream::{Server, ok};
use crate::{PATIENCE, eventually};

/// Answers every export with success.
#[derive(Debug)]
pub struct Collector {
    server: Server,
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    resource: Vec<KeyValue>,
}

impl Default for Collector {
    fn default() -> Self {
        Self::start()
    }
}

impl Collector {
    pub fn start() -> Self {
        let server = Server::start(|_| ok("application/x-protobuf", b""));
        Self { server, spans: Vec::new(), logs: Vec::new(), resource: Vec::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `[tracing]` to this collector with further keys.
    pub fn tracing(&self, keys: &str) -> String {
        format!("[tracing]\notlp = \"http://{}\"\nprotocol = \"http/protobuf\"\n{keys}\n", self.address())
    }

    /// Waits until this many spans have this name, and returns all of the trace of the last of them.
    ///
    /// # Panics
    /// They do not come.
    #[track_caller]
    pub fn await_spans(&mut self, name: &str, count: usize) -> Vec<Span> {
        let began = std::time::Instant::now();
        loop {
            self.take();
            let named: Vec<&Span> = self.spans.iter().filter(|span| span.name == name).collect();
            if named.len() >= count {
                let trace = named[count - 1].trace_id.clone();
                return self.trace(&trace);
            }
            let seen: Vec<&str> = self.spans.iter().map(|span| &*span.name).collect();
            assert!(began.elapsed() < PATIENCE, "no {count} spans `{name}` among {seen:?}");
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    /// Every span that came so far.
    pub fn spans(&mut self) -> &[Span] {
        self.take();
        &self.spans
    }

    /// Waits until there are this many log records.
    #[track_caller]
    pub fn await_logs(&mut self, count: usize) -> &[LogRecord] {
        eventually("log records", || {
            self.take();
            (self.logs.len() >= count).then_some(())
        });
        &self.logs
    }

    /// Waits for the first export and returns an attribute of its resource.
    #[track_caller]
    pub fn resource(&mut self, key: &str) -> String {
        eventually("an export", || {
            self.take();
            (!self.resource.is_empty()).then_some(())
        });
        text(&self.resource, key)
    }

    fn trace(&self, trace: &[u8]) -> Vec<Span> {
        self.spans.iter().filter(|span| span.trace_id == trace).cloned().collect()
    }

    fn take(&mut self) {
        for message in self.server.requests() {
            if message.start().starts_with("POST /v1/logs ") {
                let request = ExportLogsServiceRequest::decode(&*message.body).expect("an export");
                let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
                self.logs.extend(scopes.flat_map(|scope| scope.log_records));
                continue;
            }
            assert!(message.start().starts_with("POST /v1/traces "), "{}", message.start());
            let request = ExportTraceServiceRequest::decode(&*message.body).expect("an export");
            for resource in request.resource_spans {
                self.resource = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
                self.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
    }
}

/// The span of a name, of which there is one.
#[track_caller]
pub fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(found.len(), 1, "one span `{name}` among {names:?}");
    found[0]
}

/// An attribute as text; empty if it is not there.
pub fn attribute(span: &Span, key: &str) -> String {
    text(&span.attributes, key)
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.as_ref()).map(shown).unwrap_or_default()
}

fn shown(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(n)) => n.to_string(),
        Some(Value::DoubleValue(x)) => x.to_string(),
        Some(Value::BoolValue(b)) => b.to_string(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(shown).collect::<Vec<_>>().join(","),
        _ => String::new(),
    }
}

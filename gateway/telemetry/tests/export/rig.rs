//! An exporter with everything a test wants to see of it.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use prost::Message;
use serde_json::Value as Json;
use weir_telemetry::Registry;
use weir_telemetry::export::proto::collector::trace::v1::ExportTraceServiceRequest;
use weir_telemetry::export::proto::trace::v1::Span;
use weir_telemetry::export::{
    ExportMetrics, ExportOptions, Exporter, Otlp, OtlpOptions, Outcome, PostOptions, Protocol, Resource,
    ResourceOptions, Traces, Transport,
};
use weir_telemetry::exposition::text;
use weir_telemetry::log::{Level, LogOptions, Logger};

use crate::collector::{LONG, Seen};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Tries again at once, and never waits for company. Ends with its last handle: the address it sends to is
/// soon another test's.
pub(crate) fn quick() -> ExportOptions {
    let retry = Duration::from_millis(2);
    ExportOptions {
        delay: Duration::ZERO,
        retry_initial: retry,
        retry_longest: retry,
        retry_for: HOUR,
        linger: Duration::ZERO,
        ..ExportOptions::default()
    }
}

/// Sends whole batches of so many items, and others only when flushed.
pub(crate) fn batches(items: usize) -> ExportOptions {
    ExportOptions { batch_items: items, delay: HOUR, ..quick() }
}

pub(crate) fn otlp(url: &str) -> OtlpOptions {
    OtlpOptions { url: url.to_owned(), protocol: Protocol::Http, gzip: false, post: PostOptions::default() }
}

pub(crate) fn resource() -> Resource {
    let attributes = vec![("team".to_owned(), "ml".to_owned())];
    Resource::detect(&ResourceOptions { attributes, ..ResourceOptions::default() }, |_| None).0
}

pub(crate) fn span(name: impl Into<String>) -> Span {
    Span { name: name.into(), trace_id: vec![7; 16], span_id: vec![8; 8], ..Span::default() }
}

/// Offers spans of these names; how many were taken.
pub(crate) fn offer<N: Into<String>>(exporter: &Exporter<Span>, names: impl IntoIterator<Item = N>) -> usize {
    names.into_iter().map(|name| exporter.offer(span(name))).filter(|taken| *taken).count()
}

pub(crate) struct Rig<I: Send + 'static = Span> {
    pub(crate) exporter: Exporter<I>,
    registry: Registry,
    lines: Receiver<Json>,
    log: Logger,
}

impl Rig<Span> {
    pub(crate) fn traces(otlp: &OtlpOptions, options: ExportOptions) -> Self {
        Self::new(Otlp::<Traces>::new(otlp, &resource()).expect("usable"), options)
    }

    pub(crate) fn offer<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> usize {
        offer(&self.exporter, names)
    }
}

impl<I: Send + 'static> Rig<I> {
    pub(crate) fn new<T: Transport<Item = I>>(transport: T, options: ExportOptions) -> Self {
        let (tell, lines) = channel();
        let log_options =
            LogOptions { level: Level::Debug, lines_per_second: 100_000, ..LogOptions::default() };
        let log = Logger::new(Lines(tell), log_options).expect("started");
        let (metrics, registry) = (ExportMetrics::new(&["traces", "logs", "events"]), Registry::default());
        metrics.register(&registry).expect("registered");
        let exporter = Exporter::start(transport, options, &metrics, &log).expect("started");
        Self { exporter, registry, lines, log }
    }

    /// The value of a series, by its name and labels as exposed.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = text(&self.registry.gather());
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a number")
    }

    pub(crate) fn items(&self, outcome: &str) -> u64 {
        self.metric(&format!("weir_export_items_total{{signal=\"traces\",outcome=\"{outcome}\"}}")) as u64
    }

    pub(crate) fn requests(&self, result: &str) -> u64 {
        self.metric(&format!("weir_export_requests_total{{signal=\"traces\",result=\"{result}\"}}")) as u64
    }

    /// All outcomes of items that are not 0, in their order.
    pub(crate) fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let all = Outcome::ALL.map(|outcome| (outcome.as_str(), self.items(outcome.as_str())));
        all.into_iter().filter(|(_, n)| *n > 0).collect()
    }

    /// Waits for a line of the log.
    pub(crate) fn line(&self, message: &str) -> Json {
        let end = Instant::now() + LONG;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("`{message}` was not said"));
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Lines of the log that nobody waited for, but for the finest ones.
    pub(crate) fn said(&self) -> Vec<Json> {
        assert!(self.log.flush(LONG));
        self.lines.try_iter().filter(|line| line["level"] != "debug").collect()
    }

    pub(crate) fn flush(&self) {
        assert!(self.exporter.flush(LONG), "not flushed: {:?}", self.outcomes());
    }
}

/// A sink that passes lines on.
struct Lines(Sender<Json>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in std::str::from_utf8(bytes).expect("text").lines() {
            // A test that has seen enough is no reason to stop.
            let _ = self.0.send(serde_json::from_str(line).expect("JSON"));
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    io::Read::read_to_end(&mut GzDecoder::new(bytes), &mut out).expect("gzip");
    out
}

/// A request of spans.
pub(crate) fn decode(body: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(body).expect("a request")
}

/// The names of a request's spans.
pub(crate) fn names(seen: &Seen) -> Vec<String> {
    let mut request = decode(&seen.body);
    let spans = request.resource_spans.remove(0).scope_spans.remove(0).spans;
    spans.into_iter().map(|span| span.name).collect()
}

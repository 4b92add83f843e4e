//! What a scraper reads: Prometheus text 0.0.4 and OpenMetrics 1.0, written in one pass into one buffer.
//!
//! The two differ in the family name of counters (OpenMetrics leaves `_total` to the sample), `# UNIT`,
//! escaping of help and the closing `# EOF`. The samples are the same bytes, so that a scraper which
//! changes format finds the same series: in particular `le="1.0"` in both.

mod accept;
mod number;

use std::fmt::Write as _;

use crate::family::{Shape, Spec};
use crate::metric::{Exemplar, Sample, Value};
use crate::registry::Points;

pub use accept::negotiate;

/// An exposition format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type`; Prometheus 3 refuses a scrape whose type it does not know.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The metrics in this format.
    pub fn encode(self, points: &[Points]) -> String {
        let mut writer =
            Writer { out: String::with_capacity(estimate(points)), format: self, labels: String::new() };
        points.iter().for_each(|family| writer.family(family));
        if self == Self::OpenMetrics {
            writer.out.push_str("# EOF\n");
        }
        writer.out
    }
}

/// The metrics in Prometheus text 0.0.4.
pub fn text(points: &[Points]) -> String {
    Format::Text.encode(points)
}

/// The metrics in OpenMetrics 1.0.
pub fn openmetrics(points: &[Points]) -> String {
    Format::OpenMetrics.encode(points)
}

/// A guess at the size, so that the buffer grows once or twice rather than twenty times.
fn estimate(points: &[Points]) -> usize {
    let family = |p: &Points| {
        let lines = match &p.spec.shape {
            Shape::Histogram(edges) => edges.len() + 3,
            Shape::Counter | Shape::Gauge => 1,
        };
        let line = p.spec.name.len() + 16 + p.spec.labels.iter().map(|l| l.len() + 12).sum::<usize>();
        2 * (p.spec.name.len() + 16) + p.spec.help.len() + p.samples.len() * lines * line
    };
    points.iter().map(family).sum::<usize>() + 16
}

struct Writer {
    out: String,
    format: Format,
    /// The labels of the sample at hand, without braces: written once, copied into each of its lines.
    labels: String,
}

impl Writer {
    fn family(&mut self, points: &Points) {
        let spec = &points.spec;
        self.header(spec);
        let edges: Vec<String> = match &spec.shape {
            Shape::Histogram(edges) => edges.iter().map(|e| number::canonical(*e)).collect(),
            Shape::Counter | Shape::Gauge => Vec::new(),
        };
        for sample in &points.samples {
            self.set_labels(spec, sample);
            match &sample.value {
                Value::Counter(x) | Value::Gauge(x) => self.line(&spec.name, "", None, *x),
                Value::Histogram { counts, sum, .. } => {
                    self.histogram(&spec.name, &edges, (counts, *sum), &sample.exemplars);
                }
            }
        }
    }

    fn header(&mut self, spec: &Spec) {
        let openmetrics = self.format == Format::OpenMetrics;
        let name = if openmetrics { spec.base_name() } else { &spec.name };
        if !spec.help.is_empty() {
            self.out.extend(["# HELP ", name, " "]);
            escape(&mut self.out, &spec.help, openmetrics);
            self.out.push('\n');
        }
        let kind = match spec.shape {
            Shape::Counter => "counter",
            Shape::Gauge => "gauge",
            Shape::Histogram(_) => "histogram",
        };
        self.out.extend(["# TYPE ", name, " ", kind, "\n"]);
        if openmetrics && !spec.unit.is_empty() {
            self.out.extend(["# UNIT ", name, " ", &spec.unit, "\n"]);
        }
    }

    fn set_labels(&mut self, spec: &Spec, sample: &Sample) {
        self.labels.clear();
        for (name, value) in spec.labels.iter().zip(sample.labels.iter()) {
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.extend([name, "=\""]);
            escape(&mut self.labels, value, true);
            self.labels.push('"');
        }
        if sample.overflow {
            let separator = if self.labels.is_empty() { "" } else { "," };
            self.labels.extend([separator, "overflow=\"true\""]);
        }
    }

    /// Cumulative buckets; the count is their last value, so that the two always agree within a scrape.
    fn histogram(
        &mut self,
        name: &str,
        edges: &[String],
        (counts, sum): (&[u64], f64),
        exemplars: &[Option<Exemplar>],
    ) {
        let mut below = 0;
        let upper = edges.iter().map(String::as_str).chain(["+Inf"]);
        for (at, (edge, count)) in upper.zip(counts).enumerate() {
            below += count;
            self.line(name, "_bucket", Some(edge), below as f64);
            // Prometheus text has no exemplars.
            if let Some(Some(exemplar)) = exemplars.get(at).filter(|_| self.format == Format::OpenMetrics) {
                self.exemplar(exemplar);
            }
        }
        self.line(name, "_sum", None, sum);
        self.line(name, "_count", None, below as f64);
    }

    fn line(&mut self, name: &str, suffix: &str, le: Option<&str>, value: f64) {
        let out = &mut self.out;
        out.push_str(name);
        out.push_str(suffix);
        if le.is_some() || !self.labels.is_empty() {
            out.push('{');
            out.push_str(&self.labels);
            if let Some(le) = le {
                out.push_str(if self.labels.is_empty() { "le=\"" } else { ",le=\"" });
                out.push_str(le);
                out.push('"');
            }
            out.push('}');
        }
        out.push(' ');
        number::push(out, value);
        out.push('\n');
    }
}

impl Writer {
    /// Puts an exemplar at the end of the last line.
    fn exemplar(&mut self, Exemplar { trace_id, span_id, value, unix_ns }: &Exemplar) {
        let out = &mut self.out;
        out.pop();
        // Writing to a string cannot fail.
        let _ = write!(out, " # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} ");
        number::push(out, *value);
        let _ = writeln!(out, " {}.{:03}", unix_ns / 1_000_000_000, unix_ns / 1_000_000 % 1000);
    }
}

/// Escapes a label value or, with `quotes` as the format asks, a help text.
fn escape(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '\\' | '\n') || quotes && c == '"') {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\n' => "\\n",
            b'"' => "\\\"",
            _ => "\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

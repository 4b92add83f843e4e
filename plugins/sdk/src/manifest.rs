//! What a plugin declares.

use std::time::Duration;

use crate::bindings::weir::plugin::types;

/// Names of the roles a column can have.
pub mod role {
    /// A feature the caller sent.
    pub const INPUT: &str = "input";
    /// A prediction: a label or a value.
    pub const OUTPUT: &str = "output";
    /// A class score; the column's name is the class.
    pub const SCORE: &str = "score";
    /// HTTP status, one an exchange.
    pub const STATUS: &str = "status";
    /// Seconds from the first byte sent to the model to the last one it answered, one an exchange.
    pub const DURATION: &str = "duration";
    /// Sizes of the bodies, one an exchange.
    pub const REQUEST_BYTES: &str = "request.bytes";
    pub const RESPONSE_BYTES: &str = "response.bytes";
    /// Unix time of the request in seconds, one an exchange.
    pub const TIME: &str = "time";
    /// `ok`, `client_error`, `upstream_error`, `timeout`, `cancelled` or `model_error`, one an exchange.
    pub const OUTCOME: &str = "outcome";
}

/// Columns a plugin wants.
#[derive(Clone, Debug)]
pub struct Columns(types::ColumnQuery);

impl Columns {
    /// All columns of a role.
    pub fn role(role: &str) -> Self {
        Self(types::ColumnQuery { role: role.to_owned(), name: None, kind: None, send: true })
    }

    /// Only the column of this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.0.name = Some(name.to_owned());
        self
    }

    /// Only numbers.
    #[must_use]
    pub fn numbers(mut self) -> Self {
        self.0.kind = Some(types::Kind::Number);
        self
    }

    /// Only texts.
    #[must_use]
    pub fn codes(mut self) -> Self {
        self.0.kind = Some(types::Kind::Code);
        self
    }

    /// The values stay with the host; [`crate::ColumnValues`] pushes them into metrics and windows.
    #[must_use]
    pub fn unsent(mut self) -> Self {
        self.0.send = false;
        self
    }
}

/// Name, meaning and labels of a metric.
#[derive(Clone, Debug)]
pub struct Metric {
    name: String,
    help: String,
    unit: String,
    labels: Vec<String>,
}

impl Metric {
    /// A metric without unit and labels. The host prefixes the plugin's name and appends the unit.
    pub fn new(name: &str, help: &str) -> Self {
        Self { name: name.to_owned(), help: help.to_owned(), unit: String::new(), labels: Vec::new() }
    }

    /// `seconds`, `bytes`, `ratio`.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        unit.clone_into(&mut self.unit);
        self
    }

    /// Labels besides `plugin`, `route`, `model` and `model_version`.
    #[must_use]
    pub fn labels(mut self, labels: &[&str]) -> Self {
        self.labels = owned(labels);
        self
    }
}

/// Handles of what was declared.
#[derive(Clone, Copy, Debug)]
pub struct Counter(pub(crate) u32);
#[derive(Clone, Copy, Debug)]
pub struct Gauge(pub(crate) u32);
#[derive(Clone, Copy, Debug)]
pub struct Histogram(pub(crate) u32);
#[derive(Clone, Copy, Debug)]
pub struct Window(pub(crate) u32);
#[derive(Clone, Copy, Debug)]
pub struct Condition(pub(crate) u32);
#[derive(Clone, Copy, Debug)]
pub struct Reason(pub(crate) u32);

/// A window to declare.
#[derive(Clone, Copy, Debug)]
pub struct WindowSpec<'a> {
    pub name: &'a str,
    /// How far back it reaches.
    pub span: Duration,
    /// Steps it slides in, at most 120.
    pub slices: u32,
    /// Edges to count between; may be empty.
    pub edges: &'a [f64],
    pub labels: &'a [&'a str],
}

/// Collects what a plugin wants and declares.
#[derive(Debug)]
pub struct Manifest(pub(crate) types::Manifest);

impl Default for Manifest {
    fn default() -> Self {
        Self(types::Manifest {
            columns: Vec::new(),
            metrics: Vec::new(),
            windows: Vec::new(),
            conditions: Vec::new(),
            reasons: Vec::new(),
            tick_ns: 0,
            shards: 1,
        })
    }
}

impl Manifest {
    /// Asks for columns.
    pub fn want(&mut self, columns: Columns) {
        self.0.columns.push(columns.0);
    }

    /// Declares a counter.
    pub fn counter(&mut self, metric: Metric) -> Counter {
        Counter(self.metric(metric, types::MetricKind::Counter, &[]))
    }

    /// Declares a gauge.
    pub fn gauge(&mut self, metric: Metric) -> Gauge {
        Gauge(self.metric(metric, types::MetricKind::Gauge, &[]))
    }

    /// Declares a histogram over rising, inclusive upper edges.
    pub fn histogram(&mut self, metric: Metric, edges: &[f64]) -> Histogram {
        Histogram(self.metric(metric, types::MetricKind::Histogram, edges))
    }

    /// Declares a window.
    pub fn window(&mut self, spec: WindowSpec) -> Window {
        let WindowSpec { name, span, slices, edges, labels } = spec;
        let span_ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let (name, edges, labels) = (name.to_owned(), edges.to_vec(), owned(labels));
        Window(push(&mut self.0.windows, types::Window { name, span_ns, slices, edges, labels }))
    }

    /// Declares a condition.
    pub fn condition(&mut self, name: &str, help: &str, labels: &[&str]) -> Condition {
        let (name, help, labels) = (name.to_owned(), help.to_owned(), owned(labels));
        Condition(push(&mut self.0.conditions, types::Condition { name, help, labels }))
    }

    /// Declares why an exchange may be kept.
    pub fn reason(&mut self, reason: &str) -> Reason {
        Reason(push(&mut self.0.reasons, reason.to_owned()))
    }

    /// Asks for [`crate::Plugin::tick`] about this often.
    pub fn tick_every(&mut self, period: Duration) {
        self.0.tick_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
    }

    /// Lets up to `n` instances judge side by side; not together with gauges or conditions.
    pub fn shards(&mut self, n: u32) {
        self.0.shards = n;
    }

    fn metric(&mut self, metric: Metric, kind: types::MetricKind, edges: &[f64]) -> u32 {
        let Metric { name, help, unit, labels } = metric;
        push(&mut self.0.metrics, types::Metric { name, help, unit, kind, labels, edges: edges.to_vec() })
    }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|l| (*l).to_owned()).collect()
}

fn push<T>(list: &mut Vec<T>, item: T) -> u32 {
    list.push(item);
    (list.len() - 1) as u32
}

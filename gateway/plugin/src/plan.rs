//! What a plugin declares, checked: a plan that later code need not doubt.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use weir_exchange::{Column, Kind, Role};
use weir_stats::{MAX_SLICES, WindowShape};
use weir_telemetry::{Shape, Spec};

use crate::bindings::weir::plugin::types;
use crate::conditions::ConditionPlan;
use crate::error::LoadFault;
use crate::windows::WindowPlan;

/// Labels every series of a plugin begins with.
pub(crate) const OUR_LABELS: [&str; 4] = ["plugin", "route", "model", "model_version"];

// What one plugin may declare. Each is several times what the largest plugin we know of needs.
const MOST_COLUMNS: usize = 64;
const MOST_METRICS: usize = 64;
const MOST_WINDOWS: usize = 32;
const MOST_CONDITIONS: usize = 32;
const MOST_REASONS: usize = 64;
const MOST_LABELS: usize = 8;
const MOST_EDGES: usize = 200;
const LONGEST_NAME: usize = 64;
const LONGEST_HELP: usize = 1024;
/// Bytes of one window; 120 slices with 200 edges are 200 KiB.
const LARGEST_WINDOW: usize = 256 << 10;
const LONGEST_SPAN_NS: u64 = 400 * 24 * 3600 * 1_000_000_000;
const SHORTEST_TICK_NS: u64 = 100_000_000;

/// Who a plugin is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) settings_schema: String,
}

/// Columns a plugin wants. `role` is `None` if this host does not know it: nothing matches.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) role_name: String,
    role: Option<Role>,
    pub(crate) name: Option<String>,
    pub(crate) kind: Option<Kind>,
    pub(crate) send: bool,
}

impl Query {
    pub(crate) fn matches(&self, column: &Column) -> bool {
        self.role == Some(column.role)
            && self.name.as_ref().is_none_or(|name| **name == *column.name)
            && self.kind.is_none_or(|kind| kind == column.kind)
    }
}

/// Everything a plugin declares.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<Query>,
    /// The metrics in the order declared, then the gauge of each condition.
    pub(crate) specs: Vec<Spec>,
    /// How many of `specs` are metrics.
    pub(crate) metrics: usize,
    pub(crate) windows: Vec<WindowPlan>,
    pub(crate) conditions: Vec<ConditionPlan>,
    pub(crate) reasons: Vec<Arc<str>>,
    pub(crate) tick_ns: u64,
    pub(crate) shards: u32,
}

/// Checks who a plugin says it is.
pub(crate) fn identity(said: types::Identity) -> Result<Identity, Vec<LoadFault>> {
    let types::Identity { name, version, description, settings_schema } = said;
    let mut faults = Vec::new();
    let mut refuse = |fault: String| faults.push(LoadFault::Identity(fault));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > LONGEST_NAME
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(plain)
    {
        refuse(format!(
            "its name is `{}` (use up to {LONGEST_NAME} lower-case letters, digits and `-`, a letter first)",
            short(&name)
        ));
    } else if name == "weir" || name.starts_with("weir-") {
        refuse(format!("its name is `{name}`, which is kept for the gateway itself (choose another)"));
    }
    if version.is_empty() || version.len() > LONGEST_NAME {
        refuse(format!("its version is `{}` (use up to {LONGEST_NAME} bytes)", short(&version)));
    }
    if description.len() > LONGEST_HELP {
        refuse(format!("its description has {} bytes (use up to {LONGEST_HELP})", description.len()));
    }
    if !settings_schema.is_empty()
        && let Err(error) = serde_json::from_str::<serde_json::Value>(&settings_schema)
    {
        refuse(format!("its settings schema is no JSON: {error}"));
    }
    if faults.is_empty() { Ok(Identity { name, version, description, settings_schema }) } else { Err(faults) }
}

impl Plan {
    /// Checks a manifest; every fault at once. The grammar of metric and label names is the registry's to
    /// check.
    pub(crate) fn new(plugin: &str, manifest: types::Manifest) -> Result<Self, Vec<LoadFault>> {
        let mut check = Check { prefix: plugin.replace('-', "_"), faults: Vec::new() };
        check.most("column queries", manifest.columns.len(), MOST_COLUMNS);
        check.most("metrics", manifest.metrics.len(), MOST_METRICS);
        check.most("windows", manifest.windows.len(), MOST_WINDOWS);
        check.most("conditions", manifest.conditions.len(), MOST_CONDITIONS);
        check.most("reasons", manifest.reasons.len(), MOST_REASONS);
        check.distinct("window", manifest.windows.iter().map(|window| &window.name));
        check.distinct("condition", manifest.conditions.iter().map(|condition| &condition.name));
        check.distinct("reason", manifest.reasons.iter());
        check.shards(&manifest);
        if manifest.tick_ns != 0 && manifest.tick_ns < SHORTEST_TICK_NS {
            check.refuse(format_args!("a tick every {} ns (at most ten in a second)", manifest.tick_ns));
        }
        let mut specs: Vec<Spec> = manifest.metrics.iter().map(|metric| check.metric(metric)).collect();
        let metrics = specs.len();
        specs.extend(manifest.conditions.iter().map(|condition| check.condition_gauge(condition)));
        check.distinct("exported metric", specs.iter().map(|spec| &spec.name));
        let windows = manifest.windows.into_iter().map(|window| check.window(window)).collect();
        manifest.reasons.iter().for_each(|reason| check.name("reason", reason));
        if !check.faults.is_empty() {
            return Err(check.faults);
        }
        Ok(Self {
            columns: manifest.columns.into_iter().map(query).collect(),
            specs,
            metrics,
            windows,
            conditions: manifest.conditions.into_iter().map(condition).collect(),
            reasons: manifest.reasons.into_iter().map(Arc::from).collect(),
            tick_ns: manifest.tick_ns,
            shards: manifest.shards,
        })
    }
}

struct Check {
    prefix: String,
    faults: Vec<LoadFault>,
}

impl Check {
    fn refuse(&mut self, what: impl Display) {
        self.faults.push(LoadFault::Manifest(what.to_string()));
    }

    fn most(&mut self, what: &str, count: usize, most: usize) {
        if count > most {
            self.refuse(format_args!("{count} {what} (at most {most})"));
        }
    }

    fn distinct<T: AsRef<str>>(&mut self, what: &str, names: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name.as_ref().to_owned()) {
                self.refuse(format_args!("the {what} `{}` twice (rename one)", short(name.as_ref())));
            }
        }
    }

    fn name(&mut self, what: &str, name: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            self.refuse(format_args!(
                "the {what} `{}` (use up to {LONGEST_NAME} lower-case letters, digits and `_`, a letter first)",
                short(name)
            ));
        }
    }

    fn labels(&mut self, of: &str, labels: &[String]) {
        if labels.len() > MOST_LABELS {
            self.refuse(format_args!("{} labels for {of} (at most {MOST_LABELS})", labels.len()));
        }
        for label in labels {
            if OUR_LABELS.contains(&&**label) {
                self.refuse(format_args!(
                    "the label `{label}` for {of}, which the gateway sets (leave it out)"
                ));
            }
            if label.len() > LONGEST_NAME {
                self.refuse(format_args!(
                    "the label `{}` for {of} (use up to {LONGEST_NAME} bytes)",
                    short(label)
                ));
            }
        }
        self.distinct("label", labels.iter());
    }

    fn shards(&mut self, manifest: &types::Manifest) {
        let gauge = manifest.metrics.iter().any(|metric| matches!(metric.kind, types::MetricKind::Gauge));
        if manifest.shards > 1 && (gauge || !manifest.conditions.is_empty()) {
            self.refuse(
                "several shards together with a gauge or a condition, which do not add up (use one shard)",
            );
        }
    }

    fn metric(&mut self, metric: &types::Metric) -> Spec {
        let types::Metric { name, help, unit, kind, labels, edges } = metric;
        let of = format!("the metric `{}`", short(name));
        self.name("metric", name);
        self.labels(&of, labels);
        self.help(&of, help);
        if !unit.is_empty() {
            self.name("unit", unit);
        }
        if name.ends_with("_total") || !unit.is_empty() && name.ends_with(&format!("_{unit}")) {
            self.refuse(format_args!("{of}, whose suffix the gateway appends (leave it out)"));
        }
        let counter = matches!(kind, types::MetricKind::Counter);
        if edges.is_empty() == matches!(kind, types::MetricKind::Histogram) {
            self.refuse(format_args!("{} edges for {of} (histograms have some, others none)", edges.len()));
        }
        self.edges(&of, edges);
        let shape = match kind {
            types::MetricKind::Counter => Shape::Counter,
            types::MetricKind::Gauge => Shape::Gauge,
            types::MetricKind::Histogram => Shape::Histogram(edges.as_slice().into()),
        };
        let suffix = if unit.is_empty() { String::new() } else { format!("_{unit}") };
        let total = if counter { "_total" } else { "" };
        let full = format!("{}_{name}{suffix}{total}", self.prefix);
        spec(&full, help, (shape, unit), labels)
    }

    fn condition_gauge(&mut self, condition: &types::Condition) -> Spec {
        let types::Condition { name, help, labels } = condition;
        let of = format!("the condition `{}`", short(name));
        self.name("condition", name);
        self.labels(&of, labels);
        self.help(&of, help);
        let help = format!("1 while the condition holds, else 0: {help}");
        spec(&format!("{}_{name}_active", self.prefix), &help, (Shape::Gauge, ""), labels)
    }

    fn window(&mut self, window: types::Window) -> WindowPlan {
        let types::Window { name, span_ns, slices, edges, labels } = window;
        let of = format!("the window `{}`", short(&name));
        self.name("window", &name);
        self.labels(&of, &labels);
        self.edges(&of, &edges);
        if !(1..=MAX_SLICES).contains(&slices) {
            self.refuse(format_args!("{slices} slices for {of} (1 to {MAX_SLICES})"));
        }
        if span_ns < u64::from(slices) || span_ns > LONGEST_SPAN_NS {
            self.refuse(format_args!("a span of {span_ns} ns for {of} (up to 400 days)"));
        }
        let shape = WindowShape { span_ns, slices: slices.min(MAX_SLICES), edges: edges.into() };
        if shape.bytes() > LARGEST_WINDOW {
            let bytes = shape.bytes();
            self.refuse(format_args!(
                "{bytes} bytes for {of} (at most {LARGEST_WINDOW}: fewer slices or edges)"
            ));
        }
        WindowPlan { name: name.into(), shape, labels: labels.into_iter().map(Arc::from).collect() }
    }

    fn edges(&mut self, of: &str, edges: &[f64]) {
        if edges.len() > MOST_EDGES {
            self.refuse(format_args!("{} edges for {of} (at most {MOST_EDGES})", edges.len()));
        }
        if !edges.iter().all(|edge| edge.is_finite()) || !edges.is_sorted_by(|a, b| a < b) {
            self.refuse(format_args!(
                "edges for {of} that are not finite and rising (sort them, drop infinity)"
            ));
        }
    }

    fn help(&mut self, of: &str, help: &str) {
        if help.len() > LONGEST_HELP {
            self.refuse(format_args!("{} bytes of help for {of} (at most {LONGEST_HELP})", help.len()));
        }
    }
}

fn spec(name: &str, help: &str, (shape, unit): (Shape, &str), labels: &[String]) -> Spec {
    let labels = OUR_LABELS.into_iter().chain(labels.iter().map(String::as_str)).map(Arc::from);
    Spec { name: name.into(), help: help.into(), unit: unit.into(), shape, labels: labels.collect() }
}

fn query(wanted: types::ColumnQuery) -> Query {
    let types::ColumnQuery { role, name, kind, send } = wanted;
    let kind = kind.map(|kind| match kind {
        types::Kind::Number => Kind::Number,
        types::Kind::Code => Kind::Code,
    });
    Query { role: Role::parse(&role), role_name: role, name, kind, send }
}

fn condition(said: types::Condition) -> ConditionPlan {
    let types::Condition { name, help, labels } = said;
    let labels = labels.into_iter().map(Arc::from).collect();
    ConditionPlan { name: name.into(), help: help.into(), labels }
}

/// A text of the plugin's, short enough for a message.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_NAME + 1)]
}

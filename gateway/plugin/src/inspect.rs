//! What a plugin is, wants and declares, as a tool shows it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use weir_exchange::Kind;
use weir_telemetry::{Shape, Spec};

use crate::error::LoadError;
use crate::host::Host;
use crate::plan::Query;
use crate::prepared::Prepared;
use crate::spec::PluginSpec;

/// Everything a plugin says of itself, and what trying it showed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    pub name: String,
    pub version: String,
    pub description: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    pub component_bytes: usize,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// JSON schema; `null` without settings.
    pub settings_schema: Value,
    pub columns: Vec<WantedColumns>,
    pub metrics: Vec<DeclaredMetric>,
    pub windows: Vec<DeclaredWindow>,
    pub conditions: Vec<DeclaredCondition>,
    pub reasons: Vec<String>,
    /// 0 for never.
    pub tick_seconds: f64,
    /// It carries a snapshot over reloads.
    pub snapshot: bool,
    /// Instances that could judge side by side; one does.
    pub shards: u32,
    /// Linear memory after a few synthetic batches.
    pub memory_bytes: usize,
}

/// A query for columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WantedColumns {
    pub role: String,
    pub name: Option<String>,
    /// `number` or `code`; `None` for both.
    pub kind: Option<&'static str>,
    /// False: the values stay with the host.
    pub sent: bool,
}

/// A metric as it is exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeclaredMetric {
    pub name: String,
    pub kind: &'static str,
    pub unit: String,
    pub help: String,
    pub labels: Vec<String>,
    /// Of a histogram.
    pub edges: Vec<f64>,
}

/// A window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeclaredWindow {
    pub name: String,
    pub span_seconds: f64,
    pub slices: u32,
    pub edges: usize,
    pub labels: Vec<String>,
    /// What one of it takes of the host's memory.
    pub bytes: usize,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeclaredCondition {
    pub name: String,
    pub help: String,
    pub labels: Vec<String>,
    /// The gauge that shows it.
    pub metric: String,
}

/// Loads a plugin as for use, without using it.
///
/// # Errors
/// The first thing for which it would not be loaded.
pub fn inspect(host: &Host, spec: &PluginSpec) -> Result<Inspection, LoadError> {
    let (prepared, memory_bytes) = host.prepare_one(spec)?;
    let Prepared { linked, identity, plan, size, .. } = &*prepared;
    let (metrics, gauges) = plan.specs.split_at(plan.metrics);
    Ok(Inspection {
        name: identity.name.clone(),
        version: identity.version.clone(),
        description: identity.description.clone(),
        digest: prepared.digest_hex(),
        component_bytes: *size,
        imports: linked.imports.clone(),
        exports: linked.exports.clone(),
        settings_schema: serde_json::from_str(&identity.settings_schema).unwrap_or(Value::Null),
        columns: plan.columns.iter().map(wanted).collect(),
        metrics: metrics.iter().map(metric).collect(),
        windows: plan.windows.iter().map(window).collect(),
        conditions: plan.conditions.iter().zip(gauges).map(condition).collect(),
        reasons: plan.reasons.iter().map(ToString::to_string).collect(),
        tick_seconds: seconds(plan.tick_ns),
        snapshot: linked.snapshot.is_some(),
        shards: plan.shards.max(1),
        memory_bytes,
    })
}

fn wanted(query: &Query) -> WantedColumns {
    let kind = query.kind.map(|kind| match kind {
        Kind::Number => "number",
        Kind::Code => "code",
    });
    WantedColumns { role: query.role_name.clone(), name: query.name.clone(), kind, sent: query.send }
}

fn metric(spec: &Spec) -> DeclaredMetric {
    let (kind, edges) = match &spec.shape {
        Shape::Counter => ("counter", Vec::new()),
        Shape::Gauge => ("gauge", Vec::new()),
        Shape::Histogram(edges) => ("histogram", edges.to_vec()),
    };
    DeclaredMetric {
        name: spec.name.to_string(),
        kind,
        unit: spec.unit.to_string(),
        help: spec.help.to_string(),
        labels: texts(&spec.labels),
        edges,
    }
}

fn window(plan: &crate::windows::WindowPlan) -> DeclaredWindow {
    DeclaredWindow {
        name: plan.name.to_string(),
        span_seconds: seconds(plan.shape.span_ns),
        slices: plan.shape.slices,
        edges: plan.shape.edges.len(),
        labels: texts(&plan.labels),
        bytes: plan.bytes(),
    }
}

fn condition((plan, gauge): (&crate::conditions::ConditionPlan, &Spec)) -> DeclaredCondition {
    DeclaredCondition {
        name: plan.name.to_string(),
        help: plan.help.to_string(),
        labels: texts(&plan.labels),
        metric: gauge.name.to_string(),
    }
}

fn texts(list: &[std::sync::Arc<str>]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}: {}", self.name, self.version, self.description)?;
        writeln!(f, "  component    {} bytes, sha256 {}", self.component_bytes, self.digest)?;
        writeln!(f, "  imports      {}", listed(&self.imports))?;
        writeln!(f, "  exports      {}", listed(&self.exports))?;
        writeln!(f, "  snapshot     {}", if self.snapshot { "yes" } else { "no" })?;
        let tick = if self.tick_seconds > 0.0 {
            format!("every {} s", self.tick_seconds)
        } else {
            "never".to_owned()
        };
        writeln!(f, "  tick         {tick}")?;
        writeln!(f, "  memory       {} bytes", self.memory_bytes)?;
        writeln!(f, "  reasons      {}", listed(&self.reasons))?;
        section(f, "columns", &self.columns)?;
        section(f, "metrics", &self.metrics)?;
        section(f, "windows", &self.windows)?;
        section(f, "conditions", &self.conditions)?;
        if self.settings_schema.is_null() {
            write!(f, "  settings     none")
        } else {
            write!(f, "  settings     {:#}", self.settings_schema)
        }
    }
}

fn section<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, items: &[T]) -> fmt::Result {
    writeln!(f, "  {title:<12} {}", if items.is_empty() { "none" } else { "" }.trim_end())?;
    items.iter().try_for_each(|item| writeln!(f, "    {item}"))
}

fn listed(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

impl fmt::Display for WantedColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.role)?;
        self.name.iter().try_for_each(|name| write!(f, " named `{name}`"))?;
        self.kind.iter().try_for_each(|kind| write!(f, ", {kind}s only"))?;
        if self.sent { Ok(()) } else { f.write_str(", stays with the host") }
    }
}

impl fmt::Display for DeclaredMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{{{}}}  {}", self.kind, self.name, self.labels.join(","), self.help)
    }
}

impl fmt::Display for DeclaredWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, span_seconds, slices, labels, bytes, .. } = self;
        write!(f, "{name}{{{}}}  {span_seconds} s in {slices} slices, {bytes} bytes each", labels.join(","))
    }
}

impl fmt::Display for DeclaredCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{{}}} as {}  {}", self.name, self.labels.join(","), self.metric, self.help)
    }
}

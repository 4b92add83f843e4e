//! What can be asked: every metric of this gateway, with its labels and, where they are known, their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_exchange::{ErrorType, Fate, Outcome};
use weir_telemetry::{Shape, Spec};

/// The metrics that rules may name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    metrics: BTreeMap<Arc<str>, Spec>,
    conditions: Vec<DeclaredCondition>,
}

/// A condition that a plugin declares, and the gauge that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredCondition {
    /// The plugin's key.
    pub plugin: Arc<str>,
    pub name: Arc<str>,
    /// The gauge's name; it is 1 while the condition is active.
    pub gauge: Arc<str>,
}

impl Catalogue {
    /// Of specs, of which the first of a name holds, and what plugins declare.
    pub fn new(specs: impl IntoIterator<Item = Spec>, conditions: Vec<DeclaredCondition>) -> Self {
        let mut metrics = BTreeMap::new();
        for spec in specs {
            metrics.entry(spec.name.clone()).or_insert(spec);
        }
        Self { metrics, conditions }
    }

    /// The metric of a name.
    pub fn metric(&self, name: &str) -> Option<&Spec> {
        self.metrics.get(name)
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.metrics.keys().map(|name| &**name)
    }

    /// The condition of a plugin's key.
    pub fn condition(&self, plugin: &str, name: &str) -> Option<&DeclaredCondition> {
        self.conditions.iter().find(|c| *c.plugin == *plugin && *c.name == *name)
    }

    /// What is declared, by plugin.
    pub fn conditions(&self) -> &[DeclaredCondition] {
        &self.conditions
    }
}

/// What a metric is, in words.
pub(crate) fn kind(spec: &Spec) -> &'static str {
    match spec.shape {
        Shape::Counter => "counter",
        Shape::Gauge => "gauge",
        Shape::Histogram(_) => "histogram",
    }
}

/// The values a label of a metric can have, if they are a closed set; "" is the value of a label that is not
/// there.
pub(crate) fn values(metric: &str, label: &str) -> Option<Vec<&'static str>> {
    let errors = || ErrorType::ALL.iter().map(|error| error.as_str());
    match (metric, label) {
        ("predictions_total", "outcome") => Some(Outcome::ALL.iter().map(|o| o.as_str()).collect()),
        ("api_errors_total", "error_type") => Some(errors().collect()),
        ("http_server_request_duration_seconds", "error_type") => Some(errors().chain([""]).collect()),
        ("weir_exchanges_total", "fate") => Some(Fate::ALL.iter().map(|fate| fate.as_str()).collect()),
        ("weir_slo_events_total", "good") => Some(vec!["true", "false"]),
        _ => None,
    }
}

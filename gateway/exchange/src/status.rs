//! How the parts are doing, as the admin API and the metrics show it.

use std::sync::Arc;

use serde::Serialize;

use crate::condition::{ConditionState, VerdictCount};

/// One upstream endpoint, by the prober and by real traffic.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStatus {
    pub backend: Arc<str>,
    pub address: Arc<str>,
    /// Taken out: traffic goes there only when every endpoint is out.
    pub ejected: bool,
    /// The last ready probe's answer; `None` before the first, or when there is no probe.
    pub ready: Option<bool>,
    pub in_flight: u64,
    pub last_error: Option<String>,
}

/// One plugin.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    /// Its key in the configuration.
    pub key: Arc<str>,
    /// Name and version as the component says.
    pub name: String,
    pub version: String,
    pub description: String,
    pub path: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    pub state: PluginState,
    /// Why it is not running, or the last fault.
    pub last_fault: Option<String>,
    pub routes: Vec<Arc<str>>,
    pub batches: u64,
    pub rows: u64,
    pub faults: u64,
    pub cpu_seconds: f64,
    pub memory_bytes: u64,
    pub metrics: Vec<String>,
    pub conditions: Vec<ConditionState>,
    pub verdicts: Vec<VerdictCount>,
}

/// Where a plugin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Running,
    /// The breaker is open after repeated faults; it will be tried again.
    Quarantined,
}

impl PluginState {
    pub const ALL: [Self; 2] = [Self::Running, Self::Quarantined];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Quarantined => "quarantined",
        }
    }
}

/// A rule, or one of the alerts it found.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertBrief {
    pub name: Arc<str>,
    /// `inactive`, `pending` or `firing`.
    pub state: &'static str,
    /// Label names and values, in words; empty while it is inactive.
    pub labels: String,
    /// Since when, Unix time in ms; 0 while it is inactive.
    pub since_unix_ms: u64,
    /// Nobody is told anew.
    pub muted: bool,
}

impl AlertBrief {
    /// A rule that found nothing.
    pub fn inactive(name: &Arc<str>) -> Self {
        Self { name: name.clone(), state: "inactive", labels: String::new(), since_unix_ms: 0, muted: false }
    }
}

/// An objective.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveBrief {
    pub name: Arc<str>,
    pub objective: f64,
    /// Events of its window.
    pub good: u64,
    pub bad: u64,
    /// Share of the error budget; below 0 it is overspent.
    pub budget_left: f64,
    /// An alert of it fires.
    pub burning: bool,
}

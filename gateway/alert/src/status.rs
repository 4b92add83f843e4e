//! What is shown of rules and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_exchange::status::AlertBrief;

use crate::alert::{Alert, Fingerprint};
use crate::delivery::ReceiverStatus;
use crate::machine::{Active, Evidence, State};
use crate::rule::Rule;
use crate::slo::SloStatus;

/// Everything of `/api/alerts`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AlertsStatus {
    /// False: a Prometheus tells.
    pub sends: bool,
    /// When rules were last evaluated, Unix time in ms; 0 before the first time.
    pub evaluated_unix_ms: u64,
    pub rules: Vec<RuleStatus>,
    pub slos: Vec<SloWithAlerts>,
    pub receivers: Vec<ReceiverStatus>,
}

/// An objective and its alerts.
#[derive(Clone, Debug, Serialize)]
pub struct SloWithAlerts {
    #[serde(flatten)]
    pub slo: SloStatus,
    pub alerts: Vec<AlertStatus>,
}

/// A rule.
#[derive(Clone, Debug, Serialize)]
pub struct RuleStatus {
    pub name: Arc<str>,
    /// What it measures, as PromQL.
    pub promql: String,
    pub state: &'static str,
    pub dry_run: bool,
    pub alerts: Vec<AlertStatus>,
}

/// An alert that is pending or fires.
#[derive(Clone, Debug, Serialize)]
pub struct AlertStatus {
    pub fingerprint: String,
    pub labels: BTreeMap<String, String>,
    pub state: State,
    pub active_since_unix_ms: u64,
    pub firing_since_unix_ms: Option<u64>,
    pub value: Option<f64>,
    pub muted: bool,
}

/// What an alert fired on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvidenceRecord {
    #[serde(with = "hex")]
    pub fingerprint: Fingerprint,
    pub alert: Alert,
    /// What was measured, as PromQL; empty for an objective.
    pub promql: String,
    pub window_seconds: u64,
    pub at_firing: Evidence,
    pub last: Evidence,
}

impl AlertStatus {
    pub(crate) fn of(labels: &BTreeMap<String, String>, active: &Active, muted: bool) -> Self {
        Self {
            fingerprint: Fingerprint::of(labels).to_string(),
            labels: labels.clone(),
            state: active.state,
            active_since_unix_ms: active.active_ms,
            firing_since_unix_ms: (active.state == State::Firing).then_some(active.fired_ms),
            value: active.last.value,
            muted,
        }
    }
}

impl AlertStatus {
    /// In a line, under the name of its rule or objective.
    pub(crate) fn brief(&self, name: &Arc<str>) -> AlertBrief {
        let labels = self.labels.iter().map(|(name, value)| format!("{name}={value}"));
        AlertBrief {
            name: name.clone(),
            state: self.state.as_str(),
            labels: labels.collect::<Vec<_>>().join(", "),
            since_unix_ms: self.firing_since_unix_ms.unwrap_or(self.active_since_unix_ms),
            muted: self.muted,
        }
    }
}

impl RuleStatus {
    pub(crate) fn of(rule: &Rule, alerts: Vec<AlertStatus>) -> Self {
        let firing = alerts.iter().any(|alert| alert.state == State::Firing);
        let state = match (firing, alerts.is_empty()) {
            (true, _) => "firing",
            (false, false) => "pending",
            (false, true) => "inactive",
        };
        let dry_run = rule.config.telling.dry_run;
        Self { name: rule.name().clone(), promql: rule.promql.clone(), state, dry_run, alerts }
    }
}

impl EvidenceRecord {
    pub(crate) fn of(alert: &Alert, rule: Option<&Rule>, at_firing: &Evidence) -> Self {
        Self {
            fingerprint: alert.fingerprint(),
            alert: alert.clone(),
            promql: rule.map(|rule| rule.promql.clone()).unwrap_or_default(),
            window_seconds: rule.map_or(0, |rule| rule.config.window.as_secs()),
            at_firing: at_firing.clone(),
            last: at_firing.clone(),
        }
    }
}

/// A fingerprint as people see it.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::alert::Fingerprint;

    pub(super) fn serialize<S: Serializer>(it: &Fingerprint, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fingerprint, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map(Fingerprint).map_err(serde::de::Error::custom)
    }
}

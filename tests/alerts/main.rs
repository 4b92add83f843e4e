//! Rules and objectives of the running gateway: who is told what, and when nobody is.

mod commands;
mod receivers;
mod reload;
mod state;

use std::collections::BTreeMap;

use serde_json::Value;
use support::pager::labels;
use support::{Gateway, Patient, eventually};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// Fires as soon as the model server's probe fails.
const NOT_LOADED: &str = r#"
[alert.ModelNotLoaded]
gauge = "model_loaded"
equals = 0
labels = { severity = "critical" }
annotations = { summary = "{{ $labels.model }} is not loaded ({{ $value }})" }
"#;

/// The labels of its alert.
fn not_loaded() -> BTreeMap<String, String> {
    labels(&[
        ("alertname", "ModelNotLoaded"),
        ("instance", "gateway-1"),
        ("model", "churn"),
        ("severity", "critical"),
    ])
}

/// A gateway of this name in front of a patient, with these receivers and rules.
fn configuration(patient: &Patient, alerting: &str, rules: &str) -> String {
    let gateway = "[gateway]\ninstance = \"gateway-1\"\nstate_dir = \"state\"\n";
    let alerting = format!("[alerting]\ninterval = \"100ms\"\ngroup_wait = \"100ms\"\n{alerting}\n");
    format!("{gateway}{alerting}{}{rules}", patient.route())
}

/// A webhook of `[alerting]`.
fn webhook(name: &str, url: &str) -> String {
    format!("[alerting.webhook.{name}]\nurl = \"{url}\"\ntimeout = \"300ms\"\n")
}

/// Everything of `/api/alerts` about a rule.
fn rule(gateway: &Gateway, name: &str) -> Option<Value> {
    let page = gateway.api("/api/alerts");
    page["rules"].as_array().expect("rules").iter().find(|rule| rule["name"] == name).cloned()
}

#[track_caller]
fn await_state(gateway: &Gateway, name: &str, state: &str) -> Value {
    eventually(name, || rule(gateway, name).filter(|rule| rule["state"] == state))
}

/// Waits until rules were evaluated at least once more from beginning to end.
#[track_caller]
fn await_evaluation(gateway: &Gateway) {
    let evaluated = || gateway.api("/api/alerts")["evaluated_unix_ms"].as_u64().expect("a time");
    let before = evaluated();
    // The next one may have begun before.
    let mut seen = std::collections::BTreeSet::from([before]);
    eventually("an evaluation", || {
        seen.insert(evaluated());
        (seen.len() > 2).then_some(())
    });
}

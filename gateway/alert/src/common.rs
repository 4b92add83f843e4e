//! What all alerts have in common, and how one is made of what a rule found.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_config::{Alerting, Severity, Telling};

use crate::alert::{Alert, Fingerprint};
use crate::engine::SLO_ALERT;
use crate::evaluate::Counts;
use crate::machine::{Active, Evidence};
use crate::rule::{Plan, Words};

/// What is not of one rule.
#[derive(Clone, Debug)]
pub struct Common {
    pub alerting: Alerting,
    /// The label `instance` of every alert.
    pub instance: String,
    /// Where the admin pages are, without a slash at the end.
    pub address: String,
    /// What is counted is stored.
    pub durable: bool,
}

/// An alert that fires, before it is known whether anybody is told.
pub(crate) struct Firing {
    /// Of the rule or objective: what `unless` names.
    pub(crate) source: Arc<str>,
    pub(crate) alert: Alert,
    pub(crate) dry_run: bool,
    pub(crate) unless: Vec<String>,
    pub(crate) active: Active,
}

impl Common {
    /// The labels of an alert: of all alerts, of the series, of the rule, each over those before; then what
    /// only Weir writes.
    pub(crate) fn labels(&self, name: &str, words: &Words, active: &Active) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, String> = self.alerting.labels.iter().cloned().collect();
        labels.extend(active.found.clone());
        let value = active.last.value.unwrap_or(f64::NAN);
        labels.extend(words.labels(&active.found, value));
        labels.insert("alertname".to_owned(), name.to_owned());
        labels.insert("instance".to_owned(), self.instance.clone());
        labels.retain(|_, value| !value.is_empty());
        labels
    }

    /// An alert that fires. `source`: of which rule or objective, and the name it gives its alerts.
    pub(crate) fn firing(
        &self,
        (source, name): (&Arc<str>, &str),
        words: &Words,
        telling: &Telling,
        active: &Active,
    ) -> Firing {
        let labels = self.labels(name, words, active);
        let value = active.last.value.unwrap_or(f64::NAN);
        let mut annotations = words.annotations(&active.found, value);
        if let Some(url) = &telling.runbook_url {
            annotations.entry("runbook_url".to_owned()).or_insert_with(|| url.clone());
        }
        let generator_url = format!("{}/api/alerts/{}", self.address, Fingerprint::of(&labels));
        Firing {
            source: source.clone(),
            alert: Alert {
                labels,
                annotations,
                starts_at_ms: active.fired_ms,
                ends_at_ms: None,
                generator_url,
                muted: false,
            },
            dry_run: telling.dry_run,
            unless: telling.unless.clone(),
            active: active.clone(),
        }
    }
}

impl Plan {
    /// An alert as the rule or objective of a name would send it, but for what only a series knows: that is
    /// called `test`, as the alert itself is by a label. `None`: there is no such name.
    pub fn sample(&self, name: &str, common: &Common, at_ms: u64) -> Option<Alert> {
        let rule = self.rules.iter().find(|rule| **rule.name() == *name);
        let of_rule = rule.map(|rule| {
            let found = rule.config.by.iter().map(|label| (label.clone(), "test".to_owned())).collect();
            (rule.name().clone(), &rule.words, &rule.config.telling, found)
        });
        let slo = self.slos.iter().find(|(slo, _)| **slo.name() == *name);
        let of_slo = slo.map(|(slo, words)| {
            let labels = [("slo", name), ("severity", Severity::Page.as_str())];
            let found = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            (SLO_ALERT.into(), words, &slo.telling, found)
        });
        let (name, words, telling, mut found): (Arc<str>, _, _, BTreeMap<String, String>) =
            of_rule.or(of_slo)?;
        found.insert("test".to_owned(), "true".to_owned());
        let evidence = Evidence { value: None, counts: Counts::default(), at_ms, generation: 0 };
        let active = Active::firing(found, evidence);
        let mut alert = common.firing((&name, &name), words, telling, &active).alert;
        let words = "A test, sent by hand: nothing is wrong.";
        alert.annotations.insert("summary".to_owned(), words.to_owned());
        Some(alert)
    }

    /// Names of rules and objectives.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let rules = self.rules.iter().map(|rule| &**rule.name());
        rules.chain(self.slos.iter().map(|(slo, _)| &**slo.name()))
    }
}

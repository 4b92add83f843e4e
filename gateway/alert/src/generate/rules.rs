//! Alerts of `[alert]`, and of the gateway itself.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_config::{Config, Telling, period};

use super::GenerateOptions;
use super::yaml::{Entry, Sheet};
use crate::engine::WATCHDOG;
use crate::rule::{Plan, Query, Rule};

/// The gateway's absence, which it cannot tell of itself: written also where it tells everything else.
pub(super) fn gateway(sheet: &mut Sheet, config: &Config, options: &GenerateOptions, alerts: bool) {
    sheet.group("weir", &period(config.alerting.interval));
    sheet.note("A gateway cannot tell of its own absence: this is always Prometheus' to notice.");
    let scope = &options.scope;
    let absent = format!("absent(weir_build_info{})", braced(scope));
    // Without a scope, `up` would be everybody's.
    let expr = if scope.is_empty() { absent } else { format!("{absent}\nor up{} == 0", braced(scope)) };
    let words = "{{ with $labels.instance }}Weir at {{ . }}{{ else }}Every Weir{{ end }} is not there to be \
                 scraped.";
    sheet.rule(&Entry {
        kind: "alert",
        name: "WeirDown".to_owned(),
        expr,
        hold: Some("1m".to_owned()),
        labels: labels(config, &[("severity".to_owned(), "critical".to_owned())]),
        annotations: [("summary".to_owned(), words.to_owned())].into(),
        ..Entry::default()
    });
    if alerts && config.alerting.watchdog {
        let words = "Alerts of this Prometheus get through. If this one is missing, they do not.";
        sheet.rule(&Entry {
            kind: "alert",
            name: WATCHDOG.to_owned(),
            expr: "vector(1)".to_owned(),
            labels: labels(config, &[("severity".to_owned(), "none".to_owned())]),
            annotations: [("summary".to_owned(), words.to_owned())].into(),
            ..Entry::default()
        });
    }
}

/// A group with every rule.
pub(super) fn rules(sheet: &mut Sheet, plan: &Plan, config: &Config, options: &GenerateOptions) {
    if plan.rules.iter().any(|rule| !rule.config.telling.dry_run) {
        sheet.group("weir-alerts", &period(config.alerting.interval));
    }
    for rule in &plan.rules {
        notes(sheet, rule.name(), &rule.config.telling);
        if !rule.config.telling.dry_run {
            if let Query::Condition { .. } = rule.query {
                sheet.note("`$value` is 1 here; Weir tells the value that its plugin decided on.");
            }
            sheet.rule(&alert(rule, config, &options.scope));
        }
    }
}

fn alert(rule: &Rule, config: &Config, scope: &str) -> Entry {
    Entry {
        kind: "alert",
        name: rule.name().to_string(),
        expr: crate::promql::of(rule, scope),
        hold: unless_zero(rule.config.hold),
        keep: unless_zero(rule.config.keep_firing_for),
        labels: labels(config, &rule.config.telling.labels),
        annotations: annotations(&rule.config.telling),
    }
}

fn unless_zero(time: Duration) -> Option<String> {
    (!time.is_zero()).then(|| period(time))
}

/// What is not told, and when.
pub(super) fn notes(sheet: &mut Sheet, name: &str, telling: &Telling) {
    if telling.dry_run {
        let words = "is left out: it is a `dry_run`, of which nobody is told.";
        sheet.note(&format!("`{name}` {words}"));
    } else if !telling.unless.is_empty() {
        let names = telling.unless.join("`, `");
        sheet.note(&format!("Not to be told while `{names}` fires: see the inhibit rules at the end."));
    }
}

/// Labels of an alert: those of all, then its own. Those of all are no templates in Weir.
pub(super) fn labels(config: &Config, own: &[(String, String)]) -> BTreeMap<String, String> {
    let all = config.alerting.labels.iter().map(|(name, text)| (name.clone(), literal(text)));
    all.chain(own.iter().cloned()).collect()
}

pub(super) fn annotations(telling: &Telling) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = telling.annotations.iter().cloned().collect();
    if let Some(url) = &telling.runbook_url {
        all.entry("runbook_url".to_owned()).or_insert_with(|| literal(url));
    }
    all
}

/// A text that is no template, as one.
pub(super) fn literal(text: &str) -> String {
    text.replace("{{", "{{ `{{` }}")
}

/// Matchers as they stand behind a name.
pub(super) fn braced(matchers: &str) -> String {
    if matchers.is_empty() { String::new() } else { format!("{{{matchers}}}") }
}

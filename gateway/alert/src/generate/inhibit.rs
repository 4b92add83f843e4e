//! `unless` as rules of Alertmanager. The ticket beside a page needs none: its expression leaves it out.

use std::collections::BTreeSet;

use weir_config::{Config, Telling};

use super::yaml::quoted;
use crate::engine::{SCOPE, SLO_ALERT};
use crate::rule::{Plan, Rule, Words};

/// An alert that can explain another, or be explained.
struct Party {
    /// The rule or objective, which is what `unless` names.
    name: String,
    matchers: String,
    labels: BTreeSet<String>,
    unless: Vec<String>,
}

/// `inhibit_rules` for the configuration of an Alertmanager that a Prometheus tells; "" without any. Weir
/// itself needs none of them.
pub fn inhibit_rules(plan: &Plan, config: &Config) -> String {
    let parties: Vec<Party> = parties(plan);
    let mut rules = String::new();
    for target in &parties {
        for source in parties.iter().filter(|source| target.unless.contains(&source.name)) {
            let equal = SCOPE
                .iter()
                .filter(|label| [source, target].iter().all(|party| party.labels.contains(**label)));
            let equal = equal.map(ToString::to_string).collect();
            rules += &rule(&source.matchers, &target.matchers, equal, config);
        }
    }
    if rules.is_empty() { rules } else { format!("inhibit_rules:\n{rules}") }
}

fn parties(plan: &Plan) -> Vec<Party> {
    let party = |name: &str, matchers: String, labels: BTreeSet<String>, telling: &Telling| Party {
        name: name.to_owned(),
        matchers: format!("[{matchers}]"),
        labels,
        unless: telling.unless.clone(),
    };
    let of_rule = |rule: &Rule| {
        let labels = rule.found_labels().into_iter().chain(own(&rule.words)).collect();
        party(rule.name(), matcher("alertname", rule.name()), labels, &rule.config.telling)
    };
    let rules = plan.rules.iter().filter(|rule| !rule.config.telling.dry_run).map(of_rule);
    let slos = plan.slos.iter().filter(|(slo, _)| !slo.telling.dry_run).map(|(slo, words)| {
        let matchers = [matcher("alertname", SLO_ALERT), matcher("slo", slo.name())].join(", ");
        party(slo.name(), matchers, own(words).collect(), &slo.telling)
    });
    rules.chain(slos).collect()
}

fn own(words: &Words) -> impl Iterator<Item = String> {
    words.labels.iter().map(|(name, _)| name.clone())
}

/// One matcher, as an item of a list in YAML.
fn matcher(label: &str, value: &str) -> String {
    quoted(&format!("{label}={}", crate::promql::quoted(value)))
}

/// Labels of all alerts tell one fleet from another.
fn rule(source: &str, target: &str, mut equal: Vec<String>, config: &Config) -> String {
    equal.extend(config.alerting.labels.iter().map(|(name, _)| name.clone()));
    let equal: Vec<String> = equal.iter().map(|label| quoted(label)).collect();
    format!(
        "  - source_matchers: {source}\n    target_matchers: {target}\n    equal: [{}]\n",
        equal.join(", ")
    )
}

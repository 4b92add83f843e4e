//! A rule, checked against what there is to measure: later code need not doubt it.

mod check;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_config::{AlertRule, Compare, Config, Misfit, Slo, Telling};

use crate::catalogue::Catalogue;
use crate::store::Store;
use crate::template::Template;

pub(crate) use query::{Pick, Query};

/// A rule that can be evaluated.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) config: AlertRule,
    pub(crate) query: Query,
    pub(crate) words: Words,
    /// What it asks, as people read it.
    pub(crate) promql: String,
}

impl Rule {
    pub(crate) fn new(config: AlertRule, query: Query, words: Words) -> Self {
        let mut rule = Self { config, query, words, promql: String::new() };
        rule.promql = crate::promql::of(&rule, "");
        rule
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    /// Whether everything it looks back on has been seen.
    pub(crate) fn is_known(&self, store: &Store, at_ms: u64) -> bool {
        let window = self.config.window.as_millis() as u64;
        !self.config.measure.has_window() || store.knows(self.query.picks(), at_ms as i64, window)
    }

    /// Whether it holds when little is counted, as it is at the beginning.
    pub(crate) fn is_about_little(&self) -> bool {
        let little = matches!(self.config.bound, Some((Compare::Below | Compare::Equals, _)));
        little && matches!(self.query, Query::Rate(_) | Query::Increase(_))
    }

    /// The labels of what it finds, as far as they are not empty.
    pub(crate) fn found_labels(&self) -> BTreeSet<String> {
        check::found_labels(&self.config, Some(&self.query))
    }
}

/// Labels and annotations of an alert, parsed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    pub(crate) labels: Vec<(String, Template)>,
    pub(crate) annotations: Vec<(String, Template)>,
}

impl Words {
    /// The alert's own labels, filled with those of the series.
    pub(crate) fn labels(&self, found: &BTreeMap<String, String>, value: f64) -> BTreeMap<String, String> {
        self.labels.iter().map(|(name, template)| (name.clone(), template.fill(found, value))).collect()
    }

    /// The annotations, filled with the labels of the series.
    pub(crate) fn annotations(
        &self,
        found: &BTreeMap<String, String>,
        value: f64,
    ) -> BTreeMap<String, String> {
        self.annotations.iter().map(|(name, template)| (name.clone(), template.fill(found, value))).collect()
    }
}

/// The rules and objectives of a configuration, checked.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) slos: Vec<(Slo, Words)>,
}

impl Plan {
    /// Checks what a configuration asks for against what there is.
    ///
    /// # Errors
    /// Every rule that cannot work, each with the form that would.
    pub fn new(config: &Config, catalogue: &Catalogue) -> Result<Self, Vec<Misfit>> {
        let (mut plan, mut misfits) = (Self::default(), Vec::new());
        for rule in &config.alerts {
            match check::rule(rule, catalogue) {
                Ok(rule) => plan.rules.push(rule),
                Err(faults) => misfits.extend(faults.into_iter().map(|f| f.of("alert", &rule.name))),
            }
        }
        for slo in &config.slos {
            match check::objective(slo, catalogue) {
                Ok(words) => plan.slos.push((slo.clone(), words)),
                Err(faults) => misfits.extend(faults.into_iter().map(|f| f.of("slo", slo.name()))),
            }
        }
        if misfits.is_empty() { Ok(plan) } else { Err(misfits) }
    }

    /// The rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What each rule and objective has to say of itself that is no fault: one line each.
    pub fn notes(&self) -> Vec<String> {
        self.slos.iter().flat_map(|(slo, _)| crate::slo::notes(slo)).collect()
    }
}

/// What is wrong, at a key of a rule or objective.
pub(crate) struct Fault {
    path: Vec<String>,
    message: String,
}

impl Fault {
    pub(crate) fn at(path: &[&str], message: impl Into<String>) -> Self {
        Self { path: path.iter().map(ToString::to_string).collect(), message: message.into() }
    }

    fn of(self, table: &str, name: &str) -> Misfit {
        let above = [table.to_owned(), name.to_owned()];
        Misfit { path: above.into_iter().chain(self.path).collect(), message: self.message }
    }
}

/// Parses what is told. `known`: labels a series of it has.
pub(crate) fn words(telling: &Telling, known: &BTreeSet<String>, faults: &mut Vec<Fault>) -> Words {
    let mut parse = |table: &str, pairs: &[(String, String)]| {
        let mut all = Vec::with_capacity(pairs.len());
        for (name, text) in pairs {
            match Template::parse(text) {
                Ok(template) => {
                    for label in template.labels().filter(|label| !known.contains(*label)) {
                        let list = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                        let has = if list.is_empty() { "none".to_owned() } else { list };
                        let words = format!(
                            "`{{{{ $labels.{label} }}}}` would be empty: what is measured has no such label \
                             (it has: {has}; `by` keeps further ones)"
                        );
                        faults.push(Fault::at(&[table, name], words));
                    }
                    if table == "labels" && template.shows_value() {
                        let words = "a label that changes with the value makes another alert each time \
                                     (put the value into an annotation)";
                        faults.push(Fault::at(&[table, name], words));
                    }
                    all.push((name.clone(), template));
                }
                Err(words) => faults.push(Fault::at(&[table, name], words)),
            }
        }
        all
    };
    Words {
        labels: parse("labels", &telling.labels),
        annotations: parse("annotations", &telling.annotations),
    }
}

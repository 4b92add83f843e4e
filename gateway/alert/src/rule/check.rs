//! Refuses what cannot work, each time with the form that does.

use std::collections::BTreeSet;

use weir_config::{AlertRule, Compare, Measure, Selection, Selector, Slo};
use weir_exchange::Aim;
use weir_telemetry::{Shape, Spec};

use super::{Fault, Pick, Query, Rule, Words, words};
use crate::catalogue::{self, Catalogue};

/// Everything that is wrong with a rule, or the rule.
pub(super) fn rule(config: &AlertRule, catalogue: &Catalogue) -> Result<Rule, Vec<Fault>> {
    let mut faults = Vec::new();
    let query = query(config, catalogue, &mut faults);
    if let Some(query) = &query {
        errors_by_rate(config, query, &mut faults);
    }
    let known = found_labels(config, query.as_ref());
    let words = words(&config.telling, &known, &mut faults);
    match query {
        Some(query) if faults.is_empty() => Ok(Rule::new(config.clone(), query, words)),
        _ => Err(faults),
    }
}

/// The labels of what a rule finds.
pub(super) fn found_labels(config: &AlertRule, query: Option<&Query>) -> BTreeSet<String> {
    match query {
        Some(Query::Gauge { of, aggregate: None } | Query::Condition { of, .. }) => {
            of.spec.labels.iter().map(ToString::to_string).collect()
        }
        Some(Query::Absent(of)) => of.told_when_absent().map(|s| s.label.clone()).collect(),
        _ => config.by.iter().cloned().collect(),
    }
}

/// An objective over a condition names one that is declared.
pub(super) fn objective(slo: &Slo, catalogue: &Catalogue) -> Result<Words, Vec<Fault>> {
    let mut faults = Vec::new();
    if let Aim::Condition { plugin, condition } = &slo.event.aim {
        unless_declared("condition", plugin, condition, catalogue, &mut faults);
    }
    let known = ["slo", "severity"].map(str::to_owned).into();
    let words = words(&slo.telling, &known, &mut faults);
    if faults.is_empty() { Ok(words) } else { Err(faults) }
}

fn query(config: &AlertRule, catalogue: &Catalogue, faults: &mut Vec<Fault>) -> Option<Query> {
    let mut check = Check { config, catalogue, faults };
    let counted = |spec: &Spec| !matches!(spec.shape, Shape::Gauge);
    match &config.measure {
        Measure::Condition { plugin, condition, selectors } => {
            check.no_groups();
            let gauge = unless_declared("condition", plugin, condition, catalogue, check.faults)?;
            let of = Selection { metric: gauge, selectors: with_plugin(selectors, plugin) };
            let of = check.pick("condition", &of, "where", |_| true)?;
            Some(Query::Condition {
                of,
                plugin: plugin.as_str().into(),
                condition: condition.as_str().into(),
            })
        }
        Measure::Rate(of) => check.pick("rate", of, "where", counted).map(Query::Rate),
        Measure::Increase(of) => check.pick("increase", of, "where", counted).map(Query::Increase),
        Measure::Ratio { part, whole, under } => {
            let part = check.pick("ratio", part, "where", counted);
            let whole = check.pick("of", whole, "of_where", counted);
            let (part, whole) = (part?, whole?);
            let under = match under {
                Some(edge) => Some(check.edge(&part.spec, *edge)?),
                None => None,
            };
            Some(Query::Ratio { part, whole, under })
        }
        Measure::Quantile { q, of } => {
            let is_histogram = |spec: &Spec| matches!(spec.shape, Shape::Histogram(_));
            let of = check.pick("quantile", of, "where", is_histogram)?;
            Some(Query::Quantile { q: *q, of })
        }
        Measure::Gauge { of, aggregate } => {
            let of = check.pick("gauge", of, "where", |spec| spec.shape == Shape::Gauge)?;
            Some(Query::Gauge { of, aggregate: *aggregate })
        }
        Measure::Absent(of) => {
            check.no_groups();
            check.pick("absent", of, "where", |_| true).map(Query::Absent)
        }
    }
}

fn with_plugin(selectors: &[Selector], plugin: &str) -> Vec<Selector> {
    let own = Selector { label: "plugin".to_owned(), values: vec![plugin.to_owned()], negated: false };
    std::iter::once(own).chain(selectors.iter().cloned()).collect()
}

/// The gauge of a condition that some plugin declares.
fn unless_declared(
    key: &str,
    plugin: &str,
    condition: &str,
    catalogue: &Catalogue,
    faults: &mut Vec<Fault>,
) -> Option<String> {
    if let Some(declared) = catalogue.condition(plugin, condition) {
        return Some(declared.gauge.to_string());
    }
    let of_it: Vec<&str> =
        catalogue.conditions().iter().filter(|c| *c.plugin == *plugin).map(|c| &*c.name).collect();
    let words = if of_it.is_empty() {
        let all: BTreeSet<&str> = catalogue.conditions().iter().map(|c| &*c.plugin).collect();
        let all = all.into_iter().collect::<Vec<_>>().join(", ");
        let with =
            if all.is_empty() { "no plugin declares any".to_owned() } else { format!("these do: {all}") };
        format!("the plugin `{plugin}` declares no condition, or is not configured ({with})")
    } else {
        format!(
            "the plugin `{plugin}` declares no condition `{condition}` (it declares: {})",
            of_it.join(", ")
        )
    };
    faults.push(Fault::at(&[key], words));
    None
}

struct Check<'a> {
    config: &'a AlertRule,
    catalogue: &'a Catalogue,
    faults: &'a mut Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, path: &[&str], words: impl Into<String>) {
        self.faults.push(Fault::at(path, words));
    }

    /// What is asked for, or every reason why it is not to be had.
    fn pick(
        &mut self,
        key: &str,
        selection: &Selection,
        table: &str,
        fits: impl Fn(&Spec) -> bool,
    ) -> Option<Pick> {
        let Some(spec) = self.catalogue.metric(&selection.metric) else {
            let words = unknown(&selection.metric, self.catalogue);
            self.fault(&[key], words);
            return None;
        };
        if !fits(spec) {
            self.fault(&[key], other_kind(key, spec));
            return None;
        }
        let before = self.faults.len();
        let selectors = selection.selectors.iter().filter_map(|selector| {
            let table = if selector.negated { "not" } else { table };
            Some((self.label(spec, &selector.label, &[table, &selector.label])?, selector.clone()))
        });
        let selectors: Vec<_> = selectors.collect();
        for (_, selector) in &selectors {
            let table = if selector.negated { "not" } else { table };
            self.label_values(&spec.name, selector, table);
        }
        let by = self.groups(spec);
        (self.faults.len() == before).then(|| Pick { spec: spec.clone(), selectors, by })
    }

    fn groups(&mut self, spec: &Spec) -> Vec<usize> {
        let mut by = Vec::new();
        for (at, label) in self.config.by.iter().enumerate() {
            let place = ["by".to_owned(), at.to_string()];
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            if let Some(index) = spec.labels.iter().position(|l| **l == **label) {
                by.push(index);
            } else if matches!(self.config.measure, Measure::Ratio { .. }) {
                let words = format!(
                    "`{}` has no label `{label}`, so that part and whole never match (group by a label that \
                     both have{}; `{}` has: {})",
                    spec.name,
                    self.common(),
                    spec.name,
                    spec.labels.join(", "),
                );
                self.fault(&place, words);
            } else {
                self.label(spec, label, &place);
            }
        }
        by
    }

    /// The labels both sides of a ratio have, in words.
    fn common(&self) -> String {
        let Measure::Ratio { part, whole, .. } = &self.config.measure else { return String::new() };
        let labels = |metric: &str| self.catalogue.metric(metric).map(|spec| spec.labels.clone());
        let (Some(a), Some(b)) = (labels(&part.metric), labels(&whole.metric)) else { return String::new() };
        let both: Vec<&str> = a.iter().filter(|l| b.contains(l)).map(|l| &**l).collect();
        if both.is_empty() { String::new() } else { format!(": {}", both.join(", ")) }
    }

    fn label(&mut self, spec: &Spec, label: &str, place: &[&str]) -> Option<usize> {
        let at = spec.labels.iter().position(|l| **l == *label);
        if at.is_none() {
            let hint = match label {
                "le" => "buckets are chosen by `quantile` or by `under`".to_owned(),
                "job" | "instance" => {
                    "only Prometheus writes it; here there is one gateway, and every alert has `instance`"
                        .into()
                }
                _ if spec.labels.is_empty() => "it has none".to_owned(),
                _ => format!("it has: {}", spec.labels.join(", ")),
            };
            self.fault(place, format!("`{}` has no label `{label}` ({hint})", spec.name));
        }
        at
    }

    /// Values of a label that can only have some.
    fn label_values(&mut self, metric: &str, selector: &Selector, table: &str) {
        let Some(known) = catalogue::values(metric, &selector.label) else { return };
        for value in selector.values.iter().filter(|value| !known.contains(&value.as_str())) {
            let all = known.iter().filter(|v| !v.is_empty()).copied().collect::<Vec<_>>().join(", ");
            let words = format!("`{}` is never `{value}` (it is one of: {all})", selector.label);
            self.fault(&[table, &selector.label], words);
        }
    }

    /// The bucket that ends at an edge.
    fn edge(&mut self, spec: &Spec, edge: f64) -> Option<usize> {
        let Shape::Histogram(edges) = &spec.shape else {
            let words = format!("`{}` is a {}, which has no edges", spec.name, catalogue::kind(spec));
            self.fault(&["under"], format!("{words} (name a histogram, or take `under` out)"));
            return None;
        };
        let at = edges.iter().position(|e| *e == edge);
        if at.is_none() {
            let all = edges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let words =
                format!("`{}` has no edge at `{edge}`, so that nobody counted what lies under it", spec.name);
            self.fault(&["under"], format!("{words} (its edges: {all})"));
        }
        at
    }

    fn no_groups(&mut self) {
        if !self.config.by.is_empty() {
            let words =
                format!("`{}` has nothing to put together (take `by` out)", self.config.measure.key());
            self.fault(&["by"], words);
        }
    }
}

/// A metric that is not there, and which one was meant.
fn unknown(name: &str, catalogue: &Catalogue) -> String {
    if name == "up" {
        return "`up` is Prometheus' and says only that a scrape worked, not that anybody was served (write an \
                objective: `[slo.availability]` with `objective = 0.999`)"
            .to_owned();
    }
    for suffix in ["_bucket", "_count", "_sum"] {
        let base = name.strip_suffix(suffix).and_then(|base| catalogue.metric(base));
        if let Some(Spec { name: base, shape: Shape::Histogram(_), .. }) = base {
            let form = if suffix == "_bucket" { "`quantile`, or `ratio` with `under`" } else { "`rate`" };
            return format!("`{name}` is part of the histogram `{base}` (name that; {form} does the rest)");
        }
    }
    let near = weir_config::nearest(name, catalogue.names());
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "/metrics shows all; a plugin's are there once it is configured".to_owned(),
    };
    format!("there is no metric `{name}` ({hint})")
}

/// A metric of another kind than was asked for, and what to ask of it.
fn other_kind(key: &str, spec: &Spec) -> String {
    let name = &spec.name;
    let what = catalogue::kind(spec);
    let form = match (key, &spec.shape) {
        ("quantile", _) => "only a histogram has quantiles".to_owned(),
        ("gauge", Shape::Histogram(_)) => format!(
            "its average says nothing of one; write `quantile = \"{name}\"` with `q`, or `ratio = \"{name}\"` with \
             `under` for the share at or below an edge"
        ),
        ("gauge", _) => format!("it only rises; write `rate`, `increase` or `ratio` = \"{name}\""),
        _ => format!("it goes up and down; write `gauge = \"{name}\"`"),
    };
    format!("`{name}` is a {what}, which has no {key} ({form})")
}

/// `>` on errors without traffic: load alone fires it.
fn errors_by_rate(config: &AlertRule, query: &Query, faults: &mut Vec<Fault>) {
    let (Query::Rate(of) | Query::Increase(of)) = query else { return };
    if !matches!(config.bound, Some((Compare::Above, _))) {
        return;
    }
    let Some(of_what) = partner(of) else { return };
    let key = config.measure.key();
    let name = &of.spec.name;
    let narrowed = if of.selectors.is_empty() { "" } else { ", and `where` as it is" };
    let words = format!(
        "`{key}` of errors `above` a number fires when traffic grows, though nothing fails more often (write \
         `ratio = \"{name}\"`{of_what}{narrowed}, `by = [\"route\"]` and `above = 0.05`, say: the share that fails)"
    );
    faults.push(Fault::at(&[key], words));
}

/// For a count of failures: what its share is taken of, as a key of the rule.
fn partner(of: &Pick) -> Option<&'static str> {
    let only = |label: &str, good: &dyn Fn(&str) -> bool| {
        of.selectors.iter().any(|(_, s)| {
            s.label == label
                && if s.negated {
                    s.values.iter().any(|v| good(v))
                } else {
                    s.values.iter().all(|v| !good(v))
                }
        })
    };
    match &*of.spec.name {
        "api_errors_total" => Some(", `of = \"http_server_request_duration_seconds\"`"),
        "predictions_total" if only("outcome", &|v| v == "ok") => Some(""),
        "http_server_request_duration_seconds"
            if only("http_response_status_code", &|v| !v.starts_with(['4', '5']))
                || only("error_type", &str::is_empty) =>
        {
            Some("")
        }
        "weir_slo_events_total" if only("good", &|v| v == "true") => Some(""),
        "weir_exchanges_total" if only("fate", &|v| v == "observed") => Some(""),
        _ => None,
    }
}

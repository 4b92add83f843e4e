//! What a metric must look like before it is exported: the Prometheus grammar and what OpenMetrics adds to
//! it.

use std::sync::Arc;

use crate::family::{Shape, Spec};
use crate::registry::OVERFLOW;

/// Labels that belong to somebody else: the scraper writes the first two, exposition the rest.
const RESERVED: [&str; 5] = ["job", "instance", "overflow", "le", "quantile"];

/// Why a metric cannot be registered. Reads as the end of a sentence that begins with the metric's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecFault {
    #[error("is already registered with another kind, unit, label set or edges (rename one of them)")]
    Taken,
    #[error("would export the same series as `{other}` (rename one of them)")]
    Clash { other: Arc<str> },
    #[error("is no metric name (use letters, digits and `_`, a digit not first)")]
    Name,
    #[error("is written by the registry itself (choose another name)")]
    Own,
    #[error(
        "has the label `{label}`, which is no label name (letters, digits and `_`; no digit or `__` first)"
    )]
    Label { label: Arc<str> },
    #[error("has the label `{label}`, which the scraper or the format writes (rename it)")]
    ReservedLabel { label: Arc<str> },
    #[error("has the label `{label}` twice (remove one)")]
    RepeatedLabel { label: Arc<str> },
    #[error("is a counter whose name does not end in `_total` (append it)")]
    CounterWithoutTotal,
    #[error("ends in `_total` but is no counter (drop the suffix)")]
    TotalWithoutCounter,
    #[error("has the unit `{unit}`, which its name does not end in (append `_{unit}`, before `_total`)")]
    Unit { unit: Arc<str> },
    #[error("has edges that are not finite and rising (sort them, leave out infinity)")]
    Edges,
}

/// Checks a metric by itself.
pub(crate) fn check(spec: &Spec) -> Result<(), SpecFault> {
    let counter = spec.shape == Shape::Counter;
    if *spec.name == *OVERFLOW {
        return Err(SpecFault::Own);
    }
    if !is_name(&spec.name, |c| c == '_' || c == ':') {
        return Err(SpecFault::Name);
    }
    match spec.name.ends_with("_total") {
        false if counter => return Err(SpecFault::CounterWithoutTotal),
        true if !counter => return Err(SpecFault::TotalWithoutCounter),
        _ => {}
    }
    if !spec.unit.is_empty() && !has_suffix(spec.base_name(), &spec.unit) {
        return Err(SpecFault::Unit { unit: spec.unit.clone() });
    }
    if let Shape::Histogram(edges) = &spec.shape
        && !(edges.iter().all(|e| e.is_finite()) && edges.is_sorted_by(|a, b| a < b))
    {
        return Err(SpecFault::Edges);
    }
    check_labels(&spec.labels)
}

fn check_labels(labels: &[Arc<str>]) -> Result<(), SpecFault> {
    for (i, label) in labels.iter().enumerate() {
        if !is_name(label, |c| c == '_') || label.starts_with("__") {
            return Err(SpecFault::Label { label: label.clone() });
        }
        if RESERVED.contains(&&**label) {
            return Err(SpecFault::ReservedLabel { label: label.clone() });
        }
        if labels[..i].contains(label) {
            return Err(SpecFault::RepeatedLabel { label: label.clone() });
        }
    }
    Ok(())
}

/// True if two metrics of different names would export a series or an OpenMetrics family of the same name.
pub(crate) fn clash(a: &Spec, b: &Spec) -> bool {
    let one = |a: &Spec, b: &Spec| {
        let base = a.base_name();
        let of_a = |name: &str| match (&a.shape, name.strip_prefix(base)) {
            (_, None) => false,
            (_, Some("")) => true,
            (Shape::Counter, Some(suffix)) => matches!(suffix, "_total" | "_created"),
            (Shape::Gauge, Some(_)) => false,
            (Shape::Histogram(_), Some(suffix)) => {
                matches!(suffix, "_bucket" | "_sum" | "_count" | "_created")
            }
        };
        of_a(&b.name) || of_a(b.base_name())
    };
    one(a, b) || one(b, a)
}

fn is_name(name: &str, extra: impl Fn(char) -> bool) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || extra(c))
}

fn has_suffix(base: &str, unit: &str) -> bool {
    base.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_') && rest.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(spec: &Spec, words: &str) {
        let said = check(spec).expect_err("refused").to_string();
        assert!(said.contains(words), "`{said}` does not say `{words}`");
    }

    #[test]
    fn labels_that_the_scraper_writes_are_refused_by_name() {
        for label in ["job", "instance", "overflow", "le"] {
            refused(&Spec::gauge("g", "", &["route", label]), &format!("`{label}`"));
        }
    }

    #[test]
    fn names_follow_the_prometheus_grammar() {
        for name in ["", "9lives", "a-b", "a b", "grün", "a\n"] {
            refused(&Spec::gauge(name, "", &[]), "no metric name");
        }
        for label in ["", "9", "a-b", "a:b", "__meta"] {
            refused(&Spec::gauge("g", "", &[label]), "no label name");
        }
        refused(&Spec::gauge("g", "", &["a", "b", "a"]), "twice");
        assert_eq!(check(&Spec::gauge("_a:b9", "", &["_a9"])), Ok(()));
    }

    #[test]
    fn suffixes_tell_the_kind_and_the_unit() {
        refused(&Spec::counter("requests", "", &[]), "_total");
        refused(&Spec::gauge("requests_total", "", &[]), "no counter");
        refused(&Spec::gauge("duration", "", &[]).unit("seconds"), "append `_seconds`");
        refused(&Spec::gauge("milliseconds", "", &[]).unit("seconds"), "append `_seconds`");
        assert_eq!(check(&Spec::counter("cpu_seconds_total", "", &[]).unit("seconds")), Ok(()));
    }

    #[test]
    fn edges_rise_and_are_finite() {
        for edges in [&[1.0, 1.0][..], &[2.0, 1.0], &[1.0, f64::INFINITY], &[f64::NAN]] {
            refused(&Spec::histogram("h", "", edges, &[]), "edges");
        }
    }

    #[test]
    fn series_of_one_metric_are_not_those_of_another() {
        let histogram = Spec::histogram("h", "", &[1.0], &[]);
        assert!(clash(&histogram, &Spec::gauge("h_count", "", &[])));
        assert!(clash(&Spec::gauge("h_bucket", "", &[]), &histogram));
        assert!(clash(&Spec::counter("x_total", "", &[]), &Spec::gauge("x", "", &[])));
        assert!(!clash(&histogram, &Spec::gauge("h_counts", "", &[])));
        assert!(!clash(&Spec::gauge("x_y", "", &[]), &Spec::gauge("x", "", &[])));
    }
}

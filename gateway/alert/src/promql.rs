//! A rule as PromQL: what it would be in a Prometheus, and what it is called in evidence.

use std::fmt::Write;

use weir_config::Selector;
use weir_telemetry::Shape;

use crate::rule::{Pick, Query, Rule};

/// The expression that holds while the rule does. `scope`: matchers of the scrape job, such as
/// `job="weir"`; "" for none.
pub fn of(rule: &Rule, scope: &str) -> String {
    let config = &rule.config;
    let window = weir_config::period(config.window);
    let by = grouped(&config.by);
    let bound =
        config.bound.map_or(String::new(), |(how, bound)| format!(" {} {}", how.operator(), number(bound)));
    let over = |function: &str, pick: &Pick| {
        format!("sum{by}({function}({}[{window}]))", series(pick, counted(pick), &[scope]))
    };
    let enough = |pick: &Pick| match config.min_events {
        0 => String::new(),
        least => format!(" and {} >= {least}", over("increase", pick)),
    };
    match &rule.query {
        Query::Rate(pick) => format!("{}{bound}", over("rate", pick)),
        Query::Increase(pick) => format!("{}{bound}", over("increase", pick)),
        Query::Ratio { part, whole, under } => {
            let part = match under {
                Some(at) => under_edge(part, *at, &by, &window, scope),
                None => over("increase", part),
            };
            format!("{part} / {}{bound}{}", over("increase", whole), enough(whole))
        }
        Query::Quantile { q, of } => {
            let groups: Vec<String> = config.by.iter().cloned().chain(["le".to_owned()]).collect();
            let buckets = series(of, "_bucket", &[scope]);
            let sum = format!("sum{}(rate({buckets}[{window}]))", grouped(&groups));
            format!("histogram_quantile({}, {sum}){bound}{}", number(*q), enough(of))
        }
        Query::Gauge { of, aggregate } => {
            let series = series(of, "", &[scope]);
            let value = aggregate.map_or(series.clone(), |how| format!("{}{by}({series})", how.as_str()));
            format!("{value}{bound}")
        }
        Query::Condition { of, .. } => format!("{} == 1", series(of, "", &[scope])),
        Query::Absent(of) => format!("absent({})", series(of, counted(of), &[scope])),
    }
}

/// The share of a histogram at or under an edge. `le` is written both as `1` and as `1.0`: scrapers differ.
fn under_edge(pick: &Pick, at: usize, by: &str, window: &str, scope: &str) -> String {
    let Shape::Histogram(edges) = &pick.spec.shape else { return String::new() };
    let le = edges.get(at).copied().map(le).unwrap_or_default();
    format!("sum{by}(increase({}[{window}]))", series(pick, "_bucket", &[scope, &le]))
}

/// A matcher of one bucket in every spelling that scrapers give it: `le="0.5"`, `le=~"1|1\\.0"`.
pub(crate) fn le(edge: f64) -> String {
    let plain = number(edge);
    let mut all = vec![plain.clone()];
    if !plain.contains('.') {
        all.push(format!("{plain}.0"));
    }
    all.extend(with_exponent(edge));
    let selector = Selector { label: "le".to_owned(), values: all, negated: false };
    matcher(&selector)
}

/// The spelling of Go, and so of Prometheus 3, where it has an exponent: `1e+06`.
fn with_exponent(x: f64) -> Option<String> {
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let sign = if exponent < 0 { '-' } else { '+' };
    (!(-4..6).contains(&exponent)).then(|| format!("{digits}e{sign}{:02}", exponent.unsigned_abs()))
}

fn counted(pick: &Pick) -> &'static str {
    if matches!(pick.spec.shape, Shape::Histogram(_)) { "_count" } else { "" }
}

fn grouped(by: &[String]) -> String {
    if by.is_empty() { String::new() } else { format!(" by ({}) ", by.join(", ")) }
}

/// A selection with its matchers.
fn series(pick: &Pick, suffix: &str, further: &[&str]) -> String {
    // What is not meant comes first: `absent` forgets a label of which a second matcher speaks that is no
    // plain one.
    let (meant, not): (Vec<_>, Vec<_>) = pick.selectors.iter().partition(|(_, selector)| !selector.negated);
    let own = not.into_iter().chain(meant).map(|(_, selector)| matcher(selector));
    let further = further.iter().filter(|one| !one.is_empty()).map(ToString::to_string);
    let all: Vec<String> = further.chain(own).collect();
    let name = &pick.spec.name;
    if all.is_empty() { format!("{name}{suffix}") } else { format!("{name}{suffix}{{{}}}", all.join(", ")) }
}

fn matcher(selector: &Selector) -> String {
    let Selector { label, values, negated } = selector;
    if let [value] = values.as_slice() {
        let operator = if *negated { "!=" } else { "=" };
        return format!("{label}{operator}{}", quoted(value));
    }
    let operator = if *negated { "!~" } else { "=~" };
    let any: Vec<String> = values.iter().map(|value| escaped(value)).collect();
    format!("{label}{operator}{}", quoted(&any.join("|")))
}

/// A value as a part of a regular expression.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A string literal.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c => {
                let _ = write!(out, "{c}");
            }
        }
    }
    out.push('"');
    out
}

/// A number as PromQL reads it.
pub(crate) fn number(x: f64) -> String {
    format!("{x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_matched_in_every_spelling_and_no_other_one_is() {
        let spelled = [
            (0.5, r#"le="0.5""#),
            // An unescaped dot would match the bucket `100` as well.
            (1.0, r#"le=~"1|1\\.0""#),
            (100.0, r#"le=~"100|100\\.0""#),
            (2_500_000.0, r#"le=~"2500000|2500000\\.0|2\\.5e\\+06""#),
            (0.000_02, r#"le=~"0\\.00002|2e-05""#),
        ];
        for (edge, matcher) in spelled {
            assert_eq!(le(edge), matcher);
        }
    }
}

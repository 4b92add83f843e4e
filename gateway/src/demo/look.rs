//! What a scraper reads, as the few numbers the demo shows.

use std::collections::BTreeMap;

/// One reading of `/metrics`.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// Rows predicted.
    pub(super) rows: f64,
    pub(super) classes: BTreeMap<String, f64>,
    /// Rows whose best class has a probability of at most [`UNSURE`], and rows with probabilities.
    pub(super) unsure: f64,
    pub(super) scored: f64,
    /// Sum and count of the feature that is shown to drift.
    pub(super) drifting: (f64, f64),
    /// Time a prediction takes, cumulative by upper edge in seconds.
    latency: Vec<(f64, f64)>,
    pub(super) missing: f64,
    pub(super) unseen: f64,
    pub(super) out_of_range: f64,
    /// State, rows and CPU seconds by key.
    pub(super) plugins: BTreeMap<String, PluginLook>,
    /// The condition `low_confidence` holds.
    pub(super) low_confidence: bool,
    /// What the last window says, and what drifts by feature, with its corrected PSI.
    pub(super) drift: String,
    drifted: Vec<String>,
    psi: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PluginLook {
    pub(super) state: String,
    pub(super) rows: f64,
    pub(super) cpu: f64,
}

/// An answer is unsure if the probability of its class is at most this. About a third of the answers are, so
/// that it shows soon if they become more. An edge of the core's own histogram, as text.
pub(super) const UNSURE: &str = "0.7";

/// The feature of which the mean is shown.
pub(super) const DRIFTING: &str = "tenure";

impl Look {
    /// Reads the text format.
    pub(super) fn of(text: &str) -> Self {
        let mut look = Self::default();
        text.lines().filter_map(sample).for_each(|(name, labels, value)| look.add(name, &labels, value));
        look.latency.sort_by(|a, b| a.0.total_cmp(&b.0));
        look
    }

    fn add(&mut self, name: &str, labels: &BTreeMap<&str, String>, value: f64) {
        let label = |name| labels.get(name).map_or("", String::as_str);
        let drifts = label("feature") == DRIFTING;
        match name {
            "predictions_total" if label("outcome") == "ok" => self.rows += value,
            "predictions_by_class_total" => {
                *self.classes.entry(label("class").to_owned()).or_default() += value;
            }
            "prediction_confidence_bucket" if label("le") == UNSURE => self.unsure += value,
            "prediction_confidence_count" => self.scored += value,
            "prediction_latency_seconds_bucket" => self.latency.push((edge(label("le")), value)),
            "feature_stats_value_sum" if drifts => self.drifting.0 += value,
            "feature_stats_value_count" if drifts => self.drifting.1 += value,
            "feature_stats_missing_total" => self.missing += value,
            "feature_stats_unseen_category_total" => self.unseen += value,
            "feature_stats_out_of_range_total" => self.out_of_range += value,
            "confidence_low_confidence_active" => self.low_confidence |= value > 0.0,
            "drift_state" if value > 0.0 => label("state").clone_into(&mut self.drift),
            "drift_drifted_feature_active" if value > 0.0 => self.drifted.push(label("feature").to_owned()),
            "drift_psi" => drop(self.psi.insert(label("feature").to_owned(), value)),
            "weir_plugin_state" if value > 0.0 => {
                label("state").clone_into(&mut self.plugin(label("plugin")).state);
            }
            "weir_plugin_rows_total" => self.plugin(label("plugin")).rows = value,
            "weir_plugin_cpu_seconds_total" => self.plugin(label("plugin")).cpu = value,
            _ => {}
        }
    }

    /// What drifts, the largest effect first.
    pub(super) fn drifted(&self) -> Vec<(&str, f64)> {
        let psi = |name: &str| self.psi.get(name).copied().unwrap_or_default();
        let mut all: Vec<(&str, f64)> = self.drifted.iter().map(|name| (&**name, psi(name))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }

    fn plugin(&mut self, key: &str) -> &mut PluginLook {
        self.plugins.entry(key.to_owned()).or_default()
    }

    /// What came after an earlier reading.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let class = |(class, rows): (&String, &f64)| {
            (class.clone(), rows - earlier.classes.get(class).copied().unwrap_or(0.0))
        };
        Self {
            rows: self.rows - earlier.rows,
            classes: self.classes.iter().map(class).collect(),
            unsure: self.unsure - earlier.unsure,
            scored: self.scored - earlier.scored,
            drifting: (self.drifting.0 - earlier.drifting.0, self.drifting.1 - earlier.drifting.1),
            missing: self.missing - earlier.missing,
            unseen: self.unseen - earlier.unseen,
            out_of_range: self.out_of_range - earlier.out_of_range,
            ..self.clone()
        }
    }

    /// The quantile of a prediction's time in milliseconds, as Prometheus estimates it: evenly spread within
    /// a bucket. In the first bucket nothing is known but its edge: `<`.
    pub(super) fn latency(&self, quantile: f64) -> String {
        let all = self.latency.last().map_or(0.0, |(_, count)| *count);
        let rank = quantile * all;
        let Some(at) = self.latency.iter().position(|(_, count)| *count >= rank).filter(|_| all > 0.0) else {
            return "-".into();
        };
        let (upper, count) = self.latency[at];
        match at.checked_sub(1).map(|below| self.latency[below]) {
            None => format!("< {} ms", upper * 1e3),
            Some((lower, _)) if upper.is_infinite() => format!("> {} ms", lower * 1e3),
            Some((lower, below)) => {
                format!("{:.2} ms", (lower + (upper - lower) * (rank - below) / (count - below)) * 1e3)
            }
        }
    }
}

/// Name, labels and value of a line that is a sample.
fn sample(line: &str) -> Option<(&str, BTreeMap<&str, String>, f64)> {
    let end = line.find(['{', ' ']).filter(|_| !line.starts_with('#'))?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, value) = rest.trim_start_matches(',').split_once("=\"")?;
            let (value, after) = unescape(value)?;
            labels.insert(label, value);
            rest = after;
        }
        rest = &rest[1..];
    }
    Some((name, labels, rest.split_whitespace().next()?.parse().ok()?))
}

/// A label's value up to its closing quote, and what follows.
fn unescape(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

fn edge(le: &str) -> f64 {
    le.parse().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP predictions_total Rows.
# TYPE predictions_total counter
predictions_total{route="churn",outcome="ok"} 30
predictions_total{route="churn",outcome="client_error"} 7
predictions_by_class_total{class="a \"quoted\", one"} 20
predictions_by_class_total{class="No"} 10
prediction_latency_seconds_bucket{le="0.0001"} 10
prediction_latency_seconds_bucket{le="0.0002"} 20
prediction_latency_seconds_bucket{le="+Inf"} 21
feature_stats_value_sum{feature="tenure"} 300
feature_stats_value_count{feature="tenure"} 10
feature_stats_value_sum{feature="age"} 5
weir_plugin_state{plugin="drift",state="running"} 1
weir_plugin_state{plugin="drift",state="quarantined"} 0
up 1
"#;

    #[test]
    fn the_text_format_is_read_with_its_labels() {
        let look = Look::of(TEXT);
        assert_eq!((look.rows, look.drifting), (30.0, (300.0, 10.0)));
        assert_eq!(look.classes["a \"quoted\", one"], 20.0);
        assert_eq!(look.plugins["drift"].state, "running");
        assert_eq!(Look::of(TEXT).since(&look).classes["No"], 0.0);
    }

    #[test]
    fn quantiles_are_those_of_the_buckets_and_edges_where_no_more_is_known() {
        let look = Look::of(TEXT);
        assert_eq!(look.latency(0.1), "< 0.1 ms");
        assert_eq!(look.latency(0.75), "0.16 ms");
        assert_eq!(look.latency(1.0), "> 0.2 ms");
        assert_eq!(Look::default().latency(0.5), "-");
    }
}

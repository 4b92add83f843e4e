//! `[alert.NAME]`: one rule, and what is told when it holds.

use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

use crate::fault::Place;
use crate::key::{Table, section};
use crate::kind::{
    Bool, Count, Entry, List, Number, Pairs, Period, Placed, Selectors, Text, Word, Words, period,
};
use crate::limits::DAY;
use crate::reader::{At, Reader};
use crate::section::{Keys, read};

const SECOND: Duration = Duration::from_secs(1);
/// The longest window of a rule; longer ones are what objectives are for.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

section! {
    /// A rule over a plugin's condition or over Weir's own series, and what is told while it holds. Exactly
    /// one of `condition`, `rate`, `increase`, `ratio`, `quantile`, `gauge` and `absent` says what is
    /// measured, and one of `above`, `below` and `equals` what is too much.
    pub(crate) struct AlertKeys {
        /// Plugin whose condition it is, by its key.
        plugin: Option<At<String>> = optional("\"confidence\"", Placed(Text));
        /// Condition of that plugin; the rule holds while it is active.
        condition: Option<At<String>> = optional("\"low_confidence\"", Placed(Text));
        /// Counter, or histogram for its number of observations: its increase a second over the window.
        rate: Option<At<String>> = optional("\"predictions_total\"", Placed(Text));
        /// Counter or histogram: its increase over the window.
        increase: Option<At<String>> = optional("\"weir_reload_total\"", Placed(Text));
        /// Counter or histogram that is the part: the share of its increase in that of `of`.
        ratio: Option<At<String>> = optional("\"api_errors_total\"", Placed(Text));
        /// The whole of a `ratio`; without it the same metric, where it is not narrowed by `where`.
        of: Option<At<String>> = optional("\"http_server_request_duration_seconds\"", Placed(Text));
        /// Which series of the whole are meant, as `where` says it of the part.
        of_where: Vec<At<(String, Vec<String>)>> = default("{}", Selectors);
        /// Of a `ratio` of one histogram: the part is what lies at or under this edge.
        under: Option<At<f64>> = optional("0.6", Placed(Number::ANY));
        /// Histogram: the quantile `q` of what it saw in the window.
        quantile: Option<At<String>> = optional("\"prediction_latency_seconds\"", Placed(Text));
        /// Which quantile.
        q: Option<At<f64>> = optional("0.95", Placed(Number::new(0.0, 1.0)));
        /// Gauge: its value now, of each series by itself or put together by `aggregate`.
        gauge: Option<At<String>> = optional("\"model_loaded\"", Placed(Text));
        /// How series of a gauge are put together: "min", "max", "sum" or "avg", by the labels `by`.
        aggregate: Option<At<Aggregate>> = optional("\"min\"", Placed(Word::of(AGGREGATES)));
        /// Metric that ought to be there: the rule holds while no series of it is.
        absent: Option<At<String>> = optional("\"model_loaded\"", Placed(Text));
        /// Which series are meant, such as { outcome = ["timeout", "upstream_error"] }.
        r#where: Vec<At<(String, Vec<String>)>> = default("{}", Selectors);
        /// Which series are not meant, written alike.
        not: Vec<At<(String, Vec<String>)>> = default("{}", Selectors);
        /// Labels that tell one alert of the rule from another, such as ["route"]; all else is added up.
        by: Vec<At<String>> = default("[]", List::up_to(8, Placed(Text)));
        /// How far back a rate, increase, ratio or quantile looks.
        window: Duration = default("\"5m\"", Period::new(SECOND, LONGEST));
        /// Holds while the value is greater than this.
        above: Option<At<f64>> = optional("0.05", Placed(Number::ANY));
        /// Holds while the value is smaller than this.
        below: Option<At<f64>> = optional("0.5", Placed(Number::ANY));
        /// Holds while the value is this.
        equals: Option<At<f64>> = optional("0.0", Placed(Number::ANY));
        /// Events that the window must hold before a ratio or quantile is believed: of the whole, or of the
        /// histogram.
        min_events: u64 = default("10", Count::new(0, 1_000_000_000));
        /// How long it must hold without a break before the alert fires.
        r#for: Duration = default("\"0s\"", Period::new(SECOND, DAY).or_zero());
        /// How long the alert goes on firing after it last held.
        keep_firing_for: Duration = default("\"0s\"", Period::new(SECOND, DAY).or_zero());
        /// Labels of the alert, such as { severity = "warning" }.
        labels: Vec<At<(String, String)>> = default("{}", Pairs);
        /// What people read, such as { summary = "{{ $labels.route }} is at {{ $value | humanizePercentage }}" }.
        annotations: Vec<At<(String, String)>> = default("{}", Pairs);
        /// Where to read what to do.
        runbook_url: Option<String> = optional("\"https://runbooks.example/low-confidence\"", Text);
        /// Alerts or objectives that explain this one: while one of them fires, nobody is told of this one
        /// anew. Of `route`, `model` and `model_version` those labels are to be equal that both have.
        pub(crate) unless: Vec<At<String>> = default("[]", List::up_to(16, Placed(Text)));
        /// True: judged and shown, but nobody is told.
        dry_run: bool = default("false", Bool);
    }
}

/// How series of a gauge are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Min,
    Max,
    Sum,
    Avg,
}

const AGGREGATES: Words<Aggregate> =
    &[("min", Aggregate::Min), ("max", Aggregate::Max), ("sum", Aggregate::Sum), ("avg", Aggregate::Avg)];

impl Aggregate {
    /// The name in the configuration, which is PromQL's.
    pub fn as_str(self) -> &'static str {
        AGGREGATES.iter().find(|(_, a)| *a == self).map_or("", |(name, _)| name)
    }
}

/// What a value is compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Above,
    Below,
    Equals,
}

impl Compare {
    /// The key in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::Equals => "equals",
        }
    }

    /// The operator in PromQL.
    pub fn operator(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::Below => "<",
            Self::Equals => "==",
        }
    }

    /// Whether a value is too much; NaN never is.
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::Below => value < bound,
            Self::Equals => value == bound,
        }
    }
}

/// One label and the values that are meant, or that are not.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    pub label: String,
    /// One or more.
    pub values: Vec<String>,
    /// The values are those that are not meant.
    pub negated: bool,
}

impl Selector {
    /// Whether a label's value is meant; a label that is absent has the value "".
    pub fn takes(&self, value: &str) -> bool {
        self.values.iter().any(|v| v == value) != self.negated
    }
}

/// Series of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    pub metric: String,
    pub selectors: Vec<Selector>,
}

/// What a rule measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// Active while the plugin says so.
    Condition {
        plugin: String,
        condition: String,
        selectors: Vec<Selector>,
    },
    Rate(Selection),
    Increase(Selection),
    /// `under`: the part is what lies at or under this edge of the histogram.
    Ratio {
        part: Selection,
        whole: Selection,
        under: Option<f64>,
    },
    Quantile {
        q: f64,
        of: Selection,
    },
    /// `aggregate`: `None` leaves each series by itself.
    Gauge {
        of: Selection,
        aggregate: Option<Aggregate>,
    },
    Absent(Selection),
}

impl Measure {
    /// The key that names what is measured.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Condition { .. } => "condition",
            Self::Rate(_) => "rate",
            Self::Increase(_) => "increase",
            Self::Ratio { .. } => "ratio",
            Self::Quantile { .. } => "quantile",
            Self::Gauge { .. } => "gauge",
            Self::Absent(_) => "absent",
        }
    }

    /// Whether it looks back over the window.
    pub fn has_window(&self) -> bool {
        matches!(self, Self::Rate(_) | Self::Increase(_) | Self::Ratio { .. } | Self::Quantile { .. })
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// Its key, the label `alertname`.
    pub name: Arc<str>,
    pub measure: Measure,
    pub by: Vec<String>,
    pub window: Duration,
    /// `None` for a condition and for what is absent.
    pub bound: Option<(Compare, f64)>,
    /// 0 for what has no events to count.
    pub min_events: u64,
    pub hold: Duration,
    pub keep_firing_for: Duration,
    pub telling: Telling,
}

/// What is told of a rule or an objective, and when not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Telling {
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
    pub runbook_url: Option<String>,
    /// Names of alerts and objectives.
    pub unless: Vec<String>,
    pub dry_run: bool,
}

impl Entry for AlertKeys {
    const TABLES: &'static [&'static Table] = &[Self::TABLE];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self {
        read(table, place, reader)
    }
}

/// Labels that Weir or whoever receives alerts writes.
const RESERVED: [&str; 3] = ["alertname", "instance", "slo"];

/// Names of alerts that Weir gives.
const OURS: [&str; 2] = ["SLOErrorBudgetBurn", "Watchdog"];
/// Most evaluations in a window: their samples are kept.
const MOST_LOOKS: u32 = 5000;

impl At<AlertKeys> {
    /// `interval`: of evaluations.
    pub(crate) fn resolve(self, interval: Duration, reader: &mut Reader<'_>) -> Option<AlertRule> {
        let At { value: keys, shown, place } = self;
        if OURS.contains(&shown.as_str()) {
            reader.misfit(
                &place,
                format!("`{shown}` is what Weir calls an alert of its own (choose another name)"),
            );
        }
        let bound = bound(&keys, &place, reader);
        let measure = measure(&keys, &place, reader)?;
        check_bound(&measure, bound.is_some(), &place, reader);
        if measure.has_window() {
            check_window(keys.window, interval, &place, reader);
        }
        fitting(&keys, &measure, &place, reader);
        let has_events = matches!(measure, Measure::Ratio { .. } | Measure::Quantile { .. });
        Some(AlertRule {
            name: shown.into(),
            by: keys.by.into_iter().map(|label| label.value).collect(),
            window: keys.window,
            bound,
            min_events: if has_events { keys.min_events } else { 0 },
            hold: keys.r#for,
            keep_firing_for: keys.keep_firing_for,
            telling: telling(
                keys.labels,
                keys.annotations,
                (keys.runbook_url, keys.dry_run),
                keys.unless,
                reader,
            ),
            measure,
        })
    }
}

/// What is told; labels that others write are faults.
pub(crate) fn telling(
    labels: Vec<At<(String, String)>>,
    annotations: Vec<At<(String, String)>>,
    (runbook_url, dry_run): (Option<String>, bool),
    unless: Vec<At<String>>,
    reader: &mut Reader<'_>,
) -> Telling {
    check_labels(&labels, reader);
    Telling {
        labels: labels.into_iter().map(|label| label.value).collect(),
        annotations: annotations.into_iter().map(|text| text.value).collect(),
        runbook_url,
        unless: unless.into_iter().map(|name| name.value).collect(),
        dry_run,
    }
}

/// Label names of an alert.
pub(crate) fn check_labels(labels: &[At<(String, String)>], reader: &mut Reader<'_>) {
    for label in labels {
        let name = &label.value.0;
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if RESERVED.contains(&name.as_str()) {
            reader.fault(&label.place, format!("the label `{name}` is Weir's to write (take it out)"));
        } else if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal) {
            reader.fault(&label.place, format!("`{name}` is no label (use letters, digits and `_`)"));
        }
    }
}

/// The one key that says what is measured.
fn measure(keys: &AlertKeys, place: &Place, reader: &mut Reader<'_>) -> Option<Measure> {
    let forms = [
        ("condition", &keys.condition),
        ("rate", &keys.rate),
        ("increase", &keys.increase),
        ("ratio", &keys.ratio),
        ("quantile", &keys.quantile),
        ("gauge", &keys.gauge),
        ("absent", &keys.absent),
    ];
    let given: Vec<_> = forms.iter().filter_map(|(key, name)| Some((*key, name.as_ref()?))).collect();
    let [(key, name)] = given.as_slice() else {
        let all = forms.map(|(key, _)| format!("`{key}`")).join(", ");
        let words = if given.is_empty() { "nothing says" } else { "more than one key says" };
        reader.misfit(place, format!("{words} what is measured (write exactly one of {all})"));
        return None;
    };
    let selectors = selectors(&keys.r#where, &keys.not);
    let selection = || Selection { metric: name.value.clone(), selectors: selectors.clone() };
    Some(match *key {
        "condition" => {
            let Some(plugin) = &keys.plugin else {
                reader.misfit(place, "`plugin` is missing (name the plugin whose condition it is)");
                return None;
            };
            Measure::Condition { plugin: plugin.value.clone(), condition: name.value.clone(), selectors }
        }
        "rate" => Measure::Rate(selection()),
        "increase" => Measure::Increase(selection()),
        "ratio" => {
            let metric = keys.of.as_ref().unwrap_or(name).value.clone();
            let under = keys.under.as_ref().map(|edge| edge.value);
            let of = if under.is_some() { selectors.clone() } else { self::selectors(&keys.of_where, &[]) };
            Measure::Ratio { part: selection(), whole: Selection { metric, selectors: of }, under }
        }
        "quantile" => {
            let Some(q) = &keys.q else {
                reader.misfit(place, "`q` is missing (write `q = 0.95` for the 95th percentile)");
                return None;
            };
            Measure::Quantile { q: q.value, of: selection() }
        }
        "gauge" => Measure::Gauge {
            of: selection(),
            aggregate: keys.aggregate.as_ref().map(|aggregate| aggregate.value),
        },
        _ => Measure::Absent(selection()),
    })
}

fn selectors(meant: &[At<(String, Vec<String>)>], not: &[At<(String, Vec<String>)>]) -> Vec<Selector> {
    let of = |negated| {
        move |at: &At<(String, Vec<String>)>| {
            let (label, values) = at.value.clone();
            Selector { label, values, negated }
        }
    };
    meant.iter().map(of(false)).chain(not.iter().map(of(true))).collect()
}

/// The one key that says what is too much.
fn bound(keys: &AlertKeys, place: &Place, reader: &mut Reader<'_>) -> Option<(Compare, f64)> {
    let all = [(Compare::Above, &keys.above), (Compare::Below, &keys.below), (Compare::Equals, &keys.equals)];
    let given: Vec<_> = all.iter().filter_map(|(how, at)| Some((*how, at.as_ref()?.value))).collect();
    if given.len() > 1 {
        reader.misfit(place, "more than one bound stands here (write one of `above`, `below`, `equals`)");
    }
    given.first().copied()
}

/// A window holds two evaluations or more, and not too many.
fn check_window(window: Duration, interval: Duration, place: &Place, reader: &mut Reader<'_>) {
    let (shown, every) = (period(window), period(interval));
    if window < interval * 2 {
        let words = format!(
            "a window of `{shown}` holds no two evaluations, which come every `{every}`, so that \
                             it never sees an increase (write `{}` or more)",
            period(interval * 2)
        );
        reader.misfit(place, words);
    } else if window > interval * MOST_LOOKS {
        let words = format!(
            "a window of `{shown}` holds over {MOST_LOOKS} evaluations, which come every `{every}` \
                             (write `{}` or less, or a longer `alerting.interval`)",
            period(interval * MOST_LOOKS)
        );
        reader.misfit(place, words);
    }
}

fn check_bound(measure: &Measure, bounded: bool, place: &Place, reader: &mut Reader<'_>) {
    let wants = !matches!(measure, Measure::Condition { .. } | Measure::Absent(_));
    let key = measure.key();
    if wants && !bounded {
        let words = "nothing says what is too much (write one of `above`, `below`, `equals`)";
        reader.misfit(place, words);
    } else if !wants && bounded {
        let words = "holds or does not: there is nothing to compare (take the bound out)";
        reader.misfit(place, format!("`{key}` {words}"));
    }
}

/// Keys that mean something only beside others.
fn fitting(keys: &AlertKeys, measure: &Measure, place: &Place, reader: &mut Reader<'_>) {
    let is_ratio = matches!(measure, Measure::Ratio { .. });
    let is_gauge = matches!(measure, Measure::Gauge { .. });
    let mut lonely = |at: Option<&Place>, key: &str, of: &str| {
        if let Some(at) = at {
            reader.misfit(at, format!("`{key}` belongs to a `{of}` (take it out)"));
        }
    };
    if !is_ratio {
        lonely(keys.of.as_ref().map(|at| &at.place), "of", "ratio");
        lonely(keys.of_where.first().map(|at| &at.place), "of_where", "ratio");
        lonely(keys.under.as_ref().map(|at| &at.place), "under", "ratio");
    }
    if !matches!(measure, Measure::Quantile { .. }) {
        lonely(keys.q.as_ref().map(|at| &at.place), "q", "quantile");
    }
    if !is_gauge {
        lonely(keys.aggregate.as_ref().map(|at| &at.place), "aggregate", "gauge");
    }
    if !matches!(measure, Measure::Condition { .. }) {
        lonely(keys.plugin.as_ref().map(|at| &at.place), "plugin", "condition");
    }
    if is_gauge && keys.aggregate.is_none() && !keys.by.is_empty() {
        let words = "`by` puts series of a gauge together (say how: `aggregate = \"min\"`, say)";
        reader.misfit(&keys.by[0].place, words);
    }
    if is_ratio && keys.of.is_none() && keys.under.is_none() && keys.r#where.is_empty() && keys.not.is_empty()
    {
        let words = "the part is the whole: the ratio is always 1 (narrow it by `where`, or name `of`)";
        reader.misfit(place, words);
    }
    if is_ratio && keys.under.is_some() && (keys.of.is_some() || !keys.of_where.is_empty()) {
        let words = "`under` takes the whole from the same series (take `of` and `of_where` out)";
        reader.misfit(place, words);
    }
}

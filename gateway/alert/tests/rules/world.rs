//! A gateway's metrics as a test has them, and an engine that looks at them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use weir_alert::{Alert, Catalogue, Common, DeclaredCondition, Engine, Input, Outcome, Plan, Saved};
use weir_config::{Config, Misfit};
use weir_exchange::ConditionState;
use weir_telemetry::{Points, Sample, Spec, Value};

const BASE: &str = "
[[route]]
name = \"churn\"
path = \"/p\"
backend = \"b\"
protocol = \"mlflow\"
[backend.b]
endpoints = [\"http://127.0.0.1:9000\"]
";

pub(crate) const START_MS: u64 = 1_795_000_000_000 / 15_000 * 15_000;
pub(crate) const TICK_MS: u64 = 15_000;

pub(crate) fn config(text: &str) -> Config {
    let whole = format!("{BASE}{text}");
    Config::parse(&whole, "t.toml", Path::new("/etc"), &|_| None).unwrap_or_else(|f| panic!("{f}")).config
}

fn specs() -> Vec<Spec> {
    vec![
        Spec::counter("api_errors_total", "", &["route", "error_type"]),
        Spec::counter("predictions_total", "", &["route", "model", "model_version", "outcome"]),
        Spec::histogram(
            "http_server_request_duration_seconds",
            "",
            &[0.1, 1.0],
            &["route", "http_response_status_code"],
        ),
        Spec::histogram("prediction_confidence", "", &[0.5, 0.6, 1.0], &["route", "model", "model_version"]),
        Spec::gauge("model_loaded", "", &["model", "model_version"]),
        Spec::gauge("confidence_low_confidence_active", "", &["plugin", "route", "model", "model_version"]),
        Spec::counter("weir_slo_events_total", "", &["slo", "definition", "good"]),
        Spec::counter("weir_build_info", "", &[]),
    ]
}

pub(crate) fn plan(text: &str) -> Result<(Plan, Config), Vec<Misfit>> {
    let config = config(text);
    let low = DeclaredCondition {
        plugin: "confidence".into(),
        name: "low_confidence".into(),
        gauge: "confidence_low_confidence_active".into(),
    };
    Plan::new(&config, &Catalogue::new(specs(), vec![low])).map(|plan| (plan, config))
}

fn common(config: &Config, durable: bool) -> Common {
    Common {
        alerting: config.alerting.clone(),
        instance: "weir-1".into(),
        address: "http://127.0.0.1:9464".into(),
        durable,
    }
}

/// Series by metric and labels.
type Series = BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>;

/// Metrics, time, and the engine.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) at_ms: u64,
    pub(crate) conditions: Vec<(Arc<str>, ConditionState)>,
    series: Series,
}

impl World {
    /// Rules that can work, one evaluation old.
    pub(crate) fn new(text: &str) -> Self {
        let (plan, config) = plan(text).unwrap_or_else(|faults| panic!("{faults:?}"));
        let engine = Engine::new(plan, common(&config, true), START_MS);
        let mut world = Self { engine, at_ms: START_MS, conditions: Vec::new(), series: Series::new() };
        world.tick();
        world
    }

    /// The same rules in a process that begins now, with counters at 0.
    pub(crate) fn restarted(&self, text: &str, saved: Saved) -> Self {
        let (plan, config) = plan(text).unwrap_or_else(|faults| panic!("{faults:?}"));
        let mut engine = Engine::new(plan, common(&config, true), self.at_ms);
        engine.restore(saved);
        Self { engine, at_ms: self.at_ms, conditions: Vec::new(), series: Series::new() }
    }

    pub(crate) fn replace(&mut self, text: &str) {
        let (plan, config) = plan(text).unwrap_or_else(|faults| panic!("{faults:?}"));
        self.engine.replace(plan, common(&config, true));
    }

    pub(crate) fn count(&mut self, metric: &'static str, labels: &[&str], more: f64) {
        let labels = labels.iter().map(ToString::to_string).collect();
        let cell = self.series.entry(metric).or_default().entry(labels).or_insert(Value::Counter(0.0));
        cell.absorb(&Value::Counter(more));
    }

    pub(crate) fn gauge(&mut self, metric: &'static str, labels: &[&str], value: f64) {
        let labels = labels.iter().map(ToString::to_string).collect();
        self.series.entry(metric).or_default().insert(labels, Value::Gauge(value));
    }

    /// A thing that is gone is absent.
    pub(crate) fn remove(&mut self, metric: &'static str) {
        self.series.remove(metric);
    }

    /// `good` requests of a route, and `bad` ones of one error type.
    pub(crate) fn requests(&mut self, route: &str, good: u64, bad: u64) {
        for (status, n) in [("200", good), ("500", bad)] {
            let labels = vec![route.to_owned(), status.to_owned()];
            let metric = "http_server_request_duration_seconds";
            let empty = || Value::Histogram { edges: [0.1, 1.0].into(), counts: vec![0, 0, 0], sum: 0.0 };
            let cell = self.series.entry(metric).or_default().entry(labels).or_insert_with(empty);
            cell.absorb(&Value::Histogram { edges: [0.1, 1.0].into(), counts: vec![n, 0, 0], sum: 0.0 });
        }
        self.count("api_errors_total", &[route, "status_5xx"], bad as f64);
    }

    /// The only objective.
    pub(crate) fn slo(&self) -> weir_alert::SloStatus {
        self.engine.slo_status(self.at_ms).remove(0).slo
    }

    fn points(&self) -> Vec<Points> {
        let specs = specs();
        let of = |(name, series): (&&'static str, &BTreeMap<Vec<String>, Value>)| {
            let spec = specs.iter().find(|spec| *spec.name == **name).expect("a known metric").clone();
            let sample = |(labels, value): (&Vec<String>, &Value)| Sample {
                labels: labels.iter().map(|label| Arc::from(label.as_str())).collect(),
                overflow: false,
                value: value.clone(),
                exemplars: Vec::new(),
            };
            Points { spec, samples: series.iter().map(sample).collect() }
        };
        self.series.iter().map(of).collect()
    }

    /// One evaluation, a tick after the last.
    pub(crate) fn tick(&mut self) -> Outcome {
        self.at_ms += TICK_MS;
        let points = self.points();
        let input = Input {
            at_ms: self.at_ms,
            wall_ms: self.at_ms,
            generation: 7,
            points: &points,
            conditions: &self.conditions,
        };
        self.engine.step(&input)
    }
}

/// The labels of alerts, one text each.
pub(crate) fn shown(alerts: &[Alert]) -> Vec<String> {
    let one = |alert: &Alert| {
        let labels: Vec<String> =
            alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        labels.join(" ")
    };
    alerts.iter().map(one).collect()
}

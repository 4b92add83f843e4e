//! The rules of a history, and what Prometheus is asked for each.

use std::path::Path;
use std::sync::Arc;

use weir_alert::{Catalogue, GenerateOptions, Plan, generate, promql};
use weir_config::Config;
use weir_telemetry::Spec;

use crate::history::EDGES;
use crate::random::Random;

const BASE: &str = r#"
[alerting]
interval = "15s"
[[route]]
name = "r"
path = "/p"
backend = "b"
protocol = "mlflow"
[backend.b]
endpoints = ["http://127.0.0.1:9000"]

[slo.s]
objective = 0.99
consecutive_bad = 0
[[slo.s.burn]]
long = "5m"
short = "1m"
factor = 4
severity = "page"
[[slo.s.burn]]
long = "6m"
short = "90s"
factor = 2
severity = "ticket"
"#;

pub(crate) fn specs() -> [Spec; 4] {
    [
        Spec::counter("calls_total", "Help.", &["route", "outcome"]),
        Spec::counter("retries_total", "Help.", &["route"]),
        Spec::histogram("latency_seconds", "Help.", &EDGES, &["route"]),
        Spec::counter("weir_slo_events_total", "Help.", &["slo", "definition", "good"]),
    ]
}

pub(crate) struct Rules {
    pub(crate) config: Config,
    /// The longest window of a rule, in s.
    pub(crate) longest_s: u64,
}

/// What Prometheus is asked.
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) promql: String,
    pub(crate) hold_ms: u64,
}

impl Rules {
    pub(crate) fn new(random: &mut Random) -> Self {
        let windows = [(); 5].map(|()| random.pick(&[60, 90, 120, 180]));
        let text = format!("{BASE}{}", rules(random, windows));
        let config = Config::parse(&text, "t.toml", Path::new("/"), &|_| None);
        let config = config.unwrap_or_else(|faults| panic!("{faults}\n{text}")).config;
        Self { config, longest_s: windows.into_iter().max().unwrap_or_default() }
    }

    pub(crate) fn plan(&self) -> Plan {
        let plan = Plan::new(&self.config, &Catalogue::new(specs(), Vec::new()));
        plan.unwrap_or_else(|misfits| panic!("{misfits:?}"))
    }

    pub(crate) fn definition(&self) -> Arc<str> {
        self.config.slos[0].event.definition.clone()
    }

    /// The expression of every rule and of every pair of windows.
    pub(crate) fn questions(&self, scope: &str) -> Vec<Question> {
        let plan = self.plan();
        let rules = plan.rules().iter().zip(&self.config.alerts).map(|(rule, config)| Question {
            name: config.name.to_string(),
            promql: promql(rule, scope),
            hold_ms: config.hold.as_millis() as u64,
        });
        let options =
            GenerateOptions { scope: scope.to_owned(), alerts: Some(false), ..GenerateOptions::default() };
        let pairs = pairs(&generate(&plan, &self.config, &options));
        let slo = &self.config.slos[0];
        assert_eq!(pairs.len(), slo.burn.len(), "{pairs:?}");
        let pairs = slo.burn.iter().zip(pairs).map(|(pair, promql)| {
            let [long, short] = [pair.long, pair.short].map(weir_config::period);
            Question { name: pair_name(&long, &short), promql, hold_ms: 0 }
        });
        rules.chain(pairs).collect()
    }
}

pub(crate) fn pair_name(long: &str, short: &str) -> String {
    format!("{long}/{short}")
}

/// Bounds lie between the bands in which things move.
fn rules(random: &mut Random, windows: [u64; 5]) -> String {
    let quick = random.pick(&[0.4, 0.5, 0.7]);
    let bodies = [
        ("rate", "rate = \"calls_total\"\nabove = 14".to_owned()),
        ("increase", format!("increase = \"retries_total\"\nabove = {}", windows[1])),
        (
            "ratio",
            format!(
                "ratio = \"calls_total\"\nwhere = {{ outcome = \"bad\" }}\nabove = 0.1\nmin_events = {}",
                windows[2]
            ),
        ),
        (
            "quantile",
            format!("quantile = \"latency_seconds\"\nq = 0.9\nabove = {quick}\nmin_events = {}", windows[3]),
        ),
        (
            "under",
            format!("ratio = \"latency_seconds\"\nunder = 0.5\nbelow = 0.85\nmin_events = {}", windows[4]),
        ),
    ];
    let rule = |((name, body), window): ((&str, String), u64)| {
        let hold = random.pick(&[0, 15, 30, 45]);
        format!("[alert.{name}]\n{body}\nby = [\"route\"]\nwindow = \"{window}s\"\nfor = \"{hold}s\"\n")
    };
    bodies.into_iter().zip(windows).map(rule).collect()
}

/// The expressions of the pairs among rules that were written for Prometheus, with what they read put in its
/// place.
fn pairs(rules: &str) -> Vec<String> {
    let (mut known, mut pairs) = (Vec::<(String, String)>::new(), Vec::new());
    for entry in rules.split("      - record: \"").skip(1) {
        let (name, rest) = entry.split_once('"').unwrap_or_default();
        let (_, rest) = rest.split_once("expr: |-\n").unwrap_or_default();
        let lines: Vec<&str> =
            rest.lines().take_while(|line| line.starts_with("          ")).map(str::trim).collect();
        let read = |text: String, (series, expr): &(String, String)| text.replace(series, expr);
        let expr = known.iter().fold(lines.join(" "), read);
        if name.starts_with("slo_pair:") {
            pairs.push(expr);
        } else {
            known.push((format!("{name}{{slo=\"s\"}}"), format!("({expr})")));
        }
    }
    pairs
}

//! A configuration with something of everything.

use std::path::Path;

use weir_alert::{Catalogue, DeclaredCondition, GenerateOptions, Plan, generate};
use weir_config::Config;
use weir_telemetry::Spec;

const BASE: &str = r#"
[[route]]
name = "churn"
path = "/p"
backend = "b"
protocol = "mlflow"
[backend.b]
endpoints = ["http://127.0.0.1:9000"]
"#;

pub(crate) const RULES: &str = r#"
[alerting]
labels = { cluster = "eu-1" }
watchdog = true

[slo.availability]
objective = 0.999

[slo.fast]
objective = 0.95
window = "7d"
latency_under = "500ms"
consecutive_bad = 0
runbook_url = "https://runbooks.example/{{x}}"
labels = { team = "ml" }
annotations = { summary = "{{ $labels.slo }} is a {{ $labels.severity }}: {{ $value | humanize }}x" }
unless = ["down"]
[[slo.fast.burn]]
long = "2h"
short = "10m"
factor = 9.5
severity = "page"
[[slo.fast.burn]]
long = "1d"
short = "2h"
factor = 3
severity = "ticket"

[alert.HighErrorRate]
ratio = "api_errors_total"
of = "http_server_request_duration_seconds"
where = { error_type = ["timeout", "connect"] }
by = ["route"]
above = 0.05
for = "5m"
keep_firing_for = "10m"
unless = ["down"]
labels = { severity = "critical" }
annotations = { summary = "{{ $labels.route }} fails at {{ $value | humanizePercentage }}" }

[alert.down]
gauge = "model_loaded"
equals = 0
for = "1m"

[alert.unsure]
ratio = "prediction_confidence"
under = 1.0
by = ["route"]
above = 0.5

[alert.slow]
quantile = "http_server_request_duration_seconds"
q = 0.99
above = 0.5

[alert.gone]
absent = "model_loaded"
where = { route = "churn" }

[alert.low]
plugin = "confidence"
condition = "low_confidence"

[alert.trial]
gauge = "model_loaded"
aggregate = "sum"
below = 1
dry_run = true
"#;

/// `RULES` with another `[alerting]`, which may go on with further tables.
pub(crate) fn with(alerting: &str) -> String {
    let rules = RULES.split_once("[slo.availability]").map_or("", |(_, rest)| rest);
    let (keys, tables) = alerting
        .find('[')
        .filter(|at| alerting[*at..].starts_with("[alerting"))
        .map_or((alerting, ""), |at| alerting.split_at(at));
    format!("[alerting]\n{keys}{tables}[slo.availability]{rules}")
}

pub(crate) fn read(text: &str) -> (Config, Plan) {
    let config = Config::parse(&format!("{BASE}{text}"), "t.toml", Path::new("/"), &|_| None);
    let config = config.unwrap_or_else(|faults| panic!("{faults}\n{text}")).config;
    let specs = [
        Spec::counter("api_errors_total", "Help.", &["route", "error_type"]),
        Spec::histogram(
            "http_server_request_duration_seconds",
            "Help.",
            &[0.1, 0.5, 1.0],
            &["route", "error_type"],
        ),
        Spec::histogram("prediction_confidence", "Help.", &[0.5, 1.0, 100.0], &["route"]),
        Spec::gauge("model_loaded", "Help.", &["route", "model"]),
        Spec::gauge("weir_plugin_low_confidence", "Help.", &["plugin", "route"]),
        Spec::counter("weir_slo_events_total", "", &["slo", "definition", "good"]),
    ];
    let condition = DeclaredCondition {
        plugin: "confidence".into(),
        name: "low_confidence".into(),
        gauge: "weir_plugin_low_confidence".into(),
    };
    let plan = Plan::new(&config, &Catalogue::new(specs, vec![condition]));
    let plan = plan.unwrap_or_else(|misfits| panic!("{misfits:?}"));
    (config, plan)
}

pub(crate) fn generated(text: &str, options: &GenerateOptions) -> String {
    let (config, plan) = read(text);
    generate(&plan, &config, options)
}

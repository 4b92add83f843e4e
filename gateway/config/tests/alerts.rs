//! `[alerting]`, `[alert]` and `[slo]`: what is understood, and what is refused in which words.

use std::path::Path;

use weir_config::{Compare, Config, Measure, Severity, When};
use weir_exchange::{Aim, Stance};

const BASE: &str = "
[[route]]
name = \"churn\"
path = \"/p\"
backend = \"b\"
protocol = \"mlflow\"
[backend.b]
endpoints = [\"http://127.0.0.1:9000\"]
";

fn read(text: &str) -> Config {
    let whole = format!("{BASE}{text}");
    let env = |name: &str| (name == "HOOK").then(|| "a secret of sixteen and more".to_owned());
    let loaded = Config::parse(&whole, "t.toml", Path::new("/etc"), &env);
    loaded.unwrap_or_else(|faults| panic!("{faults}")).config
}

/// The messages of the faults, without their places.
fn refused(text: &str) -> Vec<String> {
    let whole = format!("{BASE}{text}");
    let faults = Config::parse(&whole, "t.toml", Path::new("/etc"), &|_| None).expect_err(text);
    faults.list().iter().map(|fault| format!("{}: {}", fault.key, fault.message)).collect()
}

#[test]
fn a_rule_says_what_it_measures_and_what_is_too_much() {
    let config = read(
        "
[alert.HighErrorRate]
ratio = \"api_errors_total\"
of = \"http_server_request_duration_seconds\"
where = { error_type = [\"timeout\", \"connect\"] }
not = { route = \"test\" }
by = [\"route\"]
window = \"10m\"
above = 0.05
for = \"5m\"
keep_firing_for = \"1m\"
labels = { severity = \"critical\" }
annotations = { summary = \"{{ $labels.route }}\" }
unless = [\"down\"]
[alert.down]
gauge = \"model_loaded\"
equals = 0
[alert.low]
plugin = \"confidence\"
condition = \"low_confidence\"
dry_run = true
[alert.share]
ratio = \"prediction_confidence\"
under = 0.6
where = { route = \"churn\" }
above = 0.5
",
    );
    let [high, down, low, share] = config.alerts.as_slice() else { panic!("{:?}", config.alerts) };
    let Measure::Ratio { part, whole, under: None } = &high.measure else { panic!("{high:?}") };
    assert_eq!(
        (part.metric.as_str(), part.selectors.len(), whole.selectors.len()),
        ("api_errors_total", 2, 0)
    );
    assert!(part.selectors[0].takes("timeout") && !part.selectors[0].takes("reset"));
    assert!(part.selectors[1].takes("churn") && !part.selectors[1].takes("test"));
    assert_eq!(whole.metric, "http_server_request_duration_seconds");
    assert_eq!((high.bound, high.min_events), (Some((Compare::Above, 0.05)), 10));
    assert_eq!((high.hold.as_secs(), high.keep_firing_for.as_secs(), high.window.as_secs()), (300, 60, 600));
    assert_eq!((&*down.name, down.bound, down.min_events), ("down", Some((Compare::Equals, 0.0)), 0));
    assert!(matches!(&low.measure, Measure::Condition { plugin, .. } if plugin == "confidence"));
    assert!(low.telling.dry_run && low.bound.is_none());
    let Measure::Ratio { part, whole, under: Some(_) } = &share.measure else { panic!("{share:?}") };
    assert_eq!(part, whole, "the whole is the same histogram, narrowed alike");
}

#[test]
fn a_rule_that_says_too_little_or_too_much_is_refused() {
    for (text, message) in [
        ("above = 1", "alert.x: nothing says what is measured"),
        ("rate = \"a\"\ngauge = \"b\"\nabove = 1", "alert.x: more than one key says what is measured"),
        ("rate = \"a\"", "alert.x: nothing says what is too much"),
        ("rate = \"a\"\nabove = 1\nbelow = 2", "alert.x: more than one bound stands here"),
        ("absent = \"a\"\nabove = 1", "alert.x: `absent` holds or does not"),
        ("condition = \"a\"", "alert.x: `plugin` is missing"),
        ("quantile = \"a\"\nabove = 1", "alert.x: `q` is missing"),
        ("rate = \"a\"\nabove = 1\nq = 0.5", "alert.x.q: `q` belongs to a `quantile`"),
        ("rate = \"a\"\nabove = 1\nof = \"b\"", "alert.x.of: `of` belongs to a `ratio`"),
        ("gauge = \"a\"\nabove = 1\nby = [\"route\"]", "alert.x.by[0]: `by` puts series of a gauge together"),
        ("ratio = \"a\"\nabove = 0.1", "alert.x: the part is the whole"),
        ("rate = \"a\"\nabove = \"1\"", "alert.x.above: `1` is no number"),
        ("rate = \"a\"\nabove = 1\nunless = [\"y\"]", "alert.x.unless[0]: there is no alert or objective"),
        ("rate = \"a\"\nabove = 1\nunless = [\"x\"]", "alert.x.unless[0]: an alert cannot explain itself"),
        ("rate = \"a\"\nabove = 1\nlabels = { alertname = \"z\" }", "the label `alertname` is Weir's"),
        ("rate = \"a\"\nabove = 1\nlabels = { \"a-b\" = \"z\" }", "`a-b` is no label"),
        ("rate = \"a\"\nabove = 1\nwhere = { route = [] }", "an empty list selects nothing"),
        ("rate = \"a\"\nabove = 1\nwindow = \"7h\"", "out of bounds (from `1s` to `6h`)"),
        (
            "rate = \"a\"\nabove = 1\nwindow = \"20s\"",
            "a window of `20s` holds no two evaluations, which come every `15s`",
        ),
    ] {
        let faults = refused(&format!("[alert.x]\n{text}\n"));
        assert!(faults.iter().any(|fault| fault.contains(message)), "{text}\n{faults:#?}\n{message}");
    }
}

#[test]
fn an_objective_comes_with_the_pairs_of_the_workbook() {
    let config = read(
        "[slo.availability]\nobjective = 0.999\n[slo.slow]\nobjective = 0.95\nlatency_under = \"500ms\"",
    );
    let [availability, slow] = config.slos.as_slice() else { panic!() };
    assert_eq!(availability.event.aim, Aim::Availability);
    assert_eq!(
        (availability.event.client_errors, availability.event.cancelled),
        (Stance::Good, Stance::Ignored)
    );
    let pairs: Vec<_> = availability
        .burn
        .iter()
        .map(|b| {
            (b.long.as_secs() / 60, b.short.as_secs() / 60, (b.factor * 10.0).round() / 10.0, b.severity)
        })
        .collect();
    let (page, ticket) = (Severity::Page, Severity::Ticket);
    assert_eq!(
        pairs,
        [(60, 5, 14.4, page), (360, 30, 6.0, page), (1440, 120, 3.0, ticket), (4320, 360, 1.0, ticket)]
    );
    assert!(!availability.lowered);
    assert_eq!(slow.event.aim, Aim::Latency { under_ns: 500_000_000 });
    assert!(slow.lowered, "14.4 times a budget of 5 % is 72 % of all events");
    assert!(slow.burn.iter().all(|pair| pair.factor <= 10.000_001));
}

#[test]
fn another_bound_or_objective_is_another_definition_and_other_words_are_not() {
    let definition = |text: &str| read(&format!("[slo.x]\n{text}")).slos[0].event.definition.clone();
    let first = definition("objective = 0.99\nlatency_under = \"1s\"");
    assert_eq!(
        first,
        definition("objective = 0.99\nlatency_under = \"1s\"\nlabels = { team = \"a\" }\nmin_bad = 9")
    );
    for other in [
        "objective = 0.98\nlatency_under = \"1s\"",
        "objective = 0.99\nlatency_under = \"2s\"",
        "objective = 0.99\nlatency_under = \"1s\"\nwindow = \"7d\"",
        "objective = 0.99\nlatency_under = \"1s\"\nroutes = [\"churn\"]",
        "objective = 0.99\nlatency_under = \"1s\"\nclient_errors = \"bad\"",
    ] {
        assert_ne!(first, definition(other), "{other}");
    }
}

#[test]
fn an_objective_that_cannot_work_is_refused() {
    for (text, message) in [
        ("objective = 1", "slo.x.objective: an objective of `1` leaves no budget"),
        ("objective = 99.9", "slo.x.objective: the number `99.9` is out of bounds"),
        ("window = \"30d\"", "slo.x: `objective` is missing"),
        (
            "objective = 0.9\ndecodable = true\nlatency_under = \"1s\"",
            "slo.x: more than one key says what is good",
        ),
        ("objective = 0.9\ncondition = \"low\"", "slo.x.condition: `low` is no condition"),
        ("objective = 0.9\nroutes = [\"no\"]", "slo.x.routes[0]: there is no route"),
        (
            "objective = 0.95\n[[slo.x.burn]]\nlong = \"1h\"\nshort = \"5m\"\nfactor = 14.4",
            "slo.x.burn[0].factor: a factor of `14.4` over an objective of `0.95` fires only when 72.0 %",
        ),
        (
            "objective = 0.95\n[[slo.x.burn]]\nlong = \"5m\"\nshort = \"1h\"\nfactor = 2",
            "slo.x.burn[0]: `long` = `5m` beside `short` = `1h`",
        ),
    ] {
        let faults = refused(&format!("[slo.x]\n{text}\n"));
        assert!(faults.iter().any(|fault| fault.contains(message)), "{text}\n{faults:#?}\n{message}");
    }
    let circle = "[alert.a]\nrate = \"a\"\nabove = 1\nunless = [\"b\"]\n[alert.b]\nrate = \"a\"\nabove = 1\nunless = [\"x\"]\n\
                  [slo.x]\nobjective = 0.9\nunless = [\"a\"]";
    let circle = refused(circle);
    assert_eq!(
        circle.iter().filter(|fault| fault.contains("is explained by this one in turn")).count(),
        3,
        "{circle:?}"
    );
    let ours = refused("[alert.Watchdog]\nrate = \"a\"\nabove = 1");
    assert!(ours[0].contains("`Watchdog` is what Weir calls an alert of its own"), "{ours:?}");
    let twice = refused("[slo.x]\nobjective = 0.9\n[alert.x]\nrate = \"a\"\nabove = 1");
    assert!(twice.iter().any(|fault| fault.contains("an alert is named `x` already")), "{twice:?}");
}

#[test]
fn receivers_and_maintenance_are_read_and_their_secrets_never_shown() {
    let config = read(
        "
[alerting]
alertmanagers = [\"http://127.0.0.1:9093/\"]
headers = { Authorization = \"Bearer abc\" }
[alerting.webhook.pager]
url = \"https://hooks.example/pw\"
secret = \"${HOOK}\"
[alerting.maintenance.night]
daily = \"22:00-02:00\"
days = [\"sat\"]
[alerting.maintenance.move]
from = 2026-05-01T02:00:00Z
to = \"2026-05-01T06:00:00+02:00\"
",
    );
    let alerting = &config.alerting;
    assert_eq!(alerting.alertmanagers, ["http://127.0.0.1:9093"]);
    assert_eq!(alerting.webhooks[0].secret.as_deref(), Some("a secret of sixteen and more"));
    assert_eq!(alerting.maintenance[0].when, When::Daily { from: 1320, to: 120, days: vec![5] });
    let When::Once { from_ms, to_ms } = alerting.maintenance[1].when else { panic!() };
    assert_eq!(to_ms - from_ms, 2 * 3_600_000);
    let shown = format!("{alerting:?} {:?}", alerting.webhooks);
    for secret in ["Bearer", "/pw", "sixteen"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for (text, message) in [
        ("daily = \"22:00\"", "is no span of a day"),
        ("from = 2026-05-01", "is no moment"),
        ("from = 2026-05-01T02:00:00Z", "nothing says when it is, or too much"),
        ("from = 2026-05-01T02:00:00Z\nto = 2026-05-01T01:00:00Z", "`to` is not after `from`"),
        ("daily = \"01:00-02:00\"\nalerts = [\"no\"]", "there is no alert or objective"),
    ] {
        let faults = refused(&format!("[alerting.maintenance.m]\n{text}\n"));
        assert!(faults.iter().any(|fault| fault.contains(message)), "{text}\n{faults:#?}");
    }
}

//! What `weir generate rules` writes, and what Prometheus makes of it. `UPDATE=1` writes `rules.yml` anew.

mod fleet;
mod peer;
mod rig;

use rig::{RULES, generated, with};
use weir_alert::{GenerateOptions, generate, inhibit_rules};

#[test]
fn the_whole_of_a_configuration_is_written_as_it_was_read_through() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/generate/rules.yml");
    let text = generated(RULES, &GenerateOptions::default());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &text).expect("written");
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == known, "`rules.yml` is not what is written (UPDATE=1, and read it through):\n{text}");
}

#[test]
fn one_sender_tells_of_an_alert() {
    let told = "alertmanagers = [\"http://127.0.0.1:9093\"]\n";
    let hook = "[alerting.webhook.h]\nurl = \"http://127.0.0.1:1/hook\"\n";
    let prometheus = "evaluate = \"prometheus\"\n";
    let cases = [
        ("nobody is told by Weir", String::new(), None, true),
        ("Weir tells an Alertmanager", told.to_owned(), None, false),
        ("Weir tells a webhook", hook.to_owned(), None, false),
        ("Prometheus evaluates", format!("{prometheus}{told}"), None, true),
        ("alerts are asked for", told.to_owned(), Some(true), true),
        ("alerts are not asked for", String::new(), Some(false), false),
    ];
    for (what, alerting, alerts, expect) in cases {
        let text = generated(&with(&alerting), &GenerateOptions { alerts, ..GenerateOptions::default() });
        assert!(text.contains("record: \"slo:weir_slo_events:increase1h\""), "{what}: {text}");
        for name in ["HighErrorRate", "SLOErrorBudgetBurn"] {
            assert_eq!(text.contains(&format!("alert: \"{name}\"")), expect, "{what}: {text}");
        }
        assert_eq!(text.contains("alert: \"WeirDown\""), alerts != Some(false), "{what}: {text}");
        assert_eq!(text.contains("Alerts are left out"), !expect, "{what}: {text}");
        let twice = alerts == Some(true);
        assert_eq!(text.contains("Everybody is told twice"), twice, "{what}: {text}");
    }
}

#[test]
fn every_series_is_of_the_scope() {
    let scope = "job=\"ml\", cluster=\"eu\"".to_owned();
    let text = generated(
        RULES,
        &GenerateOptions { scope: scope.clone(), alerts: None, ..GenerateOptions::default() },
    );
    for name in ["weir_slo_events_total{", "api_errors_total{", "up{", "weir_build_info{", "model_loaded{"] {
        let all = text.matches(name).count();
        assert!(all > 0 && all == text.matches(&format!("{name}{scope}")).count(), "{name}\n{text}");
    }
    let text = generated(
        RULES,
        &GenerateOptions { scope: String::new(), alerts: None, ..GenerateOptions::default() },
    );
    assert!(!text.contains("up ==") && text.contains("absent(weir_build_info)"), "{text}");
}

#[test]
fn one_alert_explains_another_where_both_have_the_label() {
    let (config, plan) = rig::read(RULES);
    let expect = r#"inhibit_rules:
  - source_matchers: ["alertname=\"down\""]
    target_matchers: ["alertname=\"HighErrorRate\""]
    equal: ["route", "cluster"]
  - source_matchers: ["alertname=\"down\""]
    target_matchers: ["alertname=\"SLOErrorBudgetBurn\"", "slo=\"fast\""]
    equal: ["cluster"]
"#;
    assert_eq!(inhibit_rules(&plan, &config), expect);
}

#[test]
fn nothing_to_write_is_a_legal_file() {
    let (config, plan) = rig::read("");
    let text = generate(&plan, &config, &GenerateOptions { alerts: Some(false), ..Default::default() });
    assert!(text.ends_with("groups: []\n"), "{text}");
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    if !peer::is_there() {
        assert!(std::env::var_os("WEIR_PEERS").is_none(), "promtool is not installed");
        println!("SKIPPED: promtool is not installed (Debian: apt-get install prometheus)");
        return;
    }
    let odd = "[alerting]\nlabels = { cluster = \"{{ $value }} \\u2028\" }\nwatchdog = true\n\
               [slo.\"odd.name-1\"]\nobjective = 0.5\nwindow = \"36h\"\nconsecutive_bad = 0\n\
               annotations = { summary = \"{{ $labels.severity }}: \\u2028 \\\"{{ $value | humanize }}\\\"\" }\n\
               [alert.\"odd-rule\"]\ngauge = \"model_loaded\"\nequals = 0\n\
               where = { route = [\"a\\u2029b\", \"it's \\\"c\\\" \\\\d+\"] }\n";
    for text in [RULES, odd, ""] {
        for alerts in [None, Some(true), Some(false)] {
            for scope in ["job=\"weir\"", ""] {
                let options =
                    GenerateOptions { scope: scope.to_owned(), alerts, binned: vec![fleet::binned()] };
                peer::check(&generated(text, &options));
            }
        }
    }
}

#[test]
fn an_objective_burns_in_prometheus_as_it_does_here() {
    if !peer::is_there() {
        assert!(std::env::var_os("WEIR_PEERS").is_none(), "promtool is not installed");
        println!("SKIPPED: promtool is not installed (Debian: apt-get install prometheus)");
        return;
    }
    peer::burn();
}

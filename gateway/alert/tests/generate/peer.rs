//! Prometheus' own reader of rules.

use std::path::Path;
use std::process::Command;

use weir_alert::GenerateOptions;

use crate::rig::{generated, read};

pub(crate) fn is_there() -> bool {
    Command::new("promtool").arg("--version").output().is_ok()
}

fn promtool(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let out = Command::new("promtool").current_dir(folder).args(arguments).output().expect("promtool runs");
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

/// The rules are legal, and none is there twice.
pub(crate) fn check(rules: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yml"), rules).expect("written");
    let (fine, told) = promtool(folder.path(), &["check", "rules", "rules.yml"]);
    assert!(fine && !told.contains("duplicate"), "{told}\n{rules}");
}

/// What the unit test of some rules expects is found.
pub(crate) fn test(rules: &str, test: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yml"), rules).expect("written");
    std::fs::write(folder.path().join("test.yml"), test).expect("written");
    let (fine, told) = promtool(folder.path(), &["test", "rules", "test.yml"]);
    assert!(fine, "{told}\n{rules}");
}

/// Events at one a second on two gateways, all good but for two outages; and an objective that hears of six
/// events, all bad.
const BURN: &str = r#"
[alerting]
interval = "1m"
[slo.busy]
objective = 0.99
unless = []
[slo.quiet]
objective = 0.99
"#;

pub(crate) fn burn() {
    let (config, _) = read(BURN);
    let [busy, quiet] = [0, 1].map(|at| config.slos[at].event.definition.clone());
    let options = GenerateOptions { alerts: Some(true), ..GenerateOptions::default() };
    let events = |slo: &str, definition: &str, good: bool, instance: &str, values: &str| {
        format!(
            "      - series: 'weir_slo_events_total{{job=\"weir\",instance=\"{instance}\",slo=\"{slo}\",\
             definition=\"{definition}\",good=\"{good}\"}}'\n        values: '{values}'\n"
        )
    };
    let series = [
        // One gateway is well, and fails for half an hour after two; the other is restarted after an hour.
        events("busy", &busy, true, "a", "0+60x120 7200+0x29 7260+60x600"),
        events("busy", &busy, false, "a", "0+0x120 60+60x29 1800+0x600"),
        events("busy", &busy, true, "b", "0+60x60 0+60x720"),
        // Another definition counts no more, and a model server's series never did.
        events("busy", "ffffffff", false, "a", "0+600x760"),
        events("quiet", &quiet, true, "a", "0+0x760"),
        events("quiet", &quiet, false, "a", "0+0x10 1 2 3 4 5 6+0x740"),
        "      - series: 'weir_slo_consecutive_bad{job=\"weir\",instance=\"a\",slo=\"quiet\"}'\n        values: \
         '0+0x10 1 2 3 4 5 6+0x300 0+0x400'\n"
            .to_owned(),
        "      - series: 'weir_slo_consecutive_bad{job=\"weir\",instance=\"a\",slo=\"busy\"}'\n        values: \
         '0+0x760'\n"
            .to_owned(),
        "      - series: 'weir_build_info{job=\"weir\",instance=\"a\"}'\n        values: '1+0x760'\n".to_owned(),
        "      - series: 'up{job=\"weir\",instance=\"a\"}'\n        values: '1+0x699 0 0 0 0 0 0'\n".to_owned(),
    ];
    let mut expected = format!(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{}    \
         promql_expr_test:\n",
        series.concat()
    );
    for (at, firing) in EXPECTED {
        expected += &format!("      - expr: 'ALERTS{{alertstate=\"firing\"}}'\n        eval_time: {at}m\n");
        expected += if firing.is_empty() { "" } else { "        exp_samples:\n" };
        for labels in *firing {
            expected += &format!(
                "          - labels: 'ALERTS{{alertstate=\"firing\",{labels}}}'\n            value: 1\n"
            );
        }
    }
    test(&generated(BURN, &options), &expected);
}

const BUSY_PAGE: &str = "alertname=\"SLOErrorBudgetBurn\",slo=\"busy\",severity=\"page\"";
const BUSY_TICKET: &str = "alertname=\"SLOErrorBudgetBurn\",slo=\"busy\",severity=\"ticket\"";
const QUIET_PAGE: &str = "alertname=\"SLOErrorBudgetBurn\",slo=\"quiet\",severity=\"page\"";
const QUIET_TICKET: &str = "alertname=\"SLOErrorBudgetBurn\",slo=\"quiet\",severity=\"ticket\"";
const DOWN: &str = "alertname=\"WeirDown\",instance=\"a\",job=\"weir\",severity=\"critical\"";

/// What fires after so many minutes.
const EXPECTED: &[(u32, &[&str])] = &[
    (8, &[]),
    (17, &[QUIET_PAGE]),
    // Its last bad event is an hour and more ago, but the row goes on.
    (100, &[QUIET_PAGE]),
    (121, &[QUIET_PAGE]),
    (140, &[BUSY_PAGE, QUIET_PAGE]),
    // The half hour is over, but not the ticket's two hours.
    (200, &[BUSY_TICKET, QUIET_PAGE]),
    // Both were in the last six hours, and make more than the budget of three days.
    (320, &[BUSY_TICKET, QUIET_TICKET]),
    (600, &[]),
    (706, &[DOWN]),
];

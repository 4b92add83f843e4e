//! The gateway itself is gone, and so is whoever evaluates its rules: a Prometheus that scrapes it says so.

use support::alertmanager::Alertmanager;
use support::pager::{Pager, labels};
use support::prometheus::Prometheus;
use support::{Gateway, Patient, eventually, nobody};

use crate::{WEIR, is_skipped};

/// `up` is 0 for a gateway that does not answer, and not there for one that nobody is told to scrape.
const RULES: &str = r#"
groups:
  - name: weir-itself
    rules:
      - alert: WeirDown
        expr: up{job="weir"} == 0 or absent(up{job="weir"})
        for: 1s
        labels: { severity: critical }
        annotations: { summary: "Weir is gone, and with it all that it would tell." }
"#;

#[test]
fn a_gateway_that_is_gone_is_told_by_prometheus_to_the_same_alertmanager() {
    if is_skipped("Prometheus and Alertmanager") {
        return;
    }
    let (patient, pager, admin) = (Patient::start(), Pager::start(), nobody());
    let [folder, mine, state] = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let alertmanager = Alertmanager::start(folder.path(), &pager);
    let config = mine.path().join("weir.toml");
    // A fixed port, so that it comes back to where it is scraped.
    let listen = format!("[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"{admin}\"\n");
    let told = format!("[alerting]\ninterval = \"500ms\"\nalertmanagers = [\"{}\"]\n", alertmanager.url());
    std::fs::write(&config, format!("{listen}{told}{}", patient.route())).expect("it can be written");
    let mut gateway = Gateway::start_at(WEIR, &config);
    let rules = state.path().join("rules.yml");
    std::fs::write(&rules, RULES).expect("they can be written");
    let sections = format!(
        "rule_files: [\"{}\"]\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [\"{}\"]\n",
        rules.display(),
        alertmanager.url().trim_start_matches("http://")
    );
    let prometheus = Prometheus::start_with(state.path(), admin, &[], &sections);
    let up = || prometheus.ask("/api/v1/query", &[("query", "up == 1")])["result"] != serde_json::json!([]);
    eventually("a scrape", || up().then_some(()));

    gateway.kill();
    let down = pager.await_told("firing", "WeirDown");
    let at = admin.to_string();
    let expect = [("alertname", "WeirDown"), ("instance", &*at), ("job", "weir"), ("severity", "critical")];
    assert_eq!(down.labels, labels(&expect));
    assert_eq!(alertmanager.await_alert("WeirDown").starts_at, down.starts_at);
    gateway.restart(WEIR);
    pager.await_told("resolved", "WeirDown");
    pager.heard_once_of(&["WeirDown"]);
}

//! The gateway itself is gone, and so is whoever evaluates its rules: a Prometheus that scrapes it says so.

use std::process::Command;

use support::alertmanager::Alertmanager;
use support::pager::{Pager, labels};
use support::prometheus::Prometheus;
use support::{Gateway, Patient, eventually, nobody};

use crate::{WEIR, is_skipped, output};

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
    let mut generate = Command::new(WEIR);
    let written = output(generate.args(["generate", "rules", "--config"]).arg(&config));
    // A test does not wait for a minute, but longer than Prometheus takes to begin: it finds targets and whom
    // to tell after five seconds, and until then a gateway is missing.
    std::fs::write(&rules, written.replace("for: 1m", "for: 10s")).expect("they can be written");
    let sections = format!(
        "rule_files: [\"{}\"]\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [\"{}\"]\n",
        rules.display(),
        alertmanager.url().trim_start_matches("http://")
    );
    let prometheus = Prometheus::start_with(state.path(), admin, &[], &sections);
    let up = || prometheus.ask("/api/v1/query", &[("query", "up == 1")])["result"] != serde_json::json!([]);
    eventually("a scrape", || up().then_some(()));
    prometheus.await_alertmanager();

    gateway.kill();
    pager.await_last("firing", "WeirDown", 2);
    gateway.restart(WEIR);
    pager.await_last("resolved", "WeirDown", 2);
    let at = admin.to_string();
    let every = labels(&[("alertname", "WeirDown"), ("job", "weir"), ("severity", "critical")]);
    let mut this = every.clone();
    this.insert("instance".to_owned(), at.clone());
    for (labels, words) in [(every, "Every Weir is not".to_owned()), (this, format!("Weir at {at} is not"))] {
        let told = pager.told().into_iter().filter(|told| told.labels == labels);
        let history: Vec<_> = told.map(|told| (told.status, told.starts_at, told.annotations)).collect();
        let [(first, began, annotations), (last, same, _)] = &*history else {
            panic!("{labels:?} is told as {history:#?}")
        };
        assert_eq!((&**first, &**last, began), ("firing", "resolved", same));
        assert!(annotations["summary"].starts_with(&words), "{annotations:?}");
    }
    assert_eq!(pager.told().len(), 4, "{:#?}", pager.told());
}

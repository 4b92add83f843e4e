//! Rules that change while they fire, and rules of which nobody is told.

use support::pager::Pager;
use support::{Gateway, Patient, eventually};

use crate::{NOT_LOADED, WEIR, await_evaluation, await_state, configuration, not_loaded, rule, webhook};

/// Fires from the first look, and so says when everything that was looked at with it has been told of.
const ALWAYS: &str = "[alert.Always]\ngauge = \"weir_generation\"\nabove = 0\n";

#[test]
fn a_rule_that_is_taken_out_while_it_fires_is_told_as_ended_under_its_old_labels() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let toml = |rules| configuration(&patient, &webhook("pager", &pager.url()), rules);
    let gateway = Gateway::start(WEIR, &toml(NOT_LOADED));
    patient.falls_ill();
    let fired = pager.await_told("firing", "ModelNotLoaded");
    gateway.replace_config(&toml(""));
    let ended = pager.await_told("resolved", "ModelNotLoaded");
    assert_eq!((&fired.labels, &ended.labels), (&not_loaded(), &not_loaded()));
    pager.heard_once_of(&["ModelNotLoaded"]);
    eventually("the rules that are left", || rule(&gateway, "ModelNotLoaded").is_none().then_some(()));
}

#[test]
fn a_rule_that_is_relabelled_while_it_fires_ends_as_it_was_and_fires_as_it_is() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let toml = |severity| {
        let rules = NOT_LOADED.replace("critical", severity);
        configuration(&patient, &webhook("pager", &pager.url()), &rules)
    };
    let gateway = Gateway::start(WEIR, &toml("critical"));
    patient.falls_ill();
    pager.await_told("firing", "ModelNotLoaded");
    gateway.replace_config(&toml("warning"));
    let ended = pager.await_told("resolved", "ModelNotLoaded");
    assert_eq!(ended.labels, not_loaded());
    let fires = pager.await_last("firing", "ModelNotLoaded", 2);
    assert_eq!(fires.labels["severity"], "warning");
    patient.gets_well();
    let last = pager.await_last("resolved", "ModelNotLoaded", 2);
    assert_eq!((last.labels, last.starts_at), (fires.labels, fires.starts_at));
    assert_eq!(pager.told().len(), 4, "{:#?}", pager.told());
}

#[test]
fn of_a_rule_that_runs_dry_nobody_is_told_but_it_is_shown() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let rules = format!("{NOT_LOADED}dry_run = true\n{ALWAYS}");
    let gateway = Gateway::start(WEIR, &configuration(&patient, &webhook("pager", &pager.url()), &rules));
    patient.falls_ill();
    let shown = await_state(&gateway, "ModelNotLoaded", "firing");
    assert_eq!(shown["dry_run"], true);
    let fingerprint = shown["alerts"][0]["fingerprint"].as_str().expect("a fingerprint");
    let evidence = gateway.api(&format!("/api/alerts/{fingerprint}"));
    assert_eq!(evidence["alert"]["labels"], serde_json::json!(not_loaded()));
    patient.gets_well();
    await_state(&gateway, "ModelNotLoaded", "inactive");
    let ended = &gateway.api(&format!("/api/alerts/{fingerprint}"))["alert"]["ends_at_ms"];
    assert!(ended.is_number(), "{ended}");
    gateway.replace_config(&configuration(&patient, &webhook("pager", &pager.url()), NOT_LOADED));
    pager.await_told("resolved", "Always");
    pager.heard_once_of(&["Always"]);
}

#[test]
fn where_a_prometheus_tells_nobody_is_told_here_and_what_was_told_before_ends() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let toml = |evaluate: &str| {
        let alerting = format!("evaluate = \"{evaluate}\"\n{}", webhook("pager", &pager.url()));
        configuration(&patient, &alerting, NOT_LOADED)
    };
    let gateway = Gateway::start(WEIR, &toml("prometheus"));
    patient.falls_ill();
    await_state(&gateway, "ModelNotLoaded", "firing");
    await_evaluation(&gateway);
    assert_eq!(gateway.api("/api/alerts")["receivers"][0]["waiting"], 0);
    assert_eq!(pager.told(), []);

    // Whoever takes over says what fires, and whoever hands over says what it said is over.
    gateway.replace_config(&toml("weir"));
    pager.await_told("firing", "ModelNotLoaded");
    gateway.replace_config(&toml("prometheus"));
    pager.await_told("resolved", "ModelNotLoaded");
    await_state(&gateway, "ModelNotLoaded", "firing");
    pager.heard_once_of(&["ModelNotLoaded"]);
}

#[test]
fn in_maintenance_nobody_is_told_anew_and_after_it_of_what_still_fires() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let rules = format!("{NOT_LOADED}{ALWAYS}");
    let toml = |to: &str| {
        let alerting = format!(
            "{}[alerting.maintenance.move]\nfrom = 2026-01-01T00:00:00Z\nto = {to}\nalerts = [\"ModelNotLoaded\"]\n",
            webhook("pager", &pager.url())
        );
        configuration(&patient, &alerting, &rules)
    };
    let gateway = Gateway::start(WEIR, &toml("2999-01-01T00:00:00Z"));
    patient.falls_ill();
    await_state(&gateway, "ModelNotLoaded", "firing");
    await_evaluation(&gateway);
    let muted = await_state(&gateway, "ModelNotLoaded", "firing")["alerts"][0].clone();
    assert_eq!(muted["muted"], true, "{muted}");
    pager.await_told("firing", "Always");
    assert_eq!(pager.history("ModelNotLoaded"), []);

    gateway.replace_config(&toml("2026-01-02T00:00:00Z"));
    pager.await_told("firing", "ModelNotLoaded");
    // What somebody knows of they hear the end of, maintenance or not.
    gateway.replace_config(&toml("2999-01-01T00:00:00Z"));
    gateway.await_generation(3);
    patient.gets_well();
    pager.await_told("resolved", "ModelNotLoaded");
    assert_eq!(pager.history("ModelNotLoaded").len(), 2);
}

#[test]
fn an_alert_is_shown_with_what_it_fired_on_after_its_end_too() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let gateway = Gateway::start(WEIR, &configuration(&patient, &webhook("pager", &pager.url()), NOT_LOADED));
    assert_eq!(await_state(&gateway, "ModelNotLoaded", "inactive")["alerts"], serde_json::json!([]));
    patient.falls_ill();
    let told = pager.await_told("firing", "ModelNotLoaded");
    let shown = await_state(&gateway, "ModelNotLoaded", "firing")["alerts"][0].clone();
    assert_eq!((&shown["labels"], &shown["value"]), (&serde_json::json!(not_loaded()), &0.0.into()));
    let page = format!("/api/alerts/{}", shown["fingerprint"].as_str().expect("a fingerprint"));
    assert!(told.generator_url.ends_with(&page), "{} is not {page}", told.generator_url);
    let evidence = gateway.api(&page);
    assert_eq!(evidence["at_firing"]["value"], 0.0);
    assert_eq!(evidence["alert"]["ends_at_ms"], serde_json::Value::Null);
    assert!(evidence["promql"].as_str().is_some_and(|text| text.contains("model_loaded")), "{evidence}");

    patient.gets_well();
    pager.await_told("resolved", "ModelNotLoaded");
    await_state(&gateway, "ModelNotLoaded", "inactive");
    assert!(gateway.api(&page)["alert"]["ends_at_ms"].is_number());
    for nobody in ["/api/alerts/0123456789abcdef", "/api/alerts/none"] {
        assert_eq!(gateway.get(nobody).status(), 404, "{nobody}");
    }
}

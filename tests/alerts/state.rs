//! What is known of alerts after the end of a process, and when what it left cannot be read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::pager::Pager;
use support::{Gateway, Patient, eventually};

use crate::{NOT_LOADED, WEIR, await_evaluation, await_state, configuration, webhook};

const SLO: &str = "[slo.availability]\nobjective = 0.99\n";

fn state(gateway: &Gateway) -> PathBuf {
    gateway.folder().join("state")
}

/// Waits until the file says that a webhook was told that one alert fires, or that none does any more.
#[track_caller]
fn await_stored(gateway: &Gateway, firing: bool) {
    let file = state(gateway).join("alerts.json");
    eventually("what was told is stored", || {
        let stored: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        let lanes = stored["delivery"]["receivers"][0]["state"]["webhook"]["lanes"].as_array()?;
        let told = |lane: &Value| {
            lane["firing"].is_number() == firing && lane["waiting"].as_array().is_some_and(Vec::is_empty)
        };
        (lanes.len() == 1 && lanes.iter().all(told)).then_some(())
    });
}

/// Files that were set aside, as they were.
fn set_aside(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there").filter_map(Result::ok);
    let bad = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".json.bad-"));
    bad.map(|entry| fs::read_to_string(entry.path()).expect("it is readable")).collect()
}

#[test]
fn a_gateway_that_is_killed_while_an_alert_fires_tells_a_webhook_of_its_end_and_nothing_twice() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let alerting = format!("watchdog = true\n{}", webhook("pager", &pager.url()));
    let rules = NOT_LOADED;
    let mut gateway = Gateway::start(WEIR, &configuration(&patient, &alerting, rules));
    let watchdog = pager.await_told("firing", "Watchdog");
    patient.falls_ill();
    pager.await_told("firing", "ModelNotLoaded");
    let since = rule_since(&gateway);
    eventually("what was told is stored", || {
        let text = fs::read_to_string(state(&gateway).join("alerts.json")).ok()?;
        let stored: Value = serde_json::from_str(&text).ok()?;
        let lanes = stored["delivery"]["receivers"][0]["state"]["webhook"]["lanes"].as_array()?.clone();
        let told = |lane: &Value| lane["waiting"].as_array().is_some_and(Vec::is_empty);
        (lanes.len() == 2 && lanes.iter().all(told)).then_some(())
    });
    gateway.kill_and_restart(WEIR);
    await_evaluation(&gateway);
    assert_eq!(rule_since(&gateway), since);
    patient.gets_well();
    pager.await_told("resolved", "ModelNotLoaded");
    let told: Vec<_> = pager.told().into_iter().map(|told| (told.status, told.starts_at)).collect();
    let began = told[1].1.clone();
    let firing = |at: &str| ("firing".to_owned(), at.to_owned());
    assert_eq!(told, [firing(&watchdog.starts_at), firing(&began), ("resolved".to_owned(), began.clone())]);
}

#[test]
fn a_model_whose_version_only_its_replies_told_is_the_same_one_after_a_restart_during_its_outage() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let mut gateway =
        Gateway::start(WEIR, &configuration(&patient, &webhook("pager", &pager.url()), NOT_LOADED));
    assert_eq!(gateway.post("/predict", "{\"features\": [[1]]}").status(), 200);
    gateway.await_metric("model_loaded", &[("model", "churn"), ("model_version", "7")], 1.0);
    eventually("the name is stored", || {
        fs::read_to_string(state(&gateway).join("models.json")).ok().filter(|text| text.contains("\"7\""))
    });
    patient.falls_ill();
    let told = pager.await_told("firing", "ModelNotLoaded");
    assert_eq!(told.labels["model_version"], "7");
    let link =
        told.generator_url.strip_prefix(&format!("http://{}", gateway.admin())).expect("it leads here");
    assert_eq!(gateway.api(link)["alert"]["labels"]["model_version"], "7");
    await_stored(&gateway, true);
    gateway.kill_and_restart(WEIR);
    await_evaluation(&gateway);
    gateway.await_metric("model_loaded", &[("model", "churn"), ("model_version", "7")], 0.0);
    patient.gets_well();
    let ended = pager.await_told("resolved", "ModelNotLoaded");
    assert_eq!((ended.labels, ended.starts_at), (told.labels, told.starts_at));
    assert_eq!(pager.told().len(), 2, "once firing, once resolved");
}

#[track_caller]
fn rule_since(gateway: &Gateway) -> Value {
    await_state(gateway, "ModelNotLoaded", "firing")["alerts"][0]["firing_since_unix_ms"].clone()
}

#[test]
fn state_that_cannot_be_read_is_kept_and_said_and_everything_begins_anew() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let rules = format!("{NOT_LOADED}{SLO}");
    let mut gateway = Gateway::start(WEIR, &configuration(&patient, &webhook("pager", &pager.url()), &rules));
    patient.falls_ill();
    pager.await_told("firing", "ModelNotLoaded");
    assert_eq!(gateway.post("/predict", "{}").status(), 503);
    await_stored(&gateway, true);
    // The end stores everything.
    gateway.terminate();
    gateway.wait();
    let windows = fs::read_dir(state(&gateway).join("slo")).expect("the windows of objectives are stored");
    let windows = windows.map(|entry| entry.expect("it is readable").path()).next().expect("there is one");
    let alerts = state(&gateway).join("alerts.json");
    fs::write(&alerts, "{\"version\": 1, \"engine\"").expect("it is torn");
    fs::write(&windows, "not even JSON").expect("it is torn");

    gateway.restart(WEIR);
    for words in ["the state of alerts cannot be read", "the windows of an objective cannot be read"] {
        let said = |line: &Value| line["message"].as_str().is_some_and(|message| message.contains(words));
        let line = gateway.logs().find(said).expect(words);
        assert_eq!(line["level"], "error", "{line}");
        let kept = line["kept_as"].as_str().expect("a name");
        assert!(Path::new(kept).exists() && kept.contains(".json.bad-"), "{line}");
    }
    gateway.await_metric("weir_alert_state_files_total", &[("outcome", "set_aside")], 2.0);
    assert_eq!(set_aside(&state(&gateway)), ["{\"version\": 1, \"engine\""]);
    assert_eq!(set_aside(&state(&gateway).join("slo")), ["not even JSON"]);
    let slo = eventually("the objective", || {
        Some(gateway.api("/api/alerts")["slos"][0].clone()).filter(|slo| !slo.is_null())
    });
    assert_eq!((&slo["name"], &slo["bad"]), (&"availability".into(), &0.into()));
    // Nothing is known of who was told: it is told as new.
    let again = pager.await_last("firing", "ModelNotLoaded", 2);
    patient.gets_well();
    let ended = pager.await_told("resolved", "ModelNotLoaded");
    assert_eq!(ended.starts_at, again.starts_at);
    await_stored(&gateway, false);
}

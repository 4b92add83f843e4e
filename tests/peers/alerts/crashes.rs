//! Weir, Alertmanager, or both are killed while an alert fires: nobody is called twice, and it is called off.

use support::alertmanager::Alertmanager;
use support::pager::Pager;
use support::{Gateway, Patient, eventually};

use super::{alerting, fires};
use crate::{WEIR, is_skipped};

const RULES: &str = r#"
[alert.ModelNotLoaded]
gauge = "model_loaded"
equals = 0
[alert.HighErrorRate]
ratio = "api_errors_total"
of = "http_server_request_duration_seconds"
by = ["route"]
window = "3s"
above = 0.05
"#;

/// Everything that takes part.
struct Scene {
    patient: Patient,
    pager: Pager,
    alertmanager: Alertmanager,
    gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn set() -> Self {
        let (patient, pager) = (Patient::start(), Pager::start());
        let folder = tempfile::tempdir().expect("a folder");
        let alertmanager = Alertmanager::start(folder.path(), &pager);
        let toml = format!("{}{}{RULES}", alerting(&alertmanager), patient.route());
        let gateway = Gateway::start(WEIR, &toml);
        Self { patient, pager, alertmanager, gateway, _folder: folder }
    }

    /// The model server falls ill, and somebody is called for it. Returns since when.
    #[track_caller]
    fn is_called(&self) -> String {
        self.patient.falls_ill();
        fires(&self.alertmanager, &self.pager, "ModelNotLoaded", &[("model", "churn")]).starts_at
    }

    /// Whether the gateway holds it to be firing.
    fn knows_of_it(&self) -> bool {
        let page = self.gateway.api("/api/alerts");
        let rules = page["rules"].as_array().expect("rules");
        rules.iter().any(|rule| rule["name"] == "ModelNotLoaded" && rule["state"] == "firing")
    }

    /// Waits until a gateway that was started again knows of it by what it has measured itself. Until then an
    /// alert waits, and one whose model has got another name by its replies would wait for minutes.
    #[track_caller]
    fn measures_it(&self) {
        self.gateway.await_metric("model_loaded", &[("model", "churn")], 0.0);
        let evaluated = || self.gateway.api("/api/alerts")["evaluated_unix_ms"].as_u64();
        // The next may have begun before; the one after has not.
        for _ in 0..2 {
            let last = evaluated();
            eventually("an evaluation", || (evaluated() > last).then_some(()));
        }
        assert!(self.knows_of_it());
    }

    /// The model server gets well, and it is called off.
    #[track_caller]
    fn is_called_off(&self, since: &str, names: &[&str]) {
        self.patient.gets_well();
        for name in names {
            // Without traffic there would be nothing to tell by that requests succeed again.
            eventually(name, || {
                self.gateway.post("/", "{}");
                self.pager.history(name).iter().any(|(status, _)| status == "resolved").then_some(())
            });
        }
        self.pager.heard_once_of(names);
        assert_eq!(self.pager.history("ModelNotLoaded")[0].1, since);
    }
}

#[test]
fn a_gateway_that_is_killed_while_alerts_fire_calls_nobody_twice_and_calls_them_off() {
    if is_skipped("Alertmanager") {
        return;
    }
    let mut scene = Scene::set();
    let since = scene.is_called();
    (0..20).for_each(|_| assert_eq!(scene.gateway.post("/", "{}").status(), 503));
    let route = [("route", "churn")];
    let errors = fires(&scene.alertmanager, &scene.pager, "HighErrorRate", &route).starts_at;

    scene.gateway.kill_and_restart(WEIR);
    scene.measures_it();
    assert_eq!(scene.alertmanager.await_alert("ModelNotLoaded").starts_at, since);
    assert_eq!(scene.alertmanager.await_alert("HighErrorRate").starts_at, errors);
    scene.is_called_off(&since, &["ModelNotLoaded", "HighErrorRate"]);
}

#[test]
fn an_alertmanager_that_is_killed_while_an_alert_fires_has_it_again_as_it_was() {
    if is_skipped("Alertmanager") {
        return;
    }
    let mut scene = Scene::set();
    let since = scene.is_called();
    scene.alertmanager.await_stored();
    scene.alertmanager.kill();
    scene.alertmanager.start_again();
    assert_eq!(scene.alertmanager.await_alert("ModelNotLoaded").starts_at, since);
    scene.is_called_off(&since, &["ModelNotLoaded"]);
}

#[test]
fn an_alert_that_ends_while_alertmanager_is_away_is_called_off_once_it_is_back() {
    if is_skipped("Alertmanager") {
        return;
    }
    let mut scene = Scene::set();
    let since = scene.is_called();
    scene.alertmanager.await_stored();
    scene.alertmanager.kill();
    scene.patient.gets_well();
    eventually("its end", || (!scene.knows_of_it()).then_some(()));
    scene.alertmanager.start_again();
    scene.is_called_off(&since, &["ModelNotLoaded"]);
}

#[test]
fn a_gateway_that_is_killed_while_alertmanager_is_away_tells_it_what_it_missed() {
    if is_skipped("Alertmanager") {
        return;
    }
    let mut scene = Scene::set();
    let since = scene.is_called();
    scene.alertmanager.await_stored();
    scene.alertmanager.kill();
    scene.gateway.kill_and_restart(WEIR);
    eventually("what fires", || scene.knows_of_it().then_some(()));
    scene.alertmanager.start_again();
    assert_eq!(scene.alertmanager.await_alert("ModelNotLoaded").starts_at, since);
    scene.is_called_off(&since, &["ModelNotLoaded"]);
}

/// Fires and ends while Alertmanager is away; the gateway is killed after that, or is not.
#[track_caller]
fn all_while_it_is_away(killed: bool) {
    let mut scene = Scene::set();
    scene.alertmanager.kill();
    scene.patient.falls_ill();
    eventually("what fires", || scene.knows_of_it().then_some(()));
    scene.patient.gets_well();
    eventually("its end", || (!scene.knows_of_it()).then_some(()));
    if killed {
        scene.gateway.kill_and_restart(WEIR);
    }
    scene.alertmanager.start_again();
    let first = scene.pager.await_told("firing", "ModelNotLoaded");
    let last = scene.pager.await_told("resolved", "ModelNotLoaded");
    scene.pager.heard_once_of(&["ModelNotLoaded"]);
    assert!(last.starts_at == first.starts_at && last.ends_at > last.starts_at, "{last:#?}");
}

#[test]
fn an_alert_that_fires_and_ends_while_alertmanager_is_away_is_told_as_both() {
    if !is_skipped("Alertmanager") {
        all_while_it_is_away(false);
    }
}

#[test]
fn an_alert_that_fires_and_ends_while_alertmanager_is_away_outlives_the_gateway() {
    if !is_skipped("Alertmanager") {
        all_while_it_is_away(true);
    }
}

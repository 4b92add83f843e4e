//! What the course would be woken for, made to happen.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::alertmanager::Alertmanager;
use support::pager::Pager;
use support::peer::Peer;
use support::{Gateway, Wire, eventually, eventually_within, nobody};

use super::{alerting, fastapi, fires};
use crate::{WEIR, is_skipped, post_json};

/// The course's four rules and one of its objectives, written so that they mean what they say.
const RULES: &str = r#"
[plugin.confidence]
path = "builtin:confidence"
config = { window = "10s", min_rows = 50 }

[alert.HighErrorRate]
ratio = "api_errors_total"
of = "http_server_request_duration_seconds"
by = ["route"]
window = "5s"
above = 0.05
labels = { severity = "critical" }
annotations = { summary = "High API error rate", description = "{{ $value | humanizePercentage }} of {{ $labels.route }} fail" }

[alert.HighLatency]
quantile = "prediction_latency_seconds"
q = 0.95
by = ["route"]
window = "5s"
above = 1.0
labels = { severity = "warning" }
annotations = { description = "P95 latency is {{ $value | humanizeDuration }}" }

[alert.ModelNotLoaded]
gauge = "model_loaded"
aggregate = "max"
by = ["model"]
equals = 0
labels = { severity = "critical" }
annotations = { description = "{{ $labels.model }} is not loaded" }

[alert.ModelMissing]
absent = "model_loaded"
where = { model = "ChurnPredictor" }
for = "1s"
labels = { severity = "critical" }

[alert.LowConfidence]
plugin = "confidence"
condition = "low_confidence"
for = "2s"
labels = { severity = "warning" }
annotations = { description = "{{ $value | humanizePercentage }} of predictions are unsure" }
unless = ["ModelNotLoaded"]

[slo.availability]
objective = 0.99
routes = ["churn"]

[slo.budget]
objective = 0.9
routes = ["churn"]
consecutive_bad = 0
[[slo.budget.burn]]
long = "2m"
short = "1m"
factor = 3
severity = "ticket"
"#;

const LOCAL: &str = r#"
[[route]]
name = "local"
path = "/v1/*"
backend = "local"
protocol = "kserve-v1"
[backend.local]
model = "builtin:churn"
model_name = "ChurnPredictor"
"#;

fn configuration(alertmanager: &Alertmanager, model: SocketAddr, rest: &str) -> String {
    let alerting = alerting(alertmanager);
    format!(
        r#"{alerting}
[[route]]
name = "churn"
path = "/predict"
backend = "churn"
protocol = "json"
model = "churn"
[backend.churn]
endpoints = ["http://{model}"]
ready = "/health"
ready_interval = "200ms"
ready_timeout = "10s"
{rest}"#
    )
}

/// Everything that takes part.
struct Scene {
    model: SocketAddr,
    server: Option<Peer>,
    pager: Pager,
    alertmanager: Alertmanager,
    gateway: Gateway,
    /// Requests of which the model is sure, and of which it is not.
    sure: Vec<u8>,
    unsure: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn set() -> Self {
        let (model, folder, pager) = (nobody(), tempfile::tempdir().expect("a folder"), Pager::start());
        let server = Some(fastapi(model));
        let alertmanager = Alertmanager::start(folder.path(), &pager);
        let (sure, unsure) = questions(model);
        let rest = format!("{LOCAL}{RULES}");
        let gateway = Gateway::start(WEIR, &configuration(&alertmanager, model, &rest));
        Self { model, server, pager, alertmanager, gateway, sure, unsure, _folder: folder }
    }

    #[track_caller]
    fn fires(&self, name: &str, own: &[(&str, &str)]) {
        fires(&self.alertmanager, &self.pager, name, own);
    }

    /// Asks the same so many times; every answer has this status.
    #[track_caller]
    fn ask(&self, question: &[u8], times: usize, status: u16) {
        let mut client = self.gateway.client();
        for _ in 0..times {
            client.send(question);
            let reply = client.message();
            assert_eq!(reply.status(), status, "{}", reply.text());
        }
    }

    /// Goes on asking until somebody is told; every answer has this status.
    #[track_caller]
    fn ask_until(&self, told: &str, name: &str, status: u16) {
        eventually(name, || {
            self.ask(&self.sure, 1, status);
            self.pager.told().iter().find(|one| one.status == told && one.name() == name).map(drop)
        });
    }

    fn status(&self) -> Value {
        self.gateway.api("/api/alerts")
    }

    fn rule(&self, name: &str) -> Value {
        let page = self.status();
        page["rules"].as_array().expect("rules").iter().find(|rule| rule["name"] == name).expect(name).clone()
    }
}

/// Rows of which the model is sure, and rows of which it is not, as the model itself says.
fn questions(model: SocketAddr) -> (Vec<u8>, Vec<u8>) {
    let grid =
        (0..72).step_by(3).flat_map(|tenure| (20..120).step_by(10).map(move |charges| (tenure, charges)));
    let rows: Vec<Value> =
        grid.map(|(tenure, charges)| json!([tenure, charges, tenure * charges, 0])).collect();
    let body = |rows: &[&Value]| post_json("/predict", &json!({ "features": rows }).to_string());
    let all: Vec<&Value> = rows.iter().collect();
    let reply = support::peer::ask(model, body(&all)).expect("the model answers").json();
    let highest = |scores: &Value| {
        scores.as_array().expect("scores").iter().filter_map(Value::as_f64).fold(0.0, f64::max)
    };
    let scores: Vec<f64> =
        reply["probabilities"].as_array().expect("probabilities").iter().map(highest).collect();
    let of = |fits: &dyn Fn(f64) -> bool| -> Vec<&Value> {
        rows.iter().zip(&scores).filter(|(_, score)| fits(**score)).map(|(row, _)| row).take(30).collect()
    };
    let (sure, unsure) = (of(&|score| score > 0.8), of(&|score| score < 0.6));
    assert_eq!((sure.len(), unsure.len()), (30, 30));
    (body(&sure[..1]), body(&unsure))
}

const CHURN: (&str, &str) = ("route", "churn");
const CRITICAL: (&str, &str) = ("severity", "critical");
const WARNING: (&str, &str) = ("severity", "warning");

#[test]
fn each_incident_of_the_course_calls_somebody_once_and_calls_it_off_once() {
    if is_skipped("FastAPI and Alertmanager") {
        return;
    }
    let mut scene = Scene::set();
    scene.ask(&scene.sure, 20, 200);
    the_model_becomes_unsure(&scene);
    a_model_is_taken_out(&scene);
    scene.pager.await_told("resolved", "LowConfidence");
    the_model_server_is_slow(&scene);
    the_model_server_is_gone(&mut scene);
    the_model_server_is_back(&mut scene);
    let all = [
        "LowConfidence",
        "ModelMissing",
        "HighLatency",
        "ModelNotLoaded",
        "HighErrorRate",
        "availability",
        "budget",
    ];
    scene.pager.heard_once_of(&all);
}

fn the_model_becomes_unsure(scene: &Scene) {
    scene.ask(&scene.unsure, 3, 200);
    let model = [CHURN, WARNING, ("model", "churn"), ("model_version", "1"), ("plugin", "confidence")];
    scene.fires("LowConfidence", &model);
}

fn a_model_is_taken_out(scene: &Scene) {
    let with = |rest: &str| configuration(&scene.alertmanager, scene.model, &format!("{rest}{RULES}"));
    scene.gateway.replace_config(&with(""));
    scene.fires("ModelMissing", &[CRITICAL, ("model", "ChurnPredictor")]);
    scene.gateway.replace_config(&with(LOCAL));
    scene.pager.await_told("resolved", "ModelMissing");
}

/// Nothing of it runs for more than a second, in which twelve requests wait.
fn the_model_server_is_slow(scene: &Scene) {
    let evaluated = || scene.status()["evaluated_unix_ms"].as_u64().expect("a time");
    let server = scene.server.as_ref().expect("it runs");
    server.freeze();
    let mut clients: Vec<Wire> = (0..12).map(|_| scene.gateway.client()).collect();
    clients.iter_mut().for_each(|client| client.send(&scene.sure));
    let began = evaluated();
    eventually("more than a second", || (evaluated() >= began + 2000).then_some(()));
    server.thaw();
    for client in &mut clients {
        assert_eq!(client.message().status(), 200);
    }
    scene.fires("HighLatency", &[CHURN, WARNING]);
    scene.pager.await_told("resolved", "HighLatency");
}

fn the_model_server_is_gone(scene: &mut Scene) {
    let pair = |scene: &Scene| {
        let page = scene.status();
        page["slos"]
            .as_array()
            .expect("objectives")
            .iter()
            .find(|slo| slo["name"] == "budget")
            .expect("it is there")["pairs"][0]
            .clone()
    };
    eventually_within(Duration::from_secs(90), "windows that were seen", || {
        (pair(scene)["known"] == true).then_some(())
    });
    // So that its answers are unsure, but nobody wants to hear that of a model that is gone.
    scene.ask(&scene.unsure, 3, 200);
    scene.server = None;
    scene.fires("ModelNotLoaded", &[CRITICAL, ("model", "churn")]);
    scene.ask(&scene.sure, 60, 502);
    scene.fires("HighErrorRate", &[CHURN, CRITICAL]);
    scene.ask_until("firing", "availability", 502);
    let burns = |name, severity| [("alertname", "SLOErrorBudgetBurn"), ("slo", name), ("severity", severity)];
    scene.fires("availability", &burns("availability", "page"));
    scene.fires("budget", &burns("budget", "ticket"));
    let muted = eventually("an unsure model that is gone", || {
        Some(scene.rule("LowConfidence")).filter(|rule| rule["state"] == "firing")
    });
    assert_eq!(muted["alerts"][0]["muted"], true, "{muted}");
    eventually("its end", || Some(scene.rule("LowConfidence")).filter(|rule| rule["state"] == "inactive"));
}

fn the_model_server_is_back(scene: &mut Scene) {
    scene.server = Some(fastapi(scene.model));
    scene.pager.await_told("resolved", "ModelNotLoaded");
    scene.ask(&scene.sure, 400, 200);
    for name in ["HighErrorRate", "availability", "budget"] {
        scene.ask_until("resolved", name, 200);
    }
    let held = scene.alertmanager.alerts();
    assert!(held.is_empty(), "{held:#?}");
}

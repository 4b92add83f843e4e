//! Receivers that do not do what they should, and the others.

use serde_json::Value;
use support::pager::Pager;
use support::{Gateway, Patient, Server, Upstream, eventually, ok};

use crate::{NOT_LOADED, WEIR, configuration, not_loaded, webhook};

/// What `/api/alerts` says of a receiver.
#[track_caller]
fn receiver(gateway: &Gateway, name: &str) -> Value {
    let page = gateway.api("/api/alerts");
    let mut receivers = page["receivers"].as_array().expect("receivers").iter();
    let found = receivers.find(|receiver| receiver["receiver"] == name);
    found.unwrap_or_else(|| panic!("no receiver `{name}` in {page}")).clone()
}

/// Waits until at least one notification to a receiver had this outcome.
#[track_caller]
fn await_outcome(gateway: &Gateway, receiver: &str, outcome: &str) {
    eventually(outcome, || {
        let labels = [("receiver", receiver), ("outcome", outcome)];
        (gateway.metric("weir_alert_notifications_total", &labels) > 0.0).then_some(())
    });
}

#[test]
fn an_alertmanager_that_answers_html_counts_as_failed_and_costs_no_other_receiver() {
    let (patient, pager) = (Patient::start(), Pager::start());
    let page = Server::start(|_| ok("text/html; charset=utf-8", b"<html>Welcome to our proxy</html>"));
    let name = format!("alertmanager:{}", page.address());
    let alerting =
        format!("alertmanagers = [\"http://{}\"]\n{}", page.address(), webhook("pager", &pager.url()));
    let gateway = Gateway::start(WEIR, &configuration(&patient, &alerting, NOT_LOADED));
    patient.falls_ill();
    pager.await_told("firing", "ModelNotLoaded");
    await_outcome(&gateway, &name, "failed");
    let words =
        |line: &Value| line["reason"].as_str().unwrap_or_default().contains("Alertmanager listen there");
    let line =
        gateway.logs().find(|line| line["receiver"] == *name && words(line)).expect("words in the log");
    assert_eq!(line["level"], "error", "{line}");
    let shown = eventually("a receiver that fails", || {
        Some(receiver(&gateway, &name)).filter(|r| r["failing"] == true)
    });
    assert_eq!(shown["waiting"], 1, "{shown}");
    assert_eq!(receiver(&gateway, "webhook:pager")["failing"], false);

    patient.gets_well();
    pager.await_told("resolved", "ModelNotLoaded");
    pager.heard_once_of(&["ModelNotLoaded"]);
    assert_eq!(pager.told()[0].labels, not_loaded());
    assert_eq!(pager.told()[0].annotations["summary"], "churn is not loaded (0)");
    let delivered = [("receiver", "webhook:pager"), ("outcome", "delivered")];
    gateway.await_metric("weir_alert_notifications_total", &delivered, 2.0);
    assert_eq!(
        gateway.metric("weir_alert_notifications_total", &[("receiver", &name), ("outcome", "delivered")]),
        0.0
    );
}

#[test]
fn a_webhook_that_hangs_is_waited_for_by_nobody_and_told_once_it_answers() {
    let (patient, pager, hanging) = (Patient::start(), Pager::start(), Upstream::bind());
    let slow = format!("http://{}/hook", hanging.address());
    let alerting = webhook("pager", &pager.url()) + &webhook("slow", &slow);
    let gateway = Gateway::start(WEIR, &configuration(&patient, &alerting, NOT_LOADED));
    patient.falls_ill();
    let mut unanswered = hanging.accept();
    let first = unanswered.message();
    pager.await_told("firing", "ModelNotLoaded");
    await_outcome(&gateway, "webhook:slow", "failed");
    let said =
        |line: &Value| line["receiver"] == "webhook:slow" && line["reason"] == "no answer within 300ms";
    gateway.logs().find(said).expect("words in the log");
    patient.gets_well();
    pager.await_told("resolved", "ModelNotLoaded");
    pager.heard_once_of(&["ModelNotLoaded"]);

    // Tried again, as the same notification, until an answer comes in time; then told of the end.
    let mut last = String::from("firing");
    while last == "firing" {
        let mut again = hanging.accept();
        while let Some(message) = again.try_message() {
            last = message.json()["status"].as_str().expect("a status").to_owned();
            assert!(last == "resolved" || message.body == first.body);
            if again.try_send(ok("text/plain", b"")).is_err() || last == "resolved" {
                break;
            }
        }
    }
    let delivered = [("receiver", "webhook:slow"), ("outcome", "delivered")];
    gateway.await_metric("weir_alert_notifications_total", &delivered, 2.0);
    gateway.await_metric("weir_alert_notifications_waiting", &[("receiver", "webhook:slow")], 0.0);
}

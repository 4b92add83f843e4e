//! Every way a webhook can behave.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use weir_alert::delivery::{Receivers, WebhookOptions};

use crate::rig::{Rig, alert, over, quick, webhook};
use crate::server::{LONG, Say, Server};

fn only(options: WebhookOptions) -> Receivers {
    Receivers { webhooks: vec![options], external_url: "http://weir:9090".into(), ..quick() }
}

#[test]
fn each_change_is_posted_once_with_a_key_and_a_signature() {
    let server = Server::start(|_| Say::status(204));
    let secret = Some("s3cret".to_owned());
    let rig = Rig::new(&only(WebhookOptions { secret, ..webhook("pager", &server.url) }));
    rig.fire(&["Slow"]);
    rig.quiet();
    rig.fire(&["Slow"]);
    rig.delivery.offer(Vec::new(), vec![over(alert("Slow"))]);
    rig.quiet();
    assert!(rig.delivery.finish(LONG));
    let fingerprint = alert("Slow").fingerprint();
    let seen = server.seen();
    let keys: Vec<_> = seen.iter().map(|seen| seen.header("x-weir-delivery").to_owned()).collect();
    let key = |status: &str| format!("{fingerprint}-1700000000000-{status}");
    assert_eq!(keys, [key("firing"), key("resolved")]);
    let body = seen[0].json();
    assert_eq!((&body["version"], &body["receiver"]), (&"4".into(), &"pager".into()));
    assert_eq!(body["externalURL"], "http://weir:9090");
    let signature = seen[0].header("x-weir-signature");
    assert!(
        signature.starts_with("t=") && signature.contains(",v1=") && signature.len() == 80,
        "{signature}"
    );
    assert_eq!(rig.outcome("webhook:pager", "delivered"), 2);
}

#[test]
fn what_a_webhook_refuses_is_counted_and_never_tried_again() {
    let server = Server::start(|_| Say::status(403));
    let rig = Rig::new(&only(webhook("pager", &server.url)));
    rig.fire(&["Slow"]);
    rig.quiet();
    assert!(rig.delivery.finish(LONG));
    assert_eq!(server.seen().len(), 1);
    assert_eq!(rig.outcome("webhook:pager", "rejected"), 1);
    assert_eq!(rig.metric("weir_alert_dropped_total{reason=\"refused\"}"), 1);
}

#[test]
fn one_that_fails_is_tried_again_in_order() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, SeqCst) {
        0 => Say::status(500),
        1 => Say::status(429),
        2 => Say::Hang,
        _ => Say::status(200),
    });
    let rig = Rig::new(&only(webhook("pager", &server.url)));
    rig.fire(&["Slow"]);
    rig.delivery.offer(Vec::new(), vec![over(alert("Slow"))]);
    rig.quiet();
    let told: Vec<_> = server.seen().iter().map(|seen| seen.json()["status"].clone()).collect();
    assert_eq!(told, ["firing", "firing", "firing", "firing", "resolved"]);
    assert_eq!([rig.outcome("webhook:pager", "failed"), rig.outcome("webhook:pager", "delivered")], [3, 2]);
}

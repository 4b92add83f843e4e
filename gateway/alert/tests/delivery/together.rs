//! Several receivers, reloads and restarts.

use std::time::Duration;

use weir_alert::Alert;
use weir_alert::delivery::{ReceiverFault, Receivers, SavedDelivery, try_once};

use crate::rig::{Rig, alert, alertmanagers, over, quick, webhook};
use crate::server::{Down, LONG, Say, Server};

#[test]
fn one_that_hangs_delays_nobody_else() {
    let (hangs, works) = (Server::start(|_| Say::Hang), Server::alertmanager());
    let hook = Server::start(|_| Say::status(200));
    let mut receivers = alertmanagers(&[&hangs.url, &works.url]);
    receivers.webhooks = vec![webhook("hangs", &hangs.url), webhook("works", &hook.url)];
    let patient = |post: &mut weir_telemetry::export::PostOptions| post.timeout = 10 * LONG;
    receivers.alertmanagers.iter_mut().for_each(|options| patient(&mut options.post));
    receivers.webhooks.iter_mut().for_each(|options| patient(&mut options.post));
    let rig = Rig::new(&receivers);
    rig.fire(&["Slow"]);
    assert_eq!((works.alerts().len(), hook.next().json()["status"].as_str()), (1, Some("firing")));
    // And the end does not wait for it longer than it is told to.
    assert!(!rig.delivery.finish(Duration::from_millis(50)));
}

#[test]
fn the_end_of_weir_is_not_the_end_of_an_alert() {
    let (peer, hook) = (Server::alertmanager(), Server::start(|_| Say::status(200)));
    let webhooks = vec![webhook("w", &hook.url)];
    let rig = Rig::new(&Receivers { webhooks, ..alertmanagers(&[&peer.url]) });
    rig.fire(&["Slow"]);
    assert!(rig.delivery.finish(LONG), "what is due is sent");
    drop(rig);
    assert_eq!((peer.seen().len(), hook.seen().len()), (1, 1));
}

#[test]
fn another_process_tells_what_was_not_told_and_repeats_nothing() {
    let (hook, down) = (Server::start(|_| Say::status(200)), Down::new());
    let webhooks = vec![webhook("w", &hook.url)];
    let receivers = Receivers { webhooks, ..alertmanagers(&[&down.url()]) };
    let rig = Rig::new(&receivers);
    rig.fire(&["Slow", "Gone"]);
    let _ = (hook.next(), hook.next());
    rig.delivery.offer(vec![alert("Slow")], vec![over(alert("Gone"))]);
    let _ = hook.next();
    assert!(!rig.delivery.finish(LONG));
    let saved = serde_json::to_string(&rig.delivery.saved()).expect("JSON");
    drop(rig);
    let saved: SavedDelivery = serde_json::from_str(&saved).expect("read again");
    let server = down.up(|seen| match seen.path.ends_with("/status") {
        true => Say::since("t0"),
        false => Say::Answer(200, "application/json", String::new()),
    });
    let rig = Rig::restored(&receivers, Some(&saved));
    // Before any evaluation: what has ended, though first as firing.
    assert_eq!(server.alerts()[0]["labels"]["alertname"], "Gone");
    rig.fire(&["Slow"]);
    rig.quiet();
    let told: Vec<_> =
        server.seen().iter().flat_map(|seen| seen.json().as_array().cloned()).flatten().collect();
    let slow = told.iter().find(|told| told["labels"]["alertname"] == "Slow").expect("told");
    assert_eq!(slow["startsAt"], "2023-11-14T22:13:20.000Z");
    assert_eq!(hook.seen().len(), 0, "the webhook knew it all");
}

#[test]
fn a_reload_keeps_who_stays_tells_who_comes_and_forgets_who_goes() {
    let (stays, comes) = (Server::alertmanager(), Server::alertmanager());
    let goes = Down::new();
    let rig = Rig::new(&alertmanagers(&[&stays.url, &goes.url()]));
    rig.fire(&["Slow"]);
    assert_eq!(stays.alerts().len(), 1);
    rig.delivery.replace(alertmanagers(&[&stays.url, &comes.url]).prepare().expect("usable"));
    assert_eq!(comes.alerts().len(), 1);
    rig.quiet();
    assert!(rig.delivery.finish(LONG));
    assert_eq!(stays.seen().len(), 0, "it knew");
    assert_eq!(rig.metric("weir_alert_dropped_total{reason=\"removed\"}"), 1);
    assert_eq!(rig.delivery.status().len(), 2);
}

#[test]
fn what_is_muted_is_told_to_nobody_new() {
    let (peer, hook) = (Server::alertmanager(), Server::start(|_| Say::status(200)));
    let webhooks = vec![webhook("w", &hook.url)];
    let rig = Rig::new(&Receivers { webhooks, ..alertmanagers(&[&peer.url]) });
    let muted = Alert { muted: true, ..alert("Muted") };
    rig.delivery.offer(vec![muted.clone(), alert("Loud")], Vec::new());
    rig.delivery.offer(vec![alert("Loud")], vec![over(muted)]);
    assert!(rig.delivery.finish(LONG));
    assert_eq!(peer.alerts().len(), 1);
    assert_eq!((peer.seen().len(), hook.seen().len()), (0, 1));
}

#[test]
fn every_receiver_that_cannot_be_used_is_named_and_no_secret_is() {
    let mut receivers = alertmanagers(&["http://a:9093", "nonsense", "http://me:pw@a:9093"]);
    receivers.webhooks = vec![webhook("w", "ftp://x/secret-path")];
    let faults = receivers.prepare().expect_err("refused");
    let words: Vec<_> = faults.iter().map(ReceiverFault::to_string).collect();
    assert_eq!(words.len(), 3, "{words:?}");
    assert!(words[0].starts_with("set up Alertmanager 2: cannot read the URL"), "{words:?}");
    assert!(words[1].contains("`http://a:9093` twice"), "{words:?}");
    assert!(words[2].starts_with("set up the webhook `w`: cannot send to a URL of the scheme `ftp`"));
    let all = format!("{words:?} {receivers:?}");
    assert!(!all.contains("pw") && !all.contains("secret-path"), "{all}");
}

#[test]
fn trying_once_says_who_got_it_and_why_others_did_not() {
    let (peer, hook, down) = (Server::alertmanager(), Server::start(|_| Say::status(410)), Down::new());
    let mut receivers = Receivers { webhooks: vec![webhook("w", &hook.url)], ..quick() };
    receivers.alertmanagers = alertmanagers(&[&peer.url, &down.url()]).alertmanagers;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tried = runtime.block_on(try_once(receivers.prepare().expect("usable"), &alert("Test")));
    let results: Vec<_> = tried.iter().map(|tried| tried.result.clone().err().unwrap_or_default()).collect();
    assert_eq!(results[0], "");
    assert!(results[1].contains("connection refused"), "{results:?}");
    assert_eq!(results[2], "answered 410: words");
    assert_eq!(tried[0].place, peer.url);
}

#[test]
fn every_series_is_there_from_the_start() {
    let rig =
        Rig::new(&Receivers { webhooks: vec![webhook("w", "http://w")], ..alertmanagers(&["http://a:1"]) });
    for receiver in ["alertmanager:a:1", "webhook:w"] {
        let outcomes = ["delivered", "rejected", "failed", "dropped"];
        assert_eq!(outcomes.map(|outcome| rig.outcome(receiver, outcome)), [0; 4]);
        assert_eq!(rig.metric(&format!("weir_alert_notifications_waiting{{receiver=\"{receiver}\"}}")), 0);
    }
    for reason in ["full", "expired", "refused", "removed"] {
        assert_eq!(rig.metric(&format!("weir_alert_dropped_total{{reason=\"{reason}\"}}")), 0);
    }
}

//! Every way an Alertmanager can behave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value as Json, json};
use weir_alert::delivery::Receivers;

use crate::rig::{Rig, alert, alertmanagers, now, over};
use crate::server::{Down, LONG, Say, Server};

fn unix_ms(json: &Json) -> u64 {
    // A date far in the future or in the past is enough to tell which it is.
    let text = json.as_str().expect("a time");
    let date = text.strip_suffix('Z').expect("UTC").replace('T', " ");
    let (day, time) = date.split_once(' ').expect("a time of day");
    let day: Vec<i64> = day.split('-').map(|part| part.parse().expect("a number")).collect();
    let time: Vec<f64> = time.split(':').map(|part| part.parse().expect("a number")).collect();
    let (y, m) = if day[1] <= 2 { (day[0] - 1, day[1] + 9) } else { (day[0], day[1] - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day[2] - 1 - 719_468;
    (days as u64) * 86_400_000 + (((time[0] * 60.0 + time[1]) * 60.0 + time[2]) * 1000.0).round() as u64
}

#[test]
fn an_alert_arrives_under_the_prefix_and_its_end_follows() {
    let server = Server::alertmanager();
    let rig = Rig::new(&alertmanagers(&[&format!("{}/am/", server.url)]));
    rig.fire(&["Slow"]);
    let seen = server.next();
    assert_eq!((seen.path.as_str(), seen.header("content-type")), ("/am/api/v2/alerts", "application/json"));
    let mut body = seen.json();
    let left = unix_ms(&body[0]["endsAt"].take()) - now();
    assert!((200_000..=240_000).contains(&left), "{left}");
    let expect = json!([{
        "labels": {"alertname": "Slow"},
        "annotations": {"summary": "slow"},
        "startsAt": "2023-11-14T22:13:20.000Z",
        "endsAt": null,
        "generatorURL": "http://weir:9090/alerts",
    }]);
    assert_eq!(body, expect);
    rig.quiet();
    rig.delivery.offer(Vec::new(), vec![over(alert("Slow"))]);
    let told = server.alerts();
    assert!(unix_ms(&told[0]["endsAt"]) < now());
    rig.quiet();
    let status = rig.one();
    assert_eq!(status.place, format!("{}/am", server.url));
    assert!(status.last_success_ms.is_some() && status.last_error.is_none() && !status.failing);
    let receiver = format!("alertmanager:{}", server.url.trim_start_matches("http://"));
    assert_eq!(status.receiver, receiver);
    assert_eq!([rig.outcome(&receiver, "delivered"), rig.outcome(&receiver, "failed")], [2, 0]);
}

#[test]
fn what_fires_is_told_again_and_again() {
    let server = Server::alertmanager();
    let resend = Duration::from_millis(30);
    let rig = Rig::new(&Receivers { resend, ..alertmanagers(&[&server.url]) });
    rig.fire(&["Slow"]);
    let ends: Vec<u64> = (0..3).map(|_| unix_ms(&server.alerts()[0]["endsAt"])).collect();
    assert!(ends[0] < ends[1] && ends[1] < ends[2], "{ends:?}");
}

#[test]
fn what_an_alertmanager_refuses_is_counted_and_not_tried_again_at_once() {
    let server = Server::start(|seen| match seen.path.ends_with("/status") {
        true => Say::since("t0"),
        false => Say::Answer(400, "application/json", "\"bad label\"".into()),
    });
    let rig = Rig::new(&alertmanagers(&[&server.url]));
    rig.fire(&["Slow"]);
    rig.quiet();
    let status = rig.one();
    assert_eq!(status.last_error.expect("an error").reason, "answered 400: bad label");
    assert_eq!(rig.outcome(&status.receiver, "rejected"), 1);
    assert!(rig.delivery.finish(LONG));
    assert_eq!(server.seen().len(), 1);
}

/// A peer that answers so is not content; what is said of it.
fn check_failing(say: impl Fn(&str) -> Say + Send + Sync + 'static) -> String {
    let bad = Arc::new(AtomicBool::new(true));
    let turn = bad.clone();
    let server = Server::start(move |seen| match (turn.load(SeqCst), seen.path.ends_with("/status")) {
        (true, _) => say(&seen.path),
        (false, true) => Say::since("t0"),
        (false, false) => Say::Answer(200, "application/json", String::new()),
    });
    let rig = Rig::new(&alertmanagers(&[&server.url]));
    rig.fire(&["Slow"]);
    let words = loop {
        match rig.one().last_error {
            Some(error) => break error.reason,
            None => std::thread::park_timeout(Duration::from_millis(1)),
        }
    };
    assert_eq!((rig.one().failing, rig.one().waiting), (true, 1));
    bad.store(false, SeqCst);
    rig.quiet();
    assert!(!rig.one().failing);
    words
}

#[test]
fn a_server_that_is_no_alertmanager_is_named_and_tried_again() {
    let html = || Say::Answer(200, "text/html", "<html>hello</html>".into());
    let words = check_failing(move |_| html());
    assert!(words.contains("/api/v2/status is not the JSON of an Alertmanager"), "{words}");
    let words = check_failing(move |path| if path.ends_with("status") { Say::since("t0") } else { html() });
    assert!(words.contains("a page of HTML"), "{words}");
    let words = check_failing(|_| Say::status(404));
    assert!(words.contains("404"), "{words}");
}

#[test]
fn a_failure_is_tried_again_until_it_is_over() {
    let words =
        check_failing(|path| if path.ends_with("status") { Say::since("t0") } else { Say::status(500) });
    assert_eq!(words, "answered 500: words");
    let words = check_failing(|_| Say::Hang);
    assert!(words.contains("no answer within"), "{words}");
}

#[test]
fn what_ended_while_nobody_listened_fires_first_and_ends_after_a_while() {
    let down = Down::new();
    let rig = Rig::new(&alertmanagers(&[&down.url()]));
    rig.fire(&["Slow"]);
    rig.delivery.offer(Vec::new(), vec![over(alert("Slow"))]);
    let server = down.up(|seen| match seen.path.ends_with("/status") {
        true => Say::since("t0"),
        false => Say::Answer(200, "application/json", String::new()),
    });
    let (first, second) = (server.next(), server.next());
    assert!(unix_ms(&first.json()[0]["endsAt"]) > now());
    assert!(unix_ms(&second.json()[0]["endsAt"]) < now());
    assert!(second.at - first.at >= Duration::from_millis(55), "after group_wait");
}

#[test]
fn an_alertmanager_that_was_restarted_is_told_what_fires_and_of_a_recent_end_as_if_anew() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.path.ends_with("/status") {
        true if asked.fetch_add(1, SeqCst) == 0 => Say::since("t0"),
        true => Say::since("t1"),
        false => Say::Answer(200, "application/json", String::new()),
    });
    let resend = Duration::from_millis(400);
    let rig = Rig::new(&Receivers { resend, ..alertmanagers(&[&server.url]) });
    rig.fire(&["A", "B"]);
    assert_eq!(server.alerts().len(), 2);
    rig.delivery.offer(vec![alert("A")], vec![over(alert("B"))]);
    // What the second incarnation is told until the end of `B`; it is found out when all is told again.
    let (mut second, mut told) = (false, Vec::new());
    while !told.contains(&("B".to_owned(), false)) {
        let seen = server.any();
        let alerts = if seen.body.is_empty() { json!([]) } else { seen.json() };
        second |= seen.path.ends_with("/status");
        let name = |told: &Json| told["labels"]["alertname"].as_str().expect("a name").to_owned();
        let alerts = alerts.as_array().expect("an array").clone();
        told.extend(
            alerts.iter().filter(|_| second).map(|told| (name(told), unix_ms(&told["endsAt"]) > now())),
        );
    }
    let first = |of: (&str, bool)| told.iter().position(|(name, fires)| (name.as_str(), *fires) == of);
    assert!(first(("A", true)).is_some() && first(("B", true)) < first(("B", false)), "{told:?}");
    assert!(first(("B", true)).is_some(), "{told:?}");
}

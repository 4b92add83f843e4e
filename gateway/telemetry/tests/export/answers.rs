//! Every way a receiver can answer, or fail to.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use serde_json::Value as Json;
use weir_telemetry::export::proto::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use weir_telemetry::export::{ExportOptions, OtlpOptions, Post, PostOptions, PostShape};

use crate::collector::{Collector, Say};
use crate::rig::{HOUR, Rig, batches, names, otlp};

fn impatient(url: &str) -> OtlpOptions {
    let timeout = Duration::from_millis(50);
    OtlpOptions { post: PostOptions { timeout, ..PostOptions::default() }, ..otlp(url) }
}

fn partial(rejected: i64, message: &str) -> Vec<u8> {
    let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message: message.into() };
    ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

/// Sends one batch of two spans to a collector that answers as told, then 200; what became of it.
fn check(say: Say, outcomes: &[(&str, u64)], result: &str) -> (Rig, Collector) {
    let collector = Collector::start(move |n, _| if n == 0 { say.clone() } else { Say::status(200) });
    let rig = Rig::traces(&otlp(&collector.url()), batches(2));
    rig.offer(["a", "b"]);
    rig.flush();
    assert_eq!(rig.outcomes(), outcomes);
    assert_eq!(rig.requests(result), 1, "{result}: {:?}", rig.said());
    (rig, collector)
}

#[test]
fn a_success_whose_body_is_garbage_is_a_success() {
    for body in [&b"\xff\xff\xff"[..], b"<html>", b"", &[0; 200_000]] {
        let (rig, collector) = check(Say::answer(200, &[], body), &[("sent", 2)], "ok");
        assert_eq!((collector.seen().len(), rig.said().len()), (1, 0));
    }
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound() {
    let collector = Collector::start(|_, _| Say::answer(200, &[("x-a", "b")], &[7; 200_000]));
    let post = Post::new(&collector.url(), PostShape::default(), &PostOptions::default()).expect("usable");
    for _ in 0..2 {
        let reply = post.send(Bytes::from_static(b"x")).await.expect("an answer");
        assert_eq!((reply.status.as_u16(), &reply.headers["x-a"]), (200, &"b".parse().expect("a value")));
        assert_eq!(reply.body, [7; 64 << 10][..]);
    }
}

#[test]
fn what_a_partial_success_did_not_take_is_counted_and_its_message_said() {
    let (rig, _) =
        check(Say::answer(200, &[], &partial(1, "too old")), &[("sent", 1), ("rejected", 1)], "partial");
    let line = rig.line("the receiver took a batch with reservations");
    assert_eq!((&line["rejected"], &line["reason"]), (&1.into(), &"too old".into()));
    // A warning without a number, and numbers that cannot be.
    let (rig, _) = check(Say::answer(200, &[], &partial(0, "deprecated")), &[("sent", 2)], "ok");
    assert_eq!(rig.line("the receiver took a batch with reservations")["reason"], "deprecated");
    check(Say::answer(200, &[], &partial(99, "")), &[("rejected", 2)], "partial");
    check(Say::answer(200, &[], &partial(-1, "")), &[("sent", 2)], "ok");
}

#[test]
fn a_batch_that_is_refused_is_not_tried_again_and_the_next_one_goes() {
    for status in [400, 401, 404, 413, 500, 301] {
        let (rig, collector) = check(Say::status(status), &[("failed", 2)], "refused");
        rig.offer(["c", "d"]);
        rig.flush();
        assert_eq!(collector.seen().len(), 2, "{status}");
        assert_eq!(rig.outcomes(), [("sent", 2), ("failed", 2)]);
        assert!(rig.line("export fails")["reason"].to_string().contains(&status.to_string()));
        assert_eq!(rig.line("export works again")["lost"], 2);
    }
}

#[test]
fn a_batch_that_may_go_later_is_sent_again_as_it_was() {
    for status in [429, 502, 503, 504] {
        let (_, collector) = check(Say::status(status), &[("sent", 2)], "retry");
        let seen = collector.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].body, seen[1].body);
    }
    let (_, collector) = check(Say::Break, &[("sent", 2)], "broken");
    assert_eq!(collector.seen().len(), 2);
}

#[test]
fn the_time_a_collector_asks_for_takes_the_place_of_our_own() {
    let collector = Collector::start(|n, _| match n {
        0 => Say::answer(503, &[("retry-after", "0")], b""),
        1 => Say::answer(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], b""),
        _ => Say::status(200),
    });
    // Our own wait would be up to an hour.
    let options = ExportOptions { retry_initial: HOUR, retry_longest: HOUR, ..batches(1) };
    let rig = Rig::traces(&otlp(&collector.url()), options);
    rig.offer(["a"]);
    rig.flush();
    assert_eq!((rig.outcomes(), rig.requests("retry")), (vec![("sent", 1)], 2));
}

#[test]
fn a_wait_that_outlasts_a_batch_gives_it_up_at_once() {
    let collector = Collector::start(|_, _| Say::answer(503, &[("retry-after", "100")], b""));
    let options = ExportOptions { retry_for: Duration::from_secs(60), ..batches(1) };
    let rig = Rig::traces(&otlp(&collector.url()), options);
    rig.offer(["a"]);
    rig.flush();
    assert_eq!((rig.outcomes(), collector.seen().len()), (vec![("gave_up", 1)], 1));
    // And those who come next wait too: the collector asked for it.
    rig.offer(["b"]);
    assert!(!rig.exporter.flush(Duration::from_millis(1)));
    assert_eq!(collector.seen().len(), 0);
}

#[test]
fn a_collector_that_does_not_answer_is_asked_again() {
    let collector = Collector::start(|n, _| if n < 2 { Say::Hang } else { Say::status(200) });
    let rig = Rig::traces(&impatient(&collector.url()), batches(1));
    rig.offer(["a"]);
    rig.flush();
    assert_eq!((rig.outcomes(), rig.requests("timeout")), (vec![("sent", 1)], 2));
    assert_eq!(rig.line("export fails")["reason"], "no answer within 50ms");
}

#[test]
fn a_collector_that_never_answers_costs_counted_items_and_nothing_else() {
    let collector = Collector::start(|_, _| Say::Hang);
    let rig = Rig::traces(&otlp(&collector.url()), ExportOptions { queue_items: 10, ..batches(5) });
    rig.offer(["a"; 5]);
    // Five are in hand, so ten more fit, for as long as it lasts.
    collector.next();
    assert_eq!(rig.offer(["b"; 1000]), 10);
    assert!(!rig.exporter.finish(Duration::ZERO));
    assert_eq!(rig.outcomes(), [("queue_full", 990), ("shutdown", 15)]);

    let options = ExportOptions { retry_for: Duration::ZERO, ..batches(5) };
    let rig = Rig::traces(&impatient(&collector.url()), options);
    rig.offer(["a"; 10]);
    rig.flush();
    assert_eq!((rig.outcomes(), rig.requests("timeout")), (vec![("gave_up", 10)], 2));
}

#[test]
fn a_batch_that_the_collector_cannot_stand_does_not_block_the_others() {
    let poisoned = |seen: &crate::collector::Seen| names(seen).contains(&"poison".to_owned());
    let collector =
        Collector::start(move |_, seen| if poisoned(seen) { Say::Break } else { Say::status(200) });
    let options = ExportOptions { retry_for: Duration::from_millis(20), ..batches(1) };
    let rig = Rig::traces(&otlp(&collector.url()), options);
    rig.offer(["a", "poison", "b"]);
    rig.flush();
    assert_eq!(rig.outcomes(), [("sent", 2), ("gave_up", 1)]);
}

#[test]
fn a_failure_is_said_once_and_never_with_what_is_secret() {
    let collector = Collector::start(|n, _| Say::status(if n < 20 { 503 } else { 200 }));
    let mut options = otlp(&collector.url().replace("//", "//user:hidden1@"));
    options.post.headers = vec![("x-key".into(), "hidden2".into())];
    let rig = Rig::traces(&options, ExportOptions { retry_for: Duration::ZERO, ..batches(1) });
    for i in 0..25 {
        rig.offer([i.to_string()]);
        rig.flush();
    }
    let said = rig.said();
    let messages: Vec<_> = said.iter().map(|line| line["message"].as_str().expect("text")).collect();
    assert_eq!(messages, ["export fails", "export works again"]);
    assert_eq!(said[1]["lost"], 20);
    assert!(!Json::from(said).to_string().contains("hidden"));
    let seen = collector.next();
    assert!(seen.header("authorization").starts_with("Basic ") && seen.header("x-key") == "hidden2");
    assert!(!format!("{options:?}").contains("hidden2"));
}

#[test]
fn a_collector_that_fails_and_recovers_by_turns_does_not_fill_the_log() {
    let collector = Collector::start(|n, _| Say::status(if n % 2 == 0 { 400 } else { 200 }));
    let rig = Rig::traces(&otlp(&collector.url()), batches(1));
    rig.offer((0..20).map(|i| i.to_string()));
    rig.flush();
    assert_eq!(rig.outcomes(), [("sent", 10), ("failed", 10)]);
    assert_eq!(rig.said().len(), 2);
}

#[test]
fn more_than_a_healthy_collector_takes_is_said_too() {
    let (permit, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let collector = Collector::start(move |_, _| {
        let _ = gate.lock().expect("whole").recv();
        Say::status(200)
    });
    let rig = Rig::traces(&otlp(&collector.url()), ExportOptions { queue_items: 2, ..batches(1) });
    rig.offer(["a"]);
    // Nothing tells when the first one left the queue, but then a second and a third fit.
    while rig.metric("weir_export_queue_items{signal=\"traces\"}") > 0.0 {
        std::thread::yield_now();
    }
    rig.offer(["b", "c", "d", "e"]);
    drop(permit);
    rig.flush();
    assert_eq!(rig.outcomes(), [("sent", 3), ("queue_full", 2)]);
    let said = rig.said();
    assert!(said[0]["message"].to_string().contains("more is offered for export"), "{said:?}");
    assert_eq!((said.len(), &said[0]["lost"]), (1, &2.into()));
}

#[test]
fn a_page_beside_is_read_with_the_same_headers_and_up_to_its_bound() {
    let collector = Collector::start(|_, seen| match seen.path.as_str() {
        "/am/status" => Say::answer(200, &[("content-type", "application/json")], &[b'x'; 1000]),
        _ => Say::status(404),
    });
    let options =
        PostOptions { headers: vec![("x-key".to_owned(), "k".to_owned())], ..PostOptions::default() };
    let url = format!("{}/am", collector.url());
    let post =
        Post::new(&url, PostShape { path: "/alerts", ..PostShape::default() }, &options).expect("usable");
    let page = post.page("/status").expect("a path");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let reply = runtime.block_on(post.get(&page, 100)).expect("answered");
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 100));
    let seen = collector.next();
    assert_eq!((seen.path.as_str(), seen.header("x-key"), seen.body.len()), ("/am/status", "k", 0));
}

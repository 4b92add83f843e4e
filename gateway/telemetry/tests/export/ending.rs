//! Flush, finish, and that nothing is lost uncounted.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use weir_telemetry::export::{Answer, ExportOptions, Transport};

use crate::collector::{Collector, Down, LONG, Say};
use crate::rig::{HOUR, Rig, batches, names, offer, otlp, quick};

const MOMENT: Duration = Duration::from_millis(20);

#[test]
fn flush_waits_for_what_was_taken_before_it_and_says_if_that_took_too_long() {
    let (permit, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let collector = Collector::start(move |_, _| {
        let _ = gate.lock().expect("whole").recv();
        Say::status(200)
    });
    let rig = Rig::traces(&otlp(&collector.url()), batches(100));
    assert!(rig.exporter.flush(Duration::ZERO), "there is nothing to wait for");
    rig.offer(["a"]);
    assert!(!rig.exporter.flush(MOMENT));
    permit.send(()).expect("the collector waits");
    assert!(rig.exporter.flush(LONG));
    assert_eq!(rig.outcomes(), [("sent", 1)]);
    drop(permit);
}

#[test]
fn finish_sends_what_waits_and_turns_away_what_comes_after() {
    let collector = Collector::start(|_, _| Say::status(200));
    let rig = Rig::traces(&otlp(&collector.url()), batches(100));
    rig.offer(["a", "b"]);
    assert!(rig.exporter.finish(LONG));
    assert_eq!(names(&collector.next()), ["a", "b"]);
    assert_eq!(rig.offer(["c"]), 0);
    assert!(rig.exporter.flush(Duration::ZERO) && rig.exporter.finish(LONG), "both are over already");
    assert_eq!(rig.outcomes(), [("sent", 2), ("shutdown", 1)]);
}

#[test]
fn finish_counts_what_it_could_not_send_in_time() {
    let collector = Collector::start(|_, _| Say::Hang);
    let rig = Rig::traces(&otlp(&collector.url()), batches(2));
    rig.offer(["a", "b", "c"]);
    collector.next();
    assert!(!rig.exporter.finish(MOMENT));
    assert_eq!(rig.outcomes(), [("shutdown", 3)]);
    assert_eq!(rig.metric("weir_export_queue_items{signal=\"traces\"}"), 0.0);
}

#[test]
fn finish_tries_at_once_what_waits_to_be_tried_again() {
    let collector = Collector::start(|n, _| Say::status(if n == 0 { 503 } else { 200 }));
    let options =
        ExportOptions { retry_initial: HOUR, retry_longest: HOUR, retry_for: 2 * HOUR, ..batches(1) };
    let rig = Rig::traces(&otlp(&collector.url()), options);
    rig.offer(["a"]);
    rig.line("export fails");
    assert!(rig.exporter.finish(LONG));
    assert_eq!(rig.outcomes(), [("sent", 1)]);
}

#[test]
fn an_exporter_whose_last_handle_is_gone_finishes_on_its_own() {
    let collector = Collector::start(|_, _| Say::status(200));
    let rig = Rig::traces(&otlp(&collector.url()), ExportOptions { linger: LONG, ..batches(100) });
    let other = rig.exporter.clone();
    rig.offer(["a"]);
    drop(rig);
    assert!(other.offer(crate::rig::span("b")));
    drop(other);
    assert_eq!(names(&collector.next()), ["a", "b"]);
}

#[test]
fn a_collector_that_is_down_at_the_end_costs_no_more_than_the_deadline() {
    let down = Down::new();
    let rig = Rig::traces(&otlp(&format!("http://{}", down.address())), batches(1));
    rig.offer((0..10).map(|i| i.to_string()));
    assert!(!rig.exporter.finish(MOMENT));
    assert_eq!(rig.outcomes(), [("shutdown", 10)]);
}

struct Panics;

impl Transport for Panics {
    type Item = ();
    type Body = Bytes;

    fn signal(&self) -> &'static str {
        "traces"
    }

    fn place(&self) -> &str {
        "nowhere"
    }

    fn size((): &()) -> usize {
        1
    }

    fn encode(&self, _: Vec<()>) -> Bytes {
        panic!("as the test wants")
    }

    async fn send(&self, _: Bytes) -> Answer {
        Answer::TAKEN
    }
}

#[test]
fn a_thread_that_dies_leaves_nothing_uncounted_and_nobody_waiting() {
    let rig = Rig::new(Panics, batches(2));
    let taken = (0..5).filter(|_| rig.exporter.offer(())).count() as u64;
    assert!(rig.exporter.flush(LONG), "everything came to an end");
    assert!(!rig.exporter.finish(LONG));
    assert!(taken >= 2);
    assert_eq!(rig.outcomes(), [("shutdown", 5)]);
}

#[test]
fn everything_offered_comes_to_exactly_one_end() {
    // Every answer there is, in turn, while four threads offer more than there is room for.
    let partial = b"\x0a\x02\x08\x01";
    let collector = Collector::start(move |n, _| match n % 6 {
        0 => Say::status(200),
        1 => Say::answer(200, &[], partial),
        2 => Say::status(400),
        3 => Say::status(503),
        4 => Say::Break,
        _ => Say::answer(200, &[], b"garbage"),
    });
    let options = ExportOptions {
        queue_items: 50,
        batch_items: 7,
        batch_bytes: 1000,
        retry_for: Duration::from_millis(3),
        ..quick()
    };
    let rig = Rig::traces(&otlp(&collector.url()), options);
    let items = |thread: usize| {
        (0..1000).map(move |i| if i % 100 == 0 { "x".repeat(2000) } else { format!("{thread}.{i}") })
    };
    thread::scope(|scope| {
        for t in 0..4 {
            let exporter = rig.exporter.clone();
            scope.spawn(move || offer(&exporter, items(t)));
        }
    });
    rig.flush();
    rig.offer(items(4));
    rig.exporter.finish(MOMENT);
    rig.offer(items(5));
    let outcomes = rig.outcomes();
    assert_eq!(outcomes.iter().map(|(_, n)| n).sum::<u64>(), 6000, "{outcomes:?}");
    let count = |name| outcomes.iter().find(|(known, _)| *known == name).map_or(0, |(_, n)| *n);
    assert_eq!(count("too_large"), 60);
    assert!(count("sent") > 0 && count("queue_full") > 0 && count("shutdown") >= 990, "{outcomes:?}");
    assert_eq!(rig.metric("weir_export_queue_items{signal=\"traces\"}"), 0.0);
}

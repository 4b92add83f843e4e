//! Judges: order, slowness, panics, replacement, barriers and the end.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_exchange::{Batch, Protocol, SchemaId, Verdict};
use weir_observe::{Judge, LineConfig, Said, VerdictSink};

use crate::support::{House, LONG, Played, good, judge, kserve, recorder, route, slo_events, still};

/// Passes are made all the time, and every exchange is a batch.
fn brisk() -> LineConfig {
    let mut config = still();
    config.poll = Duration::from_millis(1);
    config.batches.exchanges = 1;
    config
}

/// A judge that stops in its first batch, says so, and goes on when it is told to. It notes what it has seen.
struct Stopped {
    judge: Box<dyn Judge>,
    entered: Receiver<()>,
    go_on: Sender<()>,
    seen: Arc<Mutex<Vec<u128>>>,
}

fn stopped(key: &'static str) -> Stopped {
    let (enter, entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (notes, mut first) = (seen.clone(), true);
    let judge = judge(key, move |batch| {
        if std::mem::take(&mut first) {
            enter.send(()).unwrap();
            // Whoever drops the sender lets it go on too.
            let _ = may_go_on.recv();
        }
        notes.lock().unwrap().extend(&batch.trace_ids);
        Vec::new()
    });
    Stopped { judge, entered, go_on, seen }
}

#[test]
fn every_judge_sees_batches_in_rising_sequence_whichever_thread_closed_them() {
    let mut config = brisk();
    config.telemetry_threads = 2;
    let (judges, records): (Vec<_>, Vec<_>) = ["a", "b"].map(recorder).into_iter().unzip();
    let (house, route) = (House::with(config, 4, judges), kserve());
    for n in 0..400 {
        house.send_to(n % 4, good(&route, 1));
    }
    house.settle();
    for record in records {
        let sequences: Vec<_> = record.batches().iter().map(|batch| batch.sequence).collect();
        assert_eq!(sequences, (1..=400).collect::<Vec<_>>());
    }
}

#[test]
fn a_judge_sees_the_routes_it_asked_for() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    let observe = move |batch: &Batch| {
        notes.lock().unwrap().push(batch.route.name.clone());
        Vec::new()
    };
    let picky = Box::new(Played { key: "picky", routes: Some(vec!["route-1".into()]), observe });
    let house = House::with(still(), 1, vec![picky]);
    house.see([0, 1, 2].map(|id| good(&Arc::new(route(id, Protocol::KserveV1)), 1)));
    assert_eq!(*seen.lock().unwrap(), ["route-1".into()]);
}

#[test]
fn a_slow_judge_loses_batches_and_delays_nobody() {
    let mut config = brisk();
    config.queue.batches = 2;
    let slow = stopped("slow");
    let (quick, record) = recorder("quick");
    let (house, route) = (House::with(config, 1, vec![slow.judge, quick]), kserve());
    house.send(good(&route, 1));
    slow.entered.recv_timeout(LONG).unwrap();
    for _ in 0..6 {
        house.send(good(&route, 1));
        record.batch();
    }
    record.batch();
    assert!(house.value("weir_judge_queue_bytes", &[("judge", "slow")]) > 0.0);
    slow.go_on.send(()).unwrap();
    house.settle();
    assert_eq!(*slow.seen.lock().unwrap(), [1, 2, 3], "the one at hand and two that waited");
    let dropped =
        |judge, reason| house.value("weir_judge_dropped_total", &[("judge", judge), ("reason", reason)]);
    assert_eq!([dropped("slow", "batches"), dropped("quick", "batches")], [4.0, 0.0]);
    assert_eq!(house.value("weir_judge_queue_bytes", &[("judge", "slow")]), 0.0);
    assert_eq!(house.predictions("ok"), 7.0);
}

#[test]
fn a_queue_is_bounded_by_bytes_and_one_batch_always_fits() {
    let mut config = brisk();
    config.queue.bytes = 1;
    let slow = stopped("slow");
    let (quick, record) = recorder("quick");
    let (house, route) = (House::with(config, 1, vec![slow.judge, quick]), kserve());
    house.send(good(&route, 1));
    slow.entered.recv_timeout(LONG).unwrap();
    record.batch();
    for _ in 0..3 {
        house.send(good(&route, 1));
        record.batch();
    }
    slow.go_on.send(()).unwrap();
    house.settle();
    assert_eq!(*slow.seen.lock().unwrap(), [1, 2]);
    assert_eq!(house.value("weir_judge_dropped_total", &[("judge", "slow"), ("reason", "bytes")]), 2.0);
}

#[test]
fn a_panic_costs_the_batch_it_happened_in() {
    let mut config = still();
    config.batches.exchanges = 2;
    let seen = Arc::new(Mutex::new(Vec::<u128>::new()));
    let notes = seen.clone();
    let shaky = judge("shaky", move |batch| {
        assert!(!batch.trace_ids.contains(&3), "as it happens");
        notes.lock().unwrap().extend(&batch.trace_ids);
        Vec::new()
    });
    let (house, route) = (House::with(config, 1, vec![shaky]), kserve());
    house.see((0..6).map(|_| good(&route, 1)));
    assert_eq!(*seen.lock().unwrap(), [1, 2, 5, 6]);
    assert_eq!(house.value("weir_judge_dropped_total", &[("judge", "shaky"), ("reason", "panic")]), 2.0);
    assert_eq!(house.fate("observed"), 6.0);
}

fn verdict(exchange: u32, reason: &str) -> Verdict {
    Verdict { exchange, reason: reason.into(), probability: 0.5 }
}

#[test]
fn verdicts_are_counted_and_the_last_of_them_remembered() {
    let says = judge("sampler", |batch| {
        let last = batch.exchanges as u32 - 1;
        vec![verdict(0, "slow"), verdict(last, "error"), verdict(last + 7, "error")]
    });
    let (house, route) = (House::with(still(), 1, vec![says]), kserve());
    for _ in 0..3 {
        house.see([good(&route, 1), good(&route, 1)]);
    }
    let given = |reason| house.value("weir_verdicts_total", &[("judge", "sampler"), ("reason", reason)]);
    assert_eq!([given("slow"), given("error")], [3.0, 6.0]);
    let recent = house.verdicts.recent();
    let said: Vec<_> = recent.iter().map(|said| (said.trace_id, &*said.reason)).collect();
    assert_eq!(said, [(3, "slow"), (4, "error"), (5, "slow"), (6, "error")], "of exchanges that are there");
    let Said { judge, route, probability, unix_ns, .. } = &recent[0];
    assert_eq!((&**judge, &**route, *probability), ("sampler", "route-0", 0.5));
    assert!(*unix_ns > 0);
}

#[test]
fn of_verdicts_that_are_but_a_probability_one_a_run_is_remembered() {
    let says = judge("sampler", |batch| {
        let sure = Verdict { probability: 1.0, ..verdict(1, "error") };
        let rest = (2..batch.exchanges as u32).map(|exchange| verdict(exchange, "rest"));
        [sure.clone(), sure].into_iter().chain(rest).collect()
    });
    let (house, route) = (House::with(still(), 1, vec![says]), kserve());
    house.see((0..9).map(|_| good(&route, 1)));
    assert_eq!(house.value("weir_verdicts_total", &[("judge", "sampler"), ("reason", "rest")]), 7.0);
    let recent = house.verdicts.recent();
    let said: Vec<_> = recent.iter().map(|said| (said.trace_id, &*said.reason)).collect();
    assert_eq!(said, [(2, "error"), (2, "error"), (9, "rest")]);
}

struct Fragile;

impl VerdictSink for Fragile {
    fn verdicts(&self, _: &str, batch: &Arc<Batch>, _: &[Verdict]) {
        assert!(batch.sequence != 1, "as it happens");
    }
}

#[test]
fn a_panic_where_verdicts_go_does_not_end_the_judge() {
    let registry = weir_telemetry::Registry::default();
    let metrics = weir_observe::Metrics::new(&registry, slo_events()).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let says = judge("sampler", move |_| {
        counted.fetch_add(1, SeqCst);
        vec![verdict(0, "any")]
    });
    let handoff = Arc::new(weir_exchange::Handoff::new(weir_exchange::ShardLimits::default()));
    let crossing = vec![handoff.clone()];
    let line = weir_observe::Line::start(still(), crossing, metrics, Arc::new(Fragile), vec![says]).unwrap();
    for _ in 0..2 {
        handoff.push(good(&kserve(), 1)).unwrap();
        assert!(line.settle(LONG));
    }
    assert_eq!(calls.load(SeqCst), 2);
}

#[test]
fn a_change_of_judges_loses_no_batch_and_shows_each_to_one_set() {
    let old = stopped("a");
    let (kept, record) = recorder("kept");
    let (house, route) = (House::with(brisk(), 1, vec![old.judge, kept]), kserve());
    for _ in 0..3 {
        house.send(good(&route, 1));
        record.batch();
    }
    old.entered.recv_timeout(LONG).unwrap();
    let notes = old.seen.clone();
    let new = judge("a", move |batch| {
        notes.lock().unwrap().extend(&batch.trace_ids);
        Vec::new()
    });
    house.line.change_judges(&["kept"], vec![new]);
    house.send(good(&route, 1));
    assert_eq!(record.batch().trace_ids, [4], "the kept judge goes on meanwhile");
    assert!(!house.line.settle(Duration::from_millis(50)), "the new one waits for the old one of its key");
    old.go_on.send(()).unwrap();
    house.settle();
    assert_eq!(*old.seen.lock().unwrap(), [1, 2, 3, 4]);
    assert_eq!(house.value("weir_judge_dropped_total", &[]), 0.0);
}

#[test]
fn a_set_of_judges_is_replaced_as_a_whole() {
    let (first, seen_by_first) = recorder("first");
    let (second, seen_by_second) = recorder("second");
    let (house, route) = (House::with(still(), 1, vec![first]), kserve());
    house.see([good(&route, 1)]);
    house.line.set_judges(vec![second]);
    house.see([good(&route, 1)]);
    house.line.set_judges(Vec::new());
    house.see([good(&route, 1)]);
    assert_eq!(seen_by_first.batches().len(), 1);
    assert_eq!(seen_by_second.batches().len(), 1);
}

#[test]
fn settling_waits_for_every_judge() {
    let slow = stopped("slow");
    let (house, route) = (House::with(still(), 1, vec![slow.judge]), kserve());
    let (done, settled) = mpsc::channel();
    house.send(good(&route, 1));
    house.line.settle_with(Box::new(move || done.send(()).unwrap()));
    slow.entered.recv_timeout(LONG).unwrap();
    assert!(!house.line.settle(Duration::from_millis(20)), "it is still judging");
    assert!(settled.try_recv().is_err());
    slow.go_on.send(()).unwrap();
    settled.recv_timeout(LONG).unwrap();
    house.settle();
    assert_eq!(house.value("weir_settles_total", &[]), 3.0);
}

#[test]
fn settling_waits_for_judges_that_were_replaced() {
    let old = stopped("old");
    let (house, route) = (House::with(brisk(), 1, vec![old.judge]), kserve());
    house.send(good(&route, 1));
    old.entered.recv_timeout(LONG).unwrap();
    house.line.set_judges(Vec::new());
    assert!(!house.line.settle(Duration::from_millis(20)));
    old.go_on.send(()).unwrap();
    house.settle();
    assert_eq!(*old.seen.lock().unwrap(), [1]);
}

#[test]
fn shutting_down_judges_everything_that_was_handed_off() {
    let mut config = still();
    config.telemetry_threads = 2;
    let (judge, record) = recorder("record");
    let (house, route) = (House::with(config, 3, vec![judge]), kserve());
    (0..100).for_each(|n| house.send_to(n % 3, good(&route, 1)));
    assert!(house.line.shut_down(LONG));
    let judged: usize = record.batches().iter().map(|batch| batch.exchanges).sum();
    assert_eq!(judged, 100);
    assert!(house.line.shut_down(LONG), "a second time does no harm");
    house.settle();
}

#[test]
fn shutting_down_does_not_wait_for_ever_for_a_judge_that_hangs() {
    let hangs = stopped("hangs");
    let (house, route) = (House::with(still(), 1, vec![hangs.judge]), kserve());
    house.send(good(&route, 1));
    assert!(!house.line.shut_down(Duration::from_millis(50)));
    drop(hangs.go_on);
}

#[test]
fn a_line_that_is_dropped_ends_its_judges() {
    let (judge, record) = recorder("record");
    let house = House::with(still(), 1, vec![judge]);
    house.send(good(&kserve(), 1));
    drop(house);
    assert_eq!(record.batch().exchanges, 1, "what was handed off is judged");
    assert!(record.is_over(), "and its judge is gone");
}

/// Always wants a tick.
struct Restless {
    ticks: Arc<AtomicUsize>,
    batches: Sender<usize>,
}

impl Judge for Restless {
    fn key(&self) -> &str {
        "restless"
    }
    fn observe(&mut self, _: &Batch, _: u64) -> Vec<Verdict> {
        self.batches.send(self.ticks.load(SeqCst)).unwrap();
        Vec::new()
    }
    fn next_tick(&self) -> Option<u64> {
        Some(0)
    }
    fn tick(&mut self, now_unix_ns: u64) {
        assert!(now_unix_ns > 0);
        self.ticks.fetch_add(1, SeqCst);
    }
    fn forget(&mut self, _: SchemaId) {}
}

#[test]
fn ticks_come_and_keep_no_batch_away() {
    let (ticks, (batches, seen)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
    let house = House::with(brisk(), 1, vec![Box::new(Restless { ticks: ticks.clone(), batches })]);
    let route = kserve();
    let mut ticks_before = 0;
    let mut batches = 0;
    // Until it had a tick between two batches, after a batch between two ticks.
    while ticks_before < 2 {
        house.send(good(&route, 1));
        ticks_before = seen.recv_timeout(LONG).unwrap();
        batches += 1;
    }
    assert!(batches > 1);
    assert_eq!(house.value("weir_judge_dropped_total", &[]), 0.0);
}

//! When a batch closes, and what a large exchange becomes.

use std::sync::Arc;
use std::time::Duration;

use weir_exchange::{Batch, Handoff, ObservedRoute, Protocol, Role, Shard, ShardLimits};
use weir_observe::{BatchLimits, LineConfig};

use crate::support::{House, exchange, good, kserve, numbers, route, rows, still, texts, values};

fn limited(change: impl FnOnce(&mut BatchLimits)) -> LineConfig {
    let mut config = still();
    change(&mut config.batches);
    config
}

fn exchanges(batches: &[Batch]) -> Vec<usize> {
    batches.iter().map(|batch| batch.exchanges).collect()
}

#[test]
fn a_batch_closes_when_it_has_enough_exchanges() {
    let (house, record) = House::recorded(limited(|limits| limits.exchanges = 2));
    // Each worker has a copy of a route of its own: the same route all the same.
    house.see((0..5).map(|_| good(&kserve(), 1)));
    assert_eq!(exchanges(&record.batches()), [2, 2, 1]);
    let closed = ["exchanges", "settle", "generation"].map(|reason| house.closed(reason));
    assert_eq!(closed, [2.0, 1.0, 0.0]);
}

#[test]
fn a_batch_closes_when_the_next_rows_do_not_fit() {
    let (house, record) = House::recorded(limited(|limits| limits.rows = 5));
    let route = kserve();
    house.see([2, 2, 2, 3, 1].map(|count| good(&route, count)));
    let sizes: Vec<_> = record.batches().iter().map(|batch| batch.rows).collect();
    assert_eq!(sizes, [4, 5, 1], "4 + 2 are too many; 2 + 3 are just enough");
    assert_eq!([house.closed("rows"), house.closed("settle")], [2.0, 1.0]);
    assert_eq!(house.histogram("weir_batch_rows", &[]), (3, 10.0));
}

#[test]
fn a_batch_closes_at_its_bytes() {
    // A row of two features and a value is 28 bytes with the index of its exchange, an exchange 68.
    let (house, record) = House::recorded(limited(|limits| limits.bytes = 3 * 96 + 95));
    let route = kserve();
    house.see((0..7).map(|_| good(&route, 1)));
    let batches = record.batches();
    assert_eq!(exchanges(&batches), [3, 3, 1]);
    assert_eq!(batches[0].bytes(), 3 * 96, "what was charged is what it holds");
    assert_eq!(house.closed("bytes"), 2.0);
}

#[test]
fn a_batch_closes_when_it_is_old() {
    let mut config = limited(|limits| limits.age = Duration::from_millis(30));
    config.poll = Duration::from_millis(1);
    let (house, record) = House::recorded(config);
    house.send(good(&kserve(), 1));
    assert_eq!(record.batch().exchanges, 1, "nobody had to ask for it");
    assert_eq!(house.closed("age"), 1.0);
}

#[test]
fn the_oldest_batch_makes_room_when_all_are_over_their_budget() {
    let (house, record) = House::recorded(limited(|limits| limits.open_bytes = 200));
    let [a, b, c] = [0, 1, 2].map(|id| Arc::new(route(id, Protocol::KserveV1)));
    house.see([good(&a, 1), good(&b, 1), good(&b, 1), good(&c, 1)]);
    let batches = record.batches();
    let closed: Vec<_> = batches.iter().map(|b| (&*b.route.name, b.exchanges)).collect();
    assert_eq!(closed, [("route-0", 1), ("route-1", 2), ("route-2", 1)]);
    assert_eq!([house.closed("budget"), house.closed("settle")], [2.0, 1.0]);
    assert_eq!(house.value("weir_open_batch_bytes", &[]), 0.0);
}

#[test]
fn a_large_exchange_is_split_by_rows_and_counted_once() {
    let (house, record) = House::recorded(limited(|limits| limits.rows = 4));
    let route = kserve();
    house.see([good(&route, 1), good(&route, 10), good(&route, 2)]);
    let batches = record.batches();
    let sizes: Vec<_> = batches.iter().map(|batch| (batch.exchanges, batch.rows)).collect();
    assert_eq!(sizes, [(1, 1), (1, 4), (1, 4), (2, 4)]);
    let firsts: Vec<_> = batches.iter().map(|batch| numbers(batch, Role::Input, "0")[0]).collect();
    assert_eq!(firsts, [0.0, 0.0, 4.0, 8.0], "the rows go on where the batch before them ended");
    assert_eq!(batches[3].row_exchange, [0, 0, 1, 1]);
    assert_eq!(batches[2].trace_ids, batches[1].trace_ids, "the parts are one exchange");

    assert_eq!(numbers(&batches[1], Role::Duration, "duration"), [0.5]);
    assert!(numbers(&batches[2], Role::Duration, "duration")[0].is_nan(), "its facts are in the first part");
    assert_eq!(texts(&batches[3], Role::Outcome, "outcome"), [None, Some("ok".to_owned())]);
    assert_eq!(house.predictions("ok"), 13.0);
    assert_eq!(house.histogram("prediction_latency_seconds", &[]).0, 3);
}

#[test]
fn a_row_larger_than_a_batch_still_gets_one() {
    let (house, record) = House::recorded(limited(|limits| limits.bytes = 10));
    let route = kserve();
    house.see([good(&route, 3)]);
    let sizes: Vec<_> = record.batches().iter().map(|batch| batch.rows).collect();
    assert_eq!(sizes, [1, 1, 1]);
}

#[test]
fn a_batch_holds_one_generation_and_the_schema_goes_on() {
    let (house, record) = House::recorded(still());
    let old = kserve();
    let new = Arc::new(ObservedRoute { generation: 2, ..(*old).clone() });
    house.see([good(&old, 1), good(&old, 1), good(&new, 1)]);
    let batches = record.batches();
    assert_eq!(exchanges(&batches), [2, 1]);
    assert_eq!([batches[0].route.generation, batches[1].route.generation], [1, 2]);
    assert_eq!(batches[0].schema.id, batches[1].schema.id);
    assert_eq!(house.closed("generation"), 1.0);
}

#[test]
fn a_generation_that_reads_otherwise_has_a_schema_of_its_own() {
    let (house, record) = House::recorded(still());
    let old = kserve();
    let new = Arc::new(ObservedRoute { generation: 2, ..route(0, Protocol::Mlflow) });
    house.see([good(&old, 1), exchange(&new, &rows(1), &values(1))]);
    let batches = record.batches();
    assert_ne!(batches[0].schema.id, batches[1].schema.id);
}

#[test]
fn exchanges_of_many_workers_meet_in_the_batches_of_their_threads() {
    let mut config = still();
    config.telemetry_threads = 2;
    let (judge, record) = crate::support::recorder("record");
    let (house, route) = (House::with(config, 3, vec![judge]), kserve());
    for worker in [0, 1, 2, 2, 1, 0, 0] {
        house.send_to(worker, good(&route, 1));
    }
    house.settle();
    let mut sizes = exchanges(&record.batches());
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 5], "workers 0 and 2 share a thread");
    assert_eq!(house.predictions("ok"), 7.0);
    assert_eq!(house.value("weir_schemas", &[]), 2.0, "each thread has schemas of its own");
}

#[test]
fn what_finds_no_room_in_a_shard_is_told_with_it_once() {
    let handoff = Handoff::new(ShardLimits { exchanges: 1, ..ShardLimits::default() });
    let route = kserve();
    let pushed: Vec<bool> = (0..3).map(|_| handoff.push(good(&route, 1)).is_ok()).collect();
    assert_eq!(pushed, [true, false, false]);
    let swapped = || {
        let (shard, shed) = handoff.swap(Shard::default());
        (shard.exchanges.len(), shed)
    };
    assert_eq!([swapped(), swapped()], [(1, 2), (0, 0)]);
}

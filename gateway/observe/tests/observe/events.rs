//! Events of objectives that only the bodies tell: rows that are sure enough, exchanges that can be read.

use std::sync::Arc;

use weir_exchange::{
    Aim, End, ErrorType, Exchange, Objective, ObservedRoute, Protocol, RouteId, Side, Stance,
};
use weir_telemetry::{Sample, Value};

use crate::support::{House, ended, exchange, failed, good, route, rows, side, still, values};

fn objective(name: &str, definition: &str, aim: Aim) -> Objective {
    let (name, definition) = (name.into(), definition.into());
    Objective { name, definition, aim, client_errors: Stance::Bad, cancelled: Stance::Bad }
}

/// Route 0 in a generation with these objectives.
fn aimed(generation: u64, objectives: &[Objective]) -> Arc<ObservedRoute> {
    Arc::new(ObservedRoute { generation, objectives: objectives.into(), ..route(0, Protocol::KserveV1) })
}

/// What the request path does when a generation comes.
fn announce(house: &House, objectives: &[Objective]) {
    house.slo_events.retain(|l| objectives.iter().any(|o| [&o.name, &o.definition] == [&l[0], &l[1]]));
    objectives.iter().for_each(|o| house.slo_events.touch(&[&o.labels(true), &o.labels(false)]));
}

/// Good and bad events so far.
#[track_caller]
fn check(house: &House, name: &str, expect: [f64; 2]) {
    let events =
        ["true", "false"].map(|good| house.value("weir_slo_events_total", &[("slo", name), ("good", good)]));
    assert_eq!(events, expect, "good and bad of `{name}`");
}

/// Every series, as text.
fn series(house: &House) -> Vec<String> {
    let samples = house.series("weir_slo_events_total", &[]).into_iter();
    let text = |sample: Sample| match sample.value {
        Value::Counter(n) => format!("{} {n}", sample.labels.join(" ")),
        _ => panic!("events are counted"),
    };
    samples.map(text).collect()
}

const SURE: Aim = Aim::Confidence { at_least: 0.75 };

#[test]
fn a_row_is_good_if_its_highest_score_is_high_enough() {
    let objectives =
        [objective("sure", "1", SURE), objective("very", "2", Aim::Confidence { at_least: 0.9 })];
    let (house, route) = (House::new(), aimed(1, &objectives));
    announce(&house, &objectives);
    let scores = |count, body| exchange(&route, &rows(count), body);
    house.see([
        scores(3, r#"{"predictions": [[0.75, 0.25], [0.3125, 0.6875], [0.0625, 0.9375]]}"#),
        scores(1, r#"{"predictions": [[1e300, 0.25]]}"#),
        scores(1, r#"{"predictions": [[null, null]]}"#),
        failed(&route, &rows(4), 500),
    ]);
    check(&house, "sure", [2.0, 1.0]);
    check(&house, "very", [1.0, 2.0]);
    assert_eq!(house.histogram("prediction_confidence", &[]).0, 3, "the same rows");
}

#[test]
fn rows_without_scores_are_no_events_whatever_batch_came_before() {
    let objectives = [objective("sure", "1", SURE)];
    let (house, with) = (House::new(), aimed(1, &objectives));
    announce(&house, &objectives);
    let without = Arc::new(ObservedRoute { id: RouteId(1), name: "route-1".into(), ..(*with).clone() });
    house.see([exchange(&with, &rows(1), r#"{"predictions": [[0.75, 0.25]]}"#)]);
    house.see([good(&without, 5)]);
    check(&house, "sure", [1.0, 0.0]);
}

#[test]
fn an_exchange_split_over_batches_is_as_many_events_as_it_has_rows() {
    let objectives = [objective("sure", "1", SURE), objective("read", "2", Aim::Decodable)];
    let mut config = still();
    config.batches.rows = 2;
    let (house, route) = (House::with(config, 1, Vec::new()), aimed(1, &objectives));
    announce(&house, &objectives);
    let body = r#"{"predictions": [[0.75, 0.25], [0.5, 0.5], [0.875, 0.125], [1.0, 0.0], [0.5, 0.5]]}"#;
    house.see([exchange(&route, &rows(5), body)]);
    assert_eq!(house.closed("rows") + house.closed("settle"), 3.0);
    check(&house, "sure", [3.0, 2.0]);
    check(&house, "read", [1.0, 0.0]);
}

#[test]
fn an_exchange_is_good_if_both_sides_can_be_read_and_fit() {
    let objectives = [objective("read", "1", Aim::Decodable)];
    let (house, route) = (House::new(), aimed(1, &objectives));
    announce(&house, &objectives);
    house.see([good(&route, 2), good(&route, 7)]);
    check(&house, "read", [2.0, 0.0]);
    house.see([
        exchange(&route, "[[[", &values(1)),
        exchange(&route, &rows(1), "no json"),
        exchange(&route, &rows(3), &values(2)),
    ]);
    check(&house, "read", [2.0, 3.0]);
    assert_eq!(house.value("weir_decode_errors_total", &[]), 3.0, "one for each that is bad");
}

#[test]
fn what_says_nothing_of_reading_is_no_event() {
    let objectives = [objective("read", "1", Aim::Decodable)];
    let (house, route) = (House::new(), aimed(1, &objectives));
    announce(&house, &objectives);
    let passed = Arc::new(ObservedRoute { protocol: None, id: RouteId(1), ..(*route).clone() });
    let truncated = || Side { truncated: true, ..side(rows(3).as_bytes()) };
    house.see([
        Exchange { request: truncated(), ..good(&route, 1) },
        Exchange { response: truncated(), ..exchange(&route, "no json", "") },
        exchange(&route, "", "{}"),
        exchange(&route, &rows(1), ""),
        failed(&route, &rows(1), 500),
        failed(&route, "no json", 400),
        ended(&route, &rows(1), End::ClientGone, ErrorType::ClientGone),
        ended(&route, &rows(1), End::Timeout, ErrorType::Timeout),
        good(&passed, 1),
        Exchange { probability: 0.0, ..good(&route, 1) },
    ]);
    check(&house, "read", [0.0, 0.0]);
    let fates = ["observed", "undecodable", "truncated", "unsampled"].map(|fate| house.fate(fate));
    assert_eq!(fates, [6.0, 1.0, 2.0, 1.0], "all of them were seen");
}

#[test]
fn other_aims_and_other_routes_are_not_counted_here() {
    let condition = Aim::Condition { plugin: "p".into(), condition: "c".into() };
    let objectives = [
        objective("available", "1", Aim::Availability),
        objective("fast", "2", Aim::Latency { under_ns: 1 }),
        objective("calm", "3", condition),
        objective("read", "4", Aim::Decodable),
        objective("sure", "5", SURE),
    ];
    let (house, route) = (House::new(), aimed(1, &objectives[..3]));
    announce(&house, &objectives);
    house.see([exchange(&route, &rows(1), r#"{"predictions": [[0.75, 0.25]]}"#)]);
    assert!(series(&house).iter().all(|line| line.ends_with(" 0")), "{:?}", series(&house));
}

#[test]
fn events_of_a_definition_that_is_gone_are_lost_and_bring_nothing_back() {
    let sure = |definition, at_least| objective("sure", definition, Aim::Confidence { at_least });
    let (first, second) = ([sure("1", 0.5)], [sure("2", 0.875)]);
    let house = House::new();
    let see = |route: &Arc<ObservedRoute>| {
        house.see([exchange(route, &rows(1), r#"{"predictions": [[0.75, 0.25]]}"#)]);
    };
    announce(&house, &first);
    let (old, new, again) = (aimed(1, &first), aimed(2, &second), aimed(3, &first));
    see(&old);
    assert_eq!(series(&house), ["sure 1 false 0", "sure 1 true 1"]);
    // A batch is open while the next generation comes.
    house.send(exchange(&old, &rows(1), r#"{"predictions": [[0.75, 0.25]]}"#));
    announce(&house, &second);
    see(&new);
    see(&old);
    assert_eq!(series(&house), ["sure 2 false 1", "sure 2 true 0"]);
    announce(&house, &first);
    see(&again);
    see(&old);
    assert_eq!(series(&house), ["sure 1 false 0", "sure 1 true 2"], "what comes late counts where it fits");
}

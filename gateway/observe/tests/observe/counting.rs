//! The core series: rows by outcome, latency, confidence, classes, sizes.

use std::sync::Arc;

use weir_exchange::{End, ErrorType, ObservedRoute, Output, Protocol, Task};

use crate::support::{House, ended, exchange, failed, good, kserve, route, rows, values};

#[test]
fn rows_are_counted_by_what_became_of_them() {
    let (house, route) = (House::new(), kserve());
    let mut broken = failed(&route, &rows(9), 500);
    broken.error = Some(ErrorType::ModelError);
    let mut turned_away = ended(&route, &rows(10), End::Refused, ErrorType::Limit);
    turned_away.head.status = 503;
    house.see([
        good(&route, 2),
        good(&route, 3),
        failed(&route, &rows(4), 422),
        failed(&route, "no json", 400),
        failed(&route, &rows(1), 503),
        ended(&route, &rows(7), End::UpstreamReset, ErrorType::Reset),
        ended(&route, &rows(6), End::Timeout, ErrorType::Timeout),
        ended(&route, &rows(8), End::ClientGone, ErrorType::ClientGone),
        ended(&route, "", End::ClientGone, ErrorType::ClientGone),
        ended(&route, "", End::Refused, ErrorType::Connect),
        broken,
        turned_away,
    ]);
    let counted = ["ok", "client_error", "upstream_error", "timeout", "cancelled", "model_error"]
        .map(|outcome| house.predictions(outcome));
    assert_eq!(counted, [5.0, 4.0, 8.0, 6.0, 8.0, 9.0 + 10.0]);
    let model = [("route", "route-0"), ("model", "configured"), ("model_version", "1")];
    assert_eq!(house.value("predictions_total", &model), 50.0, "all are the route's model");
    assert_eq!(house.fate("undecodable"), 1.0);
    assert_eq!(house.fate("observed"), 11.0);
}

#[test]
fn on_success_the_reply_says_how_many_rows_there_were() {
    let (house, route) = (House::new(), kserve());
    house.see([
        exchange(&route, "no json", &values(3)),
        exchange(&route, &rows(2), "no json"),
        exchange(&route, &rows(5), &values(4)),
        exchange(&route, &rows(1), &values(1)),
        exchange(&route, "", ""),
    ]);
    assert_eq!(house.predictions("ok"), 3.0 + 2.0 + 4.0 + 1.0);
    assert_eq!(house.histogram("prediction_request_rows", &[]), (4, 10.0), "of exchanges that have rows");
}

#[test]
fn latency_is_one_sample_an_exchange_that_went_upstream() {
    let (house, route) = (House::new(), kserve());
    let mut refused = failed(&route, &rows(1), 503);
    refused.timing.upstream_start_ns = 0;
    house.see([good(&route, 100), failed(&route, &rows(1), 500), refused]);
    let (count, sum) = house.histogram("prediction_latency_seconds", &[("route", "route-0")]);
    assert_eq!(count, 2);
    assert!((sum - 1.0).abs() < 1e-9, "two times half a second, not {sum}");
}

#[test]
fn body_sizes_are_what_passed_not_what_was_kept() {
    let (house, route) = (House::new(), kserve());
    let mut long = good(&route, 1);
    (long.request.total, long.request.truncated) = (5_000_000, true);
    long.response.total = 70;
    house.see([long]);
    assert_eq!(house.histogram("prediction_request_size_bytes", &[]), (1, 5e6));
    assert_eq!(house.histogram("prediction_response_size_bytes", &[]), (1, 70.0));
}

#[test]
fn confidence_is_the_highest_score_of_each_row() {
    let (house, route) = (House::new(), kserve());
    house.see([
        exchange(&route, &rows(2), r#"{"predictions": [[0.75, 0.25], [0.125, 0.875]]}"#),
        exchange(&route, &rows(1), r#"{"predictions": [[0.5, 0.5]]}"#),
    ]);
    assert_eq!(house.histogram("prediction_confidence", &[("model", "configured")]), (3, 2.125));
    let class = |class| house.value("predictions_by_class_total", &[("class", class)]);
    assert_eq!([class("0"), class("1")], [2.0, 1.0]);
}

#[test]
fn what_is_not_a_number_never_reaches_a_sum() {
    let (house, route) = (House::new(), kserve());
    let scores = |body| exchange(&route, &rows(1), body);
    house.see([
        scores(r#"{"predictions": [[0.75, 0.25]]}"#),
        scores(r#"{"predictions": [[1e999, 0.25]]}"#),
        scores(r#"{"predictions": [[1e300, 0.25]]}"#),
        scores(r#"{"predictions": [[-1e999, -1e999]]}"#),
        scores(r#"{"predictions": [[null, null]]}"#),
        scores(r#"{"predictions": [[NaN, 0.5]]}"#),
        scores(r#"{"predictions": [[Infinity, 0.5]]}"#),
    ]);
    let (count, sum) = house.histogram("prediction_confidence", &[]);
    assert_eq!((count, sum), (2, 1.25), "the good row, and the one that has a good score left");
}

#[test]
fn labels_are_classes_and_values_are_not() {
    let (house, route) = (House::new(), kserve());
    house.see([
        exchange(&route, &rows(3), r#"{"predictions": ["stays", "leaves", "stays"]}"#),
        exchange(&Arc::new(other(Task::Auto)), &rows(1), r#"{"predictions": [7]}"#),
    ]);
    let class = |class| house.value("predictions_by_class_total", &[("class", class)]);
    assert_eq!([class("stays"), class("leaves"), class("7")], [2.0, 1.0, 0.0]);
    house.see([exchange(&Arc::new(other(Task::Classification)), &rows(2), r#"{"predictions": [0, 1]}"#)]);
    assert_eq!([class("no"), class("yes")], [1.0, 1.0], "numbers are places among the route's classes");
    assert_eq!(house.histogram("prediction_confidence", &[]).0, 0);
}

fn other(task: Task) -> ObservedRoute {
    let id = if task == Task::Auto { 1 } else { 2 };
    let output = Output { task, classes: vec!["no".into(), "yes".into()], ..Output::default() };
    ObservedRoute { output, ..route(id, Protocol::KserveV1) }
}

#[test]
fn classes_past_the_cap_share_one_series() {
    let mut config = crate::support::still();
    config.schemas.classes = 2;
    let (house, route) = (House::with(config, 1, Vec::new()), kserve());
    house.see([exchange(&route, &rows(5), r#"{"predictions": ["a", "b", "c", "d", "a"]}"#)]);
    house.see([exchange(&route, &rows(2), r#"{"predictions": ["c", "b"]}"#)]);
    let class = |class| house.value("predictions_by_class_total", &[("class", class)]);
    assert_eq!([class("a"), class("b"), class("c"), class("(other)")], [2.0, 2.0, 0.0, 3.0]);
    assert_eq!(house.capped("class"), 3.0);
}

#[test]
fn a_route_that_was_declared_is_exported_at_zero() {
    let (house, route) = (House::new(), kserve());
    house.line.declare(&[route.clone(), route]);
    let route = [("route", "route-0")];
    assert_eq!(house.series("predictions_total", &route).len(), 6, "one an outcome");
    assert_eq!(house.series("weir_exchanges_total", &route).len(), 5, "one a fate");
    assert_eq!(house.series("weir_caps_reached_total", &route).len(), 5);
    assert!(!house.series("weir_decode_errors_total", &route).is_empty());
    assert_eq!(house.value("predictions_total", &route), 0.0);
}

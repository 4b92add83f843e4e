//! Which model answered: the sources of its name, who may mint one, and the cap.

use std::sync::Arc;

use weir_exchange::{Exchange, ObservedRoute, Protocol};

use crate::support::{House, exchange, failed, good, held, kserve, recorder, route, rows, still, values};

fn named(route: &Arc<ObservedRoute>, model: &str, version: &str) -> Exchange {
    let reply = format!(r#"{{"predictions": [1.5], "model_name": "{model}", "model_version": "{version}"}}"#);
    exchange(route, &rows(1), &reply)
}

fn predicted(house: &House, model: &str, version: &str) -> f64 {
    house.value("predictions_total", &[("model", model), ("model_version", version), ("outcome", "ok")])
}

#[test]
fn a_name_comes_from_the_body_the_path_a_header_or_the_route_in_that_order() {
    let (house, route) = (House::new(), kserve());
    let by_path = |mut exchange: Exchange| {
        exchange.head.path = held("/v1/models/by-path/versions/2:predict");
        exchange
    };
    let by_header = |mut exchange: Exchange| {
        (exchange.head.model, exchange.head.model_version) = (held("by-header"), held("3"));
        exchange
    };
    house.see([
        good(&route, 1),
        by_header(good(&route, 1)),
        by_path(by_header(good(&route, 1))),
        by_path(by_header(named(&route, "by-body", "4"))),
        by_header(named(&route, "by-body", "")),
    ]);
    for (model, version) in
        [("configured", "1"), ("by-header", "3"), ("by-path", "2"), ("by-body", "4"), ("by-body", "3")]
    {
        assert_eq!(predicted(&house, model, version), 1.0, "{model} {version}");
    }
}

#[test]
fn a_client_mints_no_label_for_a_model_that_never_answered() {
    let (house, route) = (House::new(), kserve());
    let asked = |model: &str, mut exchange: Exchange| {
        exchange.head.path = held(&format!("/v1/models/{model}:predict"));
        exchange
    };
    house.see([asked("ghost", failed(&route, &rows(1), 404)), asked("real", good(&route, 1))]);
    house.see([asked("real", failed(&route, &rows(2), 500))]);
    assert!(house.series("predictions_total", &[("model", "ghost")]).is_empty());
    let rows = |model, outcome| house.value("predictions_total", &[("model", model), ("outcome", outcome)]);
    assert_eq!(rows("configured", "client_error"), 1.0);
    assert_eq!(rows("real", "upstream_error"), 2.0, "a model that has answered keeps its errors");

    let trusting = ObservedRoute { model_from_request: true, ..self::route(1, Protocol::KserveV1) };
    house.see([asked("ghost", failed(&Arc::new(trusting), "{}", 404))]);
    assert_eq!(house.series("predictions_total", &[("model", "ghost")]).len(), 6);
}

#[test]
fn an_error_belongs_to_the_model_asked_for_though_only_answers_name_its_version() {
    let (house, route) = (House::new(), kserve());
    let asked = |model: &str, mut exchange: Exchange| {
        exchange.head.path = held(&format!("/v1/models/{model}:predict"));
        exchange
    };
    house.see([asked("real", named(&route, "real", "7"))]);
    house.see([
        asked("real", failed(&route, &rows(2), 500)),
        asked("ghost", failed(&route, &rows(4), 404)),
        asked("real/versions/8", failed(&route, &rows(8), 404)),
    ]);
    let errors = |model| {
        ["upstream_error", "client_error"]
            .map(|outcome| house.value("predictions_total", &[("model", model), ("outcome", outcome)]))
    };
    assert_eq!(errors("real"), [2.0, 0.0]);
    assert_eq!(errors("configured"), [0.0, 12.0], "no answer ever named this model, or this version of it");
}

#[test]
fn a_name_too_long_for_a_label_is_none() {
    let (house, route) = (House::new(), kserve());
    house.see([named(&route, &"m".repeat(129), "1"), named(&route, &"m".repeat(128), "1")]);
    assert_eq!([predicted(&house, "configured", "1"), predicted(&house, &"m".repeat(128), "1")], [1.0, 1.0]);
}

#[test]
fn models_past_the_cap_share_the_overflow_series() {
    let (house, route) = (House::new(), kserve());
    house.line.declare(std::slice::from_ref(&route));
    for round in 1..=2_u32 {
        house.see((0..40).map(|model| named(&route, &format!("m{model}"), "1")));
        let total = f64::from(round) * 40.0;
        assert_eq!(house.value("predictions_total", &[("route", "route-0")]), total, "no row is lost");
        let (overflow, named): (Vec<_>, Vec<_>) =
            house.series("predictions_total", &[]).into_iter().partition(|sample| sample.overflow);
        assert_eq!(named.len(), 32 * 6, "32 models, the configured one among them, by outcome");
        let [overflow] = &overflow[..] else { panic!("one overflow series, not {}", overflow.len()) };
        assert_eq!(overflow.labels.iter().take(4).map(|l| &**l).collect::<Vec<_>>(), ["route-0", "", "", ""]);
        assert_eq!(overflow.value, weir_telemetry::Value::Counter(f64::from(round) * 9.0));
        assert_eq!(house.capped("model"), f64::from(round) * 9.0);
        assert_eq!(house.histogram("prediction_latency_seconds", &[]).0, u64::from(round) * 40);
        let latency = house.series("prediction_latency_seconds", &[]);
        assert_eq!(latency.iter().filter(|sample| sample.overflow).count(), 1);
    }
}

#[test]
fn models_past_the_cap_are_judged_as_one_without_a_name() {
    let mut config = still();
    config.schemas.models = 1;
    let (judge, record) = recorder("record");
    let (house, route) = (House::with(config, 1, vec![judge]), kserve());
    house.see([named(&route, "a", "1"), named(&route, "b", "1"), named(&route, "c", "1")]);
    let batches = record.batches();
    let models: Vec<_> = batches.iter().map(|batch| (&*batch.schema.model, batch.exchanges)).collect();
    assert_eq!(models, [("a", 1), ("", 2)]);
    let labels = exchange(&route, &rows(1), r#"{"predictions": ["yes"], "model_name": "d"}"#);
    house.see([labels]);
    let classes = house.series("predictions_by_class_total", &[]);
    assert!(classes.len() == 1 && classes[0].overflow, "its classes overflow too");
}

#[test]
fn routes_count_their_models_apart() {
    let mut config = still();
    config.schemas.models = 1;
    let house = House::with(config, 1, Vec::new());
    let routes = [0, 1].map(|id| Arc::new(route(id, Protocol::KserveV1)));
    house.see(routes.iter().map(|route| exchange(route, &rows(2), &values(2))));
    assert_eq!(house.capped("model"), 0.0);
    assert_eq!(house.value("predictions_total", &[("route", "route-1"), ("model", "configured")]), 2.0);
}

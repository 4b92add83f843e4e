//! Columns and dictionaries: how they grow, and what strangers cannot make of them.

use std::sync::Arc;

use weir_exchange::{Batch, Exchange, ObservedRoute, Role};
use weir_observe::{LineConfig, SchemaLimits};

use crate::support::{House, Told, exchange, good, kserve, numbers, rows, still, texts, values};

fn limited(change: impl FnOnce(&mut SchemaLimits)) -> LineConfig {
    let mut config = still();
    change(&mut config.schemas);
    config
}

/// One record and one value.
fn record_of(route: &Arc<ObservedRoute>, fields: &str) -> Exchange {
    exchange(route, &format!("{{\"instances\": [{{{fields}}}]}}"), &values(1))
}

fn fields(batch: &Batch, role: Role) -> Vec<&str> {
    batch.schema.with_role(role).map(|at| &*batch.schema.columns[at].name).collect()
}

#[test]
fn a_schema_grows_with_its_traffic_and_says_so() {
    let (house, record) = House::recorded(still());
    let route = kserve();
    house.see([record_of(&route, r#""a": 1"#)]);
    house.see([record_of(&route, r#""a": 2"#)]);
    house.see([record_of(&route, r#""b": "x", "a": 3"#), record_of(&route, r#""a": "text", "b": null"#)]);
    let batches = record.batches();
    let versions: Vec<_> = batches.iter().map(|batch| batch.schema.version).collect();
    assert_eq!(versions, [1, 1, 2], "a version is a form, not a batch");
    assert!(batches.iter().all(|batch| batch.schema.id == batches[0].schema.id));
    assert_eq!(
        fields(&batches[2], Role::Input),
        ["a", "b", "a"],
        "numbers and texts of one field are two columns"
    );
    assert_eq!(numbers(&batches[2], Role::Input, "a")[0], 3.0);
    assert!(numbers(&batches[2], Role::Input, "a")[1].is_nan());
    assert_eq!(texts(&batches[2], Role::Input, "a"), [None, Some("text".to_owned())]);
    assert_eq!(texts(&batches[2], Role::Input, "b"), [Some("x".to_owned()), None]);

    let schemas = house.line.schemas();
    assert_eq!((schemas.len(), schemas[0].version), (1, 2));
    assert_eq!(schemas[0].columns, batches[2].schema.columns);
}

#[test]
fn a_field_in_the_middle_of_a_batch_is_missing_before_and_after_it() {
    let (house, record) = House::recorded(still());
    let route = kserve();
    house.see([r#""a": 1"#, r#""a": 2, "b": 7"#, r#""a": 3"#].map(|fields| record_of(&route, fields)));
    let batch = record.batch();
    let b = numbers(&batch, Role::Input, "b");
    assert!(b.len() == 3 && b[0].is_nan() && b[1] == 7.0 && b[2].is_nan());
    assert!(batch.columns.iter().all(|column| column.len() == 3));
}

#[test]
fn rows_of_another_width_have_a_schema_of_their_own() {
    let (house, record) = House::recorded(still());
    let route = kserve();
    let wide = || exchange(&route, r#"{"instances": [[1, 2, 3]]}"#, &values(1));
    house.see([good(&route, 1), wide(), good(&route, 1), wide(), wide()]);
    let batches = record.batches();
    let sizes: Vec<_> = batches.iter().map(|b| (b.exchanges, fields(b, Role::Input).len())).collect();
    assert_eq!(sizes, [(2, 2), (3, 3)]);
    assert_eq!(house.value("weir_schemas", &[]), 2.0);
}

#[test]
fn whether_a_reply_is_scores_is_decided_once() {
    let (house, record) = House::recorded(still());
    let route = kserve();
    let reply = |reply| exchange(&route, &rows(1), reply);
    house.see([reply(r#"{"predictions": [[3.5, -2]]}"#), reply(r#"{"predictions": [[0.5, 0.5]]}"#)]);
    let batch = record.batch();
    assert_eq!(batch.schema.classification, Some(false));
    assert_eq!(numbers(&batch, Role::Output, "1"), [-2.0, 0.5]);
    assert_eq!(house.histogram("prediction_confidence", &[]).0, 0, "one odd reply makes no classifier");
}

#[test]
fn what_a_reply_leaves_out_takes_nothing_from_the_numbers_of_the_others() {
    let house = House::new();
    let route = kserve();
    let scores = r#""probabilities": [[0.1, 0.9], [0.8, 0.2]]"#;
    let [labels, both, scores] = [
        r#"{"predictions": [1, 0]}"#.to_owned(),
        format!(r#"{{"predictions": [1, 0], {scores}}}"#),
        format!("{{{scores}}}"),
    ];
    // As clients do that choose the outputs they want, in any order.
    house.see([&labels, &both, &scores, &labels, &both].map(|reply| exchange(&route, &rows(2), reply)));
    assert_eq!(house.predictions("ok"), 10.0);
    assert_eq!(house.histogram("prediction_confidence", &[]).0, 6);
    let classes = ["0", "1"].map(|class| house.value("predictions_by_class_total", &[("class", class)]));
    assert_eq!(classes, [3.0, 3.0], "numbers beside scores are classes, and so is the highest score");
}

#[test]
fn scores_under_their_own_name_are_measured_though_the_first_reply_had_none() {
    let (house, record) = House::recorded(still());
    let route = kserve();
    let see = |predictions: &str| {
        house.see([exchange(&route, &rows(1), &format!(r#"{{"predictions": [{predictions}]}}"#))]);
        record.batch().schema.classification
    };
    assert_eq!(see(r#"{"label": 1}"#), Some(false));
    assert_eq!(see(r#"{"label": 1, "probabilities": [0.25, 0.75]}"#), Some(true));
    assert_eq!(see(r#"{"label": 1}"#), Some(true));
    assert_eq!(house.histogram("prediction_confidence", &[]), (1, 0.75));
}

#[test]
fn texts_past_the_cap_of_a_dictionary_are_other() {
    let (house, record) = House::recorded(limited(|limits| limits.codes = 3));
    let route = kserve();
    house.see(["a", "b", "c", "d", "a"].map(|text| record_of(&route, &format!(r#""f": "{text}""#))));
    let known = texts(&record.batch(), Role::Input, "f");
    let known: Vec<_> = known.iter().map(|text| text.as_deref().unwrap()).collect();
    assert_eq!(known, ["a", "b", "(other)", "(other)", "a"]);
    assert_eq!(house.capped("code"), 2.0);
}

#[test]
fn names_and_texts_of_one_schema_take_so_many_bytes() {
    // A field takes 256 bytes and its name, a text 64 and itself: two fields (`f`, and `0` of the values) and
    // two texts.
    let (house, record) = House::recorded(limited(|limits| limits.names_bytes = 700));
    let route = kserve();
    house.see((0..4).map(|n| record_of(&route, &format!(r#""f": "t{n}""#))));
    let known = texts(&record.batch(), Role::Input, "f");
    let known: Vec<_> = known.iter().map(|text| text.as_deref().unwrap()).collect();
    assert_eq!(known, ["t0", "t1", "(other)", "(other)"]);
    assert_eq!(house.capped("code"), 2.0);
    house.see([record_of(&route, r#""f": "t1", "g": 1"#)]);
    assert_eq!(fields(&record.batch(), Role::Input), ["f"], "nor is there room for a field");
    assert_eq!(house.capped("column"), 1.0);
}

#[test]
fn a_long_text_is_kept_as_its_length_and_a_long_name_not_at_all() {
    let (house, record) = House::recorded(still());
    let (route, long) = (kserve(), "x".repeat(129));
    house.see([record_of(&route, &format!(r#""f": "{long}", "{long}": 1"#))]);
    let batch = record.batch();
    assert_eq!(texts(&batch, Role::Input, "f"), [Some("(text up to 256 bytes)".to_owned())]);
    assert_eq!(fields(&batch, Role::Input), ["f"]);
    assert_eq!(house.capped("column"), 1.0);
}

#[test]
fn columns_past_the_cap_are_left_out() {
    // Six columns of the exchange itself, and two.
    let (house, record) = House::recorded(limited(|limits| limits.columns = 8));
    let route = kserve();
    house.see([exchange(&route, r#"{"instances": [[1, 2, 3]]}"#, &values(1))]);
    let batch = record.batch();
    assert_eq!(fields(&batch, Role::Input), ["0", "1"]);
    assert_eq!((fields(&batch, Role::Output).len(), batch.rows), (0, 1));
    assert_eq!(house.capped("column"), 2.0);
    assert_eq!(house.predictions("ok"), 1.0);
}

#[test]
fn past_the_cap_of_schemas_only_the_exchange_is_judged() {
    let (house, record) = House::recorded(limited(|limits| limits.per_route = 1));
    let route = kserve();
    let wide = exchange(&route, r#"{"instances": [[1, 2, 3]]}"#, &values(1));
    house.see([good(&route, 2), wide]);
    let batch = record.batch();
    assert_eq!((batch.exchanges, batch.rows), (2, 2));
    assert_eq!(numbers(&batch, Role::Status, "status"), [200.0, 200.0]);
    assert_eq!([house.capped("schema"), house.predictions("ok")], [1.0, 3.0]);
    assert_eq!(house.fate("observed"), 2.0);
}

#[test]
fn a_schema_that_is_idle_makes_way_and_its_judges_are_told() {
    let (house, record) = House::recorded(limited(|limits| {
        limits.per_route = 1;
        limits.idle_at_cap = std::time::Duration::ZERO;
    }));
    let route = kserve();
    house.see([good(&route, 1)]);
    house.send(good(&route, 1));
    house.see([exchange(&route, r#"{"instances": [[1, 2, 3]]}"#, &values(1))]);
    let told = record.so_far();
    let [Told::Batch(_), Told::Batch(last), Told::Forget(gone), Told::Batch(new)] = &told[..] else {
        panic!("two batches, the word that their schema is gone, and one of the new: {told:?}")
    };
    assert_eq!(last.schema.id, *gone);
    assert_ne!(new.schema.id, *gone);
    assert_eq!([house.closed("evicted"), house.value("weir_schemas", &[])], [1.0, 1.0]);
    let live: Vec<_> = house.line.schemas().iter().map(|schema| schema.id).collect();
    assert_eq!(live, [new.schema.id]);
}

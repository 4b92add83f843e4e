use super::*;
use weir_plugin_sdk::testing::{Harness, Table};

const NAN: f64 = f64::NAN;

fn harness(settings: &str) -> Harness<FeatureStats> {
    Harness::new(settings).unwrap()
}

fn numbers(name: &str, values: &[f64]) -> Table {
    Table::rows(values.len()).numbers(role::INPUT, name, values)
}

#[test]
fn every_feature_has_its_distribution_and_its_missing_rows() {
    let mut harness = harness("{}");
    let table = numbers("age", &[30.0, NAN, 40.0]).numbers(role::INPUT, "pay", &[1.0, 2.0, 3.0]);
    harness.observe(&table);
    assert_eq!(harness.observed("value", &["age"]), [30.0, 40.0]);
    assert_eq!(harness.counter("rows", &["age"]), 3.0);
    assert_eq!(harness.counter("missing", &["age"]), 1.0);
    assert_eq!(harness.observed("missing", &["pay"]), [0.0], "shown at 0 from the first batch");
}

#[test]
fn a_row_without_any_feature_is_no_row() {
    let mut harness = harness("{}");
    harness.observe(&numbers("age", &[NAN, 1.0]).numbers(role::INPUT, "pay", &[NAN, NAN]));
    assert_eq!(harness.counter("rows", &["age"]), 1.0);
    assert_eq!(harness.counter("missing", &["age"]), 0.0);
    assert_eq!(harness.counter("missing", &["pay"]), 1.0);
}

#[test]
fn values_outside_of_the_range_are_counted() {
    let mut harness = harness(r#"{"features": {"age": {"min": 18, "max": 99}, "debt": {"max": 0}}}"#);
    let age = numbers("age", &[18.0, 99.0, 17.9, 100.0, NAN]);
    harness.observe(&age.numbers(role::INPUT, "debt", &[-1e9, 0.0, 1.0, NAN, f64::INFINITY]));
    assert_eq!(harness.counter("out_of_range", &["age"]), 2.0);
    assert_eq!(harness.counter("out_of_range", &["debt"]), 2.0);
}

#[test]
fn categories_are_counted_and_unknown_ones_apart() {
    let mut harness = harness(r#"{"features": {"plan": {"categories": ["a", "b"]}}}"#);
    let plan = |values: &[&str]| Table::rows(values.len()).texts(role::INPUT, "plan", values);
    harness.observe(&plan(&["a", "b", "a", "c"]));
    harness.observe(&plan(&["d", "a"]));
    assert_eq!(harness.counter("category", &["plan", "a"]), 3.0);
    assert_eq!(harness.counter("category", &["plan", "d"]), 1.0);
    assert_eq!(harness.counter("unseen_category", &["plan"]), 2.0);
}

#[test]
fn categories_of_a_number_are_compared_as_numbers() {
    let mut harness = harness(r#"{"features": {"partner": {"categories": ["0", "1"]}}}"#);
    harness.observe(&numbers("partner", &[0.0, 1.0, 2.0, NAN, -0.0]));
    assert_eq!(harness.counter("unseen_category", &["partner"]), 1.0);
}

#[test]
fn categories_past_the_limit_share_a_series() {
    let mut harness = harness(r#"{"max_categories": 1}"#);
    harness.observe(&Table::rows(4).texts(role::INPUT, "plan", &["a", "b", "c", "a"]));
    assert_eq!(harness.counter("category", &["plan", "a"]), 2.0);
    assert_eq!(harness.counter("category", &["plan", "other"]), 2.0);
}

#[test]
fn a_feature_of_numbers_and_texts_is_one_feature() {
    let mut harness = harness("{}");
    let table = numbers("size", &[1.0, NAN, NAN]).numbers(role::INPUT, "age", &[1.0, 1.0, 1.0]);
    harness.observe(&table.texts(role::INPUT, "size", &["", "large", ""]));
    assert_eq!(harness.counter("missing", &["size"]), 1.0);
    assert_eq!(harness.observed("value", &["size"]), [1.0]);
    assert_eq!(harness.counter("category", &["size", "large"]), 1.0);
}

#[test]
fn features_past_the_limit_are_only_counted_and_known_ones_go_first() {
    let mut harness = harness(r#"{"max_features": 1, "features": {"b": {"min": 0}}}"#);
    let table = numbers("a", &[1.0, 2.0]).numbers(role::INPUT, "b", &[3.0, 4.0]);
    harness.observe(&table.numbers(role::INPUT, "c", &[5.0, 6.0]));
    assert_eq!(harness.observed("value", &["b"]), [3.0, 4.0]);
    assert!(harness.observed("value", &["a"]).is_empty());
    assert_eq!(harness.counter("untracked", &[]), 4.0);
}

#[test]
fn only_the_features_asked_for_are_sent() {
    let mut harness = harness(r#"{"only": ["b"]}"#);
    harness.observe(&numbers("a", &[1.0]).numbers(role::INPUT, "b", &[3.0]));
    assert!(harness.observed("value", &["a"]).is_empty());
    assert_eq!(harness.observed("value", &["b"]), [3.0]);
    assert_eq!(harness.counter("untracked", &[]), 0.0);
}

#[test]
fn a_feature_with_edges_of_its_own_has_a_histogram_of_its_own() {
    let mut harness = harness(r#"{"features": {"Monthly Pay": {"edges": [10, 20]}}}"#);
    harness.observe(&numbers("Monthly Pay", &[15.0]));
    assert_eq!(harness.observed("value_monthly_pay", &["Monthly Pay"]), [15.0]);
    assert!(harness.observed("value", &["Monthly Pay"]).is_empty());
}

#[test]
fn settings_that_make_no_sense_are_refused_together() {
    let wrong = r#"{"edges": [], "max_features": 0, "only": ["a b", "a_b", "x"], "features": {
        "a b": {"edges": [1]}, "a_b": {"edges": [1]}, "x": {"min": 2, "max": 1, "edges": [1, 1]}, "y": {}}}"#;
    let faults = Harness::<FeatureStats>::new(wrong).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    let features = ["/features/a_b/edges", "/features/x", "/features/x/edges", "/features/y"];
    assert_eq!(paths, [&["/edges", "/max_features"], &features[..]].concat());
}

use super::*;
use weir_plugin_sdk::testing::{Harness, Table};

fn harness(settings: &str) -> Harness<Confidence> {
    Harness::new(settings).unwrap()
}

fn binary(yes: &[f64]) -> Table {
    let no: Vec<f64> = yes.iter().map(|p| 1.0 - p).collect();
    Table::rows(yes.len()).numbers(role::SCORE, "yes", yes).numbers(role::SCORE, "no", &no)
}

fn close(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} is not {wanted:?}");
}

#[test]
fn each_row_counts_for_the_class_it_chose() {
    let mut harness = harness("{}");
    harness.observe(&binary(&[0.9, 0.25, 0.5, 0.7]));
    close(harness.observed("top", &["yes"]), &[0.9, 0.5, 0.7]);
    close(harness.observed("top", &["no"]), &[0.75]);
    close(harness.observed("margin", &["yes"]), &[0.8, 0.0, 0.4]);
    close(harness.observed("margin", &["no"]), &[0.5]);
    assert_eq!(harness.counter("low_rows", &["yes"]), 1.0);
    assert_eq!(harness.counter("low_rows", &["no"]), 0.0);
}

#[test]
fn entropy_is_a_share_of_the_highest() {
    let mut harness = harness("{}");
    let even = Table::rows(2)
        .numbers(role::SCORE, "a", &[0.25, 1.0])
        .numbers(role::SCORE, "b", &[0.25, 0.0])
        .numbers(role::SCORE, "c", &[0.25, 0.0])
        .numbers(role::SCORE, "d", &[0.25, 0.0]);
    harness.observe(&even);
    close(harness.observed("entropy", &["a"]), &[1.0, 0.0]);
}

#[test]
fn rows_without_scores_do_not_count_and_scores_that_are_no_probabilities_are_counted_apart() {
    let mut harness = harness("{}");
    let table = Table::rows(4).numbers(role::SCORE, "a", &[f64::NAN, 3.0, -0.5, 0.8]).numbers(
        role::SCORE,
        "b",
        &[f64::NAN, -3.0, 0.9, f64::NAN],
    );
    harness.observe(&table);
    close(harness.observed("top", &["a"]), &[0.8]);
    assert!(harness.observed("top", &["b"]).is_empty());
    assert_eq!(harness.counter("invalid_rows", &[]), 2.0);
}

#[test]
fn a_lone_score_is_the_chosen_class_or_the_positive_one() {
    let table = Table::rows(2).numbers(role::SCORE, "churn", &[0.9, 0.2]);
    let mut chosen = harness("{}");
    chosen.observe(&table);
    close(chosen.observed("top", &["churn"]), &[0.9, 0.2]);
    assert!(chosen.observed("margin", &["churn"]).is_empty());

    let mut positive = harness(r#"{"binary": true}"#);
    positive.observe(&table);
    close(positive.observed("top", &["churn"]), &[0.9]);
    close(positive.observed("top", &["not churn"]), &[0.8]);
    close(positive.observed("margin", &["not churn"]), &[0.6]);
}

#[test]
fn classes_past_the_limit_share_a_series() {
    let mut harness = harness(r#"{"classes": 1}"#);
    harness.observe(&binary(&[0.9, 0.1, 0.2]));
    close(harness.observed("top", &["yes"]), &[0.9]);
    close(harness.observed("top", &["other"]), &[0.9, 0.8]);
}

const BAND: &str = r#"{"min_rows": 10, "min_share": 0.5, "clear_share": 0.3}"#;

fn low_confidence(harness: &mut Harness<Confidence>) -> bool {
    harness.tick();
    harness.condition("low_confidence", &[]).unwrap().0
}

#[test]
fn low_confidence_holds_until_it_is_clearly_over() {
    let mut harness = harness(BAND);
    harness.observe(&binary(&[0.5; 9]));
    assert!(!low_confidence(&mut harness), "too few rows");
    harness.observe(&binary(&[0.5]));
    assert!(low_confidence(&mut harness));
    harness.observe(&binary(&[0.9; 15]));
    assert!(low_confidence(&mut harness), "0.4 lies between the two bars");
    harness.observe(&binary(&[0.9; 15]));
    assert!(!low_confidence(&mut harness), "0.25 is below both");
    assert_eq!(harness.condition("low_confidence", &[]), Some((false, 0.25, 40)));
    harness.observe(&binary(&[0.5; 10]));
    assert!(!low_confidence(&mut harness), "0.4 does not raise it again");
}

#[test]
fn the_threshold_itself_is_not_low() {
    let mut harness = harness(r#"{"min_rows": 1, "threshold": 0.75}"#);
    harness.observe(&binary(&[0.75, 0.25]));
    assert!(!low_confidence(&mut harness));
    assert_eq!(harness.counter("low_rows", &["yes"]), 0.0);
}

#[test]
fn a_reload_does_not_end_what_holds() {
    let mut first = harness(BAND);
    first.observe(&binary(&[0.5; 10]));
    assert!(low_confidence(&mut first));
    let mut second = first.reload(BAND).unwrap();
    second.observe(&binary(&[0.5; 4]));
    second.observe(&binary(&[0.9; 6]));
    assert!(low_confidence(&mut second), "0.4 would not have raised it");
}

#[test]
fn settings_that_make_no_sense_are_refused_together() {
    let wrong = r#"{"threshold": 0, "min_share": 1.5, "clear_share": 2, "window": "0s", "classes": 0}"#;
    let faults = Harness::<Confidence>::new(wrong).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["/threshold", "/min_share", "/clear_share", "/window", "/classes"]);
}

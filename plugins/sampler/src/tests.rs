use super::*;
use weir_plugin_sdk::testing::{Harness, Table};

fn harness(settings: &str) -> Harness<Sampler> {
    Harness::new(settings).unwrap()
}

fn kept(harness: &mut Harness<Sampler>, table: &Table) -> Vec<(u32, String)> {
    harness.observe(table);
    let listed = |(exchange, reason, _): (Option<u32>, &str, f64)| Some((exchange?, reason.to_owned()));
    harness.verdicts().into_iter().filter_map(listed).collect()
}

fn expect(harness: &mut Harness<Sampler>, table: &Table, wanted: &[(u32, &str)]) {
    let kept = kept(harness, table);
    let kept: Vec<_> = kept.iter().map(|(exchange, reason)| (*exchange, reason.as_str())).collect();
    assert_eq!(kept, wanted);
}

#[test]
fn errors_and_slow_exchanges_are_kept_each_for_its_reason() {
    let table = Table::rows(4)
        .texts(role::OUTCOME, "outcome", &["ok", "timeout", "cancelled", "upstream_error"])
        .numbers(role::DURATION, "duration", &[0.01, 2.0, f64::NAN, 0.5]);
    expect(&mut harness("{}"), &table, &[(1, "error"), (3, "error"), (1, "slow")]);
    let mut other = harness(r#"{"errors": ["cancelled"], "slow": "100ms"}"#);
    expect(&mut other, &table, &[(2, "error"), (1, "slow"), (3, "slow")]);
}

#[test]
fn an_exchange_with_an_unsure_row_is_kept_once() {
    let table = Table::rows(4)
        .of_exchanges(&[0, 0, 1, 2], 3)
        .numbers(role::SCORE, "yes", &[0.5, 0.55, 0.9, f64::NAN])
        .numbers(role::SCORE, "no", &[0.5, 0.45, 0.1, f64::NAN])
        .numbers(role::OUTPUT, "output", &[f64::NAN; 4]);
    expect(&mut harness("{}"), &table, &[(0, "low_confidence")]);
}

#[test]
fn the_first_exchange_of_each_class_is_kept() {
    let mut harness = harness("{}");
    let labels = |labels: &[&str]| Table::rows(labels.len()).texts(role::OUTPUT, "output", labels);
    expect(&mut harness, &labels(&["a", "b", "a"]), &[(0, "new_class"), (1, "new_class")]);
    expect(&mut harness, &labels(&["b", "c", "c"]), &[(1, "new_class")]);
    expect(&mut harness, &labels(&["a", "", "c"]), &[]);
    expect(&mut harness, &labels(&["a"]).model("other"), &[(0, "new_class")]);
}

#[test]
fn classes_may_be_numbers_or_scores() {
    let sure = [0.9, 0.2, 0.3];
    let unsure = [0.1, 0.8, 0.7];
    let scores = Table::rows(3).numbers(role::SCORE, "yes", &sure).numbers(role::SCORE, "no", &unsure);
    expect(&mut harness("{}"), &scores, &[(0, "new_class"), (1, "new_class")]);
    let numbers = scores.numbers(role::OUTPUT, "output", &[1.0, 1.0, 0.0]);
    expect(&mut harness("{}"), &numbers, &[(0, "new_class"), (2, "new_class")]);
}

#[test]
fn an_exchange_with_several_new_classes_is_kept_once() {
    let table = Table::rows(3)
        .of_exchanges(&[0, 0, 1], 2)
        .numbers(role::SCORE, "a", &[0.9, 0.1, 0.0])
        .numbers(role::SCORE, "b", &[0.1, 0.0, 0.9])
        .numbers(role::SCORE, "c", &[0.0, 0.9, 0.1]);
    expect(&mut harness("{}"), &table, &[(0, "new_class"), (1, "new_class")]);
}

#[test]
fn a_lone_number_is_no_class() {
    let table = Table::rows(2).numbers(role::OUTPUT, "output", &[12.5, 13.5]);
    expect(&mut harness("{}"), &table, &[]);
}

#[test]
fn classes_past_the_limit_are_not_kept() {
    let mut harness = harness(r#"{"max_classes": 1}"#);
    let table = Table::rows(2).texts(role::OUTPUT, "output", &["a", "b"]);
    expect(&mut harness, &table, &[(0, "new_class")]);
}

#[test]
fn classes_seen_before_a_reload_are_not_new() {
    let mut first = harness("{}");
    let table = Table::rows(1).texts(role::OUTPUT, "output", &["a"]);
    expect(&mut first, &table, &[(0, "new_class")]);
    let mut second = first.reload("{}").unwrap();
    expect(&mut second, &table, &[]);
}

#[test]
fn a_share_of_the_rest_is_kept() {
    let table = Table::rows(1).numbers(role::DURATION, "duration", &[0.1]);
    let mut some = harness(r#"{"rest": 0.25}"#);
    some.observe(&table);
    assert_eq!(some.verdicts(), [(None, "rest", 0.25)]);
    let mut none = harness(r#"{"rest": 0}"#);
    none.observe(&table);
    assert!(none.verdicts().is_empty());
}

#[test]
fn settings_that_make_no_sense_are_refused_together() {
    let wrong = r#"{"errors": ["timeout", "eror"], "low_confidence": 2, "rest": -1, "max_classes": 20000}"#;
    let faults = Harness::<Sampler>::new(wrong).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["/errors/1", "/low_confidence", "/rest", "/max_classes"]);
}

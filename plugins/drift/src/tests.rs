//! Windows told of by a script; the numbers in them are made, the arithmetic is the gateway's.

use std::collections::BTreeMap;

use weir_plugin_sdk::json;
use weir_plugin_sdk::reference::{Comparison, Feature, FeatureNumbers, Misfit, MisfitKind, Segment, Table};
use weir_plugin_sdk::statistics::Effect;
use weir_plugin_sdk::testing::{Harness, Table as Traffic, Window};

use super::*;

const DAY: u64 = 86_400_000_000_000;
const FEATURES: [&str; 3] = ["age", "plan", "prediction"];

fn profile() -> ProfileInfo {
    let feature = |name: &str| Feature {
        name: name.to_owned(),
        role: role::INPUT.to_owned(),
        kind: Kind::Number,
        min: 0.0,
        max: 1.0,
        missing: 0.0,
        bins: 10,
        phi: 1.0,
        unstable: false,
    };
    ProfileInfo {
        digest: "d1".to_owned(),
        model: String::new(),
        model_version: String::new(),
        rows: 5000.0,
        window_rows: 200,
        blocks: 0,
        features: FEATURES.map(feature).to_vec(),
        segments: Vec::new(),
        misfits: Vec::new(),
    }
}

fn closed(day: u64) -> Closed {
    Closed {
        begin_ns: day * DAY,
        end_ns: (day + 1) * DAY,
        rows: 1000,
        distinct: 1000.0,
        effective: 1000.0,
        answered: 1000.0,
        observed: 1000.0,
        segments: Vec::new(),
        last_look_ns: None,
        unlooked: 0,
        dropped: 0,
    }
}

/// A table with this p and this effect.
fn table(p: f64, psi: f64) -> Table {
    let psi = Effect { raw: psi + 0.01, corrected: psi };
    Table { n: 5000.0, m: 1000.0, x2: 30.0, dof: 9, phi: 1.0, p, alarm_p: p, psi }
}

fn comparison(p: f64, psi: f64) -> Comparison {
    Comparison {
        values: table(p, psi),
        effects: None,
        wasserstein: None,
        ks_p: 1.0,
        // Nothing is missing anywhere: no hypothesis.
        missing: Table { x2: 0.0, dof: 0, ..table(1.0, 0.0) },
        reference_missing: 0.0,
        current_missing: 0.0,
        reference_bins: vec![2500.0, 2500.0],
        current_bins: vec![400.0, 600.0],
    }
}

/// A window in which each feature has this p and this effect.
fn window(day: u64, features: [(f64, f64); 3]) -> Window {
    let all = features.iter().enumerate().map(|(at, (p, psi))| ((at, None), comparison(*p, *psi)));
    Window { closed: closed(day), comparisons: all.collect(), numbers: BTreeMap::new() }
}

fn traffic() -> Traffic {
    Traffic::rows(1).numbers(role::INPUT, "age", &[0.5])
}

/// A plugin that has seen a batch of a model with a profile.
fn at_work(settings: &str) -> Harness<Drift> {
    let mut harness = Harness::new(settings).unwrap();
    harness.profile(profile());
    harness.observe(&traffic());
    harness
}

fn state(harness: &Harness<Drift>) -> String {
    let is_one = |state: &&str| harness.gauge("state", &[state]) == Some(1.0);
    let states = ["ok", "drift", "not_enough_data", "incomplete", "no_profile"];
    let ones: Vec<&str> = states.iter().filter(|state| is_one(state)).copied().collect();
    assert_eq!(ones.len(), 1, "exactly one state is 1");
    ones[0].to_owned()
}

fn drifts(harness: &Harness<Drift>) -> bool {
    harness.condition("drift", &[]).unwrap().0
}

#[test]
fn drift_needs_the_test_and_an_effect() {
    let mut harness = at_work("{}");
    harness.tick();
    assert_eq!(state(&harness), "not_enough_data", "no window has closed");
    // Real, but too small to matter; large, but chance.
    harness.close(window(1, [(1e-9, 0.04), (0.2, 0.9), (0.9, 0.0)]));
    harness.tick();
    assert_eq!((state(&harness).as_str(), drifts(&harness)), ("ok", false));
    harness.close(window(2, [(1e-9, 0.06), (0.2, 0.9), (0.9, 0.0)]));
    harness.tick();
    assert_eq!((state(&harness).as_str(), drifts(&harness)), ("drift", true));
    assert_eq!(harness.condition("drift", &[]), Some((true, 0.06, 1000)));
    assert_eq!(harness.condition("drifted_feature", &["age"]), Some((true, 0.06, 1000)));
    assert!(!harness.condition("drifted_feature", &["plan"]).unwrap().0);
    assert_eq!(harness.gauge("drifted_features", &[]), Some(1.0));
    assert_eq!(harness.looks(), [true, true]);
    assert_eq!(harness.counter("looks", &["drift"]), 1.0);
}

#[test]
fn the_budget_is_shared_by_all_that_is_looked_at() {
    // Thirty looks a month at one alarm: 1/30, of which the smallest of three p-values has a third.
    let level = 1.0 / 30.0;
    for (p, expected) in [(level / 3.0 * 1.01, "ok"), (level / 3.0 * 0.99, "drift")] {
        let mut harness = at_work("{}");
        harness.close(window(1, [(p, 1.0), (0.5, 0.0), (0.6, 0.0)]));
        harness.tick();
        assert_eq!(state(&harness), expected, "{p}");
    }
    // Features that are not judged take no part of it.
    let mut harness = at_work(r#"{"ignore": ["plan", "prediction"]}"#);
    harness.close(window(1, [(level * 0.99, 1.0), (0.5, 0.0), (0.6, 0.0)]));
    harness.tick();
    assert_eq!(state(&harness), "drift");
}

#[test]
fn a_feature_whose_own_reference_would_alarm_is_never_judged() {
    let mut harness = Harness::<Drift>::new("{}").unwrap();
    let mut unstable = profile();
    unstable.features[0].unstable = true;
    harness.profile(unstable);
    harness.observe(&traffic());
    harness.close(window(1, [(0.0, 9.0), (0.5, 0.0), (0.5, 0.0)]));
    harness.tick();
    assert_eq!(state(&harness), "ok");
    let finding = &harness.reports("drift")[0];
    assert_eq!(finding["left_out"], json::json!([{ "feature": "age", "why": "unstable" }]));
    assert_eq!(finding["hypotheses"], 2);
}

#[test]
fn windows_of_too_few_rows_or_too_little_seen_are_not_tested() {
    let mut harness = at_work("{}");
    let alarming = |day| window(day, [(0.0, 9.0), (0.0, 9.0), (0.0, 9.0)]);
    let mut few = alarming(1);
    few.closed.effective = 199.0;
    harness.close(few);
    harness.tick();
    assert_eq!(state(&harness), "not_enough_data");
    let mut half_seen = alarming(2);
    half_seen.closed.observed = 949.0;
    harness.close(half_seen);
    harness.tick();
    assert_eq!(state(&harness), "incomplete");
    assert_eq!((harness.looks(), harness.compared_with().len()), (vec![false, false], 0));
    assert!(harness.condition("drift", &[]).is_none());
    // Three in a row: nobody watches.
    assert!(!harness.condition("blind", &[]).unwrap().0);
    let mut few = alarming(3);
    few.closed.effective = 0.0;
    harness.close(few);
    harness.tick();
    assert_eq!(harness.condition("blind", &[]), Some((true, 3.0, 3)));
    harness.close(window(4, [(0.5, 0.0); 3]));
    harness.tick();
    assert_eq!(harness.condition("blind", &[]), Some((false, 0.0, 0)));
}

#[test]
fn a_model_without_a_profile_is_blind_after_three_windows() {
    let mut harness = Harness::<Drift>::new(r#"{"window": "2s"}"#).unwrap();
    harness.observe(&traffic());
    harness.tick();
    assert_eq!(state(&harness), "no_profile");
    for _ in 0..5 {
        harness.tick();
    }
    assert!(!harness.condition("blind", &[]).unwrap().0);
    harness.tick();
    assert_eq!(harness.condition("blind", &[]), Some((true, 3.0, 3)));
}

#[test]
fn windows_that_close_too_soon_are_skipped_and_counted() {
    let mut harness = at_work(r#"{"looks": 10}"#);
    for day in 1..=4 {
        let mut next = window(day, [(0.0, 9.0); 3]);
        next.closed.last_look_ns = (day > 1).then_some(2 * DAY);
        harness.close(next);
        harness.tick();
    }
    assert_eq!(harness.looks(), [true, false, false, true]);
    assert_eq!(harness.counter("looks", &["skipped"]), 2.0);
    assert_eq!(harness.reports("drift")[0]["level"], 0.1);
}

#[test]
fn segments_with_rows_enough_are_a_part_of_the_family() {
    let mut harness = at_work(r#"{"segment": "country"}"#);
    assert_eq!(harness.tallies()[0].segment.as_deref(), Some("country"));
    let mut it = window(1, [(0.5, 0.0); 3]);
    it.closed.segments = [("de", 500.0), ("fr", 100.0)]
        .map(|(name, effective)| Segment { name: name.to_owned(), rows: effective as u64, effective })
        .to_vec();
    for at in 0..3 {
        it.comparisons.insert((at, Some(0)), comparison(if at == 1 { 1e-6 } else { 0.7 }, 0.3));
        it.comparisons.insert((at, Some(1)), comparison(0.0, 9.0));
    }
    harness.close(it);
    harness.tick();
    let finding = &harness.reports("drift")[0];
    assert_eq!((&finding["hypotheses"], &finding["drifted"]), (&json::json!(6), &json::json!(1)));
    let first = &finding["tests"][0];
    assert_eq!(first["current_counts"], json::json!([400.0, 600.0]));
    assert_eq!((&first["feature"], &first["segment"]), (&json::json!("plan"), &json::json!("de")));
    assert!((first["adjusted_p"].as_f64().unwrap() - 6e-6).abs() < 1e-15);
    assert!(harness.condition("drifted_feature", &["plan"]).unwrap().0);
}

#[test]
fn missing_values_are_a_hypothesis_of_their_own() {
    let mut harness = at_work("{}");
    let mut it = window(1, [(0.5, 0.0); 3]);
    let age = it.comparisons.get_mut(&(0, None)).unwrap();
    age.missing = table(1e-5, 0.2);
    age.current_missing = 0.1;
    harness.close(it);
    harness.tick();
    let finding = &harness.reports("drift")[0];
    assert_eq!(finding["hypotheses"], 4);
    assert_eq!((&finding["tests"][0]["of"], state(&harness).as_str()), (&json::json!("missing"), "drift"));
    assert_eq!(harness.gauge("missing", &["age"]), Some(0.1));
}

#[test]
fn a_look_at_many_features_goes_on_over_several_calls() {
    let mut harness = Harness::<Drift>::new("{}").unwrap();
    let mut wide = profile();
    let one = wide.features[0].clone();
    wide.features = (0..600).map(|i| Feature { name: format!("f{i}"), ..one.clone() }).collect();
    harness.profile(wide);
    harness.observe(&traffic());
    let comparisons = (0..600).map(|at| ((at, None), comparison(if at == 599 { 1e-9 } else { 0.5 }, 0.3)));
    harness.close(Window { comparisons: comparisons.collect(), ..window(1, [(0.5, 0.0); 3]) });
    harness.tick();
    harness.tick();
    assert_eq!(harness.looks(), [false; 0], "600 comparisons take three calls, and telling of 500 eight");
    (0..10).for_each(|_| harness.tick());
    assert_eq!((harness.looks(), state(&harness).as_str()), (vec![true], "drift"));
    let finding = &harness.reports("drift")[0];
    assert_eq!(
        (finding["hypotheses"].as_u64(), &finding["tests"][0]["feature"]),
        (Some(600), &"f599".into())
    );
    assert_eq!(finding["tests"].as_array().unwrap().len(), 500, "the rest is counted only");
}

#[test]
fn a_new_instance_knows_how_models_stand() {
    let mut harness = at_work("{}");
    harness.close(window(1, [(0.0, 9.0); 3]));
    harness.tick();
    assert_eq!(state(&harness), "drift");
    let mut harness = harness.reload("{}").unwrap();
    harness.profile(profile());
    harness.observe(&traffic());
    harness.tick();
    assert!(harness.observed("state", &["not_enough_data"]).is_empty(), "the verdict stands");
}

#[test]
fn what_windows_are_compared_with_is_read_or_refused() {
    let with = |against: &str| Harness::<Drift>::new(&format!(r#"{{"against": "{against}"}}"#));
    for (against, kept) in [("profile", 1), ("trailing:7", 7), ("earlier:7d", 7), ("version:2", 1)] {
        let mut harness = with(against).unwrap();
        harness.profile(profile());
        harness.observe(&traffic());
        assert_eq!(harness.tallies()[0].keep, kept, "{against}");
    }
    for bad in ["profil", "trailing:", "trailing:0", "earlier:36h", "earlier:7", "version:"] {
        let faults = with(bad).unwrap_err();
        assert_eq!(faults[0].path, "/against", "{bad}");
    }
    let faults = Harness::<Drift>::new(r#"{"window": "90d", "budget": 0, "looks": 0}"#).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["/window", "/budget", "/looks"]);
}

#[test]
fn what_the_tests_could_see_is_said_before_anything_drifts() {
    let mut harness = at_work("{}");
    harness.tick();
    let all = harness.reports("drift_sensitivity");
    let [said] = all.as_slice() else { panic!("once") };
    assert_eq!((&said["hypotheses"], &said["window_rows"]), (&json::json!(3), &json::json!(200.0)));
    // scipy.stats: chi2.isf(1 / 90, 9) and, of ncx2, lambda (1 / 5000 + 1 / 200) at a power of 0.8.
    let age = &said["features"][0];
    let close = |key: &str, expected: f64| {
        let it = age[key].as_f64().unwrap();
        assert!((it / expected - 1.0).abs() < 1e-6, "{key}: {it}");
    };
    close("cut_off_x2", 21.368_470_485_785_44);
    close("smallest_psi", 0.109_568_528_959_047);
    harness.tick();
    assert_eq!(harness.reports("drift_sensitivity").len(), 1);
}

#[test]
fn a_profile_that_does_not_fit_is_refused_with_the_columns_that_differ() {
    let misfit = |role: &str, name: &str, what| Misfit { role: role.to_owned(), name: name.to_owned(), what };
    let with = |misfits: Vec<Misfit>| {
        let mut harness = Harness::<Drift>::new("{}").unwrap();
        harness.profile(ProfileInfo { misfits, ..profile() });
        harness.observe(&traffic());
        harness.close(window(1, [(0.0, 9.0); 3]));
        harness.tick();
        harness
    };
    let refused = with(vec![
        misfit(role::INPUT, "age", MisfitKind::Missing),
        misfit(role::INPUT, "plan", MisfitKind::OtherKind),
    ]);
    assert_eq!((state(&refused).as_str(), refused.looks()), ("no_profile", vec![false]));
    let finding = &refused.reports("drift")[0];
    assert_eq!(finding["misfits"], "`age` was never seen, `plan` is of another kind");
    // A reply without scores, or one more column, is judged by the rest.
    let scores = misfit(role::INPUT, "more", MisfitKind::Extra);
    let judged = with(vec![misfit("score", "Yes", MisfitKind::Missing), scores]);
    assert_eq!(state(&judged), "drift");
}

#[test]
fn what_detectors_have_found_is_counted_and_told_if_they_run() {
    for (settings, told) in [("{}", false), (r#"{"run_length": 100000}"#, true)] {
        let mut harness = at_work(settings);
        assert_eq!(harness.tallies()[0].run_length, if told { 100_000 } else { 0 });
        let mut it = window(1, [(0.5, 0.0); 3]);
        let found = FeatureNumbers { adwin: 2, page_hinkley: 1, ..numbers() };
        it.numbers = BTreeMap::from([((0, None), numbers()), ((1, None), found)]);
        harness.close(it);
        harness.tick();
        assert_eq!(state(&harness), "ok", "they alarm nobody");
        assert_eq!(harness.counter("changes", &["plan", "adwin"]), if told { 2.0 } else { 0.0 });
        let changes = &harness.reports("drift")[0]["changes"];
        let expected = json::json!([{ "feature": "plan", "adwin": 2, "page_hinkley": 1 }]);
        assert_eq!(*changes, if told { expected } else { json::Value::Null });
    }
}

fn numbers() -> FeatureNumbers {
    FeatureNumbers {
        rows: 1000.0,
        missing: 0.0,
        below: 0.0,
        above: 0.0,
        infinite: 0.0,
        other_kind: 0.0,
        unseen: 0.0,
        min: 0.0,
        max: 1.0,
        varies: true,
        bins: vec![500.0; 2],
        adwin: 0,
        page_hinkley: 0,
    }
}

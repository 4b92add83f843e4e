use super::*;
use weir_plugin_sdk::json::Value;
use weir_plugin_sdk::reference::{
    Comparison, Feature, FeatureNumbers, Misfit, MisfitKind, ProfileInfo, Table as Counts,
};
use weir_plugin_sdk::statistics::Effect;
use weir_plugin_sdk::testing::{Harness, Table, Window};

const HOUR: u64 = 3_600_000_000_000;

fn feature(name: &str, kind: Kind) -> Feature {
    let (name, role) = (name.to_owned(), "input".to_owned());
    let (min, max) = if kind == Kind::Number { (0.0, 10.0) } else { (f64::NAN, f64::NAN) };
    Feature { name, role, kind, min, max, missing: 0.02, bins: 2, phi: 1.0, unstable: false }
}

fn profile() -> ProfileInfo {
    ProfileInfo {
        digest: "d1".to_owned(),
        model: String::new(),
        model_version: String::new(),
        rows: 20_000.0,
        window_rows: 1000,
        blocks: 0,
        features: vec![feature("age", Kind::Number), feature("plan", Kind::Code)],
        segments: Vec::new(),
        misfits: Vec::new(),
    }
}

fn fine(rows: f64) -> FeatureNumbers {
    FeatureNumbers {
        rows,
        missing: 0.02 * rows,
        below: 0.0,
        above: 0.0,
        infinite: 0.0,
        other_kind: 0.0,
        unseen: 0.0,
        min: 0.0,
        max: 10.0,
        varies: true,
        bins: vec![0.5 * rows; 2],
        adwin: 0,
        page_hinkley: 0,
    }
}

fn window(rows: f64, change: impl FnOnce(&mut FeatureNumbers, &mut FeatureNumbers)) -> Window {
    let (mut age, mut plan) = (fine(rows), fine(rows));
    change(&mut age, &mut plan);
    let closed = Closed {
        begin_ns: HOUR,
        end_ns: 2 * HOUR,
        rows: rows as u64,
        distinct: rows,
        effective: rows,
        answered: rows,
        observed: rows,
        segments: Vec::new(),
        last_look_ns: None,
        unlooked: 0,
        dropped: 0,
    };
    let numbers = [((0, None), age), ((1, None), plan)].into();
    Window { closed, comparisons: [].into(), numbers }
}

fn harness(settings: &str, profile: ProfileInfo) -> Harness<DataQuality> {
    let mut harness = Harness::new(settings).unwrap();
    harness.profile(profile);
    harness.bins(0, &[("5", 10_000.0), ("+Inf", 10_000.0)]);
    harness.bins(1, &[("a", 19_600.0), ("other", 400.0)]);
    harness.observe(&Table::rows(1).numbers("input", "age", &[1.0]));
    harness
}

/// What a window is judged as, and the checks that are bad.
fn judge(harness: &mut Harness<DataQuality>, window: Window) -> (String, Vec<String>) {
    harness.close(window);
    harness.tick();
    let finding = harness.reports("data_quality").pop().unwrap();
    let bad = finding["checks"].as_array().unwrap().iter().filter(|it| it["bad"] == true);
    let name = |it: &Value| {
        let feature = it["feature"].as_str().unwrap_or("rows");
        format!("{feature} {}", it["check"].as_str().unwrap())
    };
    (finding["verdict"].as_str().unwrap().to_owned(), bad.map(name).collect())
}

fn check(
    settings: &str,
    rows: f64,
    change: impl FnOnce(&mut FeatureNumbers, &mut FeatureNumbers),
    bad: &[&str],
) {
    let mut harness = harness(settings, profile());
    let (verdict, found) = judge(&mut harness, window(rows, change));
    assert_eq!(found, bad);
    assert_eq!(verdict, if bad.is_empty() { "ok" } else { "bad" });
    assert_eq!(harness.condition("bad_data", &[]).unwrap().0, !bad.is_empty());
    assert_eq!(harness.looks(), [true]);
}

#[test]
fn data_like_the_reference_are_no_alarm() {
    check("{}", 10_000.0, |_, _| {}, &[]);
}

#[test]
fn each_check_is_an_alarm_of_its_own() {
    check("{}", 10_000.0, |age, _| age.missing = 800.0, &["age missing"]);
    check("{}", 10_000.0, |age, _| age.other_kind = 500.0, &["age type"]);
    check("{}", 10_000.0, |age, _| age.above = 500.0, &["age out_of_range"]);
    check("{}", 10_000.0, |age, _| (age.above, age.infinite) = (500.0, 500.0), &["age non_finite"]);
    check("{}", 10_000.0, |_, plan| plan.unseen = 500.0, &["plan unseen_category"]);
    check("{}", 10_000.0, |age, _| age.varies = false, &["age constant"]);
}

#[test]
fn what_is_tolerated_is_counted_and_no_alarm() {
    let mut harness = harness("{}", profile());
    assert_eq!(judge(&mut harness, window(1e6, |_, plan| plan.unseen = 1.0)), ("ok".to_owned(), vec![]));
    assert_eq!(harness.counter("bad_rows", &["plan", "unseen_category"]), 1.0);
    let finding = harness.reports("data_quality").pop().unwrap();
    let checks = finding["checks"].as_array().unwrap();
    let found = checks.iter().find(|it| it["check"] == "unseen_category").unwrap();
    assert_eq!((&found["rows"], &found["allowed"]), (&1.0.into(), &0.01.into()));
}

#[test]
fn without_tolerance_one_row_is_an_alarm() {
    let exact = r#"{"features": {"plan": {"tolerance": 0}}}"#;
    check(exact, 1e6, |_, plan| plan.unseen = 1.0, &["plan unseen_category"]);
    check(exact, 1e6, |age, _| age.above = 1.0, &[]);
}

#[test]
fn a_few_rows_too_many_of_few_are_no_alarm() {
    // One of a hundred is expected: six come by chance in one of 2000 windows, which a normal interval
    // takes for one of 400,000.
    check("{}", 100.0, |age, _| (age.missing, age.above) = (0.0, 6.0), &[]);
    check("{}", 100.0, |age, _| (age.missing, age.above) = (0.0, 15.0), &["age out_of_range"]);
}

#[test]
fn what_the_reference_was_missing_may_be_missing() {
    // 3 % in all: half a percent more is not certain, four are.
    check("{}", 10_000.0, |age, _| age.missing = 350.0, &[]);
    check("{}", 10_000.0, |age, _| age.missing = 700.0, &["age missing"]);
    check(r#"{"features": {"age": {"missing": 0.1}}}"#, 10_000.0, |age, _| age.missing = 700.0, &[]);
}

#[test]
fn missing_rows_are_held_against_the_seasons_of_the_reference() {
    let mut harness = harness("{}", profile());
    let mut window = window(10_000.0, |age, _| age.missing = 800.0);
    let none = Effect { raw: 0.0, corrected: 0.0 };
    let of = |phi| Counts { n: 5000.0, m: 10_000.0, x2: 0.0, dof: 1, phi, p: 1.0, alarm_p: 1.0, psi: none };
    let comparison = Comparison {
        values: of(1.0),
        effects: None,
        wasserstein: None,
        ks_p: 1.0,
        missing: of(2.0),
        reference_missing: 0.08,
        current_missing: 0.08,
        reference_bins: Vec::new(),
        current_bins: Vec::new(),
    };
    window.comparisons.insert((0, None), comparison);
    assert_eq!(judge(&mut harness, window).0, "ok");
    let finding = harness.reports("data_quality").pop().unwrap();
    let reference = &finding["checks"][0]["reference"];
    assert_eq!((&reference["share"], &reference["n"]), (&0.08.into(), &2500.0.into()));
}

#[test]
fn a_feature_that_was_nearly_constant_may_be_constant() {
    // 98 % of the rows had this value: it may well be in each of a hundred, and not in each of a thousand.
    check("{}", 110.0, |_, plan| plan.varies = false, &[]);
    check("{}", 1000.0, |_, plan| plan.varies = false, &["plan constant"]);
}

#[test]
fn duplicates_are_an_alarm_past_what_is_allowed_and_the_error_of_their_count() {
    let mut many = window(10_000.0, |_, _| {});
    many.closed.distinct = 6000.0;
    let judged = |settings: &str, window: &Window| {
        let mut harness = harness(settings, profile());
        let judged = judge(&mut harness, window.clone()).1;
        assert_eq!(harness.counter("duplicate_rows", &[]), 10_000.0 - window.closed.distinct);
        judged
    };
    assert!(judged("{}", &many).is_empty());
    assert_eq!(judged(r#"{"max_duplicates": 0.2}"#, &many), ["rows duplicate_rows"]);
    many.closed.distinct = 7900.0;
    assert!(judged(r#"{"max_duplicates": 0.2}"#, &many).is_empty());
}

#[test]
fn columns_too_many_or_too_few_are_alarms() {
    let mut odd = profile();
    let misfit = |name: &str, what| Misfit { role: "input".to_owned(), name: name.to_owned(), what };
    odd.misfits = vec![misfit("zip", MisfitKind::Extra), misfit("plan", MisfitKind::Missing)];
    let mut strict = harness("{}", odd.clone());
    let judged = judge(&mut strict, window(1000.0, |_, _| {}));
    assert_eq!(judged.1, ["zip extra_column", "plan missing_column"]);
    assert!(strict.condition("failed_check", &["extra_column"]).unwrap().0);
    assert!(!strict.condition("failed_check", &["missing"]).unwrap().0);
    let mut lax = harness(r#"{"extra_columns": false, "ignore": ["plan"]}"#, odd);
    assert!(judge(&mut lax, window(1000.0, |_, _| {})).1.is_empty());
}

#[test]
fn checks_and_features_can_be_left_out() {
    let both = |age: &mut FeatureNumbers, plan: &mut FeatureNumbers| {
        (age.above, plan.unseen, plan.other_kind) = (500.0, 500.0, 500.0);
    };
    let two = &["age out_of_range", "plan type"];
    check(r#"{"skip": ["unseen_category"]}"#, 10_000.0, both, two);
    check(r#"{"features": {"plan": {"skip": ["unseen_category"]}}}"#, 10_000.0, both, two);
    check(r#"{"ignore": ["plan"]}"#, 10_000.0, both, &["age out_of_range"]);
}

#[test]
fn a_feature_whose_reference_is_unstable_is_held_to_what_no_reference_decides() {
    let mut unstable = profile();
    unstable.features[0].unstable = true;
    let mut harness = harness("{}", unstable);
    let window = window(10_000.0, |age, _| (age.above, age.infinite, age.missing) = (900.0, 400.0, 900.0));
    assert_eq!(judge(&mut harness, window).1, ["age non_finite"]);
}

#[test]
fn exactly_one_state_holds() {
    let state = |harness: &Harness<DataQuality>| {
        let holds = |it: &&str| harness.gauge("state", &[it]) == Some(1.0);
        let all = ["ok", "bad", "not_enough_data", "incomplete", "no_profile"];
        let holding: Vec<&str> = all.into_iter().filter(holds).collect();
        assert_eq!(holding.len(), 1, "{holding:?}");
        holding[0].to_owned()
    };
    let mut without = Harness::<DataQuality>::new("{}").unwrap();
    without.observe(&Table::rows(1).numbers("input", "age", &[1.0]));
    without.tick();
    assert_eq!(state(&without), "no_profile");

    let mut harness = harness("{}", profile());
    harness.tick();
    assert_eq!(state(&harness), "not_enough_data");
    judge(&mut harness, window(10_000.0, |age, _| age.above = 500.0));
    assert_eq!(state(&harness), "bad");
    judge(&mut harness, window(99.0, |age, _| age.above = 50.0));
    assert_eq!(state(&harness), "not_enough_data");
    let mut half = window(10_000.0, |_, _| {});
    half.closed.observed = 9000.0;
    assert_eq!(judge(&mut harness, half).0, "incomplete");
    assert_eq!(state(&harness), "incomplete");
    assert!(harness.condition("bad_feature", &["age"]).unwrap().0, "nothing says that it is over");
    judge(&mut harness, window(10_000.0, |_, _| {}));
    assert_eq!(state(&harness), "ok");
    assert!(!harness.condition("bad_feature", &["age"]).unwrap().0);
    assert_eq!(harness.looks(), [true, false, false, true]);
}

#[test]
fn more_looks_than_the_budget_is_for_are_skipped_and_counted() {
    let mut harness = harness(r#"{"looks": 30}"#, profile());
    let mut soon = window(10_000.0, |age, _| age.above = 900.0);
    soon.closed.last_look_ns = Some(HOUR);
    assert_eq!(judge(&mut harness, soon), ("skipped".to_owned(), vec![]));
    assert_eq!(harness.counter("looks", &["skipped"]), 1.0);
    assert_eq!(harness.counter("bad_rows", &["age", "out_of_range"]), 900.0);
    assert_eq!(harness.looks(), [false]);
}

#[test]
fn a_look_at_many_features_takes_several_calls() {
    let mut wide = profile();
    wide.features = (0..450).map(|i| feature(&format!("f{i}"), Kind::Number)).collect();
    let mut harness = harness("{}", wide);
    let mut window = window(10_000.0, |_, _| {});
    window.numbers = (0..450).map(|i| ((i, None), fine(10_000.0))).collect();
    if let Some(last) = window.numbers.get_mut(&(449, None)) {
        last.below = 2000.0;
    }
    harness.close(window);
    harness.tick();
    harness.tick();
    assert!(harness.reports("data_quality").is_empty());
    harness.tick();
    let finding = harness.reports("data_quality").pop().unwrap();
    assert_eq!((&finding["bad"], &finding["checks_made"]), (&1.into(), &(450 * 5).into()));
    assert_eq!(finding["checks"][0]["feature"], "f449");
    assert_eq!(harness.condition("bad_feature", &["f449"]), None, "past the limit on features");
}

#[test]
fn models_share_what_one_call_may_look_at() {
    let mut wide = profile();
    wide.features = (0..19).map(|i| feature(&format!("f{i}"), Kind::Number)).collect();
    let mut harness = Harness::<DataQuality>::new("{}").unwrap();
    harness.profile(wide);
    for i in 0..30 {
        harness.observe(&Table::rows(1).model(&format!("m{i}")).numbers("input", "f0", &[1.0]));
    }
    // Each feature that lacks so many rows is compared, so comparisons count features.
    let numbers = FeatureNumbers { missing: 900.0, ..fine(1000.0) };
    let mut window = window(1000.0, |_, _| {});
    window.numbers = (0..19).map(|i| ((i, None), numbers.clone())).collect();
    let none = Effect { raw: 0.0, corrected: 0.0 };
    let counts = Counts { n: 5000.0, m: 1000.0, x2: 0.0, dof: 1, phi: 1.0, p: 1.0, alarm_p: 1.0, psi: none };
    let comparison = Comparison {
        values: counts,
        effects: None,
        wasserstein: None,
        ks_p: 1.0,
        missing: counts,
        reference_missing: 0.9,
        current_missing: 0.9,
        reference_bins: Vec::new(),
        current_bins: Vec::new(),
    };
    window.comparisons = (0..19).map(|i| ((i, None), comparison.clone())).collect();
    // The script has one window for all of the models: it is the next call's again.
    for (calls, findings) in [(1, 7), (2, 14)] {
        harness.close(window.clone());
        harness.tick();
        let features = harness.compared_with().len();
        assert!((100 * calls..=FEATURES * calls).contains(&features), "{features} in {calls} calls");
        assert_eq!(harness.reports("data_quality").len(), findings, "whoever waits goes first");
    }
}

#[test]
fn traffic_is_stale_once_its_last_row_is_too_old_even_over_a_reload() {
    let settings = r#"{"max_age": "10m"}"#;
    let mut first = Harness::<DataQuality>::new(settings).unwrap();
    let table = Table::rows(1).numbers("input", "age", &[1.0]);
    first.set_now(HOUR);
    first.observe(&table);
    first.set_now(HOUR + HOUR / 6);
    first.tick();
    assert!(first.condition("stale", &[]).unwrap().0);
    first.observe(&table);
    first.tick();
    assert_eq!(first.condition("stale", &[]), Some((false, 1.0, 0)));
    let mut second = first.reload(settings).unwrap();
    second.set_now(HOUR + HOUR / 6 + HOUR);
    second.observe(&Table::rows(0).numbers("input", "age", &[]));
    second.tick();
    assert!(second.condition("stale", &[]).unwrap().0);
    assert_eq!(second.gauge("state", &["no_profile"]), None, "the gateway has kept what was said");
}

#[test]
fn a_model_without_verdict_three_windows_in_a_row_is_blind() {
    let mut harness = harness("{}", profile());
    for blind in [false, false, true] {
        judge(&mut harness, window(10.0, |_, _| {}));
        assert_eq!(harness.condition("blind", &[]).unwrap().0, blind);
    }
    judge(&mut harness, window(1000.0, |_, _| {}));
    assert!(!harness.condition("blind", &[]).unwrap().0);
}

#[test]
fn false_alarms_keep_to_the_budget() {
    // Two rows of 200 are expected, where a normal interval would alarm far too often.
    let mut seed = 1_u64;
    let mut uniform = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (looks, level) = (20_000, 1.0 / 720.0);
    let mut alarms = 0;
    for _ in 0..looks {
        let rows = (0..200).filter(|_| uniform() < 0.01).count() as f64;
        let share = check::Share { rows, share: rows / 200.0, n: 200.0, allowed: 0.01, reference: None };
        let evidence = check::Evidence::Share(share);
        let mut found = [check::Found::new(check::Check::OutOfRange, "age", Some(0), evidence)];
        check::decide(&mut found, 1, level);
        alarms += usize::from(found[0].bad);
    }
    assert!((alarms as f64) < looks as f64 * level, "{alarms}");
    assert!(alarms > 0, "and not by never alarming");
}

#[test]
fn settings_that_make_no_sense_are_refused_together() {
    let wrong = r#"{"tolerance": 1, "max_duplicates": -1, "max_age": "0s", "min_observed": 0, "min_rows": 0,
        "max_features": 2000, "skip": ["mising"], "budget": 0,
        "features": {"age": {"missing": 1, "tolerance": -1, "skip": ["x"]}}}"#;
    let faults = Harness::<DataQuality>::new(wrong).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    let general = ["/budget", "/tolerance", "/max_duplicates", "/max_age", "/min_observed", "/min_rows"];
    let rest = ["/max_features", "/skip/0"];
    let of_age = ["/features/age/missing", "/features/age/tolerance", "/features/age/skip/0"];
    assert_eq!(paths, [&general[..], &rest[..], &of_age[..]].concat());
}

#[test]
fn the_more_is_checked_the_more_it_takes_and_what_is_bad_counts_no_more() {
    let bad = |family, p: &[f64]| {
        let chance = |p: &f64| check::Evidence::Chance { rows: 1.0, share: 1.0, p: *p };
        let new = |p| check::Found::new(check::Check::Constant, "age", Some(0), chance(p));
        let mut found: Vec<_> = p.iter().map(new).collect();
        check::decide(&mut found, family, 0.05);
        found.iter().map(|it| it.bad).collect::<Vec<_>>()
    };
    assert_eq!(bad(4, &[0.01]), [true]);
    assert_eq!(bad(10, &[0.01]), [false]);
    assert_eq!(bad(2, &[0.03, 1e-9]), [true, true]);
    assert_eq!(bad(3, &[0.03, 1e-9]), [false, true]);
}

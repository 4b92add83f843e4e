use super::*;
use weir_plugin_sdk::json::Value;
use weir_plugin_sdk::testing::{Harness, Table};

const DAY: u64 = 86_400_000_000_000;
const LOAN: &str = r#"{"group": "sex", "values": ["f", "m"], "positive": "yes"}"#;

fn harness(settings: &str) -> Harness<Fairness> {
    let mut harness = Harness::new(settings).unwrap();
    harness.set_now(10 * DAY);
    harness
}

/// Rows of groups: of each its name, how many rows, and how many of them with the favourable outcome.
fn loans(groups: &[(&str, usize, usize)]) -> Table {
    let rows = groups.iter().flat_map(|(name, n, yes)| (0..*n).map(move |i| (*name, i < *yes)));
    let (names, yes): (Vec<&str>, Vec<bool>) = rows.unzip();
    let outcomes: Vec<&str> = yes.iter().map(|yes| if *yes { "yes" } else { "no" }).collect();
    let table = Table::rows(names.len()).texts(role::INPUT, "sex", &names);
    table.texts(role::OUTPUT, "label", &outcomes)
}

/// Ends the day, and gives what is said of it.
fn end(harness: &mut Harness<Fairness>, day: u64) -> Value {
    harness.set_now(day * DAY + GRACE_NS);
    harness.tick();
    harness.reports("fairness").pop().unwrap_or_default()
}

/// What is said of one day of such rows.
fn judged(settings: &str, groups: &[(&str, usize, usize)]) -> (Harness<Fairness>, Value) {
    let mut harness = harness(settings);
    harness.tick();
    harness.observe(&loans(groups));
    let finding = end(&mut harness, 11);
    (harness, finding)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|it| it["group"].as_str().unwrap()).collect()
}

fn state(harness: &Harness<Fairness>) -> &'static str {
    let holding: Vec<_> =
        STATES.into_iter().filter(|it| harness.gauge("state", &[it]) == Some(1.0)).collect();
    assert_eq!(holding.len(), 1, "{holding:?}");
    holding[0]
}

#[test]
fn groups_that_are_treated_alike_are_no_alarm() {
    let (harness, finding) = judged(LOAN, &[("f", 1000, 305), ("m", 2000, 595)]);
    assert_eq!(finding["verdict"], "ok");
    assert!(!harness.condition("disparity", &["f"]).unwrap().0);
    assert_eq!(state(&harness), "ok");
}

#[test]
fn a_group_that_certainly_differs_by_more_than_is_tolerated_is_a_disparity() {
    let (harness, finding) = judged(LOAN, &[("f", 1000, 200), ("m", 2000, 700)]);
    assert_eq!(finding["verdict"], "disparity");
    let (active, difference, rows) = harness.condition("disparity", &["f"]).unwrap();
    assert!(active && (difference + 0.15).abs() < 1e-9 && rows == 1000);
    assert_eq!(harness.gauge("selection_rate", &["f"]), Some(0.2));
    assert_eq!(harness.gauge("disparate_impact", &["f"]), Some(0.2 / 0.35));
    assert!((harness.gauge("statistical_parity_difference", &["m"]).unwrap() - 0.15).abs() < 1e-9);
    let f = &finding["groups"][0];
    let interval = &f["difference_interval"];
    assert!(interval[0].as_f64() < f["difference"].as_f64() && interval[1].as_f64() < Some(-0.05));
    // Real, and of no weight: four hundredths of very many rows.
    let (_, small) = judged(LOAN, &[("f", 40_000, 12_000), ("m", 40_000, 13_600)]);
    assert_eq!(small["verdict"], "ok");
    let exact = LOAN.replace("\"positive\"", "\"min_difference\": 0, \"positive\"");
    assert_eq!(judged(&exact, &[("f", 40_000, 12_000), ("m", 40_000, 13_600)]).1["verdict"], "disparity");
}

#[test]
fn each_group_is_compared_with_all_other_rows() {
    let three = r#"{"group": "sex", "values": ["a", "b", "c"], "positive": "yes"}"#;
    let (harness, finding) = judged(three, &[("a", 1000, 500), ("b", 1000, 500), ("c", 1000, 200)]);
    assert_eq!(finding["groups"][2]["rest_selection_rate"], 0.5);
    assert_eq!(finding["groups"][0]["rest_n"], 2000.0);
    assert!((harness.gauge("statistical_parity_difference", &["a"]).unwrap() - 0.15).abs() < 1e-9);
}

#[test]
fn groups_with_too_few_rows_are_named_and_not_judged() {
    let (harness, finding) = judged(LOAN, &[("f", 99, 0), ("m", 2000, 700), ("x", 3, 3)]);
    assert_eq!(names(&finding["too_few"]), ["f", "x"]);
    assert_eq!(names(&finding["groups"]), ["m"]);
    assert_eq!(harness.condition("disparity", &["f"]), None);

    let (mut nobody, finding) = judged(LOAN, &[("m", 50, 0)]);
    assert_eq!((&finding["verdict"], state(&nobody)), (&"not_enough_data".into(), "not_enough_data"));
    assert_eq!(finding["too_few"][0]["rows"], 0.0, "a listed group nobody was of");
    end(&mut nobody, 12);
    assert!(!nobody.condition("blind", &[]).unwrap().0);
    end(&mut nobody, 13);
    assert!(nobody.condition("blind", &[]).unwrap().0);
}

#[test]
fn groups_that_are_not_listed_are_judged_and_have_no_series() {
    let one = r#"{"group": "sex", "values": ["f"], "max_groups": 2, "positive": "yes"}"#;
    let (harness, finding) = judged(one, &[("f", 1000, 300), ("m", 1000, 800), ("x", 1000, 100)]);
    assert_eq!(names(&finding["groups"]), ["f", "m"]);
    assert_eq!(finding["groups"][1]["listed"], false);
    assert_eq!(finding["not_told_apart_rows"], 1000.0);
    assert!(harness.condition("disparity", &["other"]).unwrap().0);
    assert_eq!(harness.condition("disparity", &["m"]), None);
    assert_eq!(harness.counter("rows", &["other"]), 2000.0);
    assert_eq!(harness.counter("favourable_rows", &["other"]), 900.0);
    assert_eq!(harness.gauge("selection_rate", &["m"]), None);
}

#[test]
fn groups_and_outcomes_may_be_numbers() {
    let mut harness = harness(r#"{"group": "senior", "values": ["0", "1.0"], "positive": "1"}"#);
    harness.tick();
    let senior: Vec<f64> = (0..1000).map(|i| f64::from(i % 2)).collect();
    let approved: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
    let table = Table::rows(1000).numbers(role::INPUT, "senior", &senior);
    harness.observe(&table.numbers(role::OUTPUT, "approved", &approved));
    assert_eq!(names(&end(&mut harness, 11)["groups"]), ["0", "1.0"]);
    assert_eq!(harness.gauge("selection_rate", &["0"]), Some(0.5));
    assert!(harness.condition("disparity", &["1.0"]).unwrap().0);
}

#[test]
fn a_score_is_favourable_from_its_threshold_on() {
    let settings = r#"{"group": "sex", "values": ["f"], "score": "good", "threshold": 0.7}"#;
    let mut harness = harness(settings);
    let table = Table::rows(4).texts(role::INPUT, "sex", &["f", "f", "f", ""]);
    let table = table.numbers(role::SCORE, "good", &[0.7, 0.69, f64::NAN, 0.9]);
    harness.observe(&table.numbers(role::SCORE, "bad", &[0.3, 0.31, 0.9, 0.1]));
    assert_eq!((harness.counter("rows", &["f"]), harness.counter("favourable_rows", &["f"])), (2.0, 1.0));
    assert_eq!(harness.counter("left_out_rows", &["outcome"]), 1.0);
    assert_eq!(harness.counter("left_out_rows", &["group"]), 1.0);
}

#[test]
fn rows_count_as_many_times_as_they_stand_for_and_know_no_more_than_they_are() {
    let mut harness = harness(LOAN);
    harness.tick();
    let rows = loans(&[("f", 300, 150), ("m", 300, 150)]);
    // The favourable rows of `f` were observed with one half.
    let p: Vec<f32> = (0..600).map(|i| if i < 150 { 0.5 } else { 1.0 }).collect();
    harness.observe(&rows.probabilities(&p));
    let finding = end(&mut harness, 11);
    let f = &finding["groups"][0];
    assert_eq!((&f["rows"], &f["n"]), (&450.0.into(), &270.0.into()));
    assert!((f["selection_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(finding["observed_exchanges"], 750.0);
}

#[test]
fn what_was_not_observed_makes_a_window_incomplete() {
    let mut harness = harness(LOAN);
    harness.tick();
    harness.observe(&loans(&[("f", 1000, 200), ("m", 2000, 700)]).missed(200));
    let finding = end(&mut harness, 11);
    assert_eq!((&finding["verdict"], state(&harness)), (&"incomplete".into(), "incomplete"));
    assert_eq!((&finding["answered_exchanges"], &finding["groups"]), (&3200.0.into(), &Value::Null));
    assert_eq!(harness.condition("disparity", &["f"]), None);
}

#[test]
fn a_window_is_looked_at_once_when_it_has_ended() {
    let mut harness = harness(LOAN);
    harness.observe(&loans(&[("f", 1000, 300), ("m", 2000, 600)]));
    for _ in 0..3 {
        harness.tick();
        assert!(harness.reports("fairness").is_empty());
    }
    harness.set_now(11 * DAY);
    harness.tick();
    assert!(harness.reports("fairness").is_empty(), "a batch may be late");
    (0..3).for_each(|_| harness.tick());
    assert_eq!(harness.reports("fairness").len(), 1);
    // Two days ended while nobody looked, and a third.
    end(&mut harness, 14);
    assert_eq!(harness.reports("fairness").len(), 2);
    assert_eq!(harness.counter("looks", &["dropped"]), 2.0);
}

/// Whenever the plugin comes to look: what came before a window's end is of it, and what came after is not.
#[test]
fn a_row_is_of_the_window_it_came_in() {
    let mut harness = harness(LOAN);
    harness.tick();
    harness.observe(&loans(&[("f", 1000, 300), ("m", 2000, 600)]));
    harness.set_now(11 * DAY);
    harness.observe(&loans(&[("f", 10, 3), ("m", 20, 6)]));
    let first = end(&mut harness, 11);
    assert_eq!((&first["rows"], &first["observed_exchanges"]), (&3000.0.into(), &3000.0.into()));
    assert_eq!(first["window"]["end_unix_ns"], 11 * DAY);
    harness.set_now(11 * DAY - 1);
    harness.observe(&loans(&[("f", 1, 0)]));
    assert_eq!(harness.counter("left_out_rows", &["window"]), 1.0);
    assert_eq!(end(&mut harness, 12)["rows"], 30.0);
    assert_eq!(end(&mut harness, 13)["rows"], 0.0);
}

#[test]
fn more_looks_than_the_budget_is_for_are_skipped_even_over_a_reload() {
    let settings = LOAN.replace("\"positive\"", "\"looks\": 10, \"positive\"");
    let (first, finding) = judged(&settings, &[("f", 1000, 200), ("m", 2000, 700)]);
    assert_eq!(finding["verdict"], "disparity");
    let mut second = first.reload(&settings).unwrap();
    second.set_now(11 * DAY + 1);
    for (day, verdict) in [(12, "skipped"), (13, "skipped"), (14, "disparity")] {
        second.observe(&loans(&[("f", 1000, 200), ("m", 2000, 700)]));
        assert_eq!(end(&mut second, day)["verdict"], verdict);
    }
    assert_eq!(second.counter("looks", &["skipped"]), 2.0);
}

#[test]
fn false_alarms_keep_to_the_level_with_few_rows_and_many_groups() {
    let mut seed = 5_u64;
    let mut uniform = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    // One group in six has rows in plenty; the outcome is rare, where normal intervals are far off.
    for (rate, level) in [(0.01, 0.01), (0.3, 0.02)] {
        let (looks, mut alarms) = (3000, 0);
        for _ in 0..looks {
            let mut draw = |n: u32| {
                let favourable = (0..n).filter(|_| uniform() < rate).count() as f64;
                Rows { weight: f64::from(n), squares: f64::from(n), favourable }
            };
            let mut groups: Vec<Rows> = (0..5).map(|_| draw(100)).collect();
            groups.extend([draw(1000), Rows::default()]);
            alarms += usize::from(judge::judge(&groups, 100.0, (0.0, level)).iter().any(|it| it.disparity));
        }
        assert!(f64::from(alarms as u32) <= f64::from(looks) * level, "{alarms} of {looks} at {rate}");
    }
}

#[test]
fn a_group_or_an_outcome_that_no_row_has_is_named() {
    let mut settings = Settings { group: "sex".into(), positive: "yes".into(), ..Settings::default() };
    let rows = |weight, favourable| Rows { weight, squares: weight, favourable };
    assert_eq!(nothing(&settings, &[rows(9.0, 1.0), rows(0.0, 0.0)]), None);
    let words = "no row has the outcome `yes` (`positive`)";
    assert_eq!(nothing(&settings, &[rows(9.0, 0.0)]).as_deref(), Some(words));
    settings.group = "sexe".to_owned();
    let words = "no row has a `sexe` (`group`) and an outcome";
    assert_eq!(nothing(&settings, &[rows(0.0, 0.0)]).as_deref(), Some(words));
}

#[test]
fn settings_that_make_no_sense_are_refused_together() {
    let wrong = r#"{"values": ["a", "a", "other"], "max_groups": 0, "min_difference": 1,
        "min_rows": 0, "min_observed": 2, "window": "40d", "score": "s", "positive": "p", "output": "o"}"#;
    let faults = Harness::<Fairness>::new(wrong).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    let first = ["/window", "/group", "/positive", "/output", "/max_groups", "/values/1", "/values/2"];
    assert_eq!(paths, [&first[..], &["/min_difference", "/min_rows", "/min_observed"]].concat());
}

#[test]
fn the_more_groups_are_judged_the_larger_a_difference_has_to_be() {
    let rows = |n: f64, favourable: f64| Rows { weight: n, squares: n, favourable };
    let smallest = |others: usize| {
        let alarms = |favourable: &u32| {
            let mut groups = vec![rows(1000.0, f64::from(*favourable))];
            groups.extend(vec![rows(1000.0 * 20.0 / others as f64, 300.0 * 20.0 / others as f64); others]);
            groups.push(Rows::default());
            judge::judge(&groups, 100.0, (0.0, 0.01))[0].disparity
        };
        (300..1000).find(alarms).unwrap()
    };
    assert!(smallest(1) < smallest(20), "{} {}", smallest(1), smallest(20));
}

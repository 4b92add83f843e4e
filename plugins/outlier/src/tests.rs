use super::*;
use weir_plugin_sdk::reference::{Feature, ProfileInfo};
use weir_plugin_sdk::testing::{Harness, Table};

const NAN: f64 = f64::NAN;
const ROWS: f64 = 20_000.0;

fn feature(name: &str, kind: Kind, (min, max): (f64, f64)) -> Feature {
    let (name, role) = (name.to_owned(), "input".to_owned());
    Feature { name, role, kind, min, max, missing: 0.0, bins: 2, phi: 1.0, unstable: false }
}

fn profile(features: Vec<Feature>) -> ProfileInfo {
    let (digest, model, model_version) = ("d1".to_owned(), String::new(), String::new());
    let (segments, misfits) = (Vec::new(), Vec::new());
    ProfileInfo {
        digest,
        model,
        model_version,
        rows: ROWS,
        window_rows: 1000,
        blocks: 0,
        features,
        segments,
        misfits,
    }
}

/// A reference of `age`, even from 0 to 100, and of `plan`, of which one in 200 is rare.
fn harness(settings: &str) -> Harness<Outlier> {
    let mut harness = Harness::new(settings).unwrap();
    let (age, plan) = (feature("age", Kind::Number, (0.0, 100.0)), feature("plan", Kind::Code, (NAN, NAN)));
    harness.profile(profile(vec![age, plan]));
    even(&mut harness, 0);
    harness.bins(1, &[("free", 16_900.0), ("paid", 3000.0), ("other", 100.0)]);
    harness
}

fn even(harness: &mut Harness<Outlier>, at: usize) {
    let edges: Vec<f64> = (1..250).map(|i| f64::from(i) * 0.4).collect();
    harness.edges(at, &edges);
    let names: Vec<String> = (1..10).map(|i| (i * 10).to_string()).chain(["+Inf".to_owned()]).collect();
    let bins: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), ROWS / 10.0)).collect();
    harness.bins(at, &bins);
}

fn ages(values: &[f64]) -> Table {
    Table::rows(values.len()).numbers(role::INPUT, "age", values)
}

fn kept(harness: &Harness<Outlier>) -> Vec<u32> {
    harness.verdicts().iter().filter_map(|(exchange, ..)| *exchange).collect()
}

#[test]
fn rows_at_either_end_and_beyond_are_outliers() {
    let mut harness = harness("{}");
    harness.observe(&ages(&[50.0, 0.1, 99.9, 101.0, -900.0, NAN, f64::INFINITY, 10.0]));
    assert_eq!(kept(&harness), [1, 2, 3, 4, 6]);
    assert_eq!(harness.verdicts()[0], (Some(1), "outlier", 1.0));
    assert_eq!(harness.counter("rows", &["age"]), 5.0);
    assert_eq!(harness.counter("scored_rows", &[]), 7.0, "a row without values says nothing");
    let scores = harness.observed("score", &[]);
    assert!(scores[3] < scores[4] && scores[4] < scores[5], "farther is farther out: {scores:?}");
    assert_eq!(scores[5], rank::HIGHEST);
}

#[test]
fn rare_and_unseen_texts_are_outliers() {
    let mut harness = harness("{}");
    harness.observe(&Table::rows(4).texts(role::INPUT, "plan", &["free", "gold", "paid", ""]));
    assert_eq!(kept(&harness), [1]);
    // Its texts grow.
    harness.observe(&Table::rows(2).texts(role::INPUT, "plan", &["lead", "paid"]));
    assert_eq!(kept(&harness), [0]);
    assert_eq!(harness.counter("rows", &["plan"]), 2.0);
}

#[test]
fn with_more_features_a_value_has_to_lie_farther_out() {
    let mut harness = harness("{}");
    let both = ages(&[0.1, -1.0, 50.0]).texts(role::INPUT, "plan", &["free", "free", "free"]);
    harness.observe(&both);
    assert_eq!(kept(&harness), [1], "one in 125 of either of two is more than one in 100");
}

#[test]
fn an_exchange_is_kept_once_and_with_the_probability_that_is_set() {
    let mut harness = harness(r#"{"probability": 0.5}"#);
    harness.observe(&ages(&[-1.0, -1.0, 50.0, -1.0]).of_exchanges(&[0, 0, 1, 2], 3));
    assert_eq!(harness.verdicts(), [(Some(0), "outlier", 0.5), (Some(2), "outlier", 0.5)]);
}

#[test]
fn without_a_profile_it_says_so_and_does_nothing() {
    let mut without = Harness::<Outlier>::new("{}").unwrap();
    without.observe(&ages(&[1e9]));
    without.tick();
    assert!(without.verdicts().is_empty());
    assert_eq!(without.gauge("state", &["no_profile"]), Some(1.0));
    assert_eq!(without.gauge("state", &["ok"]), Some(0.0));

    let mut with = harness("{}");
    with.observe(&ages(&[1e9]));
    with.tick();
    assert_eq!(with.gauge("state", &["ok"]), Some(1.0));
    assert_eq!(with.gauge("state", &["no_profile"]), Some(0.0));

    let mut other = harness("{}");
    other.observe(&Table::rows(1).numbers(role::INPUT, "pay", &[1e9]));
    other.tick();
    assert_eq!(other.gauge("state", &["no_features"]), Some(1.0));
}

#[test]
fn features_past_the_limit_share_a_series_and_many_are_worked_out_over_several_calls() {
    let mut harness = Harness::<Outlier>::new(r#"{"max_features": 1}"#).unwrap();
    let names: Vec<String> = (0..40).map(|i| format!("f{i}")).collect();
    harness.profile(profile(names.iter().map(|name| feature(name, Kind::Number, (0.0, 100.0))).collect()));
    (0..40).for_each(|at| even(&mut harness, at));
    let table = |value: f64| {
        names.iter().fold(Table::rows(1), |table, name| {
            table.numbers(role::INPUT, name, &[if name == "f39" { value } else { 50.0 }])
        })
    };
    (0..3).for_each(|_| harness.observe(&table(50.0)));
    harness.observe(&table(-1e6));
    assert_eq!(harness.counter("rows", &["other"]), 1.0);
    assert_eq!(harness.observed("rows", &["f0"]), [0.0; 4]);
}

#[test]
fn unstable_and_ignored_features_are_not_looked_at() {
    let mut harness = harness(r#"{"ignore": ["plan"]}"#);
    let mut unstable = feature("age", Kind::Number, (0.0, 100.0));
    unstable.unstable = true;
    harness.profile(profile(vec![unstable, feature("plan", Kind::Code, (NAN, NAN))]));
    harness.observe(&ages(&[1e9]).texts(role::INPUT, "plan", &["gold"]));
    assert!(kept(&harness).is_empty());
}

#[test]
fn settings_that_make_no_sense_are_refused_together() {
    let wrong = r#"{"contamination": 0, "probability": 2, "max_features": 1001}"#;
    let faults = Harness::<Outlier>::new(wrong).unwrap_err();
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["/contamination", "/probability", "/max_features"]);
}

/// Edges, tested bins and range.
type Made = (Vec<f64>, Vec<(String, f64)>, (f64, f64));

/// A reference of any numbers, as `weir profile build` makes one.
fn reference(rows: &mut [f64]) -> Made {
    rows.sort_by(f64::total_cmp);
    let (n, max) = (rows.len(), rows[rows.len() - 1]);
    let quantiles = |steps: usize| {
        let mut edges: Vec<f64> = (1..steps).map(|k| rows[(n * k).div_ceil(steps) - 1]).collect();
        edges.dedup();
        edges.retain(|edge| *edge < max);
        edges
    };
    let deciles = quantiles(10);
    let up_to = |edge: &f64| rows.partition_point(|x| x <= edge) as f64;
    let mut counted = 0.0;
    let mut bins: Vec<(String, f64)> = Vec::new();
    for edge in &deciles {
        bins.push((format!("{edge:.5e}").parse::<f64>().unwrap().to_string(), up_to(edge) - counted));
        counted = up_to(edge);
    }
    bins.push(("+Inf".to_owned(), n as f64 - counted));
    (quantiles(250), bins, (rows[0], max))
}

struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

/// The share of rows like the reference that are outliers.
fn share_of_outliers(features: &[fn(f64) -> f64], contamination: f64) -> f64 {
    let mut random = Random(7);
    let mut harness = Harness::<Outlier>::new(&format!(r#"{{"contamination": {contamination}}}"#)).unwrap();
    let made: Vec<_> = features
        .iter()
        .map(|of| reference(&mut (0..20_000).map(|_| of(random.uniform())).collect::<Vec<_>>()))
        .collect();
    let named = made.iter().enumerate();
    let named = named.map(|(at, (_, _, range))| feature(&format!("f{at}"), Kind::Number, *range));
    harness.profile(profile(named.collect()));
    for (at, (edges, bins, _)) in made.iter().enumerate() {
        harness.edges(at, edges);
        harness.bins(at, &bins.iter().map(|(name, rows)| (name.as_str(), *rows)).collect::<Vec<_>>());
    }
    let rows = 50_000;
    let table = features.iter().enumerate().fold(Table::rows(rows), |table, (at, of)| {
        let values: Vec<f64> = (0..rows).map(|_| of(random.uniform())).collect();
        table.numbers(role::INPUT, &format!("f{at}"), &values)
    });
    harness.observe(&table);
    kept(&harness).len() as f64 / rows as f64
}

#[test]
fn of_rows_like_the_reference_no_more_are_outliers_than_is_set() {
    let even = |u: f64| u;
    let long_tail = |u: f64| -u.ln();
    let mostly_zero = |u: f64| if u < 0.6 { 0.0 } else { u };
    let few_values = |u: f64| (u * 5.0).floor();
    let low_end = |u: f64| if u > 0.3 { 1.0 } else { u };
    let all: [fn(f64) -> f64; 5] = [even, long_tail, mostly_zero, few_values, low_end];
    // A reference of 20,000 rows knows its 250th part to a tenth.
    let slack = 1.15;
    for contamination in [0.01, 0.02, 0.1] {
        for one in all {
            let share = share_of_outliers(&[one], contamination);
            assert!(share <= slack * contamination, "{share} of {contamination}");
        }
        let share = share_of_outliers(&all, contamination);
        assert!(share <= slack * contamination, "{share} of {contamination} with five features");
    }
    // And it finds them: the ends that are seen, the other end of what is mostly one value included.
    assert!(share_of_outliers(&[even], 0.02) > 0.012);
    assert!(share_of_outliers(&[mostly_zero], 0.02) > 0.006);
    assert!(share_of_outliers(&[low_end], 0.02) > 0.006);
}

/// `cargo test --release -p outlier -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_a_value_costs() {
    let mut random = Random(3);
    let mut rows: Vec<f64> = (0..20_000).map(|_| random.uniform()).collect();
    let (edges, bins, range) = reference(&mut rows);
    let ranks = rank::Ranks::new(&feature("f", Kind::Number, range), edges, &bins, (ROWS, 12));
    let values: Vec<f64> = (0..16_384).map(|_| random.uniform()).collect();
    let (mut best, mut sum) = (f64::INFINITY, 0.0);
    for _ in 0..100 {
        let began = std::time::Instant::now();
        values.iter().for_each(|x| sum += ranks.score(*x));
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!("{:.1} ns a value ({sum})", best * 1e9 / values.len() as f64);
}

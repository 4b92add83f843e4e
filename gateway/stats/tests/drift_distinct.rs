//! How many distinct rows came, and hashes of rows.

use std::collections::HashSet;

use fastrand::Rng;
use weir_stats::drift::{Distinct, MAX_HASHES, RowHash};

fn hashes(from: u64, to: u64) -> impl Iterator<Item = u64> {
    (from..to).map(|i| RowHash::default().number(i as f64).finish())
}

fn of(hashes: impl Iterator<Item = u64>) -> Distinct {
    let mut distinct = Distinct::default();
    hashes.for_each(|hash| distinct.push(hash));
    distinct
}

#[test]
fn few_distinct_hashes_are_counted_exactly_however_often_they_come() {
    let mut distinct = Distinct::default();
    for _ in 0..3 {
        hashes(0, MAX_HASHES as u64).for_each(|hash| distinct.push(hash));
    }
    assert_eq!(distinct.estimate(), MAX_HASHES as f64);
    assert_eq!(distinct.factor(3.0 * MAX_HASHES as f64), 1.0 / 3.0);
    assert_eq!((Distinct::default().estimate(), Distinct::default().factor(0.0)), (0.0, 1.0));
    let zero = of([0, 0, 5].into_iter());
    assert_eq!((zero.estimate(), zero.factor(1.0)), (2.0, 1.0));
}

/// Forty estimates of 100,000: their spread is the stated 1.3 %, whose own error of forty is a ninth of it.
#[test]
fn many_are_estimated_without_bias_within_the_stated_error() {
    let n = 100_000;
    let ratio = |i: u64| of(hashes(i * n, (i + 1) * n)).estimate() / n as f64 - 1.0;
    let errors: Vec<f64> = (0..40).map(ratio).collect();
    let mean = errors.iter().sum::<f64>() / 40.0;
    let spread = (errors.iter().map(|error| error * error).sum::<f64>() / 40.0).sqrt();
    println!("mean {mean}, spread {spread}");
    assert!(mean.abs() < 3.3 * 0.0133 / 40_f64.sqrt() && (0.008..0.0185).contains(&spread));
}

#[test]
fn memory_is_bounded() {
    let distinct = of(hashes(0, 300_000));
    assert!(distinct.bytes() <= 128 * 1024 + 64, "{}", distinct.bytes());
    assert!(of(hashes(0, 20)).bytes() < 1024);
}

#[test]
fn replicas_merge_in_any_order_to_what_one_would_have() {
    let whole = of(hashes(0, 60_000));
    let (a, b, c) = (of(hashes(0, 30_000)), of(hashes(20_000, 60_000)), of(hashes(100, 200)));
    let merged = |parts: [&Distinct; 3]| {
        let mut sum = Distinct::default();
        parts.iter().for_each(|part| sum.merge(part));
        sum
    };
    assert_eq!(merged([&a, &b, &c]), whole);
    assert_eq!(merged([&c, &b, &a]), whole);
}

#[test]
fn what_is_stored_goes_on_and_nonsense_is_refused() {
    let mut distinct = of(hashes(0, 20_000));
    let text = serde_json::to_string(&distinct).unwrap();
    let mut stored: Distinct = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, distinct);
    hashes(20_000, 50_000).for_each(|hash| stored.push(hash));
    hashes(20_000, 50_000).for_each(|hash| distinct.push(hash));
    assert_eq!(stored, distinct);
    for nonsense in [
        r#"{"depth":64,"hashes":[]}"#,
        r#"{"depth":0,"hashes":[0]}"#,
        r#"{"depth":0,"hashes":[2,1]}"#,
        r#"{"depth":2,"hashes":[18446744073709551615]}"#,
    ] {
        assert!(serde_json::from_str::<Distinct>(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn equal_rows_have_equal_hashes_and_others_do_not() {
    let row = |x: f64, y: f64| RowHash::default().number(x).number(y).text(7).missing().finish();
    assert_eq!(row(0.0, 1.0), row(-0.0, 1.0));
    assert_eq!(row(f64::NAN, 1.0), row(-f64::NAN, 1.0));
    assert_ne!(row(1.0, 2.0), row(2.0, 1.0));
    let new = RowHash::default;
    let (number, text) = (new().number(1.5).finish(), new().text(1.5_f64.to_bits()).finish());
    let all = [number, text, new().missing().finish(), new().number(0.0).finish(), new().text(0).finish()];
    assert_eq!(HashSet::from(all).len(), all.len());
    assert_eq!(new().number(f64::NAN).finish(), new().missing().finish());
    let grid = (0..300).flat_map(|x| (0..300).map(move |y| (f64::from(x), f64::from(y))));
    assert_eq!(grid.map(|(x, y)| row(x, y)).collect::<HashSet<_>>().len(), 90_000, "no two alike");
}

/// Flipping one bit of a value flips each bit of the hash half of the time.
#[test]
fn every_bit_of_a_value_reaches_every_bit_of_the_hash() {
    let mut rng = Rng::with_seed(1);
    let mut flips = [0_u32; 64];
    for i in 0..64_000 {
        let (x, y) = (rng.u64(..), rng.u64(..));
        let changed = RowHash::default().text(x ^ 1 << (i % 64)).text(y).finish();
        let difference = RowHash::default().text(x).text(y).finish() ^ changed;
        flips.iter_mut().enumerate().for_each(|(bit, sum)| *sum += (difference >> bit & 1) as u32);
    }
    // Of 64,000 tosses the standard deviation is 126.
    assert!(flips.iter().all(|sum| sum.abs_diff(32_000) < 600), "{flips:?}");
}

//! Tests of the rates, by traffic that is steady, grows, stops or has too many keys.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// One interval of traffic, evenly spread; returns how many items each key is expected to keep.
fn interval(rates: &mut Rates<usize>, number: u64, counts: &[u64]) -> Vec<f64> {
    let mut kept = vec![0.0; counts.len()];
    for (key, count) in counts.iter().enumerate() {
        for i in 0..*count {
            // All at the start of the interval but for one ns each, so that keys do not straddle it.
            kept[key] += rates.count(number * 15 * SECOND + i, &key);
        }
    }
    kept
}

#[test]
fn steady_traffic_meets_the_goal_and_every_key_its_share() {
    let cases: [(f64, &[u64]); 4] =
        [(20.0, &[6000, 900, 60, 6]), (2.0, &[3000, 3000, 30]), (50.0, &[20_000]), (1.0, &[3, 900, 1, 2])];
    for (goal, counts) in cases {
        let mut rates = Rates::new(RatesShape::with_goal(goal));
        (0..10).for_each(|number| drop(interval(&mut rates, number, counts)));
        let kept = interval(&mut rates, 10, counts);
        let total: f64 = kept.iter().sum();
        assert!((total / (15.0 * goal) - 1.0).abs() < 0.1, "goal {goal}: kept {total} of {counts:?}");
        let logarithms: f64 = counts.iter().map(|count| (*count as f64).log10()).sum();
        for (count, kept) in counts.iter().zip(&kept) {
            let promised = 15.0 * goal * (*count as f64).log10() / logarithms;
            let floor = promised.min(*count as f64).max(1.0);
            // Averages have come within one part in 2^10.
            assert!(*kept >= floor * 0.98 || goal == 1.0 && *kept >= 1.0, "{kept} of {count}, not {floor}");
        }
    }
}

#[test]
fn traffic_below_the_goal_is_kept_whole() {
    let mut rates = Rates::new(RatesShape::with_goal(100.0));
    for number in 0..6 {
        assert_eq!(interval(&mut rates, number, &[700, 300, 1]), [700.0, 300.0, 1.0]);
    }
}

#[test]
fn a_new_key_is_kept_whole_until_the_next_adjustment() {
    let mut rates = Rates::new(RatesShape::with_goal(1.0));
    assert_eq!(interval(&mut rates, 0, &[100]), [100.0]);
    assert!(rates.count(15 * SECOND, &0) < 1.0);
    assert_eq!(rates.probability(&1), 1.0);
    assert_eq!(rates.count(16 * SECOND, &1), 1.0);
}

#[test]
fn a_burst_is_met_within_its_interval_once_the_delay_is_over() {
    for (after, met) in [(2, false), (3, true)] {
        let mut rates = Rates::new(RatesShape::with_goal(2.0));
        (0..after).for_each(|number| drop(interval(&mut rates, number, &[1000])));
        rates.count(after * 15 * SECOND, &0);
        let before = rates.probability(&0);
        interval(&mut rates, after, &[5000]);
        assert_eq!(rates.probability(&0) < before, met, "after {after} intervals");
    }
}

#[test]
fn a_gap_changes_no_rate_but_a_key_without_traffic_is_forgotten() {
    let mut rates = Rates::new(RatesShape::with_goal(2.0));
    (0..6).for_each(|number| drop(interval(&mut rates, number, &[1000, 8])));
    rates.count(6 * 15 * SECOND, &0);
    let before = rates.probability(&0);
    rates.count(100 * 15 * SECOND - 1, &0);
    assert!((rates.probability(&0) / before - 2.0).abs() < 0.5, "one interval with one item, not ninety");
    for number in 100..110 {
        rates.count(number * 15 * SECOND, &0);
    }
    assert_eq!(rates.keys(), 1);
    assert_eq!(rates.probability(&1), 1.0, "it is new again");
}

#[test]
fn keys_beyond_the_limit_share_one_rate() {
    let mut rates = Rates::new(RatesShape { max_keys: 2, ..RatesShape::with_goal(1.0) });
    (0..8).for_each(|number| drop(interval(&mut rates, number, &[200, 200, 200, 200, 200])));
    rates.count(8 * 15 * SECOND, &0);
    assert_eq!(rates.keys(), 2);
    let shared = rates.probability(&2);
    assert!(
        shared < rates.probability(&0) && shared == rates.probability(&4) && shared == rates.probability(&77)
    );
}

#[test]
fn probabilities_stay_probabilities_whatever_the_shape() {
    let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut odd = || random.choice(odd).unwrap();
        let (goal_per_second, weight, burst_multiple) = (odd(), odd(), odd());
        let shape = RatesShape {
            goal_per_second,
            weight,
            burst_multiple,
            interval_ns: random.u64(..3),
            burst_delay: random.u64(..3),
            max_keys: random.usize(..3),
        };
        let mut rates = Rates::new(shape);
        for _ in 0..200 {
            let p = rates.count(random.u64(..100), &random.u8(..5));
            assert!(p > 0.0 && p <= 1.0, "{p} of {shape:?}");
        }
        let end = rates.count(u64::MAX, &0);
        assert!(end > 0.0 && end <= 1.0);
    }
}

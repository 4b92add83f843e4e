//! Whether the tests of drift keep their level, and their effects their mean, counted out with seeded rows.

use fastrand::Rng;
use weir_stats::drift::{
    Bins, Groups, effects, holm, kolmogorov_smirnov, pearson, phi, smallest_psi, wasserstein,
};

const FEATURES: usize = 3;

/// Alarms of `looks` that a level explains: within 3.3 standard deviations, one in a thousand is outside.
fn check(alarms: u32, looks: u32, level: f64) {
    check_between(alarms, looks, level, level);
}

/// The same of a level known to lie between two.
fn check_between(alarms: u32, looks: u32, lowest: f64, level: f64) {
    let reach = |level: f64| 3.3 * (f64::from(looks) * level * (1.0 - level)).sqrt();
    let from = f64::from(looks) * lowest - reach(lowest);
    let to = f64::from(looks) * level + reach(level);
    println!("{alarms} of {looks} looks alarmed, {from} to {to} expected");
    assert!((from..=to).contains(&f64::from(alarms)), "{alarms} alarms, not {from} to {to}");
}

fn exponential(rng: &mut Rng, rows: usize) -> Vec<f64> {
    (0..rows).map(|_| -(1.0 - rng.f64()).ln()).collect()
}

/// The p-value of m new rows against n, with all that a profile does: bins of the rows, groups of the window.
fn p_without_drift(rng: &mut Rng, n: usize, m: usize) -> f64 {
    let reference = exponential(rng, n);
    let bins = Bins::of(&reference).expect("rows");
    let counts = bins.count(&reference).bins;
    let groups = bins.deciles().merge_neighbours(&counts, m as u64);
    let current = bins.count(&exponential(rng, m)).bins;
    pearson(&groups.sum(&counts), &groups.sum(&current), 1.0).expect("a table").p
}

fn alarms(n: usize, m: usize, looks: u32, seed: u64) -> u32 {
    let mut rng = Rng::with_seed(seed);
    let alarm = |_: &u32| {
        let p: Vec<f64> = (0..FEATURES).map(|_| p_without_drift(&mut rng, n, m)).collect();
        holm(&p).iter().any(|p| *p <= 0.05)
    };
    (0..looks).filter(alarm).count() as u32
}

fn level_holds(n: usize, m: usize, looks: u32, seed: u64) {
    check(alarms(n, m, looks, seed), looks, 0.05);
}

/// X2 of so small a table has a lighter tail than chi-squared: at 0.01 it alarms in 0.0076 of looks,
/// or in 0.0082 with bins that are not the rows' own (60,000 draws in numpy). It errs to the quiet side.
#[test]
fn a_hundred_rows_against_a_hundred_alarm_no_more_than_the_level() {
    check_between(alarms(100, 100, 2000, 1), 2000, 0.025, 0.05);
}

#[test]
fn the_level_holds_for_a_thousand_rows_against_a_thousand() {
    level_holds(1000, 1000, 600, 2);
}

#[test]
fn the_level_holds_for_five_thousand_rows_against_fifty() {
    level_holds(5000, 50, 400, 3);
}

#[test]
fn the_level_holds_for_merged_bins() {
    level_holds(5000, 30, 400, 4);
}

/// Counts of ten equal bins of rows that come four alike, as those of a session do.
fn sessions(rng: &mut Rng, rows: usize) -> Vec<f64> {
    let mut counts = vec![0.0; 10];
    (0..rows / 4).for_each(|_| counts[rng.usize(..10)] += 4.0);
    counts
}

/// p-values of 20 windows of sessions against a reference of 100 such blocks, without phi and with it.
fn looks_at_sessions(rng: &mut Rng) -> Vec<(f64, f64)> {
    let blocks: Vec<Vec<f64>> = (0..100).map(|_| sessions(rng, 1000)).collect();
    let phi = phi(&blocks);
    assert!((phi - 4.0).abs() < 0.8, "{phi}");
    let whole: Vec<f64> = (0..10).map(|bin| blocks.iter().map(|block| block[bin]).sum()).collect();
    let mut look = || {
        let current = sessions(rng, 1000);
        [1.0, phi].map(|phi| pearson(&whole, &current, phi).expect("a table").p).into()
    };
    (0..20).map(|_| look()).collect()
}

#[test]
fn rows_that_are_alike_need_phi() {
    let mut rng = Rng::with_seed(5);
    let looks: Vec<(f64, f64)> = (0..100).flat_map(|_| looks_at_sessions(&mut rng)).collect();
    let alarmed = |p: fn(&(f64, f64)) -> f64| looks.iter().filter(|look| p(look) <= 0.05).count() as u32;
    let without = alarmed(|look| look.0);
    assert!(without > 1200, "without phi most looks alarm: {without} of 2000");
    check(alarmed(|look| look.1), 2000, 0.05);
}

/// Counts of ten bins, the first with `first` and the others alike.
fn draw(rng: &mut Rng, rows: usize, first: f64) -> Vec<f64> {
    let mut counts = vec![0.0; 10];
    for _ in 0..rows {
        counts[if rng.f64() < first { 0 } else { 1 + rng.usize(..9) }] += 1.0;
    }
    counts
}

#[test]
fn the_null_means_are_what_chance_shows() {
    let mut rng = Rng::with_seed(6);
    for (n, m) in [(1000, 1000), (5000, 500)] {
        let mut sums = [[0.0; 2]; 5];
        for _ in 0..1000 {
            let (a, b) = (draw(&mut rng, n, 0.1), draw(&mut rng, m, 0.1));
            let e = effects(&a, &b, 1.0).unwrap();
            // What is subtracted, from a drift large enough not to be cut at 0, and what chance showed.
            let squares =
                [e.psi.raw, e.js.raw.powi(2), e.hellinger.raw.powi(2), e.total_variation.raw, e.ks.raw];
            let v = 1.0 / n as f64 + 1.0 / m as f64;
            let tv = 10.0 * (0.09 * v / std::f64::consts::TAU).sqrt();
            let chance = [9.0 * v, 9.0 * v / (8.0 * 2_f64.ln()), 9.0 * v / 8.0, tv, 0.8687 * v.sqrt()];
            sums.iter_mut().zip(squares.iter().zip(chance)).for_each(|(sum, (raw, chance))| {
                *sum = [sum[0] + raw, sum[1] + chance];
            });
        }
        let ratios = sums.map(|[raw, chance]| raw / chance);
        println!("{n} against {m}: {ratios:?}");
        assert!(ratios[..4].iter().all(|ratio| (ratio - 1.0).abs() < 0.05), "{ratios:?}");
        assert!((0.7..1.0).contains(&ratios[4]), "bins keep D below Kolmogorov's mean: {ratios:?}");
    }
}

#[test]
fn the_null_mean_of_the_distance_in_units_is_what_chance_shows() {
    let mut rng = Rng::with_seed(8);
    let points: Vec<f64> = (0..10).map(|i| f64::from(i * i)).collect();
    let (mut raw, mut chance) = (0.0, 0.0);
    for _ in 0..1000 {
        let (a, b) = (draw(&mut rng, 1000, 0.1), draw(&mut rng, 1000, 0.1));
        raw += wasserstein(&points, &a, &b, 1.0).unwrap().raw;
        let h = |i: i32| f64::from(i) / 10.0;
        chance += (1..10)
            .map(|i| f64::from(2 * i - 1) * (2.0 * h(i) * (1.0 - h(i)) * 0.002 / std::f64::consts::PI).sqrt())
            .sum::<f64>();
    }
    println!("W1 {}", raw / chance);
    assert!((raw / chance - 1.0).abs() < 0.05, "{raw} of {chance}");
    // A tenth moved from the first point to the last, at 81: 8.1, less chance.
    let (a, mut b) = ([1e5; 10], [1e5; 10]);
    (b[0], b[9]) = (0.0, 2e5);
    let moved = wasserstein(&points, &a, &b, 1.0).unwrap();
    assert!(
        (moved.raw - 8.1).abs() < 1e-3 && (0.01..0.2).contains(&(moved.raw - moved.corrected)),
        "{moved:?}"
    );
}

/// Alarms of KS at 0.05 in 2000 looks at ten bins: fewer than the 100 of a test without ties.
#[test]
fn the_p_value_of_ks_is_an_upper_bound_with_ties() {
    let mut rng = Rng::with_seed(9);
    let mut p = || {
        let (a, b) = (draw(&mut rng, 300, 0.1), draw(&mut rng, 300, 0.1));
        kolmogorov_smirnov(&a, &b, 1.0).unwrap().p
    };
    check_between((0..2000).filter(|_| p() <= 0.05).count() as u32, 2000, 0.01, 0.05);
    let (a, b) = ([60.0, 40.0], [40.0, 60.0]);
    let (plain, wide) = (kolmogorov_smirnov(&a, &b, 1.0), kolmogorov_smirnov(&a, &b, 4.0));
    assert!(plain.unwrap().p < 0.04 && wide.unwrap().p > 0.5, "{plain:?} {wide:?}");
}

#[test]
fn a_large_change_is_left_with_what_was_not_chance() {
    let (a, b) = ([500.0, 500.0], [700.0, 300.0]);
    let e = effects(&a, &b, 1.0).unwrap();
    assert!((e.psi.raw - e.psi.corrected - 0.002).abs() < 1e-12);
    assert!((e.js.raw.powi(2) - e.js.corrected.powi(2) - 0.002 / (8.0 * 2_f64.ln())).abs() < 1e-12);
    let wide = effects(&a, &b, 3.0).unwrap();
    assert!((wide.psi.raw - wide.psi.corrected - 0.006).abs() < 1e-12);
    assert_eq!(effects(&a, &a, 1.0).unwrap().psi.corrected, 0.0);
}

#[test]
fn the_smallest_visible_change_is_seen_in_four_of_five_looks() {
    let mut rng = Rng::with_seed(7);
    let (rows, level) = (2000, 0.01);
    let psi = smallest_psi(2000.0, 2000.0, level, 9, 1.0);
    // The first bin's share whose PSI against a tenth is just this, by bisection.
    let psi_of = |q: f64| (q - 0.1) * (q / 0.1).ln() + (0.1 - q) * ((1.0 - q) / 0.9).ln();
    let (mut low, mut high) = (0.1, 0.5);
    for _ in 0..60 {
        let middle: f64 = (low + high) / 2.0;
        if psi_of(middle) < psi { low = middle } else { high = middle }
    }
    let seen = |_: &u32| {
        let (a, b) = (draw(&mut rng, rows, 0.1), draw(&mut rng, rows, low));
        pearson(&a, &b, 1.0).unwrap().p <= level
    };
    let share = (0..1000).filter(seen).count() as f64 / 1000.0;
    println!("PSI {psi} seen in {share}");
    assert!((0.75..0.86).contains(&share), "{share}");
}

#[test]
fn groups_of_thirty_rows_are_fewer_than_deciles() {
    let each = Groups::new((0..10).collect());
    assert_eq!(each.merge_neighbours(&[500.0; 10], 30).len(), 5);
}

//! Looks at features: what is compared, what alarms, and that alarms hold their level far out.

use weir_stats::drift::{
    Comparison, Dispersion, Groups, Hypothesis, MissingDispersion, Presence, Profile, Sample, chi2_sf,
    compare, effects, f_sf, fisher_exact, is_hypothesis, judge, judge_comparisons, kolmogorov_smirnov,
    missing, pearson, phi, significance, smallest_psi, smallest_psi_of,
};

fn sample(counts: &[f64], missing: f64) -> Sample<'_> {
    Sample { counts, missing, factor: 1.0 }
}

fn profile<'a>(reference: Sample<'a>, groups: &'a Groups) -> Profile<'a> {
    let none = Dispersion::none();
    let missing_dispersion = MissingDispersion::none();
    Profile { reference, groups, dispersion: none, missing_dispersion, points: None }
}

/// Calls with each way to write `m` as a falling sum of `bins` numbers.
fn partitions(m: u64, bins: usize, most: u64, parts: &mut Vec<f64>, each: &mut impl FnMut(&[f64])) {
    if bins == 0 {
        each(parts);
        return;
    }
    for part in m.div_ceil(bins as u64)..=most.min(m) {
        if bins == 1 && part != m {
            continue;
        }
        parts.push(part as f64);
        partitions(m - part, bins - 1, part, parts, each);
        parts.pop();
    }
}

fn ln_factorial(k: u64) -> f64 {
    (2..=k).map(|i| (i as f64).ln()).sum()
}

/// The probability of 50 rows in ten equal bins, in any order: multinomial, times the orders.
fn probability(parts: &[f64]) -> f64 {
    let mut ln = ln_factorial(50) - 50.0 * 10_f64.ln() + ln_factorial(10);
    let mut alike = [0_u64; 51];
    for part in parts {
        ln -= ln_factorial(*part as u64);
        alike[*part as usize] += 1;
    }
    (ln - alike.iter().map(|k| ln_factorial(*k)).sum::<f64>()).exp()
}

#[test]
fn fifty_rows_pass_the_level_of_alarms_less_often_than_it_says_and_that_of_x2_more_often() {
    let reference = [500.0; 10];
    let (mut all, mut alarms, mut x2) = (0.0, [0.0; 3], [0.0; 3]);
    let levels = [1e-2, 1e-4, 1e-6];
    partitions(50, 10, 50, &mut Vec::new(), &mut |parts| {
        let chance = probability(parts);
        all += chance;
        let p = significance(&reference, parts, &Dispersion::none()).unwrap().p;
        let plain = pearson(&reference, parts, 1.0).unwrap().p;
        for (i, level) in levels.into_iter().enumerate() {
            alarms[i] += if p <= level { chance / level } else { 0.0 };
            x2[i] += if plain <= level { chance / level } else { 0.0 };
        }
    });
    println!("alarms {alarms:?}, X2 {x2:?} times the level");
    assert!((all - 1.0).abs() < 1e-9, "all outcomes are there: {all}");
    assert!(alarms.iter().all(|ratio| (0.3..1.0).contains(ratio)), "{alarms:?}");
    assert!(x2[1] > 1.2 && x2[2] > 3.0, "{x2:?}");
}

#[test]
fn blocks_of_one_cause_are_judged_by_t_and_those_of_many_by_more() {
    let plain = Dispersion::of(&[vec![20.0, 80.0], vec![80.0, 20.0], vec![50.0, 50.0]]);
    let (d1, d2) = plain.dof.unwrap();
    assert!((d1 - 1.0).abs() < 1e-9 && d2 == 2.0, "two bins have one eigenvalue: {d1}, {d2}");
    assert_eq!(plain.tail(72.0, 1), f_sf(72.0 / plain.phi, 1.0, 2.0));
    // Four blocks that differ in every direction of three degrees of freedom alike.
    let mut blocks = vec![vec![100.0; 4]; 4];
    (0..4).for_each(|i| blocks[i][i] += 20.0);
    let (d1, d2) = Dispersion::of(&blocks).dof.unwrap();
    assert!((2.9..=3.0).contains(&d1) && d2 == 3.0, "{d1} {d2}");
    // All that differs is along one line.
    let line = |t: f64| vec![100.0 - 30.0 * t, 100.0 - 10.0 * t, 100.0 + 10.0 * t, 100.0 + 30.0 * t];
    let blocks: Vec<Vec<f64>> = [-1.0, 0.5, 1.0, -0.5].map(line).into();
    let one = Dispersion::of(&blocks);
    assert!((1.0..1.01).contains(&one.dof.unwrap().0) && one.phi == phi(&blocks), "{one:?}");
    assert_eq!(Dispersion::of(&[vec![1.0, 2.0]]), Dispersion::none());
    assert_eq!(Dispersion::none().tail(5.0, 2), chi2_sf(5.0, 2));
}

#[test]
fn a_phi_of_few_blocks_hides_more() {
    let psi = |dispersion| smallest_psi_of((5000.0, 500.0), 1e-4, 9, &dispersion);
    let none = psi(Dispersion::none());
    assert!((none / smallest_psi(5000.0, 500.0, 1e-4, 9, 1.0) - 1.0).abs() < 1e-9);
    let known = |phi, d1, d2| psi(Dispersion { phi, dof: Some((d1, d2)) });
    assert!((known(2.0, 9.0, 1e9) / none / 2.0 - 1.0).abs() < 1e-3, "phi of endless blocks");
    assert!(known(2.0, 1.5, 29.0) > known(2.0, 9.0, 29.0) && known(2.0, 9.0, 29.0) > 2.1 * none);
    let few = Dispersion { phi: 2.0, dof: Some((1.5, 29.0)) };
    assert!((few.tail(few.critical(1e-6, 9), 9) / 1e-6 - 1.0).abs() < 1e-6);
    assert!(few.critical(0.0, 9).is_infinite() && few.critical(0.5, 0).is_infinite());
}

#[test]
fn one_missing_row_is_nothing_and_three_are_something_where_none_ever_was() {
    let none = Presence { missing: 0.0, present: 5000.0 };
    let now = |missing: f64| Presence { missing, present: 50.0 - missing };
    let p = |missing_rows| missing(&none, &now(missing_rows), &MissingDispersion::none()).unwrap().p;
    assert!((p(1.0) - 50.0 / 5050.0).abs() < 1e-12, "any of 5050 rows is as likely");
    assert!(p(3.0) < 1e-6 && p(2.0) > 9e-5);
    assert!(
        !is_hypothesis(&none, &now(0.0)) && missing(&none, &now(0.0), &MissingDispersion::none()).is_none()
    );
    let all = Presence { missing: 10.0, present: 0.0 };
    assert!(!is_hypothesis(&all, &all) && is_hypothesis(&all, &none) && is_hypothesis(&none, &now(1.0)));
    assert!(!is_hypothesis(&Presence::default(), &now(1.0)), "no reference");
}

#[test]
fn what_goes_missing_together_is_one_event() {
    let (before, now) =
        (Presence { missing: 100.0, present: 9900.0 }, Presence { missing: 40.0, present: 960.0 });
    let by_block = |phi, dof| MissingDispersion { dispersion: Dispersion { phi, dof }, logits: None };
    let of = |phi, dof| missing(&before, &now, &by_block(phi, dof)).unwrap().p;
    assert_eq!(of(4.0, None), fisher_exact((25.0, 2500.0), (10.0, 250.0)));
    // 100 / 3 is more than 33, and 40 / 3 less than 14: nearer to each other.
    assert_eq!(of(3.0, None), fisher_exact((34.0, 3333.0), (13.0, 334.0)));
    let x2 = pearson(&[100.0, 9900.0], &[40.0, 960.0], 1.0).unwrap().x2;
    assert_eq!(of(4.0, Some((1.0, 5.0))), f_sf(x2 / 4.0, 1.0, 5.0), "phi is not known well");
    assert_eq!(of(4.0, Some((1.0, 500.0))), of(4.0, None), "phi is known, and the event rare");
    let fewer = missing(&now, &before, &by_block(3.0, None)).unwrap();
    assert_eq!(fewer.p, fisher_exact((13.0, 334.0), (34.0, 3333.0)), "both ways");
}

#[test]
fn a_share_that_blocks_reach_by_a_factor_is_no_change() {
    let block = |missing: f64| Presence { missing, present: 500.0 - missing };
    let blocks: Vec<Presence> = [3.0, 6.0, 12.0, 24.0, 6.0, 12.0, 3.0, 24.0].map(block).into();
    let by_block = MissingDispersion::of(&blocks);
    let reference = Presence { missing: 90.0, present: 3910.0 };
    let p = |by_block| missing(&reference, &block(60.0), &by_block).unwrap().p;
    let logits = by_block.logits.unwrap();
    let x = (60.5_f64 / 440.5).ln();
    let t2 = (x - logits.mean).powi(2) / (logits.sd.powi(2) * 9.0 / 8.0);
    assert_eq!((p(by_block), logits.blocks), (f_sf(t2, 1.0, 7.0), 8.0));
    assert!(p(MissingDispersion { logits: None, ..by_block }) < p(by_block) / 3.0);
    assert_eq!(MissingDispersion::of(&[block(0.0), block(0.0)]), MissingDispersion::none());
}

#[test]
fn a_look_is_what_its_parts_say_of_groups_and_fine_bins() {
    let (before, now) = ([50.0, 50.0, 30.0, 70.0], [15.0, 5.0, 10.0, 10.0]);
    let (groups, points) = (Groups::new(vec![0, 0, 1, 1]), [1.0, 3.0, 4.0, 8.0]);
    let feature = Profile { points: Some(&points), ..profile(sample(&before, 2.0), &groups) };
    let look = compare(&feature, &sample(&now, 4.0));
    let (b, n) = ([100.0, 100.0], [20.0, 20.0]);
    assert_eq!((look.n, look.m), (200.0, 40.0));
    assert_eq!(look.test, pearson(&b, &n, 1.0));
    assert_eq!(look.significance, significance(&b, &n, &Dispersion::none()));
    assert_eq!(look.effects, effects(&b, &n, 1.0));
    assert_eq!(look.kolmogorov_smirnov, kolmogorov_smirnov(&before, &now, 1.0));
    assert_eq!(look.wasserstein.unwrap().raw, 0.0, "groups are as they were");
    let shares = look.missing.unwrap().shares;
    assert_eq!(shares, (2.0 / 202.0, 4.0 / 44.0));
    // Each row twice: half of them count.
    let twice: Vec<f64> = now.iter().map(|count| count * 2.0).collect();
    let repeated = Sample { counts: &twice, missing: 8.0, factor: 0.5 };
    assert_eq!(compare(&feature, &repeated), look);
    let unordered = compare(&profile(sample(&before, 0.0), &groups), &sample(&now, 0.0));
    assert_eq!((unordered.kolmogorov_smirnov, unordered.wasserstein, unordered.missing), (None, None, None));
}

#[test]
fn a_window_without_rows_has_missing_ones_at_most() {
    let groups = Groups::new(vec![0, 1]);
    let look = compare(&profile(sample(&[500.0, 500.0], 0.0), &groups), &sample(&[0.0, 0.0], 10.0));
    assert_eq!((look.test, look.values_hypothesis()), (None, None));
    assert!(look.missing_hypothesis().unwrap().p < 1e-12);
    let one = Groups::new(vec![0, 0]);
    let look = compare(&profile(sample(&[500.0, 500.0], 0.0), &one), &sample(&[1.0, 0.0], 0.0));
    assert_eq!(look.values_hypothesis(), None, "a single group says nothing");
}

#[test]
fn drift_needs_holm_and_an_effect() {
    let hypothesis = |p, effect| Some(Hypothesis { p, effect });
    let family = [hypothesis(0.001, 0.2), None, hypothesis(0.02, 0.3), hypothesis(0.0001, 0.01)];
    let found = judge(&family, 0.01, 0.05);
    let drift: Vec<Option<bool>> = found.iter().map(|one| one.map(|one| one.drift)).collect();
    assert_eq!(drift, [Some(true), None, Some(false), Some(false)]);
    assert_eq!(found[0].unwrap().adjusted, 0.002, "of three, not of four");
    assert!(judge(&family, 0.0, 0.0).iter().flatten().all(|one| !one.drift));
}

#[test]
fn values_and_missing_rows_of_all_features_are_one_family() {
    let groups = Groups::new(vec![0, 1]);
    let (before, same, moved) = ([2500.0, 2500.0], [250.0, 250.0], [350.0, 150.0]);
    let look = |now, gone| compare(&profile(sample(&before, 50.0), &groups), &sample(now, gone));
    let looks: Vec<Comparison> = vec![look(&same, 5.0), look(&moved, 5.0), look(&same, 100.0)];
    let verdicts = judge_comparisons(&looks, 1e-4, 0.05);
    let drift = |at: usize| (verdicts[at].values.unwrap().drift, verdicts[at].missing.unwrap().drift);
    assert_eq!([drift(0), drift(1), drift(2)], [(false, false), (true, false), (false, true)]);
    let p = looks[1].values_hypothesis().unwrap().p;
    assert!((verdicts[1].values.unwrap().adjusted / p - 5.0).abs() < 1e-9, "the second of six");
}

#[test]
fn what_two_blocks_tell_of_phi_lets_nothing_be_seen() {
    let two = Dispersion { phi: 2.0, dof: Some((1.0, 1.0)) };
    for level in [1e-2, 1e-6, 1e-12] {
        let seen = smallest_psi_of((5000.0, 500.0), level, 9, &two);
        assert!(seen > 10.0, "{level}: {seen}");
    }
}

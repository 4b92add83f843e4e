//! The mathematics of drift against what scipy says: `drift.txt`, written by `drift.py`.

use weir_stats::drift::{
    Bins, Categories, Dispersion, Groups, Place, Weighted, benjamini_hochberg, chi2_isf, chi2_ln_sf, chi2_sf,
    effects, f_sf, fisher_exact, holm, kolmogorov_sf, kolmogorov_smirnov, look_level, mid_ranks, newcombe,
    pearson, phi, significance, smallest_psi, smallest_share_shift, wasserstein, wilson, z_of,
};

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

fn dof(x: f64) -> u32 {
    x as u32
}

/// What we answer, and how far off it may be: relative, or absolute of numbers around 1.
fn ask(name: &str, args: &[Vec<f64>]) -> (Vec<f64>, f64) {
    let a = &args[0];
    match name {
        "chi2_sf" => (vec![chi2_sf(a[0], dof(a[1]))], 1e-9),
        "chi2_isf" => (vec![chi2_isf(a[0], dof(a[1]))], 1e-9),
        "kolmogorov_sf" => (vec![kolmogorov_sf(a[0])], 1e-9),
        "f_sf" => (vec![f_sf(a[0], a[1], a[2])], 1e-9),
        "fisher_exact" => (vec![fisher_exact((a[0], a[1]), (args[1][0], args[1][1]))], 1e-9),
        "significance" => {
            let test = significance(a, &args[1], &Dispersion::none()).expect("a table");
            (vec![test.g2, test.williams, test.p], 1e-9)
        }
        "pearson" => {
            let test = pearson(a, &args[1], 1.0).expect("a table");
            (vec![test.x2, f64::from(test.dof), test.p], 1e-9)
        }
        "kolmogorov_smirnov" => {
            let test = kolmogorov_smirnov(a, &args[1], 1.0).expect("a table");
            (vec![test.d, test.p], 1e-9)
        }
        "wasserstein" => (vec![wasserstein(a, &args[1], &args[2], 1.0).expect("a table").raw], 1e-9),
        "effects" => {
            let e = effects(a, &args[1], 1.0).expect("a table");
            (vec![e.psi.raw, e.js.raw, e.ks.raw, e.total_variation.raw, e.hellinger.raw], 1e-9)
        }
        "holm" => (holm(a), 1e-12),
        "benjamini_hochberg" => (benjamini_hochberg(a), 1e-12),
        "z_of" => (vec![z_of(a[0])], 1e-9),
        "wilson" => pair(wilson(a[0], a[1], a[2])),
        "newcombe" => pair(newcombe((a[0], a[1]), (args[1][0], args[1][1]), args[2][0])),
        "smallest_psi" => (vec![smallest_psi(a[0], a[1], a[2], dof(a[3]), a[4])], 1e-7),
        _ => panic!("nobody answers `{name}`"),
    }
}

fn pair((low, high): (f64, f64)) -> (Vec<f64>, f64) {
    (vec![low, high], 1e-9)
}

#[test]
fn all_is_as_scipy_has_it() {
    let mut asked = 0;
    for line in include_str!("drift.txt").lines().filter(|line| !line.starts_with('#')) {
        let (question, right) = line.split_once(" = ").unwrap();
        let (name, args) = question.split_once(' ').unwrap();
        let args: Vec<Vec<f64>> = args.split(';').map(numbers).collect();
        let (answer, allowed) = ask(name, &args);
        let right = numbers(right);
        assert_eq!(answer.len(), right.len(), "{line}");
        for (ours, theirs) in answer.iter().zip(&right) {
            let near = (ours - theirs).abs() <= allowed * theirs.abs() || (ours - theirs).abs() < 1e-300;
            let zero = name == "wilson" && *theirs == 0.0 && ours.abs() < 1e-15;
            assert!(near || zero, "{ours} is not {theirs} of {question}");
        }
        asked += 1;
    }
    assert!(asked >= 1100, "{asked}");
}

#[test]
fn a_tail_beyond_doubles_still_has_a_logarithm() {
    assert_eq!(chi2_sf(1e5, 9), 0.0);
    // From mpmath: log(gammainc(4.5, 50000, inf, regularized=True)).
    let right = -49_964.584_442_574_36;
    assert!((chi2_ln_sf(1e5, 9) / right - 1.0).abs() < 1e-9, "{}", chi2_ln_sf(1e5, 9));
    // From mpmath: a million degrees of freedom, at their mean and 7 sd above.
    assert!(
        (chi2_sf(1e6, 1_000_000) / 0.499_811_936_803_394_5 - 1.0).abs() < 1e-8,
        "{}",
        chi2_sf(1e6, 1_000_000)
    );
    assert!(
        (chi2_sf(1.01e6, 1_000_000) / 9.068_528_823_262_077e-13 - 1.0).abs() < 1e-8,
        "{}",
        chi2_sf(1.01e6, 1_000_000)
    );
    for nothing in [chi2_sf(f64::NAN, 3), chi2_sf(-1.0, 3), chi2_sf(5.0, 0)] {
        assert_eq!(nothing, 1.0);
    }
}

#[test]
fn a_value_on_an_edge_lies_below_it_and_equal_edges_are_one() {
    let rows: Vec<f64> = (1..=1000).map(f64::from).collect();
    let bins = Bins::of(&rows).unwrap();
    assert_eq!((bins.len(), bins.range()), (256, (1.0, 1000.0)));
    // Of 1000 rows the first decile's 26 parts end at ceil(100 j / 26), the fourth's 25 at 300 + 4 j.
    assert_eq!(bins.edges()[..3], [4.0, 8.0, 12.0]);
    assert_eq!(bins.edges()[24..27], [97.0, 100.0, 104.0]);
    assert_eq!(bins.edges()[77..80], [300.0, 304.0, 308.0]);
    assert_eq!(bins.points()[0], 2.5);
    let places = [4.0, 4.5, 0.0, 2000.0, f64::NEG_INFINITY, f64::NAN].map(|x| bins.place(x));
    let end = Place::Below(0);
    assert_eq!(places, [Place::Inside(0), Place::Inside(1), end, Place::Above(255), end, Place::Missing]);
    assert_eq!(bins.deciles().sum(&bins.count(&rows).bins), [100.0; 10]);
    // Inverted distribution function of 7 rows: ceil(0.1 * 7) = 1st, ceil(0.2 * 7) = 2nd, and so on.
    let few = Bins::of(&[7.0, 1.0, 5.0, 3.0, 2.0, 6.0, 4.0]).unwrap();
    assert_eq!(few.edges(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let ties = Bins::of(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, f64::NAN]).unwrap();
    assert_eq!((ties.edges(), ties.len()), (&[0.0, 1.0][..], 3));
    assert_eq!(Bins::of(&[f64::NAN]), None);
}

/// However many edges there are, and however many values at once.
#[test]
fn the_search_finds_how_many_edges_are_below() {
    for rows in (1..60).chain([100, 255, 256, 257, 1000, 5000]) {
        let reference: Vec<f64> = (0..rows).map(|i| f64::from(i * i) - 100.5).collect();
        let bins = Bins::of(&reference).unwrap();
        let near = |edge: &f64| [edge.next_down(), *edge, edge.next_up()];
        let mut values: Vec<f64> = bins.edges().iter().flat_map(near).collect();
        values.extend([f64::NEG_INFINITY, f64::INFINITY, f64::NAN, -0.0, f64::MIN, f64::MAX]);
        let below = |x: &f64| match x.is_nan() {
            true => u16::MAX,
            false => bins.edges().partition_point(|edge| edge < x) as u16,
        };
        let expected: Vec<u16> = values.iter().map(below).collect();
        for size in [1, 3, 4, 7, values.len()] {
            let mut placed = Vec::new();
            values.chunks(size).for_each(|chunk| bins.place_all(chunk, u16::MAX, &mut placed));
            assert_eq!(placed, expected, "{rows} rows, {size} at once");
        }
        assert_eq!(bins.count(&values).bins.iter().sum::<f64>() as usize, values.len() - 1);
    }
}

#[test]
fn bins_come_back_from_their_parts_and_from_no_others() {
    let rows: Vec<f64> = (1..=1000).map(|x| f64::from(x % 300) / 7.0).chain([-0.0, 0.0]).collect();
    for rows in [&rows[..], &[0.1, 0.1, 0.1], &[5.0, -5.0], &[f64::MIN, 0.0, f64::MAX]] {
        let bins = Bins::of(rows).unwrap();
        let parts = (bins.edges().to_vec(), bins.decile_edges().to_vec(), bins.points().to_vec());
        assert_eq!(Bins::from_parts(parts.0, parts.1, parts.2, bins.range()), Some(bins));
    }
    let refused = |edges: &[f64], deciles: &[f64], points: &[f64], range| {
        let bins = Bins::from_parts(edges.to_vec(), deciles.to_vec(), points.to_vec(), range);
        assert_eq!(bins, None, "{edges:?} {deciles:?} {points:?} {range:?}");
    };
    let (edges, points, range) = ([1.0, 2.0], [1.0, 1.5, 3.0], (1.0, 4.0));
    assert!(Bins::from_parts(edges.into(), vec![2.0], points.into(), range).is_some());
    refused(&[2.0, 1.0], &[2.0], &points, range);
    refused(&[1.0, 1.0], &[], &points, range);
    refused(&edges, &[1.5], &points, range);
    refused(&edges, &[2.0], &points[1..], range);
    refused(&edges, &[2.0], &[1.0, 2.5, 3.0], range);
    refused(&edges, &[2.0], &points, (1.0, 2.0));
    refused(&edges, &[2.0], &points, (1.5, 4.0));
    refused(&edges, &[2.0], &points, (1.0, f64::INFINITY));
    refused(&[1.0, f64::NAN], &[], &points, range);
}

#[test]
fn what_is_out_of_range_is_counted_twice_and_what_is_missing_apart() {
    let bins = Bins::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    let counts = bins.count(&[0.0, 1.0, 9.0, f64::INFINITY, f64::NAN]);
    assert_eq!(counts.bins, [2.0, 0.0, 0.0, 2.0]);
    assert_eq!((counts.below, counts.above, counts.missing), (1, 2, 1));
}

#[test]
fn counts_are_added_to_those_of_the_same_bins_only() {
    let bins = Bins::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    let mut counts = bins.count(&[1.0]);
    assert!(bins.count_into(&[1.0, 3.0, f64::NAN], &mut counts));
    assert_eq!((counts.bins.as_slice(), counts.missing), (&[2.0, 0.0, 1.0, 0.0][..], 1));
    assert!(!Bins::of(&[1.0]).unwrap().count_into(&[1.0], &mut counts));
}

#[test]
fn a_rank_is_the_middle_of_its_bin_and_the_mean_of_the_reference_is_a_half() {
    let rows = [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 5.0, 8.0];
    let bins = Bins::of(&rows).unwrap();
    let of_bins = mid_ranks(&bins.count(&rows).bins);
    let ranks = [1.0, 2.0, 3.0, 8.0, 0.5, 9.0, f64::NAN].map(|x| bins.rank(&of_bins, x));
    let right = [1.5 / 8.0, 3.5 / 8.0, 5.0 / 8.0, 7.5 / 8.0, 0.0, 1.0].map(Some);
    assert_eq!((&ranks[..6], ranks[6]), (&right[..], None));
    assert_eq!(rows.iter().filter_map(|x| bins.rank(&of_bins, *x)).sum::<f64>(), 4.0);
}

#[test]
fn groups_expect_five_rows_of_the_smallest_window() {
    let each = Groups::new((0..10).collect());
    assert_eq!(each.merge_neighbours(&[100.0; 10], 50).len(), 10);
    assert_eq!(each.merge_neighbours(&[100.0; 10], 49).len(), 5);
    let uneven = Groups::new((0..4).collect()).merge_neighbours(&[10.0, 80.0, 5.0, 5.0], 50);
    assert_eq!(uneven.sum(&[1.0, 2.0, 3.0, 4.0]), [1.0, 2.0, 7.0]);
    let tail = Groups::new((0..3).collect()).merge_neighbours(&[50.0, 45.0, 5.0], 50);
    assert_eq!(tail.sum(&[1.0, 2.0, 4.0]), [1.0, 6.0], "the tail joins the last");
    assert_eq!(each.merge_neighbours(&[100.0; 10], 3).len(), 1, "too few rows for any test");
}

#[test]
fn rare_categories_are_with_their_neighbours_and_those_never_seen_with_the_last() {
    let categories = Categories::new(4);
    let counts = categories.count([Some(0), Some(3), Some(7), None]);
    assert_eq!(counts, [1.0, 0.0, 0.0, 1.0, 2.0]);
    let groups = Groups::of_categories(&[500.0, 10.0, 190.0, 300.0, 0.0], 100);
    assert_eq!(groups.sum(&[1.0, 2.0, 4.0, 8.0, 16.0]), [1.0, 6.0, 24.0], "one in a hundred needs company");
    assert_eq!(Groups::of_categories(&[10.0, 2.0, 3.0], 1_000_000).len(), 2, "the reference is small itself");
}

#[test]
fn a_table_that_is_none_has_no_test() {
    assert_eq!(pearson(&[0.0, 0.0], &[1.0, 2.0], 1.0), None);
    assert_eq!(pearson(&[1.0], &[1.0, 2.0], 1.0), None);
    assert_eq!(pearson(&[1.0, -1.0, 3.0], &[1.0, 2.0, 1.0], 1.0), None);
    let one = pearson(&[5.0, 0.0], &[7.0, 0.0], 1.0).unwrap();
    assert_eq!((one.x2, one.dof, one.p), (0.0, 0, 1.0));
    let plain = pearson(&[50.0, 50.0], &[70.0, 30.0], 1.0).unwrap();
    let wide = pearson(&[50.0, 50.0], &[70.0, 30.0], 2.0).unwrap();
    assert_eq!((wide.x2, wide.p), (plain.x2, chi2_sf(plain.x2 / 2.0, 1)));
}

#[test]
fn phi_is_the_mean_of_blocks_against_the_rest_and_at_least_one() {
    assert_eq!(phi(&[vec![10.0, 10.0], vec![10.0, 10.0]]), 1.0);
    assert_eq!(phi(&[]), 1.0);
    let blocks = [vec![20.0, 80.0], vec![80.0, 20.0]];
    // Each against the other: (100 * 20 - 100 * 80)^2 / (100 * 100 * 100) twice.
    assert_eq!(phi(&blocks), 72.0);
}

#[test]
fn equal_weights_are_plain_counts() {
    let mut weighted = Weighted::new(2);
    assert_eq!((weighted.effective(), weighted.shares()), (0.0, None));
    for bin in [0, 0, 0, 1] {
        assert!(weighted.push(bin, 7.0));
    }
    assert!(!weighted.push(2, 1.0) && !weighted.push(0, f64::NAN) && !weighted.push(0, 0.0));
    assert_eq!((weighted.effective(), weighted.counts().unwrap()), (4.0, vec![3.0, 1.0]));
    weighted.push(1, 28.0);
    assert!((weighted.effective() - 56.0 * 56.0 / (4.0 * 49.0 + 784.0)).abs() < 1e-12);
}

#[test]
fn a_budget_is_spread_over_looks() {
    assert_eq!(look_level(1.0, 720.0), 1.0 / 720.0);
    assert_eq!((look_level(2.0, 1.0), look_level(1.0, 0.0), look_level(f64::NAN, 3.0)), (1.0, 0.0, 0.0));
    assert!(smallest_psi(1000.0, 1000.0, 0.0, 9, 1.0).is_infinite());
    assert_eq!(smallest_share_shift(0.5, 0.04), 0.1);
}

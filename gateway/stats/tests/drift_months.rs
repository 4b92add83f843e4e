//! Months of looks at traffic that does not change: how many looks a month report anything, against the
//! budget.
//!
//! Each month has a fresh reference and draws counts of bins, and goes through what a look goes through:
//! groups, `Dispersion` from blocks, `compare`, `judge_comparisons` at `look_level`. `min_effect` is 0,
//! since an effect only makes alarms rarer. Every feature has a table of missing rows too, of which none,
//! one in a thousand or one in fifty are missing. 5000 reference rows, or 30 blocks as long as the window.
//! README has the table.

#[path = "drift_months/draws.rs"]
mod draws;

use draws::Draws;
use weir_stats::drift::{
    Bins, Comparison, Dispersion, Groups, MissingDispersion, Presence, Profile, Sample, compare,
    judge_comparisons, look_level,
};

const ROWS: u64 = 5000;
const BLOCKS: usize = 30;
const MISSING: [f64; 3] = [0.0, 0.001, 0.02];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Continuous,
    /// A geometric number of values, a quarter of which are 0.
    Ties,
    /// A hundred by Zipf's law, in an order of their own.
    Categories,
    /// Rows of which 9 % of the variance is the day's mean, which spread by a tenth more or less each day,
    /// and go missing by a factor of exp(Z / 2).
    Days,
    /// The same, with days of an AR(1) of 0.3.
    ArDays,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    kind: Kind,
    m: u64,
    features: usize,
    looks: usize,
    months: usize,
    budget: f64,
}

/// A feature for a month: what the profile knows, and how live rows come.
struct Feature {
    counts: Vec<f64>,
    missing: f64,
    groups: Groups,
    dispersion: Dispersion,
    missing_dispersion: MissingDispersion,
    ordered: Option<Vec<f64>>,
    /// Shares of the bins, and of missing rows.
    shares: Vec<f64>,
    missing_share: f64,
    day: f64,
}

fn feature(cell: &Cell, at: usize, draws: &mut Draws) -> Feature {
    let missing_share = MISSING[at % MISSING.len()];
    match cell.kind {
        Kind::Continuous => continuous(cell.m, missing_share, draws),
        Kind::Ties => ties(cell.m, missing_share, draws),
        Kind::Categories => categories(cell.m, missing_share, draws),
        Kind::Days | Kind::ArDays => days(cell, missing_share, draws),
    }
}

fn plain(
    counts: Vec<f64>,
    groups: Groups,
    shares: Vec<f64>,
    missing_share: f64,
    draws: &mut Draws,
) -> Feature {
    Feature {
        missing: draws.binomial(ROWS, missing_share) as f64,
        groups,
        dispersion: Dispersion::none(),
        missing_dispersion: MissingDispersion::none(),
        ordered: Some((0..counts.len()).map(|bin| bin as f64).collect()),
        counts,
        shares,
        missing_share,
        day: 0.0,
    }
}

/// Between every 500th of 5000 rows in order lie shares that are Dirichlet's, whatever the distribution.
fn continuous(m: u64, missing_share: f64, draws: &mut Draws) -> Feature {
    let counts = vec![ROWS as f64 / 10.0; 10];
    let mut gaps: Vec<f64> = (0..10).map(|i| draws.gamma(if i < 9 { 500.0 } else { 501.0 })).collect();
    let sum: f64 = gaps.iter().sum();
    gaps.iter_mut().for_each(|gap| *gap /= sum);
    let groups = Groups::new((0..10).collect()).merge_neighbours(&counts, m);
    plain(counts, groups, gaps, missing_share, draws)
}

fn ties(m: u64, missing_share: f64, draws: &mut Draws) -> Feature {
    let atoms: Vec<f64> = (0..40).map(|i| 0.25 * 0.75_f64.powi(i)).collect();
    let drawn = draws.multinomial(ROWS, &atoms);
    let rows: Vec<f64> =
        drawn.iter().enumerate().flat_map(|(x, n)| std::iter::repeat_n(x as f64, *n as usize)).collect();
    let bins = Bins::of(&rows).expect("rows");
    let counts = bins.count(&rows).bins;
    let mut shares = vec![0.0; counts.len()];
    // Each atom's share is that of the bin it falls in.
    for (x, share) in atoms.iter().enumerate() {
        let bin = bins.count(&[x as f64]).bins.iter().position(|count| *count > 0.0).expect("a bin");
        shares[bin] += share;
    }
    let groups = bins.deciles().merge_neighbours(&counts, m);
    plain(counts, groups, shares, missing_share, draws)
}

fn categories(m: u64, missing_share: f64, draws: &mut Draws) -> Feature {
    // 37 has no factor in common with 100, so that this is an order that counts did not make.
    let weight = |i: usize| 1.0 / (1.0 + (i * 37 % 100) as f64);
    let sum: f64 = (0..100).map(weight).sum();
    let mut shares: Vec<f64> = (0..100).map(|i| weight(i) / sum).collect();
    shares.push(0.0);
    let counts = draws.multinomial(ROWS, &shares);
    let groups = Groups::of_categories(&counts, m);
    Feature { ordered: None, ..plain(counts, groups, shares, missing_share, draws) }
}

fn days(cell: &Cell, missing_share: f64, draws: &mut Draws) -> Feature {
    let mut feature = plain(vec![0.0; 10], Groups::new((0..10).collect()), vec![], missing_share, draws);
    feature.missing = 0.0;
    let (mut blocks, mut missing) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let (block, gone) = window(cell, &mut feature, draws);
        feature.counts.iter_mut().zip(&block).for_each(|(sum, count)| *sum += count);
        feature.missing += gone;
        missing.push(Presence { missing: gone, present: block.iter().sum() });
        blocks.push(block);
    }
    feature.groups = feature.groups.merge_neighbours(&feature.counts, cell.m);
    let grouped: Vec<Vec<f64>> = blocks.iter().map(|block| feature.groups.sum(block)).collect();
    feature.dispersion = Dispersion::of(&grouped);
    feature.missing_dispersion = MissingDispersion::of(&missing);
    feature
}

/// Counts of a window, and how many rows are missing.
fn window(cell: &Cell, feature: &mut Feature, draws: &mut Draws) -> (Vec<f64>, f64) {
    let mut share = feature.missing_share;
    let by_day = matches!(cell.kind, Kind::Days | Kind::ArDays);
    if by_day {
        let r: f64 = if cell.kind == Kind::ArDays { 0.3 } else { 0.0 };
        feature.day = r * feature.day + (1.0 - r * r).sqrt() * draws.normal();
        feature.shares = draws::deciles_of_day(0.3 * feature.day, (0.1 * draws.normal()).exp());
        share *= (0.5 * draws.normal()).exp();
    }
    let missing = draws.binomial(cell.m, share);
    (draws.multinomial(cell.m - missing, &feature.shares), missing as f64)
}

fn look(cell: &Cell, feature: &mut Feature, draws: &mut Draws) -> Comparison {
    let (counts, missing) = window(cell, feature, draws);
    let profile = Profile {
        reference: Sample { counts: &feature.counts, missing: feature.missing, factor: 1.0 },
        groups: &feature.groups,
        dispersion: feature.dispersion,
        missing_dispersion: feature.missing_dispersion,
        points: feature.ordered.as_deref(),
    };
    compare(&profile, &Sample { counts: &counts, missing, factor: 1.0 })
}

/// False looks in each month.
fn run(cell: &Cell, seed: u64) -> Vec<f64> {
    let mut draws = Draws::new(seed);
    let level = look_level(cell.budget, cell.looks as f64);
    let mut month = || {
        let mut features: Vec<Feature> = (0..cell.features).map(|at| feature(cell, at, &mut draws)).collect();
        let mut alarmed = || {
            let seen: Vec<Comparison> =
                features.iter_mut().map(|feature| look(cell, feature, &mut draws)).collect();
            let verdicts = judge_comparisons(&seen, level, 0.0);
            verdicts.iter().any(|one| [one.values, one.missing].into_iter().flatten().any(|it| it.drift))
        };
        (0..cell.looks).filter(|_| alarmed()).count() as f64
    };
    (0..cell.months).map(|_| month()).collect()
}

/// The mean of false looks a month by the budget, and its standard error.
fn measure(cell: &Cell, seed: u64) -> (f64, f64) {
    let months = run(cell, seed);
    let n = months.len() as f64;
    let mean = months.iter().sum::<f64>() / n;
    let variance = months.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // No month at all may have alarmed: a Poisson number of the budget is no worse a guess then.
    let error = (variance.max(mean).max(0.1 * cell.budget) / n).sqrt();
    let (kind, m) = (format!("{:?}", cell.kind), cell.m);
    let Cell { features, looks, months, budget, .. } = cell;
    let (ratio, error) = (mean / budget, error / budget);
    println!("| {kind:10} | {m:6} | {features:3} | {looks:3} | {months:4} | {ratio:.3} | {error:.3} |");
    (ratio, error)
}

fn cell(kind: Kind, m: u64, features: usize) -> Cell {
    let (looks, months) = match features {
        // Of 100,000 rows against 5000 all chance is the reference's: all looks of a month alarm, or none, so
        // that only many months with few looks have a mean worth the name.
        1 if m > ROWS => (15, 10_000),
        20 if m > ROWS => (15, 3000),
        1 => (720, 1000),
        20 => (72, 1000),
        _ => (15, 1000),
    };
    Cell { kind, m, features, looks, months, budget: 1.0 }
}

fn heading() {
    println!("| rows | window | features | looks a month | months | false looks / budget | error |");
    println!("|---|---|---|---|---|---|---|");
}

#[test]
fn a_few_months_without_change_stay_within_the_budget() {
    heading();
    for (seed, (kind, m)) in [
        (Kind::Continuous, 50),
        (Kind::Continuous, 500),
        (Kind::Ties, 500),
        (Kind::Categories, 500),
        (Kind::Days, 500),
    ]
    .into_iter()
    .enumerate()
    {
        // Four false looks in 60 a month, so that few months tell something.
        let few = Cell { looks: 60, months: 40, budget: 4.0, ..cell(kind, m, 10) };
        let (ratio, error) = measure(&few, seed as u64);
        assert!(ratio <= 1.15 + 3.0 * error, "{few:?}: {ratio}");
        assert!(kind != Kind::Continuous || m != 500 || ratio >= 0.5 - 3.0 * error, "{few:?}: {ratio}");
    }
}

#[test]
#[ignore = "ten minutes in release: cargo test --release -p weir-stats --test drift_months -- --ignored --nocapture"]
fn a_thousand_months_without_change_stay_within_the_budget() {
    let mut cells = Vec::new();
    for (kind, windows) in [
        (Kind::Continuous, &[50, 500, 5000, 100_000][..]),
        (Kind::Ties, &[50, 500, 100_000]),
        (Kind::Categories, &[50, 500, 100_000]),
        (Kind::Days, &[50, 500, 5000]),
        (Kind::ArDays, &[500]),
    ] {
        cells.extend(windows.iter().flat_map(|m| [1, 20, 200].map(|features| cell(kind, *m, features))));
    }
    // The smallest level: 3.5e-6 a table.
    cells.push(Cell { looks: 720, months: 60, ..cell(Kind::Continuous, 50, 200) });
    heading();
    let check = |at: usize| {
        let (ratio, _) = measure(&cells[at], 100 + at as u64);
        ratio <= 1.15 && (cells[at].kind != Kind::Continuous || cells[at].m != 500 || ratio >= 0.5)
    };
    let wrong: Vec<usize> = std::thread::scope(|scope| {
        let half = |odd: usize| (odd..cells.len()).step_by(2).filter(|at| !check(*at)).collect::<Vec<_>>();
        let other = scope.spawn(move || half(1));
        let mut wrong = half(0);
        wrong.extend(other.join().expect("no panic"));
        wrong
    });
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(|at| cells[*at]).collect::<Vec<_>>());
}

#[test]
fn draws_have_the_mean_and_the_spread_they_should() {
    let mut draws = Draws::new(9);
    for (n, p) in [(50, 0.1), (1000, 0.02), (500, 0.1), (100_000, 0.3), (400, 0.9)] {
        let xs: Vec<f64> = (0..20_000).map(|_| draws.binomial(n, p) as f64).collect();
        let mean = xs.iter().sum::<f64>() / 20_000.0;
        let variance = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        let right = n as f64 * p * (1.0 - p);
        assert!((mean - n as f64 * p).abs() < 4.0 * (right / 20_000.0).sqrt(), "{mean} of {n}, {p}");
        assert!((variance / right - 1.0).abs() < 0.05, "{variance} of {n}, {p}");
    }
}

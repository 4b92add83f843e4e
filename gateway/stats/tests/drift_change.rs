//! ADWIN and Page-Hinkley against river (`drift_change.txt`, written by `drift_change.py`), and how long they
//! run without a change.

use fastrand::Rng;
use weir_stats::drift::{Adwin, PageHinkley, Shift};

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

fn recorded() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("drift_change.txt").lines().filter_map(|line| line.split_once(' '))
}

fn ranks() -> Vec<f64> {
    let (_, ranks) = recorded().find(|(name, _)| *name == "ranks").expect("ranks");
    numbers(ranks).into_iter().map(|x| x / 100.0).collect()
}

fn asked(name: &'static str) -> impl Iterator<Item = (Vec<f64>, Vec<f64>)> {
    let of_name = move |(line, rest): (&str, &'static str)| {
        let (settings, found) = rest.split_once(';').filter(|_| line == name)?;
        Some((numbers(settings), numbers(found)))
    };
    recorded().filter_map(of_name)
}

#[test]
fn adwin_cuts_where_river_does() {
    let (ranks, mut settings) = (ranks(), 0);
    for (setting, right) in asked("adwin") {
        let mut adwin = Adwin::new(setting[0]).unwrap();
        let mut found = Vec::new();
        for (i, x) in ranks.iter().enumerate() {
            if adwin.push(*x) {
                found.extend([(i + 1) as f64, adwin.width()]);
                // As river does: the paper's window, and ours, keeps what has one mean.
                adwin = Adwin::new(setting[0]).unwrap();
            }
        }
        assert_eq!(found, right, "delta {}", setting[0]);
        settings += 1;
    }
    assert_eq!(settings, 3);
}

#[test]
fn page_hinkley_finds_what_river_does() {
    let (ranks, mut settings) = (ranks(), 0);
    for (setting, right) in asked("page_hinkley") {
        let mut page = PageHinkley::new(setting[0], setting[1]).unwrap();
        let found = |(i, x): (usize, &f64)| page.push(*x).map(|_| (i + 1) as f64);
        assert_eq!(ranks.iter().enumerate().filter_map(found).collect::<Vec<_>>(), right, "{setting:?}");
        settings += 1;
    }
    assert_eq!(settings, 3);
}

/// The mean number of values between finds, in so many values without a change: uniform ranks, or those of
/// `levels` tied values.
fn mean_run(mut push: impl FnMut(f64) -> bool, values: u32, levels: usize, seed: u64) -> f64 {
    let mut rng = Rng::with_seed(seed);
    let mut rank = || match levels {
        0 => rng.f64(),
        levels => (rng.usize(..levels) as f64 + 0.5) / levels as f64,
    };
    let found = (0..values).filter(|_| push(rank())).count();
    println!("{found} finds in {values}");
    f64::from(values) / found.max(1) as f64
}

/// Runs are about exponential, so that the mean of k of them is off by 1 / sqrt(k): three of those are
/// allowed.
fn check_run(run_length: f64, run: f64, values: u32) {
    let found = f64::from(values) / run;
    assert!(run >= run_length * (1.0 - 3.0 / found.sqrt()), "{run} of {run_length}");
}

#[test]
fn page_hinkley_runs_as_long_as_is_asked() {
    for (run_length, shift) in [(500.0, 0.1), (1000.0, 0.05), (1000.0, 0.3), (10_000.0, 0.1), (10_000.0, 0.2)]
    {
        for levels in [0, 2, 10] {
            let mut page = PageHinkley::for_run_length(run_length, shift).unwrap();
            let run = mean_run(|x| page.push(x).is_some(), 400_000, levels, 1);
            println!("{run_length} of shift {shift}, {levels} levels: {run}, threshold {}", page.threshold());
            check_run(run_length, run, 400_000);
        }
    }
}

#[test]
fn adwin_runs_as_long_as_is_asked() {
    for run_length in [1000.0, 10_000.0, 100_000.0] {
        for levels in [0, 2, 10] {
            let mut adwin = Adwin::for_run_length(run_length).unwrap();
            let run = mean_run(|x| adwin.push(x), 400_000, levels, 2);
            println!("{run_length}, {levels} levels: {run}");
            check_run(run_length, run, 400_000);
        }
    }
}

#[test]
#[ignore = "a minute in release"]
fn runs_are_as_long_as_is_asked_over_ten_million_values() {
    for run_length in [3e3, 1e4, 1e5] {
        for levels in [0, 2, 10] {
            let mut adwin = Adwin::for_run_length(run_length).unwrap();
            let mut page = PageHinkley::for_run_length(run_length, 0.1).unwrap();
            let runs = [
                mean_run(|x| adwin.push(x), 10_000_000, levels, 4),
                mean_run(|x| page.push(x).is_some(), 10_000_000, levels, 5),
            ];
            println!("{run_length}, {levels} levels: ADWIN {}, Page-Hinkley {}", runs[0], runs[1]);
            runs.into_iter().for_each(|run| check_run(run_length, run, 10_000_000));
        }
    }
}

#[test]
fn detectors_go_on_from_what_was_stored_and_refuse_nonsense() {
    let (mut adwin, mut page) = (Adwin::new(0.05).unwrap(), PageHinkley::new(0.05, 8.0).unwrap());
    let ranks = ranks();
    ranks[..5000].iter().for_each(|x| _ = (adwin.push(*x), page.push(*x)));
    let (a, p) = (serde_json::to_string(&adwin).unwrap(), serde_json::to_string(&page).unwrap());
    assert!(a.len() < 10_000, "bounded: {}", a.len());
    let (mut stored, mut page_stored): (Adwin, PageHinkley) =
        (serde_json::from_str(&a).unwrap(), serde_json::from_str(&p).unwrap());
    for x in &ranks[5000..] {
        assert_eq!((adwin.push(*x), page.push(*x)), (stored.push(*x), page_stored.push(*x)));
    }
    assert!(serde_json::from_str::<Adwin>(&a.replacen("0.05", "5", 1)).is_err());
    assert!(serde_json::from_str::<Adwin>(&a.replacen("\"n\":", "\"n\":1", 1)).is_err());
    assert!(serde_json::from_str::<PageHinkley>(&p.replacen("8.0", "-8.0", 1)).is_err());
    assert!(!adwin.push(f64::NAN) && !adwin.push(1.5) && page.push(-0.1).is_none());
    assert!(Adwin::new(0.0).is_none() && Adwin::for_run_length(f64::NAN).is_none());
    assert!(PageHinkley::new(f64::NAN, 1.0).is_none() && PageHinkley::for_run_length(1e4, 0.0).is_none());
}

#[test]
fn a_shift_is_found_and_named() {
    let mut page = PageHinkley::for_run_length(10_000.0, 0.2).unwrap();
    let mut rng = Rng::with_seed(3);
    (0..500).for_each(|_| assert_eq!(page.push(rng.f64()), None));
    let found = (0..500).find_map(|i| page.push(0.3 + 0.7 * rng.f64()).map(|way| (i, way)));
    assert!(matches!(found, Some((..200, Shift::Up))), "{found:?}");
}

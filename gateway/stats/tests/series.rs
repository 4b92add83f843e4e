//! What the real Prometheus answers (`promql.txt`, made by `promql.py`), and what it cannot be asked.

use weir_stats::series::{Series, quantile};

const VECTORS: &str = include_str!("promql.txt");
const LOOKBACK_MS: u64 = 300_000;
/// The longest window in the vectors.
const KEEP_MS: u64 = 1_800_000;

fn number(word: &str) -> f64 {
    word.parse().expect("a number")
}

fn same(ours: f64, theirs: f64) -> bool {
    (ours.is_nan() && theirs.is_nan()) || ours == theirs || (ours - theirs).abs() <= 1e-9 * theirs.abs()
}

/// Samples yet to be pushed, and a series that has those up to the time it is asked about.
#[derive(Default)]
struct Replay {
    samples: Vec<(i64, Option<f64>)>,
    pushed: usize,
    series: Option<Series>,
}

impl Replay {
    fn of(words: &[&str]) -> Self {
        let sample = |word: &&str| {
            let (at, value) = word.split_once('=').expect("TIME=VALUE");
            (at.parse().expect("a time"), (value != "stale").then(|| number(value)))
        };
        Self { samples: words.iter().map(sample).collect(), pushed: 0, series: Some(Series::new(KEEP_MS)) }
    }

    fn until(&mut self, at_ms: i64) -> &Series {
        let series = self.series.as_mut().expect("a series comes before its questions");
        while let Some((at, value)) = self.samples.get(self.pushed).filter(|(at, _)| *at <= at_ms) {
            match value {
                Some(value) => series.push(*at, *value),
                None => series.push_stale(*at),
            }
            self.pushed += 1;
        }
        series
    }
}

fn answer(replay: &mut Replay, words: &[&str]) -> Option<f64> {
    if words[0] == "quantile" {
        let bucket = |text: &str| text.split_once('=').map(|(edge, count)| (number(edge), number(count)));
        let mut buckets: Vec<(f64, f64)> = words[2].split(',').filter_map(bucket).collect();
        buckets.reverse();
        return Some(quantile(number(words[1]), &mut buckets));
    }
    let at = words[1].parse().expect("a time");
    let series = replay.until(at);
    let window = words[2].parse().unwrap_or_default();
    match words[0] {
        "instant" => series.instant(at, LOOKBACK_MS),
        "increase" => series.increase(at, window),
        "rate" => series.rate(at, window),
        "present" => series.present_over(at, window).then_some(1.0),
        other => panic!("no question is called `{other}`"),
    }
}

#[test]
fn every_answer_is_that_of_prometheus() {
    let (mut replay, mut asked, mut wrong) = (Replay::default(), 0, Vec::new());
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "series" {
            replay = Replay::of(&words[1..]);
            continue;
        }
        asked += 1;
        let ours = answer(&mut replay, &words);
        let theirs = words.last().filter(|word| **word != "-").map(|word| number(word));
        let equal = match (ours, theirs) {
            (Some(ours), Some(theirs)) => same(ours, theirs),
            (ours, theirs) => ours == theirs,
        };
        if !equal {
            wrong.push(format!("{line}: we say {ours:?}"));
        }
    }
    assert!(asked >= 700, "{asked} questions");
    assert!(wrong.is_empty(), "{} of {asked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_sample_that_is_not_later_is_ignored() {
    let mut series = Series::new(1000);
    series.push(100, 1.0);
    series.push(100, 2.0);
    series.push(50, 3.0);
    assert_eq!(series.instant(100, 10), Some(1.0));
    series.push_stale(200);
    series.push(150, 4.0);
    assert_eq!((series.instant(199, 1000), series.instant(200, 1000)), (Some(1.0), None));
    series.push(201, 5.0);
    assert_eq!((series.instant(200, 1000), series.instant(201, 1000)), (None, Some(5.0)));
}

#[test]
fn what_is_out_of_reach_goes_and_the_rest_still_answers() {
    let (mut short, mut long) = (Series::new(60_000), Series::new(u64::MAX));
    let (mut value, mut random) = (0.0, fastrand::Rng::with_seed(7));
    for step in 0..20_000 {
        value = if random.u8(..10) == 0 { 0.0 } else { value + random.f64() * 1e6 };
        short.push(step * 1000, value);
        long.push(step * 1000, value);
        if step > 2 {
            let (kept, all) = (short.increase(step * 1000, 60_000), long.increase(step * 1000, 60_000));
            assert!(same(kept.unwrap(), all.unwrap()), "{kept:?} {all:?} at {step}");
        }
    }
    assert!(short.bytes() < 64 * 128, "{} bytes for 61 samples", short.bytes());
}

#[test]
fn a_counter_that_began_anew_and_did_not_rise_rose_by_nothing() {
    let mut series = Series::new(10_000);
    for step in 0..100 {
        series.push(step * 1000, if step % 2 == 0 { 0.1 * step as f64 } else { 0.0 });
        if step % 2 == 1 {
            assert_eq!(series.increase(step * 1000, 1000), Some(0.0), "at step {step}");
        }
    }
}

#[test]
fn ends_of_the_scale_do_no_harm() {
    let mut series = Series::new(u64::MAX);
    assert_eq!((series.instant(0, u64::MAX), series.increase(0, u64::MAX)), (None, None));
    series.push_stale(i64::MIN);
    series.push(i64::MIN + 1, 1.0);
    series.push(i64::MAX, 2.0);
    assert!(series.increase(i64::MAX, u64::MAX).is_some_and(f64::is_finite));
    assert_eq!(series.increase(i64::MIN, 0), None);
    assert!(quantile(0.5, &mut Vec::new()).is_nan());
    assert!(quantile(0.5, &mut vec![(f64::NAN, 1.0), (f64::INFINITY, f64::NAN)]).is_nan());
    assert_eq!(quantile(0.5, &mut vec![(1.0, 1.0), (1.0, 1.0), (f64::INFINITY, 2.0)]), 0.5);
}

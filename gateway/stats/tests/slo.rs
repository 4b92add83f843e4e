//! Sums, restarts and judgements, beside a list of everything that happened.

use weir_stats::slo::{
    EventLog, MAX_PERIOD_NS, Pair, RestoreError, Severity, Snapshot, Sum, TICK_NS, budget_left, burn,
    default_pairs, judge, largest_factor,
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A time like those of a real clock, and within all slots.
const START: u64 = 1_795_000_000 * SECOND + 123_456_789;

/// What happened, as a list.
#[derive(Default)]
struct History {
    events: Vec<(u64, u64, u64)>,
    observed: Vec<(u64, u64)>,
    run: Vec<(u64, u64)>,
}

impl History {
    fn add(&mut self, (now, good, bad, covered): (u64, u64, u64, u64)) {
        let last = self.events.last().map_or(0, |event| event.0);
        self.observed.push(((now - covered).max(last), now));
        self.events.push((now, good, bad));
        if good > 0 {
            self.run.clear();
        } else if bad > 0 {
            self.run.push((now, bad));
        }
    }

    fn sum(&self, now: u64, window: u64) -> Sum {
        let width = if window <= 6 * HOUR + 30 * MINUTE {
            TICK_NS
        } else if window <= 73 * HOUR {
            MINUTE
        } else {
            HOUR
        };
        let newest = (now - 1) / width;
        let oldest = newest + 1 - window.div_ceil(width);
        let mut sum = Sum::default();
        let begins = self.events.partition_point(|event| (event.0 - 1) / width < oldest);
        for (_, good, bad) in &self.events[begins..] {
            sum.good += good;
            sum.bad += bad;
        }
        let start = oldest * width;
        let begins = self.observed.partition_point(|span| span.1 <= start);
        let covered: u64 = self.observed[begins..].iter().map(|(from, to)| to - (*from).max(start)).sum();
        sum.covered = covered as f64 / (now - start) as f64;
        sum
    }
}

/// Seconds to minutes between ticks, an outage of Weir now and then, and moods in which all is good, bad, or
/// absent.
fn random_tick(random: &mut fastrand::Rng, now: &mut u64, mood: &mut u8) -> (u64, u64, u64, u64) {
    let pause = match random.u16(..2000) {
        0 => random.u64(HOUR..9 * DAY),
        1..=20 => random.u64(MINUTE..2 * HOUR),
        21..=500 => random.u64(1..30 * SECOND),
        _ => TICK_NS,
    };
    *now += pause;
    if random.u8(..50) == 0 {
        *mood = random.u8(..4);
    }
    let (good, bad) = match mood {
        0 => (0, 0),
        1 => (0, random.u64(..3)),
        2 => (random.u64(..1 << 33), 0),
        _ => (random.u64(..100), random.u64(..2)),
    };
    let covered = if random.u8(..10) == 0 { random.u64(..20 * MINUTE) } else { pause.min(MINUTE) };
    (*now, good, bad, covered)
}

fn through_json(log: &EventLog, now: u64) -> EventLog {
    let text = serde_json::to_string(&log.snapshot()).expect("a snapshot is plain data");
    let snapshot = serde_json::from_str(&text).expect("it reads what it wrote");
    EventLog::restore(TICK_NS, MAX_PERIOD_NS, &snapshot, now).expect("it takes what it gave")
}

#[test]
fn a_sum_is_that_of_all_that_happened_whatever_restarts_lie_between() {
    let windows = [1, 15, 60, 300, 1800, 3600, 7200, 21_600, 23_400, 86_400, 259_200, 604_800, 7_776_000];
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut log = EventLog::new(TICK_NS, MAX_PERIOD_NS);
        let (mut history, mut now, mut mood) = (History::default(), START, 0);
        for step in 0..12_000 {
            let tick = random_tick(&mut random, &mut now, &mut mood);
            log.add(tick.0, tick.1, tick.2, tick.3);
            history.add(tick);
            if step % 97 == 0 {
                log = through_json(&log, now);
            }
            if step % 59 != 0 {
                continue;
            }
            let later = now + if random.bool() { 0 } else { random.u64(..10 * MINUTE) };
            for window in windows.map(|seconds| seconds * SECOND) {
                let (ours, all) = (log.sum(later, window), history.sum(later, window));
                assert_eq!((ours.good, ours.bad), (all.good, all.bad), "{window} ns at step {step}");
                assert!(
                    (ours.covered - all.covered).abs() < 2e-3,
                    "{ours:?} {all:?} {window} at step {step}"
                );
            }
            let run = log.run(now, u64::MAX);
            assert_eq!(run.ticks, history.run.len() as u64);
            assert_eq!(run.bad, history.run.iter().map(|run| run.1).sum::<u64>());
            assert_eq!(run.since_ns, history.run.first().map(|run| run.0));
        }
    }
}

#[test]
fn a_long_quiet_time_added_at_once_is_that_of_its_ticks() {
    let (mut once, mut often) = (EventLog::new(TICK_NS, 30 * DAY), EventLog::new(TICK_NS, 30 * DAY));
    once.add(START, 1, 2, TICK_NS);
    often.add(START, 1, 2, TICK_NS);
    for tick in 1..=10_000 {
        often.add(START + tick * TICK_NS, 0, 0, TICK_NS);
    }
    once.add(START + 10_000 * TICK_NS, 0, 0, 10_000 * TICK_NS);
    assert_eq!(once.snapshot(), often.snapshot());
    assert_eq!(once.sum(START + 10_000 * TICK_NS, DAY).covered, 1.0);
}

#[test]
fn time_that_nobody_observed_is_not_covered() {
    let mut log = EventLog::new(TICK_NS, 30 * DAY);
    let start = START / HOUR * HOUR;
    log.add(start, 9, 0, HOUR);
    log = through_json(&log, start + HOUR);
    log.add(start + HOUR + TICK_NS, 1, 0, TICK_NS);
    let now = start + HOUR + TICK_NS;
    assert_eq!(log.sum(now, 5 * MINUTE), Sum { good: 1, bad: 0, covered: 0.05 });
    assert_eq!(log.sum(now, 2 * HOUR), Sum { good: 10, bad: 0, covered: 0.5 });
    assert_eq!(log.sum(now + 5 * MINUTE, 5 * MINUTE), Sum::default(), "nobody looked since the last add");
    log.add(now, 0, 0, 20 * MINUTE);
    assert_eq!(log.sum(now, 5 * MINUTE).covered, 0.05, "what an add has passed is not covered afterwards");
}

#[test]
fn a_log_takes_its_bytes_and_no_more() {
    let log = EventLog::new(TICK_NS, MAX_PERIOD_NS);
    assert!((90_000..100_000).contains(&log.bytes()), "{} bytes", log.bytes());
    assert!((75_000..85_000).contains(&EventLog::new(TICK_NS, 30 * DAY).bytes()));
    assert!(EventLog::new(0, u64::MAX).bytes() < 400_000);
    let mut busy = log.clone();
    busy.add(START, u64::MAX, u64::MAX, u64::MAX);
    busy.add(START, u64::MAX, u64::MAX, u64::MAX);
    busy.add(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    assert_eq!((busy.bytes(), busy.sum(u64::MAX, u64::MAX).bad), (log.bytes(), (1 << 40) - 1));
}

#[test]
fn a_quiet_month_makes_a_small_snapshot() {
    let mut log = EventLog::new(TICK_NS, 30 * DAY);
    log.add(START, 0, 0, 40 * DAY);
    log.add(START + HOUR, 12, 1, HOUR);
    log.add(START + 3 * HOUR, 0, 0, 2 * HOUR);
    let text = serde_json::to_string(&log.snapshot()).unwrap();
    assert!(text.len() < 500, "{text}");
}

#[test]
fn a_clock_that_went_back_takes_the_log_with_it() {
    let (mut log, mut random) = (EventLog::new(TICK_NS, 30 * DAY), fastrand::Rng::with_seed(1));
    let mut now = START;
    for _ in 0..20_000 {
        now += TICK_NS;
        log.add(now, random.u64(..3), random.u64(..2), TICK_NS);
    }
    log.add(now, 1, 0, 0);
    log.add(now + TICK_NS, 0, 3, TICK_NS);
    now += TICK_NS;
    for back in [0, HOUR, 30 * DAY, 400 * DAY] {
        let earlier = EventLog::restore(TICK_NS, 30 * DAY, &log.snapshot(), now - back).unwrap();
        for window in [5 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY, 30 * DAY] {
            assert_eq!(earlier.sum(now - back, window), log.sum(now, window));
        }
        let run = earlier.run(now - back, DAY);
        assert_eq!((run.ticks, run.bad, run.since_ns), (1, 3, Some(now - back)));
    }
    for back in (0..4 * 60).map(|quarters| quarters * SECOND / 4) {
        let earlier = EventLog::restore(TICK_NS, 30 * DAY, &log.snapshot(), now - back).unwrap();
        let share = |window| earlier.sum(now - back, window).covered;
        assert!([TICK_NS, 5 * MINUTE, DAY, 4 * DAY].into_iter().all(|window| share(window) <= 1.0));
    }
    let mut young = EventLog::restore(TICK_NS, 30 * DAY, &log.snapshot(), 12 * HOUR + 7).unwrap();
    young.add(12 * HOUR + 7 + TICK_NS, 1, 0, TICK_NS);
    let (bad, least, most) =
        (young.sum(13 * HOUR, 30 * DAY).bad, log.sum(now, 12 * HOUR), log.sum(now, 14 * HOUR));
    assert!((least.bad..=most.bad).contains(&bad), "{bad} from slot 0 on, beside {least:?} and {most:?}");
}

#[test]
fn a_run_of_bad_ticks_counts_what_lies_within() {
    let mut log = EventLog::new(TICK_NS, 30 * DAY);
    let at = |hours: u64| START + hours * HOUR;
    log.add(at(0), 0, 2, TICK_NS);
    log.add(at(1), 0, 0, HOUR);
    log.add(at(20), 0, 3, HOUR);
    let run = log.run(at(20), DAY);
    assert_eq!((run.ticks, run.bad, run.since_ns), (2, 5, Some(at(0))));
    log = through_json(&log, at(30));
    let run = log.run(at(30), DAY);
    assert_eq!((run.ticks, run.bad, run.since_ns), (1, 3, Some(at(0))), "the first is older than a day");
    assert_eq!(log.run(at(50), DAY).ticks, 0);
    log.add(at(51), 1, 9, TICK_NS);
    assert_eq!((log.run(at(51), DAY).ticks, log.run(at(51), DAY).since_ns), (0, None), "one was good");
}

fn restored(text: &str) -> Result<EventLog, String> {
    let snapshot: Snapshot = serde_json::from_str(text).map_err(|e| e.to_string())?;
    EventLog::restore(TICK_NS, 30 * DAY, &snapshot, START).map_err(|e| e.to_string())
}

#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    let with = |ticks: &str, run: &str| {
        format!(
            r#"{{"tick_ns":{TICK_NS},"last_ns":{START},"run":{run},"ticks":{ticks},"minutes":[],"hours":[]}}"#
        )
    };
    let no_run = r#"{"ticks":0,"bad":0,"since_ns":null}"#;
    restored(&with("[[1561,1,2,60000]]", no_run)).unwrap();
    for (ticks, cause) in [
        ("[[1562,1,2,0]]", "not as long"),
        ("[[4294967295,0,0,0],[4294967295,0,0,0]]", "not as long"),
        ("[[0,1,2,0]]", "not as long"),
        ("[[1,1099511627776,0,0]]", "more than a slot"),
        ("[[1,0,18446744073709551615,0]]", "more than a slot"),
        ("[[1,0,0,60001]]", "more than a slot"),
        ("[[1,0,0,-1]]", "invalid value"),
    ] {
        let told = restored(&with(ticks, no_run)).unwrap_err();
        assert!(told.contains(cause), "{ticks}: {told}");
    }
    for run in [
        r#"{"ticks":1,"bad":1,"since_ns":null}"#,
        r#"{"ticks":3,"bad":1,"since_ns":5}"#,
        r#"{"ticks":1,"bad":1,"since_ns":18446744073709551615}"#,
    ] {
        assert!(restored(&with("[]", run)).unwrap_err().contains("run"), "{run}");
    }
}

#[test]
fn another_tick_costs_the_ticks_alone() {
    let mut log = EventLog::new(TICK_NS, 30 * DAY);
    log.add(START, 5, 1, TICK_NS);
    let wrong = EventLog::restore(2 * TICK_NS, 30 * DAY, &log.snapshot(), START).unwrap_err();
    assert_eq!(wrong, RestoreError::Tick { found: TICK_NS, wanted: 2 * TICK_NS });
    let snapshot = log.snapshot().with_tick(2 * TICK_NS);
    let other = EventLog::restore(2 * TICK_NS, 7 * DAY, &snapshot, START).unwrap();
    assert_eq!((other.sum(START, HOUR).good, other.sum(START, DAY).good), (0, 5));
}

#[test]
fn no_broken_snapshot_panics() {
    let (mut log, mut random) = (EventLog::new(TICK_NS, 30 * DAY), fastrand::Rng::with_seed(3));
    (0..200).for_each(|i| log.add(START + i * 7 * MINUTE, random.u64(..2), random.u64(..2), TICK_NS));
    let sound = serde_json::to_string(&log.snapshot()).unwrap();
    let places: Vec<usize> = sound.match_indices(|c: char| c.is_ascii_digit()).map(|found| found.0).collect();
    let mut refused = 0;
    for _ in 0..2000 {
        let mut broken = sound.clone();
        for _ in 0..random.usize(1..4) {
            let at = places[random.usize(..places.len())];
            let extreme = ["9", "0", "18446744073709551615", "4294967295", "65535", "-1"][random.usize(..6)];
            broken.replace_range(at..at + 1, extreme);
        }
        match restored(&broken) {
            Err(_) => refused += 1,
            Ok(mut log) => {
                log.add(START + MINUTE, 1, 1, u64::MAX);
                assert!(log.sum(START + MINUTE, 30 * DAY).bad > 0 && log.run(START, DAY).ticks == 0);
            }
        }
    }
    assert!(refused > 200, "{refused} refused");
}

const PAIR: Pair = Pair { long_ns: HOUR, short_ns: 5 * MINUTE, factor: 14.4, severity: Severity::Page };

#[test]
fn a_pair_burns_if_both_windows_do_and_enough_is_known() {
    let sum = |good, bad, covered| Sum { good, bad, covered };
    let check = |long, short, burning, known| {
        let state = judge(&PAIR, long, short, 0.99, 5);
        assert_eq!((state.burning, state.known), (burning, known), "{state:?}");
    };
    let (long, short) = (sum(800, 200, 1.0), sum(80, 20, 1.0));
    check(long, short, true, true);
    check(sum(1000, 0, 1.0), short, false, true);
    check(long, sum(100, 0, 1.0), false, true);
    check(long, sum(0, 0, 1.0), false, true);
    check(sum(1, 4, 1.0), short, false, true);
    check(sum(0, 5, 1.0), short, true, true);
    check(sum(856, 144, 1.0), short, false, true);
    check(sum(855, 145, 1.0), short, true, true);
    check(sum(800, 200, 0.5), sum(80, 20, 0.95), true, true);
    check(sum(800, 200, 0.49), short, false, false);
    check(long, sum(80, 20, 0.9), false, false);
}

#[test]
fn burn_and_budget_are_those_of_the_workbook() {
    let near = |ours: f64, theirs: f64| assert!((ours / theirs - 1.0).abs() < 1e-9, "{ours} {theirs}");
    let sum = |good, bad| Sum { good, bad, covered: 1.0 };
    assert_eq!((burn(sum(0, 0), 0.999), burn(sum(9, 0), 0.999)), (None, Some(0.0)));
    near(burn(sum(998, 2), 0.999).unwrap(), 2.0);
    assert_eq!((burn(sum(9, 0), 1.0), burn(sum(9, 1), 1.0)), (Some(0.0), Some(f64::INFINITY)));
    assert_eq!((budget_left(sum(0, 0), 0.999), budget_left(sum(9, 0), 1.0)), (1.0, 1.0));
    near(budget_left(sum(9990, 5), 0.999), 1.0 - 5.0 / 9.995);
    near(budget_left(sum(9980, 20), 0.999), -1.0);
    near(largest_factor(0.9), 5.0);
    for (period, factors) in [
        (30 * DAY, [14.4, 6.0, 3.0, 1.0]),
        (28 * DAY, [13.44, 5.6, 2.8, 0.933_333_333_333]),
        (7 * DAY, [13.44, 3.5, 1.4, 0.98]),
    ] {
        let pairs = default_pairs(period);
        pairs.iter().zip(factors).for_each(|(pair, factor)| near(pair.factor, factor));
        assert!(pairs.iter().all(|pair| pair.short_ns * 12 == pair.long_ns));
        let pages: Vec<bool> = pairs.iter().map(|pair| pair.severity == Severity::Page).collect();
        assert_eq!(pages, [true, true, false, false]);
    }
}

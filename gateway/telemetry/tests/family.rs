//! Families and the registry from outside: what a room relies on.

use std::thread;
use std::time::Duration;

use weir_telemetry::family::IDLE;
use weir_telemetry::{Cap, Counter, Family, Gauge, Histogram, Registry, Sample, Spec, SpecFault, Value};

fn counter(cap: Cap) -> Family<Counter> {
    Family::new(Spec::counter("events_total", "Events.", &["route", "kind"]), cap)
}

fn labels(samples: &[Sample]) -> Vec<Vec<&str>> {
    samples.iter().map(|s| s.labels.iter().map(|l| &**l).collect()).collect()
}

fn total(family: &Family<Counter>) -> f64 {
    let value = |s: Sample| match s.value {
        Value::Counter(x) => x,
        _ => panic!("a counter"),
    };
    family.samples().into_iter().map(value).sum()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn threads_with_cells_of_their_own_sum_exactly_while_being_read() {
    const THREADS: u64 = 8;
    const EACH: u64 = 100_000;
    let counts = counter(Cap::Closed);
    let spec = Spec::histogram("size_bytes", "Sizes.", &[1.0, 2.0, 3.0], &[]);
    let sizes = Family::<Histogram>::new(spec, Cap::Closed);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (own, shared) = (counts.local(&["r", "own"]), counts.get(&["r", "shared"]));
                let (size, common) = (sizes.local(&[]), sizes.get(&[]));
                for i in 0..EACH {
                    own.bump(1);
                    shared.inc();
                    size.observe_local((i % 4) as f64);
                    common.observe((i % 4) as f64);
                }
            });
        }
        let mut last = 0.0;
        while last < (2 * THREADS * EACH) as f64 {
            let now = total(&counts);
            assert!(now >= last, "a scrape saw {now} after {last}");
            last = now;
            thread::yield_now();
        }
    });
    let values: Vec<Value> = counts.samples().into_iter().map(|s| s.value).collect();
    assert_eq!(values, [Value::Counter((THREADS * EACH) as f64), Value::Counter((THREADS * EACH) as f64)]);
    let quarter = 2 * THREADS * EACH / 4;
    let Value::Histogram { counts, sum, .. } = &sizes.samples()[0].value else { panic!("a histogram") };
    assert_eq!((counts.as_slice(), *sum), (&[2 * quarter, quarter, quarter, 0][..], (6 * quarter) as f64));
}

#[test]
fn cells_of_writers_that_are_gone_are_folded_and_lose_nothing() {
    let family = counter(Cap::Closed);
    for _ in 0..200 {
        let cell = family.local(&["r", "k"]);
        cell.bump(3);
        cell.add_f64(0.5);
    }
    assert_eq!(total(&family), 700.0);
    let held = family.local(&["r", "k"]);
    family.local(&["r", "k"]).bump(1);
    held.bump(1);
    assert_eq!(total(&family), 702.0);
}

#[test]
fn touched_label_sets_are_there_at_zero() {
    let family = counter(Cap::Closed);
    family.touch(&[&["a", "x"], &["a", "y"]]);
    family.get(&["a", "y"]).add(4);
    family.touch(&[&["a", "y"]]);
    assert_eq!(labels(&family.samples()), [["a", "x"], ["a", "y"]]);
    assert_eq!(total(&family), 4.0);

    let family = counter(Cap::Closed);
    family.touch_product(&[&["a", "b"], &["x", "y"]]);
    assert_eq!(labels(&family.samples()), [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]);
}

#[test]
fn what_comes_after_the_cap_is_summed_by_route_and_counted() {
    let family = counter(Cap::Open { series: 2 });
    family.get(&["a", "1"]).inc();
    family.get(&["b", ""]).inc();
    (0..10).for_each(|i| family.get(&["b", &i.to_string()]).inc());
    family.get(&["c", "1"]).inc();
    family.get(&["a", "1"]).inc();
    let samples = family.samples();
    let told: Vec<_> =
        samples.iter().map(|s| (&*s.labels[0], &*s.labels[1], s.overflow, s.value.clone())).collect();
    let expect = [
        ("a", "1", false, Value::Counter(2.0)),
        ("b", "", false, Value::Counter(1.0)),
        ("b", "", true, Value::Counter(10.0)),
        ("c", "", true, Value::Counter(1.0)),
    ];
    assert_eq!(told, expect);
    assert_eq!(family.overflowed(), 11);
}

#[test]
fn an_idle_series_goes_after_a_day_without_change_unless_somebody_holds_it() {
    let family = counter(Cap::Open { series: 10 });
    let (held, local) = (family.get(&["held", ""]), family.local(&["local", ""]));
    family.get(&["idle", ""]).inc();
    family.get(&["busy", ""]).inc();
    family.sweep(SECOND);
    family.sweep(IDLE);
    assert_eq!(family.samples().len(), 4, "a second is missing to a day");
    family.get(&["busy", ""]).inc();
    family.sweep(SECOND + IDLE);
    assert_eq!(labels(&family.samples()), [["busy", ""], ["held", ""], ["local", ""]]);
    drop((held, local));
    family.sweep(SECOND + IDLE * 2);
    assert_eq!(family.samples().len(), 0);
}

#[test]
fn closed_families_and_overflow_sets_are_never_swept() {
    let (closed, open) = (counter(Cap::Closed), counter(Cap::Open { series: 1 }));
    closed.get(&["a", ""]);
    open.get(&["a", ""]);
    open.get(&["b", ""]);
    for day in 0..3 {
        closed.sweep(IDLE * day);
        open.sweep(IDLE * day);
    }
    assert_eq!(closed.samples().len(), 1);
    let left = open.samples();
    assert!(left.len() == 1 && left[0].overflow);
}

#[test]
fn removed_and_unretained_label_sets_are_absent() {
    let family = counter(Cap::Closed);
    family.touch(&[&["a", "x"], &["b", "x"], &["c", "x"]]);
    assert!(family.remove(&["a", "x"]));
    assert!(!family.remove(&["a", "x"]));
    family.retain(|labels| &*labels[0] == "c");
    assert_eq!(labels(&family.samples()), [["c", "x"]]);
}

#[test]
fn who_comes_late_brings_no_label_set_back() {
    let family = counter(Cap::Closed);
    family.touch(&[&["a", "x"], &["b", "x"]]);
    let early = family.known_local(&["a", "x"]).expect("it is there");
    family.known_local(&["b", "x"]).expect("so is this").bump(2);
    family.remove(&["a", "x"]);
    early.bump(1);
    assert!(family.known_local(&["a", "x"]).is_none());
    assert_eq!(labels(&family.samples()), [["b", "x"]]);
    assert_eq!(total(&family), 2.0);
}

#[test]
fn the_registry_refuses_in_words_what_would_break_a_scrape() {
    let registry = Registry::default();
    let spec = |labels: &[&str]| Family::<Gauge>::new(Spec::gauge("g", "G.", labels), Cap::Closed);
    registry.family(&spec(&["a"])).expect("registered");
    registry.family(&spec(&["a"])).expect("the same again");
    let error = registry.family(&spec(&["b"])).expect_err("another shape");
    assert_eq!((&*error.name, &error.fault), ("g", &SpecFault::Taken));
    let error = registry.family(&spec(&["instance"])).expect_err("the scraper's label");
    let expect = "metric `g` has the label `instance`, which the scraper or the format writes (rename it)";
    assert_eq!(error.to_string(), expect);

    let twin = Family::<Counter>::new(Spec::counter("g_total", "G.", &[]), Cap::Closed);
    let error = registry.family(&twin).expect_err("one family in OpenMetrics");
    assert_eq!(error.fault, SpecFault::Clash { other: "g".into() });
    registry.remove("g");
    registry.family(&twin).expect("the name is free again");
    let own =
        Family::<Counter>::new(Spec::counter("weir_series_overflow_total", "", &["metric"]), Cap::Closed);
    assert_eq!(registry.family(&own).expect_err("the registry's").fault, SpecFault::Own);
}

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use weir_exchange::{End, Protocol, Schema, Timing, TraceIds};
use weir_stats::sampling::Estimate;
use weir_telemetry::{Cap, Registry, Spec};

use super::*;
use crate::Metrics;

/// Remembers what is kept.
#[derive(Default)]
struct Kept(Mutex<Vec<KeptTrace>>);

impl Kept {
    fn take(&self) -> Vec<KeptTrace> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl TraceSink for Kept {
    fn kept(&self, trace: KeptTrace) {
        self.0.lock().unwrap().push(trace);
    }
}

struct Bench {
    keeper: Arc<Keeper>,
    kept: Arc<Kept>,
    now: Arc<AtomicU64>,
    registry: Registry,
}

const SECOND: u64 = 1_000_000_000;
const HALF: u64 = 1 << 55;

fn bench(rest: usize, budget: usize) -> Bench {
    let registry = Registry::default();
    let events = Spec::counter("weir_slo_events_total", "", &["slo", "definition", "good"]);
    let metrics = Metrics::new(&registry, Family::new(events, Cap::Closed)).unwrap();
    let labels = ["method", "route", "http_route", "status", "version", "error"];
    let durations = Family::<Histogram>::new(Spec::histogram("durations", "", &[1.0], &labels), Cap::Closed);
    registry.family(&durations).unwrap();
    durations.get(&["POST", "churn", "/p", "200", "1.1", ""]).observe(0.5);
    let (kept, now) = (Arc::new(Kept::default()), Arc::new(AtomicU64::new(0)));
    let clock = now.clone();
    let clock = Box::new(move || clock.load(Relaxed));
    let spans = (KeepRule { rest, budget }, kept.clone() as Arc<dyn TraceSink>);
    let parts = KeeperParts { spans: Some(spans), records: None };
    let keeper = Arc::new(Keeper::with_clock(parts, &metrics, durations, clock));
    Bench { keeper, kept, now, registry }
}

fn undecided(exchange: u32, ids: TraceIds, status: u16) -> Undecided {
    let facts = Box::new(SpanFacts { method: "POST", version: "1.1", ..SpanFacts::default() });
    let timing = Timing { start_unix_ns: 7 * SECOND, end_ns: SECOND / 2, ..Timing::default() };
    let traced = Traced {
        ids,
        timing,
        status,
        end: End::Complete,
        error: None,
        outcome: Outcome::Ok,
        request_bytes: 1,
        response_bytes: 1,
        rows: 1,
        observed: 1.0,
        facts: Some(facts),
    };
    Undecided { exchange, traced }
}

/// A batch of so many exchanges on a route, without columns.
fn batch(route: u32, exchanges: usize) -> Arc<Batch> {
    let name = if route == 0 { "churn".to_owned() } else { format!("route-{route}") };
    let route = weir_exchange::ObservedRoute {
        id: RouteId(route),
        pattern: "/p".into(),
        ..weir_exchange::ObservedRoute::named(&name, Some(Protocol::KserveV1))
    };
    let schema = Schema {
        id: SchemaId(route.id.0),
        version: 1,
        route: route.name.clone(),
        model: "m".into(),
        model_version: "1".into(),
        classification: None,
        columns: Vec::new(),
    };
    Arc::new(Batch {
        sequence: 1,
        route: Arc::new(route),
        schema: Arc::new(schema),
        rows: 0,
        exchanges,
        row_exchange: Vec::new(),
        columns: Vec::new(),
        outcomes: Vec::new(),
        trace_ids: Vec::new(),
        probabilities: Vec::new(),
        closed_unix_ns: 0,
    })
}

fn with(randomness: u64, head: HeadSample) -> TraceIds {
    TraceIds { trace_id: u128::from(randomness), span_id: 3, parent_id: 0, randomness, head }
}

fn says(exchange: u32, reason: &str, probability: f64) -> Verdict {
    Verdict { exchange, reason: reason.into(), probability }
}

fn join(bench: &Bench, all: Vec<Undecided>) -> Join {
    let told = vec![Told::default(); all.len()];
    Join::new(bench.keeper.clone(), batch(0, all.len()), all, told)
}

fn reasons(trace: &KeptTrace) -> Vec<&str> {
    trace.reasons.iter().map(|reason| &**reason).collect()
}

#[test]
fn judges_are_joined_and_the_most_generous_decides() {
    let bench = bench(0, 0);
    let ids = [with(HALF, HeadSample::Out), with(HALF - 1, HeadSample::Out), with(0, HeadSample::Out)];
    let all = ids.into_iter().zip(0..).map(|(ids, at)| undecided(at, ids, 200)).collect();
    let joined = join(&bench, all);
    joined.say("sampler", &[0, 1, 2].map(|exchange| says(exchange, "rest", 0.25)));
    joined.say("sampler", &[0, 1, 2].map(|exchange| says(exchange, "odd", 0.5)));
    joined.say("other", &[says(2, "error", 1.0), says(9, "nobody", 1.0)]);
    assert!(bench.kept.take().is_empty(), "not before the last of them is done");
    drop(joined);
    let kept = bench.kept.take();
    let told: Vec<_> = kept.iter().map(|k| (reasons(k), k.probability(), k.partial)).collect();
    // R = 1/2 is kept by 0.5 but not by 0.25, and what is a little lower by neither.
    assert_eq!(told, [(vec!["sampler:odd"], Some(0.5), true), (vec!["other:error"], Some(1.0), true)]);
}

#[test]
fn the_head_keeps_with_its_own_probability_and_an_unknown_one_stays_unknown() {
    let bench = bench(0, 0);
    let ids =
        [with(HALF, HeadSample::In(HALF)), with(HALF, HeadSample::Unknown), with(HALF, HeadSample::Out)];
    let all = ids.into_iter().zip(0..).map(|(ids, at)| undecided(at, ids, 200)).collect();
    let joined = join(&bench, all);
    joined.say("sampler", &[says(1, "error", 1.0)]);
    drop(joined);
    let kept = bench.kept.take();
    let told: Vec<_> = kept.iter().map(|k| (reasons(k), k.probability(), k.partial)).collect();
    assert_eq!(told, [(vec!["head"], Some(0.5), false), (vec!["head", "sampler:error"], None, false)]);
    let fate = |fate: &str| bench.keeper.metrics.traces.get(&[fate]).get();
    assert_eq!([fate("kept_known"), fate("kept_unknown"), fate("over_budget")], [1.0, 1.0, 0.0]);
}

#[test]
fn what_was_observed_with_a_probability_is_kept_with_less() {
    let bench = bench(0, 0);
    let mut one = undecided(0, with(HALF, HeadSample::In(HALF)), 200);
    one.traced.observed = 0.25;
    drop(join(&bench, vec![one]));
    assert_eq!(bench.kept.take()[0].probability(), Some(0.125));
}

#[test]
fn the_budget_holds_in_every_second_and_its_threshold_is_that_of_those_kept() {
    let bench = bench(0, 3);
    let all: Vec<_> = (0..10).map(|n| undecided(n, with(u64::from(n) << 52, HeadSample::Out), 200)).collect();
    let joined = join(&bench, all);
    joined.say("sampler", &(0..10).map(|exchange| says(exchange, "error", 1.0)).collect::<Vec<_>>());
    drop(joined);
    bench.keeper.tick();
    assert!(bench.kept.take().is_empty(), "the second is not over");
    bench.now.store(SECOND, Relaxed);
    bench.keeper.tick();
    let kept = bench.kept.take();
    let ids: Vec<u128> = kept.iter().map(|k| k.traced.ids.trace_id >> 52).collect();
    assert_eq!(ids, [9, 8, 7]);
    assert!(kept.iter().all(|k| k.threshold == Some((6 << 52) + 1)), "{kept:?}");
    assert_eq!(bench.keeper.metrics.traces.get(&["over_budget"]).get(), 7.0);

    // What waits when it is replaced goes out.
    let joined = join(&bench, vec![undecided(0, with(1, HeadSample::In(0)), 200)]);
    drop(bench.keeper);
    drop(joined);
    assert_eq!(bench.kept.take().len(), 1);
}

#[test]
fn only_kept_traces_leave_exemplars_and_only_at_values_that_were_counted() {
    let bench = bench(0, 0);
    let all =
        vec![undecided(0, with(5, HeadSample::Out), 200), undecided(1, with(HALF, HeadSample::In(0)), 200)];
    drop(join(&bench, all));
    drop(join(&bench, vec![undecided(0, with(HALF, HeadSample::In(0)), 404)]));
    let text = weir_telemetry::Format::OpenMetrics.encode(&bench.registry.gather());
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" # ")).collect();
    let expect = format!("# {{trace_id=\"{HALF:032x}\",span_id=\"{:016x}\"}} 0.5 7.500", 3);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with(&expect) && lines[0].contains("le=\"1.0\""), "{}", lines[0]);
}

/// Load that moves, errors that are always kept, slow ones at a third, a share of the rest by key, the head's
/// own share, and a budget over all: what is kept still tells how many there were of each kind.
#[test]
fn totals_estimated_from_what_is_kept_are_unbiased_under_load_that_moves() {
    const SEEDS: u64 = 400;
    let (mut covered, mut asked) = (0_u32, 0_u32);
    let mut relative = 0.0;
    for seed in 0..SEEDS {
        let bench = bench(10, 40);
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut truth: BTreeMap<(u32, u16, u128), u32> = BTreeMap::new();
        for second in 0..24_u64 {
            bench.now.store(second * SECOND, Relaxed);
            // A day's swing, with a burst in it.
            let load = if second == 18 { 300 } else { 60 + 50 * (second % 10) / 10 };
            for route in 0..2_u32 {
                let all: Vec<Undecided> = (0..load as u32)
                    .map(|n| {
                        let randomness = dice.u64(..) >> 8;
                        let sampled = randomness >= HALF + HALF / 2;
                        let head = if sampled { HeadSample::In(HALF + HALF / 2) } else { HeadSample::Out };
                        let status = if dice.u8(..100) < 10 + 5 * route as u8 { 503 } else { 200 };
                        let class = u128::from(dice.u8(..10) / 7);
                        *truth.entry((route, status, class)).or_default() += 1;
                        undecided(n, TraceIds { trace_id: class, ..with(randomness, head) }, status)
                    })
                    .collect();
                let errors = all.iter().filter(|one| one.traced.status == 503);
                let errors: Vec<Verdict> = errors.map(|one| says(one.exchange, "error", 1.0)).collect();
                let slow: Vec<Verdict> = (0..load as u32 / 4).map(|n| says(n, "slow", 1.0 / 3.0)).collect();
                let class = |one: &Undecided| one.traced.ids.trace_id as u64;
                let told = all.iter().map(|one| Told { class: class(one), ..Told::default() }).collect();
                let joined = Join::new(bench.keeper.clone(), batch(route, all.len()), all, told);
                joined.say("sampler", &errors);
                joined.say("sampler", &slow);
            }
        }
        drop(bench.keeper);
        let mut estimates: BTreeMap<(u32, u16, u128), Estimate> = BTreeMap::new();
        for trace in bench.kept.take() {
            let key = (trace.route.id.0, trace.traced.status, trace.traced.ids.trace_id);
            let estimate = estimates.entry(key).or_default();
            assert!(estimate.add(trace.probability().unwrap()));
        }
        for (key, truth) in truth {
            let truth = f64::from(truth);
            let estimate = estimates.get(&key).copied().unwrap_or_default();
            let (low, high) = estimate.interval(1.96);
            asked += 1;
            covered += u32::from((low..=high).contains(&truth));
            relative += estimate.total / truth - 1.0;
        }
    }
    let share = f64::from(covered) / f64::from(asked);
    assert!((0.93..=0.97).contains(&share), "{share:.4} of {asked} intervals cover");
    let bias = relative / f64::from(asked);
    assert!(bias.abs() < 0.01, "estimates are off by {bias:.4} on average");
}

//! What happened at a gateway, second by second, and when it was scraped.

use weir_telemetry::{Points, Sample, Value};

use crate::random::Random;
use crate::rules::{Rules, specs};
use crate::{JITTER_MS, STEP_MS};

pub(crate) const SECONDS: u64 = 4800;
pub(crate) const EDGES: [f64; 6] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const ROUTES: [&str; 2] = ["a", "b"];

/// Events a second, in thousandths: usual, a rush, and hardly anybody.
const LOAD: [(u64, u64); 3] = [(4000, 9000), (25_000, 50_000), (50, 300)];
const RETRIES: [(u64, u64); 2] = [(50, 300), (2500, 6000)];
const EVENTS: [(u64, u64); 2] = [(6000, 10_000), (12_000, 20_000)];
/// Of a thousand.
const ERRORS: [(u64, u64); 2] = [(2, 15), (250, 600)];
const SLOW: [(u64, u64); 2] = [(2, 10), (350, 700)];
const BAD: [(u64, u64); 2] = [(1, 4), (200, 400)];
/// A level moves within its band every so many seconds.
const MOVES_S: u64 = 20;
/// Longer than the long windows of the objective: where one outage leaves a window while another enters it,
/// its share can stay at the bound for long, and any difference at all decides.
const BAD_LEAST_S: u64 = 420;

/// Everything counted until the end of a second.
#[derive(Clone, Copy)]
struct Counted {
    routes: [AtRoute; 2],
    good: u64,
    bad: u64,
}

#[derive(Clone, Copy)]
struct AtRoute {
    ok: u64,
    bad: u64,
    retries: u64,
    latency: [u64; EDGES.len() + 1],
}

/// Events, rules over them, and when they were looked at.
pub(crate) struct History {
    pub(crate) number: u64,
    pub(crate) rules: Rules,
    /// When it was scraped, in ms.
    pub(crate) scrapes_ms: Vec<u64>,
    /// When Prometheus first evaluates, in ms.
    pub(crate) looks_from_ms: u64,
    seconds: Vec<Counted>,
}

impl History {
    pub(crate) fn new(number: u64) -> Self {
        let mut random = Random::new(number + 1);
        let rules = Rules::new(&mut random);
        let seconds = seconds(&mut random, rules.longest_s);
        let scrapes_ms = scrapes(&mut random, has_holes(number));
        Self { number, rules, scrapes_ms, looks_from_ms: random.below(STEP_MS), seconds }
    }

    pub(crate) fn has_holes(&self) -> bool {
        has_holes(self.number)
    }

    /// How far apart two changes may be: a scrape, and an evaluation.
    pub(crate) fn bound_ms(&self) -> u64 {
        let scrapes = if self.has_holes() { 2 } else { 1 };
        scrapes * STEP_MS + 2 * JITTER_MS + STEP_MS
    }

    /// The scope of its series.
    pub(crate) fn job(&self) -> String {
        format!("h{}", self.number)
    }

    /// What the counters say at a moment.
    pub(crate) fn points(&self, at_ms: u64) -> Vec<Points> {
        let now = &self.seconds[((at_ms / 1000) as usize).min(self.seconds.len() - 1)];
        let [mut calls, mut retries, mut latency, mut events] =
            specs().map(|spec| Points { spec, samples: Vec::new() });
        for (name, route) in ROUTES.iter().zip(&now.routes) {
            calls.samples.push(counter(&[name, "ok"], route.ok));
            calls.samples.push(counter(&[name, "bad"], route.bad));
            retries.samples.push(counter(&[name], route.retries));
            let counts = route.latency.to_vec();
            latency.samples.push(sample(&[name], Value::Histogram { edges: EDGES.into(), counts, sum: 0.0 }));
        }
        for (good, count) in [("true", now.good), ("false", now.bad)] {
            events.samples.push(counter(&["s", &self.rules.definition(), good], count));
        }
        vec![calls, retries, latency, events]
    }
}

fn has_holes(number: u64) -> bool {
    number % 2 == 1
}

fn counter(labels: &[&str], count: u64) -> Sample {
    sample(labels, Value::Counter(count as f64))
}

fn sample(labels: &[&str], value: Value) -> Sample {
    let labels = labels.iter().map(|label| (*label).into()).collect();
    Sample { labels, overflow: false, value, exemplars: Vec::new() }
}

/// A level that stays in one band for a while and then in another, and never lingers between them.
struct Tide {
    bands: &'static [(u64, u64)],
    least_s: u64,
    band: usize,
    until_s: u64,
    level: u64,
}

impl Tide {
    fn new(bands: &'static [(u64, u64)], least_s: u64) -> Self {
        Self { bands, least_s, band: 0, until_s: 0, level: 0 }
    }

    fn at(&mut self, random: &mut Random, second: u64) -> u64 {
        let turns = second >= self.until_s;
        if turns {
            let others = self.bands.len() as u64 - 1;
            self.band = (self.band + 1 + random.below(others) as usize) % self.bands.len();
            self.until_s = second + self.least_s + random.below(240);
        }
        if turns || second.is_multiple_of(MOVES_S) {
            let (low, high) = self.bands[self.band];
            self.level = low + random.below(high - low + 1);
        }
        self.level
    }
}

/// What moves at one route.
struct Route {
    load: Tide,
    errors: Tide,
    retries: Tide,
    slow: Tide,
}

impl Route {
    fn new(least_s: u64) -> Self {
        let [errors, retries, slow] = [&ERRORS, &RETRIES, &SLOW].map(|bands| Tide::new(bands, least_s));
        Self { load: Tide::new(&LOAD, least_s), errors, retries, slow }
    }

    fn step(&mut self, random: &mut Random, second: u64, counted: &mut AtRoute) {
        let (load, errors) = (self.load.at(random, second), self.errors.at(random, second));
        let (retries, slow) = (self.retries.at(random, second), self.slow.at(random, second));
        counted.retries += events(random, retries);
        for _ in 0..events(random, load) {
            let cell = if random.below(1000) < errors { &mut counted.bad } else { &mut counted.ok };
            *cell += 1;
            counted.latency[bucket(random, slow)] += 1;
        }
    }
}

/// Events of one second of which a thousandth of `milli` is the mean.
fn events(random: &mut Random, milli: u64) -> u64 {
    random.below(2 * milli + 1000) / 1000
}

fn bucket(random: &mut Random, slow: u64) -> usize {
    let (is_slow, at) = (random.below(1000) < slow, random.below(100));
    let (first, edges) = if is_slow { (3, [50, 85]) } else { (0, [70, 95]) };
    first + edges.iter().filter(|edge| at >= **edge).count()
}

/// `longest_s`: the longest window of a rule; what begins fills it before it ends.
fn seconds(random: &mut Random, longest_s: u64) -> Vec<Counted> {
    let before = random.pick(&[0, 100_000]);
    let at_route = AtRoute { ok: before, bad: 0, retries: before, latency: [before; EDGES.len() + 1] };
    let mut now = Counted { routes: [at_route; 2], good: 0, bad: 0 };
    let mut routes = [(); 2].map(|()| Route::new(longest_s + 90));
    let (mut load, mut bad) = (Tide::new(&EVENTS, BAD_LEAST_S), Tide::new(&BAD, BAD_LEAST_S));
    let mut all = vec![now];
    for second in 1..=SECONDS {
        for (route, counted) in routes.iter_mut().zip(&mut now.routes) {
            route.step(random, second, counted);
        }
        let (load, bad) = (load.at(random, second), bad.at(random, second));
        for _ in 0..events(random, load) {
            let cell = if random.below(1000) < bad { &mut now.bad } else { &mut now.good };
            *cell += 1;
        }
        all.push(now);
    }
    all
}

/// One every step from a moment of its own, each a little early or late. No minute has two holes: of one that
/// had, Prometheus might have one sample, and find nothing.
fn scrapes(random: &mut Random, holes: bool) -> Vec<u64> {
    let phase_ms = JITTER_MS + random.below(STEP_MS - JITTER_MS);
    let (mut all, mut in_a_row) = (Vec::new(), 0);
    for number in 0..SECONDS * 1000 / STEP_MS {
        let at_ms = number * STEP_MS + phase_ms - JITTER_MS + random.below(2 * JITTER_MS + 1);
        if holes && in_a_row > 4 && random.percent(6) {
            in_a_row = 0;
        } else {
            in_a_row += 1;
            all.push(at_ms);
        }
    }
    all
}

//! What an evaluation of many rules and objectives costs: `cargo bench -p weir-alert`.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_alert::{Catalogue, Common, Engine, Input, Plan};
use weir_config::Config;
use weir_telemetry::{Points, Sample, Shape, Spec, Value};

const RULES: usize = 1000;
const SLOS: usize = 100;
const ROUTES: usize = 20;
const OUTCOMES: [&str; 5] = ["ok", "timeout", "upstream_error", "client_error", "cancelled"];
/// At 15 s an evaluation, an hour.
const BEFORE: usize = 240;
const ROUNDS: usize = 201;
const INTERVAL_MS: u64 = 15_000;

fn main() {
    report("no rules; 100 objectives", "");
    report("1000 rules, each of a route; 100 objectives", &rules(of_route));
    report("1000 rules, each by route; 100 objectives", &rules(|form, _| by_route(form)));
}

/// Rules of every form in turn.
fn rules(rule: impl Fn(usize, usize) -> String) -> String {
    let rules = (0..RULES).map(|at| format!("[alert.rule{at}]\n{}", rule(at % 4, at / 4 % ROUTES)));
    rules.collect()
}

fn of_route(form: usize, route: usize) -> String {
    let of = format!("where = {{ route = \"route{route}\" }}\n");
    match form {
        0 => format!("rate = \"predictions_total\"\n{of}below = 0.1\n"),
        1 => format!(
            "ratio = \"predictions_total\"\nwhere = {{ route = \"route{route}\", outcome = \"timeout\" }}\n\
             of_where = {{ route = \"route{route}\" }}\nabove = 0.99\n"
        ),
        2 => format!("quantile = \"prediction_latency_seconds\"\nq = 0.95\n{of}above = 1000\n"),
        _ => format!("gauge = \"model_loaded\"\n{of}equals = 0\n"),
    }
}

fn by_route(form: usize) -> String {
    let by = "by = [\"route\"]\n";
    match form {
        0 => format!("rate = \"predictions_total\"\n{by}below = 0.1\n"),
        1 => {
            format!("ratio = \"predictions_total\"\nwhere = {{ outcome = \"timeout\" }}\n{by}above = 0.99\n")
        }
        2 => format!("quantile = \"prediction_latency_seconds\"\nq = 0.95\n{by}above = 1000\n"),
        _ => "gauge = \"model_loaded\"\nequals = 0\n".to_owned(),
    }
}

fn report(what: &str, rules: &str) {
    let (mut engine, mut points) = (engine(rules), points());
    let mut times = Vec::with_capacity(ROUNDS);
    for at in 0..BEFORE + ROUNDS {
        grow(&mut points);
        let input = Input {
            at_ms: (at as u64 + 1) * INTERVAL_MS,
            wall_ms: 0,
            generation: 1,
            points: &points,
            conditions: &[],
        };
        let begin = Instant::now();
        black_box(engine.step(&input));
        if at >= BEFORE {
            times.push(begin.elapsed());
        }
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (samples, windows) = engine.bytes();
    println!(
        "{what}, {} series: {:.2} ms an evaluation (slowest {:.2}), {} kB of samples, {} kB of windows",
        points.iter().map(|one| one.samples.len()).sum::<usize>(),
        ms(times[ROUNDS / 2]),
        ms(times[ROUNDS - 1]),
        samples / 1000,
        windows / 1000
    );
}

fn engine(rules: &str) -> Engine {
    let mut text =
        "[[route]]\nname = \"r\"\npath = \"/p\"\nbackend = \"b\"\nprotocol = \"mlflow\"\n[backend.b]\n\
                    endpoints = [\"http://127.0.0.1:9000\"]\n"
            .to_owned();
    for at in 0..SLOS {
        let _ = write!(text, "[slo.slo{at}]\nobjective = 0.999\n");
    }
    text += rules;
    let config = Config::parse(&text, "bench.toml", Path::new("/"), &|_| None);
    let config = config.unwrap_or_else(|faults| panic!("{faults}")).config;
    let specs = specs().into_iter().chain([Spec::counter(
        "weir_slo_events_total",
        "",
        &["slo", "definition", "good"],
    )]);
    let plan = Plan::new(&config, &Catalogue::new(specs, Vec::new()));
    let plan = plan.unwrap_or_else(|misfits| panic!("{misfits:?}"));
    let common = Common {
        alerting: config.alerting,
        instance: "bench".to_owned(),
        address: "http://127.0.0.1:9464".to_owned(),
        durable: true,
    };
    Engine::new(plan, common, 0)
}

fn specs() -> [Spec; 3] {
    let edges: Vec<f64> = (0..17).map(|i| 0.0005 * 2_f64.powi(i)).collect();
    [
        Spec::counter("predictions_total", "Predictions made.", &["route", "outcome"]),
        Spec::histogram("prediction_latency_seconds", "Latency.", &edges, &["route", "model"]),
        Spec::gauge("model_loaded", "Whether it is.", &["route", "model"]),
    ]
}

/// 200 series of routes, and two of each objective.
fn points() -> Vec<Points> {
    let counter = |labels: Vec<Arc<str>>, value| Sample {
        labels: labels.into(),
        overflow: false,
        value,
        exemplars: Vec::new(),
    };
    let mut all: Vec<Points> = specs().map(|spec| Points { spec, samples: Vec::new() }).into_iter().collect();
    for route in (0..ROUTES).map(|at| Arc::<str>::from(format!("route{at}"))) {
        for outcome in OUTCOMES {
            all[0].samples.push(counter(vec![route.clone(), outcome.into()], Value::Counter(0.0)));
        }
        let Shape::Histogram(edges) = &all[1].spec.shape else { return all };
        let value = Value::Histogram { edges: edges.clone(), counts: vec![0; edges.len() + 1], sum: 0.0 };
        for model in ["a", "b"] {
            all[1].samples.push(counter(vec![route.clone(), model.into()], value.clone()));
        }
        for model in ["a", "b", "c"] {
            all[2].samples.push(counter(vec![route.clone(), model.into()], Value::Gauge(1.0)));
        }
    }
    all
}

/// What happens between two looks.
fn grow(points: &mut [Points]) {
    for (at, sample) in points.iter_mut().flat_map(|one| &mut one.samples).enumerate() {
        match &mut sample.value {
            Value::Counter(x) => *x += (at % 7 * 10 + 3) as f64,
            Value::Histogram { counts, .. } => {
                counts.iter_mut().enumerate().for_each(|(cell, n)| *n += (cell * at % 5) as u64);
            }
            Value::Gauge(_) => {}
        }
    }
}

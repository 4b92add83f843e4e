//! What a scrape of 10,000 series costs: `cargo bench -p weir-telemetry`.

use std::hint::black_box;
use std::time::Instant;

use weir_telemetry::{Cap, Counter, Family, Format, Histogram, Registry, Spec};

const ROUNDS: usize = 51;

fn main() {
    report("10000 counters", &counters(10_000));
    report("500 histograms of 17 edges (10000 series)", &histograms(500));
}

fn report(what: &str, registry: &Registry) {
    let gather = median(|| registry.gather().len());
    let points = registry.gather();
    let text = median(|| Format::Text.encode(&points).len());
    let open = median(|| Format::OpenMetrics.encode(&points).len());
    let bytes = Format::Text.encode(&points).len();
    println!("{what}: gather {gather:.2} ms, text {text:.2} ms, openmetrics {open:.2} ms, {bytes} bytes");
}

/// Milliseconds.
fn median<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            black_box(work());
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn counters(series: u64) -> Registry {
    let help = "Predictions made.";
    let spec = Spec::counter("predictions_total", help, &["route", "model", "model_version", "outcome"]);
    let family = Family::<Counter>::new(spec, Cap::Closed);
    for i in 0..series {
        family.get(&[&format!("route{}", i % 100), "churn", &format!("v{}", i / 100), "ok"]).add(i * 977);
    }
    registered(&family)
}

fn histograms(series: u64) -> Registry {
    let edges: Vec<f64> = (0..17).map(|i| 0.0005 * 2_f64.powi(i)).collect();
    let spec = Spec::histogram("latency_seconds", "Latency.", &edges, &["route", "model"]).unit("seconds");
    let family = Family::<Histogram>::new(spec, Cap::Closed);
    for i in 0..series {
        let cell = family.get(&[&format!("route{i}"), "churn"]);
        (0..50).for_each(|k| cell.observe(0.0007 * f64::from(k)));
    }
    registered(&family)
}

fn registered<M: weir_telemetry::Metric>(family: &Family<M>) -> Registry {
    let registry = Registry::default();
    registry.family(family).expect("the name is free");
    registry
}

//! From a bucket of a histogram to the trace behind it: a Prometheus has the ids, a receiver has the traces.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use support::prometheus::Prometheus;
use support::{Gateway, eventually};

use super::receivers::{Oteltap, backend};
use super::spans::Span;
use super::{all_sent, configuration, to};
use crate::{WEIR, is_skipped};

const REQUESTS: usize = 10;

/// An exemplar, and the bucket that it hangs at.
#[derive(Debug)]
struct Exemplar {
    trace: String,
    span: String,
    value: f64,
    edge: f64,
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).expect("a number")
}

/// The exemplars of a metric that Prometheus has by now.
fn exemplars(prometheus: &Prometheus, metric: &str) -> Vec<Exemplar> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let (start, end) = ((now - 600).to_string(), (now + 600).to_string());
    let parameters = [("query", metric), ("start", &*start), ("end", &*end)];
    let answer = prometheus.ask("/api/v1/query_exemplars", &parameters);
    let mut found = Vec::new();
    for series in answer.as_array().into_iter().flatten() {
        assert_eq!(series["seriesLabels"]["model"], "churn");
        for exemplar in series["exemplars"].as_array().into_iter().flatten() {
            let label = |name: &str| exemplar["labels"][name].as_str().expect("a label").to_owned();
            let (value, edge) = (number(&exemplar["value"]), number(&series["seriesLabels"]["le"]));
            found.push(Exemplar { trace: label("trace_id"), span: label("span_id"), value, edge });
        }
    }
    found
}

/// Waits for so many exemplars and finds the span of each.
#[track_caller]
fn with_spans(prometheus: &Prometheus, metric: &str, least: usize, spans: &[Span]) -> Vec<(Exemplar, Span)> {
    let found = eventually(metric, || Some(exemplars(prometheus, metric)).filter(|some| some.len() >= least));
    let with_span = |exemplar: Exemplar| {
        assert!(exemplar.value <= exemplar.edge, "{exemplar:?}");
        let span = spans.iter().find(|span| (&span.trace, &span.id) == (&exemplar.trace, &exemplar.span));
        let span = span.unwrap_or_else(|| panic!("no span of {exemplar:?}")).clone();
        assert_eq!(span.attribute("weir.route"), "churn");
        (exemplar, span)
    };
    found.into_iter().map(with_span).collect()
}

#[test]
fn prometheus_names_traces_that_the_receiver_has() {
    if is_skipped("Prometheus, OtelTap and the OpenTelemetry SDK") {
        return;
    }
    let tap = Oteltap::start();
    let (_backend, model) = backend(&tap);
    let gateway = Gateway::start(WEIR, &configuration(model, &to(&tap, "sample = \"100%\""), ""));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let storage = ["--enable-feature=exemplar-storage"];
    let prometheus = Prometheus::start(folder.path(), gateway.admin(), &storage);
    for i in 0..REQUESTS {
        let reply = gateway.post("/predict", &format!("{{\"features\": [[{}, 20, 3]]}}", i * 17));
        assert_eq!(reply.status(), 200, "{}", reply.text());
    }
    all_sent(&gateway, REQUESTS * 2);
    let spans = eventually("the spans", || Some(tap.all()).filter(|spans| spans.len() >= REQUESTS * 3));

    for (exemplar, span) in with_spans(&prometheus, "prediction_latency_seconds_bucket", 1, &spans) {
        let took = (span.end_ns - span.start_ns) as f64 * 1e-9;
        assert!(exemplar.value > 0.0 && exemplar.value <= took, "{exemplar:?} in {took} s");
    }
    // Answers of different confidence hang at different buckets.
    for (exemplar, _) in with_spans(&prometheus, "prediction_confidence_bucket", 2, &spans) {
        assert!((0.5..=1.0).contains(&exemplar.value), "of two classes the better: {exemplar:?}");
    }
}

//! Our registry as one collector of the `prometheus` crate, for programs that already export through it.
//!
//! A bridge into somebody else's encoder: formats of our own (OpenMetrics, canonical `le`) are lost there,
//! families without samples too, since that crate takes an empty family for an error.

use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use crate::family::{Shape, Spec};
use crate::metric::{Sample, Value};
use crate::registry::{Points, Registry};

/// A [`Registry`] as a [`Collector`].
pub struct PrometheusBridge(Registry);

impl PrometheusBridge {
    /// The bridge of a registry.
    pub fn new(registry: Registry) -> Self {
        Self(registry)
    }
}

impl fmt::Debug for PrometheusBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrometheusBridge")
    }
}

impl Collector for PrometheusBridge {
    /// None: families come and go with plugins, and our registry has checked them against each other.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        self.0.gather().iter().filter(|points| !points.samples.is_empty()).map(family).collect()
    }
}

fn family(points: &Points) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(points.spec.name.to_string());
    family.set_help(points.spec.help.to_string());
    family.set_field_type(match points.spec.shape {
        Shape::Counter => proto::MetricType::COUNTER,
        Shape::Gauge => proto::MetricType::GAUGE,
        Shape::Histogram(_) => proto::MetricType::HISTOGRAM,
    });
    family.set_metric(points.samples.iter().map(|sample| metric(&points.spec, sample)).collect());
    family
}

fn metric(spec: &Spec, sample: &Sample) -> proto::Metric {
    let mut metric = proto::Metric::default();
    let named = spec.labels.iter().map(|l| &**l).zip(sample.labels.iter().map(|l| &**l));
    let overflow = sample.overflow.then_some(("overflow", "true"));
    metric.set_label(named.chain(overflow).map(|(name, value)| pair(name, value)).collect());
    match &sample.value {
        Value::Counter(x) => {
            let mut counter = proto::Counter::default();
            counter.set_value(*x);
            metric.set_counter(counter);
        }
        Value::Gauge(x) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(*x);
            metric.set_gauge(gauge);
        }
        Value::Histogram { edges, counts, sum } => metric.set_histogram(histogram(edges, counts, *sum)),
    }
    metric
}

fn pair(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram(edges: &[f64], counts: &[u64], sum: f64) -> proto::Histogram {
    let mut below = 0;
    let buckets = edges.iter().zip(counts).map(|(edge, count)| {
        below += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(*edge);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    histogram
}

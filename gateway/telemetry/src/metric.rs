//! The three kinds of cell. All are relaxed atomics: any thread may write, a scrape may read at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::family::Shape;

/// A monotonic sum. Whole and fractional amounts are kept apart so that counts stay exact beyond 2^53.
#[derive(Debug, Default)]
pub struct Counter {
    whole: AtomicU64,
    fraction: AtomicU64,
}

impl Counter {
    /// Adds a whole amount; any thread.
    pub fn add(&self, n: u64) {
        self.whole.fetch_add(n, Relaxed);
    }

    /// Adds one; any thread.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds a whole amount without a locked instruction: only for a cell with a single writer.
    pub fn bump(&self, n: u64) {
        self.whole.store(self.whole.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Adds a fractional, non-negative amount; any thread. Negative and non-finite amounts are ignored.
    pub fn add_f64(&self, x: f64) {
        if x.is_finite() && x > 0.0 {
            add_bits(&self.fraction, x);
        }
    }

    /// Raises the counter to an absolute total read elsewhere (kernel counters); never lowers it.
    pub fn raise_to(&self, total: u64) {
        self.whole.fetch_max(total, Relaxed);
    }

    /// The sum.
    pub fn get(&self) -> f64 {
        self.whole.load(Relaxed) as f64 + f64::from_bits(self.fraction.load(Relaxed))
    }

    /// The whole part.
    pub fn whole(&self) -> u64 {
        self.whole.load(Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, x: f64) {
        self.0.store(x.to_bits(), Relaxed);
    }

    /// Adds to the value; any thread.
    pub fn add(&self, x: f64) {
        add_bits(&self.0, x);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// Counts in buckets with fixed upper edges, inclusive as in Prometheus, and a sum.
#[derive(Debug)]
pub struct Histogram {
    edges: Arc<[f64]>,
    /// One an edge and one beyond the last; not cumulative.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram over rising, finite edges.
    pub fn new(edges: Arc<[f64]>) -> Self {
        let buckets = (0..=edges.len()).map(|_| AtomicU64::new(0)).collect();
        Self { edges, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts one value; NaN is not counted (its caller counts it as dropped). Any thread.
    pub fn observe(&self, x: f64) {
        if !x.is_nan() {
            self.buckets[self.bucket(x)].fetch_add(1, Relaxed);
            add_bits(&self.sum, x);
        }
    }

    /// Counts one value without locked instructions: only for a cell with a single writer.
    pub fn observe_local(&self, x: f64) {
        if !x.is_nan() {
            let bucket = &self.buckets[self.bucket(x)];
            bucket.store(bucket.load(Relaxed) + 1, Relaxed);
            self.sum.store((f64::from_bits(self.sum.load(Relaxed)) + x).to_bits(), Relaxed);
        }
    }

    /// [`Histogram::observe_local`] for many values: the sum is read and written once.
    pub fn observe_all_local(&self, values: impl Iterator<Item = f64>) {
        let mut sum = f64::from_bits(self.sum.load(Relaxed));
        for x in values.filter(|x| !x.is_nan()) {
            let bucket = &self.buckets[self.bucket(x)];
            bucket.store(bucket.load(Relaxed) + 1, Relaxed);
            sum += x;
        }
        self.sum.store(sum.to_bits(), Relaxed);
    }

    /// Adds counts gathered elsewhere over the same edges: one count a bucket and the sum of the values.
    pub fn merge(&self, counts: &[u64], sum: f64) {
        for (bucket, n) in self.buckets.iter().zip(counts) {
            if *n > 0 {
                bucket.fetch_add(*n, Relaxed);
            }
        }
        add_bits(&self.sum, sum);
    }

    /// The bucket a value falls in.
    pub fn bucket(&self, x: f64) -> usize {
        self.edges.partition_point(|edge| *edge < x)
    }

    /// The edges.
    pub fn edges(&self) -> &Arc<[f64]> {
        &self.edges
    }
}

fn add_bits(cell: &AtomicU64, x: f64) {
    // Ordering does not matter: nothing is published through this value.
    let _ = cell.fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + x).to_bits()));
}

/// What a cell holds at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Counter(f64),
    Gauge(f64),
    /// Not cumulative; one more bucket than edges.
    Histogram {
        edges: Arc<[f64]>,
        counts: Vec<u64>,
        sum: f64,
    },
}

impl Value {
    /// Adds another value of the same kind and edges; a gauge adds too (in-flight counts of several workers).
    pub fn absorb(&mut self, other: &Self) {
        match (self, other) {
            (Self::Counter(a), Self::Counter(b)) | (Self::Gauge(a), Self::Gauge(b)) => *a += b,
            (Self::Histogram { counts, sum, .. }, Self::Histogram { counts: more, sum: plus, .. }) => {
                counts.iter_mut().zip(more).for_each(|(a, b)| *a += b);
                *sum += plus;
            }
            _ => debug_assert!(false, "cells of one family are of one kind"),
        }
    }
}

/// A value that was counted, and the trace it is of: a scraper shows the one beside the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub trace_id: u128,
    pub span_id: u64,
    pub value: f64,
    /// When it was counted, Unix time in ns.
    pub unix_ns: u64,
}

/// One label set's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Values of the family's labels, in order.
    pub labels: Arc<[Arc<str>]>,
    /// The series that stands for everything past the cap.
    pub overflow: bool,
    pub value: Value,
    /// Of a histogram: the last of each bucket; empty if there is none.
    pub exemplars: Vec<Option<Exemplar>>,
}

/// A kind of cell a family can be made of.
pub trait Metric: Send + Sync + 'static {
    /// A zero cell for a family of this shape.
    fn zero(shape: &Shape) -> Self;
    /// The value now.
    fn read(&self) -> Value;
    /// Adds what another cell of the same family holds.
    fn merge_from(&self, other: &Self);
}

impl Metric for Counter {
    fn zero(_: &Shape) -> Self {
        Self::default()
    }
    fn read(&self) -> Value {
        Value::Counter(self.get())
    }
    fn merge_from(&self, other: &Self) {
        self.add(other.whole());
        self.add_f64(f64::from_bits(other.fraction.load(Relaxed)));
    }
}

impl Metric for Gauge {
    fn zero(_: &Shape) -> Self {
        Self::default()
    }
    fn read(&self) -> Value {
        Value::Gauge(self.get())
    }
    fn merge_from(&self, other: &Self) {
        self.add(other.get());
    }
}

impl Metric for Histogram {
    fn zero(shape: &Shape) -> Self {
        match shape {
            Shape::Histogram(edges) => Self::new(edges.clone()),
            Shape::Counter | Shape::Gauge => Self::new(Arc::from([])),
        }
    }
    fn read(&self) -> Value {
        Value::Histogram {
            edges: self.edges.clone(),
            counts: self.buckets.iter().map(|b| b.load(Relaxed)).collect(),
            sum: f64::from_bits(self.sum.load(Relaxed)),
        }
    }
    fn merge_from(&self, other: &Self) {
        for (mine, more) in self.buckets.iter().zip(&other.buckets) {
            mine.fetch_add(more.load(Relaxed), Relaxed);
        }
        add_bits(&self.sum, f64::from_bits(other.sum.load(Relaxed)));
    }
}

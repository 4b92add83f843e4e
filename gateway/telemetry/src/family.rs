//! One metric name and all its label sets.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashMap;

use crate::metric::{Metric, Sample, Value};

/// Kind and edges of a metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Counter,
    Gauge,
    /// Rising, finite upper edges; `+Inf` is implied.
    Histogram(Arc<[f64]>),
}

/// What a metric is, as everyone sees it: the telemetry is the public interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Full name as exposed; counters end in `_total`.
    pub name: Arc<str>,
    pub help: Arc<str>,
    /// OpenMetrics unit (`seconds`, `bytes`, `ratio`), a suffix of the name; empty for a plain count.
    pub unit: Arc<str>,
    pub shape: Shape,
    pub labels: Arc<[Arc<str>]>,
}

impl Spec {
    /// A counter.
    pub fn counter(name: &str, help: &str, labels: &[&str]) -> Self {
        Self::new(name, help, "", Shape::Counter, labels)
    }

    /// A gauge.
    pub fn gauge(name: &str, help: &str, labels: &[&str]) -> Self {
        Self::new(name, help, "", Shape::Gauge, labels)
    }

    /// A histogram over these edges.
    pub fn histogram(name: &str, help: &str, edges: &[f64], labels: &[&str]) -> Self {
        Self::new(name, help, "", Shape::Histogram(edges.into()), labels)
    }

    /// The same metric with a unit, which must be a suffix of the name (before `_total`).
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = unit.into();
        self
    }

    fn new(name: &str, help: &str, unit: &str, shape: Shape, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|l| Arc::from(*l)).collect();
        Self { name: name.into(), help: help.into(), unit: unit.into(), shape, labels }
    }
}

/// How many label sets a family may have, and what becomes of old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// Label values come from closed sets (routes, outcomes): exported from the first scrape, never dropped.
    Closed,
    /// At most `series` sets; what comes after goes to the overflow set. Sets idle for [`IDLE`] are dropped.
    Open { series: usize },
}

/// A family: cells by label set. Cloning shares it.
///
/// [`Family::get`] gives the one shared cell of a label set; [`Family::local`] gives its caller a private cell of the
/// set, so that a worker writes without sharing a cache line. A scrape sums them.
#[derive(Debug)]
pub struct Family<M>(Arc<Inner<M>>);

impl<M> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Inner<M> {
    spec: Spec,
    cap: Cap,
    /// Index of the `route` label, which the overflow set keeps.
    route: Option<usize>,
    series: Mutex<HashMap<Labels, Series<M>, ahash::RandomState>>,
    /// Requests for a label set that the cap sent to the overflow set.
    overflowed: AtomicU64,
}

/// Label values in the family's order.
type Labels = Arc<[Arc<str>]>;

#[derive(Debug)]
struct Series<M> {
    overflow: bool,
    shared: Arc<M>,
    /// Private cells; their owners (workers) live as long as the process.
    local: Vec<Arc<M>>,
    /// The value at the last sweep and when it last changed, for idle series.
    seen: Option<(Value, Duration)>,
}

/// A series of an open family that did not change for this long, and that nobody holds, is dropped.
pub const IDLE: Duration = Duration::from_secs(24 * 3600);

impl<M: Metric> Family<M> {
    /// An empty family.
    pub fn new(spec: Spec, cap: Cap) -> Self {
        let route = spec.labels.iter().position(|l| &**l == "route");
        let inner = Inner { spec, cap, route, series: Mutex::default(), overflowed: AtomicU64::new(0) };
        Self(Arc::new(inner))
    }

    /// What the family is.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// The shared cell of a label set, made at zero if it is new; past the cap, the overflow cell.
    /// Keep the cell rather than calling this for every event.
    pub fn get(&self, labels: &[&str]) -> Arc<M> {
        self.with_series(labels, |series, _| series.shared.clone())
    }

    /// A private cell of a label set, for one writer only.
    pub fn local(&self, labels: &[&str]) -> Arc<M> {
        self.with_series(labels, |series, shape| {
            let cell = Arc::new(M::zero(shape));
            series.local.push(cell.clone());
            cell
        })
    }

    /// Drops a label set, so that a thing which is gone is absent rather than 0. True if it was there.
    pub fn remove(&self, labels: &[&str]) -> bool {
        self.lock().remove(&intern(labels)).is_some()
    }

    /// Drops every label set for which `keep` is false.
    pub fn retain(&self, mut keep: impl FnMut(&[Arc<str>]) -> bool) {
        self.lock().retain(|labels, series| series.overflow || keep(labels));
    }

    /// Drops idle series of an open family; `now` is any monotonic clock. A cell somebody still holds is kept: what is
    /// written to it must not be lost.
    pub fn sweep(&self, now: Duration) {
        if self.0.cap == Cap::Closed {
            return;
        }
        self.lock().retain(|_, series| {
            let value = series.value();
            match &series.seen {
                Some((seen, at)) if *seen == value => {
                    now.saturating_sub(*at) < IDLE || Arc::strong_count(&series.shared) > 1 || series.overflow
                }
                _ => {
                    series.seen = Some((value, now));
                    true
                }
            }
        });
    }

    /// Every label set's value, sorted by label values.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = self
            .lock()
            .iter()
            .map(|(labels, s)| Sample { labels: labels.clone(), overflow: s.overflow, value: s.value() })
            .collect();
        samples.sort_by(|a, b| (a.overflow, &a.labels).cmp(&(b.overflow, &b.labels)));
        samples
    }

    /// How often a label set was refused a series of its own.
    pub fn overflowed(&self) -> u64 {
        self.0.overflowed.load(Relaxed)
    }

    fn with_series<R>(&self, labels: &[&str], take: impl FnOnce(&mut Series<M>, &Shape) -> R) -> R {
        let Inner { spec, cap, .. } = &*self.0;
        assert_eq!(labels.len(), spec.labels.len(), "label values of `{}` match its label names", spec.name);
        let mut all = self.lock();
        let mut key = intern(labels);
        let mut overflow = false;
        if let Cap::Open { series } = cap
            && all.len() >= *series
            && !all.contains_key(&key)
        {
            self.0.overflowed.fetch_add(1, Relaxed);
            overflow = true;
            key = self.overflow_key(labels);
        }
        let series = all.entry(key).or_insert_with(|| Series {
            overflow,
            shared: Arc::new(M::zero(&spec.shape)),
            local: Vec::new(),
            seen: None,
        });
        take(series, &spec.shape)
    }

    /// The overflow set keeps the route and empties the rest. One value more than there are labels keeps its key apart
    /// from a real set whose labels are all empty; exposition reads only as many values as there are names.
    fn overflow_key(&self, labels: &[&str]) -> Labels {
        let keep =
            |(i, l): (usize, &&str)| if Some(i) == self.0.route { Arc::from(*l) } else { Arc::from("") };
        let mut values: Vec<Arc<str>> = labels.iter().enumerate().map(keep).collect();
        values.push("overflow".into());
        values.into()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Labels, Series<M>, ahash::RandomState>> {
        // Nothing under this lock can panic half way; a poisoned map is still whole.
        self.0.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Metric> Series<M> {
    fn value(&self) -> Value {
        let mut value = self.shared.read();
        self.local.iter().for_each(|cell| value.absorb(&cell.read()));
        value
    }
}

fn intern(labels: &[&str]) -> Labels {
    labels.iter().map(|l| Arc::from(*l)).collect()
}

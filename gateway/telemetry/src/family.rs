//! One metric name and all its label sets.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{Equivalent, HashMap};

use crate::metric::{Counter, Exemplar, Histogram, Metric, Sample, Value};

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

    /// The name OpenMetrics calls the family by: without `_total` for a counter.
    pub fn base_name(&self) -> &str {
        match self.shape {
            Shape::Counter => self.name.strip_suffix("_total").unwrap_or(&self.name),
            Shape::Gauge | Shape::Histogram(_) => &self.name,
        }
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
/// [`Family::get`] gives the one shared cell of a label set; [`Family::local`] gives its caller a private
/// cell of the set, so that a worker writes without sharing a cache line. A scrape sums them.
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

/// Label values as a caller has them: looked up without allocating.
struct Borrowed<'a>(&'a [&'a str]);

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A slice of `&str` and one of `Arc<str>` feed the hasher the same bytes.
        self.0.hash(state);
    }
}

impl Equivalent<Labels> for Borrowed<'_> {
    fn equivalent(&self, key: &Labels) -> bool {
        self.0.len() == key.len() && self.0.iter().zip(key.iter()).all(|(a, b)| **a == **b)
    }
}

#[derive(Debug)]
struct Series<M> {
    overflow: bool,
    shared: Arc<M>,
    /// Private cells. One whose owner is gone is folded into `shared` when the next is asked for, so that
    /// reloads do not pile them up.
    local: Vec<Arc<M>>,
    /// The value at the last sweep and when it last changed, for idle series.
    seen: Option<(Value, Duration)>,
    /// The last of each bucket; empty if there is none.
    exemplars: Vec<Option<Exemplar>>,
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
        self.with_series(labels, Series::local)
    }

    /// The shared cell of a label set that is there; none is made. For a writer that may come late, when the
    /// thing it counts is gone already and was removed.
    pub fn known(&self, labels: &[&str]) -> Option<Arc<M>> {
        self.lock().get(&Borrowed(labels)).map(|series| series.shared.clone())
    }

    /// A private cell of a label set that is there, likewise.
    pub fn known_local(&self, labels: &[&str]) -> Option<Arc<M>> {
        let mut all = self.lock();
        all.get_mut(&Borrowed(labels)).map(|series| series.local(&self.0.spec.shape))
    }

    /// A private cell of the overflow set that these labels fall to: for a caller with a cap of its own.
    pub fn local_overflow(&self, labels: &[&str]) -> Arc<M> {
        self.with_overflow(labels, Series::local)
    }

    /// The shared cell of the overflow set that these labels fall to, likewise.
    pub fn overflow(&self, labels: &[&str]) -> Arc<M> {
        self.with_overflow(labels, |series, _| series.shared.clone())
    }

    fn with_overflow<R>(&self, labels: &[&str], take: impl FnOnce(&mut Series<M>, &Shape) -> R) -> R {
        let mut all = self.lock();
        self.0.overflowed.fetch_add(1, Relaxed);
        let shape = &self.0.spec.shape;
        let series = all.entry(self.overflow_key(labels)).or_insert_with(|| Series::new(true, shape));
        take(series, shape)
    }

    /// Makes label sets that are known beforehand, so that they are exported at 0 from the first scrape:
    /// the increase of a counter first seen at 40 is 0.
    pub fn touch(&self, sets: &[&[&str]]) {
        sets.iter().for_each(|labels| self.with_series(labels, |_, _| ()));
    }

    /// [`Family::touch`] for every combination of the values of each label, in label order.
    pub fn touch_product(&self, values: &[&[&str]]) {
        let sets = values.iter().fold(vec![Vec::new()], |sets: Vec<Vec<&str>>, values| {
            sets.iter().flat_map(|set| values.iter().map(move |v| [set.as_slice(), &[*v]].concat())).collect()
        });
        sets.iter().for_each(|labels| self.with_series(labels, |_, _| ()));
    }

    /// Drops a label set, so that a thing which is gone is absent rather than 0. True if it was there.
    pub fn remove(&self, labels: &[&str]) -> bool {
        self.lock().remove(&Borrowed(labels)).is_some()
    }

    /// Drops every label set for which `keep` is false.
    pub fn retain(&self, mut keep: impl FnMut(&[Arc<str>]) -> bool) {
        self.lock().retain(|labels, series| series.overflow || keep(labels));
    }

    /// Drops idle series of an open family; `now` is any monotonic clock. A cell somebody still holds is
    /// kept: what is written to it must not be lost.
    pub fn sweep(&self, now: Duration) {
        if self.0.cap == Cap::Closed {
            return;
        }
        self.lock().retain(|_, series| series.overflow || !series.idle(now));
    }

    /// Every label set's value, sorted by label values.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples: Vec<Sample> = self
            .lock()
            .iter()
            .map(|(labels, s)| Sample {
                labels: labels.clone(),
                overflow: s.overflow,
                value: s.value(),
                exemplars: s.exemplars.clone(),
            })
            .collect();
        samples.sort_by(|a, b| (a.overflow, &a.labels).cmp(&(b.overflow, &b.labels)));
        samples
    }

    /// How the number of label sets is bounded.
    pub fn cap(&self) -> Cap {
        self.0.cap
    }

    /// How often a label set was refused a series of its own.
    pub fn overflowed(&self) -> u64 {
        self.0.overflowed.load(Relaxed)
    }

    fn with_series<R>(&self, labels: &[&str], take: impl FnOnce(&mut Series<M>, &Shape) -> R) -> R {
        let Inner { spec, cap, .. } = &*self.0;
        assert_eq!(labels.len(), spec.labels.len(), "label values of `{}` match its label names", spec.name);
        let mut all = self.lock();
        if let Some(series) = all.get_mut(&Borrowed(labels)) {
            return take(series, &spec.shape);
        }
        let overflow = matches!(cap, Cap::Open { series } if all.len() >= *series);
        let key = if overflow {
            self.0.overflowed.fetch_add(1, Relaxed);
            self.overflow_key(labels)
        } else {
            intern(labels)
        };
        let series = all.entry(key).or_insert_with(|| Series::new(overflow, &spec.shape));
        take(series, &spec.shape)
    }

    /// The overflow set keeps the route and empties the rest. One value more than there are labels keeps
    /// its key apart from a real set whose labels are all empty; exposition reads only as many values as
    /// there are names.
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

impl Family<Counter> {
    /// What one label set has counted so far, in all its cells; 0 if it is not there.
    pub fn total(&self, labels: &[&str]) -> f64 {
        match self.lock().get(&Borrowed(labels)).map(Series::value) {
            Some(Value::Counter(total)) => total,
            _ => 0.0,
        }
    }
}

impl Family<Histogram> {
    /// Keeps an exemplar for the bucket its value falls in, in place of the one before. It is for a value
    /// that was counted: a label set that is not there gets none.
    pub fn exemplify(&self, labels: &[&str], exemplar: Exemplar) {
        let Shape::Histogram(edges) = &self.0.spec.shape else { return };
        let mut all = self.lock();
        let Some(series) = all.get_mut(&Borrowed(labels)) else { return };
        series.exemplars.resize(edges.len() + 1, None);
        series.exemplars[edges.partition_point(|edge| *edge < exemplar.value)] = Some(exemplar);
    }
}

impl<M: Metric> Series<M> {
    fn new(overflow: bool, shape: &Shape) -> Self {
        Self {
            overflow,
            shared: Arc::new(M::zero(shape)),
            local: Vec::new(),
            seen: None,
            exemplars: Vec::new(),
        }
    }

    fn local(&mut self, shape: &Shape) -> Arc<M> {
        self.fold_abandoned();
        let cell = Arc::new(M::zero(shape));
        self.local.push(cell.clone());
        cell
    }

    /// True if the value has not changed for [`IDLE`] and nobody can change it; notes the value if it has.
    fn idle(&mut self, now: Duration) -> bool {
        let value = self.value();
        match &self.seen {
            Some((seen, at)) if *seen == value => now.saturating_sub(*at) >= IDLE && !self.held(),
            _ => {
                self.seen = Some((value, now));
                false
            }
        }
    }

    /// A writer has a cell of this series.
    fn held(&self) -> bool {
        Arc::strong_count(&self.shared) > 1 || self.local.iter().any(|cell| Arc::strong_count(cell) > 1)
    }

    /// Moves what writers that are gone have counted into the shared cell.
    fn fold_abandoned(&mut self) {
        let shared = &self.shared;
        // `get_mut` succeeds only on the last reference, and then sees every write of the others.
        self.local.retain_mut(|cell| match Arc::get_mut(cell) {
            Some(abandoned) => {
                shared.merge_from(abandoned);
                false
            }
            None => true,
        });
    }

    fn value(&self) -> Value {
        let mut value = self.shared.read();
        self.local.iter().for_each(|cell| value.absorb(&cell.read()));
        value
    }
}

fn intern(labels: &[&str]) -> Labels {
    labels.iter().map(|l| Arc::from(*l)).collect()
}

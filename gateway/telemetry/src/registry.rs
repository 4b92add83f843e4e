//! Everything that can be scraped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::check::{self, SpecFault};
use crate::family::{Cap, Family, Spec};
use crate::metric::{Metric, Sample, Value};

/// Counts, by metric, what the caps of open families turned away; 0 from the first scrape.
pub const OVERFLOW: &str = "weir_series_overflow_total";

/// A part that can be scraped: a family, or something that computes its samples when asked (process metrics).
pub trait Source: Send + Sync {
    /// Appends what there is now.
    fn collect(&self, out: &mut Vec<Points>);
    /// Drops idle series; `now` is a monotonic clock.
    fn sweep(&self, _now: Duration) {}
    /// How often a cap refused a label set a series of its own; `None` if there is no cap.
    fn overflowed(&self) -> Option<u64> {
        None
    }
}

/// One family at the moment of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    pub spec: Spec,
    pub samples: Vec<Sample>,
}

/// One sample, for callers that compute it themselves.
pub type Point = Sample;

impl<M: Metric> Source for Family<M> {
    fn collect(&self, out: &mut Vec<Points>) {
        out.push(Points { spec: self.spec().clone(), samples: self.samples() });
    }
    fn sweep(&self, now: Duration) {
        Self::sweep(self, now);
    }
    fn overflowed(&self) -> Option<u64> {
        (self.cap() != Cap::Closed).then(|| Self::overflowed(self))
    }
}

/// The sources of one process. Cloning shares it.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<Arc<str>, Entry>>>);

struct Entry {
    spec: Option<Spec>,
    source: Arc<dyn Source>,
}

/// A metric that cannot be registered, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metric `{name}` {fault}")]
pub struct RegistryError {
    pub name: Arc<str>,
    pub fault: SpecFault,
}

impl Registry {
    /// Registers a family under its name. The same family again (equal spec) replaces the old source.
    ///
    /// # Errors
    /// The name is taken by a metric of another shape, names or labels break the Prometheus grammar, or a
    /// label is one the scraper writes (`job`, `instance`).
    pub fn family<M: Metric>(&self, family: &Family<M>) -> Result<(), RegistryError> {
        let spec = family.spec();
        let refuse = |fault| RegistryError { name: spec.name.clone(), fault };
        check::check(spec).map_err(refuse)?;
        let mut all = self.lock();
        for old in all.values().filter_map(|entry| entry.spec.as_ref()) {
            if old.name == spec.name {
                if old != spec {
                    return Err(refuse(SpecFault::Taken));
                }
            } else if check::clash(old, spec) {
                return Err(refuse(SpecFault::Clash { other: old.name.clone() }));
            }
        }
        all.insert(spec.name.clone(), Entry { spec: Some(spec.clone()), source: Arc::new(family.clone()) });
        Ok(())
    }

    /// Registers a computed source under a name of its own (`process`).
    pub fn source(&self, name: &str, source: Arc<dyn Source>) {
        self.lock().insert(name.into(), Entry { spec: None, source });
    }

    /// Forgets a family or source.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// The spec registered under a name.
    pub fn spec(&self, name: &str) -> Option<Spec> {
        self.lock().get(name)?.spec.clone()
    }

    /// Everything now, sorted by name; families without samples are included, so that the catalogue is
    /// complete. Sources that compute the same metric are joined; of two that disagree on its shape the
    /// first is kept, since a family that appears twice makes a scraper refuse everything.
    pub fn gather(&self) -> Vec<Points> {
        let sources: Vec<_> = self.lock().iter().map(|(name, e)| (name.clone(), e.source.clone())).collect();
        let mut out = Vec::with_capacity(sources.len() + 1);
        sources.iter().for_each(|(_, source)| source.collect(&mut out));
        out.extend(overflow(&sources));
        out.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        out.dedup_by(|later, first| {
            let same = later.spec.name == first.spec.name;
            if same && later.spec == first.spec {
                first.samples.append(&mut later.samples);
            }
            same
        });
        out
    }

    /// What [`Registry::gather`] finds under these names, in no order; what is registered under another name
    /// than it has is not found.
    pub fn gather_of(&self, names: &[Arc<str>]) -> Vec<Points> {
        let all = self.lock();
        let sources: Vec<_> = names.iter().filter_map(|name| Some(all.get(name)?.source.clone())).collect();
        drop(all);
        let mut out = Vec::with_capacity(sources.len());
        sources.iter().for_each(|source| source.collect(&mut out));
        out
    }

    /// Whether something is registered under a name.
    pub fn has(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }

    /// Drops idle series everywhere.
    pub fn sweep(&self, now: Duration) {
        let sources: Vec<_> = self.lock().values().map(|e| e.source.clone()).collect();
        sources.iter().for_each(|s| s.sweep(now));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Entry>> {
        // Nothing under this lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registry's own family; absent while nothing is capped.
fn overflow(sources: &[(Arc<str>, Arc<dyn Source>)]) -> Option<Points> {
    let samples: Vec<Sample> = sources
        .iter()
        .filter_map(|(name, source)| {
            let value = Value::Counter(source.overflowed()? as f64);
            Some(Sample { labels: Arc::from([name.clone()]), overflow: false, value, exemplars: Vec::new() })
        })
        .collect();
    let help = "Label sets without a series of their own, by the metric that is at its cap.";
    (!samples.is_empty()).then(|| Points { spec: Spec::counter(OVERFLOW, help, &["metric"]), samples })
}

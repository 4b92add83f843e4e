//! Everything that can be scraped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::family::{Family, Spec};
use crate::metric::{Metric, Sample};

/// A part that can be scraped: a family, or something that computes its samples when asked (process metrics).
pub trait Source: Send + Sync {
    /// Appends what there is now.
    fn collect(&self, out: &mut Vec<Points>);
    /// Drops idle series; `now` is a monotonic clock.
    fn sweep(&self, _now: Duration) {}
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
}

/// The sources of one process. Cloning shares it.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<Arc<str>, Entry>>>);

struct Entry {
    spec: Option<Spec>,
    source: Arc<dyn Source>,
}

/// A name is taken by a metric of another shape.
#[derive(Debug, thiserror::Error)]
#[error(
    "metric `{name}` is already registered with another kind, unit, label set or edges (rename one of them)"
)]
pub struct RegistryError {
    pub name: Arc<str>,
}

impl Registry {
    /// Registers a family under its name. The same family again (equal spec) replaces the old source.
    ///
    /// # Errors
    /// The name is taken by a metric of another shape.
    pub fn family<M: Metric>(&self, family: &Family<M>) -> Result<(), RegistryError> {
        let spec = family.spec();
        let mut all = self.lock();
        if let Some(Entry { spec: Some(old), .. }) = all.get(&spec.name)
            && old != spec
        {
            return Err(RegistryError { name: spec.name.clone() });
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

    /// Everything now, sorted by name; families without samples are included, so that the catalogue is complete.
    pub fn gather(&self) -> Vec<Points> {
        let sources: Vec<_> = self.lock().values().map(|e| e.source.clone()).collect();
        let mut out = Vec::with_capacity(sources.len());
        sources.iter().for_each(|s| s.collect(&mut out));
        out.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        out
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

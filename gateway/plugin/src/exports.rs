//! The plugins' metrics as the registry sees them: one source a metric name, made of a family for each key
//! that declares it. So every key has a cap of its own, and a key that is gone takes its series with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_telemetry::registry::Source;
use weir_telemetry::{
    Cap, Counter, Family, Gauge, Histogram, Points, Registry, RegistryError, Sample, Shape, Spec,
};

use crate::family::{AnyFamily, same_metric};

/// What one key declares.
pub(crate) struct Declared<'a> {
    pub(crate) key: &'a Arc<str>,
    pub(crate) specs: &'a [Spec],
}

/// All metric names that plugins export.
pub(crate) struct Exports {
    registry: Registry,
    names: Mutex<BTreeMap<Arc<str>, Arc<Exported>>>,
}

/// One metric name.
struct Exported {
    spec: Spec,
    keys: Mutex<Keys>,
}

struct Keys {
    /// Keys that declare it now.
    wanted: BTreeSet<Arc<str>>,
    families: BTreeMap<Arc<str>, AnyFamily>,
}

impl Exports {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, names: Mutex::default() }
    }

    /// Everything that keeps a whole new set from being exported, beside what the registry holds of others.
    /// Tried on a registry of its own, so that the rules are the registry's.
    pub(crate) fn check<'a>(&self, set: &[Declared<'a>]) -> Vec<(&'a Arc<str>, RegistryError)> {
        let scratch = Registry::default();
        let ours: BTreeSet<Arc<str>> = lock(&self.names).keys().cloned().collect();
        for points in self.registry.gather() {
            if !ours.contains(&points.spec.name) {
                // What is registered fits already; the registry's own metric does not, and nobody can take
                // its name.
                drop(register(&scratch, &points.spec));
            }
        }
        let mut faults = Vec::new();
        for Declared { key, specs } in set {
            for spec in *specs {
                if let Err(error) = register(&scratch, &with_known_help(&scratch, spec)) {
                    faults.push((*key, error));
                }
            }
        }
        faults
    }

    /// Exports what a new set declares and withdraws everything else.
    pub(crate) fn publish(&self, set: &[Declared<'_>]) {
        let mut wanted: BTreeMap<Arc<str>, (&Spec, BTreeSet<Arc<str>>)> = BTreeMap::new();
        for Declared { key, specs } in set {
            for spec in *specs {
                let (_, keys) = wanted.entry(spec.name.clone()).or_insert_with(|| (spec, BTreeSet::new()));
                keys.insert((*key).clone());
            }
        }
        let mut names = lock(&self.names);
        names.retain(|name, exported| {
            let stays = wanted.get(name).is_some_and(|(spec, _)| same_metric(spec, &exported.spec));
            if !stays {
                self.registry.remove(name);
            }
            stays
        });
        for (name, (spec, keys)) in wanted {
            let exported = names.entry(name.clone()).or_insert_with(|| {
                let exported = Arc::new(Exported::new(spec.clone()));
                self.registry.source(&name, exported.clone());
                exported
            });
            let mut mine = lock(&exported.keys);
            mine.families.retain(|key, _| keys.contains(key));
            mine.wanted = keys;
        }
    }

    /// Makes a key's cells visible, if the set that is published still wants them.
    pub(crate) fn attach(&self, key: &Arc<str>, family: &AnyFamily) {
        let names = lock(&self.names);
        let Some(exported) = names.get(&family.spec().name) else { return };
        let mut keys = lock(&exported.keys);
        if keys.wanted.contains(key) && same_metric(&exported.spec, family.spec()) {
            keys.families.insert(key.clone(), family.clone());
        }
    }
}

impl Exported {
    fn new(spec: Spec) -> Self {
        Self { spec, keys: Mutex::new(Keys { wanted: BTreeSet::new(), families: BTreeMap::new() }) }
    }
}

impl Source for Exported {
    fn collect(&self, out: &mut Vec<Points>) {
        let mut samples: Vec<Sample> = Vec::new();
        for family in lock(&self.keys).families.values() {
            for sample in family.samples() {
                // Overflow series carry the route alone, so that those of two keys can be one.
                let twin =
                    samples.iter_mut().find(|s| s.overflow && sample.overflow && s.labels == sample.labels);
                match twin {
                    Some(twin) => twin.value.absorb(&sample.value),
                    None => samples.push(sample),
                }
            }
        }
        samples.sort_by(|a, b| (a.overflow, &a.labels).cmp(&(b.overflow, &b.labels)));
        out.push(Points { spec: self.spec.clone(), samples });
    }

    fn sweep(&self, now: Duration) {
        lock(&self.keys).families.values().for_each(|family| family.sweep(now));
    }

    fn overflowed(&self) -> Option<u64> {
        Some(lock(&self.keys).families.values().map(AnyFamily::overflowed).sum())
    }
}

/// The help text of a metric that several keys declare is that of the first.
fn with_known_help(registry: &Registry, spec: &Spec) -> Spec {
    let help = registry.spec(&spec.name).filter(|known| same_metric(known, spec)).map(|known| known.help);
    Spec { help: help.unwrap_or_else(|| spec.help.clone()), ..spec.clone() }
}

fn register(registry: &Registry, spec: &Spec) -> Result<(), RegistryError> {
    let spec = spec.clone();
    match spec.shape {
        Shape::Counter => registry.family(&Family::<Counter>::new(spec, Cap::Closed)),
        Shape::Gauge => registry.family(&Family::<Gauge>::new(spec, Cap::Closed)),
        Shape::Histogram(_) => registry.family(&Family::<Histogram>::new(spec, Cap::Closed)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

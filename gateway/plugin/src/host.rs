//! The host: prepares sets of plugins and swaps them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::Engine;
use wasmtime::component::Linker;
use weir_exchange::status::PluginStatus;
use weir_telemetry::Registry;
use weir_telemetry::log::Logger;

use crate::cache::{Cache, digest};
use crate::context::Context;
use crate::engine::{self, Watchdog};
use crate::error::{HostError, LoadError, LoadFault};
use crate::exports::{Declared, Exports};
use crate::judge::{PluginJudge, Seat};
use crate::metrics::HostMetrics;
use crate::prepared::{self, Prepared};
use crate::slot::Slot;
use crate::spec::PluginSpec;

/// What a host is made with.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Folder for compiled components; `None`: they are compiled at every start.
    pub cache: Option<PathBuf>,
}

/// Everything plugins need, once a process. Cloning shares it.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Context>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) cache: Option<Cache>,
    pub(crate) metrics: HostMetrics,
    exports: Arc<Exports>,
    logger: Logger,
    running: Mutex<BTreeMap<Arc<str>, Running>>,
}

/// A plugin of the committed set.
#[derive(Clone)]
struct Running {
    prepared: Arc<Prepared>,
    slot: Arc<Slot>,
}

/// A whole set of plugins that passed every check. Dropping it changes nothing.
pub struct Set {
    host: Host,
    plugins: Vec<Arc<Prepared>>,
}

/// What a commit asks of whoever runs judges: all that are in neither list end.
pub struct Change {
    /// Plugins that go on untouched.
    pub keep: Vec<Arc<str>>,
    /// Judges to start, each when the one of its key, if there is one, has been dropped.
    pub new: Vec<PluginJudge>,
}

impl Host {
    /// Starts the engine and registers the host's metrics.
    ///
    /// # Errors
    /// The cache folder cannot be used, a metric's name is taken, or the engine or its watchdog does not
    /// start.
    pub fn new(options: HostOptions, registry: &Registry, log: &Logger) -> Result<Self, HostError> {
        let engine = engine::engine()?;
        let linker = engine::linker(&engine)?;
        let cache = options.cache.map(|folder| Cache::open(folder, &engine)).transpose()?;
        let metrics = HostMetrics::new();
        metrics.register(registry)?;
        Ok(Self(Arc::new(Inner {
            watchdog: Arc::new(Watchdog::start(&engine)?),
            engine,
            linker,
            cache,
            metrics,
            exports: Arc::new(Exports::new(registry.clone())),
            logger: log.clone(),
            running: Mutex::default(),
        })))
    }

    /// Checks, compiles and tries a whole new set; changes nothing. May take seconds.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn prepare(&self, specs: Vec<PluginSpec>) -> Result<Set, Vec<LoadError>> {
        let running: Vec<Arc<Prepared>> = self.running().values().map(|it| it.prepared.clone()).collect();
        let mut ready = running.clone();
        let (mut plugins, mut errors, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
        for spec in specs {
            let (key, path) = (spec.key.clone(), spec.path.clone());
            let refuse = |fault: LoadFault| fault.of(&key, &path);
            if !keys.insert(key.clone()) {
                errors.push(refuse(LoadFault::DuplicateKey));
                continue;
            }
            let component = digest(&spec.component);
            if let Some(same) = running.iter().find(|running| running.is(&spec, &component)) {
                plugins.push(same.clone());
                continue;
            }
            match prepared::prepare(&self.0, spec, &ready) {
                Ok((prepared, _)) => {
                    ready.push(prepared.clone());
                    plugins.push(prepared);
                }
                Err(faults) => errors.extend(faults.into_iter().map(refuse)),
            }
        }
        errors.extend(self.check_exports(&plugins));
        if errors.is_empty() { Ok(Set { host: self.clone(), plugins }) } else { Err(errors) }
    }

    /// How the plugins of the committed set are doing, by key.
    pub fn status(&self) -> Vec<PluginStatus> {
        self.running().values().map(Running::status).collect()
    }

    /// Prepares one plugin beside the running ones, for tools. Also gives its memory in bytes.
    pub(crate) fn prepare_one(&self, spec: &PluginSpec) -> Result<(Arc<Prepared>, usize), LoadError> {
        let refuse = |fault: LoadFault| fault.of(&spec.key, &spec.path);
        let first = |faults: Vec<LoadFault>| {
            faults.into_iter().next().unwrap_or_else(|| LoadFault::Compile("for no reason".to_owned()))
        };
        prepared::prepare(&self.0, spec.clone(), &[]).map_err(|faults| refuse(first(faults)))
    }

    pub(crate) fn watchdog(&self) -> &Arc<Watchdog> {
        &self.0.watchdog
    }

    fn check_exports(&self, plugins: &[Arc<Prepared>]) -> Vec<LoadError> {
        let faults = self.0.exports.check(&declared(plugins));
        let path = |key: &Arc<str>| {
            plugins.iter().find(|it| it.spec.key == *key).map_or("", |it| it.spec.path.as_str())
        };
        faults.into_iter().map(|(key, error)| LoadFault::Metric(error).of(key, path(key))).collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Running>> {
        // Nothing under this lock can panic half way.
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the plugins of a set declare.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// Every metric, and the gauge of every condition.
    pub specs: Vec<weir_telemetry::Spec>,
    /// Each condition by the plugin's key and its name, with the name of its gauge.
    pub conditions: Vec<[Arc<str>; 3]>,
}

impl Set {
    /// What these plugins would show, before any of them runs.
    pub fn declared(&self) -> Declaration {
        let mut all = Declaration::default();
        for prepared in &self.plugins {
            let plan = &prepared.plan;
            all.specs.extend(plan.specs.iter().cloned());
            for (condition, gauge) in plan.conditions.iter().zip(&plan.specs[plan.metrics..]) {
                all.conditions.push([prepared.spec.key.clone(), condition.name.clone(), gauge.name.clone()]);
            }
        }
        all
    }

    /// Makes this the set. Metrics of plugins that are gone are withdrawn at once; state of plugins that stay
    /// goes to their new judges when those begin.
    pub fn commit(self) -> Change {
        let Self { host, plugins } = self;
        let Inner { metrics, exports, logger, watchdog, .. } = &*host.0;
        let mut running = host.running();
        let mut before = std::mem::take(&mut *running);
        let mut change = Change { keep: Vec::new(), new: Vec::new() };
        exports.publish(&declared(&plugins));
        for prepared in plugins {
            let key = prepared.spec.key.clone();
            let slot = match before.remove(&key) {
                // By value: another set may have been committed since this one was prepared.
                Some(same) if same.prepared.is(&prepared.spec, &prepared.digest) => {
                    change.keep.push(key.clone());
                    running.insert(key, same);
                    continue;
                }
                Some(other) => other.slot,
                None => Arc::new(Slot::new(&key, metrics)),
            };
            metrics.introduce(&key, &prepared.identity, &prepared.digest_hex());
            let seat = Seat {
                slot: slot.clone(),
                exports: Some(exports.clone()),
                watchdog: watchdog.clone(),
                logger: logger.source(&format!("plugin.{key}")),
                cpu: prepared.spec.limits.cpu,
            };
            change.new.push(PluginJudge::new(prepared.clone(), seat));
            running.insert(key, Running { prepared, slot });
        }
        before.keys().for_each(|gone| metrics.forget(gone));
        drop(running);
        change
    }
}

impl Running {
    fn status(&self) -> PluginStatus {
        let Self { prepared, slot } = self;
        let Prepared { spec, identity, plan, .. } = &**prepared;
        PluginStatus {
            key: spec.key.clone(),
            name: identity.name.clone(),
            version: identity.version.clone(),
            description: identity.description.clone(),
            path: spec.path.clone(),
            digest: prepared.digest_hex(),
            state: slot.state(),
            last_fault: slot.last_fault(),
            routes: spec.routes.clone().unwrap_or_default(),
            batches: slot.cells.batches.whole(),
            rows: slot.cells.rows.whole(),
            faults: slot.cells.faults.iter().map(|faults| faults.whole()).sum(),
            cpu_seconds: slot.cells.cpu.get(),
            memory_bytes: slot.cells.memory.get() as u64,
            metrics: plan.specs.iter().map(|spec| spec.name.to_string()).collect(),
            conditions: slot.conditions.lock().states(),
            verdicts: slot.verdicts(&plan.reasons),
        }
    }
}

fn declared(plugins: &[Arc<Prepared>]) -> Vec<Declared<'_>> {
    plugins.iter().map(|it| Declared { key: &it.spec.key, specs: &it.plan.specs }).collect()
}

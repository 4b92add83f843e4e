//! The host: prepares sets of plugins and swaps them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::Engine;
use wasmtime::component::Linker;
use weir_exchange::status::PluginStatus;
use weir_profile::Profile;
use weir_telemetry::Registry;
use weir_telemetry::log::Logger;

use crate::cache::{Cache, digest};
use crate::context::Context;
use crate::engine::{self, Watchdog};
use crate::error::{HostError, LoadError, LoadFault};
use crate::exports::{Declared, Exports};
use crate::findings::{Finding, FindingSink, Findings};
use crate::judge::{PluginJudge, Seat};
use crate::metrics::HostMetrics;
use crate::prepared::{self, Prepared};
use crate::slot::Slot;
use crate::spec::PluginSpec;
use crate::tally::{Coverage, Keep, LiveCounts};

/// What a host is made with.
#[derive(Clone, Default)]
pub struct HostOptions {
    /// Folder for compiled components; `None`: they are compiled at every start.
    pub cache: Option<PathBuf>,
    /// Folder for what is kept over a restart; `None`: nothing is. Its folder `tallies` is the host's.
    pub state_dir: Option<PathBuf>,
    /// Is given each finding that a plugin reports.
    pub findings: Option<FindingSink>,
    /// Knows which exchanges were answered and not decoded; `None`: as far as is known there were none.
    pub coverage: Option<Arc<dyn Coverage>>,
}

impl fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cache, state_dir, .. } = self;
        f.debug_struct("HostOptions")
            .field("cache", cache)
            .field("state_dir", state_dir)
            .finish_non_exhaustive()
    }
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
    /// Folder of the tallies.
    tallies: Option<PathBuf>,
    findings: Findings,
    coverage: Option<Arc<dyn Coverage>>,
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
            tallies: options.state_dir.map(|folder| folder.join("tallies")),
            findings: Findings::new(options.findings),
            coverage: options.coverage,
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

    /// The latest finding of each plugin about each model and of each kind.
    pub fn findings(&self) -> Vec<Finding> {
        let running = self.running();
        let mut findings = self.0.findings.all();
        // A judge that is being replaced may report once more.
        findings.retain(|finding| running.contains_key(&finding.plugin));
        findings
    }

    /// What the tallies of a plugin hold of a model (route, model, version) now, by name; copied while the
    /// plugin's judge waits, so it is not for every second.
    pub fn live(&self, key: &str, model: [&str; 3]) -> Vec<LiveCounts> {
        let slot = self.running().get(key).map(|running| running.slot.clone());
        slot.map(|slot| slot.tallies.lock().live(model)).unwrap_or_default()
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

/// A plugin of a set as it was when it was tried.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'s> {
    /// Its key in the configuration.
    pub key: &'s Arc<str>,
    /// What it would show; the gauges of its conditions are among them.
    pub specs: &'s [weir_telemetry::Spec],
    pub profiles: &'s [Arc<Profile>],
    /// What it said of traffic that is as its profiles say.
    pub findings: &'s [Finding],
}

impl Set {
    /// What trying each of these plugins has shown.
    pub fn tried(&self) -> impl Iterator<Item = Tried<'_>> {
        self.plugins.iter().map(|it| Tried {
            key: &it.spec.key,
            specs: &it.plan.specs,
            profiles: &it.spec.profiles,
            findings: it.found.get().map_or(&[], Vec::as_slice),
        })
    }

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
        let Inner { metrics, exports, logger, watchdog, findings, coverage, tallies, .. } = &*host.0;
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
                findings: findings.clone(),
                coverage: coverage.clone(),
                keep: tallies.as_ref().map(|folder| Keep::new(folder, &key)),
            };
            change.new.push(PluginJudge::new(prepared.clone(), seat));
            running.insert(key, Running { prepared, slot });
        }
        before.keys().for_each(|gone| {
            metrics.forget(gone);
            findings.retain(gone, |_| false);
        });
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

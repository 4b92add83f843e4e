//! Models and plugins: read from files or from the binary itself, checked, and made ready.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use sha2::{Digest, Sha256};
use weir_config::{Artifact, Backend, BackendKind, Config, Local, Misfit, Plugin};
use weir_exchange::LoadSpan;
use weir_inference::{Algorithm, Model, ServeOptions, Served, TrainOptions};
use weir_plugin::{Coverage, FindingSink, Host, HostOptions, Limits, LoadError, LoadFault, PluginSpec, Set};
use weir_profile::{LARGEST_FILE, Profile};
use weir_proxy::LocalModel;
use weir_telemetry::log::{Field, Logger};
use weir_telemetry::{Registry, spans};

use crate::cli::CliError;
use crate::exports::Tracer;
use crate::seams::InProcess;

/// SHA-256 of a file, or of what is compiled in.
pub(crate) type Sha = [u8; 32];

/// The churn data the binary carries: what `builtin:churn` and the demo learn from.
pub(crate) const CHURN: &[u8] = include_bytes!("../../examples/churn/churn.csv");
/// The column of [`CHURN`] that is predicted.
pub(crate) const CHURN_TARGET: &str = "churn";

/// Plugins that were built before this binary: name and component.
const BUILTIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/builtin_plugins.rs"));

/// No model and no plugin is larger: what is longer is another file.
const LONGEST: u64 = 1 << 30;

/// Makes models and plugins ready, and keeps those in force.
pub(crate) struct Workshop {
    plugins: Host,
    logger: Logger,
    models: Mutex<Models>,
    churn: OnceLock<Arc<Model>>,
}

/// The local models of a generation, by backend.
#[derive(Clone, Default)]
pub(crate) struct Models(BTreeMap<Arc<str>, Loaded>);

#[derive(Clone)]
struct Loaded {
    digest: Sha,
    config: Local,
    served: Arc<Served>,
    load: Arc<LoadSpan>,
    /// When loading began and ended, Unix time in ns.
    took: (u64, u64),
    announced: Arc<AtomicBool>,
}

/// The plugins of a generation, and what they were made from.
pub(crate) struct Plugins {
    pub(crate) set: Set,
    pub(crate) digests: BTreeMap<Arc<str>, Sha>,
}

impl Workshop {
    pub(crate) fn new(
        config: &Config,
        registry: &Registry,
        logger: &Logger,
        (findings, coverage): (FindingSink, Arc<dyn Coverage>),
    ) -> Result<Self, CliError> {
        let state_dir = config.gateway.state_dir.clone();
        let options = HostOptions {
            cache: state_dir.as_ref().map(|folder| folder.join("plugins")),
            state_dir,
            findings: Some(findings),
            coverage: Some(coverage),
        };
        let plugins = Host::new(options, registry, &logger.source("plugins"))?;
        Ok(Self {
            plugins,
            logger: logger.source("models"),
            models: Mutex::default(),
            churn: OnceLock::new(),
        })
    }

    /// Where plugins run.
    pub(crate) fn host(&self) -> Host {
        self.plugins.clone()
    }

    /// Loads the local models of a configuration; those that have not changed are taken over as they run.
    /// Every fault at once.
    pub(crate) fn models(&self, config: &Config) -> Result<Models, Vec<Misfit>> {
        let (mut models, mut misfits) = (Models::default(), Vec::new());
        for Backend { name, kind } in &config.backends {
            let BackendKind::Local(local) = kind else { continue };
            match self.model(name, local) {
                Ok(loaded) => drop(models.0.insert(name.clone(), loaded)),
                Err(why) => {
                    let what = format!("the model `{}` cannot be loaded: {why}", shown(&local.model));
                    misfits.push(misfit(&["backend", name, "model"], what));
                }
            }
        }
        if misfits.is_empty() { Ok(models) } else { Err(misfits) }
    }

    fn model(&self, backend: &Arc<str>, local: &Local) -> Result<Loaded, CliError> {
        let (digest, bytes) = model_bytes(&local.model)?;
        let same = |loaded: &&Loaded| loaded.digest == digest && loaded.config == *local;
        let running = self.kept().0.get(backend).filter(same).cloned();
        running.map_or_else(|| self.load(digest, bytes.as_deref(), local), Ok)
    }

    /// These models are in force: they are taken over by the next generation if it has them too.
    pub(crate) fn keep(&self, models: Models) {
        *self.kept() = models;
    }

    fn load(&self, digest: Sha, bytes: Option<&[u8]>, local: &Local) -> Result<Loaded, CliError> {
        let began = unix_ns();
        let model = match bytes {
            Some(bytes) => Arc::new(Model::from_bytes(bytes)?),
            None => self.churn()?,
        };
        let options =
            ServeOptions { name: local.model_name.clone(), threads: local.threads, queue: local.queue };
        let served = Arc::new(Served::start(model, options)?);
        let (name, version) = (served.name(), served.version());
        let fields = [("model", Field::from(name)), ("model_version", Field::from(version))];
        self.logger.info("model loaded", &fields);
        Ok(Loaded {
            digest,
            config: local.clone(),
            served,
            load: Arc::new(LoadSpan::new(fastrand::u128(1..), fastrand::u64(1..))),
            took: (began, unix_ns()),
            announced: Arc::default(),
        })
    }

    /// `builtin:churn`, trained when first asked for: well under a second, and no binary blob in the sources.
    fn churn(&self) -> Result<Arc<Model>, CliError> {
        if let Some(model) = self.churn.get() {
            return Ok(model.clone());
        }
        let options = TrainOptions {
            target: CHURN_TARGET.into(),
            algorithm: Algorithm::LogisticRegression,
            name: CHURN_TARGET.into(),
            ..TrainOptions::default()
        };
        let model = Arc::new(weir_inference::train(CHURN, &options)?);
        Ok(self.churn.get_or_init(|| model).clone())
    }

    /// Compiles and checks the plugins of a configuration; every fault at once.
    pub(crate) fn plugins(&self, config: &Config) -> Result<Plugins, Vec<Misfit>> {
        let (mut specs, mut digests, mut misfits) = (Vec::new(), BTreeMap::new(), Vec::new());
        for plugin in &config.plugins {
            let component = component(&plugin.path).map_err(|why| {
                let what = format!("the component `{}` cannot be loaded: {why}", shown(&plugin.path));
                misfit(&["plugin", &plugin.key, "path"], what)
            });
            match (component, self.profiles(plugin)) {
                (Ok(component), Ok(profiles)) => {
                    let mut digest = Sha256::new_with_prefix(&component);
                    profiles.iter().for_each(|profile| digest.update(&profile.digest));
                    digests.insert(plugin.key.clone(), digest.finalize().into());
                    specs.push(spec(plugin, component, profiles));
                }
                (component, profiles) => {
                    misfits.extend(component.err());
                    misfits.extend(profiles.err().into_iter().flatten());
                }
            }
        }
        match self.plugins.prepare(specs) {
            Ok(set) if misfits.is_empty() => return Ok(Plugins { set, digests }),
            Ok(_) => {}
            Err(refused) => misfits.extend(refused.iter().map(placed)),
        }
        Err(misfits)
    }

    /// The references of a plugin; every fault at once.
    fn profiles(&self, plugin: &Plugin) -> Result<Vec<Arc<Profile>>, Vec<Misfit>> {
        let place = ["plugin", &plugin.key, "config", "profile"];
        let named = plugin.profiles.as_ref().map_err(|wrong| vec![misfit(&place, wrong.to_string())])?;
        let (mut profiles, mut misfits) = (Vec::new(), Vec::new());
        for name in named {
            match self.profile(name) {
                Ok(profile) => profiles.push(profile),
                Err(why) => {
                    let what = format!("the profile `{}` cannot be read: {why}", shown(name));
                    misfits.push(misfit(&place, what));
                }
            }
        }
        if misfits.is_empty() { Ok(profiles) } else { Err(misfits) }
    }

    fn profile(&self, name: &Artifact) -> Result<Arc<Profile>, CliError> {
        match name {
            Artifact::File(path) => {
                let bytes = read(path, LARGEST_FILE as u64)?;
                Ok(Arc::new(Profile::read(&bytes)?))
            }
            Artifact::Builtin(name) => {
                Err(format!("no profile `{name}` is compiled in (make one with `weir profile build`)").into())
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Models> {
        // Nothing under this lock can panic half way.
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Models {
    /// As the request path asks them.
    pub(crate) fn seams(&self) -> HashMap<Arc<str>, Arc<dyn LocalModel>> {
        let seam = |loaded: &Loaded| {
            Arc::new(InProcess(loaded.served.clone(), loaded.load.clone())) as Arc<dyn LocalModel>
        };
        self.0.iter().map(|(name, loaded)| (name.clone(), seam(loaded))).collect()
    }

    /// Exports the span of each one's loading, once.
    pub(crate) fn announce(&self, tracer: Option<&Tracer>) {
        let Some(tracer) = tracer else { return };
        for Loaded { served, load, took, announced, .. } in self.0.values() {
            if !announced.swap(true, Relaxed) {
                tracer.offer(spans::load_model(load, served.name(), served.version(), *took));
            }
        }
    }

    /// What they were made from.
    pub(crate) fn digests(&self) -> BTreeMap<Arc<str>, Sha> {
        self.0.iter().map(|(name, loaded)| (name.clone(), loaded.digest)).collect()
    }
}

/// Limits as the plugin host takes them.
pub(crate) fn limits(from: &weir_config::PluginLimits) -> Limits {
    Limits {
        memory: from.memory,
        cpu: from.cpu,
        fuel_per_row: from.fuel_per_row,
        fuel_per_batch: from.fuel_per_batch,
        result_bytes: from.result_bytes,
        series: from.series,
        log_lines: from.log_lines,
    }
}

/// The component of a plugin that is compiled in.
pub(crate) fn builtin(name: &str) -> Option<&'static [u8]> {
    BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, component)| *component)
}

fn spec(plugin: &Plugin, component: Vec<u8>, profiles: Vec<Arc<Profile>>) -> PluginSpec {
    PluginSpec {
        key: plugin.key.clone(),
        path: shown(&plugin.path),
        component: component.into(),
        settings: plugin.config_json.clone(),
        routes: (!plugin.routes.is_empty()).then(|| plugin.routes.clone()),
        limits: limits(&plugin.limits),
        profiles,
    }
}

/// Where in the configuration to look for what is wrong with a plugin.
fn placed(error: &LoadError) -> Misfit {
    let key: &str = &error.key;
    match &error.fault {
        LoadFault::Settings { pointer, message } => {
            // Names as JSON pointers write them (RFC 6901).
            let names: Vec<String> =
                pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
            let names = names.iter().map(String::as_str);
            let path: Vec<&str> = ["plugin", key, "config"].into_iter().chain(names).collect();
            misfit(&path, message.clone())
        }
        fault => misfit(&["plugin", key, "path"], format!("the component `{}` {fault}", error.path)),
    }
}

fn misfit(path: &[&str], message: String) -> Misfit {
    Misfit { path: path.iter().map(ToString::to_string).collect(), message }
}

fn component(path: &Artifact) -> Result<Vec<u8>, String> {
    match path {
        Artifact::File(path) => read(path, LONGEST),
        Artifact::Builtin(name) => builtin(name).map(<[u8]>::to_vec).ok_or_else(|| missing(name)),
    }
}

fn missing(name: &str) -> String {
    let known: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    if known.is_empty() {
        return "this binary was built without plugins (build with `make build`)".into();
    }
    format!("no plugin `{name}` is compiled in (there are: {})", known.join(", "))
}

/// Digest and bytes of a model; no bytes for one that is trained from data that is compiled in.
fn model_bytes(path: &Artifact) -> Result<(Sha, Option<Vec<u8>>), String> {
    match path {
        Artifact::File(path) => read(path, LONGEST).map(|bytes| (Sha256::digest(&bytes).into(), Some(bytes))),
        Artifact::Builtin(name) if name == CHURN_TARGET => Ok((Sha256::digest(CHURN).into(), None)),
        Artifact::Builtin(name) => {
            Err(format!("no model `{name}` is compiled in (there is: {CHURN_TARGET})"))
        }
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is not a file".into());
    }
    if meta.len() > most {
        return Err(format!("it has {} bytes, more than {most}", meta.len()));
    }
    fs::read(path).map_err(|error| error.to_string())
}

fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// An artifact as the configuration names it.
pub(crate) fn shown(artifact: &Artifact) -> String {
    match artifact {
        Artifact::File(path) => path.display().to_string(),
        Artifact::Builtin(name) => format!("builtin:{name}"),
    }
}

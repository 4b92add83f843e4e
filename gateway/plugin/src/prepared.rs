//! A plugin that has passed every check and can be put to work at any time.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use weir_telemetry::log::Logger;

use crate::bindings::weir::plugin::types;
use crate::cache::{self, ComponentDigest};
use crate::context::Gate;
use crate::error::LoadFault;
use crate::findings::{Finding, Findings};
use crate::host::Inner;
use crate::instance::{Instance, Surroundings};
use crate::link::{Code, Linked, check_form, link};
use crate::metrics::{CodeFrom, HostMetrics};
use crate::plan::{self, Identity, Plan};
use crate::spec::PluginSpec;
use crate::synthetic::BEGIN_UNIX_NS;
use crate::trial::{Tried, trial};

/// Faults in the settings that are told of; a plugin can return thousands.
const MOST_FAULTS: usize = 20;

/// A plugin, ready.
pub(crate) struct Prepared {
    /// Without the component's bytes.
    pub(crate) spec: PluginSpec,
    pub(crate) digest: ComponentDigest,
    /// Bytes of the component.
    pub(crate) size: usize,
    pub(crate) linked: Linked,
    pub(crate) identity: Identity,
    pub(crate) plan: Arc<Plan>,
    /// What it found when it was tried on the traffic of its profiles; empty until then.
    pub(crate) found: OnceLock<Vec<Finding>>,
}

impl Prepared {
    /// Whether a spec asks for exactly this plugin.
    pub(crate) fn is(&self, spec: &PluginSpec, digest: &ComponentDigest) -> bool {
        let mine = &self.spec;
        self.digest == *digest
            && (&mine.key, &mine.settings, &mine.routes, &mine.limits)
                == (&spec.key, &spec.settings, &spec.routes, &spec.limits)
            && mine.profiles.iter().map(|it| &it.digest).eq(spec.profiles.iter().map(|it| &it.digest))
    }

    pub(crate) fn digest_hex(&self) -> String {
        cache::hex(&self.digest)
    }
}

/// Prepares one plugin; `ready` are components that need not be compiled again.
pub(crate) fn prepare(
    host: &Inner,
    spec: PluginSpec,
    ready: &[Arc<Prepared>],
) -> Result<(Arc<Prepared>, usize), Vec<LoadFault>> {
    let one = |fault| vec![fault];
    check_form(&spec.component).map_err(one)?;
    let digest = cache::digest(&spec.component);
    let linked = match ready.iter().find(|other| other.digest == digest) {
        Some(other) => {
            host.metrics.code_from(CodeFrom::Memory);
            other.linked.clone()
        }
        None => {
            let code = Code { engine: &host.engine, cache: host.cache.as_ref(), metrics: &host.metrics };
            link(&host.linker, &code.load(&digest, &spec.component).map_err(one)?)?
        }
    };
    if let Err(error) = serde_json::from_str::<Map<String, Value>>(&spec.settings) {
        return Err(one(LoadFault::SettingsForm(error.to_string())));
    }
    let (identity, plan) = interview(host, &spec, &linked)?;
    let size = spec.component.len();
    let spec = PluginSpec { component: Arc::from([]), ..spec };
    let (plan, found) = (Arc::new(plan), OnceLock::new());
    let prepared = Arc::new(Prepared { spec, digest, size, linked, identity, plan, found });
    let Tried { memory, findings } = trial(&prepared, &host.watchdog).map_err(one)?;
    prepared.found.get_or_init(|| findings);
    Ok((prepared, memory))
}

/// Asks a scratch instance who it is and what it wants.
fn interview(host: &Inner, spec: &PluginSpec, linked: &Linked) -> Result<(Identity, Plan), Vec<LoadFault>> {
    let failed = |fault: crate::fault::Fault| vec![LoadFault::Trial(fault.to_string())];
    let around = Surroundings {
        key: spec.key.clone(),
        limits: spec.limits,
        watchdog: host.watchdog.clone(),
        log: Gate::new(Logger::discard(), 0),
        cells: Arc::new(HostMetrics::new().cells(&spec.key)),
        profiles: Arc::from([]),
        findings: Findings::default(),
    };
    let mut instance = Instance::new(linked, &around, BEGIN_UNIX_NS).map_err(|fault| vec![refusal(fault)])?;
    let state = &mut Box::default();
    let call = |name| spec.limits.start(name, BEGIN_UNIX_NS);
    let said =
        instance.run(call("describe"), state, |plugin, store| plugin.call_describe(store)).map_err(failed)?;
    let identity = plan::identity(said)?;
    let answer = instance
        .run(call("configure"), state, |plugin, store| plugin.call_configure(store, &spec.settings))
        .map_err(failed)?;
    let manifest = answer.map_err(settings_faults)?;
    let plan = Plan::new(&identity.name, manifest)?;
    Ok((identity, plan))
}

/// An instance that never began: its exports have other types, or it wants too much from the start.
fn refusal(fault: crate::fault::Fault) -> LoadFault {
    match fault.kind {
        crate::fault::FaultKind::Result => LoadFault::Mismatch(fault.message),
        _ => LoadFault::Trial(fault.to_string()),
    }
}

fn settings_faults(faults: Vec<types::Fault>) -> Vec<LoadFault> {
    if faults.is_empty() {
        let message = "refused without a reason".to_owned();
        return vec![LoadFault::Settings { pointer: String::new(), message }];
    }
    let fault = |types::Fault { path, message }| LoadFault::Settings { pointer: path, message };
    faults.into_iter().take(MOST_FAULTS).map(fault).collect()
}

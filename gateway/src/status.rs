//! What the admin pages are told: kept by the control loop, read from other threads.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use weir_admin::{
    Gateway, GenerationStatus, Health, LiveProfile, RecentVerdict, ReloadOutcome, ReloadStatus, Reloaded,
    Settled, Settling,
};
use weir_exchange::status::{AlertBrief, EndpointStatus, ObjectiveBrief, PluginState, PluginStatus};
use weir_exchange::{Handoff, Schema};
use weir_observe::{Line, RecentVerdicts, Said};
use weir_plugin::Host;
use weir_proxy::{EndpointBook, Readiness, Snapshot};

use crate::alerting::Alerting;
use crate::generation::{Refused, What};
use crate::live;
use crate::watch::Nudge;

/// The state of the house, for those who ask.
pub(crate) struct Status {
    snapshot: ArcSwap<Snapshot>,
    config: ArcSwap<serde_json::Value>,
    ready_requires: ArcSwap<Vec<String>>,
    generation: Mutex<GenerationStatus>,
    draining: AtomicBool,
    endpoints: Arc<EndpointBook>,
    plugins: Host,
    recent: Arc<RecentVerdicts>,
    handoffs: Vec<Arc<Handoff>>,
    line: Arc<Line>,
    alerting: Alerting,
    nudge: Sender<Nudge>,
}

/// What a status is made of at the start.
pub(crate) struct StatusParts {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) endpoints: Arc<EndpointBook>,
    pub(crate) plugins: Host,
    pub(crate) recent: Arc<RecentVerdicts>,
    pub(crate) handoffs: Vec<Arc<Handoff>>,
    pub(crate) line: Arc<Line>,
    pub(crate) alerting: Alerting,
    pub(crate) nudge: Sender<Nudge>,
}

impl Status {
    pub(crate) fn new(parts: StatusParts) -> Self {
        Self {
            snapshot: ArcSwap::new(parts.snapshot),
            config: ArcSwap::default(),
            ready_requires: ArcSwap::default(),
            generation: Mutex::new(GenerationStatus {
                number: 0,
                loaded_unix_ms: 0,
                config_digest: String::new(),
                refused: 0,
                last_reload: None,
            }),
            draining: AtomicBool::new(false),
            endpoints: parts.endpoints,
            plugins: parts.plugins,
            recent: parts.recent,
            handoffs: parts.handoffs,
            line: parts.line,
            alerting: parts.alerting,
            nudge: parts.nudge,
        }
    }

    /// A generation is in force.
    pub(crate) fn in_force(&self, snapshot: Arc<Snapshot>, loaded: &weir_config::Loaded) {
        let mut generation = self.generation();
        generation.number = snapshot.generation();
        generation.loaded_unix_ms = unix_ms();
        generation.config_digest.clone_from(&loaded.source_digest);
        self.config.store(Arc::new(loaded.redacted.clone()));
        self.ready_requires.store(Arc::new(loaded.config.gateway.ready_requires.clone()));
        self.snapshot.store(snapshot);
    }

    /// What became of a reload.
    pub(crate) fn reloaded(&self, what: What, outcome: ReloadOutcome, refused: Option<&Refused>) {
        let mut generation = self.generation();
        generation.refused += u64::from(refused.is_some());
        generation.last_reload = Some(ReloadStatus {
            at_unix_ms: unix_ms(),
            what: what.as_str().into(),
            outcome,
            error: refused.map(ToString::to_string),
        });
    }

    /// Whether each route can be answered now.
    pub(crate) fn readiness(&self) -> Vec<Readiness> {
        self.snapshot.load().readiness()
    }

    /// Every kind of exchange seen, with how long ago it last was.
    pub(crate) fn schemas_by_age(&self) -> Vec<(Arc<Schema>, Duration)> {
        self.line.schemas_by_age()
    }

    pub(crate) fn drains(&self) {
        self.draining.store(true, Relaxed);
    }

    fn generation(&self) -> MutexGuard<'_, GenerationStatus> {
        // Nothing under this lock can panic half way.
        self.generation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something that `ready_requires` names works.
    fn works(&self, required: &str) -> Result<(), String> {
        if let Some(name) = required.strip_prefix("backend:") {
            let of_it = self.endpoints.status().into_iter().filter(|e| *e.backend == *name);
            let (total, out) = of_it.fold((0, 0), |(n, out), e| (n + 1, out + usize::from(e.ejected)));
            return if total > 0 && total == out {
                Err(format!("no endpoint of `{name}` is in"))
            } else {
                Ok(())
            };
        }
        let name = required.strip_prefix("plugin:").unwrap_or(required);
        let plugin = self.plugins.status().into_iter().find(|p| *p.key == *name);
        match plugin.map(|p| p.state) {
            Some(PluginState::Running) => Ok(()),
            Some(PluginState::Quarantined) => Err(format!("plugin `{name}` is quarantined")),
            None => Err(format!("plugin `{name}` is not loaded")),
        }
    }
}

impl Gateway for Status {
    fn health(&self) -> Health {
        Health { model_loaded: self.readiness().iter().all(|r| r.ready) }
    }

    fn ready(&self) -> Result<(), String> {
        if self.generation().number == 0 {
            return Err("the first generation is not in force yet".into());
        }
        if self.draining.load(Relaxed) {
            return Err("draining".into());
        }
        self.ready_requires.load().iter().try_for_each(|required| self.works(required))
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        self.plugins.status()
    }

    fn verdicts(&self) -> Vec<RecentVerdict> {
        let shown = |said: Said| RecentVerdict {
            plugin: said.judge,
            route: said.route,
            trace_id: said.trace_id,
            reason: said.reason,
            probability: said.probability,
            at_unix_ms: said.unix_ns / 1_000_000,
        };
        self.recent.recent().into_iter().map(shown).collect()
    }

    fn alerts(&self) -> serde_json::Value {
        self.alerting.status()
    }

    fn alert_briefs(&self) -> Vec<AlertBrief> {
        self.alerting.briefs()
    }

    fn objectives(&self) -> Vec<ObjectiveBrief> {
        self.alerting.objectives()
    }

    fn evidence(&self, fingerprint: &str) -> Option<serde_json::Value> {
        self.alerting.evidence(fingerprint)
    }

    fn findings(&self) -> serde_json::Value {
        // Whatever a plugin says is an object, which was checked.
        serde_json::to_value(self.plugins.findings()).unwrap_or_default()
    }

    fn live_profile(&self, asked: &LiveProfile) -> Result<serde_json::Value, String> {
        let schemas: Vec<_> = self.schemas_by_age().into_iter().map(|(schema, _)| schema).collect();
        live::profile(&self.plugins, &schemas, asked)
    }

    fn backends(&self) -> Vec<EndpointStatus> {
        self.endpoints.status()
    }

    fn config(&self) -> serde_json::Value {
        (**self.config.load()).clone()
    }

    fn generation(&self) -> GenerationStatus {
        Self::generation(self).clone()
    }

    fn settle(&self) -> Settling {
        let exchanges = self.handoffs.iter().map(|h| h.pushed()).sum();
        let (done, settled) = oneshot::channel();
        self.line.settle_with(Box::new(move || {
            // Whoever asked may have lost patience.
            let _ = done.send(());
        }));
        Box::pin(async move {
            // Closed without a word: the line ended, and with it everything was judged.
            let _ = settled.await;
            Settled { exchanges }
        })
    }

    fn reload(&self) -> Result<Reloaded, String> {
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = |_| "the gateway is shutting down".to_owned();
        self.nudge.send(Nudge::Asked(Some(answer))).map_err(|_| gone(mpsc::RecvError))?;
        answered.recv().map_err(gone)?
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

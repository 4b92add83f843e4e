//! What the admin pages are told: kept by the control loop, read from other threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use weir_admin::{
    Gateway, GenerationStatus, Health, RecentVerdict, ReloadOutcome, ReloadStatus, Reloaded, Settled,
    Settling,
};
use weir_exchange::status::{AlertBrief, EndpointStatus, ObjectiveBrief, PluginState, PluginStatus};
use weir_exchange::{Handoff, Role, Schema};
use weir_observe::{Line, RecentVerdicts, Said};
use weir_plugin::Host;
use weir_proxy::{EndpointBook, Readiness, Snapshot};
use weir_telemetry::{Points, Sample, Source, Spec, Value};

use crate::alerting::Alerting;
use crate::generation::{Refused, What};
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
        Health { model_loaded: self.snapshot.load().readiness().iter().all(|r| r.ready) }
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

/// `model_loaded`: computed when asked, so that a retired model is absent rather than 0.
pub(crate) struct ModelLoaded(pub(crate) Arc<Status>);

/// What `model_loaded` is.
pub(crate) fn model_loaded() -> Spec {
    let help = "1 while a model can answer: loaded here, or its server ready.";
    Spec::gauge("model_loaded", help, &["model", "model_version"])
}

impl Source for ModelLoaded {
    fn collect(&self, out: &mut Vec<Points>) {
        let spec = model_loaded();
        let seen = self.0.line.schemas_by_age();
        let mut models: BTreeMap<[Arc<str>; 2], bool> = BTreeMap::new();
        for readiness in self.0.snapshot.load().readiness() {
            for labels in labels_of(&readiness, &seen) {
                *models.entry(labels).or_default() |= readiness.ready;
            }
        }
        let sample = |(labels, ready): ([Arc<str>; 2], bool)| Sample {
            labels: labels.into(),
            overflow: false,
            value: Value::Gauge(f64::from(u8::from(ready))),
            exemplars: Vec::new(),
        };
        out.push(Points { spec, samples: models.into_iter().map(sample).collect() });
    }
}

/// A model that others of its route have outlived by this much is retired: a new version took its place.
const RETIRED: Duration = Duration::from_secs(300);

/// The models a route's replies named, each `seen` with how long ago; what the configuration says until one
/// did. A model that runs here is known: what earlier replies named may have been replaced since.
fn labels_of(
    Readiness { route, local, .. }: &Readiness,
    seen: &[(Arc<Schema>, Duration)],
) -> Vec<[Arc<str>; 2]> {
    let configured = [route.model.clone(), route.model_version.clone()];
    if *local {
        return vec![configured];
    }
    let replied = |s: &Schema| [Role::Output, Role::Score].iter().any(|r| s.with_role(*r).next().is_some());
    let of_route = seen.iter().filter(|(s, _)| s.route == route.name && replied(s));
    let named: Vec<_> = of_route
        .map(|(s, age)| ([s.model.clone(), s.model_version.clone()], *age))
        .filter(|(labels, _)| *labels != configured && labels.iter().any(|l| !l.is_empty()))
        .collect();
    let youngest = named.iter().map(|(_, age)| *age).min().unwrap_or_default();
    let current = named.into_iter().filter(|(_, age)| *age <= youngest + RETIRED);
    let current: Vec<_> = current.map(|(labels, _)| labels).collect();
    if current.is_empty() { vec![configured] } else { current }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use weir_exchange::{Column, Kind, ObservedRoute, SchemaId};

    use super::*;

    fn version(version: &str, age: u64) -> (Arc<Schema>, Duration) {
        let output = Column { role: Role::Output, name: "0".into(), kind: Kind::Number, codes: Vec::new() };
        let schema = Schema {
            id: SchemaId(1),
            version: 1,
            route: "churn".into(),
            model: "churn".into(),
            model_version: version.into(),
            classification: None,
            columns: vec![output],
        };
        (Arc::new(schema), Duration::from_secs(age))
    }

    #[test]
    fn a_version_that_another_has_outlived_is_retired_and_two_that_are_asked_are_not() {
        let route = ObservedRoute::named("churn", None);
        let readiness = Readiness { route, local: false, ready: true };
        let versions = |seen: &[(Arc<Schema>, Duration)]| -> Vec<String> {
            labels_of(&readiness, seen).into_iter().map(|[_, version]| version.to_string()).collect()
        };
        assert_eq!(versions(&[]), [""]);
        assert_eq!(versions(&[version("1", 301), version("2", 0)]), ["2"]);
        assert_eq!(versions(&[version("1", 200), version("2", 0)]), ["1", "2"]);
        assert_eq!(versions(&[version("1", 9_000), version("2", 9_200)]), ["1", "2"], "a quiet night");
    }
}

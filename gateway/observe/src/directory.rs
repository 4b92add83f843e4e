//! What the telemetry threads share: which models a route has shown, schema numbers and the schemas that are
//! live.
//!
//! A thread comes here when it meets a pair or a schema it does not know yet, never for an exchange it has
//! seen the like of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use weir_exchange::{ObservedRoute, RouteId, Schema, SchemaId};

use crate::models::ModelMetrics;
use crate::read::Named;

/// A pair that was learnt from traffic is forgotten when it has not been seen for this long: as idle series
/// are.
const PAIR_IDLE: Duration = weir_telemetry::family::IDLE;

/// A model and version of a route, as its labels show them.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) model: Arc<str>,
    pub(crate) version: Arc<str>,
    /// Stands for all pairs past the cap; its names are empty.
    pub(crate) overflow: bool,
    /// Seconds since the directory's start.
    last_seen: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Directory {
    start: Instant,
    cap: usize,
    next_schema: AtomicU32,
    models: ModelMetrics,
    routes: Mutex<HashMap<RouteId, RoutePairs>>,
    live: Mutex<BTreeMap<SchemaId, Arc<Schema>>>,
}

#[derive(Debug, Default)]
struct RoutePairs {
    name: Arc<str>,
    /// What the configuration says; never forgotten while it says so.
    configured: Option<Arc<Pair>>,
    pairs: Vec<Arc<Pair>>,
}

impl RoutePairs {
    fn find(&self, model: &str, version: &str) -> Option<&Arc<Pair>> {
        self.pairs.iter().find(|pair| *pair.model == *model && *pair.version == *version)
    }
}

impl Directory {
    /// At most `cap` pairs a route.
    pub(crate) fn new(cap: usize, models: ModelMetrics, start: Instant) -> Self {
        let next_schema = AtomicU32::new(1);
        Self { start, cap, next_schema, models, routes: Mutex::default(), live: Mutex::default() }
    }

    /// Notes what the configuration calls a route's model, so that its outcomes are exported at 0 from the
    /// start.
    pub(crate) fn declare(&self, route: &ObservedRoute, now: Instant) {
        let pair = self.admit(route, &route.model, &route.model_version, now);
        let mut routes = lock(&self.routes);
        if let Some(known) = routes.get_mut(&route.id) {
            known.configured = pair;
        }
    }

    /// Whether a pair is known that has what the request alone names of these. An error names no version
    /// where the answers do: of a model that has answered it is an error of that model all the same.
    pub(crate) fn known(&self, route: &ObservedRoute, named: &Named<'_>) -> bool {
        let has = |pair: &Arc<Pair>| {
            (!named.model_by_request || *pair.model == *named.model)
                && (!named.version_by_request || *pair.version == *named.version)
        };
        lock(&self.routes).get(&route.id).is_some_and(|known| known.pairs.iter().any(has))
    }

    /// The pair of these names, new or known; `None` past the cap.
    pub(crate) fn admit(
        &self,
        route: &ObservedRoute,
        model: &str,
        version: &str,
        now: Instant,
    ) -> Option<Arc<Pair>> {
        let mut routes = lock(&self.routes);
        let known = routes.entry(route.id).or_default();
        if let Some(pair) = known.find(model, version) {
            return Some(pair.clone());
        }
        known.name = route.name.clone();
        if known.pairs.len() >= self.cap {
            return None;
        }
        let last_seen = AtomicU64::new(now.duration_since(self.start).as_secs());
        let pair =
            Arc::new(Pair { model: model.into(), version: version.into(), overflow: false, last_seen });
        known.pairs.push(pair.clone());
        self.models.announce(&route.name, &pair.model, &pair.version);
        Some(pair)
    }

    /// The pair that stands for all past the cap.
    pub(crate) fn overflow(&self) -> Arc<Pair> {
        Arc::new(Pair { model: "".into(), version: "".into(), overflow: true, last_seen: AtomicU64::new(0) })
    }

    pub(crate) fn seen(&self, pair: &Pair, now: Instant) {
        pair.last_seen.fetch_max(now.duration_since(self.start).as_secs(), Relaxed);
    }

    /// Forgets pairs that are idle and that no thread holds, with their closed series.
    pub(crate) fn sweep(&self, now: Instant) {
        let now = now.duration_since(self.start).as_secs();
        let mut routes = lock(&self.routes);
        for RoutePairs { name, configured, pairs } in routes.values_mut() {
            pairs.retain(|pair| {
                let held = Arc::strong_count(pair) > 1;
                let kept = configured.as_ref().is_some_and(|c| Arc::ptr_eq(c, pair)) || held;
                let keep = kept || now.saturating_sub(pair.last_seen.load(Relaxed)) < PAIR_IDLE.as_secs();
                if !keep {
                    self.models.forget(name, &pair.model, &pair.version);
                }
                keep
            });
        }
    }

    pub(crate) fn next_schema(&self) -> SchemaId {
        SchemaId(self.next_schema.fetch_add(1, Relaxed))
    }

    /// Shows a schema's newest form.
    pub(crate) fn show(&self, schema: &Arc<Schema>) {
        lock(&self.live).insert(schema.id, schema.clone());
    }

    pub(crate) fn hide(&self, schema: SchemaId) {
        lock(&self.live).remove(&schema);
    }

    /// The live schemas as of their last closed batch, by id.
    pub(crate) fn schemas(&self) -> Vec<Arc<Schema>> {
        lock(&self.live).values().cloned().collect()
    }

    /// The live schemas, each with how long ago its model was last seen on its route.
    pub(crate) fn schemas_by_age(&self, now: Instant) -> Vec<(Arc<Schema>, Duration)> {
        let now = now.duration_since(self.start).as_secs();
        let schemas = self.schemas();
        let routes = lock(&self.routes);
        let last_seen = |schema: &Schema| {
            let route = routes.values().find(|route| route.name == schema.route)?;
            Some(route.find(&schema.model, &schema.model_version)?.last_seen.load(Relaxed))
        };
        let age = |schema: Arc<Schema>| {
            let age = last_seen(&schema).map_or(0, |seen| now.saturating_sub(seen));
            (schema, Duration::from_secs(age))
        };
        schemas.into_iter().map(age).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

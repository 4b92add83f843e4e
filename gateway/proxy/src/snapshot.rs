//! One generation of routes and backends: made whole off the path, then published with one store.

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use hashbrown::HashMap;
use weir_config::{Backend, BackendKind, Config, Forward, Limits, PathMatch, Route};
use weir_exchange::{Objective, ObservedRoute, RouteId};

use crate::metrics::{Counted, ProxyMetrics, RouteCells};
use crate::router::Router;
use crate::seam::LocalModel;
use crate::slo::{self, EventCells};
use crate::trace::TraceRule;
use crate::upstream::{Endpoint, EndpointBook};

/// Route numbers by name, the same for one name over all generations.
#[derive(Debug, Default)]
pub struct RouteIds(Mutex<Vec<Arc<str>>>);

impl RouteIds {
    /// The number of a name.
    pub fn id(&self, name: &Arc<str>) -> RouteId {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = names.iter().position(|n| n == name).unwrap_or_else(|| {
            names.push(name.clone());
            names.len() - 1
        });
        RouteId(at as u32)
    }
}

/// What a generation is made of.
pub struct SnapshotParts<'a> {
    pub generation: u64,
    pub config: &'a Config,
    /// Loaded models by backend name; every local backend has one.
    pub models: &'a HashMap<Arc<str>, Arc<dyn LocalModel>>,
    pub ids: &'a RouteIds,
    pub endpoints: &'a EndpointBook,
}

/// A generation, as the request path uses it.
#[derive(Debug)]
pub struct Snapshot {
    generation: u64,
    pub(crate) limits: Limits,
    pub(crate) client_header: std::time::Duration,
    pub(crate) client_idle: std::time::Duration,
    pub(crate) trusted_proxies: bool,
    /// Share of exchanges that get a line in the access log.
    pub(crate) access_share: f64,
    /// For requests that no route took; `None`: no spans are exported.
    pub(crate) tracing: Option<TraceRule>,
    pub(crate) router: Router,
    pub(crate) routes: Vec<Arc<RouteRule>>,
    pub(crate) backends: Vec<Arc<Target>>,
    /// All that are configured, whatever room counts their events.
    objectives: Vec<Objective>,
}

/// A route and where it leads.
#[derive(Debug)]
pub(crate) struct RouteRule {
    pub(crate) config: Route,
    pub(crate) observed: ObservedRoute,
    pub(crate) target: Arc<Target>,
    /// `None`: no spans are exported.
    pub(crate) tracing: Option<TraceRule>,
}

/// A backend, ready to be asked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) kind: TargetKind,
}

pub(crate) enum TargetKind {
    Forward { config: Forward, endpoints: Vec<Arc<Endpoint>> },
    Local(Arc<dyn LocalModel>),
}

impl fmt::Debug for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { endpoints, .. } => f.debug_tuple("Forward").field(endpoints).finish(),
            Self::Local(_) => f.write_str("Local"),
        }
    }
}

impl Snapshot {
    /// Builds a generation. The configuration was checked: a route whose backend is missing is left out.
    pub fn new(parts: &SnapshotParts<'_>) -> Self {
        let SnapshotParts { config, .. } = parts;
        let backends: Vec<Arc<Target>> =
            config.backends.iter().filter_map(|b| Target::new(b, parts)).map(Arc::new).collect();
        let known: Vec<&Route> =
            config.routes.iter().filter(|r| backends.iter().any(|b| b.name == r.backend)).collect();
        let configs: Vec<Route> = known.into_iter().cloned().collect();
        let router = Router::new(&configs);
        let rule = |config: Route| {
            let target = backends.iter().find(|b| b.name == config.backend)?.clone();
            Some(Arc::new(RouteRule::new(config, target, parts)))
        };
        let routes = configs.into_iter().filter_map(rule).collect();
        Self {
            generation: parts.generation,
            limits: config.limits.clone(),
            client_header: config.timeouts.client_header,
            client_idle: config.timeouts.client_idle,
            trusted_proxies: config.gateway.trusted_proxies,
            access_share: config.log.access,
            tracing: rule_of(config, config.tracing.sample),
            router,
            routes,
            backends,
            objectives: config.slos.iter().map(|slo| slo.event.clone()).collect(),
        }
    }

    /// The number of this generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The routes as the line off the path knows them.
    pub fn observed(&self) -> impl Iterator<Item = &ObservedRoute> {
        self.routes.iter().map(|r| &r.observed)
    }

    /// For each route: its model as configured, and whether its backend can answer now.
    pub fn readiness(&self) -> Vec<Readiness> {
        let now = crate::clock::Stamp::now();
        let usable = |target: &Target| match &target.kind {
            TargetKind::Forward { endpoints, .. } => endpoints.iter().any(|e| e.reachable(now)),
            TargetKind::Local(_) => true,
        };
        let of = |r: &Arc<RouteRule>| Readiness {
            route: r.observed.clone(),
            local: matches!(r.target.kind, TargetKind::Local(_)),
            ready: usable(&r.target),
        };
        self.routes.iter().map(of).collect()
    }

    /// Exports the closed label sets of every route and objective at 0, and drops the events of objectives
    /// that are gone. Comes before anybody can count for this generation.
    pub(crate) fn announce(&self, metrics: &ProxyMetrics) {
        metrics.announce("");
        self.routes.iter().for_each(|route| metrics.announce(&route.observed.name));
        slo::announce(&metrics.slo_events, &self.objectives);
    }
}

/// Whether a route can be answered now, and by what.
#[derive(Clone, Debug)]
pub struct Readiness {
    pub route: ObservedRoute,
    /// Its model runs here: the route's own labels are the model's, whatever earlier replies said.
    pub local: bool,
    pub ready: bool,
}

impl Target {
    fn new(backend: &Backend, parts: &SnapshotParts<'_>) -> Option<Self> {
        let kind = match &backend.kind {
            BackendKind::Forward(config) => TargetKind::Forward {
                endpoints: config
                    .endpoints
                    .iter()
                    .map(|e| parts.endpoints.endpoint(&backend.name, e))
                    .collect(),
                config: config.clone(),
            },
            BackendKind::Local(_) => TargetKind::Local(parts.models.get(&backend.name)?.clone()),
        };
        Some(Self { name: backend.name.clone(), kind })
    }
}

impl RouteRule {
    fn new(config: Route, target: Arc<Target>, parts: &SnapshotParts<'_>) -> Self {
        let [model, model_version] = match &target.kind {
            TargetKind::Local(model) => model.labels(),
            TargetKind::Forward { .. } => [target.name.clone(), Arc::default()],
        };
        let slos = parts.config.slos.iter().filter(|slo| slo.takes(&config.name));
        let observed = ObservedRoute {
            id: parts.ids.id(&config.name),
            name: config.name.clone(),
            generation: parts.generation,
            observe: config.observe,
            protocol: config.protocol.clone(),
            output: config.output.clone(),
            model: config.model.clone().unwrap_or(model),
            model_version: config.model_version.clone().unwrap_or(model_version),
            model_header: config.model_header.as_deref().map(lower),
            model_version_header: config.model_version_header.as_deref().map(lower),
            model_from_request: config.model_from_request,
            capture_limit: config.capture_limit,
            privacy: parts.config.privacy.clone(),
            loaded: match &target.kind {
                TargetKind::Local(model) => model.load_span(),
                TargetKind::Forward { .. } => None,
            },
            pattern: match &config.path {
                PathMatch::Exact(path) => path.as_str().into(),
                PathMatch::Prefix(path) => format!("{path}*").into(),
            },
            objectives: slos.map(|slo| slo.event.clone()).collect(),
        };
        let sample = config.sample.unwrap_or(parts.config.tracing.sample);
        Self { tracing: rule_of(parts.config, sample), config, observed, target }
    }
}

/// How traces begin and go on, if spans are exported.
fn rule_of(config: &Config, sample: f64) -> Option<TraceRule> {
    config.tracing.otlp.as_ref().map(|_| TraceRule::new(&config.tracing, sample))
}

fn lower(name: &str) -> Arc<str> {
    name.to_ascii_lowercase().into()
}

/// One worker's copy of a generation: nothing in it is written by another thread.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) routes: Vec<Rc<RouteView>>,
    /// What requests that no route took are counted and traced as.
    pub(crate) unrouted: Rc<RouteCells>,
    pub(crate) unrouted_as: Arc<ObservedRoute>,
}

/// A route on one worker.
#[derive(Debug)]
pub(crate) struct RouteView {
    pub(crate) rule: Arc<RouteRule>,
    /// This worker's own: cloning it does not touch a counter that other workers clone.
    pub(crate) observed: Arc<ObservedRoute>,
    pub(crate) cells: Rc<RouteCells>,
    /// Of the objectives about requests that its traffic counts for. Unlike the route's own cells these are
    /// of one generation: an event is judged by the definition that its request came under.
    events: Box<[Rc<EventCells>]>,
}

/// A worker's cells by route, over all generations.
#[derive(Debug, Default)]
pub(crate) struct CellBook(HashMap<RouteId, Rc<RouteCells>, RandomState>);

impl View {
    pub(crate) fn new(snapshot: Arc<Snapshot>, cells: &mut CellBook, metrics: &ProxyMetrics) -> Self {
        let events = EventCells::of_all(&snapshot.objectives, &metrics.slo_events);
        let routes = snapshot.routes.iter().map(|rule| cells.view(rule, metrics, &events)).collect();
        let unrouted = cells.unrouted(metrics);
        let unrouted_as = Arc::new(ObservedRoute { observe: false, ..ObservedRoute::named("", None) });
        Self { snapshot, routes, unrouted, unrouted_as }
    }
}

impl RouteView {
    /// Counts one finished request: never shed, whatever became of it.
    pub(crate) fn count(&self, done: &Counted<'_>) {
        self.cells.count(done);
        self.events.iter().for_each(|cells| cells.count(done));
    }
}

impl CellBook {
    /// A number no route gets.
    const UNROUTED: RouteId = RouteId(u32::MAX);

    fn view(
        &mut self,
        rule: &Arc<RouteRule>,
        metrics: &ProxyMetrics,
        events: &HashMap<Arc<str>, Rc<EventCells>, RandomState>,
    ) -> Rc<RouteView> {
        let observed = Arc::new(rule.observed.clone());
        let new = || RouteCells::new(metrics, &observed.name, observed.pattern.clone());
        let cells = self.0.entry(observed.id).or_insert_with(new).clone();
        cells.set_http_route(observed.pattern.clone());
        let mine = observed.objectives.iter().filter_map(|objective| events.get(&objective.name));
        let events = mine.cloned().collect();
        Rc::new(RouteView { rule: rule.clone(), observed, cells, events })
    }

    fn unrouted(&mut self, metrics: &ProxyMetrics) -> Rc<RouteCells> {
        let new = || RouteCells::new(metrics, &Arc::default(), Arc::default());
        self.0.entry(Self::UNROUTED).or_insert_with(new).clone()
    }
}

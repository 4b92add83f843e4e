//! What the request path counts: written by each worker into cells of its own, summed at scrape, never shed.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, Version};
use weir_exchange::{ErrorType, Fate};
use weir_telemetry::{Cap, Counter, Family, Gauge, Histogram, Registry, RegistryError, Spec};

/// OpenTelemetry's advice for `http.server.request.duration`, with three finer edges: small models answer in
/// less than 5 ms.
pub(crate) const DURATION_EDGES: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// What Weir adds to a request: tens of microseconds when all is well, so the edges begin there.
const OVERHEAD_EDGES: [f64; 10] = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1];

/// The families of the request path. Cloning shares them.
#[derive(Clone, Debug)]
pub struct ProxyMetrics {
    requests: Family<Histogram>,
    errors: Family<Counter>,
    fates: Family<Counter>,
    overhead: Family<Histogram>,
    body_bytes: Family<Counter>,
    pub(crate) slo_events: Family<Counter>,
    pub(crate) connections: Family<Counter>,
    pub(crate) upstream_connections: Family<Counter>,
    pub(crate) retries: Family<Counter>,
    pub(crate) probes: Family<Counter>,
    pub(crate) busy: Family<Gauge>,
    pub(crate) open: Family<Gauge>,
    pub(crate) in_flight: Family<Gauge>,
}

impl ProxyMetrics {
    /// Makes and registers the families. `fates` is `weir_exchanges_total` and `slo_events` is
    /// [`crate::slo_events`], both shared with the line off the path.
    ///
    /// # Errors
    /// A name is taken by a metric of another shape.
    pub fn new(
        registry: &Registry,
        fates: Family<Counter>,
        slo_events: Family<Counter>,
    ) -> Result<Self, RegistryError> {
        let metrics = Self::families(fates, slo_events);
        metrics.register(registry)?;
        Ok(metrics)
    }

    fn families(fates: Family<Counter>, slo_events: Family<Counter>) -> Self {
        Self {
            requests: requests(),
            errors: closed_counter(
                "api_errors_total",
                "Requests that failed, by what failed; route is empty where none matched.",
                &["route", "error_type"],
            ),
            fates,
            overhead: overhead(),
            body_bytes: Family::new(
                Spec::counter(
                    "weir_body_bytes_total",
                    "Body bytes that passed, by direction (request, response).",
                    &["route", "direction"],
                )
                .unit("bytes"),
                Cap::Closed,
            ),
            slo_events,
            connections: closed_counter(
                "weir_connections_total",
                "Client connections, by what became of them (accepted, refused, handed_over, timeout, bad_request).",
                &["result"],
            ),
            upstream_connections: closed_counter(
                "weir_upstream_connections_total",
                "Connections to model servers (opened, reused, failed, timeout).",
                &["backend", "result"],
            ),
            retries: closed_counter(
                "weir_upstream_retries_total",
                "Requests sent again because they provably had not been sent.",
                &["backend"],
            ),
            probes: closed_counter(
                "weir_probes_total",
                "Ready probes by result (ready, not_ready).",
                &["backend", "endpoint", "result"],
            ),
            busy: closed_gauge(
                "weir_worker_busy_ratio",
                "Share of the last second a worker spent on its CPU.",
                &["worker"],
                "ratio",
            ),
            open: closed_gauge("weir_open_connections", "Client connections open now.", &["worker"], ""),
            in_flight: closed_gauge(
                "http_server_active_requests",
                "Requests in flight now.",
                &["worker"],
                "",
            ),
        }
    }

    /// `http_server_request_duration_seconds`.
    pub fn durations(&self) -> Family<Histogram> {
        self.requests.clone()
    }

    fn register(&self, registry: &Registry) -> Result<(), RegistryError> {
        for family in [&self.errors, &self.fates, &self.body_bytes, &self.connections] {
            registry.family(family)?;
        }
        for family in [&self.slo_events, &self.upstream_connections, &self.retries, &self.probes] {
            registry.family(family)?;
        }
        for family in [&self.busy, &self.open, &self.in_flight] {
            registry.family(family)?;
        }
        registry.family(&self.requests)?;
        registry.family(&self.overhead)
    }

    /// Exports what a route can count at 0, so that the first error is an increase.
    pub(crate) fn announce(&self, route: &str) {
        for error in ErrorType::ALL {
            self.errors.get(&[route, error.as_str()]);
        }
        if !route.is_empty() {
            for fate in Fate::ALL {
                self.fates.get(&[route, fate.as_str()]);
            }
        }
    }
}

fn requests() -> Family<Histogram> {
    let help = "Duration of requests as the client saw them, from head read to last response byte.";
    let labels = [
        "method",
        "route",
        "http_route",
        "http_response_status_code",
        "network_protocol_version",
        "error_type",
    ];
    let spec = Spec::histogram("http_server_request_duration_seconds", help, &DURATION_EDGES, &labels);
    Family::new(spec.unit("seconds"), Cap::Closed)
}

fn overhead() -> Family<Histogram> {
    let help = "Part of a request's duration that was not spent waiting for the model.";
    let spec = Spec::histogram("weir_request_overhead_seconds", help, &OVERHEAD_EDGES, &["route"]);
    Family::new(spec.unit("seconds"), Cap::Closed)
}

fn closed_counter(name: &str, help: &str, labels: &[&str]) -> Family<Counter> {
    Family::new(Spec::counter(name, help, labels), Cap::Closed)
}

fn closed_gauge(name: &str, help: &str, labels: &[&str], unit: &str) -> Family<Gauge> {
    Family::new(Spec::gauge(name, help, labels).unit(unit), Cap::Closed)
}

/// One finished request, as the cells see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) error: Option<ErrorType>,
    pub(crate) duration_ns: u64,
    pub(crate) upstream_ns: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// One worker's cells for one route. They outlive generations.
#[derive(Debug)]
pub(crate) struct RouteCells {
    families: ProxyMetrics,
    route: Arc<str>,
    http_route: RefCell<Arc<str>>,
    by_answer: RefCell<Vec<(Answer, Arc<Histogram>)>>,
    errors: [OnceCell<Arc<Counter>>; ErrorType::ALL.len()],
    fates: [OnceCell<Arc<Counter>>; Fate::ALL.len()],
    overhead: OnceCell<Arc<Histogram>>,
    bytes: OnceCell<[Arc<Counter>; 2]>,
}

/// What tells one duration series of a route from another.
type Answer = (&'static str, u16, &'static str, Option<ErrorType>);

impl RouteCells {
    /// Cells for a route (or for what no route matched: an empty name).
    pub(crate) fn new(families: &ProxyMetrics, route: &Arc<str>, http_route: Arc<str>) -> Rc<Self> {
        Rc::new(Self {
            families: families.clone(),
            route: route.clone(),
            http_route: RefCell::new(http_route),
            by_answer: RefCell::default(),
            errors: Default::default(),
            fates: Default::default(),
            overhead: OnceCell::new(),
            bytes: OnceCell::new(),
        })
    }

    /// The path pattern of the route may change with a reload; series begun under the old one stay.
    pub(crate) fn set_http_route(&self, pattern: Arc<str>) {
        if *self.http_route.borrow() != pattern {
            self.http_route.replace(pattern);
            self.by_answer.borrow_mut().clear();
        }
    }

    /// Counts one finished request.
    pub(crate) fn count(&self, done: &Counted<'_>) {
        let seconds = done.duration_ns as f64 * 1e-9;
        self.duration(done).observe_local(seconds);
        if let Some(error) = done.error {
            self.error(error).bump(1);
        }
        if done.upstream_ns > 0 {
            let overhead = done.duration_ns.saturating_sub(done.upstream_ns) as f64 * 1e-9;
            let cell = || self.families.overhead.local(&[&self.route]);
            self.overhead.get_or_init(cell).observe_local(overhead);
        }
        let cell = |direction| self.families.body_bytes.local(&[&self.route, direction]);
        let [request, response] = self.bytes.get_or_init(|| [cell("request"), cell("response")]);
        request.bump(done.request_bytes);
        response.bump(done.response_bytes);
    }

    /// Counts the fate of an exchange that is not handed off.
    pub(crate) fn fate(&self, fate: Fate) {
        let cell = || self.families.fates.local(&[&self.route, fate.as_str()]);
        self.fates[fate as usize].get_or_init(cell).bump(1);
    }

    fn error(&self, error: ErrorType) -> &Counter {
        let cell = || self.families.errors.local(&[&self.route, error.as_str()]);
        self.errors[error as usize].get_or_init(cell)
    }

    fn duration(&self, done: &Counted<'_>) -> Arc<Histogram> {
        let answer = (known_method(done.method), done.status, protocol_version(done.version), done.error);
        let mut cells = self.by_answer.borrow_mut();
        if let Some((_, cell)) = cells.iter().find(|(a, _)| *a == answer) {
            return cell.clone();
        }
        let (method, status, version, error) = answer;
        let mut digits = itoa::Buffer::new();
        let status = if status == 0 { "" } else { digits.format(status) };
        let error = error.map_or("", ErrorType::as_str);
        let labels = [method, &self.route, &self.http_route.borrow(), status, version, error];
        let cell = self.families.requests.local(&labels);
        cells.push((answer, cell.clone()));
        cell
    }
}

/// The methods of RFC 9110 and PATCH; clients must not mint labels.
pub(crate) fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|m| *m == method.as_str()).unwrap_or("_OTHER")
}

pub(crate) fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

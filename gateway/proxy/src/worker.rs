//! One worker: a thread, a current-thread runtime, a listener, its own pools and cells. Workers share only
//! what [`Shared`] holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use slab::Slab;
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, mpsc};
use weir_exchange::{
    End, ErrorType, Exchange, Handoff, Head, ObservedRoute, Side, SpanFacts, Timing, TraceIds,
};
use weir_telemetry::log::{Access, Logger};
use weir_telemetry::{Counter, Gauge};

use crate::clock::Stamp;
use crate::conn::Conn;
use crate::listen::{self, Listener, Moved};
use crate::live::Live;
use crate::metrics::{Counted, ProxyMetrics};
use crate::seam::TrafficPages;
use crate::snapshot::{CellBook, Snapshot, View};
use crate::upstream::Pools;

/// How often a worker looks at its deadlines: the precision of every timeout.
const TICK: Duration = Duration::from_millis(20);

/// What the request path is made of.
pub struct ProxyParts {
    pub snapshot: Arc<Snapshot>,
    pub metrics: ProxyMetrics,
    /// One crossing a worker, in order; there are as many workers.
    pub handoffs: Vec<Arc<Handoff>>,
    /// Bits of the f32 probability with which an exchange is observed, set by the line off the path.
    pub observe_probability: Arc<AtomicU32>,
    /// Where access lines go, as drawn by the share the configuration asks for.
    pub log: Logger,
    /// `/metrics` and `/health` on the traffic port.
    pub pages: Option<Arc<dyn TrafficPages>>,
}

/// What all workers share. Everything is read often and written seldom, or is one relaxed counter.
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Rises with every published snapshot, so that a worker sees with one load that its view is old.
    published: AtomicU64,
    pub(crate) metrics: ProxyMetrics,
    pub(crate) connections: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) draining: AtomicBool,
    pub(crate) stop_accepting: Notify,
    stop: Notify,
    stopped: AtomicBool,
    log: Logger,
    pub(crate) pages: Option<Arc<dyn TrafficPages>>,
    observe_probability: Arc<AtomicU32>,
    /// For each worker: how many connections it has, and where to send it one.
    pub(crate) peers: RwLock<Vec<Peer>>,
}

/// Another worker, as the balancer sees it.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) inbox: mpsc::UnboundedSender<Moved>,
}

/// One worker's own things. Never leaves its thread.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: usize,
    pub(crate) shared: Arc<Shared>,
    view: RefCell<Rc<View>>,
    seen: Cell<u64>,
    cells: RefCell<CellBook>,
    pub(crate) pools: Pools,
    pub(crate) live: RefCell<Slab<Rc<Live>>>,
    pub(crate) conns: RefCell<Slab<Rc<Conn>>>,
    pub(crate) handoff: Arc<Handoff>,
    pub(crate) accepted: Arc<Counter>,
    pub(crate) open: Arc<Gauge>,
    active: Arc<Gauge>,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// The running request path.
pub struct Proxy {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one worker a listener.
    ///
    /// # Errors
    /// A thread or a runtime could not be made.
    pub fn start(parts: ProxyParts, listener: Listener) -> std::io::Result<Self> {
        let sockets = listener.into_sockets();
        parts.snapshot.announce(&parts.metrics);
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::new(parts.snapshot),
            published: AtomicU64::new(1),
            metrics: parts.metrics,
            connections: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            stop_accepting: Notify::new(),
            stop: Notify::new(),
            stopped: AtomicBool::new(false),
            log: parts.log,
            pages: parts.pages,
            observe_probability: parts.observe_probability,
            peers: RwLock::default(),
        });
        let mut inboxes = Vec::new();
        for _ in &sockets {
            let (inbox, from_peers) = mpsc::unbounded_channel();
            inboxes.push(from_peers);
            let peer = Peer { connections: Arc::default(), inbox };
            shared.peers.write().unwrap_or_else(PoisonError::into_inner).push(peer);
        }
        let mut threads = Vec::new();
        for (id, ((socket, inbox), handoff)) in
            sockets.into_iter().zip(inboxes).zip(parts.handoffs).enumerate()
        {
            let shared = shared.clone();
            let run = move || run(id, shared, handoff, socket, inbox);
            threads.push(std::thread::Builder::new().name(format!("weir-worker-{id}")).spawn(run)?);
        }
        Ok(Self { shared, threads })
    }

    /// Publishes a generation: the next request of every worker takes it. What it can count is exported from
    /// here on, at 0 if it is new. Cannot fail.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        // Before a worker can count: cells of events are taken of series that there are.
        snapshot.announce(&self.shared.metrics);
        self.shared.snapshot.store(snapshot);
        self.shared.published.fetch_add(1, Relaxed);
    }

    /// The generation in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Relaxed)
    }

    /// Stops accepting, lets what is under way end within `limit`, then ends the workers. Blocks; returns how
    /// many requests were cut off.
    pub fn drain(self, limit: Duration) -> usize {
        self.shared.draining.store(true, Relaxed);
        self.threads.iter().for_each(|_| self.shared.stop_accepting.notify_one());
        let deadline = Stamp::now().0 + limit.as_nanos() as u64;
        // Workers tell nobody when they are done: a drain looks a few times a second, it is not on anybody's
        // path.
        while self.shared.connections.load(Relaxed) > 0 && Stamp::now().0 < deadline {
            std::thread::park_timeout(TICK);
        }
        let cut = self.in_flight();
        self.shared.stopped.store(true, Relaxed);
        // One permit a worker: a worker that is not waiting yet takes its permit when it comes to wait.
        self.threads.iter().for_each(|_| self.shared.stop.notify_one());
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
        cut
    }
}

fn run(
    id: usize,
    shared: Arc<Shared>,
    handoff: Arc<Handoff>,
    socket: std::net::TcpListener,
    inbox: mpsc::UnboundedReceiver<Moved>,
) {
    weir_telemetry::priority::go_first();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.expect("a runtime needs only an epoll handle, which the process has room for");
    runtime.block_on(async move {
        let stop = shared.clone();
        let worker = Worker::new(id, shared, handoff);
        tokio::task::spawn_local(worker.clone().tick());
        tokio::task::spawn_local(async move { listen::accept(&worker, socket, inbox).await });
        while !stop.stopped.load(Relaxed) {
            stop.stop.notified().await;
        }
    });
}

impl Worker {
    fn new(id: usize, shared: Arc<Shared>, handoff: Arc<Handoff>) -> Rc<Self> {
        let metrics = &shared.metrics;
        let name = id.to_string();
        let mut cells = CellBook::default();
        let seen = shared.published.load(Relaxed);
        let view = Rc::new(View::new(shared.snapshot.load_full(), &mut cells, metrics));
        let connections = shared.peers.read().unwrap_or_else(PoisonError::into_inner)[id].connections.clone();
        Rc::new(Self {
            id,
            view: RefCell::new(view),
            seen: Cell::new(seen),
            cells: RefCell::new(cells),
            pools: Pools::new(metrics.upstream_connections.clone()),
            live: RefCell::default(),
            conns: RefCell::default(),
            handoff,
            accepted: metrics.connections.local(&["accepted"]),
            open: metrics.open.get(&[&name]),
            active: metrics.in_flight.get(&[&name]),
            connections,
            shared,
        })
    }

    /// The current generation, loaded once a request and carried to its end.
    pub(crate) fn view(&self) -> Rc<View> {
        let published = self.shared.published.load(Relaxed);
        if published != self.seen.get() {
            let snapshot = self.shared.snapshot.load_full();
            let view = View::new(snapshot, &mut self.cells.borrow_mut(), &self.shared.metrics);
            self.view.replace(Rc::new(view));
            self.seen.set(published);
        }
        self.view.borrow().clone()
    }

    /// The probability with which the next exchange is observed, or 0 if the draw went against it.
    pub(crate) fn draw(&self) -> f32 {
        let probability = f32::from_bits(self.shared.observe_probability.load(Relaxed));
        if probability >= 1.0 || fastrand::f32() < probability { probability } else { 0.0 }
    }

    /// Logs an exchange if it is drawn.
    pub(crate) fn log_access<'a>(&self, entry: impl FnOnce() -> Access<'a>) {
        let share = self.view.borrow().snapshot.access_share;
        if share > 0.0 && (share >= 1.0 || fastrand::f64() < share) {
            self.shared.log.access(&entry());
        }
    }

    /// Counts and logs a request of which nothing was read, or nothing that makes sense.
    pub(crate) fn unheard(&self, client: std::net::IpAddr, status: u16, error: ErrorType) {
        self.unrouted(Unrouted {
            began: Stamp::now(),
            client,
            trace: TraceIds::default(),
            method: &http::Method::from_bytes(b"_OTHER").unwrap_or_default(),
            version: http::Version::HTTP_11,
            path: "",
            status,
            response_bytes: 0,
            error,
            facts: None,
        });
    }

    /// Counts and logs a request that no route took, and hands it off for its spans.
    pub(crate) fn unrouted(&self, request: Unrouted<'_>) {
        let duration_ns = Stamp::now().since(request.began);
        let error = Some(request.error);
        let view = self.view();
        view.unrouted.count(&Counted {
            method: request.method,
            version: request.version,
            status: request.status,
            error,
            duration_ns,
            upstream_ns: 0,
            request_bytes: 0,
            response_bytes: request.response_bytes,
        });
        self.log_access(|| Access {
            trace: request.trace,
            unix_ns: request.began.unix_ns(),
            client: request.client,
            route: "",
            method: request.method.as_str(),
            path: request.path,
            status: request.status,
            duration_ns,
            upstream_ns: 0,
            request_bytes: 0,
            response_bytes: request.response_bytes,
            error,
            upstream: None,
        });
        if request.facts.is_some() {
            // What finds no room is lost with nobody to count it: a request without a route has no fate.
            let _ = self.handoff.push(request.into_exchange(view.unrouted_as.clone(), duration_ns));
        }
    }

    /// Looks at every deadline, closes what idles, and publishes what this worker alone knows.
    async fn tick(self: Rc<Self>) {
        let mut busy = Busy::new(self.shared.metrics.busy.get(&[&self.id.to_string()]));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Stamp::now();
            self.live.borrow().iter().for_each(|(_, live)| live.check(now));
            self.view_conns(now);
            self.open.set(self.conns.borrow().len() as f64);
            self.active.set(self.live.borrow().len() as f64);
            if busy.measure(now) {
                self.pools.sweep(now);
            }
        }
    }

    fn view_conns(&self, now: Stamp) {
        let snapshot = self.view.borrow().snapshot.clone();
        let draining = self.shared.draining.load(Relaxed);
        self.conns.borrow().iter().for_each(|(_, conn)| conn.check(&snapshot, draining, now));
    }
}

/// A request that was answered before it had a route.
pub(crate) struct Unrouted<'a> {
    pub(crate) began: Stamp,
    pub(crate) client: std::net::IpAddr,
    pub(crate) trace: TraceIds,
    pub(crate) method: &'a http::Method,
    pub(crate) version: http::Version,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) response_bytes: u64,
    pub(crate) error: ErrorType,
    /// If its spans are to be exported.
    pub(crate) facts: Option<Box<SpanFacts>>,
}

impl Unrouted<'_> {
    fn into_exchange(self, route: Arc<ObservedRoute>, end_ns: u64) -> Exchange {
        Exchange {
            route,
            head: Head { status: self.status, ..Head::default() },
            request: Side::default(),
            response: Side { total: self.response_bytes, ..Side::default() },
            timing: Timing { start_unix_ns: self.began.unix_ns(), end_ns, ..Timing::default() },
            end: End::Refused,
            error: Some(self.error),
            probability: 0.0,
            trace: self.trace,
            facts: self.facts,
        }
    }
}

/// A worker's CPU time against the wall's, once a second.
struct Busy {
    gauge: Arc<Gauge>,
    at: Stamp,
    cpu_ns: u64,
}

impl Busy {
    fn new(gauge: Arc<Gauge>) -> Self {
        Self { gauge, at: Stamp::now(), cpu_ns: thread_cpu_ns() }
    }

    /// True if a second had passed.
    fn measure(&mut self, now: Stamp) -> bool {
        let wall = now.since(self.at);
        if wall < 1_000_000_000 {
            return false;
        }
        let cpu_ns = thread_cpu_ns();
        self.gauge.set((cpu_ns - self.cpu_ns) as f64 / wall as f64);
        (self.at, self.cpu_ns) = (now, cpu_ns);
        true
    }
}

fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

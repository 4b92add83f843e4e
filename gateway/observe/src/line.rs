//! The line as the wiring holds it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use weir_exchange::{Handoff, ObservedRoute, Schema, Shard};
use weir_telemetry::{Counter, Family, Registry, RegistryError};

use crate::batcher::Common;
use crate::config::LineConfig;
use crate::directory::Directory;

use crate::governor::{Governed, Governor, Work};
use crate::judge::{Bench, Judge, Panel};
use crate::keep::Keeper;
use crate::latch::{Latch, Ticket};
use crate::metrics::LineMetrics;
use crate::models::ModelMetrics;
use crate::thread::{Mailbox, Order, Source, TelemetryThread};
use crate::verdict::VerdictSink;

/// Every family of this room, made and registered before the line starts, since the request path shares two
/// of them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub line: LineMetrics,
    pub models: ModelMetrics,
    slo_events: Family<Counter>,
}

impl Metrics {
    /// Makes and registers the families, but for `slo_events`: `weir_slo_events_total` is the request path's,
    /// which makes its series too.
    ///
    /// # Errors
    /// A name is taken by a metric of another shape.
    pub fn new(registry: &Registry, slo_events: Family<Counter>) -> Result<Self, RegistryError> {
        Ok(Self { line: LineMetrics::new(registry)?, models: ModelMetrics::new(registry)?, slo_events })
    }
}

/// The off-path line at work: its telemetry threads, its judges and what they share.
pub struct Line {
    metrics: Metrics,
    directory: Arc<Directory>,
    panel: Arc<Panel>,
    keeper: Arc<ArcSwapOption<Keeper>>,
    mailboxes: Vec<Arc<Mailbox>>,
    ended: Vec<Arc<Latch>>,
    probability: Arc<AtomicU32>,
}

impl Line {
    /// Starts the telemetry threads on the workers' crossings, one each, and the judges.
    ///
    /// # Errors
    /// The system gives no thread; those already started end.
    pub fn start(
        config: LineConfig,
        handoffs: Vec<Arc<Handoff>>,
        metrics: Metrics,
        sink: Arc<dyn VerdictSink>,
        judges: Vec<Box<dyn Judge>>,
    ) -> io::Result<Self> {
        let LineConfig { telemetry_threads, workers, telemetry_cpu, poll, batches, schemas, queue } = config;
        let now = Instant::now();
        let work = Arc::new(Work::default());
        let probability = Arc::new(AtomicU32::new(1f32.to_bits()));
        let bench = Bench { limits: queue, metrics: metrics.line.clone(), sink, work: work.clone() };
        let panel = Arc::new(Panel::new(bench));
        panel.replace(&[], judges);
        let directory = Arc::new(Directory::new(schemas.models, metrics.models.clone(), now));
        let keeper = Arc::<ArcSwapOption<Keeper>>::default();
        let common = Common {
            directory: directory.clone(),
            panel: panel.clone(),
            metrics: metrics.line.clone(),
            models: metrics.models.clone(),
            slo_events: metrics.slo_events.clone(),
            batches,
            schemas,
            keeper: keeper.clone(),
        };
        let governed =
            Governed { target: telemetry_cpu, workers, work: work.clone(), published: probability.clone() };
        let mut governor = Some(Governor::new(governed, &metrics.line, now));
        metrics.line.settles.get(&[]);
        let mut line =
            Self { metrics, directory, panel, keeper, mailboxes: Vec::new(), ended: Vec::new(), probability };
        let threads = telemetry_threads.max(1);
        for (index, sources) in line.sources(handoffs, threads).into_iter().enumerate() {
            let (ticket, ended) = Ticket::latch();
            let mailbox = Arc::new(Mailbox::new());
            let thread = TelemetryThread {
                index,
                threads,
                sources,
                common: common.clone(),
                mailbox: mailbox.clone(),
                poll,
                governor: governor.take(),
                work: work.clone(),
                ticket,
            };
            std::thread::Builder::new().name(format!("telemetry-{index}")).spawn(move || thread.run())?;
            line.mailboxes.push(mailbox);
            line.ended.push(ended);
        }
        Ok(line)
    }

    /// The crossings of each thread: those of the workers `w` with `w % threads` its index.
    fn sources(&self, handoffs: Vec<Arc<Handoff>>, threads: usize) -> Vec<Vec<Source>> {
        let mut sources: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
        for (worker, handoff) in handoffs.into_iter().enumerate() {
            let bytes = self.metrics.line.shard_bytes.get(&[&worker.to_string()]);
            sources[worker % threads].push(Source { handoff, bytes, spare: Shard::default() });
        }
        sources
    }

    /// Bits of the `f32` probability with which the request path is to observe an exchange.
    pub fn observe_probability(&self) -> Arc<AtomicU32> {
        self.probability.clone()
    }

    /// Tells the line of a generation's routes, so that what they can count is exported at 0. Calling it
    /// again, or for a route that is known, does no harm.
    pub fn declare(&self, routes: &[Arc<ObservedRoute>]) {
        for route in routes {
            self.metrics.line.declare(route);
            self.directory.declare(route, Instant::now());
        }
    }

    /// Replaces all judges. Batches closed before this call go to the old set, later ones to the new; each
    /// batch to exactly one. The old ones see what is queued to them and are dropped on their threads.
    pub fn set_judges(&self, judges: Vec<Box<dyn Judge>>) {
        self.panel.replace(&[], judges);
    }

    /// Like [`Line::set_judges`], but the judges named in `keep` go on as they are.
    pub fn change_judges(&self, keep: &[&str], new: Vec<Box<dyn Judge>>) {
        self.panel.replace(keep, new);
    }

    /// Replaces who decides which spans are kept; `None`: nobody, none is. What waits for a decision goes to
    /// the one before.
    pub fn set_keeper(&self, keeper: Option<Keeper>) {
        self.keeper.store(keeper.map(Arc::new));
    }

    /// The live schemas as of their last closed batch.
    pub fn schemas(&self) -> Vec<Arc<Schema>> {
        self.directory.schemas()
    }

    /// The live schemas, each with how long ago its model was last seen on its route.
    pub fn schemas_by_age(&self) -> Vec<(Arc<Schema>, Duration)> {
        self.directory.schemas_by_age(Instant::now())
    }

    /// Calls `done` when everything handed off before this call is decoded, batched, and judged by the judges
    /// it was queued to. `done` runs on a thread of the line and must not block; an async caller completes a
    /// oneshot there.
    pub fn settle_with(&self, done: Box<dyn FnOnce() + Send>) {
        self.metrics.line.settles.get(&[]).inc();
        let ticket = Ticket::new(done);
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Order::Settle(ticket.clone())));
    }

    /// Waits for [`Line::settle_with`]. False if it took longer than `patience`.
    #[must_use]
    pub fn settle(&self, patience: Duration) -> bool {
        let latch = Arc::new(Latch::default());
        let opens = latch.clone();
        self.settle_with(Box::new(move || opens.open()));
        latch.wait_for(patience)
    }

    /// Takes, closes and judges what there is, and ends every thread. False if that took longer than
    /// `patience`: a judge hangs, and its thread is left to the end of the process.
    #[must_use]
    pub fn shut_down(&self, patience: Duration) -> bool {
        let start = Instant::now();
        let left = || patience.saturating_sub(start.elapsed());
        self.end_threads();
        let threads = self.ended.iter().all(|ended| ended.wait_for(left()));
        let ended = self.panel.end(left()) && threads;
        // What is kept so far goes out, whatever second it is.
        self.set_keeper(None);
        ended
    }

    fn end_threads(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Order::End));
    }
}

impl Drop for Line {
    /// A line that is dropped ends by itself; nobody waits for it.
    fn drop(&mut self) {
        self.end_threads();
    }
}

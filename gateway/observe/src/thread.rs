//! A telemetry thread: swap shards, batch what is in them, close what is old, sleep.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use weir_exchange::{Handoff, Shard};
use weir_telemetry::{Gauge, priority};

use crate::batcher::{Batcher, Common};
use crate::governor::{CpuMeter, Governor, Work};
use crate::judge::unix_ns;
use crate::latch::Ticket;

/// How often idle schemas and models are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// After passes that found nothing a thread looks less often, at most this much: an idle gateway should cost
/// nothing.
const IDLE_FACTOR: u32 = 4;

/// What a telemetry thread is asked to do.
pub(crate) enum Order {
    /// Take everything, close everything, and pass the ticket on to the judges.
    Settle(Ticket),
    /// The same, and then end.
    End,
}

/// Orders to one thread.
pub(crate) struct Mailbox {
    any: AtomicBool,
    /// `None`: the thread has ended, and nothing is settled any more.
    orders: Mutex<Option<Vec<Order>>>,
    thread: OnceLock<Thread>,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self { any: AtomicBool::new(false), orders: Mutex::new(Some(Vec::new())), thread: OnceLock::new() }
    }

    pub(crate) fn post(&self, order: Order) {
        match &mut *self.lock() {
            Some(orders) => orders.push(order),
            // An order to a thread that has ended is dropped, and its ticket with it.
            None => return,
        }
        self.any.store(true, Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn take(&self) -> Vec<Order> {
        if !self.any.swap(false, AcqRel) {
            return Vec::new();
        }
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Order>>> {
        // Nothing under this lock can panic half way.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// However the thread ends, nobody waits for its mailbox.
struct Gone(Arc<Mailbox>);

impl Drop for Gone {
    fn drop(&mut self) {
        // A ticket among them may run its callback: not under the lock.
        let left = self.0.lock().take();
        drop(left);
    }
}

/// One worker's crossing, seen from below.
pub(crate) struct Source {
    pub(crate) handoff: Arc<Handoff>,
    pub(crate) bytes: Arc<Gauge>,
    /// Emptied by the last pass, handed in by the next: two shards a worker are all there ever are.
    pub(crate) spare: Shard,
}

/// Everything a telemetry thread begins with.
pub(crate) struct TelemetryThread {
    pub(crate) index: usize,
    pub(crate) threads: usize,
    pub(crate) sources: Vec<Source>,
    pub(crate) common: Common,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) poll: Duration,
    /// The first thread governs.
    pub(crate) governor: Option<Governor>,
    pub(crate) work: Arc<Work>,
    /// Dropped at the end.
    pub(crate) ticket: Ticket,
}

impl TelemetryThread {
    pub(crate) fn run(self) {
        let Self { index, threads, mut sources, common, mailbox, poll, mut governor, work, ticket } = self;
        priority::give_way();
        let _ticket = ticket;
        let _gone = Gone(mailbox.clone());
        let me = std::thread::current();
        sources.iter().for_each(|source| source.handoff.consumed_by(me.clone()));
        let _ = mailbox.thread.set(me);
        let mut cpu = CpuMeter::new(work.clone(), common.metrics.cpu.get(&[&index.to_string()]));
        let mut batcher = Batcher::new(common.clone(), threads, Instant::now());
        let mut swept = Instant::now();
        let mut pause = poll;
        loop {
            // Orders first: what was handed off before an order was posted is in the shards by now.
            let orders = mailbox.take();
            let now = Instant::now();
            batcher.set_time(now, unix_ns());
            let taken: u64 = sources.iter_mut().map(|source| source.drain(&mut batcher, &work)).sum();
            batcher.close_aged();
            if obey(&orders, &mut batcher, &common) {
                break;
            }
            drop(orders);
            if now.duration_since(swept) >= SWEEP {
                swept = now;
                batcher.sweep();
                common.directory.sweep(now);
            }
            cpu.publish();
            if let Some(governor) = &mut governor {
                governor.pass(now);
                if let Some(keeper) = &*common.keeper.load() {
                    keeper.tick();
                }
            }
            pause = if taken > 0 { poll } else { (pause * 2).min(poll * IDLE_FACTOR) };
            std::thread::park_timeout(pause);
        }
        cpu.publish();
    }
}

impl Source {
    /// Batches what was handed off. Returns how many exchanges that were.
    fn drain(&mut self, batcher: &mut Batcher, work: &Work) -> u64 {
        let (mut shard, shed) = self.handoff.swap(std::mem::take(&mut self.spare));
        self.bytes.set(shard.bytes() as f64);
        let mut exchanges = std::mem::take(&mut shard.exchanges);
        let taken = exchanges.len() as u64;
        work.crossed(taken, shed);
        for exchange in exchanges.drain(..) {
            batcher.take(&shard, exchange);
        }
        shard.exchanges = exchanges;
        shard.clear();
        self.spare = shard;
        taken
    }
}

/// True if the thread is to end.
fn obey(orders: &[Order], batcher: &mut Batcher, common: &Common) -> bool {
    if !orders.is_empty() {
        batcher.close_all();
    }
    for order in orders {
        if let Order::Settle(ticket) = order {
            common.panel.mark(ticket);
        }
    }
    orders.iter().any(|order| matches!(order, Order::End))
}

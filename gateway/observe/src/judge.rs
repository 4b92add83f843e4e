//! The seam to whoever judges batches, one thread each, and the set of judges that is replaced while batches
//! flow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_exchange::{Batch, SchemaId, Verdict};

use crate::config::QueueLimits;
use crate::governor::{CpuMeter, Work};
use crate::keep::Join;
use crate::latch::{Latch, Ticket};
use crate::metrics::LineMetrics;
use crate::queue::{Job, Next, Queue};
use crate::verdict::VerdictSink;

/// Between two ticks of a judge lies at least this: one that always wants another would take a core, and the
/// governor would have everybody pay for it.
const TICK_PAUSE: Duration = Duration::from_millis(10);

/// One judge of batches: the wiring puts a plugin behind it.
///
/// Every method but `key` and `routes` is called on the judge's own thread, so that a judge that takes its
/// time delays nobody else. A panic costs the batch it happened in. A judge that is replaced is dropped on
/// that thread.
pub trait Judge: Send + 'static {
    /// Its name: the label `judge`. Unique in a set; a judge that replaces one of the same key begins only
    /// when that one has seen everything queued to it.
    fn key(&self) -> &str;

    /// Names of the routes it judges; `None`: all. Read once.
    fn routes(&self) -> Option<Vec<Arc<str>>> {
        None
    }

    /// Judges one batch. Batches of one judge come in rising `sequence`.
    fn observe(&mut self, batch: &Batch, now_unix_ns: u64) -> Vec<Verdict>;

    /// Unix time in ns at which [`Judge::tick`] is wanted; asked again after every call. A tick follows
    /// another after 10 ms at the earliest.
    fn next_tick(&self) -> Option<u64> {
        None
    }

    /// Its time has come.
    fn tick(&mut self, _now_unix_ns: u64) {}

    /// A schema is gone; its number does not come again.
    fn forget(&mut self, _schema: SchemaId) {}
}

/// What a judge's thread shares with the rest of the line.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) limits: QueueLimits,
    pub(crate) metrics: LineMetrics,
    pub(crate) sink: Arc<dyn VerdictSink>,
    pub(crate) work: Arc<Work>,
}

/// A judge at work.
struct Seat {
    key: Arc<str>,
    routes: Option<Vec<Arc<str>>>,
    queue: Arc<Queue>,
    ended: Arc<Latch>,
}

impl Seat {
    /// Starts a judge's thread. It waits for `before`, the judge of the same key that it replaces.
    fn take(bench: &Bench, judge: Box<dyn Judge>, before: Option<Arc<Latch>>) -> Self {
        let key: Arc<str> = judge.key().into();
        let routes = judge.routes();
        let queue = Arc::new(Queue::new(bench.limits, &key, &bench.metrics));
        let (ticket, ended) = Ticket::latch();
        let at_work = AtWork { judge, key: key.clone(), queue: queue.clone(), bench: bench.clone(), ticket };
        let name = format!("judge-{key}");
        let started = std::thread::Builder::new().name(name).spawn(move || at_work.run(before));
        // Without a thread the judge has gone already: its batches are counted as dropped.
        if started.is_err() {
            queue.abandon();
        }
        Self { key, routes, queue, ended }
    }

    fn judges(&self, route: &str) -> bool {
        self.routes.as_ref().is_none_or(|routes| routes.iter().any(|r| **r == *route))
    }
}

/// The set of judges.
pub(crate) struct Panel {
    bench: Bench,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    current: Vec<Seat>,
    /// Judges that were replaced and still have batches to see.
    retiring: Vec<Seat>,
    sequence: u64,
}

impl Panel {
    pub(crate) fn new(bench: Bench) -> Self {
        Self { bench, seats: Mutex::default() }
    }

    /// Hands a closed batch to every judge of its route. Numbers it under the lock: whichever thread closed
    /// it, each judge gets batches in rising order, and all of a batch goes to one set of judges.
    ///
    /// `join` makes what waits for all of them, if anything does.
    pub(crate) fn dispatch(&self, mut batch: Batch, join: impl FnOnce(&Arc<Batch>) -> Option<Arc<Join>>) {
        let mut seats = self.lock();
        seats.sequence += 1;
        batch.sequence = seats.sequence;
        let batch = Arc::new(batch);
        let join = join(&batch);
        for seat in seats.current.iter().filter(|seat| seat.judges(&batch.route.name)) {
            seat.queue.push(&batch, join.as_ref());
        }
        // Without a judge this decides, which takes its time.
        drop(seats);
        drop(join);
    }

    /// Tells every judge that a schema is gone.
    pub(crate) fn forget(&self, schema: SchemaId) {
        self.lock().current.iter().for_each(|seat| seat.queue.order(Job::Forget(schema)));
    }

    /// Puts a barrier behind everything that waits for any judge.
    pub(crate) fn mark(&self, ticket: &Ticket) {
        let seats = self.lock();
        for seat in seats.current.iter().chain(&seats.retiring) {
            seat.queue.order(Job::Mark(ticket.clone()));
        }
    }

    /// Replaces the set: judges named in `keep` go on, all others see what is queued to them and end, `new`
    /// ones begin.
    pub(crate) fn replace(&self, keep: &[&str], new: Vec<Box<dyn Judge>>) {
        let mut seats = self.lock();
        let (kept, leaving): (Vec<_>, Vec<_>) =
            std::mem::take(&mut seats.current).into_iter().partition(|seat| keep.contains(&&*seat.key));
        seats.retiring.retain(|seat| !seat.ended.is_open());
        leaving.iter().for_each(|seat| seat.queue.close());
        seats.retiring.extend(leaving);
        seats.current = kept;
        for judge in new {
            let before = seats.retiring.iter().rev().find(|seat| *seat.key == *judge.key());
            let seat = Seat::take(&self.bench, judge, before.map(|seat| seat.ended.clone()));
            seats.current.push(seat);
        }
    }

    /// Ends every judge when it has seen what is queued to it. False if that took longer than `patience`.
    pub(crate) fn end(&self, patience: Duration) -> bool {
        self.replace(&[], Vec::new());
        let ended: Vec<_> = self.lock().retiring.iter().map(|seat| seat.ended.clone()).collect();
        let start = Instant::now();
        ended.iter().all(|ended| ended.wait_for(patience.saturating_sub(start.elapsed())))
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // A panic under this lock can only be a failed allocation or a judge's `key`; the seats are still
        // whole.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a panel no batch comes any more: its judges see what is queued to them and end.
impl Drop for Panel {
    fn drop(&mut self) {
        self.replace(&[], Vec::new());
    }
}

/// A judge on its thread.
struct AtWork {
    judge: Box<dyn Judge>,
    key: Arc<str>,
    queue: Arc<Queue>,
    bench: Bench,
    ticket: Ticket,
}

/// However the thread ends, nobody waits for its queue.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl AtWork {
    fn run(self, before: Option<Arc<Latch>>) {
        weir_telemetry::priority::give_way();
        let Self { mut judge, key, queue, bench, ticket } = self;
        let _ticket = ticket;
        let abandon = Abandon(queue.clone());
        if let Some(before) = before {
            before.wait();
        }
        let panicked = bench.metrics.judge_dropped.get(&[&key, "panic"]);
        let mut cpu = CpuMeter::new(bench.work.clone(), bench.metrics.judge_cpu.get(&[&key]));
        let mut rested = Instant::now();
        loop {
            match queue.next(patience(&*judge, rested)) {
                Next::Job(Job::Batch(batch, join)) => {
                    guarded(|| observe(&mut *judge, &key, &batch, join.as_deref(), &*bench.sink))
                        .unwrap_or_else(|| panicked.add(batch.exchanges as u64));
                    guarded(|| drop(join)).unwrap_or_default();
                }
                Next::Job(Job::Forget(schema)) => guarded(|| judge.forget(schema)).unwrap_or_default(),
                Next::Job(Job::Mark(ticket)) => drop(ticket),
                Next::Tick => {
                    guarded(|| judge.tick(unix_ns())).unwrap_or_default();
                    rested = Instant::now() + TICK_PAUSE;
                }
                Next::End => break,
            }
            cpu.publish();
        }
        guarded(|| drop(judge)).unwrap_or_default();
        drop(abandon);
    }
}

/// Time until the judge gets the tick it wants, not before it has `rested`.
fn patience(judge: &dyn Judge, rested: Instant) -> Option<Duration> {
    let due = guarded(|| judge.next_tick()).flatten()?;
    let due = Duration::from_nanos(due.saturating_sub(unix_ns()));
    Some(due.max(rested.saturating_duration_since(Instant::now())))
}

fn observe(
    judge: &mut dyn Judge,
    key: &str,
    batch: &Arc<Batch>,
    join: Option<&Join>,
    sink: &dyn VerdictSink,
) {
    let verdicts = judge.observe(batch, unix_ns());
    if !verdicts.is_empty() {
        if let Some(join) = join {
            join.say(key, &verdicts);
        }
        sink.verdicts(key, batch, &verdicts);
    }
}

/// A judge's state after a panic is its own affair: it is called again, and may well panic again.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// Unix time now.
pub(crate) fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

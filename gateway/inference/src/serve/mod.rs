//! Requests answered with a model: in place while that is cheap, else on threads of the model's own.

mod address;
mod answer;
mod clock;

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use weir_codec::Decoder;
use weir_exchange::exchange::Encoding;
use weir_exchange::model::http_like::Method;
use weir_exchange::{LocalReply, LocalRequest, Table};

use crate::model::Model;
use answer::Answerer;
use clock::Clock;

/// How a model is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Name in replies and labels, instead of the one in the file.
    pub name: Option<Arc<str>>,
    /// Threads for what is not answered in place; at least one.
    pub threads: usize,
    /// Requests that may wait for a thread; at least one.
    pub queue: usize,
}

/// A model that answers requests. Dropping it ends its threads once they have answered what is queued.
#[derive(Debug)]
pub struct Served {
    answerer: Arc<Answerer>,
    queue: SyncSender<Job>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Submitted {
    /// Answered in place; the callback was not called and never will be.
    Now(Box<LocalReply>),
    /// Queued: the callback will be called, on a thread of the model.
    Later,
    /// The queue is full; the callback will not be called.
    Busy,
}

struct Job {
    request: LocalRequest,
    /// The rows, if they were decoded before the request turned out to be long.
    rows: Option<Box<Table>>,
    clock: Clock,
    reply: Box<dyn FnOnce(LocalReply) + Send>,
}

/// What may be spent in place. A hand-over to the model's threads and back costs a tenth of this, but it also
/// moves the request to another core; and this long every other request of the worker waits.
const IN_PLACE_NS: f64 = 50_000.0;
/// Decoding costs up to 5 ns a byte, so that this much of it fits the time above.
const IN_PLACE_BYTES: usize = 8 << 10;

impl Served {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(model: Arc<Model>, options: ServeOptions) -> io::Result<Self> {
        let answerer = Arc::new(Answerer::new(model, options.name));
        let (queue, jobs) = sync_channel(options.queue.max(1));
        let jobs = Arc::new(Mutex::new(jobs));
        for at in 0..options.threads.max(1) {
            let (answerer, jobs) = (Arc::clone(&answerer), Arc::clone(&jobs));
            thread::Builder::new().name(format!("weir-model-{at}")).spawn(move || work(&answerer, &jobs))?;
        }
        Ok(Self { answerer, queue })
    }

    /// Answers a request, or queues it. Never blocks.
    pub fn submit(&self, request: LocalRequest, reply: Box<dyn FnOnce(LocalReply) + Send>) -> Submitted {
        let mut clock = Clock::start();
        let long = request.encoding != Encoding::Identity || request.body.len() > IN_PLACE_BYTES;
        let done = guarded(&self.answerer, || {
            if request.method == Method::Get {
                return Ok(self.answerer.get(&request));
            }
            if let Some(refused) = self.answerer.refuse_other(&request) {
                return Ok(refused);
            }
            if long {
                return Err(None);
            }
            let rows = match decode(&self.answerer, &request) {
                Ok(rows) => rows,
                Err(refused) => return Ok(refused),
            };
            clock.decoded();
            if self.answerer.nanoseconds(rows.rows) > IN_PLACE_NS {
                return Err(Some(rows));
            }
            Ok(self.answerer.predict(&request, rows, &mut clock))
        });
        match done {
            Ok(Ok(answer)) => Submitted::Now(Box::new(answer)),
            Ok(Err(rows)) => self.enqueue(Job { request, rows, clock, reply }),
            Err(failed) => Submitted::Now(Box::new(failed)),
        }
    }

    /// The model's name, as replies give it.
    pub fn name(&self) -> &str {
        self.answerer.name()
    }

    /// The model's version; may be empty.
    pub fn version(&self) -> &str {
        self.answerer.version()
    }

    fn enqueue(&self, job: Job) -> Submitted {
        match self.queue.try_send(job) {
            Ok(()) => Submitted::Later,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Submitted::Busy,
        }
    }
}

thread_local! {
    /// Decoders keep their memory from body to body.
    static DECODER: RefCell<Decoder> = RefCell::default();
}

fn decode(answerer: &Answerer, request: &LocalRequest) -> Result<Box<Table>, LocalReply> {
    DECODER.with_borrow_mut(|decoder| answerer.decode(decoder, request))
}

/// One thread: jobs until the model is dropped and the queue is empty.
fn work(answerer: &Answerer, jobs: &Mutex<Receiver<Job>>) {
    loop {
        // One thread waits in the channel, the others for it: whoever is woken lets the next one in.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { request, rows, mut clock, reply }) = job else { return };
        let answered = guarded(answerer, || {
            let decoded = rows.map_or_else(|| decode(answerer, &request).inspect(|_| clock.decoded()), Ok);
            match decoded {
                Ok(rows) => answerer.predict(&request, rows, &mut clock),
                Err(refused) => refused,
            }
        });
        // A panic of the receiver is not ours, but the thread must live on.
        let _ = catch_unwind(AssertUnwindSafe(|| reply(answered.unwrap_or_else(|failed| failed))));
    }
}

/// A panic becomes an answer. What it unwound through is per request, but for the decoder, which starts
/// afresh with each body.
fn guarded<T>(answerer: &Answerer, run: impl FnOnce() -> T) -> Result<T, LocalReply> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| answerer.failed())
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("request", &self.request).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

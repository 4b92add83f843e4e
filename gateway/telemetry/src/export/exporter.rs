//! The handle of those who offer, and the life of the thread behind it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;

use super::metrics::ExportMetrics;
use super::queue::Queue;
use super::transport::Transport;
use super::worker::Worker;
use crate::log::Logger;
use crate::priority;

/// Bounds of an exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Items that may wait; what comes while so many do is dropped and counted.
    pub queue_items: usize,
    /// Bytes, as encoded, that may wait; in memory an item is about as long again.
    pub queue_bytes: usize,
    /// Most items of a request.
    pub batch_items: usize,
    /// Most bytes of a request before compression, about; an item longer than that is dropped and counted.
    /// Collectors commonly take 4 MiB.
    pub batch_bytes: usize,
    /// How long items wait for company.
    pub delay: Duration,
    /// Most that is waited after a first failed request; doubles with each that follows.
    pub retry_initial: Duration,
    /// Most that is waited between two requests, unless the receiver asks for more.
    pub retry_longest: Duration,
    /// How long a batch is tried again before it is dropped and counted.
    pub retry_for: Duration,
    /// How long an exporter whose last handle is gone goes on sending what it has.
    pub linger: Duration,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            queue_items: 4096,
            queue_bytes: 8 << 20,
            batch_items: 512,
            batch_bytes: 2 << 20,
            delay: Duration::from_secs(1),
            retry_initial: Duration::from_secs(1),
            retry_longest: Duration::from_secs(30),
            retry_for: Duration::from_secs(60),
            linger: Duration::from_secs(10),
        }
    }
}

impl ExportOptions {
    /// Bounds without which nothing would ever be sent.
    fn sane(mut self) -> Self {
        self.queue_items = self.queue_items.max(1);
        self.batch_items = self.batch_items.clamp(1, self.queue_items);
        self.batch_bytes = self.batch_bytes.clamp(1, self.queue_bytes.max(1));
        self
    }
}

/// A handle on an exporter. Cloning is cheap; when the last one is gone, the thread sends what it has within
/// [`ExportOptions::linger`] and ends, so that a reload only has to drop the old handle.
pub struct Exporter<I>(Arc<Handle<I>>);

struct Handle<I> {
    queue: Arc<Queue<I>>,
    size: fn(&I) -> usize,
    linger: Duration,
}

impl<I: Send + 'static> Exporter<I> {
    /// Starts the thread. Nothing is connected before there is something to send.
    ///
    /// # Errors
    /// The thread or its runtime cannot be started.
    pub fn start<T: Transport<Item = I>>(
        transport: T,
        options: ExportOptions,
        metrics: &ExportMetrics,
        log: &Logger,
    ) -> io::Result<Self> {
        let options = options.sane();
        // A name that takes long to resolve blocks a thread of this runtime, and no more than two of them.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .thread_name("weir-export-dns")
            .on_thread_start(priority::give_way)
            .build()?;
        let (signal, linger) = (transport.signal(), options.linger);
        let cells = metrics.cells(signal);
        let queue = Arc::new(Queue::new(options.clone(), cells.clone()));
        let worker = Worker::new(transport, queue.clone(), cells, &options, log);
        // The kernel keeps 15 bytes of a name.
        thread::Builder::new().name(format!("weir-x-{signal}")).spawn(move || {
            priority::give_way();
            runtime.block_on(worker.run());
            // A lookup may still hang in its thread.
            runtime.shutdown_background();
        })?;
        Ok(Self(Arc::new(Handle { queue, size: T::size, linger })))
    }

    /// Hands an item over, or drops and counts it; never waits. True if it was taken.
    pub fn offer(&self, item: I) -> bool {
        let size = (self.0.size)(&item);
        self.0.queue.offer(item, size)
    }

    /// Waits until everything taken before this call came to its end, sent or counted as lost; false if that
    /// took longer than `limit`. Waits between retries are not cut short.
    pub fn flush(&self, limit: Duration) -> bool {
        self.0.queue.flush(limit)
    }

    /// Takes no more items, sends those that wait, and ends. A batch that waits to be tried again is tried at
    /// once. What is not sent within `limit` is dropped and counted as `shutdown`. True if nothing was.
    pub fn finish(&self, limit: Duration) -> bool {
        self.0.queue.close(limit);
        self.0.queue.ended(limit)
    }
}

impl<I> Clone for Exporter<I> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I> fmt::Debug for Exporter<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

impl<I> Drop for Handle<I> {
    fn drop(&mut self) {
        self.queue.close(self.linger);
    }
}

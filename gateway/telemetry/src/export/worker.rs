//! The loop of an exporter's thread: take a batch, send it, try again, count.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::ExportOptions;
use super::hold::Hold;
use super::metrics::{Cells, Outcome};
use super::queue::Queue;
use super::transport::{Answer, Fault, Transport};
use super::voice::Voice;
use crate::log::Logger;

/// The sending side of one exporter.
pub(super) struct Worker<T: Transport> {
    transport: T,
    queue: Arc<Queue<T::Item>>,
    cells: Cells,
    hold: Hold,
    voice: Voice,
    retry_for: Duration,
    closing: watch::Receiver<Option<Instant>>,
    /// The end is near, and a wait was cut short for it.
    hurried: bool,
}

impl<T: Transport> Worker<T> {
    pub(super) fn new(
        transport: T,
        queue: Arc<Queue<T::Item>>,
        cells: Cells,
        options: &ExportOptions,
        log: &Logger,
    ) -> Self {
        Self {
            voice: Voice::new(log, transport.signal(), transport.place()),
            hold: Hold::new(options.retry_initial, options.retry_longest),
            retry_for: options.retry_for,
            closing: queue.closing(),
            hurried: false,
            transport,
            queue,
            cells,
        }
    }

    /// Sends until the queue is closed and empty, or its deadline has come.
    pub(super) async fn run(self) {
        // However this ends, a panic included, what is left is counted.
        let _end = End(self.queue.clone());
        let mut closing = self.closing.clone();
        let deadline = async move {
            if let Ok(Some(at)) = closing.wait_for(Option::is_some).await.map(|at| *at) {
                sleep_until(at).await;
            }
        };
        tokio::select! {
            () = self.work() => {}
            () = deadline => {}
        }
    }

    async fn work(mut self) {
        while let Some(items) = self.queue.take().await {
            let number = items.len() as u64;
            let body = self.transport.encode(items);
            self.deliver(body, number).await;
            self.queue.settle();
        }
    }

    /// Tries until the batch is taken, refused, or its time is over.
    async fn deliver(&mut self, body: T::Body, number: u64) {
        let give_up = Instant::now() + self.retry_for;
        loop {
            self.wait().await;
            match self.request(body.clone()).await {
                Answer::Taken { rejected, message } => return self.taken(number, rejected, &message),
                Answer::Never { fault } => {
                    self.hold.answered();
                    return self.lost(Outcome::Failed, &fault, number);
                }
                Answer::Later { fault, after } => {
                    let next = self.hold.failed(after, Instant::now(), fastrand::f64());
                    if next >= give_up {
                        return self.lost(Outcome::GaveUp, &fault, number);
                    }
                    self.voice.failed(&fault);
                }
            }
        }
    }

    async fn request(&self, body: T::Body) -> Answer {
        let begin = Instant::now();
        let answer = self.transport.send(body).await;
        self.cells.requested(answer.result(), begin.elapsed());
        answer
    }

    fn lost(&mut self, outcome: Outcome, fault: &Fault, number: u64) {
        self.cells.ended(outcome, number);
        self.voice.lost(fault, number + self.queue.overflowed());
    }

    fn taken(&mut self, number: u64, rejected: u64, message: &str) {
        self.hold.answered();
        // A receiver that cannot count does not change what was offered.
        let rejected = rejected.min(number);
        self.cells.ended(Outcome::Sent, number - rejected);
        self.cells.ended(Outcome::Rejected, rejected);
        self.voice.overflowed(self.queue.overflowed());
        self.voice.taken(rejected, message);
    }

    /// Waits out the back-off. The end cuts our own wait short, once; a wait the receiver asked for stands.
    async fn wait(&mut self) {
        let Some((until, asked)) = self.hold.wait() else { return };
        if asked || self.hurried {
            return sleep_until(until).await;
        }
        tokio::select! {
            () = sleep_until(until) => {}
            _ = self.closing.wait_for(Option::is_some) => self.hurried = true,
        }
    }
}

/// Counts what is left when the sender is gone.
struct End<I>(Arc<Queue<I>>);

impl<I> Drop for End<I> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

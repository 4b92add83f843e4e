//! The bounded buffer between those who offer and the thread that sends.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::ExportOptions;
use super::metrics::{Cells, Outcome};

/// Longer than anybody waits; an `Instant` so far away can still be computed with.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How much longer than its deadline the thread is awaited: it ends by itself, but may have to wait for a
/// core.
const GRACE: Duration = Duration::from_secs(2);

/// Items in the order they came, bounded by number and bytes. The lock is held only to move an item or a
/// batch, never while encoding or sending.
#[derive(Debug)]
pub(super) struct Queue<I> {
    state: Mutex<State<I>>,
    /// Wakes the sender.
    filled: Notify,
    /// Wakes those who flush or finish.
    settled: Condvar,
    /// When the sender must have ended, once that is known.
    closing: watch::Sender<Option<Instant>>,
    limits: ExportOptions,
    cells: Cells,
}

#[derive(Debug)]
struct State<I> {
    items: VecDeque<(I, usize)>,
    bytes: usize,
    /// When the oldest item came, or when the last batch left.
    since: Instant,
    /// Items ever accepted, of those how many came to an end, and how many the sender has in hand.
    accepted: u64,
    settled: u64,
    in_hand: u64,
    /// Somebody waits until so many are settled: do not linger.
    hurry: u64,
    /// Items turned away since the sender last asked.
    overflowed: u64,
    closed: bool,
    ended: bool,
    /// Items that were given up because the end came.
    abandoned: u64,
}

impl<I> Queue<I> {
    pub(super) fn new(limits: ExportOptions, cells: Cells) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            since: Instant::now(),
            accepted: 0,
            settled: 0,
            in_hand: 0,
            hurry: 0,
            overflowed: 0,
            closed: false,
            ended: false,
            abandoned: 0,
        };
        let closing = watch::Sender::new(None);
        Self {
            state: Mutex::new(state),
            filled: Notify::new(),
            settled: Condvar::new(),
            closing,
            limits,
            cells,
        }
    }

    /// Takes an item of `size` bytes; false, and counted, if it does not fit.
    pub(super) fn offer(&self, item: I, size: usize) -> bool {
        match self.push(item, size) {
            Ok(wake) => {
                if wake {
                    self.filled.notify_one();
                }
                true
            }
            Err(outcome) => {
                self.cells.ended(outcome, 1);
                false
            }
        }
    }

    /// True if the sender has something to do now that it had not before.
    fn push(&self, item: I, size: usize) -> Result<bool, Outcome> {
        if size > self.limits.batch_bytes {
            return Err(Outcome::TooLarge);
        }
        let mut state = self.lock();
        if state.closed {
            return Err(Outcome::Shutdown);
        }
        if state.items.len() >= self.limits.queue_items || state.bytes + size > self.limits.queue_bytes {
            state.overflowed += 1;
            return Err(Outcome::QueueFull);
        }
        let was_full = self.full(&state);
        if state.items.is_empty() {
            state.since = Instant::now();
        }
        state.items.push_back((item, size));
        state.bytes += size;
        state.accepted += 1;
        self.cells.waiting(1.0);
        Ok(state.items.len() == 1 || (self.full(&state) && !was_full))
    }

    /// A whole batch waits.
    fn full(&self, state: &State<I>) -> bool {
        state.items.len() >= self.limits.batch_items || state.bytes >= self.limits.batch_bytes
    }

    /// Waits for the next batch: a full one, or what there is after the delay; `None` once the queue is
    /// closed and empty. The items count as waiting to be settled until [`Queue::settle`].
    pub(super) async fn take(&self) -> Option<Vec<I>> {
        loop {
            let linger = {
                let mut state = self.lock();
                let urgent = state.closed || state.settled < state.hurry || self.full(&state);
                let due = state.since + self.limits.delay;
                match state.items.is_empty() {
                    true if state.closed => return None,
                    true => None,
                    false if urgent || due <= Instant::now() => return Some(self.cut(&mut state)),
                    false => Some(due),
                }
            };
            match linger {
                None => self.filled.notified().await,
                // A time-out is no failure: the batch is then due.
                Some(due) => timeout_at(due, self.filled.notified()).await.unwrap_or(()),
            }
        }
    }

    fn cut(&self, state: &mut State<I>) -> Vec<I> {
        let (mut number, mut bytes) = (0, 0);
        for (_, size) in state.items.iter().take(self.limits.batch_items) {
            if number > 0 && bytes + size > self.limits.batch_bytes {
                break;
            }
            number += 1;
            bytes += size;
        }
        state.bytes -= bytes;
        state.in_hand = number as u64;
        state.since = Instant::now();
        self.cells.waiting(-(number as f64));
        state.items.drain(..number).map(|(item, _)| item).collect()
    }

    /// How many items found no room since this was last asked.
    pub(super) fn overflowed(&self) -> u64 {
        std::mem::take(&mut self.lock().overflowed)
    }

    /// The batch that was taken came to its end.
    pub(super) fn settle(&self) {
        let mut state = self.lock();
        state.settled += std::mem::take(&mut state.in_hand);
        drop(state);
        self.settled.notify_all();
    }

    /// Waits until everything accepted before this call came to its end.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        let target = state.accepted;
        state.hurry = state.hurry.max(target);
        self.filled.notify_one();
        let unfinished = |s: &mut State<I>| s.settled < target && !s.ended;
        let (state, _) = self
            .settled
            .wait_timeout_while(state, limit.min(FOREVER), unfinished)
            .unwrap_or_else(PoisonError::into_inner);
        state.settled >= target
    }

    /// Takes no more, and lets the sender end once the queue is empty, or at the end of `limit`. The first
    /// caller sets the limit.
    pub(super) fn close(&self, limit: Duration) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.closed = true;
        drop(state);
        self.closing.send_replace(Some(Instant::now() + limit.min(FOREVER)));
        self.filled.notify_one();
    }

    /// Waits until the sender has ended; true if nothing was given up for it.
    pub(super) fn ended(&self, limit: Duration) -> bool {
        let limit = limit.min(FOREVER) + GRACE;
        let alive = |s: &mut State<I>| !s.ended;
        let (state, _) = self
            .settled
            .wait_timeout_while(self.lock(), limit, alive)
            .unwrap_or_else(PoisonError::into_inner);
        state.ended && state.abandoned == 0
    }

    /// The sender is gone: what is left, in hand or waiting, is counted.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        let waiting = state.items.len() as u64;
        let left = waiting + std::mem::take(&mut state.in_hand);
        let items = std::mem::take(&mut state.items);
        state.bytes = 0;
        state.settled += left;
        state.abandoned += left;
        (state.closed, state.ended) = (true, true);
        // Before anybody who waits for the end can look at the counters.
        self.cells.waiting(-(waiting as f64));
        self.cells.ended(Outcome::Shutdown, left);
        drop(state);
        drop(items);
        self.settled.notify_all();
    }

    /// When the sender must have ended.
    pub(super) fn closing(&self) -> watch::Receiver<Option<Instant>> {
        self.closing.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State<I>> {
        // Nothing under this lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::ExportMetrics;

    fn queue(limits: ExportOptions) -> Queue<u8> {
        Queue::new(limits, ExportMetrics::new(&[]).cells("traces"))
    }

    #[test]
    fn the_sender_is_woken_for_the_first_item_and_for_a_full_batch_and_not_in_between() {
        let by_items = queue(ExportOptions { batch_items: 3, ..ExportOptions::default() });
        let woken: Vec<_> = (0..5).map(|i| by_items.push(i, 1)).collect();
        assert_eq!(woken, [Ok(true), Ok(false), Ok(true), Ok(false), Ok(false)]);
        let by_bytes = queue(ExportOptions { batch_bytes: 10, ..ExportOptions::default() });
        let woken = [6, 3, 1, 1].map(|size| by_bytes.push(0, size));
        assert_eq!(woken, [Ok(true), Ok(false), Ok(true), Ok(false)]);
    }

    #[test]
    fn a_batch_ends_before_the_item_that_would_make_it_too_long() {
        let queue = queue(ExportOptions { batch_bytes: 10, batch_items: 3, ..ExportOptions::default() });
        for (item, size) in [(0, 6), (1, 4), (2, 1), (3, 9), (4, 10), (5, 1), (6, 1), (7, 1), (8, 1)] {
            assert!(queue.offer(item, size));
        }
        queue.close(Duration::ZERO);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let mut batches = Vec::new();
        while let Some(batch) = runtime.block_on(queue.take()) {
            queue.settle();
            batches.push(batch);
        }
        assert_eq!(batches, [vec![0, 1], vec![2, 3], vec![4], vec![5, 6, 7], vec![8]]);
        assert!(!queue.offer(9, 1));
    }
}

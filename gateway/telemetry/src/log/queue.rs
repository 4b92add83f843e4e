//! The buffer between those who log and the thread that writes.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metric::Counter;

/// How long lines may wait for company: one wake-up of the writer serves all that come within. Errors do
/// not wait.
const LINGER: Duration = Duration::from_millis(20);

/// Whole lines, bounded by bytes. The lock is held only to copy a line or to swap buffers, never while
/// writing.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Lines in `lines`.
    waiting: u64,
    /// Lines ever accepted, and of those how many the sink was given.
    accepted: u64,
    done: u64,
    /// Do not linger.
    urgent: bool,
    closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), written: Condvar::new(), capacity }
    }

    /// Takes a line; false if it does not fit. A closed queue takes everything and keeps nothing.
    pub(super) fn push(&self, line: &str, urgent: bool) -> bool {
        let mut state = self.lock();
        if state.closed {
            return true;
        }
        let before = state.lines.len();
        if before + line.len() > self.capacity {
            return false;
        }
        state.lines.extend_from_slice(line.as_bytes());
        state.waiting += 1;
        state.accepted += 1;
        let half = self.capacity / 2;
        let hurry = urgent || (before < half && state.lines.len() >= half);
        let wake = before == 0 || (hurry && !state.urgent);
        state.urgent |= hurry;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// Waits until the sink was given every line accepted before this call.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        if state.closed {
            return true;
        }
        let target = state.accepted;
        state.urgent = true;
        self.filled.notify_one();
        let unfinished = |s: &mut State| s.done < target;
        let (_state, wait) =
            self.written.wait_timeout_while(state, limit, unfinished).unwrap_or_else(PoisonError::into_inner);
        !wait.timed_out()
    }

    /// Lets the writer end once the queue is empty.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// The writer thread: gives lines to the sink until the queue is closed and empty. Lines the sink
    /// refuses are counted in `lost`.
    pub(super) fn drain_into(&self, mut sink: impl Write, lost: &Counter) {
        let mut lines = Vec::new();
        while let Some(count) = self.take(&mut lines) {
            if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
                lost.add(count);
            }
            lines.clear();
            self.lock().done += count;
            self.written.notify_all();
        }
    }

    /// Waits for lines and swaps them out; `None` when there will be no more.
    fn take(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let idle = |s: &mut State| s.lines.is_empty() && !s.closed;
        let mut state = self.filled.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + LINGER;
        while !state.urgent && !state.closed {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        if state.lines.is_empty() {
            return (!state.closed).then_some(0);
        }
        state.urgent = false;
        std::mem::swap(lines, &mut state.lines);
        Some(std::mem::take(&mut state.waiting))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

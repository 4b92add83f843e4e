//! Two ways to wait for other threads: a latch, and a ticket whose last copy runs a callback.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Opens once.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(open, |open| !*open));
    }

    /// False if the time ran out.
    pub(crate) fn wait_for(&self, timeout: Duration) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match self.opened.wait_timeout_while(open, timeout, |open| !*open) {
            Ok((open, _)) => *open,
            Err(poisoned) => *poisoned.into_inner().0,
        }
    }
}

/// Handed to every thread that has something to finish. The last copy to be dropped runs the callback, so
/// that a thread that ends, for whatever reason, can never leave the barrier waiting.
#[derive(Clone)]
pub(crate) struct Ticket(#[expect(dead_code, reason = "held for its drop")] Arc<OnLast>);

struct OnLast(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Ticket {
    pub(crate) fn new(done: Box<dyn FnOnce() + Send>) -> Self {
        Self(Arc::new(OnLast(Mutex::new(Some(done)))))
    }

    /// A ticket, and the latch that its last copy opens.
    pub(crate) fn latch() -> (Self, Arc<Latch>) {
        let latch = Arc::new(Latch::default());
        let opens = latch.clone();
        (Self::new(Box::new(move || opens.open())), latch)
    }
}

impl Drop for OnLast {
    fn drop(&mut self) {
        let done = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The callback is a stranger's: its panic must not end the thread that happens to drop the last copy.
        if let Some(done) = done {
            drop(catch_unwind(AssertUnwindSafe(done)));
        }
    }
}

//! Answers that wait for their readers, and what they may weigh together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Answers up to here are not weighed: the limit of connections bounds them.
const SMALL: usize = 64 << 10;
/// A permit is this many bytes, so that their count fits `u32`.
const UNIT: usize = 1 << 10;

/// A budget of bytes. The metrics of a large gateway are megabytes, and every slow client holds a copy.
#[derive(Debug)]
pub(crate) struct Unread {
    units: usize,
    free: Arc<Semaphore>,
}

impl Unread {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { units, free: Arc::new(Semaphore::new(units)) }
    }

    pub(crate) fn limit(&self) -> usize {
        self.units * UNIT
    }

    /// The body, which gives its part of the budget back when its last byte is handed to the system; `None`
    /// if there is too little left. One that is larger than the whole budget is served if it is the only one.
    pub(crate) fn hold(&self, body: Bytes) -> Option<Bytes> {
        if body.len() <= SMALL {
            return Some(body);
        }
        let units = u32::try_from(body.len().div_ceil(UNIT).min(self.units)).ok()?;
        let part = self.free.clone().try_acquire_many_owned(units).ok()?;
        Some(Bytes::from_owner(Held { body, _part: part }))
    }
}

struct Held {
    body: Bytes,
    _part: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_share_a_budget_and_give_it_back() {
        let unread = Unread::new(300 << 10);
        let body = |kib: usize| Bytes::from(vec![b'x'; kib << 10]);
        let one = unread.hold(body(200));
        assert_eq!(one, Some(body(200)));
        assert_eq!(unread.hold(body(101)), None);
        assert!(unread.hold(body(64)).is_some(), "small ones are not weighed");
        let part = one.map(|one| one.slice(1..));
        assert_eq!(unread.hold(body(101)), None, "a part of it still waits");
        drop(part);
        let giant = unread.hold(body(1000));
        assert!(giant.is_some() && unread.hold(body(65)).is_none());
    }
}

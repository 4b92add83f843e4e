//! The one crossing between the request path and everything off it.
//!
//! Each worker owns a [`Handoff`]. At the end of a response it appends one [`Exchange`]; a telemetry thread
//! swaps the whole shard for an empty one on a timer, or when it is half full. The lock is the worker's own:
//! it is contended only during the swap, which moves three pointers. No request wakes anybody, except the one
//! that makes the shard half full.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::exchange::{Exchange, Payload};

/// Bounds of one worker's shard.
#[derive(Clone, Copy, Debug)]
pub struct ShardLimits {
    /// Bytes of bodies, by reference or copied, plus the exchanges themselves.
    pub bytes: usize,
    /// Exchanges.
    pub exchanges: usize,
    /// Bodies up to this size are copied into the shard: a hyper chunk pins its whole read buffer.
    pub copy_up_to: usize,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self { bytes: 16 << 20, exchanges: 16_384, copy_up_to: 16 << 10 }
    }
}

/// Finished exchanges and the arena their small bodies live in.
#[derive(Debug, Default)]
pub struct Shard {
    pub exchanges: Vec<Exchange>,
    arena: Vec<u8>,
    bytes: usize,
}

impl Shard {
    /// Empties the shard, keeping its memory up to what a busy shard needs.
    pub fn clear(&mut self) {
        const KEEP: usize = 1 << 20;
        self.exchanges.clear();
        self.arena.clear();
        self.arena.shrink_to(KEEP);
        self.exchanges.shrink_to(4096);
        self.bytes = 0;
    }

    /// Bytes charged to this shard.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of a payload of one of this shard's exchanges; chunks are joined into `scratch` if there are
    /// several. Decoded payloads have no bytes.
    pub fn payload<'a>(&'a self, payload: &'a Payload, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match payload {
            Payload::Copied { start, len } => {
                self.arena.get(*start as usize..*start as usize + *len as usize).unwrap_or_default()
            }
            Payload::Held(chunks) => match chunks.as_slice() {
                [one] => one,
                many => {
                    scratch.clear();
                    many.iter().for_each(|chunk| scratch.extend_from_slice(chunk));
                    scratch
                }
            },
            Payload::Absent | Payload::Rows(_) | Payload::Reply(_) => &[],
        }
    }

    /// Moves small payloads into the arena and charges the exchange's bytes.
    fn take_in(&mut self, mut exchange: Exchange, copy_up_to: usize) {
        let Exchange { head, request, response, .. } = &mut exchange;
        for payload in [
            &mut head.path,
            &mut head.model,
            &mut head.model_version,
            &mut request.payload,
            &mut response.payload,
        ] {
            self.bytes += charge(payload);
            if let Payload::Held(chunks) = payload {
                let size: usize = chunks.iter().map(Bytes::len).sum();
                if size <= copy_up_to {
                    let start = self.arena.len() as u32;
                    chunks.iter().for_each(|chunk| self.arena.extend_from_slice(chunk));
                    *payload = Payload::Copied { start, len: size as u32 };
                }
            }
        }
        self.bytes += size_of::<Exchange>();
        self.exchanges.push(exchange);
    }
}

/// What a payload costs while it waits.
fn charge(payload: &Payload) -> usize {
    match payload {
        Payload::Absent | Payload::Copied { .. } => 0,
        Payload::Held(chunks) => chunks.iter().map(Bytes::len).sum(),
        Payload::Rows(table) => table.heap_bytes(),
        Payload::Reply(reply) => reply.outputs.heap_bytes() + reply.scores.heap_bytes(),
    }
}

/// Held payload of one buffer.
pub fn held(bytes: Bytes) -> Payload {
    if bytes.is_empty() { Payload::Absent } else { Payload::Held(SmallVec::from_iter([bytes])) }
}

/// A worker's end of the crossing.
#[derive(Debug)]
pub struct Handoff {
    limits: ShardLimits,
    open: Mutex<Open>,
    consumer: OnceLock<Thread>,
}

#[derive(Debug, Default)]
struct Open {
    shard: Shard,
    pushed: u64,
    /// Since the last swap.
    shed: u64,
}

/// The exchange was not taken: the shard is over its cap. The caller counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed;

impl Handoff {
    /// An empty crossing.
    pub fn new(limits: ShardLimits) -> Self {
        Self { limits, open: Mutex::default(), consumer: OnceLock::new() }
    }

    /// Names the thread that swaps this shard, so that a half full shard can wake it. The first call wins.
    pub fn consumed_by(&self, thread: Thread) {
        let _ = self.consumer.set(thread);
    }

    /// Appends one exchange.
    ///
    /// # Errors
    /// [`Shed`] when the shard holds its cap of bytes or exchanges; the exchange is dropped.
    pub fn push(&self, exchange: Exchange) -> Result<(), Shed> {
        let wake = {
            let mut open = self.lock();
            let Open { shard, pushed, shed } = &mut *open;
            if shard.bytes >= self.limits.bytes || shard.exchanges.len() >= self.limits.exchanges {
                *shed += 1;
                return Err(Shed);
            }
            let before = self.half_full(shard);
            shard.take_in(exchange, self.limits.copy_up_to);
            *pushed += 1;
            !before && self.half_full(shard)
        };
        if wake && let Some(thread) = self.consumer.get() {
            thread.unpark();
        }
        Ok(())
    }

    /// Takes the filled shard and leaves `empty` in its place. Returns the shard and how many exchanges found
    /// no room in it.
    pub fn swap(&self, empty: Shard) -> (Shard, u64) {
        let mut open = self.lock();
        (std::mem::replace(&mut open.shard, empty), std::mem::take(&mut open.shed))
    }

    /// Exchanges ever pushed: the barrier's target.
    pub fn pushed(&self) -> u64 {
        self.lock().pushed
    }

    /// Bytes waiting now.
    pub fn bytes(&self) -> usize {
        self.lock().shard.bytes
    }

    fn half_full(&self, shard: &Shard) -> bool {
        shard.bytes >= self.limits.bytes / 2 || shard.exchanges.len() >= self.limits.exchanges / 2
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic while holding the lock can only come from an allocation failure; the data is still whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What all workers know of one endpoint: how busy it is, whether it is out, and what its prober says.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashMap;
use http::HeaderValue;
use weir_exchange::status::EndpointStatus;

use crate::clock::Stamp;

/// An endpoint that failed is tried again after this long when no prober looks at it.
const EJECTED_FOR: Duration = Duration::from_secs(5);

/// One endpoint of one backend. It outlives generations: a reload does not forget that it is down.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) backend: Arc<str>,
    pub(crate) config: weir_config::Endpoint,
    /// The `Host` it expects.
    pub(crate) host: HeaderValue,
    /// Unique in the process: the key of the workers' pools.
    pub(crate) id: u64,
    in_flight: AtomicU32,
    failures: AtomicU32,
    ejected_until: AtomicU64,
    probe: AtomicU8,
    /// The last request did not get through: what is known of an endpoint that no prober looks at.
    down: AtomicBool,
    last_error: Mutex<Option<String>>,
}

const UNKNOWN: u8 = 0;
const READY: u8 = 1;
const NOT_READY: u8 = 2;

impl Endpoint {
    /// Whether traffic should go here.
    pub(crate) fn available(&self, now: Stamp) -> bool {
        self.probe.load(Relaxed) != NOT_READY && self.ejected_until.load(Relaxed) <= now.0
    }

    /// Whether it can answer, as far as is known: in, and reached by the last request unless a probe has
    /// found it ready since.
    pub(crate) fn reachable(&self, now: Stamp) -> bool {
        self.available(now) && !self.down.load(Relaxed)
    }

    /// The last probe's answer, if one was asked.
    pub(crate) fn ready(&self) -> Option<bool> {
        match self.probe.load(Relaxed) {
            UNKNOWN => None,
            state => Some(state == READY),
        }
    }

    /// A request got a response head: whatever its status, the server lives.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Relaxed) != 0 || self.down.load(Relaxed) {
            self.recovered();
        }
    }

    fn recovered(&self) {
        self.failures.store(0, Relaxed);
        self.ejected_until.store(0, Relaxed);
        self.down.store(false, Relaxed);
    }

    /// A connect or a request failed; `eject_after` in a row take the endpoint out for a while.
    pub(crate) fn failed(&self, error: &str, eject_after: u32, now: Stamp) {
        self.down.store(true, Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if failures >= eject_after {
            self.ejected_until.store(now.0 + EJECTED_FOR.as_nanos() as u64, Relaxed);
        }
        self.note(Some(error));
    }

    /// The prober's finding. True if it changed.
    pub(crate) fn probed(&self, ready: Result<(), &str>) -> bool {
        let state = if ready.is_ok() { READY } else { NOT_READY };
        let changed = self.probe.swap(state, Relaxed) != state;
        if ready.is_ok() {
            self.recovered();
        }
        if changed {
            self.note(ready.err());
        }
        changed
    }

    fn note(&self, error: Option<&str>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error.map(str::to_owned);
    }

    fn status(&self, now: Stamp) -> EndpointStatus {
        EndpointStatus {
            backend: self.backend.clone(),
            address: self.config.url.clone(),
            ejected: !self.available(now),
            ready: self.ready(),
            in_flight: u64::from(self.in_flight.load(Relaxed)),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Counts a request on its endpoint for as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Endpoint>);

impl InFlight {
    pub(crate) fn on(endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Relaxed);
        Self(endpoint)
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The less loaded of two endpoints taken at random among those that are in; among all if every one is out,
/// since a try costs milliseconds and a wrong prober must not turn traffic away. `avoid` is skipped if there
/// is another.
pub(crate) fn pick(endpoints: &[Arc<Endpoint>], avoid: Option<u64>, now: Stamp) -> Option<&Arc<Endpoint>> {
    if let [only] = endpoints {
        return Some(only);
    }
    let usable = |e: &&Arc<Endpoint>| e.available(now) && Some(e.id) != avoid;
    let count = endpoints.iter().filter(usable).count();
    if count == 0 {
        return endpoints.iter().find(|e| Some(e.id) != avoid).or(endpoints.first());
    }
    let choice = || endpoints.iter().filter(usable).nth(fastrand::usize(..count));
    let (a, b) = (choice()?, choice()?);
    Some(if b.in_flight.load(Relaxed) < a.in_flight.load(Relaxed) { b } else { a })
}

/// Backend and address.
type Key = (Arc<str>, Arc<str>);

/// Every endpoint that a generation still uses, by backend and address.
#[derive(Debug, Default)]
pub struct EndpointBook {
    known: Mutex<HashMap<Key, Weak<Endpoint>, RandomState>>,
    next: AtomicU64,
}

impl EndpointBook {
    /// The endpoint of a backend at an address: the one already known, or a new one.
    pub(crate) fn endpoint(&self, backend: &Arc<str>, config: &weir_config::Endpoint) -> Arc<Endpoint> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = known.entry((backend.clone(), config.url.clone())).or_default();
        if let Some(endpoint) = slot.upgrade() {
            return endpoint;
        }
        let endpoint = Arc::new(Endpoint {
            backend: backend.clone(),
            config: config.clone(),
            host: HeaderValue::from_str(&config.authority).unwrap_or(HeaderValue::from_static("localhost")),
            id: self.next.fetch_add(1, Relaxed),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            probe: AtomicU8::new(UNKNOWN),
            down: AtomicBool::new(false),
            last_error: Mutex::new(None),
        });
        *slot = Arc::downgrade(&endpoint);
        endpoint
    }

    /// The state of every endpoint in use, by backend and address.
    pub fn status(&self) -> Vec<EndpointStatus> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, endpoint| endpoint.strong_count() > 0);
        let now = Stamp::now();
        let mut all: Vec<_> = known.values().filter_map(Weak::upgrade).map(|e| e.status(now)).collect();
        all.sort_by(|a, b| (&a.backend, &a.address).cmp(&(&b.backend, &b.address)));
        all
    }
}

//! One worker's connections, by endpoint. Pools outlive generations; no other thread sees them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use bytes::Bytes;
use hashbrown::HashMap;
use tokio::net::TcpStream;
use weir_config::Forward;
use weir_telemetry::{Counter, Family};

use super::connect::{ConnectError, Sender};
use super::endpoint::Endpoint;
use crate::clock::Stamp;

/// All pools of one worker.
#[derive(Debug)]
pub(crate) struct Pools {
    by_endpoint: RefCell<HashMap<u64, Rc<Pool>, RandomState>>,
    connections: Family<Counter>,
    /// This worker's cells by backend: they outlive the pools.
    cells: RefCell<HashMap<Arc<str>, Rc<Cells>, RandomState>>,
}

#[derive(Debug)]
struct Cells {
    opened: Arc<Counter>,
    reused: Arc<Counter>,
    failed: Arc<Counter>,
}

#[derive(Debug)]
struct Pool {
    /// The most recently used last: it is the least likely to have been closed by the server.
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Option<Sender>>,
    cells: Rc<Cells>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Stamp,
    keep: Duration,
}

/// A connection on loan. Give it back once its response has been read to the end; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: Sender,
    pool: Rc<Pool>,
    keep: Duration,
    most: usize,
}

impl Pools {
    pub(crate) fn new(connections: Family<Counter>) -> Self {
        Self { by_endpoint: RefCell::default(), connections, cells: RefCell::default() }
    }

    /// A ready connection to the endpoint: an idle one, else a new one. `fresh` asks for a new one.
    pub(crate) async fn lease(
        &self,
        endpoint: &Endpoint,
        forward: &Forward,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        let pool = self.pool(endpoint);
        let (keep, most) = (forward.keep_alive_idle, forward.max_connections);
        while !fresh && let Some(mut sender) = pool.take(forward.http2) {
            if sender.ready().await {
                pool.cells.reused.bump(1);
                return Ok(Lease { sender, pool, keep, most });
            }
            pool.forget_shared();
        }
        // Boxed: a rare step must not make every request's future large.
        match Box::pin(Sender::open(&endpoint.config, forward.http2, forward.connect_timeout)).await {
            Ok(sender) => {
                pool.cells.opened.bump(1);
                pool.share(&sender);
                Ok(Lease { sender, pool, keep, most })
            }
            Err(error) => {
                pool.cells.failed.bump(1);
                Err(error)
            }
        }
    }

    /// Closes what has been idle too long; called by the worker's ticker.
    pub(crate) fn sweep(&self, now: Stamp) {
        let mut pools = self.by_endpoint.borrow_mut();
        pools.retain(|_, pool| {
            pool.idle.borrow_mut().retain_mut(|idle| idle.fresh(now) && !idle.sender.is_closed());
            if pool.shared.borrow_mut().as_mut().is_some_and(Sender::is_closed) {
                pool.forget_shared();
            }
            // A pool nobody leases from, with nothing in it, is made again when it is needed.
            Rc::strong_count(pool) > 1 || !pool.idle.borrow().is_empty() || pool.shared.borrow().is_some()
        });
    }

    fn pool(&self, endpoint: &Endpoint) -> Rc<Pool> {
        let mut pools = self.by_endpoint.borrow_mut();
        let new = || {
            Rc::new(Pool {
                idle: RefCell::default(),
                shared: RefCell::default(),
                cells: self.cells(&endpoint.backend),
            })
        };
        pools.entry(endpoint.id).or_insert_with(new).clone()
    }

    fn cells(&self, backend: &Arc<str>) -> Rc<Cells> {
        let mut cells = self.cells.borrow_mut();
        let cell = |result| self.connections.local(&[backend, result]);
        let new = || Cells { opened: cell("opened"), reused: cell("reused"), failed: cell("failed") };
        cells.entry(backend.clone()).or_insert_with(|| Rc::new(new())).clone()
    }
}

impl Pool {
    fn take(&self, http2: bool) -> Option<Sender> {
        if http2 {
            return self.shared.borrow().as_ref().and_then(Sender::share);
        }
        let now = Stamp::recent();
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            if idle.fresh(now) {
                return Some(idle.sender);
            }
        }
    }

    fn share(&self, sender: &Sender) {
        if let Some(shared) = sender.share() {
            self.shared.replace(Some(shared));
        }
    }

    fn forget_shared(&self) {
        self.shared.replace(None);
    }
}

impl Idle {
    fn fresh(&self, now: Stamp) -> bool {
        u128::from(now.since(self.since)) < self.keep.as_nanos()
    }
}

impl Lease {
    /// The socket for another protocol, and what came behind a 101; not of a connection that others share.
    pub(crate) fn into_stream(self) -> Option<(TcpStream, Bytes)> {
        match self.sender {
            Sender::Http1(connection) => connection.into_stream(),
            Sender::Http2(_) => None,
        }
    }

    /// Puts the connection back; closes it if the pool holds enough.
    pub(crate) fn give_back(self, now: Stamp) {
        let Self { sender, pool, keep, most, .. } = self;
        if sender.is_reusable() {
            let mut idle = pool.idle.borrow_mut();
            if idle.len() < most {
                idle.push(Idle { sender, since: now, keep });
            }
        }
    }
}

//! Listeners and connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::guard::Guard;
use crate::pages::Pages;
use crate::service::{Scope, Site};
use crate::stall::Stalling;

/// What a client may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; the next one gets a 503 and is closed.
    pub connections: usize,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Time for a whole request head, and how long a connection may be idle.
    pub header_time: Duration,
    /// How long a client may leave its answer unread.
    pub write_time: Duration,
    /// How long requests may take that are under way when the listener is told to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            header_bytes: 16 << 10,
            header_time: Duration::from_secs(30),
            write_time: Duration::from_secs(10),
            drain_time: Duration::from_secs(2),
        }
    }
}

/// How a listener behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub scope: Scope,
    /// What changes state needs `Authorization: Bearer <token>`; unset or empty: needs a loopback peer.
    pub token: Option<String>,
    /// Names this listener is known by, beside loopback names and IP addresses; without port.
    pub hosts: Vec<String>,
    pub limits: Limits,
}

/// A bound listener that does not serve yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    site: Arc<Site>,
    limits: Limits,
}

impl Server {
    /// Binds an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(address: SocketAddr, pages: &Pages, options: &Options) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let guard = Guard::new(options.token.as_deref(), &options.hosts);
        let site = Arc::new(Site::new(pages.clone(), guard, options.scope));
        Ok(Self { listener, site, limits: options.limits })
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` resolves, then lets requests under way end, for a while. Needs a tokio runtime with I/O
    /// and time.
    ///
    /// # Errors
    /// The listener cannot be used by this runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self { listener, site, limits } = self;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(limits.connections));
        let (stop, stopping) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Ok((stream, peer)) = accepted else {
                // Out of descriptors, most likely: some will be closed meanwhile.
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                site.pages.refused.connections.inc();
                turn_away(&stream);
                continue;
            };
            let (site, stopping) = (site.clone(), stopping.clone());
            connections.spawn(async move {
                connection(stream, peer, site, limits, stopping).await;
                drop(place);
            });
        }
        drop((listener, stop));
        let all = async { while connections.join_next().await.is_some() {} };
        // What is left after that is dropped with the set.
        let _ = timeout(limits.drain_time, all).await;
        Ok(())
    }
}

/// Serves one connection until its client is done, it breaks, or the listener stops.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    site: Arc<Site>,
    limits: Limits,
    mut stopping: watch::Receiver<()>,
) {
    // Only costs latency if it fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| site.serve(peer.ip(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(8192))
        .serve_connection(TokioIo::new(Stalling::new(stream, limits.write_time)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // How a client leaves is its own affair.
        _ = connection.as_mut() => return,
        // The sender is dropped when the listener stops.
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Tells a client that there is no place, if it takes the words at once.
fn turn_away(stream: &TcpStream) {
    const WORDS: &str =
        "{\"error\":{\"type\":\"limit\",\"message\":\"too many connections (close some)\"}}\n";
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let _ = stream.try_write(format!("{head}content-length: {}\r\n\r\n{WORDS}", WORDS.len()).as_bytes());
}

/// Listeners that are being served by a thread of their own. Dropping it stops them without waiting.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
}

/// Serves listeners on one new thread.
///
/// # Errors
/// The thread or its runtime cannot be made, or a listener cannot be used.
pub fn start(servers: Vec<Server>) -> io::Result<Running> {
    let runtime =
        runtime::Builder::new_current_thread().enable_io().enable_time().max_blocking_threads(4).build()?;
    let (stop, stopping) = watch::channel(());
    let drain = servers.iter().map(|s| s.limits.drain_time).max().unwrap_or_default();
    let serve = async move {
        let mut all = JoinSet::new();
        for server in servers {
            let mut stopping = stopping.clone();
            all.spawn(server.serve(async move {
                // The sender is dropped to stop.
                let _ = stopping.changed().await;
            }));
        }
        while all.join_next().await.is_some() {}
    };
    let thread = thread::Builder::new().name("weir-admin".into()).spawn(move || {
        runtime.block_on(serve);
        // A reload under way may hang in somebody's file system.
        runtime.shutdown_timeout(drain);
    })?;
    Ok(Running { stop, thread })
}

impl Running {
    /// Stops the listeners and waits until requests under way are answered, at most their drain time.
    pub fn stop(self) {
        drop(self.stop);
        // A panic in there has been reported on standard error; there is nothing to add.
        let _ = self.thread.join();
    }
}

//! Listeners and connections.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::guard::Guard;
use crate::pages::Pages;
use crate::service::{Scope, Site};
use crate::stall::Stalling;
use crate::unread::Unread;

/// Clients that are being told at a time that there is no place, beside those who have one; the next are just
/// closed.
const TURNED_AWAY: usize = 32;
/// How long that may take.
const TURNING_AWAY: Duration = Duration::from_secs(2);

/// What a client may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; the next one gets a 503 and is closed, or is closed without a word if many
    /// come.
    pub connections: usize,
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Time for a whole request head, and how long a connection may be idle.
    pub header_time: Duration,
    /// How long a client may take to read an answer that the system cannot buffer whole.
    pub write_time: Duration,
    /// Bytes of large answers that may wait for their readers, all clients together.
    pub unread_bytes: usize,
    /// How long requests may take that are under way when the listener is told to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            header_bytes: 16 << 10,
            // Not the interval of anybody's scrapes: the connection would close as the next one begins.
            header_time: Duration::from_secs(45),
            write_time: Duration::from_secs(30),
            unread_bytes: 64 << 20,
            drain_time: Duration::from_secs(2),
        }
    }
}

/// How a listener behaves.
#[derive(Clone, Default)]
pub struct Options {
    pub scope: Scope,
    /// What changes state needs `Authorization: Bearer <token>`; unset or empty: nothing changes state.
    pub token: Option<String>,
    /// Names this listener is known by, beside loopback names and IP addresses; without port.
    pub hosts: Vec<String>,
    pub limits: Limits,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, token: _, hosts, limits } = self;
        let mut options = f.debug_struct("Options");
        options.field("scope", scope).field("hosts", hosts).field("limits", limits).finish_non_exhaustive()
    }
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
        let unread = Unread::new(options.limits.unread_bytes);
        let site = Arc::new(Site { pages: pages.clone(), guard, scope: options.scope, unread });
        Ok(Self { listener, site, limits: options.limits })
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The listener, as the runtime this is called in knows it.
    fn register(self) -> io::Result<Serving> {
        let Self { listener, site, limits } = self;
        Ok(Serving { listener: tokio::net::TcpListener::from_std(listener)?, site, limits })
    }
}

/// A listener that a runtime looks after.
struct Serving {
    listener: tokio::net::TcpListener,
    site: Arc<Site>,
    limits: Limits,
}

impl Serving {
    /// Serves until `stopping` ends, then lets requests under way end, for a while.
    async fn serve(self, mut stopping: watch::Receiver<()>) {
        let Self { listener, site, limits } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let doors = Arc::new(Semaphore::new(TURNED_AWAY));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                // The sender is dropped to stop.
                _ = stopping.changed() => break,
                // Before the next one is let in, so that what ended does not pile up.
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely: some will be closed meanwhile.
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            if let Ok(place) = places.clone().try_acquire_owned() {
                connections.spawn(connection(stream, site.clone(), limits, stopping.clone(), place));
                continue;
            }
            site.pages.refused.connections.inc();
            if let Ok(door) = doors.clone().try_acquire_owned() {
                connections.spawn(turn_away(stream, door));
            }
        }
        drop(listener);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is left after that is dropped with the set.
        let _ = timeout(limits.drain_time, all).await;
    }
}

/// Serves one connection until its client is done, it breaks, or the listener stops.
async fn connection(
    stream: TcpStream,
    site: Arc<Site>,
    limits: Limits,
    mut stopping: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    // Only costs latency if it fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| site.serve(request));
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
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Tells a client that there is no place. Its request is read all the same: a socket closed with bytes unread
/// is reset, and the client would never see the words.
async fn turn_away(mut stream: TcpStream, _door: OwnedSemaphorePermit) {
    const WORDS: &str =
        "{\"error\":{\"type\":\"limit\",\"message\":\"too many connections (close some)\"}}\n";
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{WORDS}", WORDS.len());
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut scratch = [0; 4096];
        while stream.read(&mut scratch).await? > 0 {}
        io::Result::Ok(())
    };
    // It was told, or it is not listening.
    let _ = timeout(TURNING_AWAY, tell).await;
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
    let context = runtime.enter();
    let servers = servers.into_iter().map(Server::register).collect::<io::Result<Vec<_>>>()?;
    drop(context);
    let serve = async move {
        let mut all = JoinSet::new();
        servers.into_iter().for_each(|server| drop(all.spawn(server.serve(stopping.clone()))));
        while all.join_next().await.is_some() {}
    };
    let thread = thread::Builder::new().name("weir-admin".into()).spawn(move || {
        weir_telemetry::priority::give_way();
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

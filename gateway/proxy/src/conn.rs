//! One client connection: HTTP/1.1, or HTTP/2 if its first bytes say so.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use weir_exchange::ErrorType;

use crate::clock::Stamp;
use crate::handle::handle;
use crate::io::{Activity, Io, LocalExec};
use crate::onward::Forwarding;
use crate::snapshot::Snapshot;
use crate::turn::Turns;
use crate::worker::Worker;

/// HTTP/2 connections are asked to leave after about this long, so that they spread over the workers again.
const HTTP2_AGE: Duration = Duration::from_secs(600);

/// A client's connection, as its exchanges and the worker's ticker see it.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) worker: Rc<Worker>,
    pub(crate) peer: IpAddr,
    pub(crate) activity: Arc<Activity>,
    pub(crate) forwarding: Forwarding,
    /// What the ticker asks of the connection's task.
    wish: Cell<Wish>,
    waker: RefCell<Option<Waker>>,
    /// HTTP/1.1: the turns of the connection's task.
    pub(crate) turns: Turns,
    /// HTTP/2: when to ask it to leave.
    leave_at: Cell<Stamp>,
}

/// What a connection's task should do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    #[default]
    Serve,
    /// End after the exchanges under way.
    Finish,
    /// End now: nothing is under way, or its head never came.
    Close,
}

impl Conn {
    fn new(worker: &Rc<Worker>, peer: SocketAddr) -> Rc<Self> {
        let activity = Arc::new(Activity::default());
        activity.idle_since.store(Stamp::now().0, Relaxed);
        let trusted = worker.view().snapshot.trusted_proxies;
        Rc::new(Self {
            worker: worker.clone(),
            peer: peer.ip(),
            activity,
            forwarding: Forwarding::new(peer.ip(), trusted),
            wish: Cell::default(),
            waker: RefCell::default(),
            turns: Turns::default(),
            leave_at: Cell::default(),
        })
    }

    /// The ticker's look.
    pub(crate) fn check(&self, snapshot: &Snapshot, draining: bool, now: Stamp) {
        let over = |since: u64, limit: Duration| u128::from(now.since(Stamp(since))) > limit.as_nanos();
        let head_began = self.activity.head_began.load(Relaxed);
        let idle = self.activity.exchanges.load(Relaxed) == 0 && head_began == 0;
        let idle_too_long = idle && over(self.activity.idle_since.load(Relaxed), snapshot.client_idle);
        let leaves = self.leave_at.get().0 != 0 && self.leave_at.get() <= now;
        if head_began != 0 && over(head_began, snapshot.client_header) {
            if self.wish.get() < Wish::Close {
                self.worker.shared.metrics.connections.get(&["timeout"]).inc();
            }
            self.wish(Wish::Close);
        } else if idle_too_long || draining || leaves {
            self.wish(Wish::Finish);
        }
    }

    /// Ends an HTTP/1.1 connection whose client does not read its response: hyper asks such a body for
    /// nothing, so the exchange cannot end by itself. An HTTP/2 connection may have other streams that flow.
    pub(crate) fn abandon(&self) {
        if !self.activity.http2.load(Relaxed) {
            self.wish(Wish::Close);
        }
    }

    fn wish(&self, wish: Wish) {
        if wish > self.wish.get() {
            self.wish.set(wish);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// What the ticker wishes; the connection's task is woken when that changes.
    fn wished(&self, cx: &mut Context<'_>) -> Wish {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.wish.get()
    }
}

/// Serves one accepted connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let conn = Conn::new(&worker, peer);
    let slot = worker.conns.borrow_mut().insert(conn.clone());
    let _ = stream.set_nodelay(true);
    speak(&conn, stream).await;
    worker.conns.borrow_mut().remove(slot);
}

async fn speak(conn: &Rc<Conn>, mut stream: TcpStream) {
    let finish = poll_fn(|cx| match conn.wished(cx) {
        Wish::Serve => Poll::Pending,
        Wish::Finish | Wish::Close => Poll::Ready(()),
    });
    let ahead = tokio::select! {
        biased;
        ahead = read_ahead(conn, &mut stream) => ahead,
        // Nothing is under way on a connection whose first bytes never came.
        () = finish => None,
    };
    let Some((ahead, length)) = ahead else { return };
    let io = Io::client(stream, &ahead[..length], conn.activity.clone());
    if ahead[..length] == *b"PRI" { http2(conn, io).await } else { http1(conn, io).await }
}

/// Reads just enough to tell HTTP/2's preface (`PRI * HTTP/2.0`) from a request line.
async fn read_ahead(conn: &Conn, stream: &mut TcpStream) -> Option<([u8; 4], usize)> {
    let mut ahead = [0; 4];
    let mut length = 0;
    while length < 3 && ahead[..length] == b"PRI"[..length] {
        length += stream.read(&mut ahead[length..3]).await.ok().filter(|n| *n > 0)?;
        let began = &conn.activity.head_began;
        if began.load(Relaxed) == 0 {
            began.store(Stamp::now().0, Relaxed);
        }
    }
    Some((ahead, length))
}

async fn http1(conn: &Rc<Conn>, io: Io) {
    let limits = conn.worker.view().snapshot.limits.clone();
    let mut builder = http1::Builder::new();
    // The buffer holds the whole head; beyond it hyper answers 431.
    builder.max_buf_size(limits.header_bytes.max(8192)).max_header_size(limits.header_bytes);
    if limits.headers != 100 {
        // 100 is hyper's own, kept on the stack.
        builder.max_headers(limits.headers);
    }
    let service = service_fn(|request: Request<Incoming>| handle(conn.clone(), request));
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut told = false;
    let ended = poll_fn(|cx| match conn.wished(cx) {
        Wish::Close => Poll::Ready(Ok(())),
        wish => {
            if wish == Wish::Finish && !std::mem::replace(&mut told, true) {
                connection.as_mut().graceful_shutdown();
            }
            conn.turns.run(cx, |cx| connection.as_mut().poll(cx))
        }
    });
    if let Err(error) = ended.await {
        broken_head(conn, &error);
    }
}

async fn http2(conn: &Rc<Conn>, io: Io) {
    let limits = conn.worker.view().snapshot.limits.clone();
    conn.activity.http2.store(true, Relaxed);
    conn.activity.head_began.store(0, Relaxed);
    let jitter = 0.5 + fastrand::f64();
    conn.leave_at.set(Stamp(Stamp::now().0 + HTTP2_AGE.mul_f64(jitter).as_nanos() as u64));
    let mut builder = http2::Builder::new(LocalExec);
    builder
        // hyper resets a stream over its limit without a word; up to this, ours answers in words.
        .max_header_list_size((limits.header_bytes as u32).saturating_mul(4))
        .max_concurrent_streams(256)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let service = service_fn(|request: Request<Incoming>| handle(conn.clone(), request));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut told = false;
    let ended = poll_fn(|cx| match conn.wished(cx) {
        Wish::Close => Poll::Ready(Ok(())),
        wish => {
            if wish == Wish::Finish && !std::mem::replace(&mut told, true) {
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx)
        }
    });
    if let Err(error) = ended.await {
        broken_head(conn, &error);
    }
}

/// Counts a head that hyper refused (it answered 400, 414 or 431 itself). No request ever reached [`handle`].
fn broken_head(conn: &Conn, error: &hyper::Error) {
    if error.is_parse() {
        conn.worker.shared.metrics.connections.get(&["bad_request"]).inc();
        let (status, error) =
            if error.is_parse_too_large() { (431, ErrorType::Limit) } else { (400, ErrorType::BadRequest) };
        conn.worker.unheard(conn.peer, status, error);
    }
}

//! A receiver that does what a test tells it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// A header's text; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// What is done about a request.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
        trailers: Vec<(&'static str, String)>,
    },
    /// Never answer.
    Hang,
    /// Close the connection without an answer.
    Break,
}

impl Say {
    pub(crate) fn status(status: u16) -> Self {
        Self::answer(status, &[], b"")
    }

    pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self::Answer { status, headers, body: body.to_vec(), trailers: Vec::new() }
    }

    /// A gRPC answer: a body, and a status in the trailers.
    pub(crate) fn grpc(trailers: &[(&'static str, &str)], body: &[u8]) -> Self {
        let headers = vec![("content-type", "application/grpc".to_owned())];
        let trailers = trailers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self::Answer { status: 200, headers, body: body.to_vec(), trailers }
    }
}

type Script = dyn Fn(usize, &Seen) -> Say + Send + Sync;

/// An address nobody listens on, and which nobody else gets.
pub(crate) struct Down(TcpSocket);

impl Down {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    /// The same address twice: for a receiver, and for the one that takes its place. Held by both, it is
    /// nobody else's in between.
    pub(crate) fn twice() -> (Self, Self) {
        let bind = |port| {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("set");
            socket.bind((Ipv4Addr::LOCALHOST, port).into()).expect("a port");
            Self(socket)
        };
        let first = bind(0);
        let second = bind(first.address().port());
        (first, second)
    }

    /// Begins to listen. `script` is given the number of the request, from 0, and the request.
    pub(crate) fn up(
        self,
        tls: Option<TlsAcceptor>,
        script: impl Fn(usize, &Seen) -> Say + Send + Sync + 'static,
    ) -> Collector {
        let address = self.address();
        let (tell, seen) = channel();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared { tell, count: AtomicUsize::new(0), script: Box::new(script), tls });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // From here on connections wait, whenever the thread comes to accept them.
        let listener = {
            let _inside = runtime.enter();
            self.0.listen(64).expect("listening")
        };
        let thread = thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = listen(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Collector { address, seen, stop: Some(stop), thread: Some(thread) }
    }
}

/// A receiver; gone when it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    seen: Receiver<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Only then is its address free, and are its connections closed.
        self.thread.take().expect("dropped once").join().expect("no panic");
    }
}

impl Collector {
    pub(crate) fn start(script: impl Fn(usize, &Seen) -> Say + Send + Sync + 'static) -> Self {
        Down::new().up(None, script)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request, waiting for it.
    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(LONG).expect("a request")
    }

    /// All that came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }
}

struct Shared {
    tell: Sender<Seen>,
    count: AtomicUsize,
    script: Box<Script>,
    tls: Option<TlsAcceptor>,
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.expect("accepted");
        tokio::spawn(serve(stream, shared.clone()));
    }
}

/// Errors of a connection are the client's affair: it is what is tested.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let tls = shared.tls.clone();
    let service = service_fn(move |request| answer(request, shared.clone()));
    let server = auto::Builder::new(TokioExecutor::new());
    let _ = match tls {
        None => server.serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
            Err(_) => return,
        },
    };
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path_and_query().expect("a path").to_string();
    let seen = Seen { path, version: head.version, headers: head.headers, body };
    let say = (shared.script)(shared.count.fetch_add(1, Ordering::SeqCst), &seen);
    let _ = shared.tell.send(seen);
    match say {
        Say::Answer { status, headers, body, trailers } => {
            let trailers = (!trailers.is_empty()).then(|| Ok(map(&trailers)));
            let body = Full::new(Bytes::from(body)).with_trailers(async move { trailers });
            let mut response = Response::new(body.boxed_unsync());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            *response.headers_mut() = map(&headers);
            Ok(response)
        }
        Say::Hang => std::future::pending().await,
        Say::Break => Err("the connection breaks here".into()),
    }
}

fn map(pairs: &[(&'static str, String)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

//! A receiver that does what a test tells it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When it came.
    pub(crate) at: Instant,
}

impl Seen {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// A header's text; empty if it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// What is done about a request.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// A status, the type of the body, the body.
    Answer(u16, &'static str, String),
    Hang,
}

impl Say {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(status, "application/json", "\"words\"".into())
    }

    /// The status page of an Alertmanager that was started then.
    pub(crate) fn since(uptime: &str) -> Self {
        Self::Answer(200, "application/json", format!("{{\"config\":{{}},\"uptime\":\"{uptime}\"}}"))
    }
}

type Script = dyn Fn(&Seen) -> Say + Send + Sync;

/// An address nobody listens on yet, and which nobody else gets.
pub(crate) struct Down(TcpSocket);

impl Down {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    pub(crate) fn up(self, script: impl Fn(&Seen) -> Say + Send + Sync + 'static) -> Server {
        let url = self.url();
        let (tell, seen) = channel();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener = {
            let _inside = runtime.enter();
            self.0.listen(64).expect("listening")
        };
        let script: Arc<Script> = Arc::new(script);
        let thread = thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = listen(listener, script, tell) => {}
                    _ = stopped => {}
                }
            });
        });
        Server { url, seen, stop: Some(stop), thread: Some(thread) }
    }
}

/// A receiver; gone when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Receiver<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().expect("dropped once").join().expect("no panic");
    }
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Seen) -> Say + Send + Sync + 'static) -> Self {
        Down::new().up(script)
    }

    /// An Alertmanager that takes everything.
    pub(crate) fn alertmanager() -> Self {
        Self::start(|seen| match seen.path.ends_with("/status") {
            true => Say::since("t0"),
            false => Say::Answer(200, "application/json", String::new()),
        })
    }

    /// The next request, waiting for it.
    pub(crate) fn any(&self) -> Seen {
        self.seen.recv_timeout(LONG).expect("a request")
    }

    /// The next request with a body, waiting for it.
    pub(crate) fn next(&self) -> Seen {
        loop {
            let seen = self.any();
            if !seen.body.is_empty() {
                return seen;
            }
        }
    }

    /// The next alerts an Alertmanager is told.
    pub(crate) fn alerts(&self) -> Vec<Json> {
        self.next().json().as_array().expect("an array").clone()
    }

    /// Everything that came so far, and was not looked at.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.try_iter().filter(|seen| !seen.body.is_empty()).collect()
    }
}

async fn listen(listener: TcpListener, script: Arc<Script>, tell: Sender<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.expect("accepted");
        let (script, tell) = (script.clone(), tell.clone());
        let service = service_fn(move |request| answer(request, script.clone(), tell.clone()));
        // Errors of a connection are the client's affair: it is what is tested.
        tokio::spawn(async move {
            _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    tell: Sender<Seen>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path_and_query().expect("a path").to_string();
    let seen = Seen { path, headers: head.headers, body, at: Instant::now() };
    let say = script(&seen);
    let _ = tell.send(seen);
    match say {
        Say::Answer(status, kind, body) => {
            let response = Response::builder().status(status).header("content-type", kind);
            Ok(response.body(Full::new(body.into())).expect("a response"))
        }
        Say::Hang => std::future::pending().await,
    }
}

//! HTTP/2 with prior knowledge, both ends, with trailers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::PATIENCE;

/// A request or a response, read whole; `head` holds status or method, and headers.
#[derive(Clone, Debug)]
pub struct Whole<H> {
    pub head: H,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// A body with trailers, for either end.
pub type Body = BoxBody<Bytes, Infallible>;

/// A body that is there already, with trailers behind it if there are any.
pub fn body(bytes: impl Into<Bytes>, trailers: Option<HeaderMap>) -> Body {
    let full = Full::new(bytes.into());
    match trailers {
        None => full.boxed(),
        Some(trailers) => full.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed(),
    }
}

async fn whole(incoming: Incoming) -> (Bytes, Option<HeaderMap>) {
    let collected = incoming.collect().await.expect("the body comes whole");
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// Sends requests side by side over one connection and returns the responses in the order of the requests.
///
/// # Panics
/// The connection or a request fails.
pub fn ask(address: SocketAddr, requests: Vec<Request<Body>>) -> Vec<Whole<http::response::Parts>> {
    runtime().block_on(async move {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.expect("it speaks HTTP/2");
        let connection = tokio::spawn(connection);
        let one = |request| {
            let mut sender = sender.clone();
            async move {
                let response = sender.send_request(request).await.expect("a response");
                let (head, incoming) = response.into_parts();
                let (body, trailers) = whole(incoming).await;
                Whole { head, body, trailers }
            }
        };
        let sent: Vec<_> = requests.into_iter().map(|request| tokio::spawn(one(request))).collect();
        drop(sender);
        let mut responses = Vec::new();
        for response in sent {
            let response = tokio::time::timeout(PATIENCE, response).await.expect("an answer in time");
            responses.push(response.expect("a response"));
        }
        drop(tokio::time::timeout(PATIENCE, connection).await);
        responses
    })
}

/// A model server that speaks HTTP/2 only.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    requests: Receiver<Whole<http::request::Parts>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers by a function.
    pub fn start(
        answer: impl Fn(&Whole<http::request::Parts>) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let (sender, requests) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = mpsc::channel();
        let answer = Arc::new(answer);
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
                bound.send(listener.local_addr().expect("an address")).expect("somebody asked");
                let serve = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (answer, sender) = (answer.clone(), sender.clone());
                        let service = service_fn(move |request: Request<Incoming>| {
                            let (answer, sender) = (answer.clone(), sender.clone());
                            async move {
                                let (head, incoming) = request.into_parts();
                                let (body, trailers) = whole(incoming).await;
                                let request = Whole { head, body, trailers };
                                let response = answer(&request);
                                drop(sender.send(request));
                                Ok::<_, Infallible>(response)
                            }
                        });
                        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
                    }
                };
                tokio::select! { () = serve => {}, _ = stopped => {} }
            });
        });
        let address = address.recv().expect("the server is bound");
        Self { address, requests, stop: Some(stop), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request that came.
    ///
    /// # Panics
    /// None comes.
    #[track_caller]
    pub fn request(&self) -> Whole<http::request::Parts> {
        self.requests.recv_timeout(PATIENCE).expect("a request reaches the upstream")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

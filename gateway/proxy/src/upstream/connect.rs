//! Opening one connection and sending one request over it, HTTP/1.1 or HTTP/2 with prior knowledge.

use std::rc::Rc;
use std::time::Duration;

use http::{Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use super::http1::{Failure, Http1};
use crate::body::RequestBody;
use crate::headers::end_hop;
use crate::io::{Io, LocalExec};
use crate::live::Live;
use crate::outgoing::Outgoing;

/// The sending end of a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    Http1(Box<Http1>),
    /// Shared by every request of its worker.
    Http2(http2::SendRequest<RequestBody>),
}

/// The head of a response as the client shall see it, and its body where that does not come from the lease.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) response: Response<()>,
    pub(crate) body: Option<Incoming>,
}

/// No response came.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) cause: String,
    /// The request provably was not sent.
    pub(crate) unsent: bool,
}

/// Why no connection was opened.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Timeout(Duration),
    Io(std::io::Error),
    Handshake(hyper::Error),
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout(after) => write!(f, "no answer within {} ms", after.as_millis()),
            Self::Io(error) => write!(f, "{error}"),
            Self::Handshake(error) => write!(f, "handshake failed: {error}"),
        }
    }
}

impl Sender {
    /// Connects. An HTTP/2 connection gets a task on this worker; an HTTP/1.1 connection is driven by its
    /// lease.
    pub(crate) async fn open(
        endpoint: &weir_config::Endpoint,
        http2: bool,
        within: Duration,
    ) -> Result<Self, ConnectError> {
        let connect = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
        let stream = match tokio::time::timeout(within, connect).await {
            Ok(stream) => stream.map_err(ConnectError::Io)?,
            Err(_) => return Err(ConnectError::Timeout(within)),
        };
        stream.set_nodelay(true).map_err(ConnectError::Io)?;
        if http2 {
            return Self::http2(stream).await;
        }
        Ok(Self::Http1(Box::new(Http1::new(stream))))
    }

    async fn http2(stream: TcpStream) -> Result<Self, ConnectError> {
        // Windows as large as a response may be in flight, so that one slow stream does not stall its
        // siblings.
        let (sender, connection) = http2::Builder::new(LocalExec)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake(Io::upstream(stream))
            .await
            .map_err(ConnectError::Handshake)?;
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(Self::Http2(sender))
    }

    /// Waits until a request can be sent. False: the connection is gone.
    pub(crate) async fn ready(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_idle(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Looks whether the connection is gone.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self {
            Self::Http1(connection) => !connection.is_idle(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether the next exchange can have the connection for itself, now that this one is over.
    pub(crate) fn is_reusable(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_reusable(),
            Self::Http2(_) => false,
        }
    }

    /// Sends the request and waits for the head of the response.
    pub(crate) async fn send(
        &mut self,
        live: &Rc<Live>,
        endpoint: &Endpoint,
        outgoing: &mut Outgoing,
    ) -> Result<Reply, Unanswered> {
        match self {
            Self::Http1(connection) => {
                outgoing.begin(live, endpoint, connection.lend_text());
                let Outgoing { head, upload, .. } = outgoing;
                let sent = connection.send(upload, head).await;
                let response = sent.map_err(|failure| Unanswered::http1(&failure, outgoing))?;
                Ok(Reply { response, body: None })
            }
            // Boxed: a rarer way must not make every request's future large.
            Self::Http2(sender) => Box::pin(send_http2(sender, live, endpoint, outgoing)).await,
        }
    }

    /// Another sender of the same connection, where the protocol has streams.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }
}

async fn send_http2(
    sender: &mut http2::SendRequest<RequestBody>,
    live: &Rc<Live>,
    endpoint: &Endpoint,
    outgoing: &mut Outgoing,
) -> Result<Reply, Unanswered> {
    match sender.try_send_request(outgoing.request(live, endpoint)).await {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            end_hop(&mut parts.headers);
            parts.version = Version::HTTP_11;
            Ok(Reply { response: Response::from_parts(parts, ()), body: Some(body) })
        }
        Err(mut error) => {
            let unsent = error.take_message();
            let cause = cause(error.error());
            Err(Unanswered {
                cause,
                unsent: unsent.is_some_and(|request| outgoing.restore(request.into_body())),
            })
        }
    }
}

/// The innermost cause says what happened; hyper's own words say where.
fn cause(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

impl Unanswered {
    fn http1(failure: &Failure, outgoing: &Outgoing) -> Self {
        let unsent =
            matches!(failure, Failure::Wire(_)) && outgoing.upload.as_ref().is_some_and(|u| u.is_unsent());
        Self { cause: failure.to_string(), unsent }
    }
}

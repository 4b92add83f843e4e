//! Opening one connection and sending one request over it, HTTP/1.1 or HTTP/2 with prior knowledge.

use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use tokio::net::TcpStream;

use super::http1::Http1;
use crate::body::RequestBody;
use crate::io::{Io, LocalExec};

/// The sending end of a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    Http1(Http1),
    /// Shared by every request of its worker.
    Http2(http2::SendRequest<RequestBody>),
}

/// What came of sending: the request comes back if it provably was not sent.
pub(crate) type TrySend = Result<Response<Incoming>, Box<TrySendError<Request<RequestBody>>>>;

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
        Http1::open(stream).await.map(Self::Http1).map_err(ConnectError::Handshake)
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
            Self::Http1(connection) => connection.ready().await,
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Looks whether the connection is gone.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_closed(),
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
    pub(crate) async fn send(&mut self, request: Box<Request<RequestBody>>) -> TrySend {
        match self {
            Self::Http1(connection) => connection.send(request).await,
            Self::Http2(sender) => Box::pin(sender.try_send_request(*request)).await.map_err(Box::new),
        }
    }

    /// Polls what this connection feeds, after moving the connection on where it has no task of its own.
    pub(crate) fn poll_fed<T>(
        &mut self,
        cx: &mut Context<'_>,
        fed: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match self {
            Self::Http1(connection) => connection.poll_fed(cx, fed),
            Self::Http2(_) => fed(cx),
        }
    }

    /// Gives the connection a task of its own for the rest of this exchange.
    pub(crate) fn detach(&mut self) {
        if let Self::Http1(connection) = self {
            connection.detach();
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

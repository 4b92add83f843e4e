//! Opening one connection and sending one request over it, HTTP/1.1 or HTTP/2 with prior knowledge.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::net::TcpStream;

use crate::body::RequestBody;
use crate::io::{Io, LocalExec};

/// The sending end of a connection.
#[derive(Debug)]
pub(crate) enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    /// Shared by every request of its worker.
    Http2(http2::SendRequest<RequestBody>),
}

/// What came of sending: the request comes back if it provably was not sent.
pub(crate) type TrySend = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

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
    /// Connects and starts the connection's task on this worker.
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
        if http2 { Self::http2(stream).await } else { Self::http1(stream).await }
    }

    async fn http1(stream: TcpStream) -> Result<Self, ConnectError> {
        let (sender, connection) =
            http1::Builder::new().handshake(Io::upstream(stream)).await.map_err(ConnectError::Handshake)?;
        tokio::task::spawn_local(async move {
            // An error here is the request's error too, and is told there.
            let _ = connection.with_upgrades().await;
        });
        Ok(Self::Http1(sender))
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
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Hands the request to the connection at once; the future is only the wait for the response.
    pub(crate) fn send(&mut self, request: Request<RequestBody>) -> impl Future<Output = TrySend> + use<> {
        let sent = match self {
            Self::Http1(sender) => Ok(sender.try_send_request(request)),
            Self::Http2(sender) => Err(sender.try_send_request(request)),
        };
        async move {
            match sent {
                Ok(http1) => http1.await,
                Err(http2) => http2.await,
            }
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

//! One HTTP/1.1 connection to a model server, driven by the exchange that has it on loan.
//!
//! hyper would have the connection spawned: then every request crosses between two tasks, and back. Here the
//! connection is polled where its exchange waits anyway, and lies still in its pool between two of them. What
//! hyper's own channels would wake is the poller itself, so they get a waker that does nothing.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::Request;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;

use super::connect::TrySend;
use crate::body::RequestBody;
use crate::io::Io;

/// Requests go in at `sender`; `driver` moves the bytes.
pub(crate) struct Http1 {
    sender: SendRequest<RequestBody>,
    /// `None`: it ended, or has a task of its own.
    driver: Option<Driver>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("detached", &self.driver.is_none()).finish_non_exhaustive()
    }
}

impl Http1 {
    pub(crate) async fn open(stream: TcpStream) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new().handshake(Io::upstream(stream)).await?;
        Ok(Self { sender, driver: Some(Box::pin(connection.with_upgrades())) })
    }

    /// Waits until a request can be sent. False: the connection is gone, or still busy with its last
    /// exchange.
    pub(crate) async fn ready(&mut self) -> bool {
        if self.drive(&mut Context::from_waker(Waker::noop())) {
            return self.sender.is_ready();
        }
        self.sender.ready().await.is_ok()
    }

    /// Looks whether the server closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_closed()
    }

    /// Whether the connection is idle. One that has a task of its own gets there without us.
    pub(crate) fn is_reusable(&self) -> bool {
        if self.driver.is_some() { self.sender.is_ready() } else { !self.sender.is_closed() }
    }

    /// Writes the request and waits for the head of the response.
    pub(crate) async fn send(&mut self, request: Box<Request<RequestBody>>) -> TrySend {
        // Boxed: it has room for the request. Unconstrained: a wake for want of budget would go to the waker
        // that does nothing.
        let mut answer = Box::pin(unconstrained(self.sender.try_send_request(*request)));
        poll_fn(|cx| self.poll_fed(cx, |cx| answer.as_mut().poll(cx).map_err(Box::new))).await
    }

    /// Polls what this connection feeds, after moving the connection on.
    pub(crate) fn poll_fed<T>(
        &mut self,
        cx: &mut Context<'_>,
        fed: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.drive(cx) { fed(&mut Context::from_waker(Waker::noop())) } else { fed(cx) }
    }

    /// Moves the connection on. False: it has ended, or it moves by itself.
    fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(driver) = &mut self.driver else { return false };
        if driver.as_mut().poll(cx).is_pending() {
            return true;
        }
        // Its result is the request's too, and is told there.
        self.driver = None;
        false
    }

    /// Gives the connection a task of its own.
    pub(crate) fn detach(&mut self) {
        if let Some(driver) = self.driver.take() {
            tokio::task::spawn_local(async move { drop(driver.await) });
        }
    }
}

//! One HTTP/1.1 connection to a model server, driven by the exchange that has it on loan.
//!
//! It has no task and no channels: who waits for the response moves the bytes. Request fields go from the
//! client's head straight into text, response fields from the bytes that came straight into a map, and what
//! lies idle in a pool is a socket and no buffer.

mod framing;
mod head;
mod upload;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use hyper::body::Frame;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;

use framing::{Framing, Misframed, Piece};
use head::Garbage;
use upload::Stopped;
pub(crate) use upload::Upload;
use wire::Wire;

/// A connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    wire: Wire,
    /// What came and was not taken yet.
    came: Bytes,
    /// How the response under way goes on.
    framing: Framing,
    /// Nothing said so far forbids another exchange.
    keep: bool,
    /// The last request's text, for its memory.
    text: Vec<u8>,
}

/// Why an exchange got no response, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Wire(#[from] io::Error),
    #[error("it closed the connection before its response was complete")]
    Closed,
    #[error("{0}")]
    Garbage(#[from] Garbage),
    #[error("{0}")]
    Misframed(#[from] Misframed),
    /// The client's body ended early: the exchange knows why.
    #[error("the request broke off")]
    Request,
}

impl Http1 {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let wire = Wire::Whole(stream);
        Self { wire, came: Bytes::new(), framing: Framing::Length(0), keep: true, text: Vec::new() }
    }

    /// Looks whether the connection can take a request. What came while none was under way, if only the
    /// server's closing, ends it.
    pub(crate) fn is_idle(&mut self) -> bool {
        if !self.is_reusable() {
            return false;
        }
        // Unconstrained: a task that has used up its budget would be told that nothing came.
        let look = pin!(unconstrained(poll_fn(|cx| self.wire.poll_read(cx, None))));
        look.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Whether the exchange is over and left the connection in step.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keep && self.framing.ended() && self.came.is_empty() && matches!(self.wire, Wire::Whole(_))
    }

    /// Lends memory for the text of a request.
    pub(crate) fn lend_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Writes the request and waits for the head of the response, whose fields take over the map of the
    /// request's. An upload that is not done then goes on beside the response.
    pub(crate) async fn send(
        &mut self,
        upload: &mut Option<Upload>,
        head: &mut Parts,
    ) -> Result<Response<()>, Failure> {
        let mut refused = None;
        let response = poll_fn(|cx| {
            if let (Some(upload), None) = (upload.as_mut(), &refused) {
                match self.wire.poll_upload(upload, cx) {
                    Poll::Ready(Err(Stopped::Body)) => return Poll::Ready(Err(Failure::Request)),
                    Poll::Ready(Err(Stopped::Wire(error))) if upload.is_unsent() => {
                        return Poll::Ready(Err(error.into()));
                    }
                    // It may have answered before it stopped taking.
                    Poll::Ready(Err(Stopped::Wire(error))) => refused = Some(error),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            match self.poll_head(cx, head) {
                Poll::Ready(Err(failure)) => Poll::Ready(Err(refused.take().map_or(failure, Failure::Wire))),
                other => other,
            }
        })
        .await?;
        self.keep &= refused.is_none();
        match upload.take() {
            Some(mut done) if done.is_done() => self.text = done.take_text(),
            // A server that does not take it is not offered the rest.
            Some(under_way) if refused.is_none() => self.wire.lend(under_way),
            _ => {}
        }
        Ok(response)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, asked: &mut Parts) -> Poll<Result<Response<()>, Failure>> {
        loop {
            if !self.came.is_empty()
                && let Some(head) = head::parse(&mut self.came, &asked.method, &mut asked.headers)?
            {
                (self.framing, self.keep) = (head.framing, head.keep);
                return Poll::Ready(Ok(head.response));
            }
            let more = ready!(self.wire.poll_read(cx, None))?;
            if more.is_empty() {
                return Poll::Ready(Err(Failure::Closed));
            }
            self.came = if self.came.is_empty() { more } else { [&self.came[..], &more].concat().into() };
        }
    }

    /// The next frame of the response's body. `None`: it was read to its end.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.wire.poll_broken(cx) {
            return Poll::Ready(Some(Err(Failure::Request)));
        }
        loop {
            match self.framing.take(&mut self.came) {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Some(Piece::Trailers(fields))) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Ok(None) if self.framing.ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(misframed) => return Poll::Ready(Some(Err(misframed.into()))),
            }
            match ready!(self.wire.poll_read(cx, self.framing.left())) {
                Ok(more) if more.is_empty() => {
                    let whole = matches!(self.framing, Framing::Close);
                    self.framing = Framing::Length(0);
                    return Poll::Ready((!whole).then_some(Err(Failure::Closed)));
                }
                Ok(more) => self.came = more,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// The last frame of the body was taken, as far as that is known yet.
    pub(crate) fn has_ended(&self) -> bool {
        self.framing.ended()
    }

    /// Bytes of the body still to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.framing.left()
    }

    /// The socket, and what came behind a 101.
    pub(crate) fn into_stream(self) -> Option<(TcpStream, Bytes)> {
        Some((self.wire.into_stream()?, self.came))
    }
}

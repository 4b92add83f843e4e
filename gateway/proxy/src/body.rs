//! Bodies that stream through while a copy of their head is kept.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use weir_exchange::{End, ErrorType};

use crate::clock::Stamp;
use crate::drain::drain;
use crate::live::{Live, Owner};
use crate::refusal::Refusal;
use crate::upstream::{Lease, Sender};

/// Why a body ended early; hyper closes the connection that carried it.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

/// A client's body on its way to a model server.
#[derive(Debug)]
pub(crate) struct RequestBody {
    /// `None`: there is no body.
    inner: Option<Incoming>,
    live: Rc<Live>,
    limit: u64,
}

impl RequestBody {
    /// Streams `inner`, up to the route's limit.
    pub(crate) fn new(inner: Incoming, live: Rc<Live>) -> Self {
        if inner.is_end_stream() {
            live.request_complete(Stamp::recent());
            return Self::empty(live);
        }
        let limit = live.route.rule.config.body_bytes;
        Self { inner: Some(inner), live, limit }
    }

    /// No body.
    pub(crate) fn empty(live: Rc<Live>) -> Self {
        Self { inner: None, live, limit: 0 }
    }

    fn fail(&self, why: Refusal, words: &'static str) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.live.request_fault.replace(Some(why));
        Poll::Ready(Some(Err(Broken(words))))
    }
}

impl Drop for RequestBody {
    /// The answer did not wait for the rest.
    fn drop(&mut self) {
        if let Some(rest) = self.inner.take().filter(|_| !self.live.request_is_complete()) {
            drain(rest, &self.live.conn.activity);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { inner: Some(inner), live, .. } = &mut *self else { return Poll::Ready(None) };
        let last = |inner: &Incoming| inner.is_end_stream();
        let polled = live.conn.turns.taking(inner, |inner| Pin::new(inner).poll_frame(cx), last);
        live.awaits_client.set(polled.is_pending());
        // A stream that was reset without an error ends like one that is whole.
        let is_short = inner.size_hint().exact().is_some_and(|left| left > 0);
        let frame = match ready!(polled) {
            None if is_short => {
                return self.fail(Refusal::ClientGone, "the client's body is shorter than it said");
            }
            None => {
                self.live.request_complete(Stamp::recent());
                return Poll::Ready(None);
            }
            Some(Ok(frame)) => frame,
            Some(Err(error)) if is_misframed(&error) => {
                let why = "the request body is not framed as its head says (send whole chunks)".into();
                return self.fail(Refusal::BadRequest(why), "the client's body is misframed");
            }
            Some(Err(_)) => return self.fail(Refusal::ClientGone, "the client broke off its body"),
        };
        if let Some(data) = frame.data_ref() {
            let now = Stamp::recent();
            if self.live.saw_request(data, now) > self.limit {
                return self.fail(Refusal::BodyTooLarge { limit: self.limit }, "the body is over its limit");
            }
            if self.is_end_stream() {
                self.live.request_complete(now);
            }
        } else if frame.is_trailers() {
            self.live.request_complete(Stamp::recent());
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// Whether what came was wrong, rather than missing: hyper says so by the kind of the error below its own.
fn is_misframed(error: &hyper::Error) -> bool {
    let below = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    below.is_some_and(|e| matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// What the client gets.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// Written by Weir itself; the exchange ends when it is read or dropped.
    Own { bytes: Option<Bytes>, _owner: Option<Owner> },
    /// A model server's body, streaming.
    Stream(Box<Stream>),
}

/// A response on its way to the client.
#[derive(Debug)]
pub(crate) struct Stream {
    /// A body of its own; else the connection on loan brings it.
    inner: Option<Incoming>,
    owner: Owner,
    /// `None`: the response is over.
    lease: Option<Lease>,
}

impl ReplyBody {
    /// Weir's own words.
    pub(crate) fn own(bytes: Bytes, owner: Option<Owner>) -> Self {
        Self::Own { bytes: Some(bytes).filter(|b| !b.is_empty()), _owner: owner }
    }

    /// A body from upstream, or else from the connection itself; `lease` goes back to its pool at the end.
    pub(crate) fn stream(inner: Option<Incoming>, owner: Owner, lease: Lease) -> Self {
        let mut stream = Stream { inner, owner, lease: Some(lease) };
        if stream.has_ended() {
            stream.complete();
        }
        Self::Stream(Box::new(stream))
    }
}

impl Stream {
    /// The last frame was taken, as far as that is known yet.
    fn has_ended(&self) -> bool {
        match (&self.inner, &self.lease) {
            (Some(inner), _) => inner.is_end_stream(),
            (None, Some(Lease { sender: Sender::Http1(connection), .. })) => connection.has_ended(),
            (None, _) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.lease) {
            (Some(inner), _) => inner.size_hint(),
            (None, Some(Lease { sender: Sender::Http1(connection), .. })) => {
                connection.left().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            (None, _) => SizeHint::with_exact(0),
        }
    }

    fn complete(&mut self) {
        self.owner.ended(End::Complete, None);
        if let Some(lease) = self.lease.take() {
            lease.give_back(Stamp::recent());
        }
    }

    fn broke(&mut self, end: End, error: ErrorType, words: &'static str) -> Broken {
        self.owner.ended(end, Some(error));
        self.lease = None;
        Broken(words)
    }

    /// The next frame from the model server; `Err`: it broke off.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
        match (&mut self.inner, &mut self.lease) {
            (Some(inner), _) => Pin::new(inner).poll_frame(cx).map_err(drop),
            (None, Some(Lease { sender: Sender::Http1(connection), .. })) => {
                connection.poll_body(cx).map_err(drop)
            }
            (None, _) => Poll::Ready(None),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.poll_source(cx) {
            Poll::Pending => match self.owner.live().expired(cx) {
                None => Poll::Pending,
                Some(_) => Poll::Ready(Some(Err(self.broke(
                    End::Timeout,
                    ErrorType::Timeout,
                    "the response stopped coming",
                )))),
            },
            Poll::Ready(None) => {
                self.complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(()))) => {
                let fault = self.owner.live().request_fault.take();
                let (end, error) =
                    fault.map_or((End::UpstreamReset, ErrorType::Reset), |f| (f.end(), f.error()));
                Poll::Ready(Some(Err(self.broke(
                    end,
                    error,
                    "the exchange broke off before its response ended",
                ))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.owner.live().saw_response(data, Stamp::recent());
                }
                // hyper does not ask again after the last byte of a known length.
                if self.has_ended() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Own { bytes, .. } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream) => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { bytes, .. } => bytes.is_none(),
            Self::Stream(stream) => stream.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

//! A request on its way out: its head as text, then its body, framed anew.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName};
use hyper::body::{Body, Frame};
use tokio::io::AsyncWrite;

use crate::body::RequestBody;
use crate::headers::name_listed;
use crate::io::poll_write_joined;
use crate::onward::Sink;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What of a request is not written yet.
#[derive(Debug)]
pub(crate) struct Upload {
    /// `None`: it was read to its end.
    body: Option<RequestBody>,
    chunked: bool,
    /// The head, or what frames the data behind it.
    text: Vec<u8>,
    written: usize,
    data: Bytes,
    /// What frames the data from behind.
    after: &'static [u8],
    began: bool,
    /// Trailers that the head announced: no others pass.
    announced: Vec<HeaderName>,
}

/// Why a request could not be written to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The server does not take it.
    Wire(io::Error),
    /// The client broke it off, or it may not pass.
    Body,
}

impl Upload {
    /// Of a body with this head.
    pub(crate) fn new(body: RequestBody, headers: &HeaderMap) -> Self {
        let chunked = body.size_hint().exact().is_none();
        let mut announced = Vec::new();
        if chunked {
            headers.get_all(header::TRAILER).iter().for_each(|value| name_listed(value, &mut announced));
        }
        let body = Some(body).filter(|body| !body.is_end_stream());
        Self {
            body,
            chunked,
            text: Vec::new(),
            written: 0,
            data: Bytes::new(),
            after: b"",
            began: false,
            announced,
        }
    }

    /// The body's length, if it is known before it has passed.
    pub(crate) fn length(&self) -> Option<u64> {
        let here = self.data.len() as u64;
        let Some(body) = self.body.as_ref().filter(|_| !self.chunked) else { return Some(here) };
        body.size_hint().exact().map(|left| left + here)
    }

    /// Begins, or begins again on another connection while no byte was taken by the first: `head` is given
    /// the body's length and writes the head, without the empty line behind it, into `text`, whose memory is
    /// used.
    pub(crate) fn begin(&mut self, mut text: Vec<u8>, head: impl FnOnce(Option<u64>, &mut Vec<u8>)) {
        text.clear();
        head(self.length(), &mut text);
        if self.chunked {
            text.put(&header::TRANSFER_ENCODING, b"chunked");
        }
        text.extend_from_slice(b"\r\n");
        (self.text, self.written) = (text, 0);
        if self.chunked && !self.data.is_empty() {
            self.write_size();
        }
    }

    /// Nothing of it was taken by the server's end: it may be sent again.
    pub(crate) fn is_unsent(&self) -> bool {
        !self.began
    }

    /// All of it was written.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_none() && self.is_drained()
    }

    /// The body for a connection that frames it itself.
    pub(crate) fn take_body(&mut self) -> Option<RequestBody> {
        self.body.take()
    }

    /// Takes what of the body has come: it goes nowhere, but the exchange has seen it.
    pub(crate) fn look(&mut self) {
        let quiet = &mut Context::from_waker(Waker::noop());
        while let Some(body) = self.body.as_mut().filter(|body| !body.is_end_stream()) {
            if !matches!(Pin::new(body).poll_frame(quiet), Poll::Ready(Some(Ok(_)))) {
                return;
            }
        }
    }

    /// The text's memory, when the upload is done.
    pub(crate) fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    fn is_drained(&self) -> bool {
        self.written == self.text.len() && self.data.is_empty() && self.after.is_empty()
    }

    /// Writes what there is. Ready when all of it is written; pending on the server or on the client.
    pub(crate) fn poll(
        &mut self,
        wire: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stopped>> {
        loop {
            // The head leaves together with the first data, if that is here.
            self.fill(cx)?;
            if self.is_drained() {
                return if self.body.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let pieces = [&self.text[self.written..], &self.data, self.after].map(IoSlice::new);
            let taken = ready!(poll_write_joined(wire, cx, &pieces)).map_err(Stopped::Wire)?;
            if taken == 0 {
                return Poll::Ready(Err(Stopped::Wire(io::ErrorKind::WriteZero.into())));
            }
            self.advance(taken);
        }
    }

    /// Takes the next frame of the body, if it is time for one and one is here.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<(), Stopped> {
        if !self.data.is_empty() || !self.after.is_empty() {
            return Ok(());
        }
        let Some(body) = &mut self.body else { return Ok(()) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Some(Err(_))) => return Err(Stopped::Body),
            Poll::Ready(Some(Ok(frame))) => self.frame(frame),
            Poll::Ready(None) => self.end(LAST_CHUNK),
        }
        Ok(())
    }

    fn frame(&mut self, frame: Frame<Bytes>) {
        let ended = self.body.as_ref().is_none_or(Body::is_end_stream);
        match frame.into_data() {
            Ok(data) => {
                self.data = data;
                if self.chunked && !self.data.is_empty() {
                    self.write_size();
                    self.after = b"\r\n";
                }
                if ended {
                    self.end(if self.after.is_empty() { LAST_CHUNK } else { b"\r\n0\r\n\r\n" });
                }
            }
            // Trailers are the last frame.
            Err(frame) => {
                if let (true, Ok(trailers)) = (self.chunked, frame.into_trailers()) {
                    self.write_trailers(&trailers);
                }
                self.end(b"");
            }
        }
    }

    fn end(&mut self, after: &'static [u8]) {
        self.body = None;
        if self.chunked {
            self.after = after;
        }
    }

    fn write_size(&mut self) {
        self.text.extend_from_slice(format!("{:x}\r\n", self.data.len()).as_bytes());
    }

    /// The last chunk with its trailers, but for those that nobody announced, or that would frame or route the
    /// message (RFC 9110, 6.5.1).
    fn write_trailers(&mut self, trailers: &HeaderMap) {
        self.text.extend_from_slice(b"0\r\n");
        let barred = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::HOST, header::TRAILER];
        let passes = |name: &HeaderName| self.announced.contains(name) && !barred.contains(name);
        for (name, value) in trailers.iter().filter(|(name, _)| passes(name)) {
            self.text.pass(name, value);
        }
        self.text.extend_from_slice(b"\r\n");
    }

    fn advance(&mut self, mut taken: usize) {
        self.began = true;
        let of_text = taken.min(self.text.len() - self.written);
        self.written += of_text;
        taken -= of_text;
        let of_data = taken.min(self.data.len());
        self.data.advance(of_data);
        self.after = &self.after[taken - of_data..];
        if self.written == self.text.len() {
            self.text.clear();
            self.written = 0;
        }
    }
}

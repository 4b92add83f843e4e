//! A request on its way out: its head as text, then its body, framed anew.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::header::{self, HeaderMap, HeaderName};
use hyper::body::{Body, Frame};
use tokio::io::AsyncWrite;

use crate::body::RequestBody;
use crate::fields::Field;
use crate::headers::name_listed;
use crate::io::poll_write_joined;
use crate::onward::Sink;

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What of a request is not written yet.
#[derive(Debug)]
pub(crate) struct Upload<B = RequestBody> {
    /// `None`: it was read to its end.
    body: Option<B>,
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

impl<B: Body<Data = Bytes> + Unpin> Upload<B> {
    /// Of a body with this head.
    pub(crate) fn new(body: B, headers: &HeaderMap) -> Self {
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
        if self.chunked {
            return None;
        }
        let left = self.body.as_ref().map_or(Some(0), |body| body.size_hint().exact());
        left.map(|left| left + self.data.len() as u64)
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
        } else if self.chunked && self.body.is_none() && self.after.is_empty() {
            // The first connection's text had the trailers; a recipient may do without them.
            self.after = LAST_CHUNK;
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
    pub(crate) fn take_body(&mut self) -> Option<B> {
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
            let waits = self.fill(cx)?;
            if self.is_drained() {
                match self.body {
                    None => return Poll::Ready(Ok(())),
                    Some(_) if waits => return Poll::Pending,
                    // A frame without data came.
                    Some(_) => continue,
                }
            }
            let pieces = [&self.text[self.written..], &self.data, self.after].map(IoSlice::new);
            let taken = ready!(poll_write_joined(wire, cx, &pieces)).map_err(Stopped::Wire)?;
            if taken == 0 {
                return Poll::Ready(Err(Stopped::Wire(io::ErrorKind::WriteZero.into())));
            }
            self.advance(taken);
        }
    }

    /// Takes the next frame of the body, if it is time for one and one is here. True: the client has to send
    /// more first.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, Stopped> {
        if !self.data.is_empty() || !self.after.is_empty() {
            return Ok(false);
        }
        let Some(body) = &mut self.body else { return Ok(false) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => return Ok(true),
            Poll::Ready(Some(Err(_))) => return Err(Stopped::Body),
            Poll::Ready(Some(Ok(frame))) => self.frame(frame),
            Poll::Ready(None) => self.end(LAST_CHUNK),
        }
        Ok(false)
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

    /// The last chunk with its trailers, but for those that nobody announced, or that a server would take for
    /// a part of the head.
    fn write_trailers(&mut self, trailers: &HeaderMap) {
        self.text.extend_from_slice(b"0\r\n");
        let passes = |name: &HeaderName| self.announced.contains(name) && is_trailer(name);
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

/// Whether a field may be a trailer: none that frames, routes, describes or authorises (RFC 9110, 6.5.1), and
/// none that a proxy writes.
fn is_trailer(name: &HeaderName) -> bool {
    const BARRED: [HeaderName; 7] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_RANGE,
        header::MAX_FORWARDS,
        header::SET_COOKIE,
        header::TRAILER,
        header::COOKIE,
    ];
    Field::of(name) == Field::Other && !BARRED.contains(name)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use hyper::body::SizeHint;

    use super::*;

    /// A body of these frames; `None`: the client has not sent the next one yet.
    struct Frames(VecDeque<Option<Frame<Bytes>>>, SizeHint);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                Some(None) => Poll::Pending,
                frame => Poll::Ready(frame.flatten().map(Ok)),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            self.1
        }
    }

    fn data(text: &'static str) -> Option<Frame<Bytes>> {
        Some(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    fn trailers() -> Option<Frame<Bytes>> {
        let fields = [("x-sum", "1"), ("x-other", "2"), ("authorization", "3"), ("via", "4")];
        let field =
            |(name, value): (&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        Some(Frame::trailers(fields.map(field).into_iter().collect()))
    }

    /// Without a length: chunked.
    fn upload(frames: impl IntoIterator<Item = Option<Frame<Bytes>>>, length: Option<u64>) -> Upload<Frames> {
        let hint = length.map_or_else(SizeHint::default, SizeHint::with_exact);
        let announced = [(header::TRAILER, "x-sum, authorization, via".parse().unwrap())];
        Upload::new(Frames(frames.into_iter().collect(), hint), &announced.into_iter().collect())
    }

    /// A server that takes so many bytes at once, and notes each piece.
    struct Server(usize, Vec<Vec<u8>>);

    impl AsyncWrite for Server {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = &buf[..buf.len().min(self.0)];
            self.1.push(taken.to_vec());
            Poll::Ready(if taken.is_empty() {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(taken.len())
            })
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn begin(upload: &mut Upload<Frames>) {
        upload.begin(b"old".to_vec(), |length, text| {
            text.extend_from_slice(b"POST / HTTP/1.1\r\n");
            if let Some(length) = length {
                text.put(&header::CONTENT_LENGTH, length.to_string().as_bytes());
            }
        });
    }

    /// Polls until the upload is done, and returns what a server that takes `at_once` bytes got, piece by
    /// piece.
    fn sent(upload: &mut Upload<Frames>, at_once: usize) -> Vec<Vec<u8>> {
        let mut server = Server(at_once, Vec::new());
        for _ in 0..9 {
            if upload.poll(&mut server, &mut Context::from_waker(Waker::noop())).is_ready() {
                assert!(upload.is_done() && !upload.is_unsent());
                return server.1;
            }
        }
        panic!("an upload ends");
    }

    #[test]
    fn a_head_leaves_together_with_a_body_that_is_here() {
        let mut upload = upload([data("hello")], Some(5));
        begin(&mut upload);
        let whole = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello".to_vec();
        assert_eq!(sent(&mut upload, usize::MAX), [whole]);
    }

    #[test]
    fn a_chunked_body_is_the_same_however_little_the_server_takes_at_once() {
        let expect = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
                      5\r\nhello\r\nb\r\n wide world\r\n0\r\nx-sum: 1\r\n\r\n";
        for at_once in 1..expect.len() {
            let frames = [data("hello"), None, data(""), data(" wide world"), None, trailers()];
            let mut upload = upload(frames, None);
            begin(&mut upload);
            assert_eq!(String::from_utf8(sent(&mut upload, at_once).concat()).unwrap(), expect);
        }
    }

    #[test]
    fn a_request_that_was_not_taken_begins_again_the_same() {
        for (frames, length, body) in [
            (vec![data("hello")], None, "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            (vec![data("hello"), data(" you")], Some(9), "content-length: 9\r\n\r\nhello you"),
            (vec![trailers()], None, "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ] {
            let mut upload = upload(frames, length);
            begin(&mut upload);
            let mut gone = Server(0, Vec::new());
            let first = upload.poll(&mut gone, &mut Context::from_waker(Waker::noop()));
            assert!(matches!(first, Poll::Ready(Err(Stopped::Wire(_)))) && upload.is_unsent());
            // What a body says of its rest shrinks as it is read.
            if let (Some(body), Some(length)) = (&mut upload.body, length) {
                body.1 = SizeHint::with_exact(length - 5);
            }
            begin(&mut upload);
            let got = String::from_utf8(sent(&mut upload, usize::MAX).concat()).unwrap();
            assert_eq!(got, format!("POST / HTTP/1.1\r\n{body}"));
        }
    }
}

//! hyper's I/O traits over a tokio TCP stream, with the few bytes that were read to tell the protocols apart,
//! and a note of when bytes last came.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::Stamp;
use crate::linger::{Linger, words_for};

/// What the worker's ticker needs to know of a client connection. Written by its own worker only; atomic
/// because an upgraded connection must be `Send`.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// When the first byte of a request head came, 0 between requests.
    pub(crate) head_began: AtomicU64,
    /// When the connection last became idle (accepted, or its last exchange ended).
    pub(crate) idle_since: AtomicU64,
    /// Exchanges under way.
    pub(crate) exchanges: AtomicU64,
    /// An exchange ended before its request did.
    pub(crate) unread: AtomicBool,
    /// The rest of an answered request is being read.
    pub(crate) draining: AtomicBool,
    /// HTTP/2: bytes between requests are pings and settings, not the beginning of a head.
    pub(crate) http2: AtomicBool,
}

impl Activity {
    /// Bytes came: between requests they are the beginning of a head.
    fn read(&self) {
        let between = self.exchanges.load(Relaxed) == 0 && self.head_began.load(Relaxed) == 0;
        if between && !self.http2.load(Relaxed) && !self.draining.load(Relaxed) {
            self.head_began.store(Stamp::recent().0, Relaxed);
        }
    }

    /// A head has begun to come and no exchange has come of it.
    fn head_is_open(&self) -> bool {
        self.head_began.load(Relaxed) != 0 && self.exchanges.load(Relaxed) == 0
    }

    /// The client has not been heard to the end.
    fn sends_still(&self) -> bool {
        self.unread.load(Relaxed) || self.head_is_open()
    }

    /// A head was read whole and its exchange begins.
    pub(crate) fn begin(&self) {
        self.exchanges.store(self.exchanges.load(Relaxed) + 1, Relaxed);
        self.unread.store(false, Relaxed);
        self.head_began.store(0, Relaxed);
    }

    /// An exchange ended.
    pub(crate) fn end(&self, now: Stamp) {
        self.exchanges.store(self.exchanges.load(Relaxed).saturating_sub(1), Relaxed);
        self.idle_since.store(now.0, Relaxed);
    }
}

/// A stream hyper can drive.
#[derive(Debug)]
pub(crate) struct Io {
    stream: TcpStream,
    /// Bytes read ahead and how many of them were given out.
    ahead: ([u8; 4], u8, u8),
    activity: Option<Arc<Activity>>,
    linger: Option<Linger>,
}

impl Io {
    /// An upstream connection.
    pub(crate) fn upstream(stream: TcpStream) -> Self {
        Self { stream, ahead: ([0; 4], 0, 0), activity: None, linger: None }
    }

    /// A client connection, of which up to four bytes were read already.
    pub(crate) fn client(stream: TcpStream, ahead: &[u8], activity: Arc<Activity>) -> Self {
        let mut bytes = [0; 4];
        bytes[..ahead.len()].copy_from_slice(ahead);
        Self { stream, ahead: (bytes, 0, ahead.len() as u8), activity: Some(activity), linger: None }
    }

    /// The stream, once hyper is done with it.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (bytes, from, to) = self.ahead;
        if from < to {
            let some = &bytes[from as usize..to as usize];
            let n = some.len().min(cursor.remaining());
            cursor.put_slice(&some[..n]);
            self.ahead.1 += n as u8;
            return Poll::Ready(Ok(()));
        }
        let read = read_into(&mut self.stream, cx, cursor);
        if let (Poll::Ready(Ok(())), Some(activity)) = (&read, &self.activity) {
            activity.read();
        }
        read
    }
}

/// Reads into hyper's uninitialised buffer.
#[expect(
    unsafe_code,
    reason = "hyper's cursor and tokio's ReadBuf describe the same memory; only the bridge is unsafe"
)]
fn read_into(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    mut cursor: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    // SAFETY: tokio only writes to the slice and never un-initialises it.
    let mut buffer = ReadBuf::uninit(unsafe { cursor.as_mut() });
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    let filled = buffer.filled().len();
    // SAFETY: tokio initialised exactly the bytes it reports as filled.
    unsafe { cursor.advance(filled) };
    Poll::Ready(Ok(()))
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, linger, activity, .. } = &mut *self;
        if linger.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            if !activity.as_ref().is_some_and(|activity| activity.sends_still()) {
                return Poll::Ready(Ok(()));
            }
        }
        linger.get_or_insert_with(Linger::new).poll(stream, cx)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let unheard = self.activity.as_ref().is_some_and(|activity| activity.head_is_open());
        if unheard && let Some(words) = bufs.first().and_then(|first| words_for(first)) {
            // A connection that ends here: what a full socket did not take of it is not sent again.
            let all = bufs.iter().map(|buf| buf.len()).sum();
            return Pin::new(&mut self.stream).poll_write(cx, &words).map_ok(|_| all);
        }
        poll_write_joined(&mut self.stream, cx, bufs)
    }
}

/// Writes pieces of one message. One plain send of a joined copy costs the kernel less than gathering two or
/// three short pieces.
pub(crate) fn poll_write_joined(
    wire: &mut (impl AsyncWrite + Unpin),
    cx: &mut Context<'_>,
    pieces: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    if total > JOIN_UP_TO {
        return Pin::new(wire).poll_write_vectored(cx, pieces);
    }
    if let Some(only) = pieces.iter().find(|piece| piece.len() == total) {
        return Pin::new(wire).poll_write(cx, only);
    }
    JOINED.with_borrow_mut(|joined| {
        joined.clear();
        pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        Pin::new(wire).poll_write(cx, joined)
    })
}

thread_local! {
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A head and a small body.
const JOIN_UP_TO: usize = 2048;

/// Runs hyper's HTTP/2 tasks on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExec;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExec {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

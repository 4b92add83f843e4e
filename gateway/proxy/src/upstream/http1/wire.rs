//! The socket of one HTTP/1.1 connection, whole or with its writing half lent to an upload of its own.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::JoinHandle;

use super::upload::{Stopped, Upload};

/// What is read at once where nobody knows how much will come: a head, most bodies, a chunk of a stream.
const SCRATCH: usize = 16 << 10;
/// What is read at once of a body known to be long.
const LONG: usize = 64 << 10;

thread_local! {
    /// Shared by all connections of a worker, so that those that idle hold no memory.
    static CAME: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// A connection's socket.
#[derive(Debug)]
pub(crate) enum Wire {
    Whole(TcpStream),
    /// The upload goes on beside the download, in a task.
    Halved {
        reading: OwnedReadHalf,
        upload: Option<Lent>,
    },
    /// Taken away.
    Gone,
}

/// An upload in a task of its own, which ends with the exchange.
#[derive(Debug)]
pub(crate) struct Lent(JoinHandle<Result<(), Stopped>>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    /// Reads what came, in a buffer of about its size. Empty: the server closed. `left`: bytes of the body
    /// still to come, if known.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, left: Option<u64>) -> Poll<io::Result<Bytes>> {
        match left {
            Some(left) if left > SCRATCH as u64 => self.poll_read_long(cx, left),
            _ => CAME.with_borrow_mut(|came| {
                let mut room = ReadBuf::new(came);
                ready!(self.poll_with(cx, |wire, cx| Pin::new(wire).poll_read(cx, &mut room)))?;
                Poll::Ready(Ok(Bytes::copy_from_slice(room.filled())))
            }),
        }
    }

    /// Reads a part of a long body without copying it.
    fn poll_read_long(&mut self, cx: &mut Context<'_>, left: u64) -> Poll<io::Result<Bytes>> {
        // No memory is taken before there is something to read.
        match self {
            Self::Whole(stream) => ready!(stream.poll_read_ready(cx))?,
            Self::Halved { reading, .. } => ready!(reading.as_ref().poll_read_ready(cx))?,
            Self::Gone => {}
        }
        let size = usize::try_from(left).map_or(LONG, |left| left.min(LONG));
        let mut room = BytesMut::with_capacity(size);
        // A future that holds nothing: one that is dropped has read nothing.
        ready!(self.poll_with(cx, |wire, cx| pin!(wire.read_buf(&mut room)).poll(cx)))?;
        // What is kept for telemetry is charged by its length and must not pin more than about that.
        Poll::Ready(Ok(if room.len() < size / 2 { Bytes::copy_from_slice(&room) } else { room.freeze() }))
    }

    fn poll_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut (dyn AsyncRead + Unpin), &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self {
            Self::Whole(stream) => read(stream, cx),
            Self::Halved { reading, .. } => read(reading, cx),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Moves an upload on; ready when it is done. One that has a task of its own is looked after there.
    pub(crate) fn poll_upload(
        &mut self,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stopped>> {
        match self {
            Self::Whole(stream) => upload.poll(stream, cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Whether the upload beside the download was broken off: then the answer is to a request nobody made.
    pub(crate) fn poll_broken(&mut self, cx: &mut Context<'_>) -> bool {
        let Self::Halved { upload, .. } = self else { return false };
        let Some(Poll::Ready(ended)) = upload.as_mut().map(|lent| Pin::new(&mut lent.0).poll(cx)) else {
            return false;
        };
        // A task that is done is not asked again.
        *upload = None;
        matches!(ended, Ok(Err(Stopped::Body)))
    }

    /// Gives an upload that is not done a task, so that it does not wait for who reads the download.
    pub(crate) fn lend(&mut self, mut upload: Upload) {
        let Self::Whole(stream) = std::mem::replace(self, Self::Gone) else { return };
        let (reading, mut writing) = stream.into_split();
        let upload = tokio::task::spawn_local(async move {
            let ended = std::future::poll_fn(|cx| upload.poll(&mut writing, cx)).await;
            if ended.is_ok() {
                // A server may take a closed half for a client that left.
                writing.forget();
            }
            ended
        });
        *self = Self::Halved { reading, upload: Some(Lent(upload)) };
    }

    /// The socket for another protocol.
    pub(crate) fn into_stream(self) -> Option<TcpStream> {
        match self {
            Self::Whole(stream) => Some(stream),
            _ => None,
        }
    }
}

//! Listening sockets, one a worker on the same port, and who takes an accepted connection.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use weir_exchange::ErrorType;

use crate::conn;
use crate::worker::Worker;

/// A worker passes an accepted connection on when it has this many more than a fair share.
const UNEVEN: usize = 8;

/// An accepted connection on its way to another worker.
pub(crate) type Moved = (std::net::TcpStream, SocketAddr);

/// Bound sockets, not yet accepting.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
    address: SocketAddr,
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on `{address}`: {cause} (is another process using it? see `gateway.listen`)")]
pub struct BindError {
    address: SocketAddr,
    cause: std::io::Error,
}

impl Listener {
    /// Binds one socket a worker to the same address; port 0 takes a free port for all of them.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub fn bind(address: SocketAddr, workers: usize) -> Result<Self, BindError> {
        let fail = |cause| BindError { address, cause };
        // A port that another process shares by SO_REUSEPORT would silently take half of the traffic: the
        // first bind is exclusive and shows whether the address is free.
        drop(bind(address, false).map_err(fail)?);
        let first = bind(address, true).map_err(fail)?;
        let bound = first.local_addr().map_err(fail)?;
        let mut sockets = vec![first];
        for _ in 1..workers {
            sockets.push(bind(bound, true).map_err(fail)?);
        }
        Ok(Self { sockets, address: bound })
    }

    /// The address bound, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn into_sockets(self) -> Vec<TcpListener> {
        self.sockets
    }
}

fn bind(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(4096)?;
    }
    Ok(socket.into())
}

/// Accepts until told to stop.
pub(crate) async fn accept(
    worker: &Rc<Worker>,
    socket: TcpListener,
    mut moved: mpsc::UnboundedReceiver<Moved>,
) {
    let listener =
        tokio::net::TcpListener::from_std(socket).expect("the socket is a listening one and does not block");
    let stop = worker.shared.stop_accepting.notified();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            Some((stream, peer)) = moved.recv() => {
                if let Ok(stream) = TcpStream::from_std(stream) {
                    take(worker, stream, peer);
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => welcome(worker, stream, peer),
                // Out of descriptors, most likely: taking a breath is all one can do, and what the kernel
                // queued waits.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
}

fn welcome(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let limit = worker.view().snapshot.limits.connections;
    if worker.shared.connections.load(Relaxed) >= limit {
        worker.shared.metrics.connections.get(&["refused"]).inc();
        worker.unheard(peer.ip(), 503, ErrorType::Limit);
        tokio::task::spawn_local(refuse(stream, limit));
        return;
    }
    worker.accepted.bump(1);
    if let Some(stream) = hand_over(worker, stream, peer) {
        take(worker, stream, peer);
    }
}

/// Passes the connection to the least loaded worker if this one is well above its fair share.
fn hand_over(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) -> Option<TcpStream> {
    let peers = worker.shared.peers.read().unwrap_or_else(PoisonError::into_inner);
    let mine = worker.connections.load(Relaxed);
    let mean = worker.shared.connections.load(Relaxed) / peers.len().max(1);
    if peers.len() < 2 || mine < mean + mean / 4 + UNEVEN {
        return Some(stream);
    }
    let least = peers.iter().min_by_key(|p| p.connections.load(Relaxed))?;
    let stream = stream.into_std().ok()?;
    match least.inbox.send((stream, peer)) {
        Ok(()) => {
            worker.shared.metrics.connections.get(&["handed_over"]).inc();
            None
        }
        Err(back) => TcpStream::from_std(back.0.0).ok(),
    }
}

fn take(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    let counted = Counted::on(worker);
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        let _counted = counted;
        conn::serve(worker, stream, peer).await;
    });
}

/// Counts a connection for as long as it lives.
struct Counted(Rc<Worker>);

impl Counted {
    fn on(worker: &Rc<Worker>) -> Self {
        worker.shared.connections.fetch_add(1, Relaxed);
        worker.connections.fetch_add(1, Relaxed);
        Self(worker.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.shared.connections.fetch_sub(1, Relaxed);
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// Says in HTTP that there is no room, and closes.
async fn refuse(mut stream: TcpStream, limit: usize) {
    let body = format!(
        r#"{{"error":{{"type":"limit","fault":"weir","message":"{limit} connections are open already (retry, or raise `limits.connections`)"}}}}"#
    );
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let write = async {
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        // What the client has sent already must be read: closing over it would take the answer back.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
}

//! Model servers of the tests: one that is stepped by hand, and one that answers by a function.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{self, AddressFamily, SocketType};

use crate::PATIENCE;
use crate::wire::{Message, Wire};

/// Accepts until dropped.
#[derive(Debug)]
struct Accepting {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Accepting {
    fn at(address: SocketAddr, mut take: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("failed to listen: {e}"));
        let address = listener.local_addr().expect("a listener has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(SeqCst) {
                    return;
                }
                take(stream.expect("a connection can be accepted"));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes the thread out of its accept.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A model server whose every move the test makes.
#[derive(Debug)]
pub struct Upstream {
    accepting: Accepting,
    accepted: Receiver<TcpStream>,
}

impl Upstream {
    pub fn bind() -> Self {
        let (sender, accepted) = mpsc::channel();
        let accepting = Accepting::at(any_port(), move |stream| drop(sender.send(stream)));
        Self { accepting, accepted }
    }

    pub fn address(&self) -> SocketAddr {
        self.accepting.address
    }

    /// The next connection.
    ///
    /// # Panics
    /// None comes.
    #[track_caller]
    pub fn accept(&self) -> Wire {
        Wire::over(self.accepted.recv_timeout(PATIENCE).expect("a connection to the upstream"))
    }

    /// A connection that came already.
    pub fn accepted(&self) -> Option<Wire> {
        self.accepted.try_recv().ok().map(Wire::over)
    }
}

/// A listener that neither accepts nor refuses: its backlog is full.
#[derive(Debug)]
pub struct Deaf {
    listener: OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl Deaf {
    pub fn listen() -> Self {
        let listener = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        net::bind(&listener, &any_port()).expect("a free port");
        net::listen(&listener, 0).expect("a listener");
        let mut deaf = Self { listener, _waiting: Vec::new() };
        let address = deaf.address();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        while let Some(stream) = connect() {
            deaf._waiting.push(stream);
        }
        deaf
    }

    pub fn address(&self) -> SocketAddr {
        let address = net::getsockname(&self.listener).expect("a listener has an address");
        address.try_into().expect("an address of the internet")
    }
}

/// A model server that answers by a function, each connection on a thread of its own.
#[derive(Debug)]
pub struct Server {
    accepting: Accepting,
    requests: Mutex<Receiver<Message>>,
}

impl Server {
    /// Starts on a free port. The connection is closed behind an answer that says `connection: close`.
    pub fn start(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_at(any_port(), answer)
    }

    /// Starts on an address that may have been used before.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let (sender, requests) = mpsc::channel();
        let answer = Arc::new(answer);
        let accepting = Accepting::at(address, move |stream| {
            let (answer, sender) = (answer.clone(), sender.clone());
            std::thread::spawn(move || converse(stream, &*answer, &sender));
        });
        Self { accepting, requests: Mutex::new(requests) }
    }

    /// Answers everything with this JSON.
    pub fn json(body: &str) -> Self {
        let reply = ok_json(body);
        Self::start(move |_| reply.clone())
    }

    pub fn address(&self) -> SocketAddr {
        self.accepting.address
    }

    /// The next request that came.
    ///
    /// # Panics
    /// None comes.
    #[track_caller]
    pub fn request(&self) -> Message {
        let requests = self.requests.lock().expect("one test reads");
        requests.recv_timeout(PATIENCE).expect("a request reaches the upstream")
    }

    /// Every request that came so far and was not taken yet.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().expect("one test reads").try_iter().collect()
    }
}

fn converse(stream: TcpStream, answer: &dyn Fn(&Message) -> Vec<u8>, requests: &Sender<Message>) {
    // A gateway that is killed or gives up closes in the middle: that ends this thread, not the test.
    let talk = std::panic::AssertUnwindSafe(|| {
        let mut wire = Wire::over(stream);
        // The server closes an idle connection later than any test lasts.
        wire.stream().set_read_timeout(None).expect("a socket takes a timeout");
        while let Some(request) = wire.try_message() {
            let reply = answer(&request);
            drop(requests.send(request));
            let last = reply.windows(17).any(|w| w.eq_ignore_ascii_case(b"connection: close"));
            if wire.try_send(&reply).is_err() || last {
                return;
            }
        }
    });
    drop(std::panic::catch_unwind(talk));
}

/// A 200 with this content type and body.
pub fn ok(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A 200 with this JSON.
pub fn ok_json(body: &str) -> Vec<u8> {
    ok("application/json", body.as_bytes())
}

//! The event loop: one thread, one epoll instance, one outstanding request per connection.

use crate::http::{self, Reply};
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long after the last intended time answers are still awaited; later ones count as failed.
const GRACE: Duration = Duration::from_secs(2);

/// What to send, where to, how often and for how long.
pub struct Plan {
    pub address: SocketAddr,
    pub request: Vec<u8>,
    /// Requests per second over all connections.
    pub rate: f64,
    pub connections: usize,
    /// Load before the measured part; its latencies are not kept.
    pub warmup: Duration,
    pub measured: Duration,
}

/// What came of it. Answers during the warm-up are not in it; connections that broke then are.
#[derive(Default)]
pub struct Outcome {
    /// Nanoseconds from the intended time of sending to the last byte of a 2xx response, in order of
    /// completion.
    pub latencies: Vec<u64>,
    /// Other statuses, broken connections, unreadable and missing responses.
    pub failed: u64,
}

struct Connection {
    socket: TcpStream,
    received: Vec<u8>,
    /// Intended time of the outstanding request, since the start.
    outstanding: Option<Duration>,
}

/// Runs the plan on the calling thread.
///
/// # Errors
/// If a connection cannot be opened, or the system refuses epoll.
pub fn run(plan: &Plan) -> io::Result<Outcome> {
    let mut driver = Driver::new(plan)?;
    let total = plan.warmup + plan.measured;
    let requests = (total.as_secs_f64() * plan.rate) as u64;
    let mut events = Vec::with_capacity(256);
    let started = Instant::now();
    let mut next = 0;
    loop {
        let now = started.elapsed();
        while next < requests && intended(next, plan.rate) <= now {
            driver.waiting.push_back(intended(next, plan.rate));
            next += 1;
        }
        driver.send_waiting()?;
        let busy = driver.idle.len() < driver.connections.len();
        if next == requests && (!busy && driver.waiting.is_empty() || now > total + GRACE) {
            break;
        }
        let until = if next < requests { intended(next, plan.rate) } else { total + GRACE };
        driver.wait(until.saturating_sub(started.elapsed()), &mut events)?;
        for event in events.drain(..) {
            driver.receive(event.data.u64() as usize, started)?;
        }
    }
    let lost = driver.connections.iter().filter(|connection| connection.outstanding.is_some()).count();
    driver.outcome.failed += (lost + driver.waiting.len()) as u64;
    Ok(driver.outcome)
}

fn intended(request: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(request as f64 / rate)
}

struct Driver<'a> {
    plan: &'a Plan,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Connections without an outstanding request, used in turn, so that all of them stay in use.
    idle: VecDeque<usize>,
    /// Intended times of requests that found no idle connection.
    waiting: VecDeque<Duration>,
    outcome: Outcome,
}

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan) -> io::Result<Self> {
        let mut driver = Self {
            plan,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(plan.connections),
            idle: (0..plan.connections).collect(),
            waiting: VecDeque::new(),
            outcome: Outcome::default(),
        };
        for index in 0..plan.connections {
            let connection = driver.open(index)?;
            driver.connections.push(connection);
        }
        Ok(driver)
    }

    fn open(&self, index: usize) -> io::Result<Connection> {
        let socket = TcpStream::connect(self.plan.address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        Ok(Connection { socket, received: Vec::with_capacity(1024), outstanding: None })
    }

    fn wait(&self, at_most: Duration, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let timeout =
            Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn send_waiting(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let Some(index) = self.idle.pop_front() else { return Ok(()) };
            let Some(at) = self.waiting.pop_front() else { return Ok(()) };
            self.connections[index].outstanding = Some(at);
            let written = self.connections[index].socket.write(&self.plan.request);
            if !matches!(written, Ok(length) if length == self.plan.request.len()) {
                self.replace(index)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, started: Instant) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let mut chunk = [0; 16 << 10];
        match connection.socket.read(&mut chunk) {
            Ok(0) => return self.replace(index),
            Ok(length) => connection.received.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(_) => return self.replace(index),
        }
        match (http::reply(&connection.received), connection.outstanding) {
            (Reply::Incomplete, Some(_)) => Ok(()),
            (Reply::Complete(status), Some(at)) => {
                connection.received.clear();
                connection.outstanding = None;
                self.idle.push_back(index);
                self.record(status, at, started.elapsed() - at);
                Ok(())
            }
            _ => self.replace(index),
        }
    }

    fn record(&mut self, status: u16, at: Duration, latency: Duration) {
        if at < self.plan.warmup {
        } else if (200..300).contains(&status) {
            self.outcome.latencies.push(latency.as_nanos() as u64);
        } else {
            self.outcome.failed += 1;
        }
    }

    /// Opens a fresh connection in place of a broken one; a request outstanding on it has failed.
    fn replace(&mut self, index: usize) -> io::Result<()> {
        if self.connections[index].outstanding.is_some() {
            self.outcome.failed += 1;
            self.idle.push_back(index);
        }
        self.connections[index] = self.open(index)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    /// Serves one connection; `answer` is called with the number of each request and writes what it likes.
    fn serve(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut chunk = [0; 4096];
            for request in 0.. {
                if !matches!(socket.read(&mut chunk), Ok(1..)) {
                    return;
                }
                answer(request, &mut socket);
            }
        });
        address
    }

    fn plan(address: SocketAddr) -> Plan {
        let request = http::request("h", "/", b"{}").unwrap();
        let measured = Duration::from_millis(500);
        Plan { address, request, rate: 200.0, connections: 1, warmup: Duration::ZERO, measured }
    }

    #[test]
    fn every_request_of_the_plan_is_answered_and_counted() {
        let address = serve(|_, socket| socket.write_all(ANSWER).unwrap());
        let outcome = run(&plan(address)).unwrap();
        assert_eq!((outcome.latencies.len(), outcome.failed), (100, 0));
    }

    #[test]
    fn a_stall_is_charged_to_every_request_that_had_to_wait_for_it() {
        let (_hold, never) = mpsc::channel::<()>();
        let address = serve(move |request, socket| {
            if request == 10 {
                never.recv_timeout(Duration::from_millis(200)).unwrap_err();
            }
            socket.write_all(ANSWER).unwrap();
        });
        let outcome = run(&plan(address)).unwrap();
        let late = outcome.latencies.iter().filter(|latency| **latency > 20_000_000).count();
        assert!(late >= 30, "200 ms hold up 40 requests at 200/s, {late} were late");
    }

    #[test]
    fn other_statuses_are_failures() {
        let address = serve(|_, socket| {
            socket.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").unwrap();
        });
        let outcome = run(&plan(address)).unwrap();
        assert_eq!((outcome.latencies.len(), outcome.failed), (0, 100));
    }
}

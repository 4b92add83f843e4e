//! One end of a connection, byte by byte, and the HTTP/1.1 messages on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::PATIENCE;

/// One end of a TCP connection. What was read beyond a message stays for the next.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// A request or a response as it came.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Start line and header lines with their line ends, without the empty line.
    pub head: Vec<u8>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without chunk framing.
    pub body: Vec<u8>,
    /// As it stood on the wire, with chunk framing and trailers.
    pub raw_body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Message {
    fn new(head: Vec<u8>) -> Self {
        let headers = fields(&head[line_end(&head)..]);
        Self { head, headers, ..Self::default() }
    }

    /// Request line or status line.
    pub fn start(&self) -> String {
        String::from_utf8_lossy(&self.head[..line_end(&self.head)]).trim_end().to_owned()
    }

    /// Status of a response.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let start = self.start();
        let status = start.split(' ').nth(1).and_then(|s| s.parse().ok());
        status.unwrap_or_else(|| panic!("`{start}` is no status line"))
    }

    /// The value of a header that came once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "`{name}` came {} times: {all:?}", all.len());
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in `{}`", self.text()))
    }

    fn is_chunked(&self) -> bool {
        self.all("transfer-encoding").iter().any(|v| v.contains("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length").map(|v| v.parse().expect("a length is a number"))
    }
}

impl Wire {
    /// Connects as a client.
    ///
    /// # Panics
    /// Nobody listens there.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let connected = TcpStream::connect_timeout(&address, PATIENCE);
        Self::over(connected.unwrap_or_else(|e| panic!("failed to connect to {address}: {e}")))
    }

    /// An accepted connection.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        stream.set_nodelay(true).expect("a socket takes nodelay");
        Self { stream, ahead: Vec::new() }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// # Panics
    /// The other end is gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the other end reads");
    }

    /// Sends to an end that may be gone.
    ///
    /// # Errors
    /// It is.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent; the answer can still be read.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Closes with a reset, as a process that dies does.
    pub fn reset(self) {
        let linger = rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO));
        linger.expect("a socket takes linger");
    }

    /// The next message; for a response, to a request with this method.
    ///
    /// # Panics
    /// The other end closed instead.
    #[track_caller]
    pub fn reply_to(&mut self, method: &str) -> Message {
        let message = self.head();
        let message = message.unwrap_or_else(|| panic!("the connection was closed instead of a message"));
        self.body_of(message, method)
    }

    /// The next message; a response is to a request that was not `HEAD`.
    #[track_caller]
    pub fn message(&mut self) -> Message {
        self.reply_to("GET")
    }

    /// The next message, or nothing if the other end closed first.
    #[track_caller]
    pub fn try_message(&mut self) -> Option<Message> {
        let head = self.head()?;
        Some(self.body_of(head, "GET"))
    }

    /// The next head alone; nothing if the other end closed without one.
    #[track_caller]
    pub fn head(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let head = self.ahead.drain(..end + 4).take(end + 2).collect();
                return Some(Message::new(head));
            }
            if self.fill() == 0 {
                assert!(self.ahead.is_empty(), "closed within a head: {:?}", shown(&self.ahead));
                return None;
            }
        }
    }

    /// Reads the body that a head announces.
    #[track_caller]
    pub fn body_of(&mut self, mut message: Message, method: &str) -> Message {
        let start = message.start();
        let response = start.starts_with("HTTP/");
        let status = if response { message.status() } else { 0 };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return message;
        }
        if message.is_chunked() {
            self.chunks(&mut message);
        } else if let Some(length) = message.length() {
            message.body = self.exactly(length);
            message.raw_body.clone_from(&message.body);
        } else if response {
            message.body = self.rest();
            message.raw_body.clone_from(&message.body);
        }
        message
    }

    fn chunks(&mut self, message: &mut Message) {
        loop {
            let line = self.line();
            let size = String::from_utf8_lossy(&line);
            let size = size.split(';').next().unwrap_or_default().trim().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("`{size}` is no size"));
            message.raw_body.extend_from_slice(&line);
            if size == 0 {
                break;
            }
            let chunk = self.exactly(size + 2);
            assert!(chunk.ends_with(b"\r\n"), "a chunk ends with its line end");
            message.raw_body.extend_from_slice(&chunk);
            message.body.extend_from_slice(&chunk[..size]);
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line();
            message.raw_body.extend_from_slice(&line);
            if line == b"\r\n" {
                break;
            }
            trailers.extend(line);
        }
        message.trailers = fields(&trailers);
    }

    /// The next line with its end.
    #[track_caller]
    pub fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                return self.ahead.drain(..end + 2).collect();
            }
            assert!(self.fill() > 0, "closed within a line: {:?}", shown(&self.ahead));
        }
    }

    #[track_caller]
    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.ahead.len() < n {
            assert!(self.fill() > 0, "closed after {} of {n} bytes", self.ahead.len());
        }
        self.ahead.drain(..n).collect()
    }

    /// Everything until the other end closes, or is gone.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.ahead)
    }

    /// The other end closes without another byte.
    #[track_caller]
    pub fn ends(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "the connection goes on: {:?}", shown(&rest));
    }

    /// Reads once; 0 when the other end closed or reset.
    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(n) => {
                    self.ahead.extend_from_slice(&buffer[..n]);
                    return n;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return 0,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("nothing more within {PATIENCE:?} after {:?}", shown(&self.ahead))
                }
                Err(e) => panic!("failed to read: {e}"),
            }
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn line_end(head: &[u8]) -> usize {
    find(head, b"\r\n").map_or(head.len(), |end| end + 2)
}

fn fields(lines: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(lines);
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    text.split("\r\n").filter_map(field).collect()
}

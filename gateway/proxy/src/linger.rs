//! What a client connection does beyond hyper when it ends early: answers that hyper gives without a word get
//! words, and a client that is still sending is read from until it has had the chance to hear its answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a client that goes on sending is listened to.
const PATIENCE: Duration = Duration::from_secs(5);
/// And how much of what it sends.
const LARGEST: usize = 64 << 20;

/// Reads and forgets what comes, until the client closes, or time or bytes are over. Closing over bytes that
/// nobody read makes the kernel reset the connection, and the answer is lost on its way.
#[derive(Debug)]
pub(crate) struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Linger {
    pub(crate) fn new() -> Self {
        Self { until: Box::pin(sleep(PATIENCE)), left: LARGEST }
    }

    pub(crate) fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 4096];
        while self.left > 0 && self.until.as_mut().poll(cx).is_pending() {
            let mut room = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut room)) {
                Ok(()) if !room.filled().is_empty() => {
                    self.left = self.left.saturating_sub(room.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The words for an answer that hyper gives to a head it refuses: it has none, and the connection ends behind
/// it.
pub(crate) fn words_for(answer: &[u8]) -> Option<Vec<u8>> {
    let status = answer.strip_prefix(b"HTTP/1.1 4")?;
    let bodyless = answer.windows(EMPTY.len()).any(|part| part == EMPTY);
    let (kind, message) = match status.get(..2)? {
        b"31" => ("limit", "the request head is over its limit (send less, or raise `limits.header_bytes`)"),
        b"14" => ("limit", "the request target is too long (send a shorter one)"),
        b"00" => ("bad_request", "the request head is not HTTP (see RFC 9112; nothing of it was passed on)"),
        _ => return None,
    };
    if !bodyless {
        return None;
    }
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let body = format!(r#"{{"error":{{"type":"{kind}","fault":"client","message":"{message}"}}}}"#);
    let fields = "content-type: application/json\r\nconnection: close";
    let rest = format!("\r\n{fields}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Some([line, rest.as_bytes()].concat())
}

const EMPTY: &[u8] = b"content-length: 0\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_without_words_gets_some() {
        let head =
            |line: &str, length| format!("{line}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        let words = |line, length| words_for(head(line, length).as_bytes());
        let said = words("HTTP/1.1 431 Request Header Fields Too Large", 0).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{said}");
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["error"]["type"], "limit");
        assert!(
            words("HTTP/1.1 400 Bad Request", 0).is_some() && words("HTTP/1.1 400 Bad Request", 9).is_none()
        );
        assert!(words("HTTP/1.1 404 Not Found", 0).is_none() && words("HTTP/1.1 200 OK", 0).is_none());
    }
}

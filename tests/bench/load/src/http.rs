//! As much HTTP/1.1 as a keep-alive client of one fixed request needs.

/// The one request, headers and body in one piece.
///
/// # Errors
/// If it is over 16 KiB: it must fit into an idle socket's send buffer whole, so that one write always takes
/// it.
pub fn request(host: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    if request.len() > 16 << 10 {
        return Err(format!("the request has {} bytes (at most 16384)", request.len()));
    }
    Ok(request)
}

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Incomplete,
    /// A whole response and its status.
    Complete(u16),
    /// Not a response this client reads: no status line, no `Content-Length`, or more bytes than announced.
    Unreadable,
}

/// Reads a response framed by `Content-Length`; with one request outstanding per connection nothing may
/// follow it.
pub fn reply(bytes: &[u8]) -> Reply {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Reply::Incomplete;
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Reply::Unreadable };
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match (status, length) {
        (Some(status), Some(length)) => match bytes.len().cmp(&(end + 4 + length)) {
            std::cmp::Ordering::Less => Reply::Incomplete,
            std::cmp::Ordering::Equal => Reply::Complete(status),
            std::cmp::Ordering::Greater => Reply::Unreadable,
        },
        _ => Reply::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nX: y\r\n\r\n{}";

    #[test]
    fn a_response_is_complete_only_with_its_last_byte() {
        for cut in 0..OK.len() {
            assert_eq!(reply(&OK[..cut]), Reply::Incomplete, "{cut}");
        }
        assert_eq!(reply(OK), Reply::Complete(200));
    }

    #[test]
    fn surplus_bytes_and_a_missing_length_are_unreadable() {
        assert_eq!(reply(&[OK, b"x"].concat()), Reply::Unreadable);
        assert_eq!(reply(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"), Reply::Unreadable);
        assert_eq!(reply(b"SSH-2.0\r\n\r\n"), Reply::Unreadable);
    }

    #[test]
    fn the_request_carries_its_length_and_has_a_bound() {
        let request = request("h:1", "/p", b"abc").unwrap();
        assert!(request.starts_with(b"POST /p HTTP/1.1\r\nHost: h:1\r\n"));
        assert!(request.ends_with(b"Content-Length: 3\r\n\r\nabc"));
        assert!(super::request("h", "/", &vec![0; 1 << 15]).is_err());
    }
}

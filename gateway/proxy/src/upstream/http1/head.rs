//! Message heads: a request's as text, a response's out of it (RFC 9112, sections 2 to 6).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::framing::Framing;
use crate::fields::Field;
use crate::headers::{has_token, name_listed};
use crate::onward::Sink;

/// Largest head of a response, in bytes and in fields.
const HEAD_BYTES: usize = 64 << 10;
const HEAD_FIELDS: usize = 100;

/// Fields of a request as lines of text.
impl Sink for Vec<u8> {
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(name, value.as_bytes());
    }

    fn put(&mut self, name: &HeaderName, value: &[u8]) {
        let name = name.as_str().as_bytes();
        self.reserve(name.len() + value.len() + 4);
        self.extend_from_slice(name);
        self.extend_from_slice(b": ");
        self.extend_from_slice(value);
        self.extend_from_slice(b"\r\n");
    }
}

/// What a response's head says.
#[derive(Debug)]
pub(crate) struct ReplyHead {
    /// With the fields for the next hop only; a 101 keeps its own.
    pub(crate) response: Response<()>,
    pub(crate) framing: Framing,
    /// The connection can be used again.
    pub(crate) keep: bool,
}

/// The server's answer is not HTTP/1.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Garbage {
    #[error("its response is not HTTP ({0})")]
    Head(httparse::Error),
    #[error("its response has a status that is none")]
    Status,
    #[error("its response head is over {HEAD_BYTES} bytes")]
    TooLong,
    #[error("its response has a `Content-Length` that is not one number")]
    Length,
    #[error(
        "its response has a `Transfer-Encoding` that is not just `chunked`, or that HTTP/1.0 does not have"
    )]
    Coding,
}

/// Reads the head at the beginning of what came and takes it off; interim responses are skipped. `fields` is
/// a map whose memory is used. `None`: the head's end has not come.
pub(crate) fn parse(
    came: &mut Bytes,
    asked: &Method,
    fields: &mut HeaderMap,
) -> Result<Option<ReplyHead>, Garbage> {
    loop {
        let mut room = [const { MaybeUninit::uninit() }; HEAD_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let read = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            came,
            &mut room,
        );
        let length = match read.map_err(Garbage::Head)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if came.len() > HEAD_BYTES => return Err(Garbage::TooLong),
            httparse::Status::Partial => return Ok(None),
        };
        let code = parsed.code.unwrap_or_default();
        let interim = (100..200).contains(&code) && code != 101;
        let head = if interim {
            None
        } else {
            fields.clear();
            Some(reply(&parsed, code, came, asked, std::mem::take(fields))?)
        };
        let _ = came.split_to(length);
        if head.is_some() {
            return Ok(head);
        }
    }
}

fn reply(
    parsed: &httparse::Response<'_, '_>,
    code: u16,
    came: &Bytes,
    asked: &Method,
    fields: HeaderMap,
) -> Result<ReplyHead, Garbage> {
    let status = StatusCode::from_u16(code).map_err(|_| Garbage::Status)?;
    let http10 = parsed.version == Some(0);
    let mut said = Said { fields, ..Said::default() };
    said.fields.reserve(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        // Shares the memory of the head instead of copying each value.
        let value = HeaderValue::from_maybe_shared(came.slice_ref(field.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Garbage::Head(httparse::Error::HeaderValue));
        };
        said.field(name, value, code == 101)?;
    }
    if said.chunked && http10 {
        return Err(Garbage::Coding);
    }
    let framing = said.framing(status, asked);
    // A server that frames a body twice may mean the other one.
    let unclear = matches!(framing, Framing::Close) || (said.chunked && said.length.is_some());
    let keep = !said.close && (said.keep_alive || !http10) && !unclear;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = said.into_fields();
    if let Some(reason) = parsed.reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    Ok(ReplyHead { response, framing, keep })
}

/// What the fields of a head say of the message and its connection, gathered in one pass.
#[derive(Debug, Default)]
struct Said {
    /// The fields that pass.
    fields: HeaderMap,
    /// The `Content-Length`, and a field that says just that.
    length: Option<(u64, HeaderValue)>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    /// Fields that `Connection` names.
    named: Vec<HeaderName>,
}

impl Said {
    /// Hears one field. `all_pass`: those for this hop too.
    fn field(&mut self, name: HeaderName, value: HeaderValue, all_pass: bool) -> Result<(), Garbage> {
        let field = Field::of(&name);
        match field {
            Field::ContentLength => return self.content_length(&value),
            // Another coding would end here with its field, and the client would get the coded bytes as plain
            // ones.
            Field::TransferEncoding if self.chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") => {
                return Err(Garbage::Coding);
            }
            Field::TransferEncoding => self.chunked = true,
            Field::Connection => {
                // Once any `Connection` says close, another's keep-alive does not undo it.
                self.close |= has_token(&value, "close");
                self.keep_alive |= has_token(&value, "keep-alive");
                if !all_pass {
                    name_listed(&value, &mut self.named);
                }
            }
            _ => {}
        }
        if all_pass || !field.is_hop() {
            self.fields.append(name, value);
        }
        Ok(())
    }

    /// Every value, and every number of a list of them, must be the same.
    fn content_length(&mut self, value: &HeaderValue) -> Result<(), Garbage> {
        for digits in value.as_bytes().split(|byte| *byte == b',') {
            let length = number(digits.trim_ascii()).ok_or(Garbage::Length)?;
            match &self.length {
                Some((known, _)) if *known != length => return Err(Garbage::Length),
                Some(_) => {}
                None if digits.len() == value.len() => self.length = Some((length, value.clone())),
                None => self.length = Some((length, length.into())),
            }
        }
        Ok(())
    }

    /// RFC 9112, section 6.3.
    fn framing(&self, status: StatusCode, asked: &Method) -> Framing {
        let bodyless =
            status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match &self.length {
            _ if bodyless || *asked == Method::HEAD => Framing::Length(0),
            _ if self.chunked => Framing::chunked(),
            Some((length, _)) => Framing::Length(*length),
            None => Framing::Close,
        }
    }

    /// The fields that pass. Beside a coding the length does not: who is behind us must not read the body
    /// otherwise than we do.
    fn into_fields(self) -> HeaderMap {
        let Self { mut fields, named, length, chunked, .. } = self;
        named.iter().for_each(|name| drop(fields.remove(name)));
        if let (Some((_, length)), false) = (length, chunked) {
            fields.insert(CONTENT_LENGTH, length);
        }
        fields
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |value: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0, digit).filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, asked: &Method) -> Result<Option<(ReplyHead, Bytes)>, Garbage> {
        let mut came = Bytes::copy_from_slice(text.as_bytes());
        let head = parse(&mut came, asked, &mut HeaderMap::new())?;
        Ok(head.map(|head| (head, came)))
    }

    fn head(text: &str) -> ReplyHead {
        read(text, &Method::POST).unwrap_or_else(|e| panic!("{text:?}: {e}")).expect("the head is whole").0
    }

    #[test]
    fn a_head_is_read_as_soon_as_it_is_whole_and_no_byte_further() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc";
        let whole = text.len() - 3;
        for cut in 1..whole {
            assert!(read(&text[..cut], &Method::GET).expect("it is HTTP").is_none(), "cut at {cut}");
        }
        let (head, rest) = read(text, &Method::GET).expect("it is HTTP").expect("it is whole");
        assert_eq!((head.response.status().as_u16(), &rest[..]), (201, &b"abc"[..]));
        assert_eq!(
            head.response.extensions().get::<ReasonPhrase>().map(ReasonPhrase::as_bytes),
            Some(&b"Made"[..])
        );
        assert_eq!(head.response.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert!(matches!(head.framing, Framing::Length(3)) && head.keep);
    }

    #[test]
    fn the_end_of_a_body_is_where_the_standard_says() {
        let framed = |fields: &str, asked| {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            read(&text, &asked).unwrap_or_else(|e| panic!("{fields}: {e}")).expect("it is whole").0
        };
        let post = |fields| framed(fields, Method::POST);
        assert!(matches!(post("").framing, Framing::Close));
        assert!(matches!(post("Content-Length: 7, 7\r\nContent-Length: 7\r\n").framing, Framing::Length(7)));
        assert!(matches!(post("Transfer-Encoding: Chunked\r\n").framing, Framing::Chunked(_)));
        assert!(matches!(framed("Content-Length: 7\r\n", Method::HEAD).framing, Framing::Length(0)));
        assert!(matches!(head("HTTP/1.1 204 No Content\r\n\r\n").framing, Framing::Length(0)));
        assert!(matches!(
            head("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n").framing,
            Framing::Length(0)
        ));
        let both = post("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n");
        assert!(matches!(both.framing, Framing::Chunked(_)) && !both.keep);
        assert!(both.response.headers().is_empty(), "one framing passes: {:?}", both.response.headers());
        assert_eq!(post("Content-Length: 7\r\nContent-Length: 7\r\n").response.headers().len(), 1);
    }

    #[test]
    fn a_connection_is_kept_only_if_both_ends_of_the_answer_are_clear() {
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").keep);
        assert!(!head("HTTP/1.1 200 OK\r\n\r\n").keep);
        let closes = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: X-A, Close\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n";
        let closing = head(closes);
        assert!(!closing.keep && closing.response.headers().len() == 1);
        assert!(!head("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keep);
        assert!(head("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n").keep);
    }

    #[test]
    fn a_101_keeps_the_fields_of_its_hop() {
        let head = head("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(head.response.headers()["upgrade"], "echo");
        assert_eq!(head.response.headers()["connection"], "upgrade");
    }

    #[test]
    fn what_is_not_http_is_refused() {
        let refused = |text: &str| read(text, &Method::GET).map(|_| ()).err();
        assert!(matches!(refused("SSH-2.0-OpenSSH_9.2\r\n"), Some(Garbage::Head(_))));
        assert!(matches!(refused("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), Some(Garbage::Head(_))));
        assert!(matches!(refused("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), Some(Garbage::Head(_))));
        assert_eq!(refused("HTTP/1.1 099 Low\r\n\r\n"), Some(Garbage::Status));
        for length in ["x", "", "-1", "+1", "1, 2", "1\r\nContent-Length: 2", "18446744073709551616"] {
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(refused(&text), Some(Garbage::Length), "{length:?}");
        }
        for (version, coding) in
            [("1.0", "chunked"), ("1.1", "gzip, chunked"), ("1.1", "chunked\r\nTransfer-Encoding: chunked")]
        {
            let text = format!("HTTP/{version} 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n");
            assert_eq!(refused(&text), Some(Garbage::Coding), "{coding:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(HEAD_BYTES));
        assert_eq!(refused(&long), Some(Garbage::TooLong));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(HEAD_FIELDS + 1));
        assert_eq!(refused(&many), Some(Garbage::Head(httparse::Error::TooManyHeaders)));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic() {
        let whole = b"HTTP/1.1 200 OK\r\nConnection: close, x-a\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc";
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes = whole.to_vec();
            for _ in 0..dice.usize(1..6) {
                let at = dice.usize(..bytes.len());
                match dice.u8(..3) {
                    0 => bytes[at] = dice.u8(..),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, *dice.choice(b"\r\n:, 19a").expect("some")),
                }
            }
            let mut came = Bytes::from(bytes);
            drop(parse(&mut came, &Method::POST, &mut HeaderMap::new()));
        }
    }
}

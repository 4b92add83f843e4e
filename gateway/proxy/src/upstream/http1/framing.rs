//! Where a response body ends (RFC 9112, sections 6 and 7). Pure: bytes in, pieces out.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Longest line of a chunk's size with its extensions, and longest trailer section.
const LINE_BYTES: usize = 16 << 10;

/// How the rest of a body is framed.
#[derive(Debug)]
pub(crate) enum Framing {
    /// So many bytes more.
    Length(u64),
    Chunked(Box<Chunks>),
    /// Until the server closes.
    Close,
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// The body is not framed as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misframed {
    #[error("a chunk's size is not a hexadecimal number")]
    Size,
    #[error("a chunk or its size does not end with CR LF")]
    Line,
    #[error("a chunk's size or the trailers are too long")]
    TooLong,
    #[error("the trailers are not header fields")]
    Trailers,
}

impl Framing {
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Box::default())
    }

    /// Takes the next piece out of the bytes that came. `None`: more bytes are needed, or the body has ended.
    pub(crate) fn take(&mut self, came: &mut Bytes) -> Result<Option<Piece>, Misframed> {
        match self {
            Self::Length(left) => {
                let piece = data(came, *left);
                *left -= piece.as_ref().map_or(0, |data| data.len() as u64);
                Ok(piece.map(Piece::Data))
            }
            Self::Chunked(chunks) => chunks.take(came),
            Self::Close => Ok(data(came, u64::MAX).map(Piece::Data)),
        }
    }

    /// The last piece was taken.
    pub(crate) fn ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.at == At::End && chunks.trailers.is_empty(),
            Self::Close => false,
        }
    }

    /// Bytes still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            _ => None,
        }
    }
}

/// Up to `most` bytes of what came, if any came.
fn data(came: &mut Bytes, most: u64) -> Option<Bytes> {
    let length = came.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    (length > 0).then(|| came.split_to(length))
}

/// The state of a chunked body.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    at: At,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Trailer lines, each with its end.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    End,
}

impl Chunks {
    fn take(&mut self, came: &mut Bytes) -> Result<Option<Piece>, Misframed> {
        self.pass_lines(came)?;
        if let At::Data(left) = self.at
            && let Some(data) = data(came, left)
        {
            let left = left - data.len() as u64;
            self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
            // So that the end is known with the last data, if it came with it.
            self.pass_lines(came)?;
            return Ok(Some(Piece::Data(data)));
        }
        if self.at == At::End && !self.trailers.is_empty() {
            let trailers = fields(&std::mem::take(&mut self.trailers))?;
            return Ok(Some(Piece::Trailers(trailers)));
        }
        Ok(None)
    }

    /// Moves over whole lines, up to data or the end.
    fn pass_lines(&mut self, came: &mut Bytes) -> Result<(), Misframed> {
        while !matches!(self.at, At::Data(_) | At::End) {
            let Some(line) = self.whole_line(came)? else { return Ok(()) };
            self.at = match self.at {
                At::Size => match size(&line)? {
                    0 => At::Trailers,
                    size => At::Data(size),
                },
                At::DataEnd if line.is_empty() => At::Size,
                At::DataEnd => return Err(Misframed::Line),
                At::Trailers if line.is_empty() => {
                    if !self.trailers.is_empty() {
                        self.trailers.extend_from_slice(b"\r\n");
                    }
                    At::End
                }
                at => {
                    if self.trailers.len() + line.len() > LINE_BYTES {
                        return Err(Misframed::TooLong);
                    }
                    self.trailers.extend_from_slice(&line);
                    self.trailers.extend_from_slice(b"\r\n");
                    at
                }
            };
        }
        Ok(())
    }

    /// The next line without its CR LF. `None`: its end has not come.
    fn whole_line(&mut self, came: &mut Bytes) -> Result<Option<Bytes>, Misframed> {
        let end = came.iter().position(|byte| *byte == b'\n');
        let taken = came.split_to(end.map_or(came.len(), |at| at + 1));
        if self.line.len() + taken.len() > LINE_BYTES {
            return Err(Misframed::TooLong);
        }
        if end.is_none() {
            self.line.extend_from_slice(&taken);
            return Ok(None);
        }
        let mut line = taken;
        if !self.line.is_empty() {
            self.line.extend_from_slice(&line);
            line = std::mem::take(&mut self.line).into();
        }
        if !line.ends_with(b"\r\n") {
            return Err(Misframed::Line);
        }
        line.truncate(line.len() - 2);
        Ok(Some(line))
    }
}

/// `1f` or `1f;name=value`; extensions mean nothing to us.
fn size(line: &Bytes) -> Result<u64, Misframed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 {
        return Err(Misframed::Size);
    }
    digits.iter().try_fold(0, |size, digit| {
        let nibble = (*digit as char).to_digit(16).ok_or(Misframed::Size)?;
        Ok(size << 4 | u64::from(nibble))
    })
}

fn fields(text: &[u8]) -> Result<HeaderMap, Misframed> {
    let mut parsed = [httparse::EMPTY_HEADER; 64];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(text, &mut parsed) else {
        return Err(Misframed::Trailers);
    };
    let field = |field: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    let mut map = HeaderMap::with_capacity(parsed.len());
    for one in parsed {
        let (name, value) = field(one).ok_or(Misframed::Trailers)?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and trailers read from parts of a stream, what was left over, and whether it ended.
    fn read(mut framing: Framing, parts: &[&[u8]]) -> Result<(Vec<u8>, HeaderMap, Bytes, bool), Misframed> {
        let (mut body, mut trailers, mut came) = (Vec::new(), HeaderMap::new(), Bytes::new());
        for part in parts {
            assert!(came.is_empty() || framing.ended(), "all that came is taken");
            came = [&came[..], part].concat().into();
            while let Some(piece) = framing.take(&mut came)? {
                match piece {
                    Piece::Data(data) => body.extend_from_slice(&data),
                    Piece::Trailers(fields) => trailers = fields,
                }
            }
        }
        Ok((body, trailers, came, framing.ended()))
    }

    const CHUNKED: &[u8] =
        b"5;a=\"b\"\r\nhello\r\n0B \r\n wide world\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\nNEXT";

    #[test]
    fn a_chunked_body_reads_the_same_wherever_the_stream_is_cut() {
        for cut in 0..=CHUNKED.len() {
            let (head, tail) = CHUNKED.split_at(cut);
            let (body, trailers, rest, ended) =
                read(Framing::chunked(), &[head, tail]).expect("it is well framed");
            assert_eq!((body.as_slice(), ended), (&b"hello wide world"[..], true), "cut at {cut}");
            assert_eq!((trailers["x-sum"].as_bytes(), trailers["x-two"].as_bytes()), (&b"1"[..], &b"2"[..]));
            assert_eq!(&rest[..], b"NEXT");
        }
        let bytes: Vec<&[u8]> = CHUNKED.chunks(1).collect();
        assert_eq!(read(Framing::chunked(), &bytes).expect("it is well framed").0, b"hello wide world");
    }

    #[test]
    fn the_end_is_known_with_the_last_data_if_it_came_with_it() {
        let mut came = Bytes::from_static(b"2\r\nok\r\n0\r\n\r\n");
        let mut framing = Framing::chunked();
        assert_eq!(framing.take(&mut came), Ok(Some(Piece::Data(Bytes::from_static(b"ok")))));
        assert!(framing.ended() && came.is_empty());
    }

    #[test]
    fn a_length_takes_its_bytes_and_leaves_the_rest() {
        let (body, _, rest, ended) = read(Framing::Length(4), &[b"ab", b"cdef"]).expect("any bytes fit");
        assert_eq!((body.as_slice(), &rest[..], ended), (&b"abcd"[..], &b"ef"[..], true));
        assert!(!read(Framing::Length(4), &[b"ab"]).expect("any bytes fit").3);
        assert!(!read(Framing::Close, &[b"ab"]).expect("any bytes fit").3);
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let long = [b"1;".as_slice(), &[b'x'; LINE_BYTES]].concat();
        let trailers = [b"0\r\n".as_slice(), &b"A: b\r\n".repeat(LINE_BYTES / 5)].concat();
        for (stream, expect) in [
            (&b"x\r\n"[..], Misframed::Size),
            (b"\r\n", Misframed::Size),
            (b"-1\r\n", Misframed::Size),
            (b"0x2\r\nok\r\n", Misframed::Size),
            (b"11111111111111111\r\n", Misframed::Size),
            (b"2\nok\r\n", Misframed::Line),
            (b"2\r\nok!\r\n", Misframed::Line),
            (b"2\r\nokok\r\n0\r\n\r\n", Misframed::Line),
            (b"0\r\nno field\r\n\r\n", Misframed::Trailers),
            (&long, Misframed::TooLong),
            (&trailers, Misframed::TooLong),
        ] {
            let shown = String::from_utf8_lossy(&stream[..stream.len().min(20)]).into_owned();
            assert_eq!(read(Framing::chunked(), &[stream]).err(), Some(expect), "{shown:?}");
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_panic() {
        let mut dice = fastrand::Rng::with_seed(7);
        let alphabet = b"0123456789abcdefG;\r\n\r\n\r\n: x";
        for _ in 0..20_000 {
            let parts: Vec<Vec<u8>> = (0..dice.usize(1..5))
                .map(|_| (0..dice.usize(..20)).map(|_| *dice.choice(alphabet).expect("some")).collect())
                .collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            drop(read(Framing::chunked(), &parts));
        }
    }
}

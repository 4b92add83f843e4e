//! A body as it was captured, and its content encoding undone.

use std::io::{self, Read as _};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use weir_exchange::exchange::{Content, Encoding};

use crate::error::{DecodeLimits, Read, absent, malformed, too_large, unsupported};

/// One side of an exchange, as the codecs see it.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The whole body; a truncated one must not be decoded (a JSON prefix is a biased sample).
    pub bytes: &'a [u8],
    pub encoding: Encoding,
    pub content: Content,
}

impl<'a> Body<'a> {
    /// A plain JSON body.
    pub fn json(bytes: &'a [u8]) -> Self {
        Self { bytes, encoding: Encoding::Identity, content: Content::Json }
    }

    /// The body with its content encoding undone, in `inflated` if there was one.
    pub(crate) fn plain<'b>(&self, inflated: &'b mut Vec<u8>, limits: &DecodeLimits) -> Read<&'b [u8]>
    where
        'a: 'b,
    {
        let limit = limits.decompressed;
        if self.bytes.is_empty() {
            return absent(format_args!("the body is empty"));
        }
        match self.encoding {
            Encoding::Identity if self.bytes.len() > limit => too_large("bytes", limit),
            Encoding::Identity => Ok(self.bytes),
            Encoding::Gzip => inflate(MultiGzDecoder::new(self.bytes), inflated, limit),
            // RFC 9110, 8.4.1.2: `deflate` is the zlib format, but some senders leave its wrapper out.
            Encoding::Deflate if is_zlib(self.bytes) => {
                inflate(ZlibDecoder::new(self.bytes), inflated, limit)
            }
            Encoding::Deflate => inflate(DeflateDecoder::new(self.bytes), inflated, limit),
            Encoding::Other => unsupported(format_args!("a content encoding other than gzip or deflate")),
        }
    }
}

/// RFC 1950, 2.2: method 8 in the low bits, and the first two bytes a multiple of 31.
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [cmf, flg, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0)
}

/// Decompresses up to `limit` bytes: what a bomb would hold beyond it is never written.
fn inflate(decoder: impl io::Read, out: &mut Vec<u8>, limit: usize) -> Read<&[u8]> {
    out.clear();
    if let Err(error) = decoder.take(limit as u64 + 1).read_to_end(out) {
        return malformed(format_args!("the compressed body is broken: {error}"));
    }
    if out.len() > limit { too_large("bytes", limit) } else { Ok(out) }
}

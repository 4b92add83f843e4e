//! JSON strings: borrowed as they are, or with their escapes undone.

use crate::error::{Read, malformed};

/// Where the plain part of a string that starts at `at` ends: at a quote, a backslash, a control character
/// or the end of the text.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A byte of `zero_if(x)` has its high bit set where `x` is zero (or, harmlessly, above such a byte).
    let zero_if = |x: u64| x.wrapping_sub(ONES) & !x;
    while let Some(Ok(chunk)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let chunk = u64::from_le_bytes(chunk);
        let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
        let special = (control | zero_if(chunk ^ (ONES * 0x22)) | zero_if(chunk ^ (ONES * 0x5c))) & HIGH;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| *b >= 0x20 && *b != b'"' && *b != b'\\') {
        at += 1;
    }
    at
}

/// Undoes the escapes of the string whose content starts at `at` into `out`; returns where the closing
/// quote is.
pub(super) fn unescape(text: &str, mut at: usize, out: &mut String) -> Read<usize> {
    let bytes = text.as_bytes();
    out.clear();
    loop {
        let end = plain_end(bytes, at);
        out.push_str(&text[at..end]);
        match bytes.get(end) {
            Some(b'"') => return Ok(end),
            Some(b'\\') => at = escape(text, end + 1, out)?,
            Some(_) => return malformed(format_args!("control character in a string at byte {end}")),
            None => return malformed(format_args!("the body ends in a string")),
        }
    }
}

/// One escape, after its backslash; returns where it ends.
fn escape(text: &str, at: usize, out: &mut String) -> Read<usize> {
    let plain = match text.as_bytes().get(at) {
        Some(b'u') => return unicode(text, at + 1, out),
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(_) => return malformed(format_args!("unknown escape in a string at byte {at}")),
        None => return malformed(format_args!("the body ends in a string")),
    };
    out.push(plain);
    Ok(at + 1)
}

/// The hexadecimal digits of `\u`, and of the second half of a surrogate pair.
///
/// A lone surrogate is legal JSON (RFC 8259, 8.2) but no text: it becomes U+FFFD, as it would for a decoder
/// that replaces what it cannot represent.
fn unicode(text: &str, at: usize, out: &mut String) -> Read<usize> {
    let bytes = text.as_bytes();
    let (Some(first), end) = (hex4(bytes, at), at + 4) else {
        return malformed(format_args!("`\\u` without four hexadecimal digits at byte {at}"));
    };
    if (0xd800..0xdc00).contains(&first) && bytes.get(end..end + 2) == Some(b"\\u") {
        let Some(second) = hex4(bytes, end + 2) else {
            return malformed(format_args!("`\\u` without four hexadecimal digits at byte {}", end + 2));
        };
        if (0xdc00..0xe000).contains(&second) {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            return Ok(end + 6);
        }
    }
    out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(end)
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |code, b| Some(code << 4 | char::from(*b).to_digit(16)?))
}

//! JSON numbers to the nearest `f64`.

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Largest integer up to which every integer is a double.
const EXACT_INTEGER: u64 = 1 << 53;

/// Decimal digits that always fit a `u64`.
const DIGITS: usize = 19;

/// A number cut out of the text: `mantissa * 10^exponent`, exact if `digits` fit.
#[derive(Clone, Copy)]
pub(super) struct Lexed {
    pub(super) end: usize,
    negative: bool,
    mantissa: u64,
    digits: usize,
    exponent: i32,
}

/// Cuts the number that starts at `start`; `None` if the grammar does not allow it.
#[inline(always)]
pub(super) fn lex(bytes: &[u8], start: usize) -> Option<Lexed> {
    let negative = byte(bytes, start) == b'-';
    let mut at = start + usize::from(negative);
    let (first, mut mantissa) = (at, 0_u64);
    at = digits(bytes, at, &mut mantissa);
    let mut count = at - first;
    if count == 0 || (count > 1 && bytes[first] == b'0') {
        return None;
    }
    let mut exponent = 0;
    if byte(bytes, at) == b'.' {
        let fraction = at + 1;
        at = digits(bytes, eight_digits(bytes, fraction, &mut mantissa), &mut mantissa);
        let places = at - fraction;
        if places == 0 {
            return None;
        }
        count += places;
        // A body is far shorter than 2^31 bytes; if not, the digits do not fit either and std reads the text.
        exponent = -(places as i32);
    }
    if byte(bytes, at) | 0x20 == b'e' {
        let (value, end) = explicit_exponent(bytes, at + 1)?;
        exponent = exponent.saturating_add(value);
        at = end;
    }
    Some(Lexed { end: at, negative, mantissa, digits: count, exponent })
}

/// The nearest double. It was cut out of `text` at `start`.
///
/// Mantissa and power both exact in a double: one rounding, so one multiplication or division is correct
/// (Clinger's fast path). Everything else goes to the standard library.
#[inline(always)]
pub(super) fn value(lexed: Lexed, text: &str, start: usize) -> f64 {
    let power = lexed.exponent.unsigned_abs() as usize;
    if lexed.digits <= DIGITS && lexed.mantissa <= EXACT_INTEGER && power < EXACT_POWERS.len() {
        let mantissa = lexed.mantissa as f64;
        let size =
            if lexed.exponent < 0 { mantissa / EXACT_POWERS[power] } else { mantissa * EXACT_POWERS[power] };
        return if lexed.negative { -size } else { size };
    }
    // The grammar of JSON numbers is a part of std's, so this cannot fail; a missing value is the harmless
    // answer.
    text.get(start..lexed.end).and_then(|digits| digits.parse().ok()).unwrap_or(f64::NAN)
}

#[inline(always)]
fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Adds digits to the mantissa one by one; returns where they end. The mantissa wraps: the caller counts
/// digits.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    loop {
        let digit = byte(bytes, at).wrapping_sub(b'0');
        if digit > 9 {
            return at;
        }
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
}

/// Adds digits eight at a time: probabilities have sixteen or seventeen.
#[inline(always)]
fn eight_digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(Ok(chunk)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let chunk = u64::from_le_bytes(chunk);
        let digits = chunk.wrapping_sub(0x3030_3030_3030_3030);
        // A byte is a digit if neither taking '0' nor adding what lifts '9' to 0x7f sets its high bit.
        if (chunk.wrapping_add(0x4646_4646_4646_4646) | digits) & 0x8080_8080_8080_8080 != 0 {
            return at;
        }
        // Neighbours are joined: digits to pairs, pairs to fours, fours to eight.
        let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
        let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
        let eight = fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff;
        *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(eight);
        at += 8;
    }
    at
}

/// The exponent after `e`, saturated far beyond a double's range, and where it ends.
#[cold]
fn explicit_exponent(bytes: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let sign = byte(bytes, at);
    let negative = sign == b'-';
    at += usize::from(negative || sign == b'+');
    let first = at;
    let mut value = 0_i32;
    while byte(bytes, at).is_ascii_digit() {
        value = value.saturating_mul(10).saturating_add(i32::from(bytes[at] - b'0'));
        at += 1;
    }
    (at > first).then_some((if negative { -value } else { value }, at))
}

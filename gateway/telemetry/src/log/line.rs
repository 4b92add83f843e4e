//! One line: a flat JSON object.

use std::fmt::Write;

/// Longest text of one value in bytes; the rest is cut, so that no plugin and no client makes lines of a
/// megabyte.
const LONGEST: usize = 4096;

/// A value of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    Str(&'a str),
    U64(u64),
    I64(i64),
    /// Not a number and infinities become `null`.
    F64(f64),
    Bool(bool),
    /// A trace id: 32 hex digits.
    Trace(u128),
    /// A span id: 16 hex digits.
    Span(u64),
}

impl<'a> From<&'a str> for Field<'a> {
    fn from(text: &'a str) -> Self {
        Self::Str(text)
    }
}

impl<'a> From<&'a String> for Field<'a> {
    fn from(text: &'a String) -> Self {
        Self::Str(text)
    }
}

impl From<u64> for Field<'_> {
    fn from(n: u64) -> Self {
        Self::U64(n)
    }
}

impl From<usize> for Field<'_> {
    fn from(n: usize) -> Self {
        Self::U64(n as u64)
    }
}

impl From<i64> for Field<'_> {
    fn from(n: i64) -> Self {
        Self::I64(n)
    }
}

impl From<f64> for Field<'_> {
    fn from(x: f64) -> Self {
        Self::F64(x)
    }
}

impl From<bool> for Field<'_> {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

/// A line being written.
#[derive(Debug)]
pub(super) struct Line(String);

impl Line {
    /// Begins a line with its time.
    pub(super) fn begin(unix_ms: u64) -> Self {
        let mut text = String::with_capacity(320);
        text.push_str("{\"ts\":\"");
        push_time(&mut text, unix_ms);
        text.push('"');
        Self(text)
    }

    /// Appends a field; `name` needs no escaping.
    pub(super) fn field(&mut self, name: &str, value: Field<'_>) {
        let out = &mut self.0;
        out.extend([",\"", name, "\":"]);
        match value {
            Field::Str(text) => push_string(out, text),
            Field::U64(n) => out.push_str(itoa::Buffer::new().format(n)),
            Field::I64(n) => out.push_str(itoa::Buffer::new().format(n)),
            Field::F64(x) if x.is_finite() => out.push_str(ryu::Buffer::new().format_finite(x)),
            Field::F64(_) => out.push_str("null"),
            Field::Bool(b) => out.push_str(if b { "true" } else { "false" }),
            Field::Trace(id) => push(out, format_args!("\"{id:032x}\"")),
            Field::Span(id) => push(out, format_args!("\"{id:016x}\"")),
        }
    }

    /// The whole line with its newline.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

fn push(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("writing to a string cannot fail");
}

/// A JSON string (RFC 8259, 7), cut at [`LONGEST`] with `...` in its place.
fn push_string(out: &mut String, text: &str) {
    let kept = &text[..text.floor_char_boundary(LONGEST)];
    out.push('"');
    let mut rest = kept;
    while let Some(at) = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\' | '\u{7f}')) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => push(out, format_args!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push_str(if kept.len() < text.len() { "...\"" } else { "\"" });
}

/// A time as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(unix_ms: u64) -> String {
    let mut text = String::with_capacity(24);
    push_time(&mut text, unix_ms);
    text
}

fn push_time(out: &mut String, unix_ms: u64) {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    push(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"));
}

/// Year, month and day of a day since 1970 (proleptic Gregorian calendar). Years are counted from March, so
/// that the leap day is the last of its year: 400 years are 146,097 days, and five months from March are
/// 153.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    const TO_MARCH_OF_YEAR_0: u64 = 719_468;
    let days = days_since_1970 + TO_MARCH_OF_YEAR_0;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day - (153 * from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(unix_ms: u64) -> String {
        let mut out = String::new();
        push_time(&mut out, unix_ms);
        out
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_782_399_999), "2000-02-28T23:59:59.999Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(time(1_709_251_199_001), "2024-02-29T23:59:59.001Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn days_follow_each_other_through_four_centuries() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..150_000 {
            assert_eq!(civil(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day == last) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn any_text_is_one_line_of_json_and_reads_back() {
        let nasty: String = (0..=0x500).filter_map(char::from_u32).collect();
        for text in ["", "plain", "a\"b\\c\nd\re\tf\0g\u{1b}[31m", "weir \u{1f30a}", &nasty] {
            let mut line = Line::begin(0);
            line.field("t", text.into());
            let line = line.end();
            assert_eq!(line.matches('\n').count(), 1);
            let read: serde_json::Value = serde_json::from_str(&line).expect("json");
            assert_eq!(read["t"], text);
        }
    }

    #[test]
    fn long_values_are_cut_between_characters_and_say_so() {
        let mut line = Line::begin(0);
        line.field("t", "\u{e9}".repeat(5000).as_str().into());
        let read: serde_json::Value = serde_json::from_str(&line.end()).expect("json");
        let text = read["t"].as_str().expect("text");
        assert_eq!(text.len(), LONGEST + 3);
        assert!(text.ends_with("\u{e9}..."));
    }

    #[test]
    fn every_kind_of_field_is_json() {
        let mut line = Line::begin(1);
        let fields = [
            ("u", Field::from(u64::MAX)),
            ("i", Field::from(-5_i64)),
            ("f", Field::from(0.5)),
            ("n", Field::from(f64::NAN)),
            ("b", Field::from(true)),
            ("trace_id", Field::Trace(0xab)),
            ("span_id", Field::Span(0xcd)),
        ];
        fields.iter().for_each(|(name, value)| line.field(name, *value));
        let line = line.end();
        let expect = concat!(
            r#"{"ts":"1970-01-01T00:00:00.001Z","u":18446744073709551615,"i":-5,"f":0.5,"n":null,"b":true,"#,
            r#""trace_id":"000000000000000000000000000000ab","span_id":"00000000000000cd"}"#
        );
        assert_eq!(line.trim_end(), expect);
        serde_json::from_str::<serde_json::Value>(&line).expect("json");
    }
}

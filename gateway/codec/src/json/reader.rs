//! The reader: a place in the text, and what may stand there.

use crate::error::{Read, absent, malformed, not_utf8, too_deep};
use crate::json::{number, string};

/// A place in a JSON text.
///
/// Containers are read as `let mut open = r.array()?; while r.element(&mut open)? { one value }`, and
/// objects alike with [`Reader::key`]. Every value found must be read or skipped before the next is asked
/// for.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    depth_limit: usize,
}

/// Whether a container has yielded something yet.
pub(crate) struct Open {
    first: bool,
}

/// A place to return to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    at: usize,
    depth: usize,
}

/// A value that is no container. Booleans are 1 and 0; null is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'s> {
    Number(f64),
    Text(&'s str),
}

impl<'a> Reader<'a> {
    /// A reader at the first value of `bytes`.
    ///
    /// # Errors
    /// `not_utf8`, or `absent` if there is nothing but white space.
    pub(crate) fn new(bytes: &'a [u8], depth_limit: usize) -> Read<Self> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => return not_utf8(error.valid_up_to()),
        };
        let mut reader = Self { text, at: 0, depth: 0, depth_limit };
        if reader.peek() == 0 && reader.at == text.len() {
            return absent(format_args!("the body is empty"));
        }
        Ok(reader)
    }

    /// The byte that starts the next token; 0 at the end (no token starts with a 0 byte).
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> u8 {
        let byte = self.byte();
        if byte > b' ' { byte } else { self.peek_past_space() }
    }

    /// True if the next value is an array or an object.
    #[inline(always)]
    pub(crate) fn at_container(&mut self) -> bool {
        matches!(self.peek(), b'[' | b'{')
    }

    /// Where the reader stands.
    pub(crate) fn mark(&self) -> Mark {
        Mark { at: self.at, depth: self.depth }
    }

    /// Goes back to a place.
    pub(crate) fn reset(&mut self, mark: Mark) {
        self.at = mark.at;
        self.depth = mark.depth;
    }

    /// Enters an array.
    #[inline(always)]
    pub(crate) fn array(&mut self) -> Read<Open> {
        self.enter(b'[', "an array")
    }

    /// Enters an object.
    #[inline(always)]
    pub(crate) fn object(&mut self) -> Read<Open> {
        self.enter(b'{', "an object")
    }

    /// True if the array has another element, which comes next; else the array is left.
    #[inline(always)]
    pub(crate) fn element(&mut self, open: &mut Open) -> Read<bool> {
        let first = std::mem::replace(&mut open.first, false);
        match self.peek() {
            b']' => {
                self.leave();
                Ok(false)
            }
            b',' if !first => {
                self.at += 1;
                Ok(true)
            }
            _ if first => Ok(true),
            _ => self.unexpected("`,` or `]`"),
        }
    }

    /// Leaves an array if it ends here.
    pub(crate) fn close_array(&mut self) -> bool {
        let ends = self.peek() == b']' && self.depth > 0;
        if ends {
            self.leave();
        }
        ends
    }

    /// Goes past a comma if one stands here.
    pub(crate) fn comma(&mut self) -> bool {
        let comma = self.peek() == b',';
        self.at += usize::from(comma);
        comma
    }

    /// The next key of an object, its value next; `None` when the object is left. `unescaped` holds the key
    /// if it has escapes.
    #[inline(always)]
    pub(crate) fn key<'s>(&mut self, open: &mut Open, unescaped: &'s mut String) -> Read<Option<&'s str>>
    where
        'a: 's,
    {
        let first = std::mem::replace(&mut open.first, false);
        match self.peek() {
            b'}' => {
                self.leave();
                return Ok(None);
            }
            b',' if !first => {
                self.at += 1;
                self.peek();
            }
            _ if first => {}
            _ => return self.unexpected("`,` or `}`"),
        }
        let key = self.string(unescaped)?;
        if self.peek() != b':' {
            return self.unexpected("`:`");
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// A value that is no container.
    #[inline(always)]
    pub(crate) fn scalar<'s>(&mut self, unescaped: &'s mut String) -> Read<Scalar<'s>>
    where
        'a: 's,
    {
        match self.peek() {
            b'"' => self.string(unescaped).map(Scalar::Text),
            _ => self.number_or_word().map(Scalar::Number),
        }
    }

    /// A string.
    #[inline(always)]
    pub(crate) fn string<'s>(&mut self, unescaped: &'s mut String) -> Read<&'s str>
    where
        'a: 's,
    {
        if self.peek() != b'"' {
            return self.unexpected("a string");
        }
        let start = self.at + 1;
        let end = string::plain_end(self.text.as_bytes(), start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(&self.text[start..end]);
        }
        self.at = string::unescape(self.text, start, unescaped)? + 1;
        Ok(unescaped)
    }

    /// A number, boolean or null, with null as NaN and booleans as 1 and 0.
    #[inline(always)]
    pub(crate) fn number_or_word(&mut self) -> Read<f64> {
        if let b'-' | b'0'..=b'9' = self.peek()
            && let Some(lexed) = number::lex(self.text.as_bytes(), self.at)
        {
            let start = std::mem::replace(&mut self.at, lexed.end);
            return Ok(number::value(lexed, self.text, start));
        }
        self.word()
    }

    /// Appends the numbers that stand here with commas between them, and stops behind the last. False: here
    /// stands something else.
    #[inline(always)]
    pub(crate) fn numbers(&mut self, into: &mut Vec<f64>) -> bool {
        let bytes = self.text.as_bytes();
        let past_space = |mut at: usize| {
            while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
                at += 1;
            }
            at
        };
        let (began, mut at) = (self.at, past_space(self.at));
        while let Some(lexed) = number::lex(bytes, at) {
            self.at = lexed.end;
            into.push(number::value(lexed, self.text, at));
            let comma = past_space(lexed.end);
            if bytes.get(comma) != Some(&b',') {
                break;
            }
            at = past_space(comma + 1);
        }
        self.at != began
    }

    /// The text of a number, boolean or null.
    pub(crate) fn word_text(&mut self) -> Read<&'a str> {
        self.peek();
        let start = self.at;
        self.number_or_word()?;
        Ok(&self.text[start..self.at])
    }

    /// Reads past one value of any kind, checking its syntax.
    pub(crate) fn skip(&mut self, unescaped: &mut String) -> Read<()> {
        match self.peek() {
            b'[' => {
                let mut open = self.array()?;
                while self.element(&mut open)? {
                    self.skip(unescaped)?;
                }
                Ok(())
            }
            b'{' => {
                let mut open = self.object()?;
                while self.key(&mut open, unescaped)?.is_some() {
                    self.skip(unescaped)?;
                }
                Ok(())
            }
            b'-' | b'0'..=b'9' if let Some(lexed) = number::lex(self.text.as_bytes(), self.at) => {
                self.at = lexed.end;
                Ok(())
            }
            _ => self.scalar(unescaped).map(|_| ()),
        }
    }

    /// Checks that nothing follows the document.
    pub(crate) fn end(&mut self) -> Read<()> {
        self.peek();
        if self.at < self.text.len() { self.unexpected("the end of the body") } else { Ok(()) }
    }

    /// Fails, naming what should stand here.
    #[cold]
    #[inline(never)]
    pub(crate) fn unexpected<T>(&self, wanted: &str) -> Read<T> {
        let at = self.at;
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(quote @ ('\'' | '"')) => {
                malformed(format_args!("expected {wanted} at byte {at}, found `{quote}`"))
            }
            Some(found) => {
                malformed(format_args!("expected {wanted} at byte {at}, found `{}`", found.escape_debug()))
            }
            None => malformed(format_args!("the body ends where {wanted} should stand")),
        }
    }

    #[inline(always)]
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn peek_past_space(&mut self) -> u8 {
        while let b' ' | b'\n' | b'\r' | b'\t' = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    #[inline(always)]
    fn enter(&mut self, bracket: u8, wanted: &str) -> Read<Open> {
        if self.peek() != bracket {
            return self.unexpected(wanted);
        }
        if self.depth == self.depth_limit {
            return too_deep(self.depth_limit);
        }
        self.depth += 1;
        self.at += 1;
        Ok(Open { first: true })
    }

    #[inline(always)]
    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn word(&mut self) -> Read<f64> {
        const WORDS: [(&str, f64); 6] = [
            ("null", f64::NAN),
            ("true", 1.0),
            ("false", 0.0),
            ("NaN", f64::NAN),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ];
        let rest = &self.text.as_bytes()[self.at..];
        for (word, value) in WORDS {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.unexpected("a value")
    }
}

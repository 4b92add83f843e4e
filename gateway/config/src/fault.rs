//! Faults: where, which key, what is wrong, what to do. All faults of a file are reported in one run.

use std::fmt;
use std::ops::Range;

/// At most this many faults are rendered; the rest are counted. A file of noise must not flood a log.
const RENDERED: usize = 100;

/// Source lines longer than this are shown as a window around the caret, in characters.
const WINDOW: usize = 120;

/// Stands where a secret was.
pub(crate) const REDACTED: &str = "(redacted)";

/// Names that speak of secrets, in tables whose keys are not ours: plugin settings and header conditions.
const SECRETIVE: [&str; 9] =
    ["token", "secret", "password", "passwd", "api_key", "api-key", "apikey", "authorization", "cookie"];

/// Whether a key of somebody else's gives its value away as secret.
pub(crate) fn secretive(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRETIVE.iter().any(|word| lower.ends_with(word))
}

/// One thing wrong in a configuration (or worth a warning), with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as given.
    pub file: String,
    /// Line, from 1; 0 if the fault is about the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 if the fault is about the file as a whole.
    pub column: usize,
    /// The dotted key: `gateway.listen`, `route[1].path`; empty for a fault of syntax or of the whole file.
    pub key: String,
    /// What is wrong and, in parentheses, what to do.
    pub message: String,
    source: String,
    /// Characters before the caret in `source`, and carets.
    caret: (usize, usize),
}

impl Fault {
    /// A fault of the file as a whole.
    pub(crate) fn of_file(file: &str, message: String) -> Self {
        let (key, source) = Default::default();
        Self { file: file.to_owned(), line: 0, column: 0, key, message, source, caret: (0, 0) }
    }
}

impl fmt::Display for Fault {
    /// `file:line:column: key: message`, then the source line and a caret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if self.line == 0 {
            return Ok(());
        }
        let (before, carets) = self.caret;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        // A tab before the caret stays a tab, so that the caret stands below its text at any tab width.
        let keep_tab = |c| if c == '\t' { '\t' } else { ' ' };
        let indent: String =
            self.source.chars().map(keep_tab).chain(std::iter::repeat(' ')).take(before).collect();
        write!(f, "\n {gutter} |\n {number} | {}\n {gutter} | {indent}{}", self.source, "^".repeat(carets))
    }
}

/// Every fault of one run, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    file: String,
    list: Vec<Fault>,
}

impl Faults {
    pub(crate) fn new(file: &str, list: Vec<Fault>) -> Self {
        Self { file: file.to_owned(), list }
    }

    /// The faults, in the order of the file; never empty.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }
}

impl fmt::Display for Faults {
    /// Every fault with its place, then how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in self.list.iter().take(RENDERED) {
            write!(f, "{fault}\n\n")?;
        }
        if self.list.len() > RENDERED {
            write!(f, "and {} more\n\n", self.list.len() - RENDERED)?;
        }
        let plural = if self.list.len() == 1 { "" } else { "s" };
        write!(f, "{} fault{plural} in `{}`", self.list.len(), self.file)
    }
}

impl std::error::Error for Faults {}

/// A place in the document: a dotted key and the bytes of its value (or table header).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) key: String,
    pub(crate) span: Range<usize>,
}

impl Place {
    pub(crate) fn new(key: impl Into<String>, span: Range<usize>) -> Self {
        Self { key: key.into(), span }
    }

    /// The place of a key inside this one.
    pub(crate) fn below(&self, name: &str, span: Range<usize>) -> Self {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        Self { key, span }
    }
}

/// The text of a file, able to say where a byte stands.
pub(crate) struct Source<'t> {
    name: &'t str,
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(name: &'t str, text: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { name, text, lines: std::iter::once(0).chain(starts).collect() }
    }

    pub(crate) fn name(&self) -> &'t str {
        self.name
    }

    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// The text of a span; empty if the span is not of this text.
    pub(crate) fn slice(&self, span: &Range<usize>) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Line of a byte, from 0.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at) - 1
    }

    /// `file:line:column` of a place.
    pub(crate) fn address(&self, place: &Place) -> String {
        let line = self.line(place.span.start);
        format!("{}:{}:{}", self.name, line + 1, self.column(line, place.span.start) + 1)
    }

    /// Columns are characters, from 0; a byte-order mark is none.
    fn column(&self, line: usize, at: usize) -> usize {
        let before = self.slice(&(self.lines[line]..self.text.floor_char_boundary(at)));
        before.chars().filter(|c| *c != '\u{feff}').count()
    }

    /// A fault at a place. Values at `masked` are not shown.
    pub(crate) fn fault(&self, place: &Place, message: String, masked: &[Range<usize>]) -> Fault {
        let line = self.line(place.span.start);
        let column = self.column(line, place.span.start);
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let shown = self.shown_line(self.lines[line], end, masked);
        let carets = self.slice(&(place.span.start..place.span.end.min(end))).chars().count();
        let skipped = if shown.chars().count() > WINDOW { column.saturating_sub(WINDOW / 2) } else { 0 };
        let source: String = shown.chars().skip(skipped).take(WINDOW).collect();
        let room = source.chars().count().saturating_sub(column - skipped);
        Fault {
            file: self.name.to_owned(),
            line: line + 1,
            column: column + 1,
            key: place.key.clone(),
            message,
            source,
            caret: (column - skipped, carets.clamp(1, room.max(1))),
        }
    }

    /// A line as it may be shown: without secrets and control characters.
    fn shown_line(&self, start: usize, end: usize, masked: &[Range<usize>]) -> String {
        let clean = |(at, c): (usize, char)| match c {
            _ if masked.iter().any(|secret| secret.contains(&(start + at))) => '*',
            '\t' => '\t',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        let line = self.slice(&(start..end)).trim_end_matches('\r');
        let visible = line.char_indices().filter(|(_, c)| *c != '\u{feff}');
        visible.map(clean).collect()
    }
}

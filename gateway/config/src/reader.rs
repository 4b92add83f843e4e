//! Where faults are recorded while the document is walked.

use std::borrow::Cow;
use std::ops::Range;

use toml::de::DeValue;

use crate::expand::expand;
use crate::fault::{Fault, Place, Source};

/// A value of the document and its place.
pub(crate) struct Item<'a> {
    pub(crate) value: &'a DeValue<'a>,
    pub(crate) place: Place,
}

impl Item<'_> {
    /// The value as messages quote it: a string as written (never expanded: it may be secret), else what it
    /// is.
    pub(crate) fn quoted(&self) -> String {
        match self.value {
            DeValue::String(raw) => format!("`{}`", raw.escape_debug()),
            DeValue::Integer(number) => format!("the number `{number}`"),
            DeValue::Float(number) => format!("the number `{number}`"),
            DeValue::Boolean(value) => format!("`{value}`"),
            other => format!("a{} {}", if other.is_array() { "n" } else { "" }, other.type_str()),
        }
    }
}

/// A value with the place it came from, for checks across sections.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    /// The value as messages may show it.
    pub(crate) shown: String,
    pub(crate) place: Place,
}

/// Records faults, warnings and what must not be shown.
pub(crate) struct Reader<'e> {
    source: &'e Source<'e>,
    env: &'e dyn Fn(&str) -> Option<String>,
    faults: Vec<(Place, String)>,
    warnings: Vec<(Place, String)>,
    masked: Vec<Range<usize>>,
    syntax: usize,
}

impl<'e> Reader<'e> {
    pub(crate) fn new(source: &'e Source<'e>, env: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let (faults, warnings, masked) = Default::default();
        Self { source, env, faults, warnings, masked, syntax: 0 }
    }

    /// A fault of TOML itself. From here on the document is a guess: only faults in single values on other
    /// lines are recorded beside it.
    pub(crate) fn syntax(&mut self, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        // What the parser wanted instead is noise where it is said already, or nothing.
        let (words, wanted) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
        let wanted = if matches!(wanted, "" | "nothing" | "literal string") { "" } else { error.message() };
        let words = if wanted.is_empty() { words } else { wanted };
        self.faults.insert(self.syntax, (Place::new("", span), format!("this is not TOML: {words}")));
        self.syntax += 1;
    }

    /// Whether the file is valid TOML, so that what is missing is truly missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.syntax == 0
    }

    /// A fault in a value.
    pub(crate) fn fault(&mut self, place: &Place, message: impl Into<String>) {
        let line = self.source.line(place.span.start);
        if self.faults[..self.syntax].iter().all(|(other, _)| self.source.line(other.span.start) != line) {
            self.faults.push((place.clone(), message.into()));
        }
    }

    /// A fault in how tables and keys fit together; a guess unless the file is valid TOML.
    pub(crate) fn misfit(&mut self, place: &Place, message: impl Into<String>) {
        if self.is_whole() {
            self.fault(place, message);
        }
    }

    /// Whether a value at this key was refused.
    pub(crate) fn is_faulty(&self, place: &Place) -> bool {
        self.faults.iter().any(|(other, _)| other.key == place.key)
    }

    /// Something legal that is probably not meant.
    pub(crate) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.warnings.push((place.clone(), message.into()));
    }

    /// The bytes of a secret: no fault shows them.
    pub(crate) fn mask(&mut self, span: &Range<usize>) {
        self.masked.push(span.clone());
    }

    /// Every secret met so far.
    pub(crate) fn masked(&self) -> &[Range<usize>] {
        &self.masked
    }

    /// `file:line:column` of a place.
    pub(crate) fn address(&self, place: &Place) -> String {
        self.source.address(place)
    }

    /// A string with its references filled; `None` (and a fault) if one cannot be, or if it is no string:
    /// `expected` says what would fit.
    pub(crate) fn text<'a>(&mut self, item: &Item<'a>, expected: &str) -> Option<Cow<'a, str>> {
        let DeValue::String(raw) = item.value else {
            self.fault(&item.place, format!("{} does not fit (write {expected})", item.quoted()));
            return None;
        };
        match expand(raw, self.env) {
            Ok(text) => Some(text),
            Err(unfilled) => {
                for one in unfilled {
                    let place = self.inside(&item.place, raw, &one.part);
                    self.fault(&place, one.message);
                }
                None
            }
        }
    }

    /// The place of a part of a string, if the string stands in the file without escapes.
    fn inside(&self, place: &Place, raw: &str, part: &Range<usize>) -> Place {
        let start = self.source.slice(&place.span).find(raw).map(|at| place.span.start + at);
        let span = start.map(|start| start + part.start..start + part.end);
        Place::new(place.key.clone(), span.unwrap_or_else(|| place.span.clone()))
    }

    /// Faults and warnings, rendered and in the order of the file.
    pub(crate) fn finish(self) -> (Vec<Fault>, Vec<Fault>) {
        let render = |mut found: Vec<(Place, String)>| -> Vec<Fault> {
            found.sort_by_key(|(place, _)| place.span.start);
            found
                .into_iter()
                .map(|(place, message)| self.source.fault(&place, message, &self.masked))
                .collect()
        };
        (render(self.faults), render(self.warnings))
    }
}

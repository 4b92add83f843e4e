//! Where in the file stands what is judged only when it is used: models, plugins and plugin settings.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::config::Loaded;
use crate::fault::{Fault, Faults, Place, Source};

/// Something that showed only when a configuration was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Names and indexes that lead to it from the top of the file: `backend`, `churn`, `model`.
    pub path: Vec<String>,
    /// What is wrong and, in parentheses, what to do.
    pub message: String,
}

/// The text a configuration was read from, kept to show places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    file: String,
    text: Arc<str>,
    /// Secrets: no fault shows them.
    masked: Vec<Range<usize>>,
}

impl Text {
    pub(crate) fn of(source: &Source<'_>, masked: Vec<Range<usize>>) -> Self {
        Self { file: source.name().to_owned(), text: source.text().into(), masked }
    }
}

impl Loaded {
    /// What did not fit when it was used, as faults of the file: each at its value, or, if that is not
    /// written, at the nearest thing around it that is; in the order of the file.
    pub fn faults(&self, misfits: Vec<Misfit>) -> Faults {
        let Text { file, text, masked } = &self.text;
        let source = Source::new(file, text);
        let (root, _) = DeTable::parse_recoverable(text);
        let fault = |Misfit { path, message }: Misfit| match place(root.get_ref(), &path) {
            Some(place) => source.fault(&place, message, masked),
            None => Fault::of_file(file, message),
        };
        let mut faults: Vec<Fault> = misfits.into_iter().map(fault).collect();
        faults.sort_by_key(|fault| (fault.line, fault.column));
        Faults::new(file, faults)
    }
}

/// The whole key of a path, and where it leads, or as much of it as there is.
fn place(root: &DeTable<'_>, path: &[String]) -> Option<Place> {
    let (first, rest) = path.split_first()?;
    let value = root.get(first.as_str())?;
    let (mut value, mut place) = (Some(value.get_ref()), Place::new(first, value.span()));
    for name in rest {
        let below = match value {
            Some(DeValue::Table(table)) => table.get(name.as_str()),
            Some(DeValue::Array(values)) => name.parse().ok().and_then(|index: usize| values.get(index)),
            _ => None,
        };
        let is_index = matches!(value, Some(DeValue::Array(_)));
        let key = if is_index { format!("{}[{name}]", place.key) } else { format!("{}.{name}", place.key) };
        let span = below.map_or(place.span, |below| below.span());
        (value, place) = (below.map(|below| below.get_ref()), Place::new(key, span));
    }
    Some(place)
}

//! A decoded request to encoded rows: columns by name or by position, and what does not fit, in words.

use std::collections::HashMap;
use std::ops::Range;

use weir_exchange::{Fields, Table};

use crate::about::Feature;
use crate::encode::Encoder;
use crate::error::InputError;

/// The columns a model takes.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    names: Vec<Box<str>>,
    encoders: Vec<Encoder>,
    by_name: HashMap<Box<str>, usize>,
}

/// Where the features of one table are.
pub(crate) struct Aligned<'a> {
    input: &'a Input,
    table: &'a Table,
    /// For each column of the table, its feature.
    feature_of: Vec<usize>,
}

impl Input {
    pub(crate) fn new(features: &[Feature]) -> Self {
        let names: Vec<Box<str>> = features.iter().map(|f| f.name.as_str().into()).collect();
        let by_name = names.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        Self { names, encoders: features.iter().map(Encoder::of).collect(), by_name }
    }

    pub(crate) fn width(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn encoders(&self) -> &[Encoder] {
        &self.encoders
    }

    /// Finds the features in a table: by name if it has names, in whatever order; else by position.
    pub(crate) fn align<'a>(&'a self, table: &'a Table) -> Result<Aligned<'a>, InputError> {
        if table.rows == 0 {
            return Err(InputError::NoRows);
        }
        let feature_of = match &table.fields {
            Fields::Positional if table.width == self.width() => (0..table.width).collect(),
            Fields::Positional => {
                let names = listed(self.names.iter().map(|name| &**name));
                return Err(InputError::Width { found: table.width, expected: self.width(), names });
            }
            Fields::Named(names) => {
                let found = names.iter().map(|name| self.by_name.get(&**name).copied());
                match found.collect::<Option<Vec<usize>>>() {
                    // Names are distinct, so as many as there are features are all of them.
                    Some(feature_of) if feature_of.len() == self.width() => feature_of,
                    _ => return Err(self.other_columns(names)),
                }
            }
        };
        Ok(Aligned { input: self, table, feature_of })
    }

    #[cold]
    fn other_columns(&self, names: &[std::sync::Arc<str>]) -> InputError {
        let missing =
            self.names.iter().map(|name| &**name).filter(|name| !names.iter().any(|n| **n == **name));
        let unknown = names.iter().map(|name| &**name).filter(|name| !self.by_name.contains_key(*name));
        let parts = [("missing columns", listed(missing)), ("unknown columns", listed(unknown))];
        let said = parts.iter().filter(|(_, names)| !names.is_empty());
        InputError::Columns(
            said.map(|(what, names)| format!("{what}: {names}")).collect::<Vec<_>>().join("; "),
        )
    }
}

impl Aligned<'_> {
    /// Encodes some rows into `into`, row-major, in the order of the features.
    pub(crate) fn encode(&self, rows: Range<usize>, into: &mut Vec<f64>) -> Result<(), InputError> {
        let (table, width, encoders) = (self.table, self.table.width, self.input.encoders());
        into.clear();
        into.resize(rows.len() * width, f64::NAN);
        let cells = rows.start * width..rows.end * width;
        for (row, out) in rows.clone().zip(into.chunks_exact_mut(width)) {
            for (value, feature) in table.row(row).iter().zip(&self.feature_of) {
                out[*feature] = if value.is_nan() {
                    encoders[*feature].missing()
                } else {
                    let encoded = encoders[*feature].number(*value);
                    encoded.ok_or_else(|| self.misfit(row, *feature, format!("the number {value}")))?
                };
            }
        }
        let first = table.texts.partition_point(|(cell, _)| (*cell as usize) < cells.start);
        let texts = table.texts[first..].iter().take_while(|(cell, _)| (*cell as usize) < cells.end);
        for (cell, range) in texts {
            let (row, column) = (*cell as usize / width, *cell as usize % width);
            let feature = self.feature_of[column];
            let text = table.text.get(range.start as usize..range.end as usize).unwrap_or_default();
            let encoded = encoders[feature].text(text);
            into[(row - rows.start) * width + feature] =
                encoded.ok_or_else(|| self.misfit(row, feature, format!("the text {:?}", cut(text))))?;
        }
        Ok(())
    }

    #[cold]
    fn misfit(&self, row: usize, feature: usize, found: String) -> InputError {
        let column = self.input.names[feature].to_string();
        InputError::Type { row, column, found, expected: self.input.encoders[feature].expected() }
    }
}

/// A stranger's text, short enough to be repeated to him.
fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn listed<'n>(names: impl Iterator<Item = &'n str> + Clone) -> String {
    const SHOWN: usize = 20;
    let more = names.clone().count().saturating_sub(SHOWN);
    let mut text = names.take(SHOWN).map(|name| format!("`{}`", cut(name))).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

//! The reference rows as typed columns, wherever they come from.

use std::collections::HashMap;
use std::sync::Arc;

use weir_exchange::{Column, Role};

use crate::error::BuildError;

/// Rows as columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    pub rows: usize,
    pub columns: Vec<SheetColumn>,
}

/// One column, of as many values as the sheet has rows.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetColumn {
    pub name: Arc<str>,
    /// `Input` as it is read; predictions and scores are told by [`crate::BuildOptions`].
    pub role: Role,
    pub values: Values,
}

/// The values of a column. A value is missing as in live columns: NaN, or [`Column::MISSING`].
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Number(Vec<f64>),
    Text(Texts),
    /// Seconds since 1970, of a type that says so.
    Time(Vec<f64>),
    /// Not read, and why.
    Unread(&'static str),
}

/// Texts as codes of a dictionary, in the order in which they were first seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    pub codes: Vec<u32>,
    pub dictionary: Vec<Arc<str>>,
}

/// Collects texts.
#[derive(Debug, Default)]
pub(crate) struct TextBuilder {
    texts: Texts,
    index: HashMap<Arc<str>, u32>,
}

impl TextBuilder {
    pub(crate) fn push(&mut self, text: Option<&str>) {
        let code = match text {
            None => Column::MISSING,
            Some(text) => match self.index.get(text) {
                Some(code) => *code,
                None => self.add(text),
            },
        };
        self.texts.codes.push(code);
    }

    fn add(&mut self, text: &str) -> u32 {
        let code = u32::try_from(self.texts.dictionary.len()).unwrap_or(Column::MISSING);
        let text: Arc<str> = text.into();
        self.texts.dictionary.push(Arc::clone(&text));
        self.index.insert(text, code);
        code
    }

    pub(crate) fn finish(self) -> Texts {
        self.texts
    }
}

impl Texts {
    /// The text of a row; `None` if it is missing.
    pub fn get(&self, row: usize) -> Option<&Arc<str>> {
        self.codes.get(row).and_then(|code| self.dictionary.get(*code as usize))
    }

    /// A number for each text, NaN where `number` has none.
    fn numbers(&self, number: impl Fn(&str) -> Option<f64>) -> Vec<f64> {
        let of: Vec<f64> = self.dictionary.iter().map(|text| number(text).unwrap_or(f64::NAN)).collect();
        self.codes.iter().map(|code| of.get(*code as usize).copied().unwrap_or(f64::NAN)).collect()
    }
}

/// What the columns are, beyond what their cells say.
#[derive(Clone, Debug, Default)]
pub struct Typing {
    /// Columns that are text, as live bodies have them.
    pub category: Vec<String>,
    /// Columns that are numbers.
    pub number: Vec<String>,
    /// Texts, or numbers, that stand for a missing value.
    pub missing: Vec<String>,
    /// Cells are texts by want of types: a column of them that all are numbers, or all `true` and `false`,
    /// is one of numbers, as JSON has them.
    pub guess: bool,
}

impl Sheet {
    /// The number of a column.
    ///
    /// # Errors
    /// There is none of that name; `key` is the option that asked.
    pub fn column(&self, key: &'static str, name: &str) -> Result<usize, BuildError> {
        self.columns.iter().position(|column| &*column.name == name).ok_or_else(|| {
            let known = crate::fit::listed(self.columns.iter().map(|column| format!("`{}`", column.name)));
            BuildError::Option { key, message: format!("there is no column `{name}` (the data has {known})") }
        })
    }

    /// That each column has as many values as there are rows, and no code beyond its dictionary.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        for SheetColumn { name, values, .. } in &self.columns {
            let beyond = match values {
                Values::Text(texts) => {
                    let known =
                        |code: &u32| *code == Column::MISSING || (*code as usize) < texts.dictionary.len();
                    !texts.codes.iter().all(known)
                }
                _ => false,
            };
            if beyond || values.len().is_some_and(|len| len != self.rows) {
                let message = format!("it has not one value for each of {} rows", self.rows);
                return Err(BuildError::Column { column: name.to_string(), message });
            }
        }
        Ok(())
    }

    /// Settles what each column is.
    ///
    /// # Errors
    /// An option names no column, or a column that should be numbers has texts.
    pub fn typed(mut self, typing: &Typing) -> Result<Self, BuildError> {
        for name in &typing.category {
            let at = self.column("category", name)?;
            self.columns[at].values.make_category();
        }
        for column in &mut self.columns {
            column.values.take_missing(&typing.missing);
        }
        for name in &typing.number {
            let at = self.column("number", name)?;
            let column = &mut self.columns[at];
            if let Values::Text(texts) = &column.values {
                if let Some(text) = texts.dictionary.iter().find(|text| to_number(text).is_none()) {
                    let message = format!(
                        "`{text}` is no number (mend it, or say that it is missing with `--missing {text}`)"
                    );
                    return Err(BuildError::Column { column: name.clone(), message });
                }
                column.values = Values::Number(texts.numbers(to_number));
            }
        }
        if typing.guess {
            let told = |name: &str| typing.category.iter().any(|known| known == name);
            for column in self.columns.iter_mut().filter(|column| !told(&column.name)) {
                column.values.guess();
            }
        }
        Ok(self)
    }
}

impl Values {
    /// How many there are; `None` if they were not read.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Number(numbers) | Self::Time(numbers) => Some(numbers.len()),
            Self::Text(texts) => Some(texts.codes.len()),
            Self::Unread(_) => None,
        }
    }

    /// Numbers as the texts that a client would write.
    fn make_category(&mut self) {
        if let Self::Number(numbers) = self {
            let mut texts = TextBuilder::default();
            for x in numbers {
                texts.push((!x.is_nan()).then(|| x.to_string()).as_deref());
            }
            *self = Self::Text(texts.finish());
        }
    }

    fn take_missing(&mut self, missing: &[String]) {
        match self {
            Self::Number(numbers) => {
                let codes: Vec<f64> = missing.iter().filter_map(|text| to_number(text)).collect();
                numbers.iter_mut().filter(|x| codes.contains(x)).for_each(|x| *x = f64::NAN);
            }
            Self::Text(texts) if !missing.is_empty() => {
                let mut kept = TextBuilder::default();
                let stands = |text: &&Arc<str>| !missing.iter().any(|code| same(code, text));
                (0..texts.codes.len()).for_each(|row| kept.push(texts.get(row).filter(stands).map(|t| &**t)));
                *texts = kept.finish();
            }
            _ => {}
        }
    }

    fn guess(&mut self) {
        let Self::Text(texts) = self else { return };
        let all =
            |number: fn(&str) -> Option<f64>| texts.dictionary.iter().all(|text| number(text).is_some());
        if texts.dictionary.is_empty() {
            return;
        }
        if all(to_number) {
            *self = Self::Number(texts.numbers(to_number));
        } else if all(flag) {
            *self = Self::Number(texts.numbers(flag));
        }
    }
}

/// A cell as a number.
pub(crate) fn to_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| !x.is_nan())
}

/// A cell as JSON's `true` and `false`, which live columns have as 1 and 0.
fn flag(text: &str) -> Option<f64> {
    let known = [("true", 1.0), ("false", 0.0)];
    known.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, x)| x)
}

/// `-999` is also `-999.0`.
fn same(code: &str, text: &str) -> bool {
    code == text || to_number(code).is_some_and(|code| to_number(text) == Some(code))
}

//! Values of features to the numbers a model computes with.
//!
//! One number a feature: a number itself, a flag as 0 or 1, a category as the index of its value. NaN says
//! that nothing is known: a missing number or flag, a category never seen. A category that was missing in
//! training rows has an index of its own for missing, after its values; where none was missing, a missing
//! category is one never seen.

use crate::about::{Feature, Kind};

/// One feature's encoding.
#[derive(Clone, Debug)]
pub(crate) enum Encoder {
    Number,
    Flag,
    /// Values with their index, by value; and the index of missing.
    Category {
        index: Vec<(Box<str>, f64)>,
        missing: f64,
    },
}

impl Encoder {
    /// The encoding of a feature.
    pub(crate) fn of(feature: &Feature) -> Self {
        match &feature.kind {
            Kind::Number { .. } => Self::Number,
            Kind::Flag { .. } => Self::Flag,
            Kind::Category { values } => {
                let at =
                    |(at, category): (usize, &crate::Category)| (category.value.as_str().into(), at as f64);
                let mut index: Vec<(Box<str>, f64)> = values.iter().enumerate().map(at).collect();
                index.sort_by(|a, b| a.0.cmp(&b.0));
                let missing = if feature.missing > 0 { values.len() as f64 } else { f64::NAN };
                Self::Category { index, missing }
            }
        }
    }

    /// A missing value.
    pub(crate) fn missing(&self) -> f64 {
        match self {
            Self::Number | Self::Flag => f64::NAN,
            Self::Category { missing, .. } => *missing,
        }
    }

    /// A number, or `None` if the feature takes texts or the number is infinite.
    pub(crate) fn number(&self, value: f64) -> Option<f64> {
        match self {
            Self::Number | Self::Flag => value.is_finite().then_some(value),
            Self::Category { .. } => None,
        }
    }

    /// A text, or `None` if the feature takes numbers.
    pub(crate) fn text(&self, value: &str) -> Option<f64> {
        match self {
            Self::Number => None,
            Self::Flag => flag(value).map(|flag| f64::from(u8::from(flag))),
            Self::Category { index, .. } => {
                let found = index.binary_search_by(|(known, _)| (**known).cmp(value));
                Some(found.map_or(f64::NAN, |at| index[at].1))
            }
        }
    }

    /// What the feature takes, in words.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::Number => "a finite number there",
            Self::Flag => "true or false there",
            Self::Category { .. } => "a text there",
        }
    }
}

/// Reads `true` and `false` as programs write them.
pub(crate) fn flag(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name))
        .map(|f| f.1)
}

/// How many indices a category has; 0 for other kinds.
pub(crate) fn codes(feature: &Feature) -> usize {
    match &feature.kind {
        Kind::Category { values } => values.len() + usize::from(feature.missing > 0),
        Kind::Number { .. } | Kind::Flag { .. } => 0,
    }
}

//! What to do with the columns of a schema, worked out when it is new or has grown.

use weir_plugin_sdk::prelude::*;

use crate::{FeatureSettings, Settings};

/// How a schema is looked at.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) features: Vec<Feature>,
    /// Features past the limit.
    pub(crate) untracked: usize,
    /// Columns the plan was made of.
    columns: usize,
}

/// A feature: a column of numbers, one of texts, or both if it carried both.
#[derive(Debug)]
pub(crate) struct Feature {
    pub(crate) name: String,
    pub(crate) numbers: Option<usize>,
    pub(crate) codes: Option<usize>,
    /// By code of its column of texts.
    pub(crate) categories: Vec<Category>,
    range: Option<(f64, f64)>,
    known_texts: Vec<String>,
    known_numbers: Vec<f64>,
    own_series: usize,
}

#[derive(Debug)]
pub(crate) struct Category {
    /// `None`: past the limit.
    pub(crate) label: Option<String>,
    /// False if categories were agreed and this is none of them.
    pub(crate) known: bool,
}

impl Plan {
    /// Follows the schema. True if there are new features.
    pub(crate) fn update(&mut self, schema: &Schema, settings: &Settings) -> bool {
        let fresh = self.columns != schema.columns.len();
        if fresh {
            self.columns = schema.columns.len();
            self.make(schema, settings);
        }
        for feature in &mut self.features {
            if let Some(column) = feature.codes {
                feature.learn(&schema.columns[column].texts, settings.max_categories as usize);
            }
        }
        fresh
    }

    fn make(&mut self, schema: &Schema, settings: &Settings) {
        let mut named: Vec<(&str, [Option<usize>; 2])> = Vec::new();
        for (i, column) in schema.columns.iter().enumerate() {
            let known = named.iter().position(|(name, _)| *name == column.name);
            let known = known.unwrap_or_else(|| {
                named.push((&column.name, [None; 2]));
                named.len() - 1
            });
            named[known].1[usize::from(column.kind == Kind::Code)] = Some(i);
        }
        let (known, others): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|(name, _)| settings.features.contains_key(*name));
        let named = [known, others].concat();
        let tracked = named.len().min(settings.max_features as usize);
        self.untracked = named.len() - tracked;
        let make = |(name, columns): &(&str, _)| Feature::new(name, *columns, settings.features.get(*name));
        self.features = named[..tracked].iter().map(make).collect();
    }
}

impl Feature {
    fn new(name: &str, [numbers, codes]: [Option<usize>; 2], settings: Option<&FeatureSettings>) -> Self {
        let FeatureSettings { min, max, categories: known_texts, .. } = settings.cloned().unwrap_or_default();
        let range = (min.is_some() || max.is_some())
            .then(|| (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY)));
        let known_numbers = known_texts.iter().filter_map(|text| text.parse().ok()).collect();
        let (name, categories) = (name.to_owned(), Vec::new());
        Self { name, numbers, codes, categories, range, known_texts, known_numbers, own_series: 0 }
    }

    /// Texts of its column that are new.
    fn learn(&mut self, texts: &[String], most: usize) {
        for text in texts.iter().skip(self.categories.len()) {
            let agreed = self.known_texts.contains(text);
            let fits = self.own_series < most;
            self.own_series += usize::from(fits);
            let known = agreed || self.known_texts.is_empty();
            self.categories.push(Category { label: fits.then(|| text.clone()), known });
        }
    }

    pub(crate) fn has_range(&self) -> bool {
        self.range.is_some()
    }

    pub(crate) fn has_categories(&self) -> bool {
        !self.known_texts.is_empty()
    }

    pub(crate) fn in_range(&self, x: f64) -> bool {
        self.range.is_none_or(|(min, max)| (min..=max).contains(&x))
    }

    pub(crate) fn knows_number(&self, x: f64) -> bool {
        self.known_texts.is_empty() || self.known_numbers.contains(&x)
    }
}

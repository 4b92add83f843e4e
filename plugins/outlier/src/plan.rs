//! How the columns of a schema are scored, worked out over as many calls as it takes.

use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::{self, ProfileInfo};

use crate::rank::{Ranks, Rarity};

/// Features worked out in one call: a logarithm or two for each of their bins.
const FEATURES: usize = 16;

/// How a schema is scored.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) features: Vec<Scored>,
    /// Columns to work out, the next one last: column, feature of the profile, its name.
    pending: Vec<(usize, usize, String)>,
    /// Features of a row.
    all: usize,
    rows: f64,
    /// Columns of the schema that the plan was made of.
    columns: usize,
}

/// A column that is scored.
#[derive(Debug)]
pub(crate) struct Scored {
    pub(crate) name: String,
    pub(crate) column: usize,
    pub(crate) by: By,
}

#[derive(Debug)]
pub(crate) enum By {
    Rank(Ranks),
    /// With the scores by code.
    Rarity(Rarity, Vec<f64>),
}

impl Plan {
    fn new(schema: &Schema, profile: &ProfileInfo, ignore: &[String]) -> Self {
        let mut pending = Vec::new();
        for (at, feature) in profile.features.iter().enumerate() {
            // What its own reference would raise alarms of says nothing of a row.
            let judged = feature.role == role::INPUT && !feature.unstable && !ignore.contains(&feature.name);
            let fits = |column: &Column| {
                column.role == feature.role && column.name == feature.name && column.kind == feature.kind
            };
            let column = schema.columns.iter().position(fits).filter(|_| judged);
            pending.extend(column.map(|column| (column, at, reference::label(profile, at))));
        }
        let (all, columns) = (pending.len(), schema.columns.len());
        pending.reverse();
        Self { features: Vec::new(), pending, all, rows: profile.rows, columns }
    }

    /// Follows the schema, and works out some more. False without a profile.
    pub(crate) fn update(plan: &mut Option<Self>, schema: &Schema, ignore: &[String]) -> bool {
        if plan.as_ref().is_none_or(|plan| plan.columns != schema.columns.len()) {
            *plan = reference::profile(schema).map(|profile| Self::new(schema, &profile, ignore));
        }
        let Some(plan) = plan else { return false };
        if !plan.pending.is_empty() {
            plan.work_out(schema);
        }
        for feature in &mut plan.features {
            if let By::Rarity(rarity, scores) = &mut feature.by {
                let texts = &schema.columns[feature.column].texts;
                scores.extend(texts.iter().skip(scores.len()).map(|text| rarity.score(text)));
            }
        }
        true
    }

    /// Whether rows have any feature to be scored by.
    pub(crate) fn has_features(&self) -> bool {
        self.all > 0
    }

    fn work_out(&mut self, schema: &Schema) {
        let Some(profile) = reference::profile(schema) else { return };
        let with = (self.rows, self.all);
        let left = self.pending.len().saturating_sub(FEATURES);
        for (column, at, name) in self.pending.split_off(left).into_iter().rev() {
            let Some(feature) = profile.features.get(at) else { continue };
            let bins = reference::bins(schema, at);
            let by = match feature.kind {
                Kind::Number => By::Rank(Ranks::new(feature, reference::edges(schema, at), &bins, with)),
                Kind::Code => By::Rarity(Rarity::new(bins, with), Vec::new()),
            };
            self.features.push(Scored { name, column, by });
        }
    }
}

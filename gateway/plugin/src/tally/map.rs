//! Which columns of a schema a tally counts. Found once, and completed as the schema grows.

use std::collections::HashMap;
use std::sync::Arc;

use weir_exchange::{Column, Kind, Role, Schema};
use weir_profile::{FeatureKind, Profile};
use weir_stats::drift::RowHash;

use super::layout::Layout;

/// Columns of a feature.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// That of the feature's kind.
    pub(crate) column: Option<usize>,
    /// That of the other kind: the field carried both numbers and texts.
    pub(crate) other: Option<usize>,
    /// The bin of each code.
    pub(crate) bins: Vec<u16>,
}

/// A column that tells rows apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyColumn {
    pub(crate) column: usize,
    /// Has its name folded in: the same value in another column is something else.
    pub(crate) seed: RowHash,
}

/// A schema, as a tally counts it.
#[derive(Debug)]
pub(crate) struct Map {
    version: u32,
    /// Columns of the schema that were looked at.
    seen: usize,
    pub(crate) features: Vec<Found>,
    pub(crate) inputs: Vec<usize>,
    /// Outputs and scores.
    pub(crate) predictions: Vec<usize>,
    pub(crate) outcome: Option<usize>,
    /// Where the segment is, of either kind.
    pub(crate) segment_codes: Option<usize>,
    pub(crate) segment_numbers: Option<usize>,
    pub(crate) keys: Vec<KeyColumn>,
    /// For each column, what tells the text of each code from others. Empty for the others.
    pub(crate) hashes: Vec<Vec<u64>>,
    /// Bins by text of each category.
    texts: Vec<HashMap<Arc<str>, u16, ahash::RandomState>>,
}

/// What decides on the columns.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) layout: &'a Layout,
    pub(crate) segment: Option<&'a str>,
    /// Input columns that tell rows apart; empty: all.
    pub(crate) entity: &'a [String],
}

impl Map {
    pub(crate) fn new(wanted: Columns<'_>) -> Self {
        let texts = wanted.profile.features.iter().map(|feature| match &feature.kind {
            FeatureKind::Category { texts } => texts.iter().cloned().zip(0..).collect(),
            FeatureKind::Number { .. } => HashMap::default(),
        });
        Self {
            version: 0,
            seen: 0,
            features: vec![Found::default(); wanted.layout.features()],
            inputs: Vec::new(),
            predictions: Vec::new(),
            outcome: None,
            segment_codes: None,
            segment_numbers: None,
            keys: Vec::new(),
            hashes: Vec::new(),
            texts: texts.collect(),
        }
    }

    /// Takes what is new of a schema.
    pub(crate) fn update(&mut self, schema: &Schema, wanted: Columns<'_>) {
        if self.version >= schema.version && self.seen > 0 {
            return;
        }
        self.version = schema.version;
        for (at, column) in schema.columns.iter().enumerate().skip(self.seen) {
            self.hashes.push(Vec::new());
            self.column(at, column, wanted);
        }
        self.seen = self.seen.max(schema.columns.len());
        self.dictionaries(schema, wanted);
    }

    fn column(
        &mut self,
        at: usize,
        column: &Column,
        Columns { profile, layout, segment, entity }: Columns<'_>,
    ) {
        match column.role {
            Role::Input => self.inputs.push(at),
            Role::Output | Role::Score => self.predictions.push(at),
            Role::Outcome => self.outcome = Some(at),
            _ => return,
        }
        if let Some(feature) = layout.feature(column.role, &column.name) {
            let same = profile.features[feature].column_kind() == column.kind;
            let found = &mut self.features[feature];
            let to = if same { &mut found.column } else { &mut found.other };
            *to = Some(at);
        }
        if column.role != Role::Input {
            return;
        }
        if segment == Some(&*column.name) {
            let to = match column.kind {
                Kind::Code => &mut self.segment_codes,
                Kind::Number => &mut self.segment_numbers,
            };
            *to = Some(at);
        }
        if entity.is_empty() || entity.iter().any(|name| **name == *column.name) {
            self.keys.push(KeyColumn { column: at, seed: RowHash::default().text(text_hash(&column.name)) });
        }
    }

    /// Bins and hashes of the texts that are new.
    fn dictionaries(&mut self, schema: &Schema, Columns { profile, .. }: Columns<'_>) {
        for (feature, found) in self.features.iter_mut().enumerate() {
            let FeatureKind::Category { texts: known } = &profile.features[feature].kind else { continue };
            let Some(at) = found.column else { continue };
            let codes = &schema.columns[at].codes;
            let bin = |text: &Arc<str>| self.texts[feature].get(text).copied();
            let unseen = known.len() as u16;
            found.bins.extend(codes.iter().skip(found.bins.len()).map(|text| bin(text).unwrap_or(unseen)));
            extend(&mut self.hashes[at], codes);
        }
        for key in &self.keys {
            extend(&mut self.hashes[key.column], &schema.columns[key.column].codes);
        }
    }
}

fn extend(hashes: &mut Vec<u64>, codes: &[Arc<str>]) {
    let known = hashes.len();
    hashes.extend(codes.iter().skip(known).map(|text| text_hash(text)));
}

/// A text; the same in every process, since counts outlive one. FNV-1a.
fn text_hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

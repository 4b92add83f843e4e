//! What a profile is. `file.rs` says how it is kept.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_exchange::{Kind, Role};
use weir_stats::drift::{Bins, Categories, Dispersion, Groups, MissingDispersion};

use crate::season::Season;

/// A reference: counts of each feature in bins that never change again, and how to test against them.
///
/// It holds no rows and no value but edges and means of bins, extremes, and texts of categories. By default
/// it is of nothing, without time, segments or entities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// SHA-256, hex, of the content without it; empty until [`Profile::sealed`].
    pub digest: String,
    pub made: Made,
    /// The model whose traffic it describes; any, if absent.
    pub model: Option<ModelRef>,
    /// Rows of the smallest window that is judged: `groups` expect five rows each of one.
    pub window_rows: u64,
    /// Length of the blocks that `phi` comes from; `None` if rows had no time, and then every verdict says
    /// `independent rows assumed`.
    pub block: Option<Duration>,
    /// Blocks that held a row.
    pub blocks: u32,
    /// The window that the reference was replayed with.
    pub window: Option<Duration>,
    /// What `cells` are split by besides the segment.
    pub season: Option<Season>,
    /// Input column whose values split `cells`. It need not be a feature.
    pub segment: Option<String>,
    /// Input column whose distinct values are what n counts; rows by their values if absent.
    pub entity: Option<String>,
    /// Rows are told apart by their values: at least half of the reference's are distinct. If not, a live row
    /// that repeats another may as well be one that is alike, and n counts rows.
    pub rows_distinct: bool,
    pub features: Vec<Feature>,
    /// Columns of the data that are no feature.
    pub left_out: Vec<LeftOut>,
    /// Counts of the whole reference, then of its slots and segments.
    pub cells: Vec<Cell>,
}

/// Where a profile comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    pub at_unix_ms: u64,
    /// File or live window, in words.
    pub source: String,
    /// Reference rows.
    pub rows: u64,
    /// Who accepted a live window as the new reference, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub weir_version: String,
}

/// A model, or one version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}, version {version}", self.name),
            None => write!(f, "{}, every version", self.name),
        }
    }
}

/// One column that is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub name: Arc<str>,
    /// `Input`, `Output` or `Score`.
    pub role: Role,
    pub kind: FeatureKind,
    /// Bins that are tested together.
    pub groups: Groups,
    /// How much wider than by chance blocks of the reference spread, and how well that is known: what X2 is
    /// divided by, and judged with.
    pub dispersion: Dispersion,
    /// The same of the table of present and missing rows.
    pub missing_dispersion: MissingDispersion,
    /// Alarms a month with which the reference would have been told from itself, if that is over the budget:
    /// such a feature is drawn and never alarmed.
    pub unstable: Option<f64>,
}

/// What values a feature takes.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureKind {
    Number {
        bins: Bins,
        /// Every reference value was whole.
        integers: bool,
    },
    Category {
        /// By name. Bin i counts `texts[i]`, and a last one every other text.
        texts: Vec<Arc<str>>,
    },
}

/// A column that is no feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    pub column: String,
    /// Why, as it completes "left out: ".
    pub reason: String,
}

/// Counts of a part of the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// `None`: of all slots.
    pub slot: Option<u32>,
    /// `None`: of all segments.
    pub segment: Option<Arc<str>>,
    pub rows: f64,
    /// Rows that are distinct, or entities; at most `rows`.
    pub distinct: f64,
    /// Parallel to the profile's features.
    pub counts: Vec<FeatureCounts>,
}

/// Rows by bin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureCounts {
    /// As many as [`Feature::bins`], out of range included.
    pub bins: Vec<f64>,
    /// Rows without a value; in no bin.
    pub missing: f64,
}

impl Profile {
    /// The counts of a slot and a segment; `None, None` is the whole.
    pub fn cell(&self, slot: Option<u32>, segment: Option<&str>) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.slot == slot && cell.segment.as_deref() == segment)
    }

    /// The slot of a time; `None` without a season.
    pub fn slot_at(&self, unix_ns: u64) -> Option<u32> {
        let secs = i64::try_from(unix_ns / 1_000_000_000).unwrap_or(i64::MAX);
        self.season.map(|season| season.slot_at(secs))
    }

    /// By what counts of rows are multiplied, so that n counts distinct rows or entities; 1 if rows are not
    /// told apart by their values.
    pub fn scale(&self, rows: f64, distinct: f64) -> f64 {
        let counts_distinct = self.entity.is_some() || self.rows_distinct;
        if counts_distinct && rows > 0.0 && distinct > 0.0 { (distinct / rows).min(1.0) } else { 1.0 }
    }

    /// Whether verdicts have to say `independent rows assumed`: no blocks of time gave phi.
    pub fn assumes_independent_rows(&self) -> bool {
        self.block.is_none()
    }

    /// The number of a feature.
    pub fn feature(&self, role: Role, name: &str) -> Option<usize> {
        self.features.iter().position(|feature| feature.role == role && &*feature.name == name)
    }
}

impl Feature {
    /// A feature of rows that are independent, as far as is known.
    pub fn new(name: Arc<str>, role: Role, kind: FeatureKind, groups: Groups) -> Self {
        Self {
            name,
            role,
            kind,
            groups,
            dispersion: Dispersion::none(),
            missing_dispersion: MissingDispersion::none(),
            unstable: None,
        }
    }

    /// How many bins there are.
    pub fn bins(&self) -> usize {
        match &self.kind {
            FeatureKind::Number { bins, .. } => bins.len(),
            FeatureKind::Category { texts } => Categories::new(texts.len()).len(),
        }
    }

    /// The kind of the live column that is counted in these bins.
    pub fn column_kind(&self) -> Kind {
        match self.kind {
            FeatureKind::Number { .. } => Kind::Number,
            FeatureKind::Category { .. } => Kind::Code,
        }
    }
}

//! What a plugin wants counted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_profile::Profile;

use crate::bindings::weir::plugin::types;
use crate::plan::Plan;
use crate::synthetic::SEGMENT;

const SHORTEST_SPAN_NS: u64 = 1_000_000_000;
const LONGEST_SPAN_NS: u64 = 400 * 24 * 3600 * 1_000_000_000;
const MOST_SEGMENTS: u32 = 1000;
/// Windows kept; their bytes are bounded beside that.
const MOST_KEPT: u32 = 10_000;
const LONGEST_NAME: usize = 64;
const MOST_ENTITY_COLUMNS: usize = 64;
const LONGEST_COLUMN: usize = 1024;

/// What has to stay equal for counts to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) span_ns: u64,
    pub(crate) segment: Option<String>,
    pub(crate) segments: u32,
    /// Input columns that tell rows apart; empty: the profile's, or all.
    pub(crate) entity: Vec<String>,
}

/// A tally as asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) name: Arc<str>,
    pub(crate) shape: Shape,
    pub(crate) keep: u32,
    /// Name of the counter that rows are added to, and of how many features.
    pub(crate) exported: Option<(Arc<str>, u32)>,
    /// Rows between two false changes of the detectors; 0: there are none.
    pub(crate) run_length: u64,
}

impl Wish {
    /// Checks a tally; `None` if it is none that can be counted.
    pub(crate) fn new(asked: &types::Tally, plan: &Plan) -> Option<Self> {
        let types::Tally {
            name,
            span_ns,
            keep,
            segment,
            segments,
            entity,
            exported_as,
            exported,
            run_length,
        } = asked;
        let exported = match exported_as {
            Some(metric) => Some((super::export::counter(plan, *metric)?, *exported)),
            None => None,
        };
        let segment = segment.clone().filter(|_| *segments > 0);
        let shape = Shape {
            span_ns: *span_ns,
            segments: if segment.is_some() { *segments } else { 0 },
            segment,
            entity: entity.clone(),
        };
        Some(Self { name: name.as_str().into(), shape, keep: *keep, exported, run_length: *run_length })
            .filter(Self::is_sound)
    }

    /// Windows of a day, of all rows and so many segments.
    pub(super) fn daily(segments: u32) -> Self {
        let segment = (segments > 0).then(|| SEGMENT.to_owned());
        let shape = Shape { span_ns: 24 * 3600 * 1_000_000_000, segment, segments, entity: Vec::new() };
        Self { name: "daily".into(), shape, keep: 1, exported: None, run_length: 0 }
    }

    /// Whether it is within every bound.
    pub(super) fn is_sound(&self) -> bool {
        let Self { name, shape, keep, .. } = self;
        let columns = shape.entity.iter().chain(&shape.segment);
        (1..=LONGEST_NAME).contains(&name.len())
            && (SHORTEST_SPAN_NS..=LONGEST_SPAN_NS).contains(&shape.span_ns)
            && shape.entity.len() <= MOST_ENTITY_COLUMNS
            && columns.into_iter().all(|column| column.len() <= LONGEST_COLUMN)
            && shape.segments <= MOST_SEGMENTS
            && *keep <= MOST_KEPT
    }

    /// Windows kept after they are done; one in any case, for the tally of another version to compare with.
    pub(crate) fn kept(&self) -> usize {
        self.keep.max(1) as usize
    }

    /// Columns that tell rows apart.
    pub(crate) fn entity<'a>(&'a self, profile: &'a Profile) -> &'a [String] {
        match &profile.entity {
            Some(entity) if self.shape.entity.is_empty() => std::slice::from_ref(entity),
            _ => &self.shape.entity,
        }
    }
}

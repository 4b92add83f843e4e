//! One tumbling window, and what is kept of it once it is done.

use serde::{Deserialize, Serialize};
use weir_profile::Profile;

use super::block::Block;
use super::export::Exported;
use super::layout::Layout;
use super::part::{Part, Rows};

/// Counts of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) begin_ns: u64,
    /// Of all rows once it has closed; until then, of those that have no segment.
    pub(crate) whole: Part,
    pub(crate) is_closed: bool,
    /// By number of the segment; `None` until it has a row.
    pub(crate) segments: Vec<Option<Part>>,
    /// Exchanges that were counted, each as many times as it stands for.
    pub(crate) observed: f64,
    /// Exchanges that were answered and not decoded.
    pub(crate) lost: f64,
    /// Windows before this one that were dropped unseen.
    pub(crate) dropped: u32,
    /// What detectors have found, by feature; empty without any.
    pub(crate) changes: Vec<[u32; 2]>,
}

impl Window {
    pub(crate) fn new(begin_ns: u64, layout: &Layout) -> Self {
        Self {
            begin_ns,
            whole: Part::new(layout),
            is_closed: false,
            segments: Vec::new(),
            observed: 0.0,
            lost: 0.0,
            dropped: 0,
            changes: Vec::new(),
        }
    }

    /// Whether it is one of this layout.
    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        let changes = self.changes.is_empty() || self.changes.len() == layout.features();
        changes && self.whole.fits(layout) && self.segments.iter().flatten().all(|part| part.fits(layout))
    }

    /// No row comes any more: all rows are those of all segments, and the others. They are added up once, for
    /// counting each row twice would cost every value.
    pub(crate) fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.segments.iter().flatten().for_each(|part| self.whole.merge(part));
        }
    }

    /// The part of a segment, or of all rows of a window that has closed.
    pub(crate) fn part(&self, segment: Option<usize>) -> Option<&Part> {
        segment.map_or(Some(&self.whole), |segment| self.segments.get(segment)?.as_ref())
    }

    /// Counts the rows of a block, a column at a time.
    pub(crate) fn count(&mut self, by: &Counting<'_>, block: &Block) {
        let mut memory = Vec::with_capacity(block.rows());
        let weights = &*block.weights;
        for (segment, rows) in block.any.segments.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            if self.segments.len() <= segment {
                self.segments.resize_with(segment + 1, || None);
            }
            let part = self.segments[segment].get_or_insert_with(|| Part::new(by.layout));
            part.add_rows(Rows { rows, weights }, &block.hashes);
        }
        self.whole.add_rows(block.any.rows(None, weights), &block.hashes);
        for (at, feature) in by.profile.features.iter().enumerate() {
            let chosen = block.chosen(feature.role);
            if chosen.all.is_empty() {
                continue;
            }
            let placed = block.place(at, &feature.kind, &mut memory);
            self.whole.add(by.layout, at, chosen.rows(None, weights), placed);
            for (segment, part) in self.segments.iter_mut().enumerate() {
                if let Some(part) = part {
                    part.add(by.layout, at, chosen.rows(Some(segment), weights), placed);
                }
            }
            if let Some(exported) = by.exported {
                exported.add(at, &chosen.all, weights, placed.bins());
            }
        }
    }
}

/// By what rows are counted.
#[derive(Clone, Copy)]
pub(crate) struct Counting<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) layout: &'a Layout,
    pub(super) exported: Option<&'a Exported>,
}

/// A window that is done: what a later one may be compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) begin_ns: u64,
    /// By how much its counts are multiplied, so that they count what rows know.
    pub(crate) scale: f64,
    /// Rows of the bins that are tested, of all features.
    #[serde(with = "super::packed")]
    pub(crate) groups: Vec<f64>,
    #[serde(with = "super::packed")]
    pub(crate) missing: Vec<f64>,
}

impl Past {
    /// What is kept of a window.
    pub(crate) fn of(window: &Window, profile: &Profile, layout: &Layout, scale: f64) -> Self {
        let part = &window.whole;
        let mut groups = Vec::with_capacity(layout.all_groups());
        for (at, feature) in profile.features.iter().enumerate() {
            groups.extend(feature.groups.sum(&part.bins[layout.bins(at)]));
        }
        let missing = part.sides.iter().map(|side| side.missing).collect();
        Self { begin_ns: window.begin_ns, scale, groups, missing }
    }

    pub(crate) fn fits(&self, layout: &Layout) -> bool {
        self.groups.len() == layout.all_groups() && self.missing.len() == layout.features()
    }
}

//! One tumbling window, and what is kept of it once it is done.

use serde::{Deserialize, Serialize};
use weir_exchange::{Batch, Column, ColumnData, Role};
use weir_profile::{FeatureKind, Profile};

use super::export::Exported;
use super::layout::Layout;
use super::map::{Found, Map};
use super::part::{MISSING, OTHER_KIND, Part, Placed};
use super::rows::{Chosen, Scratch};

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

    /// Counts the chosen rows of a batch, a column at a time.
    pub(crate) fn count(&mut self, batch: &Batch, counting: &Counting<'_>, scratch: &mut Scratch) {
        let Counting { profile, layout, map, exported } = *counting;
        for (segment, rows) in scratch.any.segments.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            if self.segments.len() <= segment {
                self.segments.resize_with(segment + 1, || None);
            }
            let part = self.segments[segment].get_or_insert_with(|| Part::new(layout));
            part.add_rows(super::part::Rows { rows, weights: &scratch.weights }, &scratch.hashes);
        }
        self.whole.add_rows(scratch.any.rows(None, &scratch.weights), &scratch.hashes);
        for (at, feature) in profile.features.iter().enumerate() {
            let found = &map.features[at];
            let placed = place(batch, &feature.kind, (found, map), &mut scratch.placed);
            let chosen = if feature.role == Role::Input { &scratch.inputs } else { &scratch.predictions };
            self.add(layout, at, (chosen, &scratch.weights), placed);
            if let Some(exported) = exported {
                exported.add(at, &chosen.all, &scratch.weights, placed.bins());
            }
        }
    }

    fn add(&mut self, layout: &Layout, at: usize, (chosen, weights): (&Chosen, &[f64]), placed: Placed<'_>) {
        self.whole.add(layout, at, chosen.rows(None, weights), placed);
        for (segment, part) in self.segments.iter_mut().enumerate() {
            if let Some(part) = part {
                part.add(layout, at, chosen.rows(Some(segment), weights), placed);
            }
        }
    }
}

/// By what a batch is counted.
#[derive(Clone, Copy)]
pub(crate) struct Counting<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) layout: &'a Layout,
    pub(crate) map: &'a Map,
    pub(super) exported: Option<&'a Exported>,
}

/// Finds the bin of each value of a feature.
fn place<'a>(
    batch: &'a Batch,
    kind: &FeatureKind,
    (found, map): (&Found, &'a Map),
    bins: &'a mut Vec<u16>,
) -> Placed<'a> {
    let data = |at: Option<usize>| at.and_then(|at| batch.columns.get(at));
    let other = data(found.other);
    bins.clear();
    match (kind, data(found.column)) {
        (FeatureKind::Number { bins: edges, .. }, Some(ColumnData::Number(values))) => {
            edges.place_all(&values[..values.len().min(batch.rows)], MISSING, bins);
            rest(bins, batch.rows, other);
            Placed::Numbers { bins, values, range: edges.range() }
        }
        (FeatureKind::Category { .. }, Some(ColumnData::Code(codes))) => {
            let bin = |code: &u32| found.bins.get(*code as usize).copied().unwrap_or(MISSING);
            bins.extend(codes.iter().take(batch.rows).map(bin));
            rest(bins, batch.rows, other);
            let hashes = found.column.and_then(|at| map.hashes.get(at)).map_or(&[][..], Vec::as_slice);
            Placed::Texts { bins, codes, hashes }
        }
        _ if other.is_some() => {
            rest(bins, batch.rows, other);
            Placed::Numbers { bins, values: &[], range: (f64::NAN, f64::NAN) }
        }
        _ => Placed::Nothing,
    }
}

/// Rows beyond the end of a column are missing; so is what is missing here and there in the column of the
/// other kind too.
fn rest(bins: &mut Vec<u16>, rows: usize, other: Option<&ColumnData>) {
    bins.resize(rows, MISSING);
    let missing = bins.iter_mut().enumerate().filter(|(_, bin)| **bin == MISSING);
    match other {
        Some(ColumnData::Number(values)) => {
            missing
                .filter(|(row, _)| values.get(*row).is_some_and(|x| !x.is_nan()))
                .for_each(|(_, bin)| *bin = OTHER_KIND);
        }
        Some(ColumnData::Code(codes)) => {
            missing
                .filter(|(row, _)| codes.get(*row).is_some_and(|code| *code != Column::MISSING))
                .for_each(|(_, bin)| *bin = OTHER_KIND);
        }
        None => {}
    }
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

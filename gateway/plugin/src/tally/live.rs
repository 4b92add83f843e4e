//! Counts as they are now, for whoever looks at live traffic or makes a profile of it.

use std::sync::Arc;

use weir_profile::{BesideFeature, Cell, FeatureCounts, Profile};

use super::Tally;
use super::part::{Part, Side};
use super::window::{Counting, Window};

/// What a tally holds now, in the fine bins of its profile.
#[derive(Clone, Debug)]
pub struct LiveCounts {
    /// The tally's name.
    pub tally: Arc<str>,
    pub profile: Arc<Profile>,
    /// Input column of the segments.
    pub segment: Option<String>,
    /// Input columns that tell rows apart; empty: all.
    pub entity: Vec<String>,
    /// The newest window that rows come to.
    pub running: Option<LiveWindow>,
    /// The last one that closed.
    pub closed: Option<LiveWindow>,
}

/// Counts of one window.
#[derive(Clone, Debug)]
pub struct LiveWindow {
    pub begin_unix_ns: u64,
    pub end_unix_ns: u64,
    /// All rows first, then each segment that has rows.
    pub parts: Vec<LivePart>,
}

/// Counts of all rows of a window, or of one segment.
#[derive(Clone, Debug)]
pub struct LivePart {
    pub segment: Option<Arc<str>>,
    /// Rows counted.
    pub rows: u64,
    /// Rows that these stand for: each by the inverse of the probability it was observed with.
    pub weight: f64,
    /// How many of them are different.
    pub distinct: f64,
    /// How many equally weighted rows know as much.
    pub effective: f64,
    /// Parallel to the profile's features; weighted. Rows of the other kind count as missing.
    pub counts: Vec<FeatureCounts>,
    /// Parallel to them: what lies beyond the reference, or is of another kind.
    pub beside: Vec<BesideFeature>,
}

impl LivePart {
    /// As a cell of a profile, whose counts add up to its rows: a row counts as missing where its request or
    /// its reply was not read.
    pub fn cell(&self, slot: Option<u32>) -> Cell {
        let missing = |counts: &FeatureCounts| (self.weight - counts.bins.iter().sum::<f64>()).max(0.0);
        let whole =
            |counts: &FeatureCounts| FeatureCounts { bins: counts.bins.clone(), missing: missing(counts) };
        let repeated = if self.rows > 0 { self.distinct / self.rows as f64 } else { 1.0 };
        Cell {
            slot,
            segment: self.segment.clone(),
            rows: self.weight,
            distinct: self.weight * repeated.min(1.0),
            counts: self.counts.iter().map(whole).collect(),
        }
    }
}

impl Tally {
    pub(crate) fn live(&self) -> LiveCounts {
        let closed = self.waiting.back().or(self.last.as_ref());
        LiveCounts {
            tally: self.wish.name.clone(),
            profile: self.profile.clone(),
            segment: self.wish.shape.segment.clone(),
            entity: self.wish.entity(&self.profile).to_vec(),
            running: self.open.back().map(|window| self.live_window(&self.counted(window))),
            closed: closed.map(|window| self.live_window(window)),
        }
    }

    /// A window with its rows that wait to be counted: whoever looks leaves them to the judge.
    fn counted(&self, window: &Window) -> Window {
        let mut window = window.clone();
        if self.block.begin_ns == window.begin_ns {
            let counting = Counting { profile: &self.profile, layout: &self.layout, exported: None };
            window.count(&counting, &self.block);
        }
        window
    }

    fn live_window(&self, window: &Window) -> LiveWindow {
        let mut window = window.clone();
        window.close();
        let named = self.segments.names.iter().zip(&window.segments);
        let segments = named.filter_map(|(name, part)| Some((Some(name.clone()), part.as_ref()?)));
        let parts = std::iter::once((None, &window.whole)).chain(segments);
        LiveWindow {
            begin_unix_ns: window.begin_ns,
            end_unix_ns: window.begin_ns + self.span_ns(),
            parts: parts.map(|(segment, part)| self.live_part(segment, part)).collect(),
        }
    }

    fn live_part(&self, segment: Option<Arc<str>>, part: &Part) -> LivePart {
        let counts = part.sides.iter().enumerate().map(|(at, side)| FeatureCounts {
            bins: part.bins[self.layout.bins(at)].to_vec(),
            missing: side.missing + side.other_kind,
        });
        LivePart {
            segment,
            rows: part.rows,
            weight: part.weight,
            distinct: self.distinct(part),
            effective: self.effective(part),
            counts: counts.collect(),
            beside: part.sides.iter().map(beside).collect(),
        }
    }
}

fn beside(side: &Side) -> BesideFeature {
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    BesideFeature {
        below: side.below,
        above: side.above,
        lowest: finite(side.min),
        highest: finite(side.max),
        other_kind: side.other_kind,
    }
}

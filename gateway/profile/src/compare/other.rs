//! Another profile's counts, laid into the bins of this one.

use std::sync::Arc;

use weir_stats::drift::{Bins, Place};

use super::{Current, Outside};
use crate::profile::{Feature, FeatureCounts, FeatureKind, Profile};
use crate::sheet::to_number;

impl Current {
    /// The whole of another profile, in the bins of `reference`.
    ///
    /// Numbers were counted in other bins, so what falls where is known only about: rows of one bin are
    /// spread evenly around their mean, unless it says that they all lie on its upper edge.
    pub fn of_profile(reference: &Profile, other: &Profile) -> Self {
        let columns = other.features.iter().map(|f| (f.role, &*f.name, f.column_kind()));
        let mut current =
            Self { source: other.made.source.clone(), misfits: reference.fit(columns), ..Self::default() };
        let Some(cell) = other.cell(None, None) else { return current };
        (current.rows, current.distinct) = (cell.rows, cell.distinct);
        for (at, feature) in reference.features.iter().enumerate() {
            let found = other.feature(feature.role, &feature.name);
            let found = found.and_then(|at| other.features.get(at).zip(cell.counts.get(at)));
            let laid = found.map(|(from, counts)| laid(feature, from, counts));
            if let Some(note) = found.and_then(|(from, _)| other_kind(feature, from)) {
                current.notes.push((at, note));
            }
            let (counts, outside) = laid.unzip();
            current.counts.push(counts);
            current.outside.push(outside.unwrap_or_default());
        }
        current
    }
}

/// Where the rows of a bin above `lower` up to `upper` lie: evenly around their mean, as far as the bin
/// goes. A code for nothing, far from all others, would else draw the rows of the next bin towards it. Rows
/// that all equal the upper edge are there alone.
pub(crate) fn extent(lower: f64, upper: f64, mean: f64) -> (f64, f64) {
    if upper - mean <= 1e-9 * upper.abs().max(1.0) {
        return (upper, upper);
    }
    (lower.max(mean - (upper - mean)), upper.min(mean + (mean - lower)))
}

/// `"1"` against 1.
fn other_kind(then: &Feature, now: &Feature) -> Option<String> {
    let example = |texts: &[Arc<str>]| {
        let numbers = !texts.is_empty() && texts.iter().all(|text| to_number(text).is_some());
        texts.first().filter(|_| numbers).map(ToString::to_string)
    };
    match (&then.kind, &now.kind) {
        (FeatureKind::Number { .. }, FeatureKind::Category { texts }) => {
            Some(example(texts).map_or("texts where the reference has numbers".to_owned(), |text| {
                format!("texts such as \"{text}\" where the reference has numbers")
            }))
        }
        (FeatureKind::Category { texts }, FeatureKind::Number { .. }) => {
            Some(example(texts).map_or("numbers where the reference has texts".to_owned(), |text| {
                format!("numbers where the reference has texts such as \"{text}\"")
            }))
        }
        _ => None,
    }
}

/// Rows on their way into the bins of a feature.
struct Laid<'b> {
    bins: &'b Bins,
    counts: Vec<f64>,
    outside: Outside,
}

fn laid(into: &Feature, from: &Feature, counts: &FeatureCounts) -> (FeatureCounts, Outside) {
    let rows = || counts.bins.iter().copied();
    let (bins, outside) = match (&into.kind, &from.kind) {
        (FeatureKind::Number { bins, .. }, FeatureKind::Number { bins: others, .. }) => {
            let mut laid = Laid::new(bins);
            laid.add(others, &counts.bins);
            (laid.counts, laid.outside)
        }
        // Numbers that became texts are counted as far as they can be read.
        (FeatureKind::Number { bins, .. }, FeatureKind::Category { texts }) => {
            let mut laid = Laid::new(bins);
            let number = |at: usize| texts.get(at).and_then(|text| to_number(text)).unwrap_or(f64::NAN);
            rows().enumerate().for_each(|(at, count)| laid.put(number(at), count));
            (laid.counts, laid.outside)
        }
        (FeatureKind::Category { texts }, FeatureKind::Category { texts: others }) => {
            let place =
                |at: usize| others.get(at).and_then(|text| texts.iter().position(|known| known == text));
            (by_text(texts, rows().enumerate().map(|(at, count)| (place(at), count))), Outside::default())
        }
        (FeatureKind::Category { texts }, FeatureKind::Number { bins, .. }) => {
            let place = |x: &f64| texts.iter().position(|text| to_number(text) == Some(*x));
            (by_text(texts, bins.points().iter().map(place).zip(rows())), Outside::default())
        }
    };
    let present: f64 = rows().sum();
    // What could not be read is in no bin.
    let unread = (present - bins.iter().sum::<f64>()).max(0.0);
    let unread = if unread > 1e-9 * present { unread } else { 0.0 };
    (FeatureCounts { bins, missing: counts.missing + unread }, outside)
}

fn by_text(texts: &[Arc<str>], rows: impl Iterator<Item = (Option<usize>, f64)>) -> Vec<f64> {
    let mut counts = vec![0.0; texts.len() + 1];
    rows.for_each(|(place, count)| counts[place.unwrap_or(texts.len())] += count);
    counts
}

impl<'b> Laid<'b> {
    fn new(bins: &'b Bins) -> Self {
        Self { bins, counts: vec![0.0; bins.len()], outside: Outside::default() }
    }

    /// Adds rows that were counted in other bins.
    fn add(&mut self, others: &Bins, counts: &[f64]) {
        let (min, max) = others.range();
        let uppers = others.edges().iter().copied().chain([max]);
        let mut lower = min;
        for ((upper, point), count) in uppers.zip(others.points()).zip(counts) {
            let (from, to) = extent(lower, upper, *point);
            if from < to {
                self.spread((from, to), *count);
            } else {
                self.put(upper, *count);
            }
            lower = upper;
        }
        self.outside.lowest = Some(min).filter(|_| self.outside.below > 0.0);
        self.outside.highest = Some(max).filter(|_| self.outside.above > 0.0);
    }

    /// Spreads rows evenly between two values.
    fn spread(&mut self, (from, to): (f64, f64), count: f64) {
        let (min, max) = self.bins.range();
        let within = |x: &f64| *x > from && *x < to;
        let mut cuts: Vec<f64> = self.bins.edges().iter().copied().chain([min, max]).filter(within).collect();
        cuts.sort_by(f64::total_cmp);
        cuts.push(to);
        let mut lower = from;
        for upper in cuts {
            self.put(lower + (upper - lower) / 2.0, count * ((upper - lower) / (to - from)));
            lower = upper;
        }
    }

    fn put(&mut self, x: f64, count: f64) {
        let outside = &mut self.outside;
        match self.bins.place(x) {
            Place::Missing => {}
            Place::Inside(bin) => self.counts[bin] += count,
            Place::Below(bin) => {
                self.counts[bin] += count;
                outside.below += count;
                outside.lowest = Some(outside.lowest.map_or(x, |lowest| lowest.min(x)));
            }
            Place::Above(bin) => {
                self.counts[bin] += count;
                outside.above += count;
                outside.highest = Some(outside.highest.map_or(x, |highest| highest.max(x)));
            }
        }
    }
}

//! A window against a reference.

use weir_profile::{Feature, FeatureKind};
use weir_stats::drift::{self, Groups, Sample};

use super::Tally;
use super::part::Part;
use super::window::{Past, Window};
use crate::bindings::weir::plugin::types;
use crate::statistics::{effect, effect_sizes};

/// What a window is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against<'a> {
    /// The profile, of its slot of the season and the segment.
    Profile,
    /// All rows of the last windows that are done.
    Trailing(u32),
    /// The window that began so many ns earlier.
    Earlier(u64),
    /// The window of the same time in another tally, which has bins of the same profile.
    Other(&'a Tally),
}

/// A side of a comparison that has no fine bins any more.
struct Grouped {
    groups: Vec<f64>,
    missing: f64,
}

impl Tally {
    /// Compares what a feature had in the window that waits longest; `None` if there is nothing to compare
    /// with. Only the profile has counts of segments.
    pub(crate) fn compare(
        &self,
        feature: usize,
        segment: Option<usize>,
        against: Against<'_>,
    ) -> Option<types::Comparison> {
        let window = self.front()?;
        let part = window.part(segment)?;
        let known = self.profile.features.get(feature)?;
        if against == Against::Profile {
            let name = segment
                .map(|segment| self.segments.names.get(segment))
                .map_or(Some(None), |name| Some(Some(name?)))?;
            return self.with_profile((feature, known), (window, part), name.map(|name| &**name));
        }
        if segment.is_some() {
            return None;
        }
        let reference = match against {
            Against::Profile => return None,
            Against::Trailing(windows) => {
                let from = self.past.len().saturating_sub(windows as usize);
                self.sum(feature, self.past.iter().skip(from))?
            }
            Against::Earlier(ns) => {
                let begin_ns = window.begin_ns.checked_sub(ns)?;
                self.sum(feature, self.past.iter().filter(|past| past.begin_ns == begin_ns))?
            }
            Against::Other(other) => other.at(feature, window.begin_ns)?,
        };
        Some(self.with_grouped((feature, known), part, &reference))
    }

    /// The season's slot is that of the window's begin.
    fn with_profile(
        &self,
        (at, feature): (usize, &Feature),
        (window, part): (&Window, &Part),
        segment: Option<&str>,
    ) -> Option<types::Comparison> {
        let slot = self.profile.slot_at(window.begin_ns);
        let cell = self.profile.cell(slot, segment).or_else(|| self.profile.cell(None, segment))?;
        let counts = cell.counts.get(at)?;
        let profile = drift::Profile {
            reference: Sample {
                counts: &counts.bins,
                missing: counts.missing,
                factor: self.profile.scale(cell.rows, cell.distinct),
            },
            groups: &feature.groups,
            dispersion: feature.dispersion,
            missing_dispersion: feature.missing_dispersion,
            points: match &feature.kind {
                FeatureKind::Number { bins, .. } => Some(bins.points()),
                FeatureKind::Category { .. } => None,
            },
        };
        let current = Sample {
            counts: &part.bins[self.layout.bins(at)],
            missing: part.sides[at].missing,
            factor: self.scale(part),
        };
        Some(comparison(&profile, &current))
    }

    fn with_grouped(
        &self,
        (at, feature): (usize, &Feature),
        part: &Part,
        reference: &Grouped,
    ) -> types::Comparison {
        let groups = Groups::new((0..feature.groups.len()).collect());
        let points = self.group_points(at, feature);
        let profile = drift::Profile {
            // Each window of the reference is scaled by itself.
            reference: Sample { counts: &reference.groups, missing: reference.missing, factor: 1.0 },
            groups: &groups,
            dispersion: feature.dispersion,
            missing_dispersion: feature.missing_dispersion,
            points: points.as_deref(),
        };
        let current = Sample {
            counts: &feature.groups.sum(&part.bins[self.layout.bins(at)]),
            missing: part.sides[at].missing,
            factor: self.scale(part),
        };
        comparison(&profile, &current)
    }

    /// Where rows of the tested bins of a number lie: the mean of the reference's.
    fn group_points(&self, at: usize, feature: &Feature) -> Option<Vec<f64>> {
        let FeatureKind::Number { bins, .. } = &feature.kind else { return None };
        let counts = &self.profile.cell(None, None)?.counts.get(at)?.bins;
        let weighted: Vec<f64> = bins.points().iter().zip(counts).map(|(point, rows)| point * rows).collect();
        let sums = feature.groups.sum(&weighted);
        let means = sums.iter().zip(feature.groups.sum(counts)).map(|(sum, rows)| sum / rows);
        let means: Vec<f64> = means.collect();
        means.iter().all(|mean| mean.is_finite()).then_some(means)
    }

    /// Windows that are done, together; `None` without any.
    fn sum<'p>(&self, feature: usize, windows: impl Iterator<Item = &'p Past>) -> Option<Grouped> {
        let mut sum: Option<Grouped> = None;
        for past in windows {
            let groups = past.groups.get(self.layout.groups(feature))?;
            let missing = past.missing.get(feature)? * past.scale;
            let sum = sum.get_or_insert_with(|| Grouped { groups: vec![0.0; groups.len()], missing: 0.0 });
            sum.groups.iter_mut().zip(groups).for_each(|(sum, rows)| *sum += rows * past.scale);
            sum.missing += missing;
        }
        sum
    }

    /// The window of a time, done or not.
    fn at(&self, feature: usize, begin_ns: u64) -> Option<Grouped> {
        if let Some(done) = self.sum(feature, self.past.iter().filter(|past| past.begin_ns == begin_ns)) {
            return Some(done);
        }
        let window = self.waiting.iter().find(|window| window.begin_ns == begin_ns)?;
        let scale = self.scale(&window.whole);
        self.sum(feature, [Past::of(window, &self.profile, &self.layout, scale)].iter())
    }

    /// What a feature had in the window that waits longest.
    pub(crate) fn numbers(&self, feature: usize, segment: Option<usize>) -> Option<types::FeatureNumbers> {
        let window = self.front()?;
        let known = self.profile.features.get(feature)?;
        let part = window.part(segment)?;
        let (bins, side) = (part.bins.get(self.layout.bins(feature))?, part.sides.get(feature)?);
        let (min, max) = side.range();
        // They follow all rows, whatever their segment.
        let all = segment.is_none().then(|| window.changes.get(feature)).flatten();
        let changes = all.copied().unwrap_or_default();
        Some(types::FeatureNumbers {
            rows: bins.iter().sum::<f64>() + side.missing + side.other_kind,
            missing: side.missing,
            below: side.below,
            above: side.above,
            infinite: side.infinite,
            other_kind: side.other_kind,
            unseen: side.unseen,
            min,
            max,
            varies: side.varies,
            bins: known.groups.sum(bins),
            adwin: changes[0],
            page_hinkley: changes[1],
        })
    }

    /// The window that waits longest, in the plugin's words.
    pub(crate) fn closed(&self) -> Option<types::Closed> {
        let window = self.front()?;
        let part = &window.whole;
        let segments = self.segments.names.iter().enumerate().map(|(at, name)| {
            let part = window.part(Some(at));
            types::Segment {
                name: name.to_string(),
                rows: part.map_or(0, |part| part.rows),
                effective: part.map_or(0.0, |part| self.effective(part)),
            }
        });
        Some(types::Closed {
            begin_ns: window.begin_ns,
            end_ns: window.begin_ns + self.span_ns(),
            rows: part.rows,
            distinct: self.distinct(part),
            effective: self.effective(part),
            answered: window.observed + window.lost,
            observed: window.observed,
            segments: segments.collect(),
            last_look_ns: self.last_look_ns,
            unlooked: self.unlooked,
            dropped: window.dropped,
        })
    }
}

impl PartialEq for Tally {
    /// The same one.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Tally {}

fn comparison(profile: &drift::Profile<'_>, current: &Sample<'_>) -> types::Comparison {
    let found = drift::compare(profile, current);
    let none = types::Effect { raw: 0.0, corrected: 0.0 };
    let share = |sample: &Sample<'_>| {
        let rows = sample.counts.iter().sum::<f64>() + sample.missing;
        if rows > 0.0 { sample.missing / rows } else { 0.0 }
    };
    let bins = |sample: &Sample<'_>| {
        let groups = profile.groups.sum(sample.counts);
        groups.into_iter().map(|rows| rows * sample.factor).collect()
    };
    let all = |sample: &Sample<'_>| (sample.counts.iter().sum::<f64>() + sample.missing) * sample.factor;
    types::Comparison {
        values: types::Table {
            n: found.n,
            m: found.m,
            x2: found.test.map_or(0.0, |test| test.x2),
            dof: found.test.map_or(0, |test| test.dof),
            phi: profile.dispersion.phi,
            p: found.test.map_or(1.0, |test| test.p),
            alarm_p: found.significance.map_or(1.0, |significance| significance.p),
            psi: found.effects.as_ref().map_or(none, |effects| effect(effects.psi)),
        },
        effects: found.effects.map(effect_sizes),
        wasserstein: found.wasserstein.map(effect),
        ks_p: found.kolmogorov_smirnov.map_or(1.0, |ks| ks.p),
        missing: types::Table {
            n: all(&profile.reference),
            m: all(current),
            x2: found.missing.map_or(0.0, |missing| missing.x2),
            dof: u32::from(found.missing.is_some()),
            phi: profile.missing_dispersion.dispersion.phi,
            p: found.missing.map_or(1.0, |missing| {
                drift::chi2_sf(missing.x2 / profile.missing_dispersion.dispersion.phi.max(1.0), 1)
            }),
            alarm_p: found.missing.map_or(1.0, |missing| missing.p),
            psi: found.missing.map_or(none, |missing| effect(missing.psi)),
        },
        reference_missing: share(&profile.reference),
        current_missing: share(current),
        reference_bins: bins(&profile.reference),
        current_bins: bins(current),
    }
}

//! What the host does when a plugin asks for references and tallies.

use std::sync::Arc;

use weir_exchange::Role;
use weir_profile::{Feature, FeatureKind, Profile};
use weir_stats::drift::smallest_psi_of;

use crate::bindings::weir::plugin::{reference, types};
use crate::context::Context;
use crate::findings::{LONGEST_KIND, object};
use crate::handles::{Asked, Kind, NO_HANDLE, Target};
use crate::metrics::{Dropped, StateKind};
use crate::state::State;
use crate::tally::{Against, Owner, SharedTallies, Wish, bin_names, choose};

/// Things one call may ask to be done once it has returned.
const MOST_PENDING: usize = 1024;

/// What a call asked for that holds only if it returns.
#[derive(Debug)]
pub(crate) enum Pending {
    Done { place: usize, begin_ns: u64, looked: bool },
    Report { model: [Arc<str>; 3], kind: Arc<str>, finding: Arc<str> },
}

impl Context {
    /// The profile of a schema's model.
    fn profile_of(&self, schema: u32) -> Option<&Arc<Profile>> {
        choose(&self.profiles, &self.models.get(&schema)?.model)
    }

    fn feature_of(&self, schema: u32, feature: u32) -> Option<&Feature> {
        self.profile_of(schema)?.features.get(feature as usize)
    }

    fn tally_of(&self, tally: u32) -> Option<(SharedTallies, usize)> {
        let Some(Target::Tally(place)) = self.handles.get(tally) else {
            self.cells.dropped(Dropped::Handle, 1);
            return None;
        };
        Some((self.state.tallies.clone(), *place))
    }

    fn open_tally(&mut self, schema: u32, tally: &types::Tally) -> Option<u32> {
        let plan = self.plan.clone()?;
        let model = self.models.get(&schema)?.model.clone();
        let wish = Wish::new(tally, &plan)?;
        let profile = self.profile_of(schema)?.clone();
        // The question is the wish as a whole.
        let labels = Some(vec![format!("{wish:?}")]);
        let asked = Asked { schema, kind: Kind::Tally, index: 0, labels };
        if let Some(known) = self.handles.find(&asked) {
            return Some(known);
        }
        let State { families, windows, tallies, .. } = &mut *self.state;
        let owner = Owner { key: &self.key, families };
        let opened = tallies.lock().open((&model, wish), &profile, (owner, windows), self.now_ns);
        self.cells.dropped(Dropped::Room, u64::from(opened.is_none()));
        let opened = opened?;
        self.cells.resets(StateKind::Tally, u64::from(opened.reset));
        self.handles.add(asked, Target::Tally(opened.place))
    }

    fn later(&mut self, pending: Pending) {
        if self.pending.len() < MOST_PENDING {
            self.pending.push(pending);
        } else {
            self.cells.dropped(Dropped::Work, 1);
        }
    }
}

impl reference::Host for Context {
    fn profile(&mut self, schema: u32) -> Option<types::ProfileInfo> {
        let known = self.models.get(&schema)?;
        let profile = choose(&self.profiles, &known.model)?;
        let model = profile.model.as_ref();
        let whole = profile.cell(None, None);
        let segments = profile.cells.iter().filter(|cell| cell.slot.is_none());
        let features = profile.features.iter().enumerate();
        Some(types::ProfileInfo {
            digest: profile.digest.clone(),
            model: model.map_or_else(String::new, |model| model.name.clone()),
            model_version: model.and_then(|model| model.version.clone()).unwrap_or_default(),
            rows: whole.map_or(0.0, |cell| cell.rows),
            window_rows: profile.window_rows,
            blocks: profile.blocks,
            features: features.map(|(at, feature)| told(profile, at, feature)).collect(),
            segments: segments.filter_map(|cell| cell.segment.as_deref().map(str::to_owned)).collect(),
            misfits: known.misfits(profile),
        })
    }

    fn edges(&mut self, schema: u32, feature: u32) -> Vec<f64> {
        match self.feature_of(schema, feature).map(|feature| &feature.kind) {
            Some(FeatureKind::Number { bins, .. }) => bins.edges().to_vec(),
            _ => Vec::new(),
        }
    }

    fn bins(&mut self, schema: u32, feature: u32) -> Vec<(String, f64)> {
        let rows = |profile: &Arc<Profile>| {
            let known = profile.features.get(feature as usize)?;
            let counts = profile.cell(None, None)?.counts.get(feature as usize)?;
            Some(bin_names(known).into_iter().zip(known.groups.sum(&counts.bins)).collect())
        };
        self.profile_of(schema).and_then(rows).unwrap_or_default()
    }

    fn visible(&mut self, schema: u32, feature: u32, rows: f64, level: f64) -> Option<types::Sensitivity> {
        let profile = self.profile_of(schema)?;
        let known = profile.features.get(feature as usize)?;
        let whole = profile.cell(None, None)?;
        let n = whole.rows * profile.scale(whole.rows, whole.distinct);
        let dof = u32::try_from(known.groups.len().saturating_sub(1)).ok()?;
        Some(types::Sensitivity {
            cut_off_x2: known.dispersion.critical(level, dof),
            smallest_psi: smallest_psi_of((n, rows), level, dof, &known.dispersion),
        })
    }

    fn open(&mut self, schema: u32, tally: types::Tally) -> u32 {
        self.open_tally(schema, &tally).unwrap_or(NO_HANDLE)
    }

    fn next(&mut self, tally: u32) -> Option<types::Closed> {
        let (tallies, place) = self.tally_of(tally)?;
        tallies.lock().get(place)?.closed()
    }

    fn compare(
        &mut self,
        tally: u32,
        feature: u32,
        segment: Option<u32>,
        against: types::Against,
    ) -> Option<types::Comparison> {
        let (tallies, place) = self.tally_of(tally)?;
        let tallies = tallies.lock();
        let against = match against {
            types::Against::Profile => Against::Profile,
            types::Against::Trailing(windows) => Against::Trailing(windows),
            types::Against::Earlier(ns) => Against::Earlier(ns),
            types::Against::Version(version) => Against::Other(tallies.of_version(place, &version)?),
        };
        tallies.get(place)?.compare(feature as usize, segment.map(|segment| segment as usize), against)
    }

    fn numbers(&mut self, tally: u32, feature: u32, segment: Option<u32>) -> Option<types::FeatureNumbers> {
        let (tallies, place) = self.tally_of(tally)?;
        tallies.lock().get(place)?.numbers(feature as usize, segment.map(|segment| segment as usize))
    }

    fn done(&mut self, tally: u32, looked: bool) {
        let Some((tallies, place)) = self.tally_of(tally) else { return };
        let begin_ns = tallies.lock().get(place).and_then(|tally| tally.front().map(|it| it.begin_ns));
        if let Some(begin_ns) = begin_ns {
            self.later(Pending::Done { place, begin_ns, looked });
        }
    }

    fn report(&mut self, schema: u32, kind: String, finding: String) {
        let Some(known) = self.models.get(&schema) else {
            self.cells.dropped(Dropped::Handle, 1);
            return;
        };
        let model = known.model.clone();
        if !self.reports.pass(self.now_ns) {
            self.cells.dropped(Dropped::Finding, 1);
            return;
        }
        match object(&finding).filter(|_| (1..=LONGEST_KIND).contains(&kind.len())) {
            Some(finding) => self.later(Pending::Report { model, kind: kind.into(), finding }),
            None => self.cells.dropped(Dropped::Finding, 1),
        }
    }
}

fn told(profile: &Profile, at: usize, feature: &Feature) -> types::Feature {
    let (min, max) = match &feature.kind {
        FeatureKind::Number { bins, .. } => bins.range(),
        FeatureKind::Category { .. } => (f64::NAN, f64::NAN),
    };
    let missing = profile.cell(None, None).and_then(|cell| {
        let missing = cell.counts.get(at)?.missing / cell.rows;
        missing.is_finite().then_some(missing)
    });
    types::Feature {
        name: feature.name.to_string(),
        role: feature.role.as_str().to_owned(),
        kind: match feature.kind {
            FeatureKind::Number { .. } => types::Kind::Number,
            FeatureKind::Category { .. } => types::Kind::Code,
        },
        min,
        max,
        missing: missing.unwrap_or_default(),
        bins: feature.groups.len() as u32,
        phi: feature.dispersion.phi,
        unstable: feature.unstable.is_some(),
    }
}

/// Columns of a schema that a profile lacks, and the other way round.
pub(crate) fn misfits(profile: &Profile, columns: &[weir_exchange::Column]) -> Vec<types::Misfit> {
    let columns = columns.iter().map(|column| (column.role, &*column.name, column.kind));
    let found = profile.fit(columns);
    let misfit = |what: types::MisfitKind, role: Role, name: &Arc<str>| types::Misfit {
        role: role.as_str().to_owned(),
        name: name.to_string(),
        what,
    };
    let missing = found.missing.iter().map(|(role, name)| misfit(types::MisfitKind::Missing, *role, name));
    let extra = found.extra.iter().map(|(role, name)| misfit(types::MisfitKind::Extra, *role, name));
    let other =
        found.other_kind.iter().map(|(role, name, _)| misfit(types::MisfitKind::OtherKind, *role, name));
    missing.chain(extra).chain(other).collect()
}

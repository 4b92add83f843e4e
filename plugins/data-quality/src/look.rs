//! What a window holds of each feature, gathered over as many calls as it takes.

use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::{
    self, Against, Closed, Feature, FeatureNumbers, MisfitKind, ProfileInfo, Tally,
};
use weir_plugin_sdk::statistics;

use crate::check::{Check, Evidence, Found, Share};
use crate::settings::Settings;

/// Relative error of the gateway's count of different rows.
const DISTINCT_ERROR: f64 = 0.016_25;

/// A window and what it is judged by.
pub(crate) struct Case<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) settings: &'a Settings,
    pub(crate) tally: Tally,
    pub(crate) profile: &'a ProfileInfo,
    pub(crate) closed: &'a Closed,
}

/// A look that may take several calls.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) begin_ns: u64,
    next: usize,
    /// Checks that were made.
    pub(crate) family: usize,
    pub(crate) found: Vec<Found>,
    /// Bad rows by feature and check, of features with series of their own.
    pub(crate) shown: Vec<(usize, Check, f64)>,
}

impl Look {
    pub(crate) fn new(begin_ns: u64) -> Self {
        Self { begin_ns, ..Self::default() }
    }

    /// Features that are not looked at yet.
    pub(crate) fn left(&self, case: &Case) -> usize {
        case.profile.features.len().saturating_sub(self.next)
    }

    /// Looks at up to so many more features; true if those were all.
    pub(crate) fn go_on(&mut self, case: &Case, most: usize) -> bool {
        let all = case.profile.features.len();
        let end = all.min(self.next + most);
        for at in self.next..end {
            let feature = &case.profile.features[at];
            if !case.settings.ignores(&feature.name)
                && let Some(numbers) = case.tally.numbers(at, None)
            {
                Of { case, at, feature, numbers: &numbers }.look(self);
            }
        }
        self.next = end;
        if end == all {
            self.columns(case);
            self.duplicates(case);
        }
        end == all
    }

    fn add(&mut self, found: Option<Found>) {
        self.family += 1;
        self.found.extend(found);
    }

    /// Columns that are there too many, or not there.
    fn columns(&mut self, case: &Case) {
        let Case { settings, profile, .. } = case;
        for misfit in profile.misfits.iter().filter(|it| !settings.ignores(&it.name)) {
            let check = match misfit.what {
                MisfitKind::Missing => Check::MissingColumn,
                MisfitKind::Extra if settings.extra_columns => Check::ExtraColumn,
                // Its rows are counted as of another kind.
                MisfitKind::Extra | MisfitKind::OtherKind => continue,
            };
            if settings.makes(check, Some(&misfit.name)) {
                self.add(Some(Found::new(check, &misfit.name, None, Evidence::Fact)));
            }
        }
    }

    fn duplicates(&mut self, case: &Case) {
        let Case { settings, closed, .. } = case;
        let (rows, distinct) = (closed.rows as f64, closed.distinct);
        let Some(allowed) = settings.max_duplicates.filter(|_| rows > 0.0 && distinct > 0.0) else { return };
        if !settings.makes(Check::DuplicateRows, None) {
            return;
        }
        let z = ((1.0 - allowed) * rows - distinct) / (DISTINCT_ERROR * distinct);
        let p = if z > 0.0 { statistics::chi2_sf(z * z, 1) / 2.0 } else { 1.0 };
        let duplicates = rows - distinct;
        let evidence = Evidence::Chance { rows: duplicates, share: duplicates / rows, p };
        let found = (duplicates > 0.0).then(|| Found::new(Check::DuplicateRows, "", None, evidence));
        self.add(found);
    }
}

/// A feature in a window.
struct Of<'a> {
    case: &'a Case<'a>,
    at: usize,
    feature: &'a Feature,
    numbers: &'a FeatureNumbers,
}

impl Of<'_> {
    fn look(&self, look: &mut Look) {
        let Self { numbers, feature, .. } = self;
        // Whatever is not finite is out of the reference's range too, and told once.
        let out_of_range = (numbers.below + numbers.above - numbers.infinite).max(0.0);
        self.rows(look, Check::Missing, numbers.missing);
        self.rows(look, Check::Type, numbers.other_kind);
        match feature.kind {
            Kind::Number => {
                self.rows(look, Check::OutOfRange, out_of_range);
                self.rows(look, Check::NonFinite, numbers.infinite);
            }
            Kind::Code => self.rows(look, Check::UnseenCategory, numbers.unseen),
        }
        self.constant(look);
    }

    /// A feature whose own reference would raise alarms is only held to what no reference decides.
    fn makes(&self, check: Check) -> bool {
        let judged = !self.feature.unstable || matches!(check, Check::Type | Check::NonFinite);
        judged && self.case.settings.makes(check, Some(&self.feature.name))
    }

    fn rows(&self, look: &mut Look, check: Check, rows: f64) {
        if self.at < self.case.settings.max_features as usize {
            look.shown.push((self.at, check, rows));
        }
        if self.makes(check) {
            let found = (rows > 0.0).then(|| self.found(check, Evidence::Share(self.share(check, rows))));
            look.add(found);
        }
    }

    fn found(&self, check: Check, evidence: Evidence) -> Found {
        Found::new(check, &self.feature.name, Some(self.at), evidence)
    }

    fn share(&self, check: Check, rows: f64) -> Share {
        let Self { case, feature, numbers, .. } = self;
        let share = (rows / numbers.rows.max(rows)).min(1.0);
        let tolerance = case.settings.tolerance(&feature.name);
        let n = case.closed.effective / feature.phi.max(1.0);
        let alone = |allowed| Share { rows, share, n, allowed, reference: None };
        if check != Check::Missing {
            return alone(tolerance);
        }
        match case.settings.allowed_missing(&feature.name) {
            Some(allowed) => alone(allowed),
            None => self.missing(share, tolerance, rows),
        }
    }

    /// Missing rows are compared with the reference's, of its season if it has one. It is asked only for what
    /// could be too many.
    fn missing(&self, share: f64, tolerance: f64, rows: f64) -> Share {
        let Self { case, at, feature, .. } = self;
        let compared =
            (share > tolerance).then(|| case.tally.compare(*at, None, &Against::Profile)).flatten();
        let (before, of, n) = match compared {
            Some(it) => {
                let phi = it.missing.phi.max(1.0);
                (it.reference_missing, it.missing.n / phi, it.missing.m / phi)
            }
            None => {
                let phi = feature.phi.max(1.0);
                (feature.missing, case.profile.rows / phi, case.closed.effective / phi)
            }
        };
        Share { rows, share, n, allowed: before + tolerance, reference: Some((before, of, tolerance)) }
    }

    /// One value in every row, of a feature that had several. By chance so it would be with the share of the
    /// most frequent value to the power of rows; that of its bin is no smaller.
    fn constant(&self, look: &mut Look) {
        let Self { case, feature, numbers, at } = self;
        let varied = match feature.kind {
            Kind::Number => feature.min < feature.max,
            Kind::Code => feature.bins > 1,
        };
        if !varied || !self.makes(Check::Constant) {
            return;
        }
        let there = numbers.rows - numbers.missing - numbers.other_kind;
        let same = !numbers.varies && there >= case.settings.min_rows as f64;
        let evidence = || {
            let bins = reference::bins(case.schema, *at);
            let total: f64 = bins.iter().map(|(_, rows)| rows).sum();
            let most = bins.iter().map(|(_, rows)| *rows).fold(0.0, f64::max);
            let share = there / numbers.rows;
            let n = case.closed.effective * share / feature.phi.max(1.0);
            let p = if total > 0.0 { (most / total).powf(n) } else { 1.0 };
            Evidence::Chance { rows: there, share, p }
        };
        look.add(same.then(|| self.found(Check::Constant, evidence())));
    }
}

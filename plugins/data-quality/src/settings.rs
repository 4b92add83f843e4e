//! What may be set.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_plugin_sdk::prelude::*;

use crate::check::Check;

settings! {
    /// What is different about one feature, prediction or score.
    pub struct FeatureSettings {
        /// Share of rows that may lack it, in place of the reference's share and the tolerance.
        pub missing: Option<f64> = None,
        /// Share of rows beyond what is allowed that is tolerated, in place of the general one.
        pub tolerance: Option<f64> = None,
        /// Checks that are not made of it.
        pub skip: Vec<String> = Vec::new(),
    }
}

settings! {
    /// What counts as bad data, and how often that may be wrong. Range, categories, kinds and the share of
    /// missing values are those of the profile.
    pub struct Settings {
        /// Length of a window. Windows tumble and begin at multiples of it since 1970, UTC. At its end a
        /// window is looked at once.
        pub window: Duration = Duration::from_secs(3600),
        /// Looks a month (30 days) that may report anything though nothing has changed, of one model.
        pub budget: f64 = 1.0,
        /// Looks a month; windows that close sooner than their share of it are skipped and counted. By
        /// default every window is looked at.
        pub looks: Option<f64> = None,
        /// Share of rows beyond what is allowed that is tolerated: what is bad is counted from the first row
        /// on, and is an alarm when more than this share certainly is. Allowed are the reference's share of
        /// missing values, and none of another kind, out of range, of an unseen category or not finite. 0:
        /// a single such row is an alarm, and the budget does not cover values that the reference happens
        /// to lack.
        pub tolerance: f64 = 0.01,
        /// Share of rows that may be duplicates of another in their window; by default they are counted and
        /// never an alarm. The count of different rows has an error of 1.6 %, which is allowed for.
        pub max_duplicates: Option<f64> = None,
        /// Input columns that tell rows apart; empty: all.
        pub entity: Vec<String> = Vec::new(),
        /// An input column that the profile lacks is an alarm. One that the profile has and traffic lacks
        /// always is.
        pub extra_columns: bool = true,
        /// Age of a model's last row from which its traffic is `stale`; by default it never is.
        pub max_age: Option<Duration> = None,
        /// What is different about features, predictions and scores, by name.
        pub features: BTreeMap<String, FeatureSettings> = BTreeMap::new(),
        /// Checks that are not made: `missing`, `type`, `out_of_range`, `unseen_category`, `non_finite`,
        /// `constant`, `duplicate_rows`, `extra_column`, `missing_column`.
        pub skip: Vec<String> = Vec::new(),
        /// Features, predictions and scores that are not looked at.
        pub ignore: Vec<String> = Vec::new(),
        /// Rows below which a window is `not_enough_data`, and values below which none is constant.
        pub min_rows: u64 = 100,
        /// Share of the answered exchanges that must have been observed; less is `incomplete`.
        pub min_observed: f64 = 0.95,
        /// Features with series and conditions of their own: the first in the profile. The rest is in the
        /// findings.
        pub max_features: u64 = 50,
    }
}

impl Settings {
    pub(crate) fn check(&self, faults: &mut Faults) {
        let share = "expected a share from 0 to below 1";
        let fits = |it: Option<f64>| it.is_none_or(|it| (0.0..1.0).contains(&it));
        faults.check(fits(Some(self.tolerance)), "/tolerance", share);
        faults.check(fits(self.max_duplicates), "/max_duplicates", share);
        faults.check(self.max_age.is_none_or(|it| !it.is_zero()), "/max_age", "expected more than no time");
        let observed = self.min_observed > 0.0 && self.min_observed <= 1.0;
        faults.check(observed, "/min_observed", "expected a share above 0, at most 1");
        faults.check(self.min_rows > 0, "/min_rows", "expected at least 1");
        faults.check(self.max_features <= 1000, "/max_features", "expected at most 1000");
        known("/skip", &self.skip, faults);
        for (name, feature) in &self.features {
            let path = format!("/features/{name}");
            faults.check(fits(feature.missing), &format!("{path}/missing"), share);
            faults.check(fits(feature.tolerance), &format!("{path}/tolerance"), share);
            known(&format!("{path}/skip"), &feature.skip, faults);
        }
    }

    /// Whether a check is made of a feature, or of the rows.
    pub(crate) fn makes(&self, check: Check, feature: Option<&str>) -> bool {
        let skipped = |list: &[String]| list.iter().any(|it| it == check.as_str());
        let feature = feature.and_then(|name| self.features.get(name));
        !skipped(&self.skip) && !feature.is_some_and(|it| skipped(&it.skip))
    }

    pub(crate) fn tolerance(&self, feature: &str) -> f64 {
        self.features.get(feature).and_then(|it| it.tolerance).unwrap_or(self.tolerance)
    }

    /// The share of a feature's rows that may be missing, if it is said.
    pub(crate) fn allowed_missing(&self, feature: &str) -> Option<f64> {
        self.features.get(feature)?.missing
    }

    pub(crate) fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|it| it == name)
    }
}

fn known(path: &str, checks: &[String], faults: &mut Faults) {
    for (i, check) in checks.iter().enumerate() {
        let known = Check::ALL.iter().any(|it| it.as_str() == check);
        let all = Check::ALL.map(Check::as_str).join(", ");
        faults.check(known, &format!("{path}/{i}"), &format!("expected one of {all}"));
    }
}

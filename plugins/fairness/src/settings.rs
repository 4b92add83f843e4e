//! What may be set.

use std::time::Duration;

use weir_plugin_sdk::prelude::*;

settings! {
    /// Which groups are compared by which outcome, and how often an alarm may be wrong.
    pub struct Settings {
        /// Input column whose values are the groups: texts, or a few numbers.
        pub group: String = String::new(),
        /// Groups that are named in series and conditions. The others are in the findings by name, and
        /// elsewhere together, as `other`.
        pub values: Vec<String> = Vec::new(),
        /// Groups that are judged: those in `values` first, then as they come. What is left counts among the
        /// rest of the rows only.
        pub max_groups: u64 = 20,
        /// The favourable outcome, as the model predicts it: `approved`, `1`.
        pub positive: String = String::new(),
        /// The output that `positive` is a value of; empty: the first.
        pub output: String = String::new(),
        /// In place of `positive`: the score, by its class, or the output of numbers that is favourable from
        /// `threshold` on.
        pub score: String = String::new(),
        /// Where that begins.
        pub threshold: f64 = 0.5,
        /// How far back rows count. Groups are looked at once for each such time, at multiples of it since
        /// 1970, UTC.
        pub window: Duration = Duration::from_secs(86_400),
        /// Looks a month (30 days) that may report anything though all groups are treated alike, of one
        /// model.
        pub budget: f64 = 1.0,
        /// Looks a month; windows that end sooner than their share of it are skipped and counted. By default
        /// every window is looked at.
        pub looks: Option<f64> = None,
        /// Difference of selection rates between a group and all other rows (statistical parity difference)
        /// that is tolerated. 0: every one that is certain.
        pub min_difference: f64 = 0.05,
        /// Rows below which a group is not judged, and is named as having too few.
        pub min_rows: u64 = 100,
        /// Share of the exchanges that must have been observed; less is `incomplete`.
        pub min_observed: f64 = 0.95,
    }
}

impl Settings {
    pub(crate) fn check(&self, faults: &mut Faults) {
        faults.check(!self.group.is_empty(), "/group", "expected the name of an input column");
        let one = self.positive.is_empty() != self.score.is_empty();
        faults.check(one, "/positive", "expected the favourable outcome here, or a `score`, and not both");
        let output = self.output.is_empty() || self.score.is_empty();
        faults.check(output, "/output", "goes with `positive`, not with `score`");
        faults.check(self.threshold.is_finite(), "/threshold", "expected a number");
        let groups = (1..=100).contains(&self.max_groups);
        faults.check(groups, "/max_groups", "expected 1 to 100");
        let room = !groups || self.values.len() as u64 <= self.max_groups;
        faults.check(room, "/values", "expected at most `max_groups`");
        for (i, value) in self.values.iter().enumerate() {
            let twice = self.values[..i].contains(value);
            faults.check(!twice, &format!("/values/{i}"), "is there twice");
            let free = value != crate::metrics::OTHER;
            faults.check(free, &format!("/values/{i}"), "is what all that are not listed are called");
        }
        let part = (0.0..1.0).contains(&self.min_difference);
        faults.check(part, "/min_difference", "expected a difference from 0 to below 1");
        faults.check(self.min_rows > 0, "/min_rows", "expected at least 1");
        let observed = self.min_observed > 0.0 && self.min_observed <= 1.0;
        faults.check(observed, "/min_observed", "expected a share above 0, at most 1");
    }
}

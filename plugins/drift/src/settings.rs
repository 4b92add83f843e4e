//! What may be set, and what follows from it.

use std::time::Duration;

use weir_plugin_sdk::looks::Pace;
use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::Against;

settings! {
    /// What counts as drift, and how often it may be wrong.
    pub struct Settings {
        /// Length of a window. Windows tumble and begin at multiples of it since 1970, UTC. At its end a
        /// window is looked at once. A day sees all hours alike; a shorter window wants a season in the
        /// profile.
        pub window: Duration = Duration::from_secs(86_400),
        /// Looks a month (30 days) that may report anything though nothing has changed, of one model.
        pub budget: f64 = 1.0,
        /// Looks a month; windows that close sooner than their share of it are skipped and counted. By
        /// default every window is looked at. The fewer, the smaller the changes that are seen.
        pub looks: Option<f64> = None,
        /// Corrected PSI that a change must reach beside the test: what is real but too small to matter
        /// is not drift. 0: everything that is real.
        pub min_effect: f64 = 0.05,
        /// What windows are compared with: `profile`; `trailing:N`, the N windows before; `earlier:TIME`,
        /// the window that long before, such as `earlier:7d`; `version:V`, the same window of another
        /// version of the model.
        pub against: String = "profile".to_owned(),
        /// Rows below which a window is `not_enough_data`; by default those its profile is made for.
        pub min_rows: Option<u64> = None,
        /// Share of the answered exchanges that must have been observed; less is `incomplete`.
        pub min_observed: f64 = 0.95,
        /// Input column whose values are also looked at one by one, such as a country; empty: none.
        pub segment: String = String::new(),
        /// Most values of it.
        pub segments: u64 = 10,
        /// Input columns that tell rows apart, such as a customer's number: n counts how many are
        /// different. Empty: all inputs.
        pub entity: Vec<String> = Vec::new(),
        /// Features, predictions and scores that are not judged.
        pub ignore: Vec<String> = Vec::new(),
        /// Features with series of their own: the first in the profile. The rest is in the findings.
        pub max_features: u64 = 50,
        /// Rows between two false changes that ADWIN, and Page-Hinkley, may find in a feature, at least;
        /// they say when something changed, as `changes` and in the findings, and alarm nobody. They follow
        /// the rank in the reference of every number, at some hundred ns each. 0: they are off.
        pub run_length: u64 = 0,
    }
}

impl Settings {
    /// Notes every fault, and says how often windows are looked at.
    pub(crate) fn check(&self, faults: &mut Faults) -> Pace {
        let share = "expected a share above 0, at most 1";
        let pace = Pace::new(self.window, self.budget, self.looks, faults);
        faults.check((0.0..=100.0).contains(&self.min_effect), "/min_effect", "expected 0 to 100");
        faults.check(self.min_observed > 0.0 && self.min_observed <= 1.0, "/min_observed", share);
        faults.check((1..=100).contains(&self.segments), "/segments", "expected 1 to 100");
        faults.check(self.max_features <= 1000, "/max_features", "expected at most 1000");
        let runs = self.run_length == 0 || (1000..=1_000_000_000_000).contains(&self.run_length);
        faults.check(runs, "/run_length", "expected 0, or 1000 to 1000000000000");
        if self.reference().is_none() {
            let forms = "expected `profile`, `trailing:N` (1 to 100), `earlier:TIME` or `version:V`";
            faults.push("/against", forms);
        }
        pace
    }

    /// What windows are compared with.
    pub(crate) fn reference(&self) -> Option<Against> {
        let (kind, rest) = self.against.split_once(':').unwrap_or((&self.against, ""));
        match kind {
            "profile" if rest.is_empty() => Some(Against::Profile),
            "trailing" => rest.parse().ok().filter(|n| (1..=100).contains(n)).map(Against::Trailing),
            "earlier" => {
                let ns = u64::try_from(settings::duration(rest)?.as_nanos()).ok()?;
                let whole = ns > 0 && ns % self.span_ns().max(1) == 0;
                (whole && ns / self.span_ns().max(1) <= 1000).then_some(Against::Earlier(ns))
            }
            "version" if !rest.is_empty() => Some(Against::Version(rest.to_owned())),
            _ => None,
        }
    }

    /// Windows that have to be kept to be compared with.
    pub(crate) fn kept(&self) -> u32 {
        match self.reference() {
            Some(Against::Trailing(n)) => n,
            Some(Against::Earlier(ns)) => (ns / self.span_ns().max(1)) as u32,
            _ => 1,
        }
    }

    fn span_ns(&self) -> u64 {
        u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX)
    }
}

//! What traffic is compared with, and counts of traffic that the gateway keeps.
//!
//! A profile is a reference of a model's traffic, made by `weir profile build`; the setting `profile` of a
//! plugin names files, and the gateway picks the one of the schema's model. A tally counts the rows of a
//! model in the bins of its profile, window after window, while the plugin does nothing, and whatever
//! becomes of it. When a window has closed, the plugin looks at it in [`crate::Plugin::tick`]:
//!
//! ```no_run
//! # use weir_plugin_sdk::{prelude::*, reference::{Against, Tally, TallySpec}};
//! # fn tick(schema: &Schema) -> Option<()> {
//! let spec = TallySpec { name: "hours", span_ns: 3_600_000_000_000, ..TallySpec::default() };
//! let tally = Tally::open(schema, &spec)?;
//! if let Some(window) = tally.next() {
//!     let first = tally.compare(0, None, &Against::Profile);
//!     // ...
//!     tally.done(true);
//! #   let _ = (window, first);
//! }
//! # Some(())
//! # }
//! ```

use crate::bindings::weir::plugin::types;
use crate::manifest::Counter;
use crate::schema::Schema;

pub use types::{
    Against, Closed, Comparison, Feature, FeatureNumbers, Misfit, MisfitKind, ProfileInfo, Segment,
    Sensitivity, Table,
};

#[cfg(target_arch = "wasm32")]
use crate::bindings::weir::plugin::reference as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::reference as host;

/// Stands for no tally.
const NO_HANDLE: u32 = u32::MAX;

/// What to count.
#[derive(Clone, Copy, Debug, Default)]
pub struct TallySpec<'a> {
    pub name: &'a str,
    /// Length of a window. Windows begin at multiples of it since 1970, UTC.
    pub span_ns: u64,
    /// Windows kept after they are done, for [`Against::Trailing`] and [`Against::Earlier`].
    pub keep: u32,
    /// Input column whose values have counts of their own.
    pub segment: Option<&'a str>,
    /// Most of them.
    pub segments: u32,
    /// Input columns that tell rows apart; empty: all.
    pub entity: &'a [String],
    /// A counter with the labels `feature` and `bin`, to which the rows of the tested bins are added as they
    /// come, and how many features at most.
    pub exported: Option<(Counter, u32)>,
    /// Rows between two changes that ADWIN, and Page-Hinkley, find where nothing has changed, on average at
    /// least; 0: neither looks.
    pub run_length: u64,
}

/// Counts of one model's rows in tumbling windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally(u32);

/// The profile of a schema's model, if the settings name one that is its own or anybody's.
pub fn profile(schema: &Schema) -> Option<ProfileInfo> {
    host::profile(schema.id)
}

/// Upper edges of the fine bins of a feature but for the last; empty for categories.
pub fn edges(schema: &Schema, feature: usize) -> Vec<f64> {
    host::edges(schema.id, feature as u32)
}

/// Names of the bins that are tested of a feature, with their reference rows.
pub fn bins(schema: &Schema, feature: usize) -> Vec<(String, f64)> {
    host::bins(schema.id, feature as u32)
}

/// What a look at so many rows of a feature can see at this level of one hypothesis; none without such a
/// feature.
pub fn visible(schema: &Schema, feature: usize, rows: f64, level: f64) -> Option<Sensitivity> {
    host::visible(schema.id, feature as u32, rows, level)
}

/// Says a finding about a schema's model, an object: the admin API shows it until the next of its kind, and
/// it is written to the verdict log.
pub fn report(schema: &Schema, kind: &str, finding: &serde_json::Value) {
    host::report(schema.id, kind, &finding.to_string());
}

/// The same of a finding that is text already: one that was put together over several calls.
pub fn report_text(schema: &Schema, kind: &str, finding: &str) {
    host::report(schema.id, kind, finding);
}

/// What a feature is called where only its name is said: an output or a score with the name of another
/// feature carries its role, as in the counters of [`TallySpec::exported`].
pub fn label(profile: &ProfileInfo, feature: usize) -> String {
    let Some(it) = profile.features.get(feature) else { return String::new() };
    let twin = profile.features[..feature].iter().any(|other| other.name == it.name);
    if twin && it.role != crate::role::INPUT { format!("{}.{}", it.role, it.name) } else { it.name.clone() }
}

impl Tally {
    /// Begins to count, from the running batch on, or goes on; none without a profile.
    pub fn open(schema: &Schema, spec: &TallySpec) -> Option<Self> {
        let wire = types::Tally {
            name: spec.name.to_owned(),
            span_ns: spec.span_ns,
            keep: spec.keep,
            segment: spec.segment.map(str::to_owned),
            segments: spec.segments,
            entity: spec.entity.to_vec(),
            exported_as: spec.exported.map(|(counter, _)| counter.0),
            exported: spec.exported.map_or(0, |(_, features)| features),
            run_length: spec.run_length,
        };
        let handle = host::open(schema.id, &wire);
        (handle != NO_HANDLE).then_some(Self(handle))
    }

    /// The oldest window that has closed and is not [`Tally::done`].
    pub fn next(self) -> Option<Closed> {
        host::next(self.0)
    }

    /// Compares what a feature, or one segment of it, had in that window.
    pub fn compare(self, feature: usize, segment: Option<usize>, against: &Against) -> Option<Comparison> {
        host::compare(self.0, feature as u32, segment.map(|it| it as u32), against)
    }

    /// What a feature, or one segment of it, had in that window.
    pub fn numbers(self, feature: usize, segment: Option<usize>) -> Option<FeatureNumbers> {
        host::numbers(self.0, feature as u32, segment.map(|it| it as u32))
    }

    /// That window has been judged: the next one is seen in the next call, since this holds once the running
    /// call has returned. `looked`: its rows were tested.
    pub fn done(self, looked: bool) {
        host::done(self.0, looked);
    }
}

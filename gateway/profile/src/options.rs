//! What can be asked of a build.

use std::time::Duration;

use crate::profile::{Made, ModelRef, Profile};
use crate::season::Season;
use crate::time::TimeColumns;

/// How to make a profile of a sheet. Columns are called by name.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Where the rows come from, and who says so; `rows` is filled in.
    pub made: Made,
    pub model: Option<ModelRef>,
    /// Columns that the model takes, if that is known: all others are left out, and these are features
    /// whatever they look like.
    pub inputs: Option<Vec<String>>,
    /// The column that is predicted; left out.
    pub label: Option<String>,
    /// Columns to leave out.
    pub ignore: Vec<String>,
    /// Columns that are features, whatever they look like.
    pub keep: Vec<String>,
    /// The column of predictions, and its name live.
    pub prediction: Option<(String, String)>,
    /// Columns of class scores, each named as its class.
    pub scores: Vec<String>,
    pub time: Option<TimeColumns>,
    /// Length of the blocks that phi comes from; needs a time.
    pub block: Option<Duration>,
    /// Replays the reference through itself by windows of this length; needs a time.
    pub window: Option<Duration>,
    /// Alarms a month that are put up with, over all features.
    pub budget: f64,
    /// Keeps a reference a slot; needs a time.
    pub season: Option<Season>,
    /// Keeps a reference for each of the column's most frequent values.
    pub segment: Option<String>,
    /// Counts distinct values of this column instead of rows; left out.
    pub entity: Option<String>,
    /// Rows of the smallest window that is judged; chosen by the windows if absent.
    pub window_rows: Option<u64>,
}

impl BuildOptions {
    /// A profile without a time, of rows from `source` at `at_unix_ms`.
    pub fn new(source: &str, at_unix_ms: u64) -> Self {
        let weir_version = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            made: Made { at_unix_ms, source: source.to_owned(), weir_version, ..Made::default() },
            model: None,
            inputs: None,
            label: None,
            ignore: Vec::new(),
            keep: Vec::new(),
            prediction: None,
            scores: Vec::new(),
            time: None,
            block: None,
            window: None,
            budget: 1.0,
            season: None,
            segment: None,
            entity: None,
            window_rows: None,
        }
    }
}

/// A profile, and what a person should know of how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// Sealed.
    pub profile: Profile,
    /// What may be wrong with the data, in words.
    pub warnings: Vec<String>,
    /// Time of the first and the last row, in milliseconds since 1970.
    pub span: Option<(i64, i64)>,
    pub replay: Option<Replay>,
}

/// What the reference would have said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Looks that held enough rows to be judged.
    pub judged: u32,
    /// Looks that held too few.
    pub too_small: u32,
    /// Length of all windows with a row, in months of 30 days.
    pub months: f64,
    /// Alarms of each feature, parallel to the profile's.
    pub alarms: Vec<u32>,
}

impl Replay {
    /// Alarms a month of a feature.
    pub fn monthly(&self, feature: usize) -> f64 {
        let alarms = self.alarms.get(feature).copied().unwrap_or_default();
        if self.months > 0.0 { f64::from(alarms) / self.months } else { 0.0 }
    }
}

//! A profile: what a model's inputs and predictions looked like, in fixed bins, to be compared with later.
//!
//! [`Profile::read`] takes a file, [`Profile::to_json`] writes one. Counts of a live window are kept in the
//! same bins (`FeatureKind`) and tested in the same groups as the reference's.

mod build;
mod compare;
mod draw;
mod error;
mod file;
mod fit;
mod live;
mod options;
mod profile;
mod season;
mod sheet;
mod source;
mod time;

pub use build::build;
pub use compare::{Change, Comparison, Current, Outside, Skew, Verdict};
pub use draw::length;
pub use error::{BuildError, ProfileError};
pub use file::{LARGEST_FILE, VERSION};
pub use fit::Misfits;
pub use live::{Beside, BesideFeature, LiveColumn};
pub use options::{BuildOptions, Built, Replay};
pub use profile::{Cell, Feature, FeatureCounts, FeatureKind, LeftOut, Made, ModelRef, Profile};
pub use season::Season;
pub use sheet::{Sheet, SheetColumn, Texts, Typing, Values};
pub use time::{Part as TimePart, TimeColumns, TimeFrom};

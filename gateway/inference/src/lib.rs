//! Models that Weir trains and runs itself: a CSV in, a model file out, and predictions under the protocols
//! of a forwarded model.
//!
//! [`train`] makes a [`Model`], which is written and read as bytes; [`Served`] answers requests with it, in
//! place or on threads of its own. This is the only room that names an ML runtime, and it needs it for
//! training only: what was learnt is kept in flat arrays of our own.

mod about;
mod encode;
mod error;
mod file;
mod forest;
mod input;
mod linear;
mod metrics;
mod model;
mod serve;
mod train;

pub use about::{About, Algorithm, Category, Feature, Kind, Rows, Validation};
pub use error::{InputError, ModelError, TrainError};
pub use model::Model;
pub use serve::{ServeOptions, Served, Submitted};
pub use train::{Row, TrainOptions, Value, holdout_rows, train};

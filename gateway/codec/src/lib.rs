//! Bytes of a protocol to tables, and a local model's answer to bytes.
//!
//! Pure and total: every function here is a function of its arguments, and every body, however broken, ends
//! in rows or in a [`DecodeError`]. No I/O, no clock, no shared state.

mod body;
mod csv_rows;
mod decoder;
pub mod encode;
mod error;
mod json;
mod meaning;
mod model_path;
mod protocol;
mod read;

pub use body::Body;
pub use decoder::Decoder;
pub use error::{DecodeError, DecodeErrorKind, DecodeLimits};
pub use meaning::{SCORE_NAMES, SUM_TOLERANCE, classify};
pub use model_path::model_in_path;

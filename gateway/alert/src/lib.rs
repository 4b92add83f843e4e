//! Rules over Weir's own series, service level objectives, and delivery of the alerts that come of them.

mod alert;
pub mod delivery;

pub use alert::{Alert, Fingerprint};

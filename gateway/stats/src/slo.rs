//! Objectives over time: good and bad events, how fast they spend the budget, and what is left of it.
//!
//! Everything is a sum of events over a window, never an average of ratios: an hour with one request counts
//! as one request. Time that nobody observed is unknown, not good; every sum says how much of its window was
//! observed. Times and spans are ns; since snapshots outlive a process, times are those of one clock that
//! does too, such as Unix time.

mod burn;
mod log;
mod ring;
mod snapshot;

pub use burn::{
    Pair, PairState, SHORT_COVERED, Severity, budget_left, burn, default_pairs, judge, largest_factor,
};
pub use log::{EventLog, MAX_PERIOD_NS, Run, Sum, TICK_NS};
pub use snapshot::{RestoreError, Snapshot, Stretch};

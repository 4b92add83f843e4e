//! The line as its neighbours see it: exchanges handed off on one side, metrics and judged batches on the
//! other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod counting;
mod events;
mod governing;
mod judges;
mod naming;
mod reading;
mod schemas;
mod support;

//! The plugin host: WebAssembly components that judge batches, held to limits, replaced while batches flow.
//!
//! The only crate that names wasmtime. [`Host::prepare`] does everything that can fail, [`Set::commit`]
//! swaps; a [`PluginJudge`] then lives on a thread of its own and never fails: what a plugin does wrong costs
//! its own telemetry, counted where it happens.

mod apply;
mod bench;
mod bindings;
mod breaker;
mod cache;
mod conditions;
mod context;
mod engine;
mod error;
mod exports;
mod family;
mod fault;
mod findings;
mod handles;
mod host;
mod inspect;
mod instance;
mod judge;
mod limiter;
mod link;
mod meter;
mod metrics;
mod places;
mod plan;
mod prepared;
mod reference;
mod share;
mod slot;
mod spec;
mod state;
mod statistics;
mod synthetic;
mod tally;
mod trial;
mod view;
mod windows;

pub use bench::{BenchOptions, BenchReport, bench, count_cost};
pub use error::{HostError, LoadError, LoadFault};
pub use findings::{Finding, FindingSink};
pub use host::{Change, Declaration, Host, HostOptions, Set, Tried};
pub use inspect::{Inspection, inspect};
pub use judge::PluginJudge;
pub use spec::{Limits, PluginSpec};
pub use tally::{Coverage, LiveCounts, LivePart, LiveWindow};

/// The interface plugins are made for.
pub(crate) const PACKAGE: &str = "weir:plugin";
pub(crate) const INTERFACE: &str = "weir:plugin/plugin@0.1.1";

/// Largest component. A Python guest, interpreter included, has 18 MB.
pub const MOST_COMPONENT_BYTES: usize = 64 << 20;

//! The peer of Weir's `confidence`, `feature-stats` and `sampler` plugins: one Envoy Wasm filter that does
//! the work of all three, written as fast as the proxy-wasm interface lets it. Bodies cross into the guest
//! once each, numbers are flattened while parsing, and all counting happens in guest memory; Envoy's own
//! counters are fed once a second.

pub mod body;
pub mod measure;

#[cfg(target_arch = "wasm32")]
mod filter;

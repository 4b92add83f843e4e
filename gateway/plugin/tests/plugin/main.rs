//! The plugin host with real components: small ones, written as WebAssembly text.

mod life;
mod limits;
mod load;
mod outcome;
mod support;
mod tally;

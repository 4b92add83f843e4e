//! What a plugin is asked for by.

use std::sync::Arc;

use weir_profile::Profile;

/// A plugin of the configuration, with its component read.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// Its key in the configuration; the label `plugin`.
    pub key: Arc<str>,
    /// Where the component came from, for messages.
    pub path: String,
    pub component: Arc<[u8]>,
    /// A JSON object.
    pub settings: String,
    /// Routes whose traffic it gets; `None`: all.
    pub routes: Option<Vec<Arc<str>>>,
    pub limits: Limits,
    /// References for the models whose traffic it gets. The first that is bound to a model and its version
    /// counts, else the first bound to the model, else the first bound to none.
    pub profiles: Vec<Arc<Profile>>,
}

/// What a plugin may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of linear memory; its windows and tallies with the host may take as many again.
    pub memory: usize,
    /// Share of one core.
    pub cpu: f64,
    /// Wasmtime fuel, about one for each instruction.
    pub fuel_per_row: u64,
    pub fuel_per_batch: u64,
    /// Bytes that one call may return, and that one call may pass to the host.
    pub result_bytes: usize,
    /// Series of one metric.
    pub series: usize,
    /// Log lines in a second.
    pub log_lines: u32,
}

impl Default for Limits {
    /// Those of the configuration.
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            cpu: 0.1,
            fuel_per_row: 100_000,
            fuel_per_batch: 10_000_000,
            result_bytes: 1 << 20,
            series: 1000,
            log_lines: 10,
        }
    }
}

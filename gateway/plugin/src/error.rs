//! Why a host cannot be made, and why a plugin cannot be loaded.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use weir_telemetry::RegistryError;

use crate::{INTERFACE, MOST_COMPONENT_BYTES};

/// Why there is no plugin host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    #[error("the folder `{}` cannot hold compiled plugins: {cause} (it must be ours alone)", path.display())]
    Cache { path: PathBuf, cause: io::Error },
    #[error("{0}")]
    Metrics(#[from] RegistryError),
    #[error("the watchdog thread does not start: {0}")]
    Watchdog(io::Error),
}

/// One thing for which a plugin is not loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("plugin `{key}` (`{path}`) {fault}")]
pub struct LoadError {
    /// The plugin's key in the configuration.
    pub key: Arc<str>,
    /// Where its component came from.
    pub path: String,
    pub fault: LoadFault,
}

/// What does not fit. Reads as the end of a sentence that begins with the plugin.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadFault {
    #[error("has the key of another plugin (rename one of them)")]
    DuplicateKey,
    #[error("has {bytes} bytes, more than the {MOST_COMPONENT_BYTES} a component may have (strip it)")]
    TooLarge { bytes: usize },
    #[error("is no WebAssembly file (build it with `weir plugin build`)")]
    NotWasm,
    #[error(
        "is a core module, not a component (build it with `weir plugin build`, or wrap it with `wasm-tools \
         component new`)"
    )]
    CoreModule,
    #[error("cannot be compiled: {0} (is the file whole?)")]
    Compile(String),
    #[error("imports `{name}`, which no plugin gets ({})", import_hint(name))]
    Import { name: String },
    #[error(
        "is made for `{found}`, while this gateway serves `{INTERFACE}` (rebuild it with a matching SDK)"
    )]
    Version { found: String },
    #[error("does not export `{INTERFACE}` (a Rust plugin ends in `weir_plugin_sdk::export!(MyPlugin);`)")]
    NoPlugin,
    #[error("does not fit `{INTERFACE}`: {0} (rebuild it with a matching SDK)")]
    Mismatch(String),
    #[error("says in `describe` that {0}")]
    Identity(String),
    #[error("has settings that are no JSON object: {0}")]
    SettingsForm(String),
    /// `pointer` is a JSON pointer (RFC 6901); empty for the whole.
    #[error("has a fault in its settings{}: {message}", at(pointer))]
    Settings { pointer: String, message: String },
    #[error("declares what does not fit: {0}")]
    Manifest(String),
    #[error("cannot export its metrics: {0}")]
    Metric(RegistryError),
    #[error("{0} when it was tried before use")]
    Trial(String),
}

impl LoadFault {
    pub(crate) fn of(self, key: &Arc<str>, path: &str) -> LoadError {
        LoadError { key: key.clone(), path: path.to_owned(), fault: self }
    }
}

fn at(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" at `{pointer}`") }
}

fn import_hint(name: &str) -> &'static str {
    if name.starts_with("wasi:") {
        "leave WASI out: build Rust and C for wasm32-unknown-unknown, Python with `componentize-py -s`, JavaScript \
         with `componentize-qjs --stub-wasi` or componentize-js with `disableFeatures`"
    } else {
        "plugins import the interfaces `host`, `statistics` and `reference` of `weir:plugin` and nothing else"
    }
}

//! `[plugin.NAME]`: what judges traffic, and what it may spend.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use toml::de::DeTable;

use crate::backend::{Artifact, PluginPath};
use crate::fault::Place;
use crate::key::{Table, section};
use crate::kind::{Count, Entry, Free, List, Placed, Share, Size, Sub, Text};
use crate::reader::{At, Reader};
use crate::section::{Keys, read};

section! {
    /// A sandboxed WebAssembly component that judges batches of predictions. Replacing the file reloads it.
    pub(crate) struct PluginKeys {
        /// Component file, or `builtin:NAME` for one that is compiled in: confidence, data-quality, drift,
        /// fairness, feature-stats, outlier, sampler.
        path: Option<At<String>> = required("\"builtin:confidence\"", Placed(Text));
        /// Routes whose traffic it gets; empty for all.
        pub(crate) routes: Vec<At<String>> = default("[]", List::up_to(1000, Placed(Text)));
        /// The plugin's own settings; `weir plugin inspect` shows what it knows. `profile` among them is a
        /// file made by `weir profile build`, or a list of them for several models or versions: what the
        /// plugin compares traffic with, read by Weir.
        config: Value = default("{}", Free);
        /// What it may spend.
        limits: PluginLimits = default("{}", Sub::<PluginLimits>::NEW);
    }
}

section! {
    /// What a plugin may spend. Past a limit it loses telemetry, which is counted; traffic never notices.
    pub struct PluginLimits {
        /// Linear memory.
        pub memory: usize = default("\"32MiB\"", Size::new(1 << 20, 4 << 30));
        /// Share of one core. A plugin past it gets a sample of its batches.
        pub cpu: f64 = default("\"10%\"", Share::from(0.1));
        /// Work for each row of a batch, in wasmtime fuel: about one for each instruction.
        pub fuel_per_row: u64 = default("100000", Count::new(100, 1_000_000_000));
        /// Work for each call, on top of that for its rows.
        pub fuel_per_batch: u64 = default("10000000", Count::new(10_000, 100_000_000_000));
        /// What one call may return.
        pub result_bytes: usize = default("\"1MiB\"", Size::new(1 << 10, 256 << 20));
        /// Series of one metric; further ones share the overflow series.
        pub series: usize = default("1000", Count::new(1, 100_000));
        /// Log lines in a second; further ones are counted.
        pub log_lines: u32 = default("10", Count::new(0, 10_000));
    }
}

impl Entry for PluginKeys {
    const TABLES: &'static [&'static Table] = &[Self::TABLE];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self {
        read(table, place, reader)
    }
}

/// `config.profile` is neither a file nor a list of files, or the list is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotProfiles;

impl fmt::Display for NotProfiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a file made by `weir profile build`, or a list of at least one")
    }
}

/// A plugin by its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Its name in the configuration and in the label `plugin`.
    pub key: Arc<str>,
    pub path: PluginPath,
    /// Empty: all. Every name is a route's.
    pub routes: Vec<Arc<str>>,
    /// The `config` table as a JSON object without `profile`, `{}` if there is none.
    pub config_json: String,
    /// What `config.profile` names; an error if that is neither a text nor a list of texts, or an
    /// empty one.
    pub profiles: Result<Vec<Artifact>, NotProfiles>,
    pub limits: PluginLimits,
}

impl At<PluginKeys> {
    pub(crate) fn resolve(self, base: &Path) -> Option<Plugin> {
        let mut keys = self.value;
        let profiles = keys.config.as_object_mut().and_then(|config| config.shift_remove("profile"));
        Some(Plugin {
            profiles: profiles.map_or(Ok(Vec::new()), |named| read_profiles(&named, base)),
            key: self.shown.into(),
            path: Artifact::resolve(&keys.path?.value, base),
            routes: keys.routes.into_iter().map(|route| route.value.into()).collect(),
            config_json: keys.config.to_string(),
            limits: keys.limits,
        })
    }
}

fn read_profiles(named: &Value, base: &Path) -> Result<Vec<Artifact>, NotProfiles> {
    let one = |name: &Value| Some(Artifact::resolve(name.as_str().filter(|name| !name.is_empty())?, base));
    let all = match named {
        // Who writes an empty list believes that something is judged.
        Value::Array(names) if names.is_empty() => None,
        Value::Array(names) => names.iter().map(one).collect(),
        name => one(name).map(|it| vec![it]),
    };
    all.ok_or(NotProfiles)
}

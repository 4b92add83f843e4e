//! A generation in the making: read, check, compile, load. Everything that can fail happens here and changes
//! nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_alert::Orders;
use weir_config::{Artifact, BackendKind, Config, Faults, Loaded, fixed_until_restart};
use weir_plugin::Set;
use weir_proxy::{EndpointBook, RouteIds, Snapshot, SnapshotParts};

use crate::artifacts::{Models, Plugins, Sha};
use crate::exports::Outlets;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    /// The default that is compiled in.
    Embedded,
}

impl Source {
    pub(crate) fn new(config: Option<PathBuf>) -> Self {
        config.map_or(Self::Embedded, Self::File)
    }

    pub(crate) fn load(&self) -> Result<Loaded, Faults> {
        match self {
            Self::File(path) => Config::load(path),
            Self::Embedded => Ok(Config::embedded()),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Embedded => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Embedded => f.write_str("the built-in configuration"),
        }
    }
}

/// What a refused generation failed on, as `weir_reload_total{what}` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Config,
    Plugin,
    Model,
}

impl What {
    pub(crate) const ALL: [Self; 3] = [Self::Config, Self::Plugin, Self::Model];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Plugin => "plugin",
            Self::Model => "model",
        }
    }
}

/// Why a generation was refused. The one in force goes on.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) what: What,
    pub(crate) message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    pub(crate) fn new(what: What, message: impl fmt::Display) -> Self {
        Self { what, message: message.to_string() }
    }
}

/// A generation that can be put in force by stores that cannot fail.
pub(crate) struct Prepared {
    pub(crate) number: u64,
    pub(crate) loaded: Loaded,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) models: Models,
    pub(crate) plugins: Set,
    pub(crate) outlets: Outlets,
    pub(crate) orders: Orders,
    pub(crate) fingerprint: Fingerprint,
}

/// Everything beside the snapshot that a generation is made of.
pub(crate) struct Made {
    pub(crate) models: Models,
    pub(crate) plugins: Plugins,
    pub(crate) outlets: Outlets,
    pub(crate) orders: Orders,
}

/// Digests of what a generation was made from, beside its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) models: BTreeMap<Arc<str>, Sha>,
    pub(crate) plugins: BTreeMap<Arc<str>, Sha>,
}

impl Prepared {
    /// Builds the snapshot around models and plugins that are ready.
    pub(crate) fn assemble(
        number: u64,
        loaded: Loaded,
        Made { models, plugins, outlets, orders }: Made,
        (ids, endpoints): (&RouteIds, &EndpointBook),
    ) -> Self {
        let parts = SnapshotParts {
            generation: number,
            config: &loaded.config,
            models: &models.seams(),
            ids,
            endpoints,
        };
        let snapshot = Arc::new(Snapshot::new(&parts));
        let fingerprint = Fingerprint { models: models.digests(), plugins: plugins.digests };
        Self { number, loaded, snapshot, models, plugins: plugins.set, outlets, orders, fingerprint }
    }

    /// What is in it, in a line.
    pub(crate) fn summary(&self) -> String {
        let config = &self.loaded.config;
        format!(
            "{}, {}, {}, {}, {}: all well",
            counted(config.routes.len(), "route"),
            counted(config.backends.len(), "backend"),
            counted(config.plugins.len(), "plugin"),
            counted(config.alerts.len(), "alert"),
            counted(config.slos.len(), "objective"),
        )
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Refuses what only a restart can change.
pub(crate) fn refuse_fixed(old: &Config, new: &Config) -> Result<(), Refused> {
    let fixed = fixed_until_restart(old, new);
    let lines: Vec<String> = fixed.iter().map(ToString::to_string).collect();
    if lines.is_empty() { Ok(()) } else { Err(Refused::new(What::Config, lines.join("\n"))) }
}

/// Every file a generation was made from.
pub(crate) fn files(source: &Source, config: &Config) -> Vec<PathBuf> {
    let models = config.backends.iter().filter_map(|b| match &b.kind {
        BackendKind::Local(local) => Some(&local.model),
        BackendKind::Forward(_) => None,
    });
    let of_plugin = |plugin: &'_ weir_config::Plugin| plugin.profiles.as_deref().unwrap_or_default().to_vec();
    let profiles: Vec<Artifact> = config.plugins.iter().flat_map(of_plugin).collect();
    let artifacts = models.chain(config.plugins.iter().map(|p| &p.path)).chain(&profiles);
    let of_artifacts = artifacts.filter_map(|a| match a {
        Artifact::File(path) => Some(path.clone()),
        Artifact::Builtin(_) => None,
    });
    source.path().map(Path::to_path_buf).into_iter().chain(of_artifacts).collect()
}

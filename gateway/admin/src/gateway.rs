//! The seam: what this room asks of the rest of Weir.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use weir_exchange::status::{AlertBrief, EndpointStatus, ObjectiveBrief, PluginStatus};

/// The running gateway, as the admin pages see it. Methods answer from memory, at once: they are called on
/// the thread that serves every page. Those that may take longer say so, and are called on threads of their
/// own.
pub trait Gateway: Send + Sync + 'static {
    /// How the process is; `/health`.
    fn health(&self) -> Health;

    /// Whether traffic should be sent here; `/ready`.
    ///
    /// # Errors
    /// Why not: no generation yet, draining, or something `ready_requires` names.
    fn ready(&self) -> Result<(), String>;

    /// Every plugin of the current generation.
    fn plugins(&self) -> Vec<PluginStatus>;

    /// What plugins said of single exchanges, as far as it is remembered, oldest first. None are, by default.
    fn verdicts(&self) -> Vec<RecentVerdict> {
        Vec::new()
    }

    /// Rules, objectives and receivers, as a document; empty by default.
    fn alerts(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    /// Every rule, and the alerts of those that found something. None by default.
    fn alert_briefs(&self) -> Vec<AlertBrief> {
        Vec::new()
    }

    /// Every objective. None by default.
    fn objectives(&self) -> Vec<ObjectiveBrief> {
        Vec::new()
    }

    /// What an alert fired on, by its fingerprint; none is known by default.
    fn evidence(&self, _fingerprint: &str) -> Option<serde_json::Value> {
        None
    }

    /// What plugins have found out about models, the last of each kind; nothing by default. May wait for
    /// plugins at work.
    fn findings(&self) -> serde_json::Value {
        serde_json::json!([])
    }

    /// What a model gets now, as a profile: the last window that a plugin's tally has of it. May wait for
    /// plugins at work.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn live_profile(&self, _asked: &LiveProfile) -> Result<serde_json::Value, String> {
        Err("no plugin counts traffic".to_owned())
    }

    /// Every endpoint of every backend.
    fn backends(&self) -> Vec<EndpointStatus>;

    /// The configuration in force, secrets already redacted.
    fn config(&self) -> serde_json::Value;

    /// The generation in force, and what became of the last reload.
    fn generation(&self) -> GenerationStatus;

    /// Resolves when everything handed off before this call is judged. The future is dropped when the
    /// caller's patience ends.
    fn settle(&self) -> Settling;

    /// Reads the configuration again and puts it in force. May take seconds: it is called on a thread of its
    /// own, never twice at a time.
    ///
    /// # Errors
    /// Why the new configuration was refused; the old one stays in force.
    fn reload(&self) -> Result<Reloaded, String>;
}

/// Which traffic is asked for as a profile. What is absent is whichever there is only one of; an empty text
/// is exact, as of a model without a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveProfile {
    pub plugin: Option<String>,
    pub route: Option<String>,
    pub model: Option<String>,
    pub model_version: Option<String>,
}

/// What [`Gateway::settle`] promises.
pub type Settling = Pin<Box<dyn Future<Output = Settled> + Send>>;

/// The barrier was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Exchanges handed off since the process began; all of them are judged.
    pub exchanges: u64,
}

/// A plugin's verdict on one exchange.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecentVerdict {
    /// The plugin's key in the configuration.
    pub plugin: Arc<str>,
    pub route: Arc<str>,
    /// Shown as 32 hex digits, as in logs and traces.
    #[serde(serialize_with = "hex")]
    pub trace_id: u128,
    pub reason: Arc<str>,
    /// Probability with which an exchange like this is kept; 1 for a reason that always keeps.
    pub probability: f64,
    /// Unix time in ms.
    pub at_unix_ms: u64,
}

fn hex<S: Serializer>(trace_id: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{trace_id:032x}"))
}

/// How the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Every route has a loaded model or an endpoint that is not ejected.
    pub model_loaded: bool,
}

/// A generation of the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct GenerationStatus {
    /// Rises by one with each reload that was applied; 0 before the first.
    pub number: u64,
    /// Unix time in ms.
    pub loaded_unix_ms: u64,
    /// SHA-256 of the configuration, hex.
    pub config_digest: String,
    /// Reloads refused since the process began.
    pub refused: u64,
    pub last_reload: Option<ReloadStatus>,
}

/// What became of a reload.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadStatus {
    /// Unix time in ms.
    pub at_unix_ms: u64,
    /// `config`, `plugin` or `model`.
    pub what: Arc<str>,
    pub outcome: ReloadOutcome,
    /// Why it was refused.
    pub error: Option<String>,
}

/// `outcome` of `weir_reload_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    Applied,
    Refused,
    Unchanged,
}

impl ReloadOutcome {
    pub const ALL: [Self; 3] = [Self::Applied, Self::Refused, Self::Unchanged];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

impl fmt::Display for ReloadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reload that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    Applied,
    /// The files say what is already in force.
    Unchanged,
}

impl From<Reloaded> for ReloadOutcome {
    fn from(reloaded: Reloaded) -> Self {
        match reloaded {
            Reloaded::Applied => Self::Applied,
            Reloaded::Unchanged => Self::Unchanged,
        }
    }
}

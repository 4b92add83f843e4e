//! What fires, as it is offered after an evaluation.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Alert, Fingerprint};

/// All that fires, and what has just ended. Every receiver shares its alerts.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) firing: BTreeMap<Fingerprint, Arc<Alert>>,
    pub(super) resolved: Vec<(Fingerprint, Arc<Alert>)>,
}

impl Picture {
    pub(super) fn new(firing: Vec<Alert>, resolved: Vec<Alert>, unix_ms: u64) -> Self {
        let keyed = |alert: Alert| (alert.fingerprint(), Arc::new(alert));
        let firing = firing.into_iter().map(|alert| Alert { ends_at_ms: None, ..alert });
        let resolved = resolved.into_iter().map(|alert| ended(alert, unix_ms));
        Self { firing: firing.map(keyed).collect(), resolved: resolved.map(keyed).collect() }
    }

    /// What fires, for a receiver that comes later: what ended before it came is not its affair.
    pub(super) fn firing_only(&self) -> Self {
        Self { firing: self.firing.clone(), resolved: Vec::new() }
    }
}

/// An alert that has ended: when it says so, or now. It does not end before it began: nobody would take that.
pub(super) fn ended(alert: Alert, unix_ms: u64) -> Alert {
    let ends = alert.ends_at_ms.unwrap_or(unix_ms).max(alert.starts_at_ms);
    Alert { ends_at_ms: Some(ends), ..alert }
}

/// Whether an alert is told as firing or as resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Firing,
    Resolved,
}

impl Form {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// How many alerts a receiver will never be told of, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) full: u64,
    pub(super) expired: u64,
}

//! What survives a restart: who was told of what, and what is still to be told.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::picture::Form;
use crate::Alert;

/// The state of every receiver. Nothing in it is a secret of a receiver, and nothing in it is trusted: what
/// does not fit is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedDelivery {
    alerts: Vec<Alert>,
    pub(super) receivers: Vec<SavedReceiver>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedReceiver {
    pub(super) id: String,
    pub(super) state: SavedState,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SavedState {
    Alertmanager { incarnation: Option<String>, entries: Vec<SavedEntry> },
    Webhook { lanes: Vec<SavedLane> },
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedEntry {
    pub(super) alert: usize,
    pub(super) told: SavedTold,
    pub(super) late: bool,
    /// When it was found to have ended, and when the receiver confirmed that; Unix time in ms.
    pub(super) ended: Option<(u64, Option<u64>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SavedTold {
    Never,
    Elsewhere,
    /// Until when its end is held back; Unix time in ms.
    Here(u64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedLane {
    /// What fires in the receiver's eyes once everything waiting is delivered.
    pub(super) firing: Option<usize>,
    pub(super) muted: bool,
    pub(super) waiting: Vec<SavedNotice>,
    /// What ended last: when it began and when that was delivered; Unix time in ms.
    pub(super) done: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedNotice {
    pub(super) form: Form,
    pub(super) alert: usize,
    pub(super) noted_ms: u64,
    pub(super) tried: bool,
}

impl SavedDelivery {
    /// The alerts of this state, shared by its receivers.
    pub(super) fn alerts(&self) -> Vec<Arc<Alert>> {
        self.alerts.iter().cloned().map(Arc::new).collect()
    }
}

/// Writes each alert once, however many receivers share it.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Held, so that no address is used twice.
    alerts: Vec<Arc<Alert>>,
    index: HashMap<*const Alert, usize>,
}

impl Table {
    pub(super) fn add(&mut self, alert: &Arc<Alert>) -> usize {
        *self.index.entry(Arc::as_ptr(alert)).or_insert_with(|| {
            self.alerts.push(alert.clone());
            self.alerts.len() - 1
        })
    }

    pub(super) fn finish(self, receivers: Vec<SavedReceiver>) -> SavedDelivery {
        SavedDelivery { alerts: self.alerts.iter().map(|alert| Alert::clone(alert)).collect(), receivers }
    }
}

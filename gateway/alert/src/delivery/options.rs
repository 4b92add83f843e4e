//! Who is told, and how the clients that reach them are made.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use weir_telemetry::export::{PostFault, PostOptions};

use super::client::Client;
use super::time::Timing;

/// Everyone who is told of alerts.
#[derive(Clone, Debug)]
pub struct Receivers {
    /// Every peer of a cluster, each by itself: they sort out among themselves who notifies.
    pub alertmanagers: Vec<AlertmanagerOptions>,
    pub webhooks: Vec<WebhookOptions>,
    /// How often an Alertmanager hears again of what fires, and of what has ended.
    pub resend: Duration,
    /// The longest `group_wait` of the Alertmanagers' routes: how long one that hears late of an alert is
    /// left to notify before it is told that the alert has ended.
    pub group_wait: Duration,
    /// How often rules are evaluated.
    pub evaluation: Duration,
    /// Least that is waited after a first failed request; doubles with each that follows.
    pub retry_initial: Duration,
    /// Most that is waited between two requests, unless a webhook asks for more.
    pub retry_longest: Duration,
    /// Where people reach Weir: `externalURL` of webhooks.
    pub external_url: String,
}

/// An Alertmanager (API v2).
#[derive(Clone)]
pub struct AlertmanagerOptions {
    /// `/api/v2/...` is appended to its path.
    pub url: String,
    pub post: PostOptions,
}

/// A server that takes Alertmanager's webhook payload, version 4.
#[derive(Clone)]
pub struct WebhookOptions {
    /// Its name: in metrics, in the status, and what makes it the same one after a reload.
    pub name: String,
    pub url: String,
    /// Signs every request, if given.
    pub secret: Option<String>,
    pub post: PostOptions,
}

impl Default for Receivers {
    fn default() -> Self {
        Self {
            alertmanagers: Vec::new(),
            webhooks: Vec::new(),
            resend: Duration::from_secs(60),
            group_wait: Duration::from_secs(30),
            evaluation: Duration::from_secs(15),
            retry_initial: Duration::from_secs(1),
            retry_longest: Duration::from_secs(30),
            external_url: String::new(),
        }
    }
}

/// URLs hold credentials: neither is shown.
impl fmt::Debug for AlertmanagerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertmanagerOptions").field("post", &self.post).finish_non_exhaustive()
    }
}

impl fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookOptions")
            .field("name", &self.name)
            .field("signed", &self.secret.is_some())
            .field("post", &self.post)
            .finish_non_exhaustive()
    }
}

/// Why a receiver cannot be used. Reads as the end of a sentence that begins with "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverFault {
    #[error("set up Alertmanager {number}: cannot {fault}")]
    Alertmanager { number: usize, fault: PostFault },
    #[error("set up the webhook `{name}`: cannot {fault}")]
    Webhook { name: String, fault: PostFault },
    #[error("set up {what} twice (give it once; a webhook needs a name of its own)")]
    Twice { what: String },
}

/// Clients that are ready to be put in use: what can fail has not.
#[derive(Debug)]
pub struct Prepared {
    pub(super) receivers: Vec<Ready>,
    pub(super) timing: Timing,
}

/// One receiver.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) name: Name,
    pub(super) client: Client,
}

/// What a receiver is called, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Kind,
    /// What makes it the same one after a reload or a restart.
    pub(super) id: String,
    /// Its label in metrics.
    pub(super) label: String,
    /// Where it is, for people, without credentials.
    pub(super) place: String,
}

/// What is spoken to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Alertmanager,
    Webhook,
}

impl Receivers {
    /// Makes the clients. Nothing is connected yet.
    ///
    /// # Errors
    /// Every receiver that cannot be used.
    pub fn prepare(&self) -> Result<Prepared, Vec<ReceiverFault>> {
        let alertmanagers = self.alertmanagers.iter().enumerate().map(|(i, options)| {
            Client::alertmanager(options)
                .map_err(|fault| ReceiverFault::Alertmanager { number: i + 1, fault })
        });
        let webhooks = self.webhooks.iter().map(|options| {
            Client::webhook(options, &self.external_url)
                .map_err(|fault| ReceiverFault::Webhook { name: options.name.clone(), fault })
        });
        let (mut receivers, mut faults, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        for made in alertmanagers.chain(webhooks) {
            match made {
                Ok(ready) if !names.insert(ready.name.id.clone()) => {
                    faults.push(ReceiverFault::Twice { what: format!("`{}`", ready.name.id) });
                }
                Ok(ready) => receivers.push(ready),
                Err(fault) => faults.push(fault),
            }
        }
        let timing = Timing::new(self);
        if faults.is_empty() { Ok(Prepared { receivers, timing }) } else { Err(faults) }
    }
}

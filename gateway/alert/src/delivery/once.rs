//! One alert to everyone, once and now: to see whether it arrives.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::answer::{Failure, Taken};
use super::client::Client;
use super::hook::Call;
use super::options::{Prepared, Ready};
use super::peer::{Batch, Item};
use super::picture::Form;
use super::wire;
use crate::Alert;

/// What came of telling one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its label in metrics.
    pub receiver: String,
    /// Where it is, without credentials.
    pub place: String,
    /// What it did not like; reads as a clause of its own.
    pub result: Result<(), String>,
}

/// Tells every receiver of this alert once, all at the same time, and waits for what comes of it. One without
/// an end fires until its time at the receiver is over. In the order of the configuration.
pub async fn try_once(prepared: Prepared, alert: &Alert) -> Vec<Tried> {
    let (alert, lifetime) = (Arc::new(alert.clone()), prepared.timing.lifetime_ms);
    let mut tasks = JoinSet::new();
    for (at, ready) in prepared.receivers.into_iter().enumerate() {
        let alert = alert.clone();
        tasks.spawn(async move { (at, tell(ready, alert, lifetime).await) });
    }
    let mut tried = tasks.join_all().await;
    tried.sort_by_key(|(at, _)| *at);
    tried.into_iter().map(|(_, tried)| tried).collect()
}

async fn tell(ready: Ready, alert: Arc<Alert>, lifetime_ms: u64) -> Tried {
    let Ready { name, client } = ready;
    let result = match told(&client, alert, lifetime_ms).await {
        Ok(Taken::Whole) => Ok(()),
        Ok(Taken::Refused(words)) | Err(Failure { words, .. }) => Err(words),
    };
    Tried { receiver: name.label, place: name.place, result }
}

async fn told(client: &Client, alert: Arc<Alert>, lifetime_ms: u64) -> Result<Taken, Failure> {
    let fingerprint = alert.fingerprint();
    let form = if alert.ends_at_ms.is_some() { Form::Resolved } else { Form::Firing };
    match client {
        Client::Alertmanager(alertmanager) => {
            alertmanager.ask().await?;
            let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |at| at.as_millis() as u64);
            let item = Item { fingerprint, form, alert, first: false, new: true };
            let body = wire::alerts(&Batch { items: vec![item] }, unix_ms, lifetime_ms);
            alertmanager.tell(body).await
        }
        Client::Webhook(webhook) => webhook.tell(&Call { fingerprint, form, alert, new: true }).await,
    }
}

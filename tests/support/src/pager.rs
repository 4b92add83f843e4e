//! A receiver of notifications that forgets none. An Alertmanager and Weir itself post alike.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Deserializer};

use crate::eventually;
use crate::upstream::{Server, ok_json};
use crate::wire::Message;

/// Keeps what it is told, in the order it was told.
#[derive(Debug)]
pub struct Pager {
    server: Server,
    told: Arc<Mutex<Vec<Told>>>,
}

/// One alert of one notification.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// `firing` or `resolved`.
    pub status: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "to_the_ms")]
    pub starts_at: String,
    #[serde(deserialize_with = "to_the_ms")]
    pub ends_at: String,
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
}

impl Told {
    /// What it is called in the configuration.
    pub fn name(&self) -> &str {
        name(&self.labels)
    }
}

/// The objective's name, whose alerts are all called alike; else the alert's.
pub(crate) fn name(labels: &BTreeMap<String, String>) -> &str {
    labels.get("slo").unwrap_or_else(|| &labels["alertname"])
}

/// A moment of RFC 3339 in UTC with three digits of a second: some write fewer if the last are 0, or more.
pub(crate) fn to_the_ms<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let Some(moment) = text.strip_suffix('Z') else {
        return Err(serde::de::Error::custom(format!("`{text}` is not in UTC")));
    };
    let (seconds, fraction) = moment.split_once('.').unwrap_or((moment, ""));
    Ok(format!("{seconds}.{fraction:0<3.3}Z"))
}

#[derive(Deserialize)]
struct Notification {
    alerts: Vec<Told>,
}

impl Pager {
    pub fn start() -> Self {
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let kept = told.clone();
        let server = Server::start(move |request: &Message| {
            let notification: Notification =
                serde_json::from_slice(&request.body).expect("a notification is JSON of a known form");
            lock(&kept).extend(notification.alerts);
            ok_json("{}")
        });
        Self { server, told }
    }

    pub fn url(&self) -> String {
        format!("http://{}/page", self.server.address())
    }

    /// Everything so far.
    pub fn told(&self) -> Vec<Told> {
        lock(&self.told).clone()
    }

    /// What it was told of one alert, as `firing` and `resolved`, each with its beginning.
    pub fn history(&self, name: &str) -> Vec<(String, String)> {
        let of = self.told().into_iter().filter(|told| told.name() == name);
        of.map(|told| (told.status, told.starts_at)).collect()
    }

    /// Waits until it is told that an alert of this name fires, or that it has ended.
    ///
    /// # Panics
    /// It is not, with what it was told instead.
    #[track_caller]
    pub fn await_told(&self, status: &str, name: &str) -> Told {
        self.await_last(status, name, 1)
    }

    /// Waits until it is told so for the `count`th time.
    ///
    /// # Panics
    /// It is not, with what it was told instead.
    #[track_caller]
    pub fn await_last(&self, status: &str, name: &str, count: usize) -> Told {
        let fits = |told: &Told| told.status == status && told.name() == name;
        let look = || self.told().into_iter().filter(fits).nth(count - 1);
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually(name, look)));
        found.unwrap_or_else(|_| panic!("`{name}` is not told as {status}, but this: {:#?}", self.told()))
    }

    /// It was told of these alerts, each that it fires and then that it has ended, both times with the same
    /// beginning, and of nothing else.
    ///
    /// # Panics
    /// It was not.
    #[track_caller]
    pub fn heard_once_of(&self, names: &[&str]) {
        let told = self.told();
        for name in names {
            let history = self.history(name);
            let whole = matches!(&*history, [(first, began), (last, same)]
                if first == "firing" && last == "resolved" && began == same);
            assert!(whole, "`{name}` is told as {history:?}");
        }
        let others: Vec<&Told> = told.iter().filter(|told| !names.contains(&told.name())).collect();
        assert!(others.is_empty(), "it was told of others too: {others:#?}");
    }
}

fn lock(told: &Mutex<Vec<Told>>) -> MutexGuard<'_, Vec<Told>> {
    // A notification that cannot be read is one the test misses.
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Labels as they are expected.
pub fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

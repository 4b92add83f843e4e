//! What plugins have found out about models: the latest of each kind, for whoever asks, and each new one
//! for a log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Bytes of a finding.
pub(crate) const LARGEST_FINDING: usize = 1 << 20;

/// Bytes of a kind.
pub(crate) const LONGEST_KIND: usize = 64;

/// Kinds of findings about one model.
const MOST_KINDS: usize = 16;

/// Findings of one plugin that are kept, and their bytes; what is beyond it is told to the sink alone.
const MOST_KEPT: usize = 1024;
const MOST_BYTES: usize = 16 << 20;

/// A finding about a model.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Key of the plugin in the configuration.
    pub plugin: Arc<str>,
    pub route: Arc<str>,
    pub model: Arc<str>,
    pub model_version: Arc<str>,
    /// In the plugin's words; a finding replaces the one of the same kind.
    pub kind: Arc<str>,
    /// When it was reported.
    pub at_unix_ns: u64,
    /// A JSON object, in one line; serialized as that, not as a text.
    #[serde(serialize_with = "as_object")]
    pub finding: Arc<str>,
}

/// Takes each new finding. Called on the plugin's own thread, so it should not wait for long.
pub type FindingSink = Arc<dyn Fn(&Finding) + Send + Sync>;

/// Key of the plugin, then route, model, version and kind.
type Name = (Arc<str>, [Arc<str>; 4]);

/// All findings of a host. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct Findings(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sink: Option<FindingSink>,
    latest: Mutex<BTreeMap<Name, Finding>>,
}

impl Findings {
    pub(crate) fn new(sink: Option<FindingSink>) -> Self {
        Self(Arc::new(Inner { sink, latest: Mutex::default() }))
    }

    /// Takes a finding; false if it was one kind too many of its plugin and is only told to the sink.
    pub(crate) fn take(&self, finding: Finding) -> bool {
        if let Some(sink) = &self.0.sink {
            sink(&finding);
        }
        let Finding { plugin, route, model, model_version, kind, .. } = &finding;
        let name = (plugin.clone(), [route, model, model_version, kind].map(Arc::clone));
        let mut latest = self.lock();
        let others = || latest.iter().filter(|(other, _)| other.0 == *plugin && **other != name);
        let of_model = others().filter(|((_, other), _)| other[..3] == name.1[..3]).count();
        let bytes: usize = others().map(|(_, other)| other.finding.len()).sum();
        let room = of_model < MOST_KINDS
            && others().count() < MOST_KEPT
            && bytes + finding.finding.len() <= MOST_BYTES;
        if room {
            latest.insert(name, finding);
        } else {
            latest.remove(&name);
        }
        room
    }

    /// The latest of each kind, by plugin, route, model, version and kind.
    pub(crate) fn all(&self) -> Vec<Finding> {
        self.lock().values().cloned().collect()
    }

    /// Drops those of a plugin for which `stays` is false, given route, model and version.
    pub(crate) fn retain(&self, plugin: &str, stays: impl Fn(&[Arc<str>]) -> bool) {
        self.lock().retain(|(key, name), _| **key != *plugin || stays(&name[..3]));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Finding>> {
        // Nothing under this lock can panic half way.
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").field("latest", &self.lock().len()).finish()
    }
}

/// A text as a JSON object in one line; `None` if it is none, or too large.
pub(crate) fn object(text: &str) -> Option<Arc<str>> {
    if text.len() > LARGEST_FINDING {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_str(text).ok()?;
    serde_json::to_string(&object).ok().map(Arc::from)
}

fn as_object<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
    // It was one when it came.
    serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default().serialize(to)
}

//! The noun: an alert as its receivers see it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One alert. Its identity is its label set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// With `alertname`; no value is empty, since receivers drop such labels.
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire, Unix time in ms. It stays as it is for as long as the alert fires.
    pub starts_at_ms: u64,
    /// When it ended, Unix time in ms; `None` while it fires.
    pub ends_at_ms: Option<u64>,
    /// Opens the evidence it fired on.
    pub generator_url: String,
    /// Nobody who does not know of it yet is told: something it depends on fires, or work is going on.
    pub muted: bool,
}

/// The first 64 bits of the SHA-256 of a label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Fingerprint {
    /// The fingerprint of a label set.
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let mut digest = Sha256::new();
        for part in labels.iter().flat_map(|(name, value)| [name, value]) {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let bytes: [u8; 8] = digest.finalize()[..8].try_into().expect("a digest is longer than 8 bytes");
        Self(u64::from_be_bytes(bytes))
    }
}

impl Alert {
    /// What identifies it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", |name| name)
    }
}

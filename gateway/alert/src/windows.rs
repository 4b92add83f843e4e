//! The windows of objectives on disk: a file each, so that one that is damaged costs no other.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use weir_stats::slo::Snapshot;
use weir_telemetry::log::Logger;

use crate::engine::Engine;
use crate::files::{self, Read};
use crate::metrics::AlertMetrics;
use crate::slo::Live;

/// What good events are stored after, and bad ones.
const EVERY_MS: u64 = 60_000;
const BAD_EVERY_MS: u64 = 10_000;
/// Files of objectives that are no more are removed after this long.
const FORGOTTEN: Duration = Duration::from_secs(90 * 86_400);

/// One file.
#[derive(Serialize, Deserialize)]
struct Stored {
    slo: String,
    definition: String,
    windows: Snapshot,
}

/// The folder of these files, and which are how old.
#[derive(Debug)]
pub(crate) struct WindowFiles {
    folder: PathBuf,
    saved_ms: HashMap<Key, u64>,
}

/// Name and definition.
type Key = (Arc<str>, Arc<str>);

fn key_of(live: &Live) -> Key {
    (live.slo.name().clone(), live.slo.event.definition.clone())
}

impl WindowFiles {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, saved_ms: HashMap::new() }
    }

    fn path(&self, (name, definition): &Key) -> PathBuf {
        self.folder.join(format!("{name}-{definition}.json"))
    }

    /// Reads the windows of objectives that are new here. Those of another definition are not theirs.
    pub(crate) fn restore(&mut self, engine: &mut Engine, now_ms: u64, metrics: &AlertMetrics, log: &Logger) {
        let interval_ns = engine.interval_ns();
        for live in engine.lives() {
            let key = key_of(live);
            if self.saved_ms.contains_key(&key) {
                continue;
            }
            let path = self.path(&key);
            self.saved_ms.insert(key, now_ms);
            let fit = |stored: Stored| live.restore(stored.windows, interval_ns, now_ms * 1_000_000);
            let begins = "the windows of an objective cannot be read: they begin anew";
            if let Read::SetAside = files::read(&path, log, begins, fit) {
                metrics.state_file("set_aside");
            }
        }
        let known: Vec<Key> = engine.lives().iter().map(key_of).collect();
        self.saved_ms.retain(|key, _| known.contains(key));
        self.forget();
    }

    /// Removes the files of objectives that nobody has had for long, so that the folder does not grow for
    /// ever.
    fn forget(&self) {
        let known: Vec<PathBuf> = self.saved_ms.keys().map(|key| self.path(key)).collect();
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in files.filter(|file| !known.contains(&file.path())) {
            let age =
                file.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > FORGOTTEN) {
                // The next reload tries again.
                let _ = fs::remove_file(file.path());
            }
        }
    }

    /// Stores what has changed, or `all`.
    pub(crate) fn save(
        &mut self,
        (engine, now_ms): (&mut Engine, u64),
        all: bool,
        metrics: &AlertMetrics,
        log: &Logger,
    ) {
        for live in engine.lives() {
            let key = key_of(live);
            let path = self.path(&key);
            let last = self.saved_ms.entry(key).or_insert(0);
            let every = if live.unsaved_bad { BAD_EVERY_MS } else { EVERY_MS };
            if !all && now_ms.saturating_sub(*last) < every {
                continue;
            }
            *last = now_ms;
            live.unsaved_bad = false;
            let (slo, definition) = (live.slo.name().to_string(), live.slo.event.definition.to_string());
            let stored = Stored { slo, definition, windows: live.snapshot() };
            let saved = files::store(&path, &stored, log, "the windows of an objective cannot be stored");
            metrics.state_file(if saved { "saved" } else { "failed" });
        }
    }
}

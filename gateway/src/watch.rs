//! Notices that a file a generation was made from has changed: editors that rename, ConfigMaps that swap a
//! symlink, and files that are still being written.
//!
//! The folders are watched, not the files, since a rename or a swapped symlink replaces the file. What an
//! event means is decided by looking: a change is a change of content that has held still for a moment. A
//! slow poll backs the watch up on file systems that send no events.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use weir_admin::Reloaded;

/// How long files must hold still before they are read again.
const QUIET: Duration = Duration::from_millis(100);
/// A file that never holds still is read all the same after this long.
const RESTLESS: Duration = Duration::from_secs(2);
/// Where no events come, this is how late a change is noticed.
const POLL: Duration = Duration::from_secs(5);

/// What a watched file was when last looked at; nothing if it could not be read.
type Seen = Option<(Stamp, [u8; 32])>;

/// Tells cheaply that a file was not touched: device, inode, size, and time of change.
type Stamp = (u64, u64, u64, i64, i64);

/// Watches the files of the current generation.
pub(crate) struct Watch {
    /// Or why there is none.
    watcher: Result<RecommendedWatcher, String>,
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Seen>,
    nudges: Receiver<Nudge>,
    nudge: Sender<Nudge>,
}

/// Why to look.
#[derive(Debug)]
pub(crate) enum Nudge {
    /// Something happened in a watched folder.
    Event,
    /// Someone asked for a reload: SIGHUP, or the admin API, which waits for the answer.
    Asked(Option<Answer>),
    Stop,
}

/// Where the outcome of a reload that was asked for goes.
pub(crate) type Answer = mpsc::SyncSender<Result<Reloaded, String>>;

/// What came of waiting.
#[derive(Debug)]
pub(crate) enum Noticed {
    Changed,
    Asked(Option<Answer>),
    Stop,
}

impl Watch {
    /// Watches nothing yet. Where the system has no watches left, only the poll remains; see
    /// [`Watch::trouble`].
    pub(crate) fn new() -> Self {
        let (nudge, nudges) = mpsc::channel();
        let events = nudge.clone();
        let watcher = notify::recommended_watcher(move |_| {
            // The receiver is gone only when the process ends.
            let _ = events.send(Nudge::Event);
        });
        let watcher = watcher.map_err(|error| error.to_string());
        Self { watcher, folders: BTreeSet::new(), files: BTreeMap::new(), nudges, nudge }
    }

    /// Why files are only polled, if they are.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.watcher.as_ref().err().cloned()
    }

    /// For those who want a look now.
    pub(crate) fn nudge(&self) -> Sender<Nudge> {
        self.nudge.clone()
    }

    /// Watches these files from now on: those known already as they were when last looked at, others as they
    /// are now.
    pub(crate) fn files(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let mut known = std::mem::take(&mut self.files);
        for file in files {
            let seen = known.remove(&file).or_else(|| self.files.remove(&file));
            let seen = seen.unwrap_or_else(|| look(&file, None));
            self.files.insert(file, seen);
        }
        let folders: BTreeSet<PathBuf> = self.files.keys().flat_map(|file| folders_of(file)).collect();
        if let Ok(watcher) = &mut self.watcher {
            for gone in self.folders.difference(&folders) {
                let _ = watcher.unwatch(gone);
            }
            for new in folders.difference(&self.folders) {
                // A folder that cannot be watched is still polled.
                let _ = watcher.watch(new, RecursiveMode::NonRecursive);
            }
        }
        self.folders = folders;
    }

    /// Waits until a file has changed and holds still, or somebody asks.
    pub(crate) fn wait(&mut self) -> Noticed {
        loop {
            match self.nudges.recv_timeout(POLL) {
                Ok(Nudge::Stop) | Err(RecvTimeoutError::Disconnected) => return Noticed::Stop,
                Ok(Nudge::Asked(answer)) => return Noticed::Asked(answer),
                Ok(Nudge::Event) => {
                    if let Some(noticed) = self.settle() {
                        return noticed;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.changed() {
                return Noticed::Changed;
            }
        }
    }

    /// Swallows events until there are none for a moment.
    fn settle(&self) -> Option<Noticed> {
        let began = Instant::now();
        while began.elapsed() < RESTLESS {
            match self.nudges.recv_timeout(QUIET) {
                Ok(Nudge::Event) => {}
                Ok(Nudge::Asked(answer)) => return Some(Noticed::Asked(answer)),
                Ok(Nudge::Stop) | Err(RecvTimeoutError::Disconnected) => return Some(Noticed::Stop),
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        None
    }

    /// Whether a file holds something else than when last looked at.
    fn changed(&mut self) -> bool {
        let mut changed = false;
        for (file, known) in &mut self.files {
            let now = look(file, *known);
            changed |= now.map(|(_, digest)| digest) != known.map(|(_, digest)| digest);
            *known = now;
        }
        changed
    }
}

/// Reads the file, unless its stamp says that it is as it was.
fn look(file: &Path, known: Seen) -> Seen {
    let meta = std::fs::metadata(file).ok()?;
    let stamp = (meta.dev(), meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec());
    match known {
        Some((seen, digest)) if seen == stamp => Some((stamp, digest)),
        _ => Some((stamp, Sha256::digest(std::fs::read(file).ok()?).into())),
    }
}

/// The folder that holds the file, as named and as it really is: a link's target may be edited in place.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| {
        let parent = path.parent().unwrap_or(Path::new("."));
        if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_path_buf() }
    };
    let mut folders = vec![parent(file)];
    if let Ok(real) = file.canonicalize() {
        folders.push(parent(&real));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watching(file: &Path) -> Watch {
        let mut watch = Watch::new();
        watch.files([file.to_path_buf()]);
        watch
    }

    #[test]
    fn a_file_written_in_place_or_renamed_over_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, "a").unwrap();
        let mut watch = watching(&file);
        std::fs::write(&file, "b").unwrap();
        assert!(matches!(watch.wait(), Noticed::Changed));
        let beside = folder.path().join(".weir.toml.swp");
        std::fs::write(&beside, "c").unwrap();
        std::fs::rename(&beside, &file).unwrap();
        assert!(matches!(watch.wait(), Noticed::Changed));
    }

    #[test]
    fn a_swapped_symlink_of_a_config_map_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, folder.path().join(name)).unwrap();
        };
        for (version, text) in [("..1", "a"), ("..2", "b")] {
            std::fs::create_dir(folder.path().join(version)).unwrap();
            std::fs::write(folder.path().join(version).join("weir.toml"), text).unwrap();
        }
        link("..1", "..data");
        link("..data/weir.toml", "weir.toml");
        let mut watch = watching(&folder.path().join("weir.toml"));
        link("..2", "..data_tmp");
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
        assert!(matches!(watch.wait(), Noticed::Changed));
    }

    #[test]
    fn an_event_without_a_change_of_content_is_none_and_a_question_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, "a").unwrap();
        let mut watch = watching(&file);
        std::fs::write(&file, "a").unwrap();
        watch.nudge().send(Nudge::Asked(None)).unwrap();
        assert!(matches!(watch.wait(), Noticed::Asked(None)));
        assert!(!watch.changed());
    }
}

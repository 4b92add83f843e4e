//! Lines appended to a file that is set aside when it is large: JSON lines for whoever reads them later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::metrics::RequestResult;
use super::transport::{Answer, Fault, Transport};
use crate::log::rfc3339;

/// When what was written is made to outlive a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Whenever the system gets to it.
    Never,
    /// When a file is set aside or closed.
    #[default]
    Close,
    /// After every batch.
    Batch,
}

/// Where lines go, and how much of them is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct FileOptions {
    pub path: PathBuf,
    /// Bytes after which the file is set aside: `name.jsonl` becomes `name-<time>.jsonl`.
    pub file_bytes: u64,
    /// Bytes of all files together; past it the oldest of those set aside goes.
    pub total_bytes: u64,
    pub sync: Sync,
}

/// Appends batches of lines.
#[derive(Debug)]
pub struct Lines {
    options: FileOptions,
    signal: &'static str,
    place: String,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
    /// Device and inode: somebody may move the file away, or remove it.
    identity: (u64, u64),
}

impl Lines {
    /// Nothing is opened before there is a line. `signal` names the metrics.
    pub fn new(options: FileOptions, signal: &'static str) -> Self {
        let place = options.path.display().to_string();
        Self { options, signal, place, open: Mutex::default() }
    }

    fn append(&self, lines: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|open| identity(&self.options.path) != Some(open.identity)) {
            *open = None;
        }
        let full =
            |open: &Open| open.length > 0 && open.length + lines.len() as u64 > self.options.file_bytes;
        if open.is_none() {
            *open = Some(Open::at(&self.options.path)?);
        }
        if open.as_ref().is_some_and(full) {
            if let Some(full) = open.take() {
                self.set_aside(&full.file)?;
            }
            *open = Some(Open::at(&self.options.path)?);
        }
        let Some(now) = open.as_mut() else { return Ok(()) };
        let written = now.write(lines, self.options.sync == Sync::Batch);
        if written.is_err() {
            // Whatever is wrong with it, it is opened anew.
            *open = None;
        }
        written
    }

    fn set_aside(&self, file: &File) -> io::Result<()> {
        if self.options.sync != Sync::Never {
            file.sync_data()?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let time = rfc3339(now).replace(':', "");
        // After all others of the same millisecond: a free number below theirs would be taken for the oldest.
        let (begin, _) = split(&self.aside(&time));
        let same = self.set_aside_files().into_iter().map(|(path, _)| number(&path));
        let last = same.filter(|(of, _)| *of == begin).map(|(_, again)| again).max();
        let aside = match last {
            None => self.aside(&time),
            Some(last) => self.aside(&format!("{time}-{}", last + 1)),
        };
        fs::rename(&self.options.path, aside)?;
        self.prune();
        Ok(())
    }

    /// `name-<time>.jsonl` beside `name.jsonl`.
    fn aside(&self, time: &str) -> PathBuf {
        let (stem, extension) = split(&self.options.path);
        self.options.path.with_file_name(format!("{stem}-{time}{extension}"))
    }

    /// Removes the oldest files until all fit, the one to come included. Names sort by time.
    fn prune(&self) {
        let mut aside = self.set_aside_files();
        aside.sort_by_cached_key(|(path, _)| number(path));
        let mut total: u64 = aside.iter().map(|(_, length)| length).sum();
        for (path, length) in aside {
            if total + self.options.file_bytes <= self.options.total_bytes {
                break;
            }
            // What cannot be removed now is tried again the next time.
            if fs::remove_file(&path).is_ok() {
                total -= length;
            }
        }
    }

    fn set_aside_files(&self) -> Vec<(PathBuf, u64)> {
        let (stem, extension) = split(&self.options.path);
        let folder = self.options.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return Vec::new() };
        let ours = |name: &str| {
            // Nothing but what we have named: the year begins with a digit.
            let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
            time.is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('T'))
        };
        let file = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            let length = entry.metadata().ok().filter(fs::Metadata::is_file)?.len();
            ours(entry.file_name().to_str()?).then(|| (entry.path(), length))
        };
        entries.filter_map(file).collect()
    }
}

impl Open {
    /// For its owner only: predictions are nobody else's business.
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let about = file.metadata()?;
        Ok(Self { file, length: about.len(), identity: (about.dev(), about.ino()) })
    }

    /// All of it, or none: what a full disk took of a batch is taken back, so that no line is torn and none
    /// stands there twice when the batch is tried again.
    fn write(&mut self, lines: &[u8], sync: bool) -> io::Result<()> {
        let done =
            self.file.write_all(lines).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = done {
            // What went wrong first is what there is to say.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_ref().filter(|_| self.options.sync != Sync::Never) {
            // Nobody is left to be told.
            let _ = open.file.sync_data();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// `name-<time>` of a file set aside, and the number among those of the same time: 0 without one.
fn number(path: &Path) -> (String, u64) {
    let (stem, _) = split(path);
    let numbered = stem.rsplit_once("Z-").and_then(|(begin, again)| Some((begin, again.parse().ok()?)));
    match numbered {
        Some((begin, again)) => (format!("{begin}Z"), again),
        None => (stem, 0),
    }
}

/// The name without its extension, and the extension with its dot.
fn split(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let extension = text(path.extension()).map(|extension| format!(".{extension}")).unwrap_or_default();
    (text(path.file_stem()).unwrap_or_default(), extension)
}

impl Transport for Lines {
    /// A line without its end.
    type Item = String;
    type Body = Bytes;

    fn signal(&self) -> &'static str {
        self.signal
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn size(line: &String) -> usize {
        line.len() + 1
    }

    fn encode(&self, lines: Vec<String>) -> Bytes {
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        lines.iter().for_each(|line| text.extend([line, "\n"]));
        text.into()
    }

    async fn send(&self, body: Bytes) -> Answer {
        match self.append(&body) {
            Ok(()) => Answer::TAKEN,
            Err(error) => {
                let words = format!("{error} (is there room, and may Weir write there?)");
                Answer::Later { fault: Fault { result: RequestResult::Broken, words }, after: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(folder: &Path, file_bytes: u64, total_bytes: u64) -> Lines {
        let path = folder.join("p.jsonl");
        Lines::new(FileOptions { path, file_bytes, total_bytes, sync: Sync::Batch }, "records")
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p-notes.jsonl"), "not ours").unwrap();
        let log = lines(folder.path(), 10, 30);
        for batch in ["aaaa\nbb\n", "cccccc\n", "dddddd\n", "eeeeee\n", "ffffff\n"] {
            log.append(batch.as_bytes()).unwrap();
        }
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(text("p.jsonl"), "ffffff\n");
        let names = names(folder.path());
        let aside: Vec<&String> = names.iter().filter(|name| name.starts_with("p-2")).collect();
        let mut kept: Vec<String> = aside.iter().map(|name| text(name)).collect();
        kept.sort();
        assert_eq!(kept, ["dddddd\n", "eeeeee\n"]);
        assert!(names.contains(&"p-notes.jsonl".to_owned()));
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_and_one_that_is_there_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let log = lines(folder.path(), 1000, 1000);
        log.append(b"1\n").unwrap();
        fs::rename(folder.path().join("p.jsonl"), folder.path().join("moved")).unwrap();
        log.append(b"2\n").unwrap();
        drop(log);
        lines(folder.path(), 1000, 1000).append(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("p.jsonl")).unwrap(), "2\n3\n");
        let mode = fs::metadata(folder.path().join("p.jsonl")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_full_disk_tears_no_line() {
        // Writing to it always fails for want of room.
        let log = Lines::new(
            FileOptions { path: "/dev/full".into(), file_bytes: 1000, total_bytes: 1000, sync: Sync::Never },
            "records",
        );
        assert!(log.append(b"1\n").is_err());
        let folder = tempfile::tempdir().unwrap();
        let mut open = Open::at(&folder.path().join("p")).unwrap();
        open.write(b"whole\n", false).unwrap();
        open.file.write_all(b"to").unwrap();
        open.file.set_len(open.length).unwrap();
        open.write(b"next\n", false).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("p")).unwrap(), "whole\nnext\n");
    }
}

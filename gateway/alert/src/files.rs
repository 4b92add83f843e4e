//! State on disk: written whole or not at all, and set aside rather than lost if it cannot be read.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_telemetry::log::{Field, Logger};

use crate::service::unix_ms;

/// No state is longer: what is, is something else.
const LONGEST: u64 = 64 << 20;

/// Writes a file so that a crash at any moment leaves the old one or the new one.
///
/// # Errors
/// The folder cannot be written to, or is full.
pub fn write(path: &Path, state: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    // Whole before it has its name: a writer that is dropped keeps what a full disk did not take to itself.
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The name, too, must outlive a power cut.
    File::open(folder)?.sync_all()
}

/// What reading a file came to.
#[derive(Debug)]
pub enum Read<T> {
    Nothing,
    State(T),
    /// It could not be understood, and is kept under another name.
    SetAside,
}

/// Reads a file and makes of it what it is of use for. One that cannot be understood, or that does not fit,
/// is renamed, so that nobody overwrites it, and `begins` says in the log what that means.
pub fn read<T: DeserializeOwned, U, E: fmt::Display>(
    path: &Path,
    log: &Logger,
    begins: &str,
    fit: impl FnOnce(T) -> Result<U, E>,
) -> Read<U> {
    let reason = match attempt(path) {
        Ok(None) => return Read::Nothing,
        Ok(Some(state)) => match fit(state) {
            Ok(state) => return Read::State(state),
            Err(reason) => reason.to_string(),
        },
        Err(reason) => reason,
    };
    let mut kept = path.as_os_str().to_owned();
    kept.push(format!(".bad-{}", unix_ms()));
    let kept = PathBuf::from(kept);
    let renamed = fs::rename(path, &kept);
    let kept = if renamed.is_ok() { kept.display().to_string() } else { String::new() };
    let file = path.display().to_string();
    let fields =
        [("file", Field::from(&file)), ("kept_as", Field::from(&kept)), ("error", Field::from(&reason))];
    log.error(begins, &fields);
    Read::SetAside
}

/// [`write()`], and a line in the log if it fails. True if it did not.
pub fn store(path: &Path, state: &impl Serialize, log: &Logger, fails: &str) -> bool {
    let written = write(path, state);
    if let Err(error) = &written {
        let (path, error) = (path.display().to_string(), error.to_string());
        log.error(fails, &[("file", Field::from(&path)), ("error", Field::from(&error))]);
    }
    written.is_ok()
}

fn attempt<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let size = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if size > LONGEST {
        return Err(format!("it is over {} MiB long", LONGEST >> 20));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_understood_is_kept_under_another_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/alerts.json");
        let read = |least: usize| {
            let fit = |all: Vec<u32>| if all.len() < least { Err("it is too short") } else { Ok(all) };
            match read(&path, &Logger::discard(), "begins anew", fit) {
                Read::State(state) => Some(state),
                Read::Nothing | Read::SetAside => None,
            }
        };
        let kept = || {
            let names = fs::read_dir(folder.path().join("deep")).expect("it is there").flatten();
            names.filter(|entry| entry.file_name().to_string_lossy().contains(".json.bad-")).count()
        };
        assert_eq!(read(0), None, "there is none");
        write(&path, &vec![1, 2, 3]).expect("written");
        assert_eq!(read(3), Some(vec![1, 2, 3]));
        fs::write(&path, b"[1, 2, ").expect("torn");
        assert_eq!((read(0), kept(), path.exists()), (None, 1, false));
        write(&path, &vec![1]).expect("written");
        assert_eq!((read(3), path.exists()), (None, false), "what does not fit is of no use either");
    }

    #[test]
    fn a_full_disk_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("alerts.json");
        write(&path, &vec![1]).expect("written");
        let full = folder.path().join("alerts.json.new");
        std::os::unix::fs::symlink("/dev/full", full).expect("a link");
        assert!(write(&path, &vec![2; 5000]).is_err());
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "[1]");
    }
}

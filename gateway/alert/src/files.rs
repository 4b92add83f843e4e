//! State on disk: written whole or not at all, and set aside rather than lost if it cannot be read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

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
    serde_json::to_writer(io::BufWriter::new(&mut file), state)?;
    file.flush()?;
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
    /// It could not be understood; it is kept under this name.
    SetAside {
        kept: PathBuf,
        reason: String,
    },
}

/// Reads a file; one that cannot be understood is renamed, so that nobody overwrites it.
pub fn read<T: DeserializeOwned>(path: &Path, unix_ms: u64) -> Read<T> {
    let reason = match attempt(path) {
        Ok(Some(state)) => return Read::State(state),
        Ok(None) => return Read::Nothing,
        Err(reason) => reason,
    };
    set_aside(path, unix_ms, reason)
}

/// Renames a file whose content is of no use.
pub(crate) fn set_aside<T>(path: &Path, unix_ms: u64, reason: String) -> Read<T> {
    let mut kept = path.as_os_str().to_owned();
    kept.push(format!(".bad-{unix_ms}"));
    let kept = PathBuf::from(kept);
    match fs::rename(path, &kept) {
        Ok(()) => Read::SetAside { kept, reason },
        Err(error) => Read::SetAside {
            kept: path.to_owned(),
            reason: format!("{reason}; and it cannot be renamed: {error}"),
        },
    }
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
        assert!(matches!(read::<Vec<u32>>(&path, 7), Read::Nothing));
        write(&path, &vec![1, 2, 3]).expect("written");
        let Read::State(state) = read::<Vec<u32>>(&path, 7) else { panic!() };
        assert_eq!(state, [1, 2, 3]);
        fs::write(&path, b"[1, 2, ").expect("torn");
        let Read::SetAside { kept, reason } = read::<Vec<u32>>(&path, 7) else { panic!() };
        assert!(kept.ends_with("alerts.json.bad-7") && kept.exists() && !path.exists());
        assert!(reason.contains("EOF"), "{reason}");
    }
}

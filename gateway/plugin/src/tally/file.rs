//! Tallies on disk, so that a restart changes no count: one file a key, written whole and by rename.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use weir_profile::Profile;

use super::layout::Layout;
use super::rows::Segments;
use super::set::Tallies;
use super::window::{Past, Window};
use super::{Tally, Wanted, Wish};
use crate::cache::hex;
use crate::places::Labels;

const MAGIC: &[u8] = b"weir tallies 1\n";
const HEADER: usize = MAGIC.len() + 32;

/// A larger file is none of ours.
const LARGEST: u64 = 1 << 30;

/// What is kept of a tally. The window that was judged last is not: nobody compares with its fine counts.
#[derive(Debug, Serialize, Deserialize)]
struct Saved<W, P> {
    labels: [Arc<str>; 4],
    wish: Wish,
    /// Digest of the profile.
    profile: String,
    segments: Vec<Arc<str>>,
    front_ns: u64,
    open: Vec<W>,
    waiting: Vec<W>,
    past: Vec<P>,
    last_look_ns: Option<u64>,
    unlooked: u32,
    dropped: u32,
    counted_ns: u64,
}

/// Where the tallies of one key are kept.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    file: PathBuf,
}

/// What was found there.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// What could be taken over, and how many tallies could not: their profile is not there any more.
    Tallies(Box<Tallies>, usize),
    /// It is damaged or none of ours, and was set aside under this name.
    SetAside(PathBuf, String),
}

impl Keep {
    /// A file for a key in a folder; nothing is touched yet.
    pub(crate) fn new(folder: &Path, key: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = match key.len() <= 100 && !key.is_empty() && key.chars().all(plain) {
            true => key.to_owned(),
            // Whatever a key is made of, it names a file of this folder; no plain key has a dot.
            false => format!("{}.key", hex(&Sha256::digest(key.as_bytes()))),
        };
        Self { file: folder.join(format!("{name}.bin")) }
    }

    /// All tallies of a key, as [`Keep::write`] takes them.
    ///
    /// # Errors
    /// They cannot be put in bytes.
    pub(crate) fn encode(tallies: &Tallies) -> io::Result<Vec<u8>> {
        let saved: Vec<Saved<&Window, &Past>> =
            tallies.iter().filter_map(|(labels, tally)| saved(labels, tally)).collect();
        postcard::to_allocvec(&saved).map_err(io::Error::other)
    }

    /// Writes what was encoded. A disk may be slow: nobody should have to wait for it.
    ///
    /// # Errors
    /// The folder cannot be made or the file not be written; what was there before stays.
    pub(crate) fn write(&self, body: &[u8]) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Only its owner may read or write what `tempfile` makes.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(body))?;
        file.write_all(body)?;
        file.persist(&self.file)?;
        Ok(())
    }

    /// Reads what was saved. What is damaged never comes in the way of a start.
    pub(crate) fn load(&self, profiles: &[Arc<Profile>]) -> Found {
        let read = fs::metadata(&self.file).and_then(|meta| match meta.len() {
            0..=LARGEST => fs::read(&self.file),
            _ => Err(io::Error::other("it is too large")),
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => self.set_aside(error.to_string()),
            Ok(bytes) => match decode(&bytes) {
                Ok(saved) => restored(saved, profiles),
                Err(fault) => self.set_aside(fault),
            },
        }
    }

    fn set_aside(&self, fault: String) -> Found {
        let aside = self.file.with_extension("damaged");
        // If that fails too, the next save takes its place.
        drop(fs::rename(&self.file, &aside));
        Found::SetAside(aside, fault)
    }
}

fn decode(bytes: &[u8]) -> Result<Vec<Saved<Window, Past>>, String> {
    let body = bytes.strip_prefix(MAGIC).ok_or("it does not begin as a file of tallies does")?;
    let (digest, body) = body.split_at_checked(HEADER - MAGIC.len()).ok_or("it is cut off")?;
    if *digest != *Sha256::digest(body) {
        return Err("its digest is another".to_owned());
    }
    postcard::from_bytes(body).map_err(|error| error.to_string())
}

fn saved<'t>(labels: &Labels, tally: &'t Tally) -> Option<Saved<&'t Window, &'t Past>> {
    let [route, model, version, name] = &**labels else { return None };
    Some(Saved {
        labels: [route, model, version, name].map(Clone::clone),
        wish: tally.wish.clone(),
        profile: tally.profile.digest.clone(),
        segments: tally.segments.names.clone(),
        front_ns: tally.front_ns,
        open: tally.open.iter().collect(),
        waiting: tally.waiting.iter().collect(),
        past: tally.past.iter().collect(),
        last_look_ns: tally.last_look_ns,
        unlooked: tally.unlooked,
        dropped: tally.dropped,
        counted_ns: tally.counted_ns,
    })
}

fn restored(saved: Vec<Saved<Window, Past>>, profiles: &[Arc<Profile>]) -> Found {
    let (mut tallies, mut left) = (Tallies::default(), 0);
    for one in saved {
        let labels: Labels = one.labels.to_vec().into();
        match profiles.iter().find(|profile| profile.digest == one.profile).and_then(|it| tally(one, it)) {
            Some(tally) => tallies.restore(labels, tally),
            None => left += 1,
        }
    }
    Found::Tallies(Box::new(tallies), left)
}

/// The tally as it was; `None` if its counts are none of this profile.
fn tally(saved: Saved<Window, Past>, profile: &Arc<Profile>) -> Option<Tally> {
    let layout = Layout::new(profile);
    let Saved { wish, segments, open, waiting, past, .. } = saved;
    let mut fits = open.iter().chain(&waiting).all(|window| window.fits(&layout));
    fits &= past.iter().all(|past| past.fits(&layout)) && wish.is_sound();
    fits.then(|| Tally {
        segments: Segments { names: segments, most: wish.shape.segments as usize },
        front_ns: saved.front_ns,
        open: VecDeque::from(open),
        waiting: VecDeque::from(waiting),
        past: VecDeque::from(past),
        last_look_ns: saved.last_look_ns,
        unlooked: saved.unlooked,
        dropped: saved.dropped,
        counted_ns: saved.counted_ns,
        // Until the judge that takes over says otherwise.
        wanted: Wanted::Asked,
        fresh: false,
        ..Tally::new(wish, profile.clone(), saved.front_ns)
    })
}

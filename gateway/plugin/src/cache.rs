//! Compiled components on disk.
//!
//! What is read here is executed, so that the folder is ours alone (0700), files appear by rename only, and
//! each begins with the digest of the rest: wasmtime checks that machine code was made by an equal engine,
//! not that it is whole.

use std::fs::{self, DirBuilder, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::HostError;

const MAGIC: &[u8] = b"weir cwasm 1\n";
const HEADER: usize = MAGIC.len() + 32;

/// Files kept; the oldest go. A gateway has a few plugins and each a few versions.
const MOST_FILES: usize = 64;

/// SHA-256 of a component.
pub(crate) type ComponentDigest = [u8; 32];

pub(crate) fn digest(bytes: &[u8]) -> ComponentDigest {
    Sha256::digest(bytes).into()
}

pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What became of a look into the cache.
pub(crate) enum Found {
    Component(Component),
    /// There is a file, but it is damaged or of another engine.
    Unusable,
    Nothing,
}

/// A folder of compiled components, by digest and engine.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// Wasmtime version, target and settings, as a hash that is the same in every process.
    engine: u64,
}

impl Cache {
    pub(crate) fn open(folder: PathBuf, engine: &Engine) -> Result<Self, HostError> {
        let prepared = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let prepared = prepared.and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(0o700)));
        if let Err(cause) = prepared {
            return Err(HostError::Cache { path: folder, cause });
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { folder, engine: hasher.finish() })
    }

    pub(crate) fn get(&self, engine: &Engine, component: &ComponentDigest) -> Found {
        let Ok(file) = fs::read(self.path(component)) else { return Found::Nothing };
        let Some((header, code)) = file.split_at_checked(HEADER) else { return Found::Unusable };
        if header[..MAGIC.len()] != *MAGIC || header[MAGIC.len()..] != digest(code) {
            return Found::Unusable;
        }
        #[expect(unsafe_code, reason = "the folder is ours alone and the file is as we wrote it: see above")]
        let loaded = unsafe { Component::deserialize(engine, code) };
        loaded.map_or(Found::Unusable, Found::Component)
    }

    /// Keeps a compiled component.
    ///
    /// # Errors
    /// It cannot be written; whoever compiled it goes on without.
    pub(crate) fn put(&self, component: &ComponentDigest, compiled: &Component) -> io::Result<()> {
        let code = compiled.serialize().map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&digest(&code))?;
        file.write_all(&code)?;
        file.persist(self.path(component))?;
        self.prune()
    }

    fn path(&self, component: &ComponentDigest) -> PathBuf {
        self.folder.join(format!("{}-{:016x}.cwasm", hex(component), self.engine))
    }

    fn prune(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if is_ours(&path) {
                files.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(MOST_FILES);
        files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "cwasm")
}

//! `[verdict_log]`: what plugins have found out about models, with the numbers it rests on.

use std::path::{Path, PathBuf};

use crate::key::section;
use crate::kind::{Blank, Size, Text, Word};
use crate::prediction_log::{SYNCS, Sync, check_sizes};
use crate::reader::{At, Reader};

const KIB: u64 = 1 << 10;
const TIB: u64 = 1 << 40;

section! {
    /// What plugins have found out about models: one JSON line for each window that was judged, with the
    /// counts, p-values and cut-offs its verdict rests on. `/api/findings` shows the last of each kind.
    pub(crate) struct VerdictLogKeys {
        /// File of JSON lines; "" for none.
        file: Option<String> = default("\"\"", Blank(Text));
        /// Size at which the file is set aside, its time in its name, and a new one begun.
        file_bytes: u64 = default("\"100MiB\"", Size::new(4 * KIB, TIB));
        /// Size of all files together; past it the oldest is removed.
        total_bytes: u64 = default("\"1GiB\"", Size::new(8 * KIB, TIB));
        /// When what was written must outlive a power cut: "never", "close" (of a file) or "batch".
        sync: Sync = default("\"batch\"", Word::of(SYNCS));
    }
}

/// `[verdict_log]`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictLog {
    pub file: Option<PathBuf>,
    pub file_bytes: u64,
    pub total_bytes: u64,
    pub sync: Sync,
}

impl At<VerdictLogKeys> {
    pub(crate) fn resolve(self, base: &Path, reader: &mut Reader<'_>) -> VerdictLog {
        let VerdictLogKeys { file, file_bytes, total_bytes, sync } = self.value;
        check_sizes(file_bytes, total_bytes, &self.place, reader);
        VerdictLog { file: file.map(|file| base.join(file)), file_bytes, total_bytes, sync }
    }
}

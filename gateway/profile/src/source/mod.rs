//! Files of reference rows.

mod csv_file;
mod parquet_file;

use std::io::Read;

use crate::error::BuildError;
use crate::sheet::{Sheet, Typing};

/// More than this is not read, unpacked: all of it is held in memory.
const LARGEST: u64 = 1 << 30;

impl Sheet {
    /// Reads a CSV file with a header, as it is or with gzip, or a Parquet file; its first bytes say which.
    ///
    /// A CSV cell is missing if it is empty or `NA`, `N/A`, `NaN`, `nan`, `null` or `NULL`, as `weir model
    /// train` has it. Fields of Parquet's structs are named `outer.inner`, as live objects are.
    ///
    /// # Errors
    /// The file is broken or too large, or `typing` does not fit it.
    pub fn read(file: impl Read, typing: &Typing) -> Result<Self, BuildError> {
        let bytes = bounded(file)?;
        if bytes.starts_with(b"PAR1") {
            return parquet_file::read(bytes)?.typed(&Typing { guess: false, ..typing.clone() });
        }
        let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            bounded(flate2::read::MultiGzDecoder::new(&*bytes))?
        } else {
            bytes
        };
        csv_file::read(&bytes)?.typed(&Typing { guess: true, ..typing.clone() })
    }
}

fn bounded(file: impl Read) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(BuildError::TooLarge { limit: LARGEST });
    }
    Ok(bytes)
}

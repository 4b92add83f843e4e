//! A CSV file as rows of cells.

use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::error::TrainError;
use crate::file::hex;

/// The data, whole: training needs every row at once.
pub(crate) struct Data {
    pub(crate) header: Vec<String>,
    /// Trimmed; of the header's width each.
    pub(crate) records: Vec<csv::StringRecord>,
    /// SHA-256 of the bytes, hex.
    pub(crate) digest: String,
}

/// More than this is not read: all of it is held in memory, several times over.
const LARGEST: u64 = 1 << 30;

impl Data {
    pub(crate) fn read(csv: impl Read) -> Result<Self, TrainError> {
        let mut bytes = Vec::new();
        csv.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(TrainError::TooLarge { limit: LARGEST });
        }
        let digest = hex(&Sha256::digest(&bytes));
        // Spreadsheets put a byte order mark before the first name.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header: Vec<String> = reader.headers().map_err(broken)?.iter().map(str::to_owned).collect();
        for (at, name) in header.iter().enumerate() {
            if name.is_empty() || header[..at].contains(name) {
                let what = if name.is_empty() { "has no name" } else { "stands there twice" };
                let message = format!("column {} of the header, `{name}`, {what} (rename it)", at + 1);
                return Err(TrainError::Csv { line: 1, message });
            }
        }
        let records = reader.records().collect::<Result<_, _>>().map_err(broken)?;
        Ok(Self { header, records, digest })
    }

    /// Where a column stands.
    pub(crate) fn column(&self, key: &'static str, name: &str) -> Result<usize, TrainError> {
        self.header.iter().position(|known| known == name).ok_or_else(|| {
            let message = format!("no column `{name}` (the header has {})", self.header.join(", "));
            TrainError::Option { key, message }
        })
    }

    /// A cell's text, or `None` if it is missing.
    pub(crate) fn cell(&self, row: usize, column: usize) -> Option<&str> {
        self.records[row].get(column).filter(|cell| !is_missing(cell))
    }

    /// The line of a row, as an editor counts.
    pub(crate) fn line(&self, row: usize) -> u64 {
        self.records[row].position().map_or(0, csv::Position::line)
    }
}

/// An empty cell, or what programs write for one.
fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NA" | "N/A" | "NaN" | "nan" | "null" | "NULL")
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn broken(error: csv::Error) -> TrainError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells where the header has {expected_len} (is a comma unquoted?)")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8 (save the file in that encoding)".to_owned(),
        _ => error.to_string(),
    };
    TrainError::Csv { line, message }
}

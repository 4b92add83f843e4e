//! A CSV file as columns of texts.

use std::collections::HashSet;

use weir_exchange::Role;

use crate::error::BuildError;
use crate::sheet::{Sheet, SheetColumn, TextBuilder, Values};

pub(super) fn read(bytes: &[u8]) -> Result<Sheet, BuildError> {
    // Spreadsheets put a byte order mark before the first name.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let header = reader.headers().map_err(broken)?.clone();
    let mut seen = HashSet::new();
    for (at, name) in header.iter().enumerate() {
        if name.is_empty() || !seen.insert(name) {
            let what = if name.is_empty() { "has no name" } else { "stands there twice" };
            let message = format!("column {} of the header, `{name}`, {what} (rename it)", at + 1);
            return Err(BuildError::Csv { line: 1, message });
        }
    }
    let mut columns: Vec<TextBuilder> = header.iter().map(|_| TextBuilder::default()).collect();
    let mut record = csv::StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).map_err(broken)? {
        rows += 1;
        columns.iter_mut().zip(&record).for_each(|(column, cell)| column.push(present(cell)));
    }
    let column = |(name, texts): (&str, TextBuilder)| SheetColumn {
        name: name.into(),
        role: Role::Input,
        values: Values::Text(texts.finish()),
    };
    Ok(Sheet { rows, columns: header.iter().zip(columns).map(column).collect() })
}

/// A cell, unless it is empty or says that there is nothing.
fn present(cell: &str) -> Option<&str> {
    (!matches!(cell, "" | "NA" | "N/A" | "NaN" | "nan" | "null" | "NULL")).then_some(cell)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn broken(error: csv::Error) -> BuildError {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells where the header has {expected_len} (is a comma unquoted?)")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8 (save the file in that encoding)".to_owned(),
        _ => error.to_string(),
    };
    BuildError::Csv { line, message }
}

//! CSV as MLflow's scoring server takes it: a header, then one row a line.

use weir_exchange::Table;

use crate::error::{Read, absent, malformed, not_utf8};
use crate::json::Scalar;
use crate::read::{RowKind, Scratch, Sheet};

/// Cells pandas reads as missing by default.
const MISSING: [&str; 11] = ["", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "#N/A", "<NA>"];

/// Reads a CSV body. A cell is a number if it reads as one, `true`/`false` as 1/0, else a text.
pub(crate) fn read(bytes: &[u8], scratch: &mut Scratch, into: &mut Table) -> Read<()> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => return not_utf8(error.valid_up_to()),
    };
    let mut ends = std::mem::take(&mut scratch.ends);
    let read = read_rows(text, scratch, Sheet::new(into, &mut ends, scratch.limits));
    scratch.ends = ends;
    read
}

fn read_rows(text: &str, scratch: &mut Scratch, mut sheet: Sheet<'_>) -> Read<()> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = match csv.headers() {
        Ok(header) if !header.is_empty() => header.clone(),
        _ => return absent(format_args!("the body has no header line")),
    };
    declare(&header, scratch, &mut sheet)?;
    let mut record = csv::StringRecord::new();
    while next(&mut csv, &mut record)? {
        if record.len() > header.len() {
            let (cells, fields) = (record.len(), header.len());
            return malformed(format_args!("a line of {cells} cells under {fields} fields"));
        }
        sheet.start(RowKind::Named)?;
        record.iter().enumerate().for_each(|(column, text)| sheet.set(column, cell(text)));
        sheet.end()?;
    }
    sheet.finish()
}

/// Makes the header's fields known, in order.
fn declare(header: &csv::StringRecord, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    for (at, name) in header.iter().enumerate() {
        if sheet.column(name, &mut scratch.cache)? != at {
            return malformed(format_args!("field `{name}` stands in the header twice"));
        }
    }
    sheet.expect(RowKind::Named)
}

fn next(csv: &mut csv::Reader<&[u8]>, record: &mut csv::StringRecord) -> Read<bool> {
    csv.read_record(record).or_else(|error| malformed(format_args!("broken CSV: {error}")))
}

fn cell(text: &str) -> Scalar<'_> {
    let trimmed = text.trim();
    match trimmed {
        _ if MISSING.contains(&trimmed) => Scalar::Number(f64::NAN),
        "true" | "True" | "TRUE" => Scalar::Number(1.0),
        "false" | "False" | "FALSE" => Scalar::Number(0.0),
        _ => trimmed.parse().map_or(Scalar::Text(text), Scalar::Number),
    }
}

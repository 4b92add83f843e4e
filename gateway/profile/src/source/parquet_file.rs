//! A Parquet file as typed columns, by its column readers.

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use weir_exchange::Role;

use crate::error::BuildError;
use crate::sheet::{Sheet, SheetColumn, TextBuilder, Values};

/// Values read at a time.
const BATCH: usize = 8192;
/// Rows of the largest file, since a few bytes of it can stand for any number of equal values.
const MOST_ROWS: i64 = 1 << 27;

pub(super) fn read(bytes: Vec<u8>) -> Result<Sheet, BuildError> {
    let file = SerializedFileReader::new(Bytes::from(bytes))?;
    let meta = file.metadata().file_metadata();
    let schema = meta.schema_descr();
    let rows = meta.num_rows();
    let cells = rows.saturating_mul(i64::try_from(schema.num_columns()).unwrap_or(i64::MAX));
    if !(0..=MOST_ROWS).contains(&cells) {
        return Err(BuildError::TooLarge { limit: MOST_ROWS as u64 * 8 });
    }
    let rows = usize::try_from(rows).unwrap_or_default();
    let mut columns = Vec::new();
    for at in 0..schema.num_columns() {
        let descriptor = schema.column(at);
        let name: String = descriptor.path().string();
        let values = read_column(&file, at, &descriptor)?;
        columns.push(SheetColumn { name: name.into(), role: Role::Input, values });
    }
    let sheet = Sheet { rows, columns };
    sheet.check().map(|()| sheet)
}

/// What is made of the values of a column.
#[derive(Clone, Copy)]
enum Reading {
    /// Times this.
    Number(f64),
    Unsigned,
    /// Big-endian two's complement, times this.
    Decimal(f64),
    /// Seconds in one unit.
    Time(f64),
    Text,
    Not(&'static str),
}

fn reading(descriptor: &ColumnDescriptor) -> Reading {
    if descriptor.max_rep_level() > 0 {
        return Reading::Not("a list");
    }
    let scale = |digits: i32| 10_f64.powi(-digits);
    match descriptor.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => Reading::Time(match time.unit {
            TimeUnit::MILLIS => 1e-3,
            TimeUnit::MICROS => 1e-6,
            TimeUnit::NANOS => 1e-9,
        }),
        Some(LogicalType::Date) => Reading::Time(86_400.0),
        Some(LogicalType::Time(_)) => Reading::Not("a time of day"),
        Some(LogicalType::Decimal(decimal)) => Reading::Decimal(scale(decimal.scale)),
        Some(LogicalType::Uuid) => Reading::Not("an id"),
        Some(LogicalType::Integer(integer)) if !integer.is_signed => Reading::Unsigned,
        Some(LogicalType::Integer(_)) => Reading::Number(1.0),
        Some(LogicalType::String | LogicalType::Enum | LogicalType::Json) => Reading::Text,
        Some(_) => Reading::Not("of a type that is not read here"),
        // Files of old writers say it in the other way, or not at all.
        None => match descriptor.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => Reading::Time(1e-3),
            ConvertedType::TIMESTAMP_MICROS => Reading::Time(1e-6),
            ConvertedType::DATE => Reading::Time(86_400.0),
            ConvertedType::DECIMAL => Reading::Decimal(scale(descriptor.type_scale())),
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON => Reading::Text,
            ConvertedType::NONE => Reading::Number(1.0),
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Reading::Unsigned,
            ConvertedType::INT_8 | ConvertedType::INT_16 | ConvertedType::INT_32 | ConvertedType::INT_64 => {
                Reading::Number(1.0)
            }
            _ => Reading::Not("of a type that is not read here"),
        },
    }
}

fn read_column(
    file: &SerializedFileReader<Bytes>,
    at: usize,
    descriptor: &ColumnDescriptor,
) -> Result<Values, BuildError> {
    let reading = reading(descriptor);
    if let Reading::Not(why) = reading {
        return Ok(Values::Unread(why));
    }
    let mut into = Into { reading, numbers: Vec::new(), texts: TextBuilder::default(), binary: false };
    let mut time96 = false;
    for group in 0..file.num_row_groups() {
        let level = descriptor.max_def_level();
        match file.get_row_group(group)?.get_column_reader(at)? {
            ColumnReader::BoolColumnReader(r) => {
                each(r, level, |x| into.number(x.map(|x| f64::from(u8::from(*x)))))?;
            }
            ColumnReader::Int32ColumnReader(r) => each(r, level, |x| into.int32(x.copied()))?,
            ColumnReader::Int64ColumnReader(r) => each(r, level, |x| into.int64(x.copied()))?,
            ColumnReader::Int96ColumnReader(r) => {
                time96 = true;
                each(r, level, |x| into.numbers.push(x.map_or(f64::NAN, |x| x.to_millis() as f64 / 1e3)))?;
            }
            ColumnReader::FloatColumnReader(r) => each(r, level, |x| into.number(x.map(|x| f64::from(*x))))?,
            ColumnReader::DoubleColumnReader(r) => each(r, level, |x| into.number(x.copied()))?,
            ColumnReader::ByteArrayColumnReader(r) => each(r, level, |x| into.bytes(x))?,
            ColumnReader::FixedLenByteArrayColumnReader(r) => {
                each(r, level, |x| into.bytes(x.map(|x| &**x)))?;
            }
        }
    }
    Ok(if time96 { Values::Time(into.numbers) } else { into.finish(descriptor) })
}

/// Calls with each value, `None` where there is none.
fn each<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    max_level: i16,
    mut push: impl FnMut(Option<&T::T>),
) -> Result<(), ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    loop {
        values.clear();
        levels.clear();
        let (rows, ..) = reader.read_records(BATCH, Some(&mut levels), None, &mut values)?;
        if rows == 0 {
            return Ok(());
        }
        if max_level == 0 {
            values.iter().for_each(|value| push(Some(value)));
        } else {
            let mut present = values.iter();
            levels.iter().for_each(|level| push(if *level == max_level { present.next() } else { None }));
        }
    }
}

struct Into {
    reading: Reading,
    numbers: Vec<f64>,
    texts: TextBuilder,
    /// Bytes that are no text came.
    binary: bool,
}

impl Into {
    fn number(&mut self, x: Option<f64>) {
        let unit = match self.reading {
            Reading::Number(unit) | Reading::Decimal(unit) | Reading::Time(unit) => unit,
            _ => 1.0,
        };
        // Divided, so that a decimal is the double that its digits say.
        self.numbers
            .push(x.map_or(f64::NAN, |x| if unit < 1.0 { x / (1.0 / unit).round() } else { x * unit }));
    }

    fn int32(&mut self, x: Option<i32>) {
        let unsigned = matches!(self.reading, Reading::Unsigned);
        self.number(x.map(|x| if unsigned { f64::from(x as u32) } else { f64::from(x) }));
    }

    fn int64(&mut self, x: Option<i64>) {
        let unsigned = matches!(self.reading, Reading::Unsigned);
        self.number(x.map(|x| if unsigned { x as u64 as f64 } else { x as f64 }));
    }

    fn bytes(&mut self, x: Option<&ByteArray>) {
        if let Reading::Decimal(_) = self.reading {
            return self.number(x.and_then(|x| big_endian(x.data())));
        }
        let text = x.and_then(|x| x.as_utf8().ok());
        self.binary |= x.is_some() && text.is_none();
        self.texts.push(text);
    }

    fn finish(self, descriptor: &ColumnDescriptor) -> Values {
        use parquet::basic::Type;
        let bytes = matches!(descriptor.physical_type(), Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
        match self.reading {
            Reading::Time(_) => Values::Time(self.numbers),
            Reading::Decimal(_) => Values::Number(self.numbers),
            _ if self.binary => Values::Unread("binary"),
            _ if bytes => Values::Text(self.texts.finish()),
            _ => Values::Number(self.numbers),
        }
    }
}

/// A whole number of up to 16 bytes.
fn big_endian(bytes: &[u8]) -> Option<f64> {
    let (first, fits) = (*bytes.first()?, bytes.len() <= 16);
    let sign = if first >= 0x80 { -1_i128 } else { 0 };
    fits.then(|| bytes.iter().fold(sign, |sum, byte| (sum << 8) | i128::from(*byte)) as f64)
}

//! Parquet: the same rows make the same profile as CSV, whatever the codec.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use weir_exchange::Role;
use weir_profile::{BuildOptions, Sheet, Typing, Values, build};

const SCHEMA: &str = "message rows {
    required int64 at (TIMESTAMP(MILLIS, true));
    required double amount;
    optional int32 count;
    optional binary plan (STRING);
    required boolean active;
    optional group address { optional binary city (STRING); }
    repeated int32 items;
    required int32 price (DECIMAL(9, 2));
    optional binary raw;
}";
const ROWS: usize = 1000;
/// 2024-01-01.
const MONDAY_MS: i64 = 1_704_067_200_000;

fn at(row: usize) -> i64 {
    MONDAY_MS + row as i64 * 3_600_000
}

fn amount(row: usize) -> f64 {
    ((row * 7919) % 1000) as f64 / 8.0 + 0.25
}

fn count(row: usize) -> Option<i32> {
    (row % 10 != 3).then_some((row % 23) as i32)
}

fn plan(row: usize) -> Option<&'static str> {
    (!row.is_multiple_of(7)).then_some(["free", "pro", "team"][row % 3])
}

fn cents(row: usize) -> i32 {
    (row * 31 % 977) as i32
}

fn csv() -> String {
    let mut text = "at,amount,count,plan,active,address.city,items,price,raw\n".to_owned();
    for row in 0..ROWS {
        let count = count(row).map_or(String::new(), |count| count.to_string());
        let plan = plan(row).unwrap_or_default();
        let price = f64::from(cents(row)) / 100.0;
        let (at, amount, active) = (at(row), amount(row), row % 2 == 0);
        let city = ["Riga", "Oslo"][row % 2];
        text.push_str(&format!("{at},{amount},{count},{plan},{active},{city},,{price},\n"));
    }
    text
}

fn levels(present: impl Iterator<Item = bool>, top: i16) -> Vec<i16> {
    present.map(|there| if there { top } else { top - 1 }).collect()
}

fn write_group(group: &mut SerializedRowGroupWriter<'_, impl Write + Send>, rows: std::ops::Range<usize>) {
    let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    let mut column = 0;
    while let Some(mut writer) = group.next_column().expect("a column") {
        let rows = || rows.clone();
        match column {
            0 => writer.typed::<Int64Type>().write_batch(&rows().map(at).collect::<Vec<_>>(), None, None),
            1 => {
                writer.typed::<DoubleType>().write_batch(&rows().map(amount).collect::<Vec<_>>(), None, None)
            }
            2 => {
                let levels = levels(rows().map(|row| count(row).is_some()), 1);
                let values: Vec<i32> = rows().filter_map(count).collect();
                writer.typed::<Int32Type>().write_batch(&values, Some(&levels), None)
            }
            3 => {
                let levels = levels(rows().map(|row| plan(row).is_some()), 1);
                let values: Vec<ByteArray> = rows().filter_map(plan).map(bytes).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)
            }
            4 => {
                let values: Vec<bool> = rows().map(|row| row % 2 == 0).collect();
                writer.typed::<BoolType>().write_batch(&values, None, None)
            }
            5 => {
                let values: Vec<ByteArray> = rows().map(|row| bytes(["Riga", "Oslo"][row % 2])).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, Some(&vec![2; values.len()]), None)
            }
            6 => {
                let none = vec![0; rows().len()];
                writer.typed::<Int32Type>().write_batch(&[], Some(&none), Some(&none))
            }
            7 => writer.typed::<Int32Type>().write_batch(&rows().map(cents).collect::<Vec<_>>(), None, None),
            _ => {
                let values: Vec<ByteArray> = rows().map(|_| ByteArray::from(vec![0xff, 0xfe])).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, Some(&vec![1; values.len()]), None)
            }
        }
        .expect("it is written");
        writer.close().expect("it closes");
        column += 1;
    }
}

fn parquet(compression: Compression) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
    // Two row groups, so that columns come in parts.
    for rows in [0..ROWS / 3, ROWS / 3..ROWS] {
        let mut group = file.next_row_group().expect("a group");
        write_group(&mut group, rows);
        group.close().expect("it closes");
    }
    file.into_inner().expect("it closes")
}

fn options() -> BuildOptions {
    let mut options = BuildOptions::new("rows", 1);
    options.time = Some("at".parse().expect("a column"));
    options
}

#[test]
fn the_same_rows_make_the_same_profile_as_csv_in_every_codec() {
    let sheet = Sheet::read(csv().as_bytes(), &Typing::default()).unwrap();
    let mut expect = build(sheet, &options()).unwrap().profile;
    let unread = expect.left_out.split_off(1);
    assert_eq!(unread.len(), 2, "items and raw, which the table cannot hold: {unread:?}");
    assert_eq!(expect.features.len(), 6);
    let (zstd, gzip) = (ZstdLevel::default(), GzipLevel::default());
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(zstd),
        Compression::GZIP(gzip),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        let sheet = Sheet::read(&*parquet(codec), &Typing::default()).unwrap();
        let mut found = build(sheet, &options()).unwrap().profile;
        let reasons: Vec<String> = found.left_out.split_off(1).into_iter().map(|left| left.reason).collect();
        assert_eq!(reasons, ["a list", "binary"]);
        assert_eq!(found.clone().sealed(), expect.clone().sealed(), "{codec:?}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let whole = parquet(Compression::SNAPPY);
    for end in [5, whole.len() / 2, whole.len() - 1] {
        let said = Sheet::read(&whole[..end], &Typing::default()).unwrap_err().to_string();
        assert!(said.starts_with("the Parquet file cannot be read: "), "{said}");
    }
}

#[test]
fn numbers_become_the_texts_that_clients_write() {
    let typing = Typing { category: vec!["count".into()], ..Typing::default() };
    let sheet = Sheet::read(&*parquet(Compression::SNAPPY), &typing).unwrap();
    let column = &sheet.columns[sheet.column("category", "count").unwrap()];
    assert_eq!(column.role, Role::Input);
    let Values::Text(texts) = &column.values else { panic!("texts") };
    assert_eq!((texts.get(0).map(|t| &**t), texts.get(3)), (Some("0"), None));
}

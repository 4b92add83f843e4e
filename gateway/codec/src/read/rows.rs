//! Values that are rows: lists of lists, lists of objects, and their shorthands.

use weir_exchange::Table;

use crate::error::{Read, unsupported};
use crate::json::{Reader, Scalar};
use crate::read::Scratch;
use crate::read::columns::read_columns;
use crate::read::sheet::{RowKind, Sheet};

/// What a list of plain values means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Each value is a row of one field: predictions, tensors.
    Rows,
    /// The values are the fields of one row: the shorthand of a service for one example.
    OneRow,
}

/// Fills `table` with the value at the reader, in whichever form it has:
/// - a list of arrays: rows, with nested arrays flattened and short rows padded;
/// - a list of objects: rows with names;
/// - a list of plain values: as `listing` says;
/// - an object of nothing but lists: columns; any other object: one row with names;
/// - a plain value: one row of one field.
#[inline]
pub(crate) fn read_value(
    r: &mut Reader<'_>,
    listing: Listing,
    scratch: &mut Scratch,
    table: &mut Table,
) -> Read<()> {
    match r.peek() {
        b'[' => read_list(r, listing, scratch, table),
        b'{' if holds_columns(r, &mut scratch.unescaped)? => {
            let mark = r.mark();
            if read_columns(r, scratch, table)? {
                return Ok(());
            }
            r.reset(mark);
            read_one(r, scratch, table)
        }
        _ => read_one(r, scratch, table),
    }
}

fn read_list(r: &mut Reader<'_>, listing: Listing, scratch: &mut Scratch, table: &mut Table) -> Read<()> {
    if listing == Listing::OneRow && first_is_plain(r)? {
        return read_one(r, scratch, table);
    }
    let mut ends = std::mem::take(&mut scratch.ends);
    let mut sheet = Sheet::new(table, &mut ends, scratch.limits);
    let read = read_rows(r, scratch, &mut sheet).and_then(|()| sheet.finish());
    scratch.ends = ends;
    read
}

fn read_one(r: &mut Reader<'_>, scratch: &mut Scratch, table: &mut Table) -> Read<()> {
    let mut ends = std::mem::take(&mut scratch.ends);
    let mut sheet = Sheet::new(table, &mut ends, scratch.limits);
    let read = read_row(r, scratch, &mut sheet).and_then(|()| sheet.finish());
    scratch.ends = ends;
    read
}

fn read_rows(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    let mut list = r.array()?;
    if r.peek() == b'n' && first_row_is_object(r)? {
        sheet.expect(RowKind::Named)?;
    }
    while r.element(&mut list)? {
        read_row(r, scratch, sheet)?;
    }
    Ok(())
}

/// One row: an array, an object, or a plain value.
#[inline(always)]
fn read_row(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    match r.peek() {
        b'[' => {
            sheet.start(RowKind::Positional)?;
            flatten(r, &mut scratch.unescaped, sheet)?;
        }
        b'{' => {
            sheet.start(RowKind::Named)?;
            read_fields(r, scratch, sheet)?;
        }
        b'n' if sheet.is_named() => {
            sheet.start(RowKind::Named)?;
            r.number_or_word()?;
        }
        _ => {
            sheet.start(RowKind::Positional)?;
            push(r, &mut scratch.unescaped, sheet)?;
        }
    }
    sheet.end()
}

/// The values of an array row, inner arrays flattened in order.
fn flatten(r: &mut Reader<'_>, unescaped: &mut String, sheet: &mut Sheet<'_>) -> Read<()> {
    let mut list = r.array()?;
    while r.element(&mut list)? {
        match r.peek() {
            b'[' => flatten(r, unescaped, sheet)?,
            b'{' => return unsupported(format_args!("an object inside an array row")),
            b'-' | b'0'..=b'9' if sheet.push_numbers(r) => {}
            _ => push(r, unescaped, sheet)?,
        }
    }
    Ok(())
}

#[inline(always)]
fn push(r: &mut Reader<'_>, unescaped: &mut String, sheet: &mut Sheet<'_>) -> Read<()> {
    match r.scalar(unescaped)? {
        Scalar::Number(number) => sheet.push_number(number),
        Scalar::Text(text) => sheet.push_text(text),
    }
    Ok(())
}

/// The fields of an object row; nested ones as `outer.inner`, lists as `name_0`, `name_1`.
fn read_fields(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        if r.at_container() {
            scratch.path.clear();
            scratch.path.push_str(key);
            read_nested(r, scratch, sheet)?;
        } else {
            let column = sheet.column(key, &mut scratch.cache)?;
            sheet.set(column, r.scalar(&mut scratch.unescaped)?);
        }
    }
    Ok(())
}

/// A field that is a container; its name is in `scratch.path`, which is left as it was.
fn read_nested(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    if r.peek() == b'{' {
        return read_nested_object(r, scratch, sheet);
    }
    if holds_one_plain(r)? {
        return read_lone(r, scratch, sheet);
    }
    read_nested_list(r, &mut 0, scratch, sheet)
}

fn read_nested_object(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    let base = scratch.path.len();
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        scratch.path.push('.');
        scratch.path.push_str(key);
        if r.at_container() {
            read_nested(r, scratch, sheet)?;
        } else {
            set_at_path(r, scratch, sheet)?;
        }
        scratch.path.truncate(base);
    }
    Ok(())
}

/// The elements of a list, numbered through over all nested lists.
fn read_nested_list(
    r: &mut Reader<'_>,
    count: &mut usize,
    scratch: &mut Scratch,
    sheet: &mut Sheet<'_>,
) -> Read<()> {
    let base = scratch.path.len();
    let mut list = r.array()?;
    while r.element(&mut list)? {
        if r.peek() == b'[' {
            read_nested_list(r, count, scratch, sheet)?;
            continue;
        }
        push_index(&mut scratch.path, *count);
        *count += 1;
        if r.peek() == b'{' {
            read_nested_object(r, scratch, sheet)?;
        } else {
            set_at_path(r, scratch, sheet)?;
        }
        scratch.path.truncate(base);
    }
    Ok(())
}

/// A list around one plain value: the field keeps its name.
fn read_lone(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    let mut list = r.array()?;
    while r.element(&mut list)? {
        if r.peek() == b'[' {
            read_lone(r, scratch, sheet)?;
        } else {
            set_at_path(r, scratch, sheet)?;
        }
    }
    Ok(())
}

fn set_at_path(r: &mut Reader<'_>, scratch: &mut Scratch, sheet: &mut Sheet<'_>) -> Read<()> {
    let column = sheet.column(&scratch.path, &mut scratch.cache)?;
    sheet.set(column, r.scalar(&mut scratch.unescaped)?);
    Ok(())
}

/// `name` becomes `name_3`.
pub(crate) fn push_index(name: &mut String, index: usize) {
    name.push('_');
    name.push_str(itoa::Buffer::new().format(index));
}

/// Appends every plain value of nested lists to `table`'s cells, without rows: the data of a tensor.
pub(crate) fn leaves(r: &mut Reader<'_>, unescaped: &mut String, table: &mut Table) -> Read<()> {
    let mut list = r.array()?;
    while r.element(&mut list)? {
        if r.peek() == b'[' {
            leaves(r, unescaped, table)?;
            continue;
        }
        if r.numbers(&mut table.numbers) {
            continue;
        }
        match r.scalar(unescaped)? {
            Scalar::Number(number) => table.numbers.push(number),
            Scalar::Text(text) => {
                table.push_text(table.numbers.len(), text);
                table.numbers.push(f64::NAN);
            }
        }
    }
    Ok(())
}

/// Looks ahead: is the first element of the list here a plain value?
fn first_is_plain(r: &Reader<'_>) -> Read<bool> {
    let mut ahead = r.clone();
    let mut list = ahead.array()?;
    Ok(ahead.element(&mut list)? && !ahead.at_container())
}

/// Looks ahead, past rows that are null: is the first that is not an object?
fn first_row_is_object(r: &Reader<'_>) -> Read<bool> {
    let mut ahead = r.clone();
    while ahead.peek() == b'n' {
        ahead.number_or_word()?;
        if !ahead.comma() {
            return Ok(false);
        }
    }
    Ok(ahead.peek() == b'{')
}

/// Looks ahead: is the first value of the object here a container?
fn holds_columns(r: &Reader<'_>, unescaped: &mut String) -> Read<bool> {
    let mut ahead = r.clone();
    let mut object = ahead.object()?;
    Ok(ahead.key(&mut object, unescaped)?.is_some() && ahead.at_container())
}

/// Looks ahead: do the lists here hold exactly one plain value?
fn holds_one_plain(r: &Reader<'_>) -> Read<bool> {
    let mut ahead = r.clone();
    let mut levels = 0;
    while ahead.peek() == b'[' {
        ahead.array()?;
        levels += 1;
    }
    if matches!(ahead.peek(), b'{' | b']') || ahead.skip(&mut String::new()).is_err() {
        return Ok(false);
    }
    let mut closed = 0;
    while closed < levels && ahead.close_array() {
        closed += 1;
    }
    Ok(closed == levels)
}

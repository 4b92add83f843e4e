//! Named tensors beside each other, joined to rows.

use std::ops::Range;
use std::sync::Arc;

use weir_exchange::{Fields, Table};

use crate::error::{Read, too_large, unsupported};
use crate::json::Reader;
use crate::read::Scratch;
use crate::read::names::NameList;
use crate::read::rows::{Listing, push_index, read_value};

/// A tensor whose cells lie row by row in the scratch's flat table.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: Arc<str>,
    /// First cell.
    pub(crate) start: usize,
    pub(crate) rows: usize,
    /// Cells a row.
    pub(crate) width: usize,
}

impl Tensor {
    fn cells(&self) -> Range<usize> {
        self.start..self.start + self.rows * self.width
    }
}

/// Whether a single tensor gives its name to its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    Always,
    /// One tensor is a plain matrix: its columns have no names.
    IfSeveral,
}

/// Reads an object of tensors (nested objects: `outer.inner`) into one row an index of the tensors' first
/// dimension.
///
/// False, with the reader somewhere inside, if there is a plain value among them: the object is one row
/// then, wherever that value stands.
pub(crate) fn read_columns(r: &mut Reader<'_>, scratch: &mut Scratch, table: &mut Table) -> Read<bool> {
    scratch.flat.clear();
    scratch.tensors.clear();
    let mut part = Table::default();
    if !read_object(r, &mut String::new(), scratch, &mut part)? {
        return Ok(false);
    }
    let tensors = std::mem::take(&mut scratch.tensors);
    let joined = join(&tensors, Naming::Always, scratch, table);
    scratch.tensors = tensors;
    joined.map(|()| true)
}

fn read_object(r: &mut Reader<'_>, name: &mut String, scratch: &mut Scratch, part: &mut Table) -> Read<bool> {
    let base = name.len();
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        if base > 0 {
            name.push('.');
        }
        name.push_str(key);
        match r.peek() {
            b'{' if !read_object(r, name, scratch, part)? => return Ok(false),
            b'{' => {}
            b'[' => {
                read_value(r, Listing::Rows, scratch, part)?;
                append(part, name, scratch)?;
            }
            _ => return Ok(false),
        }
        name.truncate(base);
    }
    Ok(true)
}

/// Adds a table to the flat one: a matrix as one tensor, named columns as one tensor each.
fn append(part: &Table, name: &str, scratch: &mut Scratch) -> Read<()> {
    match &part.fields {
        Fields::Positional => append_columns(part, 0..part.width, name, scratch),
        Fields::Named(fields) => fields.iter().enumerate().try_for_each(|(column, field)| {
            append_columns(part, column..column + 1, &format!("{name}.{field}"), scratch)
        }),
    }
}

fn append_columns(part: &Table, columns: Range<usize>, name: &str, scratch: &mut Scratch) -> Read<()> {
    let flat = &mut scratch.flat;
    let tensor = Tensor {
        name: scratch.cache.share(name),
        start: flat.numbers.len(),
        rows: part.rows,
        width: columns.len(),
    };
    for row in 0..part.rows {
        for cell in (row * part.width + columns.start)..(row * part.width + columns.end) {
            if let Some(text) = part.text_at(cell) {
                flat.push_text(flat.numbers.len(), text);
            }
            flat.numbers.push(part.numbers[cell]);
        }
    }
    scratch.tensors.push(tensor);
    if flat.numbers.len() > scratch.limits.cells {
        return too_large("cells", scratch.limits.cells);
    }
    if scratch.tensors.len() > scratch.limits.columns {
        return too_large("columns", scratch.limits.columns);
    }
    Ok(())
}

/// Joins tensors of the scratch's flat table, side by side, into `table`.
///
/// # Errors
/// `unsupported` if the tensors have unequal numbers of rows: such a body is no table.
pub(crate) fn join(tensors: &[Tensor], naming: Naming, scratch: &mut Scratch, table: &mut Table) -> Read<()> {
    let names = NameList::of(table, scratch.limits.columns);
    table.clear();
    let Some(first) = tensors.first() else { return Ok(()) };
    if let Some(odd) = tensors.iter().find(|t| t.rows != first.rows) {
        let (a, b) = (&first.name, &odd.name);
        return unsupported(format_args!("`{b}` has {} rows where `{a}` has {}", odd.rows, first.rows));
    }
    let width = tensors.iter().fold(0_usize, |sum, t| sum.saturating_add(t.width));
    if width > scratch.limits.columns {
        return too_large("columns", scratch.limits.columns);
    }
    if naming == Naming::Always || tensors.len() > 1 {
        table.fields = Fields::Named(name_columns(tensors, scratch, names)?);
    }
    (table.rows, table.width) = (first.rows, width);
    if first.cells() == (0..scratch.flat.numbers.len()) {
        std::mem::swap(&mut table.numbers, &mut scratch.flat.numbers);
        std::mem::swap(&mut table.texts, &mut scratch.flat.texts);
        std::mem::swap(&mut table.text, &mut scratch.flat.text);
        return Ok(());
    }
    interleave(tensors, &scratch.flat, table);
    Ok(())
}

/// A tensor of width 1 gives its name to its column; a wider one `name_0`, `name_1`, ...
fn name_columns(tensors: &[Tensor], scratch: &mut Scratch, mut names: NameList) -> Read<Vec<Arc<str>>> {
    for tensor in tensors {
        if tensor.width == 1 {
            names.push(&tensor.name, &mut scratch.cache)?;
            continue;
        }
        for column in 0..tensor.width {
            scratch.path.clear();
            scratch.path.push_str(&tensor.name);
            push_index(&mut scratch.path, column);
            names.push(&scratch.path, &mut scratch.cache)?;
        }
    }
    names.finish()
}

fn interleave(tensors: &[Tensor], flat: &Table, table: &mut Table) {
    let width = table.width;
    table.numbers.resize(table.rows * width, f64::NAN);
    table.text.push_str(&flat.text);
    let mut column = 0;
    for tensor in tensors.iter().filter(|t| t.width > 0) {
        let cells = tensor.cells();
        for (row, values) in flat.numbers[cells.clone()].chunks_exact(tensor.width).enumerate() {
            let place = row * width + column;
            table.numbers[place..place + tensor.width].copy_from_slice(values);
        }
        let first = flat.texts.partition_point(|(cell, _)| (*cell as usize) < cells.start);
        for (cell, text) in flat.texts[first..].iter().take_while(|(cell, _)| (*cell as usize) < cells.end) {
            let cell = *cell as usize - cells.start;
            let place = cell / tensor.width * width + column + cell % tensor.width;
            table.texts.push((place as u32, text.clone()));
        }
        column += tensor.width;
    }
    table.texts.sort_unstable_by_key(|(cell, _)| *cell);
}

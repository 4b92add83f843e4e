//! MLflow's scoring server: `dataframe_split`, `dataframe_records`, `instances` or `inputs`.

use weir_exchange::{Fields, Table};

use crate::error::{Read, absent, malformed, unsupported};
use crate::json::Reader;
use crate::read::{Listing, NameList, Scratch, read_value};

pub(crate) fn request(r: &mut Reader<'_>, scratch: &mut Scratch, into: &mut Table) -> Read<()> {
    let (mut found, mut language) = (false, false);
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        match key {
            "dataframe_split" => {
                split(r, scratch, into)?;
                found = true;
            }
            "dataframe_records" | "instances" | "inputs" => {
                read_value(r, Listing::Rows, scratch, into)?;
                found = true;
            }
            _ => {
                language |= matches!(key, "messages" | "prompt" | "input");
                r.skip(&mut scratch.unescaped)?;
            }
        }
    }
    match (found, language) {
        (true, _) => Ok(()),
        (false, true) => unsupported(format_args!("text for a language model, not rows")),
        (false, false) => absent(format_args!(
            "none of `dataframe_split`, `dataframe_records`, `instances`, `inputs` is in the body"
        )),
    }
}

/// pandas' split orientation: names apart from the rows, in either order.
fn split(r: &mut Reader<'_>, scratch: &mut Scratch, into: &mut Table) -> Read<()> {
    let mut names = NameList::of(into, scratch.limits.columns);
    let (mut named, mut filled) = (false, false);
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        match key {
            "columns" => {
                column_names(r, scratch, &mut names)?;
                named = true;
            }
            "data" => {
                read_value(r, Listing::Rows, scratch, into)?;
                filled = true;
            }
            _ => r.skip(&mut scratch.unescaped)?,
        }
    }
    if !filled {
        return absent(format_args!("`dataframe_split` has no `data`"));
    }
    if named { name(into, names) } else { Ok(()) }
}

fn name(table: &mut Table, names: NameList) -> Read<()> {
    if table.rows == 0 {
        table.width = names.len();
    }
    if table.width != names.len() || table.fields != Fields::Positional {
        let (width, names) = (table.width, names.len());
        return malformed(format_args!("rows of {width} fields under {names} `columns`"));
    }
    table.fields = Fields::Named(names.finish()?);
    Ok(())
}

/// Column labels: texts, or numbers as their text.
fn column_names(r: &mut Reader<'_>, scratch: &mut Scratch, names: &mut NameList) -> Read<()> {
    names.restart();
    let mut list = r.array()?;
    while r.element(&mut list)? {
        let label = match r.peek() {
            b'"' => r.string(&mut scratch.unescaped)?,
            b'[' | b'{' => return unsupported(format_args!("a column label of several levels")),
            _ => r.word_text()?,
        };
        names.push(label, &mut scratch.cache)?;
    }
    Ok(())
}

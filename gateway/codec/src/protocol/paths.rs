//! `json`: the rows stand wherever the route says.

use weir_exchange::Table;

use crate::error::{Read, absent};
use crate::json::Reader;
use crate::read::{Listing, Scratch, read_value};

pub(crate) fn request(
    r: &mut Reader<'_>,
    path: &[Box<str>],
    scratch: &mut Scratch,
    into: &mut Table,
) -> Read<()> {
    if read_at(r, path, scratch, into)? {
        return Ok(());
    }
    absent(format_args!("`{}` is not in the body", path.join(".")))
}

/// Reads the value at `path` below the value here, and past the rest of it; false if there is none.
fn read_at(r: &mut Reader<'_>, path: &[Box<str>], scratch: &mut Scratch, into: &mut Table) -> Read<bool> {
    let Some((segment, rest)) = path.split_first() else {
        read_value(r, Listing::OneRow, scratch, into)?;
        return Ok(true);
    };
    let mut found = false;
    match r.peek() {
        b'{' => {
            let mut object = r.object()?;
            while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
                if *key == **segment {
                    found |= read_at(r, rest, scratch, into)?;
                } else {
                    r.skip(&mut scratch.unescaped)?;
                }
            }
        }
        b'[' => {
            let wanted = segment.parse::<usize>().ok();
            let (mut list, mut index) = (r.array()?, 0);
            while r.element(&mut list)? {
                if wanted == Some(index) {
                    found |= read_at(r, rest, scratch, into)?;
                } else {
                    r.skip(&mut scratch.unescaped)?;
                }
                index += 1;
            }
        }
        _ => r.skip(&mut scratch.unescaped)?,
    }
    Ok(found)
}

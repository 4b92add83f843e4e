//! KServe V1 and TensorFlow Serving: `instances` (rows) or `inputs` (rows, or an object of columns).

use weir_exchange::Table;

use crate::error::{Read, absent};
use crate::json::Reader;
use crate::read::{Listing, Scratch, read_value};

pub(crate) fn request(r: &mut Reader<'_>, scratch: &mut Scratch, into: &mut Table) -> Read<()> {
    let mut found = false;
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        if matches!(key, "instances" | "inputs") {
            read_value(r, Listing::Rows, scratch, into)?;
            found = true;
        } else {
            r.skip(&mut scratch.unescaped)?;
        }
    }
    if found { Ok(()) } else { absent(format_args!("neither `instances` nor `inputs` is in the body")) }
}

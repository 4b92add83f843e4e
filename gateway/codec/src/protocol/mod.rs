//! One reader a protocol: which field holds the rows, and what stands around it.

mod kserve;
mod mlflow;
mod oip;
mod paths;
mod reply;

use weir_exchange::exchange::Content;
use weir_exchange::{Output, Protocol, Reply, Table};

use crate::csv_rows;
use crate::error::{Read, unsupported};
use crate::json::Reader;
use crate::read::Scratch;

pub(crate) use reply::CLASS_NAMES;

/// Reads a request's rows.
pub(crate) fn request(
    protocol: &Protocol,
    bytes: &[u8],
    content: Content,
    scratch: &mut Scratch,
    into: &mut Table,
) -> Read<()> {
    if let (Protocol::Mlflow, Content::Csv) = (protocol, content) {
        return csv_rows::read(bytes, scratch, into);
    }
    require_json(content)?;
    let mut r = reader(protocol, bytes, scratch)?;
    match protocol {
        Protocol::KserveV1 => kserve::request(&mut r, scratch, into),
        Protocol::OipV2 => oip::request(&mut r, scratch, into),
        Protocol::Mlflow => mlflow::request(&mut r, scratch, into),
        Protocol::Json(paths) => paths::request(&mut r, paths.features.segments(), scratch, into),
    }?;
    r.end()
}

/// Reads a response's predictions and scores.
pub(crate) fn response(
    protocol: &Protocol,
    output: &Output,
    (bytes, content): (&[u8], Content),
    scratch: &mut Scratch,
    into: &mut Reply,
) -> Read<()> {
    require_json(content)?;
    let mut r = reader(protocol, bytes, scratch)?;
    match protocol {
        Protocol::OipV2 => oip::response(&mut r, output, scratch, into),
        Protocol::KserveV1 => reply::read(&mut r, &reply::Wanted::served(output, true), scratch, into),
        Protocol::Mlflow => reply::read(&mut r, &reply::Wanted::served(output, false), scratch, into),
        Protocol::Json(paths) => reply::read(&mut r, &reply::Wanted::named(output, paths), scratch, into),
    }
}

/// Refuses calls that share a prefix with predictions but carry something else.
pub(crate) fn refuse_other_calls(protocol: &Protocol, path: &str) -> Read<()> {
    let other = match protocol {
        Protocol::KserveV1 => {
            path.rsplit_once(':').filter(|(_, verb)| matches!(*verb, "classify" | "regress"))
        }
        Protocol::OipV2 => {
            path.rsplit_once('/').filter(|(_, verb)| matches!(*verb, "generate" | "generate_stream"))
        }
        Protocol::Mlflow | Protocol::Json(_) => None,
    };
    match other {
        Some((_, verb)) => unsupported(format_args!("a `{verb}` call carries no rows of features")),
        None => Ok(()),
    }
}

fn reader<'a>(protocol: &Protocol, bytes: &'a [u8], scratch: &Scratch) -> Read<Reader<'a>> {
    scratch.reader(bytes).or_else(|error| match protocol {
        Protocol::OipV2 if oip::is_binary(bytes) => unsupported(format_args!("tensors as binary data")),
        _ => Err(error),
    })
}

fn require_json(content: Content) -> Read<()> {
    match content {
        Content::Json => Ok(()),
        Content::Csv => unsupported(format_args!("a CSV body (only mlflow requests are read as CSV)")),
        Content::Other => unsupported(format_args!("a body that is not JSON")),
    }
}

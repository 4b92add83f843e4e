//! Open Inference Protocol V2 over HTTP: named tensors with a shape, in JSON.
//!
//! The data may be flat or nested, row-major; it may come before its shape. The first dimension is the rows.

use std::sync::Arc;

use weir_exchange::{Fields, Output, Reply, Table, Task};

use crate::error::{Read, absent, malformed, too_large, unsupported};
use crate::json::Reader;
use crate::meaning::SCORE_NAMES;
use crate::protocol::reply::{CLASS_NAMES, fit_scores, label};
use crate::read::{Listing, Naming, Scratch, Tensor, join, leaves, read_value};

/// Data types of the protocol that JSON can carry.
const DATATYPES: [&str; 13] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64",
    "BYTES",
];

pub(crate) fn request(r: &mut Reader<'_>, scratch: &mut Scratch, into: &mut Table) -> Read<()> {
    start(scratch);
    let mut found = false;
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        if key == "inputs" {
            tensors(r, scratch)?;
            found = true;
        } else {
            r.skip(&mut scratch.unescaped)?;
        }
    }
    if !found {
        return absent(format_args!("`inputs` is not in the body"));
    }
    let inputs = std::mem::take(&mut scratch.tensors);
    let joined = join(&inputs, Naming::IfSeveral, scratch, into);
    scratch.tensors = inputs;
    joined
}

pub(crate) fn response(
    r: &mut Reader<'_>,
    output: &Output,
    scratch: &mut Scratch,
    reply: &mut Reply,
) -> Read<()> {
    start(scratch);
    let (mut found, mut classes) = (false, Vec::new());
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        match key {
            "outputs" => {
                classes = tensors(r, scratch)?;
                found = true;
            }
            "model_name" => label(r, scratch, &mut reply.model)?,
            "model_version" => label(r, scratch, &mut reply.model_version)?,
            _ => r.skip(&mut scratch.unescaped)?,
        }
    }
    r.end()?;
    if !found {
        return absent(format_args!("`outputs` is not in the body"));
    }
    let mut tensors = std::mem::take(&mut scratch.tensors);
    let filled = fill(output, &mut tensors, scratch, reply);
    scratch.tensors = tensors;
    filled?;
    if !classes.is_empty() && classes.len() == reply.scores.width {
        reply.scores.fields = Fields::Named(classes);
    }
    Ok(())
}

/// True if tensors follow the JSON as bytes, by the extension of binary tensor data: such a body is rarely
/// UTF-8.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.windows(BINARY_SIZE.len()).any(|window| window == BINARY_SIZE.as_bytes())
}

/// The parameter of a tensor whose bytes follow the JSON: how many.
const BINARY_SIZE: &str = "binary_data_size";

fn start(scratch: &mut Scratch) {
    scratch.flat.clear();
    scratch.tensors.clear();
}

/// The first tensor with a score's name is the scores, the others are the outputs.
fn fill(output: &Output, tensors: &mut Vec<Tensor>, scratch: &mut Scratch, reply: &mut Reply) -> Read<()> {
    let named = output.scores.as_ref().map(ToString::to_string);
    let is_score = |tensor: &Tensor| match (output.task, &named) {
        (Task::Regression, _) => false,
        (_, Some(name)) => *tensor.name == **name,
        (_, None) => SCORE_NAMES.contains(&&*tensor.name),
    };
    let at = tensors.iter().position(is_score);
    let scores = at.map(|at| tensors.remove(at));
    match &scores {
        Some(scores) => join(std::slice::from_ref(scores), Naming::IfSeveral, scratch, &mut reply.scores)?,
        None => reply.scores.clear(),
    }
    join(tensors, Naming::IfSeveral, scratch, &mut reply.outputs)?;
    let Some(scores) = scores else { return Ok(()) };
    if tensors.is_empty() {
        reply.outputs.rows = scores.rows;
    }
    match fit_scores(&mut reply.scores, reply.outputs.rows) {
        Ok(()) => Ok(()),
        Err(_) if named.is_none() => {
            reply.scores.clear();
            Ok(())
        }
        Err(why) => malformed(format_args!("`{}`: the scores {why}", scores.name)),
    }
}

/// What is known of a tensor while its object is read.
#[derive(Default)]
struct Draft {
    name: Option<Arc<str>>,
    shape: Option<Shape>,
    start: usize,
    has_data: bool,
    binary: bool,
    classes: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Default)]
struct Shape {
    dimensions: usize,
    rows: usize,
    width: usize,
}

/// Reads a list of tensors into the scratch; returns the class names the last of them gave.
fn tensors(r: &mut Reader<'_>, scratch: &mut Scratch) -> Read<Vec<Arc<str>>> {
    start(scratch);
    let mut classes = Vec::new();
    let mut list = r.array()?;
    while r.element(&mut list)? {
        let mut draft = Draft { start: scratch.flat.numbers.len(), ..Draft::default() };
        let mut object = r.object()?;
        while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
            match key {
                "name" => draft.name = Some(scratch.cache.share(r.string(&mut scratch.unescaped)?)),
                "shape" => draft.shape = Some(shape(r)?),
                "datatype" => datatype(r.string(&mut scratch.unescaped)?)?,
                "data" if draft.has_data => return malformed(format_args!("a tensor has `data` twice")),
                "data" => {
                    leaves(r, &mut scratch.unescaped, &mut scratch.flat)?;
                    draft.has_data = true;
                }
                "parameters" => parameters(r, scratch, &mut draft)?,
                _ => r.skip(&mut scratch.unescaped)?,
            }
        }
        if !draft.classes.is_empty() {
            classes = std::mem::take(&mut draft.classes);
        }
        let tensor = finish(draft, scratch)?;
        scratch.tensors.push(tensor);
        if scratch.tensors.len() > scratch.limits.columns {
            return too_large("tensors", scratch.limits.columns);
        }
    }
    Ok(classes)
}

fn finish(draft: Draft, scratch: &Scratch) -> Read<Tensor> {
    let Some(name) = draft.name else { return malformed(format_args!("a tensor has no `name`")) };
    if !draft.has_data && draft.binary {
        return unsupported(format_args!("tensor `{name}` travels as binary data"));
    }
    let (Some(shape), true) = (draft.shape, draft.has_data) else {
        return malformed(format_args!("tensor `{name}` has no `shape` or no `data`"));
    };
    let cells = scratch.flat.numbers.len() - draft.start;
    if shape.rows.checked_mul(shape.width) != Some(cells) {
        let Shape { rows, width, .. } = shape;
        return malformed(format_args!("tensor `{name}` has {cells} values for a shape of {rows} x {width}"));
    }
    if scratch.flat.numbers.len() > scratch.limits.cells {
        return too_large("cells", scratch.limits.cells);
    }
    // Rows of no cells cost the sender nothing, but whoever walks them.
    if shape.rows > scratch.limits.cells {
        return too_large("rows", scratch.limits.cells);
    }
    // A scalar (no dimension) is one row.
    let rows = if shape.dimensions == 0 { 1 } else { shape.rows };
    Ok(Tensor { name, start: draft.start, rows, width: shape.width })
}

/// The dimensions, as rows and cells a row.
fn shape(r: &mut Reader<'_>) -> Read<Shape> {
    let mut shape = Shape { dimensions: 0, rows: 1, width: 1 };
    let mut list = r.array()?;
    while r.element(&mut list)? {
        let text = r.word_text()?;
        let Ok(size) = text.parse::<usize>() else {
            return malformed(format_args!("`{text}` is no dimension of a shape"));
        };
        if shape.dimensions == 0 {
            shape.rows = size;
        } else {
            shape.width = shape.width.saturating_mul(size);
        }
        shape.dimensions += 1;
    }
    Ok(shape)
}

fn datatype(name: &str) -> Read<()> {
    if DATATYPES.contains(&name) { Ok(()) } else { unsupported(format_args!("datatype `{name}` in JSON")) }
}

/// `binary_data_size` says that the tensor's bytes follow the JSON; `class_names` is ours, a JSON list in a
/// string (a parameter must be a string, a number or a boolean).
fn parameters(r: &mut Reader<'_>, scratch: &mut Scratch, draft: &mut Draft) -> Read<()> {
    if r.peek() != b'{' {
        return r.skip(&mut scratch.unescaped);
    }
    let mut object = r.object()?;
    while let Some(key) = r.key(&mut object, &mut scratch.unescaped)? {
        draft.binary |= key == BINARY_SIZE;
        if key == CLASS_NAMES && r.peek() == b'"' {
            let names = r.string(&mut scratch.unescaped)?.to_owned();
            draft.classes = class_names(&names, scratch).unwrap_or_default();
        } else {
            r.skip(&mut scratch.unescaped)?;
        }
    }
    Ok(())
}

fn class_names(text: &str, scratch: &mut Scratch) -> Read<Vec<Arc<str>>> {
    let mut r = scratch.reader(text.as_bytes())?;
    let mut names = Table::default();
    read_value(&mut r, Listing::Rows, scratch, &mut names)?;
    let texts = (0..names.rows).map_while(|row| names.text_at(row));
    Ok(texts.map(|name| scratch.cache.share(name)).collect())
}

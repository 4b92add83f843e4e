//! Predictions and scores of a local model.

use std::ops::Range;
use std::sync::Arc;

use weir_exchange::{Cell, FieldPath, Fields, JsonPaths, Protocol, Reply, Table};

use crate::encode::answer::Datatype;
use crate::encode::writer::Writer;
use crate::protocol::CLASS_NAMES;

/// Who predicted.
#[derive(Clone, Copy, Debug)]
pub struct ModelLabels<'a> {
    pub name: &'a str,
    /// Empty: left out.
    pub version: &'a str,
}

/// The name under which scores stand beside the predictions, unless a `json` route names another.
const SCORES: &str = "probabilities";

/// A reply's body.
///
/// - KServe V1 and MLflow: `predictions`, with `probabilities` (a list a row), `class_names`, `model_name`
///   and `model_version` beside them. Both allow further keys, and their clients read `predictions` alone.
/// - Open Inference Protocol: a tensor `predict` (one a field if the outputs have names) and a tensor
///   `predict_proba`. Texts are `BYTES`, labels of whole-number classes `INT64`, all else is `FP64`.
/// - `json`: predictions, scores and labels at the route's paths.
///
/// A reply of nothing but scores has them as its predictions (OIP: the tensor `predict_proba` alone).
pub fn reply(
    protocol: &Protocol,
    reply: &Reply,
    labels: &ModelLabels<'_>,
    request_id: Option<&str>,
) -> Vec<u8> {
    match protocol {
        Protocol::KserveV1 | Protocol::Mlflow => {
            let paths = JsonPaths {
                model: Some(FieldPath::field("model_name")),
                model_version: Some(FieldPath::field("model_version")),
                ..JsonPaths::default()
            };
            document(&paths, reply, labels)
        }
        Protocol::Json(paths) => document(paths, reply, labels),
        Protocol::OipV2 => tensors(reply, labels, request_id),
    }
}

/// A value of the document.
#[derive(Clone, Copy)]
enum Value<'a> {
    Rows(&'a Table),
    /// Rows as lists, whatever their names.
    Matrix(&'a Table),
    Names(&'a [Arc<str>]),
    Label(&'a str),
}

/// A value and where it belongs.
type Part<'a> = (Vec<&'a str>, Value<'a>);

fn document<'a>(paths: &'a JsonPaths, reply: &'a Reply, labels: &ModelLabels<'a>) -> Vec<u8> {
    let predictions = segments(&paths.predictions);
    let beside = |name| {
        let mut path = predictions.clone();
        path.pop();
        path.push(name);
        path
    };
    let mut parts: Vec<Part<'_>> = Vec::with_capacity(5);
    if reply.outputs.width == 0 && reply.scores.width > 0 {
        parts.push((predictions.clone(), Value::Rows(&reply.scores)));
    } else {
        parts.push((predictions.clone(), Value::Rows(&reply.outputs)));
        if reply.scores.width > 0 {
            let path = paths.scores.as_ref().map_or_else(|| beside(SCORES), segments);
            parts.push((path, Value::Matrix(&reply.scores)));
            if let Fields::Named(names) = &reply.scores.fields {
                parts.push((beside(CLASS_NAMES), Value::Names(names)));
            }
        }
    }
    for (path, label) in [(&paths.model, labels.name), (&paths.model_version, labels.version)] {
        if let Some(path) = path.as_ref().filter(|_| !label.is_empty()) {
            parts.push((segments(path), Value::Label(label)));
        }
    }
    let mut out = Writer::for_cells(cells(reply));
    nest(&mut out, &parts.iter().collect::<Vec<_>>(), 0);
    out.into_bytes()
}

fn cells(reply: &Reply) -> usize {
    reply.outputs.numbers.len() + reply.scores.numbers.len()
}

fn segments(path: &FieldPath) -> Vec<&str> {
    path.segments().iter().map(|segment| &**segment).collect()
}

fn write(out: &mut Writer, value: Value<'_>) {
    match value {
        Value::Rows(table) => out.rows(table),
        Value::Matrix(table) => out.matrix(table),
        Value::Names(names) => out.list(names, |out, name| out.text(name).ignore()),
        Value::Label(label) => out.text(label),
    }
    .ignore();
}

/// A value as JSON in a text of its own.
fn json(write: impl FnOnce(&mut Writer)) -> String {
    let mut out = Writer::default();
    write(&mut out);
    String::from_utf8_lossy(&out.into_bytes()).into_owned()
}

/// Writes the parts whose paths agree up to `depth` as one value: the first part that ends here, else an
/// object, or a list if its first key is a number (`outputs.0.values`; places nobody fills are null).
fn nest(out: &mut Writer, parts: &[&Part<'_>], depth: usize) {
    if let Some((_, value)) = parts.iter().find(|(path, _)| path.len() == depth) {
        return write(out, *value);
    }
    let mut groups: Vec<(&str, Vec<&Part<'_>>)> = Vec::new();
    for part in parts {
        let key = part.0[depth];
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(part),
            None => groups.push((key, vec![part])),
        }
    }
    let index = |key: &str| key.parse::<usize>().ok().filter(|index| *index < LONGEST_LIST);
    if let Some(last) = groups.iter().map(|(key, _)| index(key)).try_fold(0, |last, at| Some(last.max(at?))) {
        out.list(0..=last, |out, at| match groups.iter().find(|(key, _)| index(key) == Some(at)) {
            Some((_, group)) => nest(out, group, depth + 1),
            None => out.raw("null").ignore(),
        });
        return;
    }
    for (at, (key, group)) in groups.iter().enumerate() {
        out.raw(if at == 0 { "{" } else { "," }).text(key).raw(":");
        nest(out, group, depth + 1);
    }
    out.raw("}");
}

/// A path like `outputs.4000000000` must not make a list of that length.
const LONGEST_LIST: usize = 1024;

fn tensors(reply: &Reply, labels: &ModelLabels<'_>, request_id: Option<&str>) -> Vec<u8> {
    let mut out = Writer::for_cells(cells(reply));
    out.raw("{\"model_name\":").text(labels.name);
    if !labels.version.is_empty() {
        out.raw(",\"model_version\":").text(labels.version);
    }
    if let Some(id) = request_id {
        out.raw(",\"id\":").text(id);
    }
    out.raw(",\"outputs\":");
    let (outputs, scores) = (&reply.outputs, &reply.scores);
    let classes: &[Arc<str>] = match &scores.fields {
        Fields::Named(names) => names,
        Fields::Positional => &[],
    };
    let numbers =
        if Datatype::of_labels(classes) == Datatype::Int64 { Datatype::Int64 } else { Datatype::Fp64 };
    let mut tensors = Vec::new();
    match &outputs.fields {
        Fields::Named(names) => tensors.extend(names.iter().enumerate().map(|(column, name)| Tensor {
            name,
            table: outputs,
            columns: column..column + 1,
            numbers,
            classes: &[],
        })),
        Fields::Positional if outputs.width > 0 => {
            let columns = 0..outputs.width;
            tensors.push(Tensor { name: "predict", table: outputs, columns, numbers, classes: &[] });
        }
        Fields::Positional => {}
    }
    if scores.width > 0 {
        let (columns, numbers) = (0..scores.width, Datatype::Fp64);
        tensors.push(Tensor { name: "predict_proba", table: scores, columns, numbers, classes });
    }
    out.list(tensors, |out, tensor| tensor.write(out));
    out.raw("}");
    out.into_bytes()
}

/// Some columns of a table, as a tensor.
struct Tensor<'a> {
    name: &'a str,
    table: &'a Table,
    columns: Range<usize>,
    /// Its type if it has no text; with one it is `BYTES`, and the numbers beside it are their text.
    numbers: Datatype,
    classes: &'a [Arc<str>],
}

impl Tensor<'_> {
    fn write(&self, out: &mut Writer) {
        let Self { table, columns, .. } = self;
        let cells =
            || (0..table.rows).flat_map(|row| columns.clone().map(move |column| table.cell(row, column)));
        let bytes = cells().any(|cell| matches!(cell, Cell::Text(_)));
        let datatype = if bytes { Datatype::Bytes } else { self.numbers };
        out.raw("{\"name\":").text(self.name).raw(",\"shape\":[").integer(table.rows as i64);
        out.raw(",").integer(columns.len() as i64).raw("],\"datatype\":").text(datatype.as_str());
        if !self.classes.is_empty() {
            let classes = json(|out| write(out, Value::Names(self.classes)));
            out.raw(",\"parameters\":{").text(CLASS_NAMES).raw(":").text(&classes).raw("}");
        }
        out.raw(",\"data\":");
        out.list(cells(), |out, cell| match cell {
            Cell::Number(value) if bytes => out.text(&json(|out| out.number(value).ignore())).ignore(),
            cell => out.cell(cell).ignore(),
        });
        out.raw("}");
    }
}

//! Predictions and scores of a local model.

use std::sync::Arc;

use weir_exchange::{Cell, FieldPath, Fields, JsonPaths, Protocol, Reply, Table};

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
/// - KServe V1 and MLflow: `predictions`, with `probabilities` (a list a row), `class_names`, `model_name` and
///   `model_version` beside them. Both allow further keys, and their clients read `predictions` alone.
/// - Open Inference Protocol: a tensor `predict` (one a field if the outputs have names) and a tensor `predict_proba`.
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

/// A finished JSON value and where it belongs.
type Part<'p> = (Vec<&'p str>, Vec<u8>);

fn document(paths: &JsonPaths, reply: &Reply, labels: &ModelLabels<'_>) -> Vec<u8> {
    let predictions = segments(&paths.predictions);
    let beside = |name| {
        let mut path = predictions.clone();
        path.pop();
        path.push(name);
        path
    };
    let mut parts: Vec<Part<'_>> = Vec::with_capacity(5);
    if reply.outputs.width == 0 && reply.scores.width > 0 {
        parts.push((predictions.clone(), json(|out| out.rows(&reply.scores).ignore())));
    } else {
        parts.push((predictions.clone(), json(|out| out.rows(&reply.outputs).ignore())));
        if reply.scores.width > 0 {
            let path = paths.scores.as_ref().map_or_else(|| beside(SCORES), segments);
            parts.push((path, json(|out| out.matrix(&reply.scores).ignore())));
            if let Fields::Named(names) = &reply.scores.fields {
                parts.push((beside(CLASS_NAMES), json(|out| texts(out, names))));
            }
        }
    }
    for (path, label) in [(&paths.model, labels.name), (&paths.model_version, labels.version)] {
        if let Some(path) = path.as_ref().filter(|_| !label.is_empty()) {
            parts.push((segments(path), json(|out| out.text(label).ignore())));
        }
    }
    let mut out = Writer::default();
    nest(&mut out, &parts.iter().collect::<Vec<_>>(), 0);
    out.into_bytes()
}

fn segments(path: &FieldPath) -> Vec<&str> {
    path.segments().iter().map(|segment| &**segment).collect()
}

fn json(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    write(&mut out);
    out.into_bytes()
}

fn texts(out: &mut Writer, names: &[Arc<str>]) {
    out.list(names, |out, name| out.text(name).ignore()).ignore();
}

/// Writes the parts whose paths agree up to `depth` as one value: the first part that ends here, else an object, or a
/// list if its first key is a number (`outputs.0.values`; places nobody fills are null).
fn nest(out: &mut Writer, parts: &[&Part<'_>], depth: usize) {
    if let Some((_, value)) = parts.iter().find(|(path, _)| path.len() == depth) {
        out.bytes(value);
        return;
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
    let mut out = Writer::default();
    out.raw("{\"model_name\":").text(labels.name);
    if !labels.version.is_empty() {
        out.raw(",\"model_version\":").text(labels.version);
    }
    if let Some(id) = request_id {
        out.raw(",\"id\":").text(id);
    }
    out.raw(",\"outputs\":[");
    output_tensors(&mut out, &reply.outputs);
    if reply.scores.width > 0 {
        if reply.outputs.width > 0 {
            out.raw(",");
        }
        let classes = match &reply.scores.fields {
            Fields::Named(names) => Some(json(|out| texts(out, names))),
            Fields::Positional => None,
        };
        tensor(&mut out, "predict_proba", &reply.scores, 0..reply.scores.width, classes.as_deref());
    }
    out.raw("]}");
    out.into_bytes()
}

fn output_tensors(out: &mut Writer, outputs: &Table) {
    match &outputs.fields {
        Fields::Named(names) => names.iter().enumerate().for_each(|(column, name)| {
            if column > 0 {
                out.raw(",");
            }
            tensor(out, name, outputs, column..column + 1, None);
        }),
        Fields::Positional if outputs.width > 0 => tensor(out, "predict", outputs, 0..outputs.width, None),
        Fields::Positional => {}
    }
}

/// Some columns of a table as a tensor: `BYTES` if there is a text among them (numbers beside it as their text), else
/// `FP64`.
fn tensor(
    out: &mut Writer,
    name: &str,
    table: &Table,
    columns: std::ops::Range<usize>,
    classes: Option<&[u8]>,
) {
    let cells = || (0..table.rows).flat_map(|row| columns.clone().map(move |column| table.cell(row, column)));
    let bytes = cells().any(|cell| matches!(cell, Cell::Text(_)));
    out.raw("{\"name\":").text(name).raw(",\"shape\":[").integer(table.rows as i64);
    out.raw(",").integer(columns.len() as i64).raw("],\"datatype\":");
    out.text(if bytes { "BYTES" } else { "FP64" });
    if let Some(classes) = classes {
        let classes = String::from_utf8_lossy(classes);
        out.raw(",\"parameters\":{").text(CLASS_NAMES).raw(":").text(&classes).raw("}");
    }
    out.raw(",\"data\":");
    out.list(cells(), |out, cell| match cell {
        Cell::Number(value) if bytes => {
            let text = String::from_utf8_lossy(&json(|out| out.number(value).ignore())).into_owned();
            out.text(&text).ignore();
        }
        cell => out.cell(cell).ignore(),
    });
    out.raw("}");
}

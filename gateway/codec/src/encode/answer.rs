//! What a model server answers to GET: metadata, readiness, health.

use std::sync::Arc;

use weir_exchange::Protocol;

use crate::encode::writer::Writer;
use crate::model_path::model_and_version;

/// A local model, as its metadata shows it.
#[derive(Clone, Debug)]
pub struct ModelInfo {
    pub name: Arc<str>,
    /// May be empty.
    pub version: Arc<str>,
    /// Feature names with their types, in the order the model wants them.
    pub features: Vec<(Arc<str>, Datatype)>,
    /// Class names in score order; empty for a regression.
    pub classes: Vec<Arc<str>>,
}

/// Types of features, by their names in the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    Fp64,
    Int64,
    Bool,
    /// A text.
    Bytes,
}

impl Datatype {
    /// The type of labels of these classes: `INT64` if each is a whole number, `FP64` if each is a number.
    pub(super) fn of_labels(classes: &[Arc<str>]) -> Self {
        // Within an i32 a double writes whole numbers as integers.
        if classes.is_empty() {
            Self::Fp64
        } else if classes.iter().all(|class| class.parse::<i32>().is_ok()) {
            Self::Int64
        } else if classes.iter().all(|class| class.parse::<f64>().is_ok()) {
            Self::Fp64
        } else {
            Self::Bytes
        }
    }

    /// The protocol's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fp64 => "FP64",
            Self::Int64 => "INT64",
            Self::Bool => "BOOL",
            Self::Bytes => "BYTES",
        }
    }
}

/// Status and body of a GET that the protocol defines; `None` for any other path. A path that names another
/// model or version gets a 404 that says which is here.
pub fn answer_get(protocol: &Protocol, path: &str, model: &ModelInfo) -> Option<(u16, Vec<u8>)> {
    match protocol {
        Protocol::KserveV1 => kserve(path, model),
        Protocol::OipV2 => oip(path, model),
        Protocol::Mlflow => mlflow(path),
        Protocol::Json(_) => json(path),
    }
}

fn kserve(path: &str, model: &ModelInfo) -> Option<(u16, Vec<u8>)> {
    if path == "/v1/models" {
        return ok(|out| out.raw("{\"models\":[").text(&model.name).raw("]}").ignore());
    }
    let named = path.strip_prefix("/v1/models/")?;
    other_model(named, model)
        .or_else(|| ok(|out| out.raw("{\"name\":").text(&model.name).raw(",\"ready\":true}").ignore()))
}

fn oip(path: &str, model: &ModelInfo) -> Option<(u16, Vec<u8>)> {
    match path {
        "/v2" | "/v2/" => return ok(server),
        "/v2/health/live" => return ok(|out| out.raw("{\"live\":true}").ignore()),
        // The protocol's text prints `live` for a ready server, its schema `ready`: clients look for either.
        "/v2/health/ready" => return ok(|out| out.raw("{\"ready\":true,\"live\":true}").ignore()),
        _ => {}
    }
    let named = path.strip_prefix("/v2/models/")?;
    let (named, ready) = named.strip_suffix("/ready").map_or((named, false), |named| (named, true));
    other_model(named, model).or_else(|| {
        if ready {
            return ok(|out| out.raw("{\"name\":").text(&model.name).raw(",\"ready\":true}").ignore());
        }
        ok(|out| metadata(out, model))
    })
}

fn mlflow(path: &str) -> Option<(u16, Vec<u8>)> {
    match path {
        "/ping" | "/health" => Some((200, b"\n".to_vec())),
        "/version" => Some((200, env!("CARGO_PKG_VERSION").into())),
        _ => None,
    }
}

fn json(path: &str) -> Option<(u16, Vec<u8>)> {
    let health = matches!(path, "/health" | "/ping");
    health.then(|| (200, br#"{"status":"healthy","model_loaded":true}"#.to_vec()))
}

fn ok(write: impl FnOnce(&mut Writer)) -> Option<(u16, Vec<u8>)> {
    let mut out = Writer::default();
    write(&mut out);
    Some((200, out.into_bytes()))
}

/// The refusal of `m[/versions/v]` if that is not this model.
fn other_model(named: &str, model: &ModelInfo) -> Option<(u16, Vec<u8>)> {
    let (name, version) = model_and_version(named);
    let name_fits = name == Some(&*model.name);
    if name_fits && version.is_none_or(|version| version == &*model.version) {
        return None;
    }
    let here = if name_fits {
        format!("version `{}` of model `{}`", model.version, model.name)
    } else {
        format!("model `{}`", model.name)
    };
    let mut out = Writer::default();
    out.raw("{\"error\":").text(&format!("`{named}` is not served here ({here} is)")).raw("}");
    Some((404, out.into_bytes()))
}

fn server(out: &mut Writer) {
    out.raw("{\"name\":\"weir\",\"version\":").text(env!("CARGO_PKG_VERSION")).raw(",\"extensions\":[]}");
}

/// One input tensor a feature, as the decoder joins them; outputs as [`crate::encode::reply`] writes them.
fn metadata(out: &mut Writer, model: &ModelInfo) {
    out.raw("{\"name\":").text(&model.name);
    if !model.version.is_empty() {
        out.raw(",\"versions\":[").text(&model.version).raw("]");
    }
    out.raw(",\"platform\":\"weir\",\"inputs\":");
    out.list(&model.features, |out, (name, datatype)| tensor(out, name, datatype.as_str(), 1));
    out.raw(",\"outputs\":[");
    if model.classes.is_empty() {
        tensor(out, "predict", "FP64", 1);
    } else {
        tensor(out, "predict", Datatype::of_labels(&model.classes).as_str(), 1);
        out.raw(",");
        tensor(out, "predict_proba", "FP64", model.classes.len());
    }
    out.raw("]}");
}

fn tensor(out: &mut Writer, name: &str, datatype: &str, width: usize) {
    out.raw("{\"name\":").text(name).raw(",\"datatype\":").text(datatype);
    out.raw(",\"shape\":[-1,").integer(width as i64).raw("]}");
}

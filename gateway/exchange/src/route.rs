//! What a route says about the traffic it carries.

use std::fmt;
use std::sync::Arc;

use crate::privacy::Privacy;
use crate::slo::Objective;
use crate::trace::LoadSpan;

/// A route's number, the same for one name over all generations of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// The wire protocol of a route's bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// KServe V1 and TensorFlow Serving: `instances` or `inputs` in, `predictions` out.
    KserveV1,
    /// Open Inference Protocol V2 over HTTP, JSON tensors.
    OipV2,
    /// MLflow scoring server: `/invocations`.
    Mlflow,
    /// Any JSON service; the fields are named by the route.
    Json(JsonPaths),
}

impl Protocol {
    /// The name used in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::KserveV1 => "kserve-v1",
            Self::OipV2 => "oip-v2",
            Self::Mlflow => "mlflow",
            Self::Json(_) => "json",
        }
    }
}

/// Where a `json` route keeps its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPaths {
    /// Request rows: an array of rows, an array of objects, or one row.
    pub features: FieldPath,
    /// Response predictions: one value or row for each request row.
    pub predictions: FieldPath,
    /// Response class scores, if they stand apart from the predictions; empty: the usual names are tried
    /// beside `predictions`.
    pub scores: Option<FieldPath>,
    /// Response field with the model's name.
    pub model: Option<FieldPath>,
    /// Response field with the model's version.
    pub model_version: Option<FieldPath>,
}

impl Default for JsonPaths {
    /// The FastAPI habit: `{"features": [[..]]}` to `{"predictions": [..], "model_version": ".."}`.
    fn default() -> Self {
        Self {
            features: FieldPath::field("features"),
            predictions: FieldPath::field("predictions"),
            scores: None,
            model: Some(FieldPath::field("model")),
            model_version: Some(FieldPath::field("model_version")),
        }
    }
}

/// A dotted path into a JSON document: `data.features`, `outputs.0.values`; `` (empty) is the document
/// itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Box<str>>);

impl FieldPath {
    /// The path of one top-level field.
    pub fn field(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// Parses `a.b.0`.
    ///
    /// # Errors
    /// An empty segment (`a..b`) is refused with a message that shows the path.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let segments: Vec<Box<str>> = text.split('.').map(Into::into).collect();
        if segments.iter().any(|s| s.is_empty()) {
            return Err(format!("`{text}` has an empty segment (write fields as `outer.inner`)"));
        }
        Ok(Self(segments))
    }

    /// The segments from the outside in.
    pub fn segments(&self) -> &[Box<str>] {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldPath({self})")
    }
}

/// What a model's numbers mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Decided from the first reply of a form and then frozen for the schema; scores under a name of their
    /// own are always scores.
    #[default]
    Auto,
    Classification,
    Regression,
}

/// `[route.output]`: how replies are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub task: Task,
    /// Field with class scores; `None`: `probabilities`, `probs`, `predict_proba`, `scores` are tried.
    pub scores: Option<FieldPath>,
    /// Class names in score order; empty: the index, or what the model says.
    pub classes: Vec<Arc<str>>,
}

/// Everything the off-path line needs to know of a route. Made once per generation and shared.
#[derive(Clone, Debug)]
pub struct ObservedRoute {
    pub id: RouteId,
    pub name: Arc<str>,
    /// The configuration generation that made this value.
    pub generation: u64,
    /// False: requests are counted (cells) but never handed off.
    pub observe: bool,
    /// None: passed through, not decoded.
    pub protocol: Option<Protocol>,
    pub output: Output,
    /// Model name to use when nothing on the wire gives one: the route's `model`, else the backend's name.
    pub model: Arc<str>,
    /// Version to use when nothing on the wire gives one; may be empty.
    pub model_version: Arc<str>,
    /// Response headers that carry the model's name and version, lower case.
    pub model_header: Option<Arc<str>>,
    pub model_version_header: Option<Arc<str>>,
    /// `model_from = "request"`: request data may name the model (never by default: clients must not mint
    /// labels).
    pub model_from_request: bool,
    /// Fields that are hidden before they are looked at.
    pub privacy: Option<Arc<Privacy>>,
    /// The loading of its local model.
    pub loaded: Option<Arc<LoadSpan>>,
    /// Path pattern, the `http.route` of its requests.
    pub pattern: Arc<str>,
    /// Bytes kept of each side's body; a longer side is `truncated` and yields no rows.
    pub capture_limit: usize,
    /// The objectives its traffic counts for.
    pub objectives: Arc<[Objective]>,
}

impl ObservedRoute {
    /// A first route with nothing said of it but its name, which is its model's too: all else as when the
    /// configuration is silent, and captures of 1 MiB.
    pub fn named(name: &str, protocol: Option<Protocol>) -> Self {
        Self {
            id: RouteId(0),
            name: name.into(),
            generation: 1,
            observe: true,
            protocol,
            output: Output::default(),
            model: name.into(),
            model_version: Arc::default(),
            model_header: None,
            model_version_header: None,
            model_from_request: false,
            capture_limit: 1 << 20,
            privacy: None,
            loaded: None,
            pattern: Arc::default(),
            objectives: Arc::default(),
        }
    }
}

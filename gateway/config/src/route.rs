//! `[[route]]`: which requests, to which backend, read how.

use std::sync::Arc;
use std::time::Duration;

use weir_exchange::{FieldPath, JsonPaths, Output, Protocol, Task};

use crate::key::section;
use crate::kind::{
    Blank, Bool, Field, HeaderName, List, Name, Pairs, Period, Placed, Share, Size, Sub, Text, Word, Words,
};
use crate::limits::{DAY, Limits, Timeouts};
use crate::reader::{At, Reader};

const MS: Duration = Duration::from_millis(1);

section! {
    /// Requests of one kind and where they go. Exact paths come before prefixes, longer ones before
    /// shorter, more conditions before fewer, then the order of the file.
    pub(crate) struct RouteKeys {
        /// Label of the route in metrics.
        pub(crate) name: Option<At<Arc<str>>> = required("\"churn\"", Placed(Name));
        /// Path of the request: exact, or with a trailing `*` every path that begins so.
        path: Option<At<String>> = required("\"/v1/models/churn:predict\"", Placed(Text));
        /// The backend that answers.
        pub(crate) backend: Option<At<String>> = required("\"local\"", Placed(Text));
        /// Wire protocol of the bodies: kserve-v1, oip-v2, mlflow or json. "none", as without this key,
        /// passes them through undecoded.
        pub(crate) protocol: Option<At<Wire>> = optional("\"kserve-v1\"", Placed(WIRE));
        /// Condition: the Host header, without its port.
        host: Option<At<String>> = optional("\"models.example.com\"", Placed(Text));
        /// Condition: one of these methods, such as ["POST"]; empty for any.
        methods: Vec<At<String>> = default("[]", List::up_to(16, Placed(Text)));
        /// Condition: these headers have exactly these values, such as { x-tenant = "acme" }.
        headers: Vec<At<(String, String)>> = default("{}", Pairs);
        /// False: requests are counted, but their bodies never looked at.
        pub(crate) observe: bool = default("true", Bool);
        /// Bytes kept of each body for telemetry. A longer body passes untouched and is counted as
        /// `truncated`.
        capture_limit: usize = default("\"256KiB\"", Size::new(0, 256 << 20));
        /// Overrides `limits.body_bytes`.
        body_bytes: Option<u64> = optional("\"16MiB\"", Size::new(1, 64 << 30));
        /// Model name, when the response names none; else the backend's.
        model: Option<String> = optional("\"ChurnPredictor\"", Text);
        /// Model version, when the response names none.
        model_version: Option<String> = optional("\"3\"", Text);
        /// Response header that names the model.
        model_header: Option<String> = optional("\"x-model-name\"", HeaderName);
        /// Response header that names the model's version.
        model_version_header: Option<String> = optional("\"x-model-version\"", HeaderName);
        /// "request" lets the request name the model too; by default clients must not mint labels.
        model_from: bool = default("\"response\"", Word::of(&[("response", false), ("request", true)]));
        /// Send a request again, once, if it provably never reached the model server.
        retry: bool = default("true", Bool);
        /// Overrides `tracing.sample`.
        sample: Option<f64> = optional("\"10%\"", Share::from(0.0));
        /// Pass `Upgrade` (WebSocket) on; false refuses it in words.
        upgrade: bool = default("false", Bool);
        /// How replies are read.
        output: OutputKeys = default("{}", Sub::<OutputKeys>::NEW);
        /// Overrides of `[timeouts]` for this route.
        timeouts: RouteTimeouts = default("{}", Sub::<RouteTimeouts>::NEW);
        /// Where a service of protocol "json" keeps its fields.
        json: Option<At<JsonKeys>> = optional("{}", Placed(Sub::<JsonKeys>::NEW));
    }
}

section! {
    /// How replies are read.
    pub(crate) struct OutputKeys {
        /// auto, classification or regression; auto decides from the first reply of a form and stays so, but
        /// scores under a name of their own are always scores.
        task: Task = default("\"auto\"", Word::of(TASKS));
        /// Field with class scores, instead of probabilities, probs, predict_proba or scores.
        scores: Option<FieldPath> = optional("\"proba\"", Field);
        /// Class names in the order of the scores; empty for what the model says, or numbers.
        classes: Vec<String> = default("[]", List::up_to(1024, Text));
    }
}

section! {
    /// Overrides of `[timeouts]` for this route.
    pub(crate) struct RouteTimeouts {
        /// Overrides `timeouts.header`.
        header: Option<Duration> = optional("\"60s\"", Period::new(MS, DAY));
        /// Overrides `timeouts.idle`.
        idle: Option<Duration> = optional("\"60s\"", Period::new(MS, DAY));
        /// Overrides `timeouts.total`.
        total: Option<Duration> = optional("\"0s\"", Period::new(MS, DAY).or_zero());
    }
}

section! {
    /// Where a service of protocol "json" keeps its fields: dotted paths; "" is the whole document.
    pub(crate) struct JsonKeys {
        /// Request field with the rows: a list of rows, a list of objects, or one row.
        features: FieldPath = default("\"features\"", Field);
        /// Response field with the predictions: one for each row.
        predictions: FieldPath = default("\"predictions\"", Field);
        /// Response field with class scores; without it the usual names beside the predictions are tried.
        scores: Option<FieldPath> = optional("\"probabilities\"", Field);
        /// Response field with the model's name; "" for none.
        model: Option<FieldPath> = default("\"model\"", Blank(Field));
        /// Response field with the model's version; "" for none.
        model_version: Option<FieldPath> = default("\"model_version\"", Blank(Field));
    }
}

/// The protocols by name; their settings come from other tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wire {
    /// As if the key were absent.
    None,
    KserveV1,
    OipV2,
    Mlflow,
    Json,
}

const WIRE: Word<Wire> = Word { words: WIRES, absent: &["openai", "anthropic"] };

const WIRES: Words<Wire> = &[
    ("kserve-v1", Wire::KserveV1),
    ("oip-v2", Wire::OipV2),
    ("mlflow", Wire::Mlflow),
    ("json", Wire::Json),
    ("none", Wire::None),
];

const TASKS: Words<Task> =
    &[("auto", Task::Auto), ("classification", Task::Classification), ("regression", Task::Regression)];

/// Requests of one kind and where they go.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub name: Arc<str>,
    pub path: PathMatch,
    /// Lower case, without a port.
    pub host: Option<String>,
    /// Upper case, in alphabetical order; empty: any.
    pub methods: Vec<String>,
    /// Names in lower case and alphabetical order, each with its exact value.
    pub headers: Vec<(String, String)>,
    /// The name of a configured backend.
    pub backend: Arc<str>,
    pub observe: bool,
    /// `None`: passed through, not decoded.
    pub protocol: Option<Protocol>,
    pub output: Output,
    /// Model name when nothing on the wire gives one; `None`: the backend's name.
    pub model: Option<Arc<str>>,
    pub model_version: Option<Arc<str>>,
    /// Request data may name the model.
    pub model_from_request: bool,
    /// Response headers, lower case.
    pub model_header: Option<String>,
    pub model_version_header: Option<String>,
    /// Bytes kept of each body.
    pub capture_limit: usize,
    /// Largest request body in bytes: the route's own limit, else the gateway's.
    pub body_bytes: u64,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    /// 0: none.
    pub total_timeout: Duration,
    pub retry: bool,
    /// Share of the traces that begin here which the head samples, 0..=1; `None`: as for all routes.
    pub sample: Option<f64>,
    pub upgrade: bool,
}

/// What a path must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathMatch {
    Exact(String),
    /// Without the `*`.
    Prefix(String),
}

impl At<RouteKeys> {
    /// Checks what belongs to this route alone.
    pub(crate) fn resolve(
        self,
        limits: &Limits,
        timeouts: &Timeouts,
        reader: &mut Reader<'_>,
    ) -> Option<Route> {
        let keys = self.value;
        let protocol = protocol(keys.protocol.as_ref(), keys.json, reader);
        let path = keys.path.and_then(|path| path_match(&path, reader));
        let host = keys.host.as_ref().map(|host| host_name(host, reader));
        let methods = all(keys.methods.iter().map(|method| method_name(method, reader)));
        let headers = headers(&keys.headers, reader);
        Some(Route {
            name: keys.name?.value,
            path: path?,
            host: match host {
                Some(host) => Some(host?),
                None => None,
            },
            methods: methods?,
            headers: headers?,
            backend: keys.backend?.value.into(),
            observe: keys.observe,
            protocol,
            output: Output {
                task: keys.output.task,
                scores: keys.output.scores,
                classes: keys.output.classes.into_iter().map(Into::into).collect(),
            },
            model: keys.model.map(Into::into),
            model_version: keys.model_version.map(Into::into),
            model_from_request: keys.model_from,
            model_header: keys.model_header,
            model_version_header: keys.model_version_header,
            capture_limit: keys.capture_limit,
            body_bytes: keys.body_bytes.unwrap_or(limits.body_bytes),
            header_timeout: keys.timeouts.header.unwrap_or(timeouts.header),
            idle_timeout: keys.timeouts.idle.unwrap_or(timeouts.idle),
            total_timeout: keys.timeouts.total.unwrap_or(timeouts.total),
            retry: keys.retry,
            sample: keys.sample,
            upgrade: keys.upgrade,
        })
    }
}

/// Every value in alphabetical order, or `None` if one is missing, after all were looked at.
fn all<T: Ord>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let values: Vec<Option<T>> = values.collect();
    let mut values: Vec<T> = values.into_iter().collect::<Option<_>>()?;
    values.sort();
    Some(values)
}

fn protocol(
    wire: Option<&At<Wire>>,
    json: Option<At<JsonKeys>>,
    reader: &mut Reader<'_>,
) -> Option<Protocol> {
    let is_json = wire.is_some_and(|wire| wire.value == Wire::Json);
    if let Some(unused) = json.as_ref().filter(|_| !is_json) {
        let hint = "write `protocol = \"json\"`, or take the table out";
        reader.misfit(&unused.place, format!("field paths are for the protocol `json` only ({hint})"));
    }
    Some(match wire?.value {
        Wire::None => return None,
        Wire::KserveV1 => Protocol::KserveV1,
        Wire::OipV2 => Protocol::OipV2,
        Wire::Mlflow => Protocol::Mlflow,
        Wire::Json => Protocol::Json(json.map_or_else(JsonPaths::default, |json| json.value.into())),
    })
}

impl From<JsonKeys> for JsonPaths {
    fn from(keys: JsonKeys) -> Self {
        let JsonKeys { features, predictions, scores, model, model_version } = keys;
        Self { features, predictions, scores, model, model_version }
    }
}

fn path_match(path: &At<String>, reader: &mut Reader<'_>) -> Option<PathMatch> {
    let (literal, prefix) = path.value.strip_suffix('*').map_or((&*path.value, false), |p| (p, true));
    let wrong = if !literal.starts_with('/') {
        "does not begin with `/` (write `/predict`, or `/*` for every path)"
    } else if literal.contains('*') {
        "has a `*` that is not at its end (write `/prefix/*`)"
    } else if literal.contains(['?', '#']) {
        "has a query or fragment (a route looks at the path alone)"
    } else if literal.contains(|c: char| c.is_whitespace() || !c.is_ascii()) {
        "has a character that no path has on the wire (percent-encode it)"
    } else {
        let literal = literal.to_owned();
        return Some(if prefix { PathMatch::Prefix(literal) } else { PathMatch::Exact(literal) });
    };
    reader.fault(&path.place, format!("{} {wrong}", path.shown));
    None
}

fn host_name(host: &At<String>, reader: &mut Reader<'_>) -> Option<String> {
    let bracketed = host.value.starts_with('[') && host.value.ends_with(']');
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if bracketed || host.value.chars().all(legal) {
        return Some(host.value.to_ascii_lowercase());
    }
    let hint = "write it without scheme, port and path: `models.example.com`";
    reader.fault(&host.place, format!("{} is no host name ({hint})", host.shown));
    None
}

fn method_name(method: &At<String>, reader: &mut Reader<'_>) -> Option<String> {
    if method.value.chars().all(|c| c.is_ascii_uppercase() || c == '-') {
        return Some(method.value.clone());
    }
    let hint = format!("write `{}`", method.value.to_ascii_uppercase());
    let hint = if method.shown.contains('$') { "write it in capitals".to_owned() } else { hint };
    reader.fault(&method.place, format!("{} is no method ({hint})", method.shown));
    None
}

/// Names in lower case, so that two spellings of one header are seen as one.
fn headers(headers: &[At<(String, String)>], reader: &mut Reader<'_>) -> Option<Vec<(String, String)>> {
    let mut seen = std::collections::HashSet::new();
    let one = |header: &At<(String, String)>| {
        let (name, value) = &header.value;
        if !HeaderName::fits(name) {
            let message =
                format!("`{}` is no header name (write one such as `x-tenant`)", name.escape_debug());
            reader.fault(&header.place, message);
            return None;
        }
        let name = name.to_ascii_lowercase();
        if !seen.insert(name.clone()) {
            reader.fault(&header.place, format!("the header `{name}` stands here twice (take one out)"));
            return None;
        }
        Some((name, value.clone()))
    };
    all(headers.iter().map(one))
}

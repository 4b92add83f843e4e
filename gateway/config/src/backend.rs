//! `[backend.NAME]`: model servers to forward to, or a model to run here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;

use crate::fault::Place;
use crate::key::{Table, section};
use crate::kind::{Bool, Count, Entry, List, Period, Placed, Text, Url};
use crate::limits::{DAY, Timeouts};
use crate::reader::{At, Reader};
use crate::section::{Keys, read};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// A backend of model servers: requests go to the less loaded of two endpoints chosen at random.
    pub(crate) struct ForwardKeys {
        /// Base URLs of the model servers, all serving the same model. http only: this build has no TLS to
        /// upstreams.
        endpoints: Option<Vec<Endpoint>> =
            required("[\"http://127.0.0.1:9000\"]", List { of: Url, min: 1, max: 256 });
        /// Speak HTTP/2 with prior knowledge, as gRPC needs; false is HTTP/1.1.
        http2: bool = default("false", Bool);
        /// Overrides `timeouts.connect`.
        connect_timeout: Option<Duration> = optional("\"1s\"", Period::new(MS, HOUR));
        /// How long an idle connection is kept; keep it below the server's own (uvicorn closes at 5 s).
        keep_alive_idle: Duration = default("\"4s\"", Period::new(MS, DAY));
        /// Connections that one worker keeps to one endpoint; what a burst opens beyond them is closed after
        /// use.
        max_connections: usize = default("1024", Count::new(1, 65_535));
        /// How an endpoint is probed: "protocol" asks as the route's protocol does, "off" does not ask, and
        /// a path such as "/healthz" is ready when it answers 2xx.
        ready: At<String> = default("\"protocol\"", Placed(Text));
        /// Time between two probes of one endpoint.
        ready_interval: Duration = default("\"5s\"", Period::new(Duration::from_millis(100), HOUR));
        /// A probe without an answer in this time has failed.
        ready_timeout: Duration = default("\"2s\"", Period::new(MS, HOUR));
        /// Failed requests in a row that take an endpoint out until it answers a probe, or for a while.
        eject_after: u32 = default("5", Count::new(1, 1000));
    }
}

section! {
    /// A backend that runs a model in this process, served under the protocols of a forwarded one.
    pub(crate) struct LocalKeys {
        /// Model file made by `weir model train`, or `builtin:churn`.
        model: Option<At<String>> = required("\"builtin:churn\"", Placed(Text));
        /// Name of the model in replies and labels, instead of the one in its file.
        model_name: Option<String> = optional("\"ChurnPredictor\"", Text);
        /// Threads that run the model.
        threads: usize = default("1", Count::new(1, 256));
        /// Requests that may wait for a thread; the next is answered 503 with Retry-After.
        queue: usize = default("1024", Count::new(1, 1_000_000));
    }
}

/// `[backend.NAME]`: keys of one kind or the other, by whether there is a `model`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BackendKeys {
    Forward(ForwardKeys),
    Local(LocalKeys),
}

impl Entry for BackendKeys {
    const TABLES: &'static [&'static Table] = &[ForwardKeys::TABLE, LocalKeys::TABLE];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self {
        let has = |key: &str| table.contains_key(key);
        if has("model") && has("endpoints") {
            reader.misfit(place, "a backend has `endpoints` or a `model` (make two backends of it)");
        } else if !has("model") && !has("endpoints") {
            let hint = "write `endpoints = [\"http://127.0.0.1:9000\"]`, say";
            reader.misfit(place, format!("neither `endpoints` nor `model` is here ({hint})"));
        } else if has("endpoints") {
            return Self::Forward(read(table, place, reader));
        } else {
            return Self::Local(read(table, place, reader));
        }
        // What it should have been is unknown, so nothing else can be said of its keys.
        Self::Local(LocalKeys { model: None, model_name: None, threads: 1, queue: 1 })
    }
}

/// A backend by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    pub name: Arc<str>,
    pub kind: BackendKind,
}

/// Where the answers come from.
#[derive(Clone, Debug, PartialEq)]
pub enum BackendKind {
    /// Model servers behind this proxy.
    Forward(Forward),
    /// A model in this process.
    Local(Local),
}

/// A backend of model servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Never empty, no two alike.
    pub endpoints: Vec<Endpoint>,
    /// HTTP/2 with prior knowledge; false: HTTP/1.1.
    pub http2: bool,
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive_idle: Duration,
    /// Per worker and endpoint, kept for the next request.
    pub max_connections: usize,
    pub ready: Ready,
    pub ready_interval: Duration,
    pub ready_timeout: Duration,
    /// Consecutive failures that eject an endpoint; never 0.
    pub eject_after: u32,
}

/// A model server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// As configured.
    pub url: Arc<str>,
    /// `host` or `host:port` as configured, for the Host header.
    pub authority: Arc<str>,
    /// Host name or IP address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// Path put before the request's own, without a trailing slash; may be empty.
    pub prefix: String,
}

/// How an endpoint is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Not at all: it is ready until requests fail.
    Off,
    /// By the ready probe of the route's protocol.
    Protocol,
    /// By a path that answers 2xx.
    Path(String),
}

/// A model in this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    pub model: ModelPath,
    /// Name of the model in replies and labels; `None`: the one in its file.
    pub model_name: Option<Arc<str>>,
    /// Never 0.
    pub threads: usize,
    /// Requests that may wait for a thread; never 0.
    pub queue: usize,
}

/// A file, or a thing compiled into the binary.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Artifact {
    /// Resolved against the folder of the configuration; symlinks are not followed.
    File(PathBuf),
    /// `builtin:NAME`.
    Builtin(String),
}

/// Where a model comes from.
pub type ModelPath = Artifact;

/// Where a plugin comes from.
pub type PluginPath = Artifact;

impl Artifact {
    pub(crate) fn resolve(text: &str, base: &Path) -> Self {
        match text.strip_prefix("builtin:") {
            Some(name) => Self::Builtin(name.to_owned()),
            None => Self::File(base.join(text)),
        }
    }
}

impl Endpoint {
    /// Reads `http://host[:port][/prefix]`.
    ///
    /// # Errors
    /// What does not fit, as the end of a sentence about the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        const FORM: &str = "write `http://host:port`, and a path if the server has one";
        let wrong = |what: &str| Err(format!("{what} ({FORM})"));
        if url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return Err("asks for https, but this build has no TLS to upstreams (use `http://`)".to_owned());
        }
        let Some(rest) = url.strip_prefix("http://") else { return wrong("is no http URL") };
        if url.contains(|c: char| {
            c.is_whitespace() || c.is_control() || "\"<>\\^`{|}".contains(c) || !c.is_ascii()
        }) {
            return wrong("has a character that no URL has");
        }
        if rest.contains(['?', '#']) {
            return wrong("has a query or fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return wrong("has a user name");
        }
        let Some((host, port)) = host_and_port(authority) else {
            return wrong("has no usable host and port");
        };
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { url: url.into(), authority: authority.into(), host: host.to_owned(), port, prefix })
    }
}

/// Splits `host:port`, `host`, `[v6]:port` or `[v6]`; port 80 if there is none.
fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        (Some(host).filter(|h| !h.is_empty() && h.chars().all(legal))?, port)
    };
    let digits = |p: &&str| p.bytes().all(|b| b.is_ascii_digit());
    let port = port.map_or(Some(80), |p| Some(p).filter(digits)?.parse().ok()).filter(|port| *port != 0)?;
    Some((host, port))
}

/// What backends are resolved against.
pub(crate) struct Surroundings<'a> {
    pub(crate) base: &'a Path,
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) is_folder: &'a dyn Fn(&Path) -> bool,
}

impl At<BackendKeys> {
    pub(crate) fn resolve(self, around: &Surroundings<'_>, reader: &mut Reader<'_>) -> Option<Backend> {
        let kind = match self.value {
            BackendKeys::Forward(keys) => BackendKind::Forward(keys.resolve(around, reader)?),
            BackendKeys::Local(keys) => BackendKind::Local(keys.resolve(around, reader)?),
        };
        Some(Backend { name: self.shown.into(), kind })
    }
}

impl ForwardKeys {
    fn resolve(self, around: &Surroundings<'_>, reader: &mut Reader<'_>) -> Option<Forward> {
        let ready = match &*self.ready.value {
            "off" => Ready::Off,
            "protocol" => Ready::Protocol,
            path if path.starts_with('/') && !path.contains([' ', '#']) => Ready::Path(path.to_owned()),
            _ => {
                let message =
                    format!("{} is no probe (write \"protocol\", \"off\" or a path)", self.ready.shown);
                reader.fault(&self.ready.place, message);
                return None;
            }
        };
        Some(Forward {
            endpoints: self.endpoints?,
            http2: self.http2,
            connect_timeout: self.connect_timeout.unwrap_or(around.timeouts.connect),
            keep_alive_idle: self.keep_alive_idle,
            max_connections: self.max_connections,
            ready,
            ready_interval: self.ready_interval,
            ready_timeout: self.ready_timeout,
            eject_after: self.eject_after,
        })
    }
}

impl LocalKeys {
    fn resolve(self, around: &Surroundings<'_>, reader: &mut Reader<'_>) -> Option<Local> {
        let model = self.model?;
        let path = Artifact::resolve(&model.value, around.base);
        if let Some(unsupported) = unsupported(&model.value, &path, around) {
            let hint = "use a file made by `weir model train`, or `builtin:churn`";
            reader.fault(&model.place, format!("{unsupported} is not in this build ({hint})"));
            return None;
        }
        Some(Local {
            model: path,
            model_name: self.model_name.map(Into::into),
            threads: self.threads,
            queue: self.queue,
        })
    }
}

/// The kind of a model that only other builds can run.
fn unsupported(text: &str, path: &Artifact, around: &Surroundings<'_>) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let scheme = lower.split_once(":/").map(|(scheme, _)| scheme);
    match (scheme, path) {
        (Some("models" | "runs"), _) => Some("reading models from an MLflow registry"),
        (Some(_), _) => Some("fetching a model from a URL"),
        (None, _) if lower.ends_with(".onnx") => Some("running ONNX models"),
        (None, Artifact::File(file)) if lower.ends_with('/') || (around.is_folder)(file) => {
            Some("running an MLflow model folder")
        }
        _ => None,
    }
}

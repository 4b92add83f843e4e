//! What the request path asks of others. The wiring fills these in; this room knows no ML runtime and no logger.

use bytes::Bytes;
use tokio::sync::oneshot;
use weir_exchange::{ErrorType, LocalReply, LocalRequest, TraceIds};

/// A model that Weir runs itself.
pub trait LocalModel: Send + Sync {
    /// Answers at once, later, or not at all because its queue is full.
    fn predict(&self, request: LocalRequest) -> Predicted;
}

/// A local model's promise.
#[derive(Debug)]
pub enum Predicted {
    /// Computed in place.
    Now(Box<LocalReply>),
    /// On the model's own pool. A closed channel means the model failed.
    Later(oneshot::Receiver<LocalReply>),
    /// The queue is full: 503 with `Retry-After`.
    Busy,
}

/// One line of the access log.
#[derive(Clone, Debug)]
pub struct AccessEntry<'a> {
    pub trace: TraceIds,
    pub unix_ns: u64,
    pub client: std::net::IpAddr,
    /// Empty if no route matched.
    pub route: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    /// 0 if no response was sent.
    pub status: u16,
    pub duration_ns: u64,
    /// 0 if no upstream was asked.
    pub upstream_ns: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub error: Option<ErrorType>,
    /// Address of the endpoint that answered, if any.
    pub upstream: Option<&'a str>,
}

/// Where access lines go. Must not block.
pub trait AccessLog: Send + Sync {
    /// Share of exchanges to log, 0..=1.
    fn share(&self) -> f64;
    /// Writes one line.
    fn record(&self, entry: &AccessEntry<'_>);
}

/// `/metrics` and `/health` on the traffic port, when the configuration asks for them.
pub trait TrafficPages: Send + Sync {
    /// Status, content type and body for a path that is one of these pages; `None` for any other path.
    fn page(&self, path: &str, accept: &str) -> Option<(u16, String, Bytes)>;
}

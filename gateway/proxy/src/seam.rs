//! What the request path asks of others. The wiring fills these in; this room knows no ML runtime.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use weir_exchange::{LoadSpan, LocalReply, LocalRequest};

/// A model that Weir runs itself.
pub trait LocalModel: Send + Sync {
    /// Its name and version: the labels of a route until a reply named others.
    fn labels(&self) -> [Arc<str>; 2];

    /// The span of its loading, for the first requests to point at.
    fn load_span(&self) -> Option<Arc<LoadSpan>> {
        None
    }

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

/// `/metrics` and `/health` on the traffic port, when the configuration asks for them.
pub trait TrafficPages: Send + Sync {
    /// Status, content type and body for a path that is one of these pages; `None` for any other path.
    fn page(&self, path: &str, accept: &str) -> Option<(u16, String, Bytes)>;
}

//! Sending what Weir knows to somebody else: spans and log records to an OTLP collector, and anything else
//! that can be posted over HTTP.
//!
//! Whoever offers an item never waits: it is moved into a bounded queue or counted as lost. A thread of its
//! own cuts batches, encodes and sends them, one request at a time, and tries again what may succeed later.
//! A receiver that is down, slow or answers nonsense costs counted items and nothing else.

mod events;
mod exporter;
mod file;
mod hold;
mod metrics;
mod otlp;
mod post;
mod queue;
mod resource;
mod transport;
mod voice;
mod worker;

/// The messages of OTLP.
pub use opentelemetry_proto::tonic as proto;

pub use events::{Event, EventKind, Events};
pub use exporter::{ExportOptions, Exporter};
pub use file::{FileOptions, Lines, Sync};
pub use metrics::{ExportMetrics, Outcome, RequestResult};
pub use otlp::{Logs, Otlp, OtlpOptions, Protocol, Signal, Traces};
pub use post::{Identity, Page, Post, PostError, PostFault, PostOptions, PostShape, Reply};
pub use resource::{Resource, ResourceFault, ResourceOptions};
pub use transport::{Answer, Fault, Transport};

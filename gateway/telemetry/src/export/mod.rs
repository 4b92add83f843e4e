//! Sending what Weir knows to somebody else: anything that can be posted over HTTP.
//!
//! Whoever offers an item never waits: it is moved into a bounded queue or counted as lost. A thread of its
//! own cuts batches, encodes and sends them, one request at a time, and tries again what may succeed later.
//! A receiver that is down, slow or answers nonsense costs counted items and nothing else.

mod exporter;
mod hold;
mod metrics;
mod post;
mod queue;
mod transport;
mod voice;
mod worker;

pub use exporter::{ExportOptions, Exporter};
pub use metrics::{ExportMetrics, Outcome, RequestResult};
pub use post::{Identity, Post, PostError, PostFault, PostOptions, PostShape, Reply};
pub use transport::{Answer, Fault, Transport};

//! The request path: a socket in, a response out, and one owned exchange handed off.
//!
//! Read [`handle`](mod@handle) first: it is the path of a request, one stage a line. One current-thread
//! runtime a worker; nothing here takes a lock or hands a task to another thread between two sockets, and
//! nothing off the path is awaited.

mod body;
mod clock;
mod conn;
mod drain;
mod fields;
mod forward;
mod handle;
mod headers;
mod io;
mod linger;
mod listen;
mod live;
mod local;
mod metrics;
mod onward;
mod outgoing;
mod probe;
mod refusal;
mod router;
mod seam;
mod slo;
mod snapshot;
mod trace;
mod turn;
mod upgrade;
mod upstream;
mod worker;

pub use listen::{BindError, Listener};
pub use metrics::ProxyMetrics;
pub use probe::Prober;
pub use seam::{LocalModel, Predicted, TrafficPages};
pub use slo::slo_events;
pub use snapshot::{Readiness, RouteIds, Snapshot, SnapshotParts};
pub use upstream::EndpointBook;
pub use worker::{Proxy, ProxyParts};

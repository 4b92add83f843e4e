//! Connections to model servers: shared endpoint state, and a pool of connections that belongs to one worker.

mod connect;
mod endpoint;
mod http1;
mod pool;

pub use endpoint::EndpointBook;

pub(crate) use connect::{ConnectError, Reply, Sender};
pub(crate) use endpoint::{Endpoint, InFlight, pick};
pub(crate) use http1::Upload;
pub(crate) use pool::{Lease, Pools};

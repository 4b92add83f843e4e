//! The admin listener: metrics, health and what Weir says of itself, on a thread of its own.
//!
//! Nothing here knows a plugin host, a proxy or a configuration: what is told comes through [`Gateway`],
//! which the wiring fills in. A request here never touches the request path.

mod duration;
mod encoding;
mod gateway;
mod guard;
mod index;
mod metrics;
mod pages;
mod reply;
mod server;
mod service;
mod stall;
mod unread;

pub use gateway::{
    Gateway, GenerationStatus, Health, LiveProfile, RecentVerdict, ReloadOutcome, ReloadStatus, Reloaded,
    Settled, Settling,
};
pub use pages::{Pages, Response};
pub use server::{Limits, Options, Running, Server, start};
pub use service::Scope;

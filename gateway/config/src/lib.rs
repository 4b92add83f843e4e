//! Strict TOML to typed sections, every fault at once.
//!
//! Floor 1: pure but for [`Config::load`], which reads one file and the environment. The document is walked
//! by hand, because serde's derive stops at the first fault; what is walked, suggested, documented and
//! described to editors comes from one definition of every key (`section!`).

mod alert;
mod alerting;
mod backend;
mod check;
mod config;
mod document;
mod effective;
mod expand;
mod fault;
mod gateway;
mod key;
mod kind;
mod limits;
mod manual;
mod places;
mod plugin;
mod prediction_log;
mod privacy;
mod reader;
mod reload;
mod route;
mod schema;
mod section;
mod slo;
mod tracing;
mod verdict_log;

pub use alert::{Aggregate, AlertRule, Compare, Measure, Selection, Selector, Telling};
pub use alerting::{Alerting, Maintenance, Webhook, When};
pub use backend::{Artifact, Backend, BackendKind, Endpoint, Forward, Local, ModelPath, PluginPath, Ready};
pub use config::{Config, DEFAULT, Loaded};
pub use fault::{Fault, Faults};
pub use gateway::Gateway;
pub use key::nearest;
pub use kind::period;
pub use limits::{Level, Limits, Log, Telemetry, Timeouts};
pub use manual::manual;
pub use places::Misfit;
pub use plugin::{NotProfiles, Plugin, PluginLimits};
pub use prediction_log::{PredictionLog, Sync};
pub use reload::{Fixed, fixed_until_restart};
pub use route::{PathMatch, Route};
pub use schema::schema;
pub use slo::{Burn, Slo};
pub use tracing::{Callers, Otlp, OtlpProtocol, Propagation, Tracing};
pub use verdict_log::VerdictLog;
pub use weir_stats::slo::{Severity, largest_factor};

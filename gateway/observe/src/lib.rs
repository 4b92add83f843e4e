//! The line off the path: shards in, metrics and judgements out.
//!
//! Read [`line`] first, then `thread` (a telemetry thread's pass), `batcher` (an exchange's way into a batch)
//! and [`judge`]. Nothing here is ever awaited by the request path, and nothing here knows what a judge is
//! made of.

mod batcher;
pub mod config;
mod directory;
mod events;
pub mod governor;
mod hide;
pub mod judge;
pub mod keep;
mod latch;
pub mod line;
pub mod metrics;
pub mod models;
mod open;
mod queue;
mod read;
pub mod record;
mod schema;
mod thread;
pub mod verdict;

pub use config::{BatchLimits, LineConfig, QueueLimits, SchemaLimits};
pub use judge::Judge;
pub use keep::{KeepRule, Keeper, KeeperParts, TraceSink};
pub use line::{Line, Metrics};
pub use metrics::LineMetrics;
pub use models::ModelMetrics;
pub use record::{RecordRule, RecordSink};
pub use verdict::{RecentVerdicts, Said, VerdictSink};

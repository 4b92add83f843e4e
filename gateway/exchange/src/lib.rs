//! The nouns every room shares: routes, exchanges, tables, schemas, batches, judgements and status.
//!
//! Floor 0: this crate knows no bytes of any protocol, no clock and no I/O. Everything a higher floor says to
//! a sibling is said in these words.

pub mod batch;
pub mod condition;
pub mod exchange;
pub mod model;
pub mod privacy;
pub mod record;
pub mod route;
pub mod schema;
pub mod shard;
pub mod slo;
pub mod status;
pub mod table;
pub mod trace;

pub use batch::{Batch, ColumnData};
pub use condition::{ConditionState, Verdict, VerdictCount};
pub use exchange::{End, ErrorType, Exchange, Fate, Head, Outcome, Payload, Side, Timing};
pub use model::{LocalReply, LocalRequest, ModelFault};
pub use privacy::{FieldName, Hidden, Privacy};
pub use record::PredictionRecord;
pub use route::{FieldPath, JsonPaths, ObservedRoute, Output, Protocol, RouteId, Task};
pub use schema::{Column, Kind, Per, Role, Schema, SchemaId};
pub use shard::{Handoff, Shard, ShardLimits};
pub use slo::{Aim, Objective, Stance};
pub use table::{Cell, Fields, Reply, Table};
pub use trace::{HeadSample, KeptTrace, LoadSpan, SpanFacts, TraceIds, Traced};

//! Rules over Weir's own series, service level objectives, and delivery of the alerts that come of them.

mod alert;
mod catalogue;
mod common;
pub mod delivery;
mod engine;
mod evaluate;
mod events;
pub mod files;
mod generate;
mod judged;
mod machine;
mod metrics;
mod promql;
mod rule;
mod service;
mod slo;
mod status;
mod store;
mod template;
mod windows;

pub use alert::{Alert, Fingerprint};
pub use catalogue::{Catalogue, DeclaredCondition};
pub use common::Common;
pub use engine::{Engine, Input, Outcome, SLO_ALERT, Saved, WATCHDOG};
pub use evaluate::{Counts, Found, Look, look};
pub use generate::{Binned, GenerateOptions, generate, inhibit_rules};
pub use machine::{Active, Evidence, Holds, Machine, Moment, State};
pub use metrics::AlertMetrics;
pub use promql::of as promql;
pub use rule::{Plan, Rule};
pub use service::{Alerts, Conditions, Orders, ServiceParts};
pub use slo::{PairStatus, SloStatus};
pub use status::{AlertStatus, AlertsStatus, EvidenceRecord, RuleStatus, SloWithAlerts};
pub use store::Store;
pub use template::Template;

//! Cells, families, the registry, its exposition, and Weir's own log. Nothing here knows a request or a
//! plugin.
//!
//! A room keeps its metrics in one struct of [`Family`] values beside the feature that emits them and
//! registers each family once. Reading is the scrape's work: a writer touches one relaxed atomic.

mod bridge;
mod check;
pub mod export;
pub mod exposition;
pub mod family;
pub mod log;
pub mod metric;
pub mod priority;
pub mod process;
pub mod records;
pub mod registry;
pub mod spans;

pub use bridge::PrometheusBridge;
pub use check::SpecFault;
pub use exposition::Format;
pub use family::{Cap, Family, Shape, Spec};
pub use metric::{Counter, Exemplar, Gauge, Histogram, Metric, Sample, Value};
pub use process::ProcessMetrics;
pub use registry::{Point, Points, Registry, RegistryError, Source};

//! Cells, families, the registry and its exposition. Nothing here knows a request or a plugin.
//!
//! A room keeps its metrics in one struct of [`Family`] values beside the feature that emits them and registers each
//! family once. Reading is the scrape's work: a writer touches one relaxed atomic.

pub mod family;
pub mod metric;
pub mod registry;

pub use family::{Cap, Family, Shape, Spec};
pub use metric::{Counter, Gauge, Histogram, Metric, Sample, Value};
pub use registry::{Point, Points, Registry, RegistryError, Source};

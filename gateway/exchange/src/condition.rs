//! What a judge says of a batch.

use std::sync::Arc;

/// A judge's wish about one exchange: keep it, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Index of the exchange in its batch.
    pub exchange: u32,
    /// Why, from the reasons the judge declared.
    pub reason: Arc<str>,
    /// Probability with which an exchange like this is kept; 1 for a reason that always keeps.
    pub probability: f64,
}

/// How often a judge gave a reason.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct VerdictCount {
    pub reason: Arc<str>,
    pub kept: u64,
}

/// The state of one condition for one label set.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ConditionState {
    pub name: Arc<str>,
    /// Label names and values, in the order the judge declared.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub active: bool,
    /// The value the decision was taken on.
    pub value: f64,
    /// Rows or exchanges the decision rests on.
    pub count: u64,
    /// Unix time in ns of the last change of `active`.
    pub since_unix_ns: u64,
}

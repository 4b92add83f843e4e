//! What the prediction log keeps of an exchange.

use std::sync::Arc;

/// One exchange as the prediction log tells it. Hidden fields are hidden here too.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictionRecord {
    pub unix_ns: u64,
    pub trace_id: u128,
    pub span_id: u64,
    pub sampled: bool,
    pub route: Arc<str>,
    pub model: Arc<str>,
    pub model_version: Arc<str>,
    /// One JSON object a row, without a line end; one for the exchange if it has no rows.
    pub rows: Vec<String>,
    /// `{"instances": [..]}` and `{"predictions": [..]}`, if they were asked for and there are any.
    pub payloads: [Option<String>; 2],
}

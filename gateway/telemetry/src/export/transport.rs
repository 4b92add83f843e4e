//! What an exporter needs to know of where it sends: how items become a request, and what its answer means.

use std::time::Duration;

use super::metrics::RequestResult;
use super::post::PostError;

/// A way to send batches of one kind of item.
///
/// The exporter does the rest: queue, batches, retries, counting and what is said in the log. A transport is
/// used by one thread, inside one tokio runtime.
pub trait Transport: Send + 'static {
    /// What is sent.
    type Item: Send + 'static;

    /// A request, ready to be sent again and again.
    type Body: Clone + Send + 'static;

    /// The `signal` of its metrics, one of those [`super::ExportMetrics`] was made with.
    fn signal(&self) -> &'static str;

    /// Where it sends, without credentials: for people.
    fn place(&self) -> &str;

    /// How long an item is when encoded, in bytes, about.
    fn size(item: &Self::Item) -> usize;

    /// Makes a request from a batch, which is never empty. It is kept as it is for retries.
    fn encode(&self, items: Vec<Self::Item>) -> Self::Body;

    /// Sends it once.
    fn send(&self, body: Self::Body) -> impl Future<Output = Answer>;
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The batch was taken, except for so many items.
    Taken {
        rejected: u64,
        /// What the receiver said about it; empty if nothing.
        message: String,
    },
    /// It may be taken later, and not before the time the receiver asked for.
    Later { fault: Fault, after: Option<Duration> },
    /// It will never be taken.
    Never { fault: Fault },
}

impl Answer {
    /// Everything was taken.
    pub const TAKEN: Self = Self::Taken { rejected: 0, message: String::new() };

    /// How the request is counted.
    pub fn result(&self) -> RequestResult {
        match self {
            Self::Taken { rejected: 0, .. } => RequestResult::Ok,
            Self::Taken { .. } => RequestResult::Partial,
            Self::Later { fault, .. } | Self::Never { fault } => fault.result,
        }
    }
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub result: RequestResult,
    /// For people: what happened, and what to do in parentheses.
    pub words: String,
}

impl From<PostError> for Answer {
    /// No answer at all: whatever it was, it may be over the next time.
    fn from(error: PostError) -> Self {
        let result = match error {
            PostError::Timeout { .. } => RequestResult::Timeout,
            PostError::Unreachable { .. } => RequestResult::Unreachable,
            PostError::Tls { .. } => RequestResult::Tls,
            PostError::Broken { .. } => RequestResult::Broken,
        };
        Self::Later { fault: Fault { result, words: error.to_string() }, after: None }
    }
}

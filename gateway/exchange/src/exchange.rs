//! One request and its response, as the request path hands it off.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::route::ObservedRoute;
use crate::table::{Reply, Table};
use crate::trace::{SpanFacts, TraceIds};

/// One finished exchange, owned. Bodies that were small live in the shard that carries it.
#[derive(Debug)]
pub struct Exchange {
    pub route: Arc<ObservedRoute>,
    pub head: Head,
    pub request: Side,
    pub response: Side,
    pub timing: Timing,
    pub end: End,
    pub error: Option<ErrorType>,
    /// Probability with which this exchange was observed; 1 unless telemetry is over its CPU share; 0: it is
    /// here for its spans only.
    pub probability: f32,
    pub trace: TraceIds,
    /// For spans, while traces are exported.
    pub facts: Option<Box<SpanFacts>>,
}

/// The parts of the request and response heads that are looked at off the path.
#[derive(Debug, Default)]
pub struct Head {
    /// Path of the request, without its query.
    pub path: Payload,
    /// Status the client saw; 0 if none was sent.
    pub status: u16,
    /// Model name and version from response headers the route names; empty if absent.
    pub model: Payload,
    pub model_version: Payload,
}

/// One direction's body.
#[derive(Debug, Default)]
pub struct Side {
    pub payload: Payload,
    /// Bytes that passed, kept or not.
    pub total: u64,
    /// More bytes passed than were kept.
    pub truncated: bool,
    pub encoding: Encoding,
    pub content: Content,
}

/// `Content-Encoding` as far as the codecs know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Identity,
    Gzip,
    Deflate,
    /// Something the codecs cannot undo: the side is `unsupported`.
    Other,
}

/// `Content-Type` as far as the codecs know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// JSON, or nothing said.
    #[default]
    Json,
    Csv,
    /// Protobuf, images, multipart, SSE: the side is `unsupported`.
    Other,
}

/// Body bytes, or what they would have decoded to.
#[derive(Debug, Default)]
pub enum Payload {
    #[default]
    Absent,
    /// In the carrying shard's arena.
    Copied { start: u32, len: u32 },
    /// By reference: too large to copy.
    Held(SmallVec<[Bytes; 1]>),
    /// Rows of a request that a local model decoded.
    Rows(Box<Table>),
    /// Reply of a local model.
    Reply(Box<Reply>),
}

/// When things happened. Offsets are ns since the request's first byte was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Unix time of the request in ns.
    pub start_unix_ns: u64,
    /// First byte sent upstream, or local job started; 0 if that never happened.
    pub upstream_start_ns: u64,
    /// Response head came.
    pub response_head_ns: u64,
    /// Last response byte passed, or the end.
    pub end_ns: u64,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    ClientGone,
    UpstreamReset,
    Timeout,
    /// Weir answered it itself: a limit, no upstream, a bad request.
    Refused,
}

/// `error_type` of `api_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    NoRoute,
    Limit,
    BodyTooLarge,
    BadRequest,
    ClientGone,
    Connect,
    Timeout,
    Reset,
    Status5xx,
    ModelError,
}

impl ErrorType {
    pub const ALL: [Self; 10] = [
        Self::NoRoute,
        Self::Limit,
        Self::BodyTooLarge,
        Self::BadRequest,
        Self::ClientGone,
        Self::Connect,
        Self::Timeout,
        Self::Reset,
        Self::Status5xx,
        Self::ModelError,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Limit => "limit",
            Self::BodyTooLarge => "body_too_large",
            Self::BadRequest => "bad_request",
            Self::ClientGone => "client_gone",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Status5xx => "status_5xx",
            Self::ModelError => "model_error",
        }
    }
}

/// `outcome` of `predictions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Ok,
    ClientError,
    UpstreamError,
    Timeout,
    Cancelled,
    ModelError,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::ClientError, Self::UpstreamError, Self::Timeout, Self::Cancelled, Self::ModelError];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::ModelError => "model_error",
        }
    }

    /// The outcome of an exchange that ended so, with this status and error.
    pub fn of(end: End, status: u16, error: Option<ErrorType>) -> Self {
        match (end, error) {
            // Who leaves after the head of an error did not cancel anything.
            (End::ClientGone, _) if status < 500 => Self::Cancelled,
            (End::Timeout, _) | (_, Some(ErrorType::Timeout)) => Self::Timeout,
            (_, Some(ErrorType::ModelError)) => Self::ModelError,
            // Of what a route took, only the queue of a local model is limited.
            (_, Some(ErrorType::Limit)) if status >= 500 => Self::ModelError,
            (End::UpstreamReset, _) => Self::UpstreamError,
            _ if status >= 500 || status == 0 => Self::UpstreamError,
            _ if status >= 400 => Self::ClientError,
            _ => Self::Ok,
        }
    }
}

/// What became of a routed exchange's telemetry; `weir_exchanges_total{fate}` sums to the requests routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Decoded (or passed on undecoded, where the route has no protocol) and judged.
    Observed,
    /// The shard was over its cap.
    Shed,
    /// A side was longer than the capture limit.
    Truncated,
    /// A side could not be read; why is in `weir_decode_errors_total`.
    Undecodable,
    /// Left out on purpose: `observe = false`, or telemetry over its CPU share.
    Unsampled,
}

impl Fate {
    pub const ALL: [Self; 5] =
        [Self::Observed, Self::Shed, Self::Truncated, Self::Undecodable, Self::Unsampled];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Shed => "shed",
            Self::Truncated => "truncated",
            Self::Undecodable => "undecodable",
            Self::Unsampled => "unsampled",
        }
    }
}

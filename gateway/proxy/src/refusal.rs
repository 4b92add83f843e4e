//! Every answer Weir gives itself, in one place: what went wrong, whose fault it was, and what to do.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use weir_exchange::{End, ErrorType};

/// Why a request got no answer from a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoRoute {
        path: String,
    },
    InFlight {
        limit: usize,
    },
    BodyTooLarge {
        limit: u64,
    },
    HeadTooLarge {
        limit: usize,
    },
    BadRequest(String),
    /// A local model has no use for the method.
    Method {
        method: String,
    },
    /// A local model cannot undo the content encoding.
    Coding {
        coding: String,
    },
    Upgrade {
        protocol: String,
        why: &'static str,
    },
    /// The client stopped sending its body.
    ClientStalled,
    /// The client went away; nobody reads this answer.
    ClientGone,
    NoEndpoint {
        backend: String,
    },
    Connect {
        address: String,
        cause: String,
    },
    ConnectTimeout {
        address: String,
        ms: u128,
    },
    Reset {
        address: String,
        cause: String,
    },
    HeaderTimeout {
        address: String,
        ms: u128,
    },
    IdleTimeout {
        ms: u128,
    },
    TotalTimeout {
        ms: u128,
    },
    ModelBusy {
        backend: String,
    },
    ModelFailed {
        backend: String,
    },
}

impl Refusal {
    /// Status sent to the client.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            Self::InFlight { .. } | Self::ModelBusy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BadRequest(_) | Self::ClientGone => StatusCode::BAD_REQUEST,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Coding { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Upgrade { .. } => StatusCode::NOT_IMPLEMENTED,
            Self::ClientStalled => StatusCode::REQUEST_TIMEOUT,
            Self::NoEndpoint { .. } | Self::Connect { .. } | Self::Reset { .. } => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout { .. }
            | Self::HeaderTimeout { .. }
            | Self::IdleTimeout { .. }
            | Self::TotalTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::ModelFailed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// `error_type` in the metrics.
    pub(crate) fn error(&self) -> ErrorType {
        match self {
            Self::NoRoute { .. } => ErrorType::NoRoute,
            Self::InFlight { .. } | Self::ModelBusy { .. } | Self::HeadTooLarge { .. } => ErrorType::Limit,
            Self::BodyTooLarge { .. } => ErrorType::BodyTooLarge,
            Self::BadRequest(_) | Self::Method { .. } | Self::Coding { .. } | Self::Upgrade { .. } => {
                ErrorType::BadRequest
            }
            Self::ClientGone => ErrorType::ClientGone,
            Self::NoEndpoint { .. } | Self::Connect { .. } => ErrorType::Connect,
            Self::Reset { .. } => ErrorType::Reset,
            Self::ClientStalled
            | Self::ConnectTimeout { .. }
            | Self::HeaderTimeout { .. }
            | Self::IdleTimeout { .. }
            | Self::TotalTimeout { .. } => ErrorType::Timeout,
            Self::ModelFailed { .. } => ErrorType::ModelError,
        }
    }

    /// How the exchange ended.
    pub(crate) fn end(&self) -> End {
        match self {
            Self::ClientGone => End::ClientGone,
            Self::Reset { .. } => End::UpstreamReset,
            _ if self.error() == ErrorType::Timeout => End::Timeout,
            _ => End::Refused,
        }
    }

    /// `client`, `upstream` or `weir`.
    fn fault(&self) -> &'static str {
        match self {
            Self::NoRoute { .. }
            | Self::BodyTooLarge { .. }
            | Self::HeadTooLarge { .. }
            | Self::BadRequest(_)
            | Self::Method { .. }
            | Self::Coding { .. }
            | Self::Upgrade { .. }
            | Self::ClientStalled
            | Self::ClientGone => "client",
            Self::InFlight { .. } | Self::ModelBusy { .. } | Self::ModelFailed { .. } => "weir",
            _ => "upstream",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NoRoute { path } => {
                format!(
                    "no route for `{path}` (add a [[route]] with this path, or check method, host and headers)"
                )
            }
            Self::InFlight { limit } => {
                format!("{limit} requests are in flight already (retry, or raise `limits.in_flight`)")
            }
            Self::BodyTooLarge { limit } => {
                format!("the request body is over {limit} bytes (send less, or raise `limits.body_bytes`)")
            }
            Self::HeadTooLarge { limit } => {
                format!("the request head is over {limit} bytes (send less, or raise `limits.header_bytes`)")
            }
            Self::BadRequest(why) => why.clone(),
            Self::Method { method } => format!("method `{method}` is not for a model (use POST to predict)"),
            Self::Coding { coding } => {
                format!("the content encoding `{coding}` is not known here (use gzip or deflate)")
            }
            Self::Upgrade { protocol, why } => format!("the upgrade to `{protocol}` is not passed: {why}"),
            Self::ClientStalled => {
                "the request body stopped coming (the client sent part of it and no more)".into()
            }
            Self::ClientGone => "the client closed the connection before its request was complete".into(),
            Self::NoEndpoint { backend } => format!("backend `{backend}` has no endpoint"),
            Self::Connect { address, cause } => {
                format!("failed to connect to `{address}`: {cause} (is the model server running?)")
            }
            Self::ConnectTimeout { address, ms } => {
                format!(
                    "`{address}` did not accept a connection within {ms} ms (is the model server overloaded?)"
                )
            }
            Self::Reset { address, cause } => {
                format!("`{address}` broke the connection before its response was complete: {cause}")
            }
            Self::HeaderTimeout { address, ms } => {
                format!(
                    "`{address}` sent no response within {ms} ms (raise `timeouts.header` if the model is this slow)"
                )
            }
            Self::IdleTimeout { ms } => format!("no byte moved for {ms} ms (see `timeouts.idle`)"),
            Self::TotalTimeout { ms } => format!("the request took over {ms} ms (see `timeouts.total`)"),
            Self::ModelBusy { backend } => {
                format!("the queue of model `{backend}` is full (retry, or raise its `queue` or `threads`)")
            }
            Self::ModelFailed { backend } => {
                format!("model `{backend}` failed on this request (see the log)")
            }
        }
    }

    /// `{"error": {"type", "fault", "message"}}` with the status; `Retry-After` where a retry makes sense.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let body = serde_json::json!({
            "error": { "type": self.error().as_str(), "fault": self.fault(), "message": self.message() }
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(self, Self::BadRequest(_)) {
            // Where a request is in doubt, so is where the next one begins.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if matches!(self, Self::Method { .. }) {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        if matches!(self, Self::Coding { .. }) {
            response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

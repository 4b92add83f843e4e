//! An answer before it is HTTP, and the one place where failures become answers.

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

pub(crate) const JSON: &str = "application/json";

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// The body is in gzip.
    pub(crate) gzip: bool,
    /// One header beyond the usual.
    pub(crate) header: Option<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// 200.
    pub(crate) fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type, body: body.into(), gzip: false, header: None }
    }

    /// A JSON document, indented: people read these with curl.
    pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        let mut body = serde_json::to_vec_pretty(document).expect("status types have string keys only");
        body.push(b'\n');
        Self { status, ..Self::ok(JSON, body) }
    }
}

/// Why a request got no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `here`: what there is instead, as a list in words.
    NoPage {
        path: String,
        here: String,
    },
    Method {
        method: String,
        allowed: &'static str,
    },
    NoHost,
    Host {
        host: String,
    },
    NoToken,
    NoTokenSet,
    BodyTooLarge {
        limit: usize,
    },
    BodyStalled,
    Query(String),
    Unsettled {
        ms: u128,
    },
    Reloading,
    ReloadFailed,
    PageFailed,
    /// Answers of that many bytes in all may wait for their readers.
    Unread {
        limit: usize,
    },
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoPage { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoHost | Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Host { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::NoTokenSet => StatusCode::FORBIDDEN,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyStalled => StatusCode::REQUEST_TIMEOUT,
            Self::Unsettled { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Reloading => StatusCode::CONFLICT,
            Self::ReloadFailed | Self::PageFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unread { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What went wrong, for programs.
    fn kind(&self) -> &'static str {
        match self {
            Self::NoPage { .. } => "no_page",
            Self::Method { .. } => "method",
            Self::NoHost | Self::Host { .. } => "host",
            Self::NoToken => "unauthorized",
            Self::NoTokenSet => "forbidden",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyStalled => "timeout",
            Self::Query(_) => "query",
            Self::Unsettled { .. } => "unsettled",
            Self::Reloading => "reloading",
            Self::ReloadFailed => "reload_failed",
            Self::PageFailed => "page_failed",
            Self::Unread { .. } => "limit",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NoPage { path, here } => format!("no page at `{}` (there is {here})", clip(path)),
            Self::Method { method, allowed } => {
                format!("`{}` is not answered here (use {allowed})", clip(method))
            }
            Self::NoHost => "the request names no host, or several (send one `Host` header)".into(),
            Self::Host { host } => format!(
                "`{}` is not a name of this listener (use its IP address or `localhost`, or make it \
                 `instance` in `[gateway]`)",
                clip(host)
            ),
            Self::NoToken => "this needs the admin token (send `Authorization: Bearer <token>`)".into(),
            Self::NoTokenSet => {
                "no admin token is set, so nothing can be changed here (set `admin_token` in \
                 `[gateway]` and restart, or send SIGHUP to reload)"
                    .into()
            }
            Self::BodyTooLarge { limit } => format!("the body is over {limit} bytes (this needs none)"),
            Self::BodyStalled => "the body did not arrive in time (this needs none)".into(),
            Self::Query(fault) => fault.clone(),
            Self::Unsettled { ms } => {
                format!("exchanges are still being judged after {ms} ms (wait longer with `?timeout=30s`)")
            }
            Self::Reloading => "a reload is under way (ask again when it is done)".into(),
            Self::ReloadFailed => {
                "the reload broke off; the old generation stays in force (see the log)".into()
            }
            Self::PageFailed => "the page broke off (see the log)".into(),
            Self::Unread { limit } => format!(
                "other clients have not read their answers yet (at most {limit} bytes may wait, ask again)"
            ),
        }
    }

    /// The answer: `{"error": {"type", "message"}}`.
    pub(crate) fn reply(&self) -> Reply {
        let header = match self {
            Self::Method { allowed, .. } => Some((ALLOW, HeaderValue::from_static(allowed))),
            Self::NoToken => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::Reloading | Self::Unread { .. } => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        };
        let document = serde_json::json!({ "error": { "type": self.kind(), "message": self.message() } });
        Reply { header, ..Reply::json(self.status(), &document) }
    }
}

/// What a client said, short enough to repeat.
fn clip(said: &str) -> &str {
    const LONGEST: usize = 128;
    &said[..said.floor_char_boundary(LONGEST)]
}

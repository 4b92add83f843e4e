//! What a receiver's answer means.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use weir_telemetry::export::{PostError, Reply};

/// A request that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Whole,
    /// Not as it was sent, and it never will be. The receiver's words.
    Refused(String),
}

/// A request that may go better the next time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For people: what happened, and what to do in parentheses.
    pub(super) words: String,
    /// The receiver may have taken it all the same.
    pub(super) reached: bool,
    /// How long the receiver wants to be left alone.
    pub(super) after: Option<Duration>,
}

impl From<PostError> for Failure {
    fn from(error: PostError) -> Self {
        let reached = !matches!(error, PostError::Unreachable { .. } | PostError::Tls { .. });
        Self { words: error.to_string(), reached, after: None }
    }
}

impl Failure {
    fn answered(words: String) -> Self {
        Self { words, reached: true, after: None }
    }
}

const NO_ALERTMANAGER: &str = "(does an Alertmanager listen there, and is the path of the URL its prefix?)";

/// An Alertmanager that refuses some alerts of a batch has stored the others.
pub(super) fn of_alerts(reply: &Reply) -> Result<Taken, Failure> {
    let html = is_html(reply);
    match reply.status {
        StatusCode::OK if !html => Ok(Taken::Whole),
        StatusCode::BAD_REQUEST if !html => Ok(Taken::Refused(format!("answered 400: {}", said(reply)))),
        StatusCode::OK => {
            Err(Failure::answered(format!("a page of HTML came as the answer {NO_ALERTMANAGER}")))
        }
        _ => Err(Failure::answered(words(reply))),
    }
}

/// The part of `/api/v2/status` that is read.
#[derive(Deserialize)]
struct StatusPage {
    uptime: String,
}

/// When an Alertmanager was started, in its own words.
pub(super) fn of_status(reply: &Reply) -> Result<String, Failure> {
    if reply.status != StatusCode::OK {
        let words = format!("its page /api/v2/status {} {NO_ALERTMANAGER}", words(reply));
        return Err(Failure::answered(words));
    }
    match serde_json::from_slice::<StatusPage>(&reply.body) {
        Ok(page) if !page.uptime.is_empty() => Ok(page.uptime),
        _ => {
            let words =
                format!("its page /api/v2/status is not the JSON of an Alertmanager {NO_ALERTMANAGER}");
            Err(Failure::answered(words))
        }
    }
}

/// What may be over by itself is tried again; whatever else a webhook says is final.
pub(super) fn of_webhook(reply: &Reply, now: SystemTime) -> Result<Taken, Failure> {
    match reply.status.as_u16() {
        200..300 => Ok(Taken::Whole),
        408 | 429 | 500.. => {
            Err(Failure { after: reply.retry_after(now), ..Failure::answered(words(reply)) })
        }
        _ => Ok(Taken::Refused(words(reply))),
    }
}

fn words(reply: &Reply) -> String {
    let said = if is_html(reply) { String::new() } else { said(reply) };
    let colon = if said.is_empty() { "" } else { ": " };
    format!("answered {}{colon}{said}{}", reply.status.as_u16(), hint(reply.status))
}

fn is_html(reply: &Reply) -> bool {
    reply.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// The beginning of what was said, on one line.
fn said(reply: &Reply) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(&reply.body[..reply.body.len().min(4 * LONGEST)]);
    text.trim()
        .trim_matches('"')
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => " (redirects are not followed: write the new URL)",
        401 | 403 | 407 => " (check the headers, the credentials and the client certificate)",
        404 | 405 => " (check the path of the URL)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        });
        Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: headers.collect(),
            body: body.to_owned().into(),
            trailers: HeaderMap::new(),
        }
    }

    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    #[test]
    fn an_alertmanager_takes_with_200_refuses_with_400_and_fails_otherwise() {
        for status in 200..600 {
            let fits = match (status, of_alerts(&reply(status, &[], "\"bad label\""))) {
                (200, Ok(Taken::Whole)) => true,
                (400, Ok(Taken::Refused(words))) => words == "answered 400: bad label",
                (200 | 400, _) => false,
                (_, answer) => answer.is_err_and(|failure| failure.reached),
            };
            assert!(fits, "{status}");
            assert!(of_alerts(&reply(status, &[HTML], "<html>")).is_err(), "{status}");
        }
    }

    #[test]
    fn a_status_page_that_is_none_is_named() {
        let ok = r#"{"cluster":{},"config":{"original":"x"},"uptime":"2026-01-01T00:00:00.000Z"}"#;
        assert_eq!(of_status(&reply(200, &[], ok)), Ok("2026-01-01T00:00:00.000Z".to_owned()));
        for (status, body) in [(200, "<html>"), (200, "{}"), (200, r#"{"uptime":""}"#), (404, ok)] {
            let failure = of_status(&reply(status, &[], body)).expect_err(body);
            assert!(failure.words.contains("/api/v2/status") && failure.words.contains("an Alertmanager"));
        }
    }

    #[test]
    fn a_webhook_is_tried_again_for_408_429_and_500_on() {
        let now = SystemTime::UNIX_EPOCH;
        for status in 200..600 {
            let answer = of_webhook(&reply(status, &[("retry-after", "7")], "x"), now);
            let fits = match status {
                200..300 => answer == Ok(Taken::Whole),
                408 | 429 | 500.. => answer.is_err_and(|f| f.after == Some(Duration::from_secs(7))),
                _ => matches!(answer, Ok(Taken::Refused(_))),
            };
            assert!(fits, "{status}");
        }
    }
}

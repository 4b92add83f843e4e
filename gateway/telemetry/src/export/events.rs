//! CloudEvents over HTTP, one a request, in the binary form and under the names of KServe's payload logger.
//!
//! Sources: CloudEvents 1.0.2 and its HTTP protocol binding, 3.1; KServe's `pkg/logger`.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::metrics::RequestResult;
use super::otlp::after;
use super::post::{Post, PostFault, PostOptions, PostShape};
use super::transport::{Answer, Fault, Transport};
use crate::log::rfc3339;

/// What is told of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Request,
    Response,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    /// The same for a request and its response.
    pub id: String,
    /// `inferenceservicename`.
    pub service: String,
    /// `endpoint`: the route.
    pub endpoint: String,
    pub unix_ms: u64,
    /// JSON.
    pub body: String,
}

/// A receiver of events.
#[derive(Debug)]
pub struct Events {
    post: Post,
    source: HeaderValue,
}

impl Events {
    /// `source`: who speaks, a URI reference.
    ///
    /// # Errors
    /// The URL, a header or a certificate cannot be used.
    pub fn new(url: &str, source: &str, options: &PostOptions) -> Result<Self, PostFault> {
        let source = HeaderValue::try_from(encoded(source))
            .map_err(|_| PostFault::Header { name: "ce-source".to_owned() })?;
        Ok(Self { post: Post::new(url, PostShape::default(), options)?, source })
    }

    fn headers(&self, event: &Event) -> HeaderMap {
        let kind = match event.kind {
            EventKind::Request => "org.kubeflow.serving.inference.request",
            EventKind::Response => "org.kubeflow.serving.inference.response",
        };
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::try_from(encoded(value)) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("content-type", "application/json");
        set("ce-specversion", "1.0");
        set("ce-type", kind);
        set("ce-id", &event.id);
        set("ce-time", &rfc3339(event.unix_ms));
        set("ce-inferenceservicename", &event.service);
        set("ce-endpoint", &event.endpoint);
        set("ce-component", "predictor");
        set("ce-namespace", "");
        headers.insert(HeaderName::from_static("ce-source"), self.source.clone());
        headers
    }
}

/// A value as the binding wants it (3.1.3.2): printable ASCII, the rest percent-encoded.
fn encoded(value: &str) -> String {
    let plain = |byte: u8| (0x21..=0x7e).contains(&byte) && !matches!(byte, b'"' | b'%');
    let one = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(one).collect()
}

impl Transport for Events {
    type Item = Event;
    type Body = (HeaderMap, Bytes);

    fn signal(&self) -> &'static str {
        "events"
    }

    fn place(&self) -> &str {
        self.post.place()
    }

    fn size(event: &Event) -> usize {
        event.body.len() + 512
    }

    fn encode(&self, mut events: Vec<Event>) -> Self::Body {
        // A request carries one event: exporters of events have batches of one.
        let event = events.swap_remove(0);
        (self.headers(&event), event.body.into())
    }

    async fn send(&self, (headers, body): Self::Body) -> Answer {
        let reply = match self.post.send_with(headers, body).await {
            Ok(reply) => reply,
            Err(error) => return error.into(),
        };
        if reply.status.is_success() {
            return Answer::TAKEN;
        }
        let words = format!("it answered {} (is that where events are taken?)", reply.status);
        let later = reply.status.is_server_error()
            || matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if later {
            let fault = Fault { result: RequestResult::Retry, words };
            return Answer::Later { fault, after: after(&reply.headers) };
        }
        Answer::Never { fault: Fault { result: RequestResult::Refused, words } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printable_ascii() {
        assert_eq!(encoded("weir://host/a b\"%\u{e9}"), "weir://host/a%20b%22%25%C3%A9");
    }

    #[test]
    fn an_event_is_named_as_kserve_names_it() {
        let events = Events::new("http://127.0.0.1:1/", "weir://host", &PostOptions::default()).unwrap();
        let event = Event {
            kind: EventKind::Response,
            id: "7".into(),
            service: "churn".into(),
            endpoint: "all".into(),
            unix_ms: 0,
            body: "{}".into(),
        };
        let (headers, body) = events.encode(vec![event]);
        for (name, value) in [
            ("ce-type", "org.kubeflow.serving.inference.response"),
            ("ce-id", "7"),
            ("ce-specversion", "1.0"),
            ("ce-source", "weir://host"),
            ("ce-time", "1970-01-01T00:00:00.000Z"),
            ("ce-inferenceservicename", "churn"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
        assert_eq!(body, "{}");
    }
}

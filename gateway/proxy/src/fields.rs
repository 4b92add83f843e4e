//! The header fields that mean something to a proxy, told apart in one look, and what a request's say.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::headers::Hop;

/// A field a proxy acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Expect,
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    Host,
    KeepAlive,
    ProxyAuthorization,
    ProxyConnection,
    Te,
    TraceParent,
    TraceState,
    TransferEncoding,
    Upgrade,
    Via,
    Other,
}

impl Field {
    /// Of a name. Length and first letter leave one candidate, so that one comparison decides.
    pub(crate) fn of(name: &HeaderName) -> Self {
        let name = name.as_str().as_bytes();
        let (known, field): (&[u8], _) = match (name.len(), name.first()) {
            (2, Some(b't')) => (b"te", Self::Te),
            (3, Some(b'v')) => (b"via", Self::Via),
            (4, Some(b'h')) => (b"host", Self::Host),
            (6, Some(b'e')) => (b"expect", Self::Expect),
            (7, Some(b'u')) => (b"upgrade", Self::Upgrade),
            (9, Some(b'f')) => (b"forwarded", Self::Forwarded),
            (10, Some(b'c')) => (b"connection", Self::Connection),
            (10, Some(b'k')) => (b"keep-alive", Self::KeepAlive),
            (10, Some(b't')) => (b"tracestate", Self::TraceState),
            (11, Some(b't')) => (b"traceparent", Self::TraceParent),
            (12, Some(b'c')) => (b"content-type", Self::ContentType),
            (14, Some(b'c')) => (b"content-length", Self::ContentLength),
            (15, Some(b'x')) => (b"x-forwarded-for", Self::ForwardedFor),
            (16, Some(b'c')) => (b"content-encoding", Self::ContentEncoding),
            (16, Some(b'p')) => (b"proxy-connection", Self::ProxyConnection),
            (16, Some(b'x')) => (b"x-forwarded-host", Self::ForwardedHost),
            (17, Some(b't')) => (b"transfer-encoding", Self::TransferEncoding),
            (17, Some(b'x')) => (b"x-forwarded-proto", Self::ForwardedProto),
            (19, Some(b'p')) => (b"proxy-authorization", Self::ProxyAuthorization),
            _ => return Self::Other,
        };
        if name == known { field } else { Self::Other }
    }

    /// Whether the field is for one hop by its nature (RFC 9110, section 7.6.1).
    pub(crate) fn is_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// What a request's head says to a proxy, gathered in one pass.
#[derive(Debug, Default)]
pub(crate) struct Gist<'h> {
    /// The first `Host`, and how many there are.
    pub(crate) host: Option<&'h HeaderValue>,
    pub(crate) hosts: usize,
    /// The `Transfer-Encoding` is more than `chunked`, once.
    pub(crate) coded: bool,
    pub(crate) length: Option<u64>,
    pub(crate) content_type: Option<&'h HeaderValue>,
    pub(crate) content_encoding: Option<&'h HeaderValue>,
    /// The last `traceparent`, and how many there are.
    parent: Option<&'h HeaderValue>,
    parents: usize,
    pub(crate) hop: Hop,
}

impl<'h> Gist<'h> {
    pub(crate) fn of(headers: &'h HeaderMap) -> Self {
        let mut gist = Self::default();
        let mut codings = 0;
        for (name, value) in headers {
            match Field::of(name) {
                Field::Host => {
                    gist.host.get_or_insert(value);
                    gist.hosts += 1;
                }
                Field::TransferEncoding => {
                    codings += 1;
                    gist.coded |= codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked");
                }
                Field::ContentLength => gist.length = value.to_str().ok().and_then(|v| v.parse().ok()),
                Field::ContentType => gist.content_type = gist.content_type.or(Some(value)),
                Field::ContentEncoding => gist.content_encoding = gist.content_encoding.or(Some(value)),
                Field::TraceParent => (gist.parent, gist.parents) = (Some(value), gist.parents + 1),
                field if field.is_hop() => gist.hop.hear(field, value),
                _ => {}
            }
        }
        gist
    }

    /// The trace context a caller sent, if it was sent exactly once: two parents are no parent.
    pub(crate) fn parent(&self) -> Option<&'h HeaderValue> {
        self.parent.filter(|_| self.parents == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_known_by_its_whole_name_only() {
        let known = [
            ("connection", Field::Connection),
            ("content-encoding", Field::ContentEncoding),
            ("content-length", Field::ContentLength),
            ("content-type", Field::ContentType),
            ("expect", Field::Expect),
            ("forwarded", Field::Forwarded),
            ("x-forwarded-for", Field::ForwardedFor),
            ("x-forwarded-host", Field::ForwardedHost),
            ("x-forwarded-proto", Field::ForwardedProto),
            ("host", Field::Host),
            ("keep-alive", Field::KeepAlive),
            ("proxy-authorization", Field::ProxyAuthorization),
            ("proxy-connection", Field::ProxyConnection),
            ("te", Field::Te),
            ("traceparent", Field::TraceParent),
            ("tracestate", Field::TraceState),
            ("transfer-encoding", Field::TransferEncoding),
            ("upgrade", Field::Upgrade),
            ("via", Field::Via),
        ];
        for (name, field) in known {
            let of = |name: &str| Field::of(&name.parse::<HeaderName>().unwrap());
            assert_eq!(of(&name.to_uppercase()), field, "{name}");
            let end = name.len() - 1;
            assert_eq!(of(&format!("{}_", &name[..end])), Field::Other, "{name}");
        }
    }

    #[test]
    fn two_parents_are_no_parent_and_two_codings_are_too_many() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static("a"));
        headers.append("transfer-encoding", HeaderValue::from_static("Chunked"));
        let gist = Gist::of(&headers);
        assert_eq!((gist.parent(), gist.coded), (Some(&HeaderValue::from_static("a")), false));
        headers.append("traceparent", HeaderValue::from_static("a"));
        headers.append("transfer-encoding", HeaderValue::from_static("chunked"));
        let gist = Gist::of(&headers);
        assert_eq!((gist.parent(), gist.coded), (None, true));
    }
}

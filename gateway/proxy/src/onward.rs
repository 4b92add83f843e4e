//! The header fields with which a request goes on to its model server: what the client sent, but for what
//! ends here, and who asked.
//!
//! RFC 9110 section 7.6.3 (Via); RFC 7239 (Forwarded); X-Forwarded-* as nginx and Envoy write them.

use std::cell::RefCell;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::fields::Field;
use crate::headers::Hop;
use crate::trace::Joined;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where fields are written: lines of text for HTTP/1.1, a map for HTTP/2.
pub(crate) trait Sink {
    /// A field of the client's.
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue);

    /// A field of our own.
    fn put(&mut self, name: &HeaderName, value: &[u8]);
}

impl Sink for HeaderMap {
    fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name, value.clone());
    }

    fn put(&mut self, name: &HeaderName, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.append(name, value);
        }
    }
}

/// A request's fields on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Onward<'a> {
    /// As the client sent them.
    pub(crate) headers: &'a HeaderMap,
    pub(crate) hop: &'a Hop,
    /// The host that was asked for.
    pub(crate) host: Option<&'a HeaderValue>,
    /// The client speaks HTTP/2.
    pub(crate) http2: bool,
    pub(crate) forwarding: &'a Forwarding,
    pub(crate) trace: &'a Joined,
    /// The span that the model server's are below.
    pub(crate) span_id: u64,
    /// Length of the body, if it is known before it has passed.
    pub(crate) length: Option<u64>,
}

impl Onward<'_> {
    /// Writes every field but `Host` and what frames a body of unknown length.
    pub(crate) fn write(&self, sink: &mut impl Sink) {
        let trusted = self.forwarding.trusted;
        let mut came = Came::default();
        for (name, value) in self.headers {
            match Field::of(name) {
                Field::Host | Field::Expect | Field::TraceParent => {}
                Field::ContentLength => came.length = true,
                Field::TraceState if !self.trace.passes_state() => {}
                Field::ForwardedFor => came.forwarded_for = trusted,
                Field::ForwardedProto | Field::ForwardedHost if !trusted => {}
                Field::Forwarded => came.forwarded = trusted,
                Field::Via => came.via = true,
                field if field.is_hop() || self.hop.names(name) => {}
                Field::Other if self.trace.owns(name) => {}
                field => {
                    came.proto |= field == Field::ForwardedProto;
                    came.host |= field == Field::ForwardedHost;
                    sink.pass(name, value);
                }
            }
        }
        self.write_own(came, sink);
    }

    fn write_own(&self, came: Came, sink: &mut impl Sink) {
        if let Some(length) = self.length.filter(|length| *length > 0 || came.length) {
            // What was read is what is said, whatever the client wrote.
            sink.put(&header::CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes());
        }
        self.add(came.forwarded_for, &FORWARDED_FOR, self.forwarding.address.as_bytes(), sink);
        if !came.proto {
            sink.put(&FORWARDED_PROTO, b"http");
        }
        if let Some(host) = self.host.filter(|_| !came.host) {
            sink.pass(&FORWARDED_HOST, host);
        }
        self.forwarding.forwarded(self.host, |value| {
            self.add(came.forwarded, &header::FORWARDED, value, sink);
        });
        self.add(came.via, &header::VIA, if self.http2 { b"2.0 weir" } else { b"1.1 weir" }, sink);
        self.trace.write(self.span_id, sink);
    }

    /// Writes a field that is a list: behind what came, if that is kept.
    fn add(&self, keeps: bool, name: &HeaderName, value: &[u8], sink: &mut impl Sink) {
        if !keeps {
            return sink.put(name, value);
        }
        let mut joined: Vec<u8> = Vec::new();
        for old in self.headers.get_all(name) {
            joined.extend_from_slice(old.as_bytes());
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(value);
        sink.put(name, &joined);
    }
}

/// Which of the fields that we write came, as far as that matters.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    length: bool,
    forwarded_for: bool,
    proto: bool,
    host: bool,
    forwarded: bool,
    via: bool,
}

/// What one client connection is forwarded for, made once.
#[derive(Debug)]
pub(crate) struct Forwarding {
    address: String,
    forwarded_for: String,
    trusted: bool,
    /// The last host asked for and its `Forwarded` value: one connection mostly asks for one host.
    last: RefCell<(Vec<u8>, Vec<u8>)>,
}

impl Forwarding {
    /// For a client at `ip`. With `trusted`, what earlier proxies wrote is kept and extended; otherwise
    /// replaced.
    pub(crate) fn new(ip: IpAddr, trusted: bool) -> Self {
        let forwarded_for = match ip {
            IpAddr::V4(ip) => format!("for={ip};proto=http"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\";proto=http"),
        };
        Self { address: ip.to_string(), forwarded_for, trusted, last: RefCell::default() }
    }

    /// Lends the value of `Forwarded`.
    fn forwarded(&self, host: Option<&HeaderValue>, with: impl FnOnce(&[u8])) {
        // A quoted string holds any host; one with a quote or backslash is not a host.
        let named = host.map_or(&b""[..], HeaderValue::as_bytes);
        if named.is_empty() || named.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
            return with(self.forwarded_for.as_bytes());
        }
        let (host, value) = &mut *self.last.borrow_mut();
        if host != named {
            *host = named.to_vec();
            *value = [self.forwarded_for.as_bytes(), b";host=\"", named, b"\""].concat();
        }
        with(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Gist;
    use crate::trace;

    const CAME: &[(&str, &str)] = &[
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=10.0.0.9"),
        ("via", "1.1 edge"),
        ("content-length", "07"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-kept", "1"),
        ("x-kept", "2"),
    ];

    /// The fields that go on, as a map and as text.
    fn written(ip: &str, trusted: bool, host: Option<&str>, length: Option<u64>) -> (HeaderMap, String) {
        let field =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let headers: HeaderMap = CAME.iter().map(field).collect();
        let host = host.map(|host| host.parse().unwrap());
        let onward = Onward {
            headers: &headers,
            hop: &Hop::of(&headers),
            host: host.as_ref(),
            http2: host.is_none(),
            forwarding: &Forwarding::new(ip.parse().unwrap(), trusted),
            trace: &trace::join(&Gist::default(), &HeaderMap::new(), None),
            span_id: 7,
            length,
        };
        let (mut map, mut text) = (HeaderMap::new(), Vec::new());
        onward.write(&mut map);
        onward.write(&mut text);
        (map, String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_came_is_replaced_or_extended() {
        let (fresh, _) = written("127.0.0.1", false, Some("api.example"), Some(7));
        assert_eq!(fresh["x-forwarded-for"], "127.0.0.1");
        assert_eq!(fresh["x-forwarded-proto"], "http");
        assert_eq!(fresh["x-forwarded-host"], "api.example");
        assert_eq!(fresh["forwarded"], "for=127.0.0.1;proto=http;host=\"api.example\"");
        assert_eq!(fresh["via"], "1.1 edge, 1.1 weir");
        assert_eq!(fresh["content-length"], "7");

        let (extended, _) = written("::1", true, None, None);
        assert_eq!(extended["x-forwarded-for"], "10.0.0.9, ::1");
        assert_eq!(extended["x-forwarded-proto"], "https");
        assert_eq!(extended["forwarded"], "for=10.0.0.9, for=\"[::1]\";proto=http");
        assert_eq!(extended["via"], "1.1 edge, 2.0 weir");
        assert!(!extended.contains_key("content-length"), "of a length nobody knows, none is said");
    }

    #[test]
    fn text_and_map_say_the_same() {
        for trusted in [false, true] {
            let (map, text) = written("127.0.0.1", trusted, Some("h\"x"), Some(0));
            let mut lines: Vec<&str> =
                text.split_terminator("\r\n").filter(|l| !l.starts_with("traceparent")).collect();
            let field =
                |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
            let mut fields: Vec<String> =
                map.iter().map(field).filter(|l| !l.starts_with("traceparent")).collect();
            lines.sort_unstable();
            fields.sort_unstable();
            assert_eq!(lines, fields);
            assert!(
                lines.contains(&"x-kept: 2") && !text.contains("x-hop") && text.contains("traceparent: 00-")
            );
            assert!(text.contains("forwarded: for") && !text.contains("host=\"h"), "{text}");
        }
    }
}

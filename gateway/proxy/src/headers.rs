//! Headers that end at this hop, and the ones that tell the upstream who asked.
//!
//! RFC 9110 section 7.6.1 (Connection), 7.6.3 (Via); RFC 7239 (Forwarded); X-Forwarded-* as nginx and Envoy
//! write them.

use std::cell::RefCell;
use std::net::IpAddr;

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What a head said about its own connection.
#[derive(Debug, Default)]
pub(crate) struct Hop {
    /// The value of `Upgrade`, if `Connection` lists it.
    pub(crate) upgrade: Option<HeaderValue>,
    /// `TE: trailers` was sent: the sender reads trailers.
    pub(crate) trailers: bool,
}

/// Removes every header that is for this hop only, also those that `Connection` names.
pub(crate) fn end_hop(headers: &mut HeaderMap) -> Hop {
    let mut hop = Hop::default();
    // Only what is there is removed: to look for a header in vain costs as much as to find it.
    let present: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| is_hop(name)).cloned().collect();
    if present.is_empty() {
        return hop;
    }
    let named = listed(headers);
    if named.contains(&header::UPGRADE) {
        hop.upgrade = headers.get(header::UPGRADE).cloned();
    }
    hop.trailers =
        present.contains(&header::TE) && headers.get(header::TE).is_some_and(|te| has_token(te, "trailers"));
    named.iter().chain(&present).for_each(|name| drop(headers.remove(name)));
    hop
}

fn is_hop(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || *name == header::TE
        || *name == header::PROXY_AUTHORIZATION
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

/// The header names that `Connection` lists. Framing and routing headers cannot be named away.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter(|v| !names_nothing(v));
    let tokens = values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    tokens
        .filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect()
}

/// What nearly every `Connection` says.
fn names_nothing(value: &HeaderValue) -> bool {
    matches!(value.as_bytes(), b"keep-alive" | b"close" | b"Keep-Alive")
}

/// Whether a comma-separated header value has a token, letter case aside.
pub(crate) fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
}

/// The forwarding headers of one client connection, made once.
#[derive(Debug)]
pub(crate) struct Forwarding {
    for_value: HeaderValue,
    forwarded_for: String,
    trusted: bool,
    /// The last host asked for and its `Forwarded` value: one connection mostly asks for one host.
    last: RefCell<Option<(HeaderValue, HeaderValue)>>,
}

impl Forwarding {
    /// For a client at `ip`. With `trusted`, what earlier proxies wrote is kept and extended; otherwise
    /// replaced.
    pub(crate) fn new(ip: IpAddr, trusted: bool) -> Self {
        let forwarded_for = match ip {
            IpAddr::V4(ip) => format!("for={ip}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
        };
        let for_value = HeaderValue::try_from(ip.to_string()).expect("an address is a header value");
        Self { for_value, forwarded_for, trusted, last: RefCell::default() }
    }

    /// Writes `X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded` and `Via`.
    pub(crate) fn write(&self, headers: &mut HeaderMap, host: Option<&HeaderValue>, http2: bool) {
        headers.reserve(6);
        append(headers, &FORWARDED_FOR, self.for_value.clone(), self.trusted);
        if !(self.trusted && headers.contains_key(&FORWARDED_PROTO)) {
            headers.insert(&FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        if let Some(host) = host
            && !(self.trusted && headers.contains_key(&FORWARDED_HOST))
        {
            headers.insert(&FORWARDED_HOST, host.clone());
        }
        append(headers, &header::FORWARDED, self.forwarded(host), self.trusted);
        append(
            headers,
            &header::VIA,
            HeaderValue::from_static(if http2 { "2.0 weir" } else { "1.1 weir" }),
            true,
        );
    }

    fn forwarded(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let Some(host) = host else { return self.forwarded_value(None) };
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((known, value)) if known == host => value.clone(),
            _ => last.insert((copied(host), self.forwarded_value(Some(host)))).1.clone(),
        }
    }

    fn forwarded_value(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let mut value = Vec::with_capacity(64);
        value.extend_from_slice(self.forwarded_for.as_bytes());
        value.extend_from_slice(b";proto=http");
        // A quoted string holds any host; one with a quote or backslash is not a host.
        if let Some(host) = host.map(HeaderValue::as_bytes)
            && !host.iter().any(|b| matches!(b, b'"' | b'\\'))
        {
            value.extend_from_slice(b";host=\"");
            value.extend_from_slice(host);
            value.push(b'"');
        }
        HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("for=unknown"))
    }
}

/// A copy that does not pin the buffer the value was read into.
fn copied(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}

/// Adds a value to a list header, joining what is there, or replaces it all.
fn append(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue, keep: bool) {
    match headers.entry(name) {
        Entry::Vacant(entry) => drop(entry.insert(value)),
        Entry::Occupied(mut entry) if keep => {
            let mut joined: Vec<u8> = Vec::new();
            for old in entry.iter() {
                joined.extend_from_slice(old.as_bytes());
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(value.as_bytes());
            entry.insert(HeaderValue::try_from(joined).unwrap_or(value));
        }
        Entry::Occupied(mut entry) => drop(entry.insert(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn hop_headers_and_those_named_by_connection_end_here() {
        let mut headers = map(&[
            ("connection", "close, X-Secret, content-length"),
            ("x-secret", "1"),
            ("te", "gzip, Trailers"),
            ("keep-alive", "timeout=5"),
            ("content-length", "3"),
            ("accept", "*/*"),
        ]);
        let hop = end_hop(&mut headers);
        assert!(hop.trailers && hop.upgrade.is_none());
        assert_eq!(headers, map(&[("content-length", "3"), ("accept", "*/*")]));
    }

    #[test]
    fn an_upgrade_counts_only_if_connection_lists_it() {
        assert!(end_hop(&mut map(&[("upgrade", "websocket")])).upgrade.is_none());
        let hop = end_hop(&mut map(&[("connection", "Upgrade"), ("upgrade", "websocket")]));
        assert_eq!(hop.upgrade.unwrap(), "websocket");
    }

    #[test]
    fn forwarding_headers_replace_or_extend_what_came() {
        let came = [("x-forwarded-for", "10.0.0.9"), ("forwarded", "for=10.0.0.9"), ("via", "1.1 edge")];
        let host = HeaderValue::from_static("api.example");
        let ip: IpAddr = "127.0.0.1".parse().unwrap();

        let mut fresh = map(&came);
        Forwarding::new(ip, false).write(&mut fresh, Some(&host), false);
        assert_eq!(fresh["x-forwarded-for"], "127.0.0.1");
        assert_eq!(fresh["x-forwarded-host"], "api.example");
        assert_eq!(fresh["forwarded"], "for=127.0.0.1;proto=http;host=\"api.example\"");
        assert_eq!(fresh["via"], "1.1 edge, 1.1 weir");

        let mut extended = map(&came);
        Forwarding::new("::1".parse().unwrap(), true).write(&mut extended, None, true);
        assert_eq!(extended["x-forwarded-for"], "10.0.0.9, ::1");
        assert_eq!(extended["forwarded"], "for=10.0.0.9, for=\"[::1]\";proto=http");
    }
}

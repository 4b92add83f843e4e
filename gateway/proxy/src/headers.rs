//! Header fields that end at this hop (RFC 9110, section 7.6.1).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::fields::Field;

/// What a head said about its own connection.
#[derive(Debug, Default)]
pub(crate) struct Hop {
    /// The first `Upgrade`.
    upgrade: Option<HeaderValue>,
    /// `TE: trailers` was sent: the sender reads trailers.
    pub(crate) trailers: bool,
    /// Fields that `Connection` names.
    named: Vec<HeaderName>,
}

impl Hop {
    /// Of a head's fields.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut hop = Self::default();
        for (name, value) in headers {
            hop.hear(Field::of(name), value);
        }
        hop
    }

    /// Hears one field.
    pub(crate) fn hear(&mut self, field: Field, value: &HeaderValue) {
        match field {
            Field::Connection => name_listed(value, &mut self.named),
            Field::Te => self.trailers |= has_token(value, "trailers"),
            Field::Upgrade => drop(self.upgrade.get_or_insert_with(|| value.clone())),
            _ => {}
        }
    }

    /// The protocol to change to: an `Upgrade` counts only if `Connection` lists it.
    pub(crate) fn upgrade(&self) -> Option<&HeaderValue> {
        self.upgrade.as_ref().filter(|_| self.named.contains(&header::UPGRADE))
    }

    /// Whether a field that is not for one hop by its nature is named away.
    pub(crate) fn names(&self, name: &HeaderName) -> bool {
        !self.named.is_empty() && self.named.contains(name)
    }
}

/// Removes every header that is for this hop only, also those that `Connection` names.
pub(crate) fn end_hop(headers: &mut HeaderMap) {
    let hop = Hop::of(headers);
    let ends = |name: &&HeaderName| Field::of(name).is_hop() || hop.names(name);
    // Only what is there is removed: to look for a header in vain costs as much as to find it.
    let ended: SmallVec<[HeaderName; 4]> = headers.keys().filter(ends).cloned().collect();
    ended.iter().for_each(|name| drop(headers.remove(name)));
}

/// Adds the header names that a `Connection` lists. Framing and routing headers cannot be named away.
pub(crate) fn name_listed(connection: &HeaderValue, names: &mut Vec<HeaderName>) {
    // What nearly every one says.
    if matches!(connection.as_bytes(), b"keep-alive" | b"close" | b"Keep-Alive") {
        return;
    }
    let tokens = connection.to_str().unwrap_or_default().split(',');
    let named = tokens.filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok());
    names.extend(named.filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH));
}

/// Whether a comma-separated header value has a token, letter case aside.
pub(crate) fn has_token(value: &HeaderValue, token: &str) -> bool {
    let value = value.as_bytes();
    // Most lists have one member.
    value.eq_ignore_ascii_case(token.as_bytes())
        || value.split(|byte| *byte == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
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
        let hop = Hop::of(&headers);
        assert!(hop.trailers && hop.upgrade().is_none());
        end_hop(&mut headers);
        assert_eq!(headers, map(&[("content-length", "3"), ("accept", "*/*")]));
    }

    #[test]
    fn an_upgrade_counts_only_if_connection_lists_it() {
        assert!(Hop::of(&map(&[("upgrade", "websocket")])).upgrade().is_none());
        let hop = Hop::of(&map(&[("connection", "Upgrade"), ("upgrade", "websocket")]));
        assert_eq!(hop.upgrade().unwrap(), "websocket");
    }
}

//! Who may ask, and who may change something.

use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, HeaderMap};
use http::uri::Authority;
use http::{Uri, Version};

use crate::reply::Refusal;

/// What the listener believes.
#[derive(Clone)]
pub(crate) struct Guard {
    token: Option<Box<[u8]>>,
    /// Names this listener is known by, beside loopback names and IP addresses; lower case.
    hosts: Vec<Box<str>>,
}

impl Guard {
    /// An empty token is no token: it would let everybody in.
    pub(crate) fn new(token: Option<&str>, hosts: &[String]) -> Self {
        let token = token.filter(|t| !t.is_empty()).map(|t| t.as_bytes().into());
        Self { token, hosts: hosts.iter().map(|h| h.to_ascii_lowercase().into()).collect() }
    }

    /// Refuses a request for a name that is not ours: a web page whose own name was rebound to our address
    /// reaches us from the visitor's browser, but cannot hide that name.
    pub(crate) fn check_host(&self, uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut named = headers.get_all(HOST).iter();
        let host = match (named.next(), named.next()) {
            // HTTP/1.0 has no `Host`; old health checkers speak it, browsers do not.
            (None, _) if version == Version::HTTP_10 => return Ok(()),
            (Some(host), None) => host,
            _ => return Err(Refusal::NoHost),
        };
        // A request line with a whole URI has the last word, but both must be ours.
        uri.authority().map_or(Ok(()), |authority| self.check_name(authority))?;
        let text = host.to_str().map_err(|_| Refusal::NoHost)?;
        self.check_name(&text.parse().map_err(|_| Refusal::Host { host: text.to_owned() })?)
    }

    fn check_name(&self, authority: &Authority) -> Result<(), Refusal> {
        let host = authority.host().to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let local = host == "localhost" || host.ends_with(".localhost");
        if !authority.as_str().contains('@')
            && (address.is_ok() || local || self.hosts.iter().any(|h| **h == *host))
        {
            return Ok(());
        }
        Err(Refusal::Host { host: authority.to_string() })
    }

    /// Refuses to change anything for one who has not the token; for everybody where there is none. A web
    /// page that rides on its visitor's place in our network does not know it, so no origin needs to be
    /// looked at.
    pub(crate) fn check_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = self.token.as_ref().ok_or(Refusal::NoTokenSet)?;
        let given = headers.get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
        let (scheme, given) = given.split_at_checked(7).unwrap_or_default();
        if scheme.eq_ignore_ascii_case(b"bearer ") && equal(given, token) {
            Ok(())
        } else {
            Err(Refusal::NoToken)
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is nobody's business.
        f.debug_struct("Guard").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// Compares in a time that depends on the lengths only.
fn equal(a: &[u8], b: &[u8]) -> bool {
    // The black box keeps the compiler from leaving the loop at the first difference.
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |v: &str| v.parse().expect("a header value");
        pairs.iter().map(|(name, v)| (name.clone(), value(v))).collect()
    }

    fn host(name: &str) -> Result<(), Refusal> {
        let guard = Guard::new(None, &["Weir.Example".to_owned()]);
        guard.check_host(&Uri::from_static("/"), Version::HTTP_11, &headers(&[(HOST, name)]))
    }

    #[test]
    fn loopback_names_addresses_and_configured_names_are_ours() {
        for ours in [
            "localhost",
            "LOCALHOST:9464",
            "a.localhost:1",
            "127.0.0.1:9464",
            "10.1.2.3",
            "[::1]:9464",
            "weir.example:1",
        ] {
            assert_eq!(host(ours), Ok(()), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "weir.example.evil",
            "x@localhost",
            "1.2.3",
        ] {
            assert!(matches!(host(foreign), Err(Refusal::Host { .. })), "{foreign}");
        }
        assert!(host("").is_err() && host("a b").is_err());
    }

    #[test]
    fn a_host_is_needed_once_and_a_whole_uri_must_agree() {
        let guard = Guard::new(None, &[]);
        let root = Uri::from_static("/");
        let check = |uri: &Uri, version, h: &HeaderMap| guard.check_host(uri, version, h);
        assert_eq!(check(&root, Version::HTTP_11, &HeaderMap::new()), Err(Refusal::NoHost));
        assert_eq!(check(&root, Version::HTTP_10, &HeaderMap::new()), Ok(()));
        let mut two = headers(&[(HOST, "localhost")]);
        two.append(HOST, "localhost".parse().expect("a header value"));
        assert_eq!(check(&root, Version::HTTP_11, &two), Err(Refusal::NoHost));
        let whole = Uri::from_static("http://evil.example/metrics");
        let local = headers(&[(HOST, "localhost")]);
        assert!(matches!(check(&whole, Version::HTTP_11, &local), Err(Refusal::Host { .. })));
    }

    #[test]
    fn only_the_bearer_of_the_token_may_change_things() {
        let guard = Guard::new(Some("s3cret"), &[]);
        let check = |value: &str| guard.check_change(&headers(&[(AUTHORIZATION, value)]));
        assert_eq!(check("Bearer s3cret"), Ok(()));
        assert_eq!(check("bearer s3cret"), Ok(()));
        for wrong in
            ["Bearer s3cre", "Bearer s3crets", "Bearer S3cret", "Bearer ", "Basic s3cret", "s3cret", ""]
        {
            assert_eq!(check(wrong), Err(Refusal::NoToken), "{wrong}");
        }
        assert_eq!(guard.check_change(&HeaderMap::new()), Err(Refusal::NoToken));
    }

    #[test]
    fn without_a_token_nobody_may_change_things() {
        for none in [None, Some("")] {
            let guard = Guard::new(none, &[]);
            let empty = headers(&[(AUTHORIZATION, "Bearer ")]);
            assert_eq!(guard.check_change(&empty), Err(Refusal::NoTokenSet), "{none:?}");
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let shown = format!("{:?}", Guard::new(Some("s3cret"), &["weir.example".to_owned()]));
        assert!(shown.contains("weir.example") && !shown.contains("115"), "{shown}");
    }
}

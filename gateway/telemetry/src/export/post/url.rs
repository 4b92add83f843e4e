//! Where a request goes, taken apart once: what may be shown, what must not, and what the connector needs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use super::PostFault;

/// A URL with a path appended, and its credentials apart.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What is asked for, without credentials.
    pub(super) uri: Uri,
    /// `uri` without its query, which may hold a key: for people.
    pub(super) place: String,
    /// `authorization`, if the URL names a user.
    pub(super) basic: Option<HeaderValue>,
    pub(super) tls: bool,
    /// The path that others are appended to.
    prefix: String,
}

impl Target {
    /// Another path of the same server, under the same prefix and with the same query.
    pub(super) fn beside(&self, path: &str) -> Result<Uri, PostFault> {
        let mut parts = self.uri.clone().into_parts();
        let query = self.uri.query().map_or(String::new(), |query| format!("?{query}"));
        let asked = format!("{}{path}{query}", self.prefix.trim_end_matches('/'));
        parts.path_and_query = Some(asked.parse().map_err(|_| PostFault::Url)?);
        Uri::from_parts(parts).map_err(|_| PostFault::Url)
    }

    /// Appends `path` (empty, or from `/` on) to the path of `url`.
    pub(super) fn parse(url: &str, path: &str) -> Result<Self, PostFault> {
        let parsed: Uri = url.trim().parse().map_err(|_| PostFault::Url)?;
        let scheme = parsed.scheme().ok_or(PostFault::Url)?.clone();
        let tls = scheme == Scheme::HTTPS;
        if !tls && scheme != Scheme::HTTP {
            return Err(PostFault::Scheme { scheme: scheme.to_string() });
        }
        let authority = parsed.authority().filter(|a| !a.host().is_empty()).ok_or(PostFault::Url)?;
        let (user, host) = split_user(authority)?;
        let prefix = parsed.path().to_owned();
        let joined = match (path, prefix.as_str()) {
            ("", whole) => whole.to_owned(),
            (path, prefix) => format!("{}{path}", prefix.trim_end_matches('/')),
        };
        let place = format!("{scheme}://{host}{joined}");
        let asked = match parsed.query() {
            Some(query) => format!("{joined}?{query}"),
            None => joined,
        };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(host)
            .path_and_query(asked)
            .build()
            .map_err(|_| PostFault::Url)?;
        let basic = user.map(|user| basic(&user)).transpose()?;
        Ok(Self { uri, place, basic, tls, prefix })
    }
}

/// Splits `user:password@host:port`.
fn split_user(authority: &Authority) -> Result<(Option<String>, Authority), PostFault> {
    match authority.as_str().rsplit_once('@') {
        None => Ok((None, authority.clone())),
        Some((user, host)) => Ok((Some(user.to_owned()), host.parse().map_err(|_| PostFault::Url)?)),
    }
}

fn basic(user: &str) -> Result<HeaderValue, PostFault> {
    let decoded: Vec<u8> = percent_decode_str(user).collect();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(decoded)))
        .map_err(|_| PostFault::Header { name: "authorization".into() })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_as_a_prefix_and_a_query_stays_last() {
        let check = |url: &str, path: &str, uri: &str, place: &str| {
            let target = Target::parse(url, path).expect(url);
            assert_eq!((target.uri.to_string().as_str(), target.place.as_str()), (uri, place));
        };
        check("http://c:4318", "/v1/traces", "http://c:4318/v1/traces", "http://c:4318/v1/traces");
        check("https://c/otlp/", "/v1/logs", "https://c/otlp/v1/logs", "https://c/otlp/v1/logs");
        check("http://[::1]:9/", "", "http://[::1]:9/", "http://[::1]:9/");
        check("http://c/hook?key=1", "", "http://c/hook?key=1", "http://c/hook");
    }

    #[test]
    fn a_page_beside_has_the_same_prefix_and_query() {
        let check = |url: &str, expect: &str| {
            let target = Target::parse(url, "/api/v2/alerts").expect(url);
            assert_eq!(target.beside("/api/v2/status").expect(url).to_string(), expect);
        };
        check("http://a:9093", "http://a:9093/api/v2/status");
        check("https://me:p@a/am/?tenant=1", "https://a/am/api/v2/status?tenant=1");
    }

    #[test]
    fn credentials_leave_the_url_for_a_header_that_nobody_sees() {
        let target = Target::parse("https://me:p%40ss@c:1/x", "").expect("parsed");
        assert_eq!(target.uri.to_string(), "https://c:1/x");
        let basic = target.basic.clone().expect("a header");
        assert_eq!(basic.as_bytes(), format!("Basic {}", STANDARD.encode("me:p@ss")).as_bytes());
        let shown = format!("{target:?}");
        assert!(!shown.contains("p%40ss") && !shown.contains("Basic"), "{shown}");
    }

    #[test]
    fn what_is_no_http_url_is_refused_in_words() {
        let said = |url| Target::parse(url, "").expect_err(url).to_string();
        for url in ["", "collector:4317", "/v1", "http://", "http:// x"] {
            assert!(said(url).contains("http://HOST:PORT"), "{url}: {}", said(url));
        }
        assert!(said("ftp://c/").contains("`ftp`"));
    }
}

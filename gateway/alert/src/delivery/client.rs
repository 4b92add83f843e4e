//! How each kind of receiver is spoken to: one request, and what came of it.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use weir_telemetry::export::{Page, Post, PostFault, PostShape};

use super::answer::{Failure, Taken, of_alerts, of_status, of_webhook};
use super::hook::Call;
use super::options::{AlertmanagerOptions, Kind, Name, Ready, WebhookOptions};
use super::sign::signature;
use super::wire;

const ALERTS: &str = "/api/v2/alerts";
/// Longest status page that is read, in bytes: it holds the whole configuration.
const LONGEST_STATUS: usize = 4 << 20;

const SIGNATURE: HeaderName = HeaderName::from_static("x-weir-signature");
const DELIVERY: HeaderName = HeaderName::from_static("x-weir-delivery");

#[derive(Debug)]
pub(super) enum Client {
    Alertmanager(Alertmanager),
    Webhook(Webhook),
}

#[derive(Debug)]
pub(super) struct Alertmanager {
    post: Post,
    status: Page,
}

pub(super) struct Webhook {
    post: Post,
    name: String,
    secret: Option<String>,
    external_url: String,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn alertmanager(options: &AlertmanagerOptions) -> Result<Ready, PostFault> {
        let post = Post::new(&options.url, shape(ALERTS), &options.post)?;
        let place = post.place().trim_end_matches(ALERTS).to_owned();
        let label = format!("alertmanager:{}", authority(&place).1);
        let name = Name { kind: Kind::Alertmanager, id: place.clone(), label, place };
        let status = post.page("/api/v2/status")?;
        Ok(Ready { name, client: Self::Alertmanager(Alertmanager { post, status }) })
    }

    pub(super) fn webhook(options: &WebhookOptions, external_url: &str) -> Result<Ready, PostFault> {
        let post = Post::new(&options.url, shape(""), &options.post)?;
        // Many a webhook's path is its password.
        let (scheme, host) = authority(post.place());
        let label = format!("webhook:{}", options.name);
        let place = format!("{scheme}://{host}");
        let name = Name { kind: Kind::Webhook, id: label.clone(), label, place };
        let webhook = Webhook {
            post,
            name: options.name.clone(),
            secret: options.secret.clone(),
            external_url: external_url.to_owned(),
        };
        Ok(Ready { name, client: Self::Webhook(webhook) })
    }
}

impl Alertmanager {
    /// When it was started, in its own words.
    pub(super) async fn ask(&self) -> Result<String, Failure> {
        of_status(&self.post.get(&self.status, LONGEST_STATUS).await?)
    }

    pub(super) async fn tell(&self, body: Bytes) -> Result<Taken, Failure> {
        of_alerts(&self.post.send(body).await?)
    }
}

impl Webhook {
    pub(super) async fn tell(&self, call: &Call) -> Result<Taken, Failure> {
        let body = wire::payload(call, &self.name, &self.external_url);
        let now = SystemTime::now();
        let mut headers = HeaderMap::new();
        set(&mut headers, DELIVERY, &wire::delivery_key(call.fingerprint, &call.alert, call.form));
        if let Some(secret) = &self.secret {
            let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
            set(&mut headers, SIGNATURE, &signature(secret.as_bytes(), seconds, &body));
        }
        of_webhook(&self.post.send_with(headers, body).await?, now)
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Digits, letters and punctuation: never refused.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn shape(path: &'static str) -> PostShape {
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    PostShape { path, headers: [json].into_iter().collect(), http2: false }
}

/// Scheme, and `HOST:PORT`, of a URL that a client was made of.
fn authority(place: &str) -> (String, String) {
    let uri: Uri = place.parse().unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or("http").to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let host = uri.host().unwrap_or_default();
    (scheme, format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use weir_telemetry::export::PostOptions;

    use super::*;

    #[test]
    fn a_receiver_is_named_by_host_and_port_without_credentials() {
        let check = |url: &str, label: &str, place: &str| {
            let options = AlertmanagerOptions { url: url.into(), post: PostOptions::default() };
            let ready = Client::alertmanager(&options).expect(url);
            assert_eq!((ready.name.label.as_str(), ready.name.place.as_str()), (label, place));
        };
        check("http://me:pw@am:9093/", "alertmanager:am:9093", "http://am:9093");
        check("http://am/prefix/?key=s", "alertmanager:am:80", "http://am/prefix");
        check("http://[::1]:9093", "alertmanager:[::1]:9093", "http://[::1]:9093");
    }

    #[test]
    fn no_secret_of_a_webhook_is_shown() {
        let options = WebhookOptions {
            name: "pager".into(),
            url: "http://me:pw@hooks/T0/B0/path-secret?key=s".into(),
            secret: Some("hmac-secret".into()),
            post: PostOptions {
                headers: vec![("x-key".into(), "head-secret".into())],
                ..PostOptions::default()
            },
        };
        let ready = Client::webhook(&options, "").expect("usable");
        assert_eq!(ready.name.place, "http://hooks:80");
        let shown = format!("{options:?} {ready:?}");
        for secret in ["pw", "path-secret", "key=s", "hmac-secret", "head-secret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

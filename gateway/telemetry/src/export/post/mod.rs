//! The one HTTP client for whatever Weir sends by itself: a POST to one URL, answered or explained, and a GET
//! of pages beside it.
//!
//! Absent: redirects (a collector that moved is a configuration to correct), cookies, proxies from the
//! environment. Values of headers are never shown, not even by `Debug`.

mod connect;
mod later;
mod tls;
mod url;
mod words;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use connect::Connector;
pub(super) use later::retry_after;
use url::Target;

/// Longest answer to a POST that is read, in bytes; a collector has nothing longer to say.
const LONGEST_REPLY: usize = 64 << 10;
/// How long a connection may lie idle, shorter than what servers and balancers in between commonly allow.
const IDLE: Duration = Duration::from_secs(30);

/// How to reach a server.
#[derive(Clone)]
pub struct PostOptions {
    /// Headers of every request, by name. Values are secrets.
    pub headers: Vec<(String, String)>,
    /// PEM certificates of the authorities to trust instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Who we are, for a server that asks (mTLS).
    pub identity: Option<Identity>,
    /// Limit of connecting: DNS, TCP and TLS.
    pub connect_timeout: Duration,
    /// Limit of a whole request, connecting included.
    pub timeout: Duration,
}

/// A client certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, then those between it and the authority.
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl Default for PostOptions {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            ca: None,
            identity: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for PostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("PostOptions")
            .field("headers", &names)
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why a client cannot be made. Reads as the end of a sentence that begins with "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostFault {
    #[error("read the URL (write `http://HOST:PORT` or `https://HOST:PORT`, a path may follow)")]
    Url,
    #[error("send to a URL of the scheme `{scheme}` (use `http` or `https`)")]
    Scheme { scheme: String },
    #[error("use the header `{name}` (its name or its value has a character that headers cannot have)")]
    Header { name: String },
    #[error("read the CA bundle: {reason} (give PEM certificates)")]
    Ca { reason: String },
    #[error(
        "use the client certificate: {reason} (give a PEM certificate and the PEM key that belongs to it)"
    )]
    Identity { reason: String },
    #[error("find an authority that this system trusts (install `ca-certificates` or give a CA bundle)")]
    NoRoots,
    #[error("set up TLS: {reason}")]
    Tls { reason: String },
}

/// Why a request got no answer. All of these may go better the next time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    #[error("no answer within {limit:?}")]
    Timeout { limit: Duration },
    #[error("cannot connect: {reason}")]
    Unreachable { reason: String },
    #[error("no secure connection: {reason}")]
    Tls { reason: String },
    #[error("the connection broke: {reason}")]
    Broken { reason: String },
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// At most the first 64 KiB, or what the reader of a page set.
    pub body: Bytes,
    /// Empty if there were none, or if the body was cut.
    pub trailers: HeaderMap,
}

impl Reply {
    /// How long the server wants not to be asked again (`Retry-After`), if it says so.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        retry_after(&self.headers, now)
    }
}

/// A page of the server that a [`Post`] was made for.
#[derive(Clone, Debug)]
pub struct Page(Uri);

/// What every request to one place has in common.
#[derive(Clone, Debug, Default)]
pub struct PostShape {
    /// Appended to the path of the URL.
    pub path: &'static str,
    /// Headers that say what the body is; they win over configured ones.
    pub headers: HeaderMap,
    /// Speak nothing but HTTP/2, on `http://` without asking (gRPC).
    pub http2: bool,
}

/// A client of one URL. It must be used inside one tokio runtime, which drives its connections.
pub struct Post {
    target: Target,
    headers: HeaderMap,
    timeout: Duration,
    /// TLS without a certificate of our own.
    anonymous: bool,
    builder: Builder,
    connector: Connector,
    client: Mutex<Client<Connector, Full<Bytes>>>,
}

impl Post {
    /// A client that posts to `url`. Nothing is connected yet; for `https://` without a CA bundle the
    /// authorities of the system are read.
    ///
    /// # Errors
    /// The URL, a header or a certificate cannot be used.
    pub fn new(url: &str, shape: PostShape, options: &PostOptions) -> Result<Self, PostFault> {
        let target = Target::parse(url, shape.path)?;
        let headers = headers(&target, shape.headers, &options.headers)?;
        let tls = tls::client(target.tls, shape.http2, options)?;
        let connector = Connector::new(tls, options.connect_timeout);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .timer(TokioTimer::new())
            .http2_only(shape.http2);
        let client = Mutex::new(builder.build(connector.clone()));
        let anonymous = target.tls && options.identity.is_none();
        Ok(Self { target, headers, timeout: options.timeout, anonymous, builder, connector, client })
    }

    /// Where requests go, without credentials and query: for people.
    pub fn place(&self) -> &str {
        &self.target.place
    }

    /// Sends one body and waits for the answer, whatever its status.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn send(&self, body: Bytes) -> Result<Reply, PostError> {
        self.send_with(HeaderMap::new(), body).await
    }

    /// As [`Post::send`], with further headers of this request.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn send_with(&self, headers: HeaderMap, body: Bytes) -> Result<Reply, PostError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(headers);
        self.limited(request, LONGEST_REPLY).await
    }

    /// The page at this path, which is appended to the URL in place of the one that is posted to.
    ///
    /// # Errors
    /// It is no path.
    pub fn page(&self, path: &str) -> Result<Page, PostFault> {
        self.target.beside(path).map(Page)
    }

    /// Reads a page, up to `longest` bytes of it, whatever its status.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn get(&self, page: &Page, longest: usize) -> Result<Reply, PostError> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = page.0.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().remove(CONTENT_TYPE);
        request.headers_mut().remove(CONTENT_ENCODING);
        self.limited(request, longest).await
    }

    async fn limited(&self, request: Request<Full<Bytes>>, longest: usize) -> Result<Reply, PostError> {
        match tokio::time::timeout(self.timeout, self.exchange(request, longest)).await {
            Ok(answered) => answered,
            Err(_) => {
                // Its connection may be dead without a word, and HTTP/2 would share it for ever.
                *self.client.lock().unwrap_or_else(PoisonError::into_inner) =
                    self.builder.build(self.connector.clone());
                Err(PostError::Timeout { limit: self.timeout })
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, longest: usize) -> Result<Reply, PostError> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (head, body) =
            client.request(request).await.map_err(|e| words::explain(&e, self.anonymous))?.into_parts();
        let (body, trailers) = read(body, longest).await?;
        Ok(Reply { status: head.status, headers: head.headers, body, trailers })
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("place", &self.target.place).finish_non_exhaustive()
    }
}

/// Configured headers, then what the URL and the body need.
fn headers(
    target: &Target,
    shape: HeaderMap,
    configured: &[(String, String)],
) -> Result<HeaderMap, PostFault> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
    if let Some(basic) = &target.basic {
        headers.insert(AUTHORIZATION, basic.clone());
    }
    for (name, value) in configured {
        let fault = || PostFault::Header { name: name.clone() };
        let mut value = HeaderValue::try_from(value).map_err(|_| fault())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).map_err(|_| fault())?, value);
    }
    headers.extend(shape);
    Ok(headers)
}

/// Reads an answer up to its bound. What follows is left, and its connection with it.
async fn read(mut body: Incoming, longest: usize) -> Result<(Bytes, HeaderMap), PostError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|e| words::broken(&e))?.into_data() {
            Ok(data) => {
                let room = longest - whole.len();
                whole.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    break;
                }
            }
            Err(frame) => return Ok((whole.freeze(), frame.into_trailers().unwrap_or_default())),
        }
    }
    Ok((whole.freeze(), HeaderMap::new()))
}

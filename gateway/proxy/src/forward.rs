//! A request goes to a model server and its response comes back, both streaming.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::header::{EXPECT, HOST, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use weir_config::Forward;

use crate::body::{ReplyBody, RequestBody};
use crate::clock::Stamp;
use crate::headers::{Hop, end_hop};
use crate::live::{Expiry, Live, Owner};
use crate::refusal::Refusal;
use crate::upgrade;
use crate::upstream::{ConnectError, Endpoint, Lease, pick};

/// A response head from upstream, its body to come.
pub(crate) struct Streamed {
    response: Response<Incoming>,
    lease: Lease,
    /// The client's end of an upgrade that was asked for.
    client: Option<OnUpgrade>,
}

/// A request ready to leave. Boxed once, so that the futures it passes through stay small and move a pointer.
struct Outgoing {
    request: Box<Request<RequestBody>>,
    hop: Hop,
    client: Option<OnUpgrade>,
}

/// Sends the request to one of the endpoints; once more to another if the first provably did not get it.
///
/// Not an `async fn`: the request is rewritten before the future is made, which then carries only a pointer
/// to it.
pub(crate) fn forward<'a>(
    live: &'a Rc<Live>,
    config: &'a Forward,
    endpoints: &'a [Arc<Endpoint>],
    request: Request<Incoming>,
) -> impl Future<Output = Result<Streamed, Refusal>> + 'a {
    let outgoing = outgoing(live, request);
    async move { try_endpoints(live, config, endpoints, outgoing?).await }
}

async fn try_endpoints(
    live: &Rc<Live>,
    config: &Forward,
    endpoints: &[Arc<Endpoint>],
    outgoing: Outgoing,
) -> Result<Streamed, Refusal> {
    let Outgoing { mut request, hop, client } = outgoing;
    let mut failed: Option<u64> = None;
    loop {
        let endpoint = pick(endpoints, failed, Stamp::recent())
            .ok_or_else(|| Refusal::NoEndpoint { backend: live.route.rule.target.name.to_string() })?;
        address(&mut request, endpoint, config, &hop);
        match send(live, config, endpoint, request, failed.is_some()).await {
            Ok((response, lease)) => return Ok(Streamed { response, lease, client }),
            Err(Failed { unsent: Some(unsent), .. }) if failed.is_none() && live.route.rule.config.retry => {
                live.conn.worker.shared.metrics.retries.get(&[&endpoint.backend]).inc();
                failed = Some(endpoint.id);
                request = unsent;
            }
            Err(Failed { refusal, .. }) => return Err(refusal),
        }
    }
}

/// A try that did not work out, with the request if it provably was not sent.
struct Failed {
    refusal: Refusal,
    unsent: Option<Box<Request<RequestBody>>>,
}

/// The request as the upstream shall see it, but for the endpoint's own host.
fn outgoing(live: &Rc<Live>, mut request: Request<Incoming>) -> Result<Outgoing, Refusal> {
    let client = upgrade::client_end(&mut request);
    let (mut parts, body) = request.into_parts();
    let hop = end_hop(&mut parts.headers);
    let named = parts.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    let sent = parts.headers.remove(HOST);
    let host = named.or(sent);
    // hyper answers 100 itself as soon as the body is asked for.
    parts.headers.remove(EXPECT);
    live.conn.forwarding.write(&mut parts.headers, host.as_ref(), parts.version == Version::HTTP_2);
    let mut request = Box::new(Request::from_parts(parts, RequestBody::new(body, live.clone())));
    let client = upgrade::ask(live, &hop, client, &mut request)?;
    Ok(Outgoing { request, hop, client })
}

/// Names the endpoint in the head.
fn address(request: &mut Request<RequestBody>, endpoint: &Endpoint, config: &Forward, hop: &Hop) {
    let prefix = &endpoint.config.prefix;
    let origin_form = request.uri().authority().is_none();
    if !origin_form || !prefix.is_empty() || config.http2 {
        *request.uri_mut() = target(request.uri(), endpoint, config.http2);
    }
    *request.version_mut() = if config.http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    if config.http2 {
        request.headers_mut().remove(HOST);
        if hop.trailers {
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
    } else {
        request.headers_mut().insert(HOST, endpoint.host.clone());
    }
}

/// Path and query under the endpoint's prefix; with scheme and authority where HTTP/2 needs its
/// pseudo-headers.
fn target(uri: &Uri, endpoint: &Endpoint, absolute: bool) -> Uri {
    let asked = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let prefix = &endpoint.config.prefix;
    // A retry to a second endpoint starts from the first one's target.
    let bare =
        if uri.authority().is_some() { asked.strip_prefix(prefix.as_str()).unwrap_or(asked) } else { asked };
    let path = PathAndQuery::try_from(format!("{prefix}{bare}")).unwrap_or(PathAndQuery::from_static("/"));
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path);
    if absolute {
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Authority::try_from(&*endpoint.config.authority).ok();
    }
    Uri::from_parts(parts).unwrap_or_default()
}

/// One try: a connection, the request, and the head of the response.
async fn send(
    live: &Rc<Live>,
    config: &Forward,
    endpoint: &Arc<Endpoint>,
    request: Box<Request<RequestBody>>,
    fresh: bool,
) -> Result<(Response<Incoming>, Lease), Failed> {
    let pools = &live.conn.worker.pools;
    let mut lease = match guarded(live, pools.lease(endpoint, config, fresh)).await {
        Ok(Ok(lease)) => lease,
        Ok(Err(error)) => return Err(unconnected(config, endpoint, &error, request)),
        Err(expiry) => return Err(Failed { refusal: over(live, expiry), unsent: None }),
    };
    live.sent_to(endpoint.clone(), Stamp::now());
    match guarded(live, lease.sender.send(request)).await {
        Ok(Ok(response)) => {
            endpoint.succeeded();
            if !live.request_is_complete() {
                // A client may send all of its body before it reads: sending must not wait for what it reads.
                lease.sender.detach();
            }
            Ok((response, lease))
        }
        Ok(Err(mut error)) => {
            let unsent = error.take_message().map(Box::new);
            let refusal = live.request_fault.take().unwrap_or_else(|| {
                let cause = cause(error.error());
                endpoint.failed(&cause, config.eject_after, Stamp::now());
                Refusal::Reset { address: endpoint.config.url.to_string(), cause }
            });
            Err(Failed { refusal, unsent })
        }
        Err(expiry) => Err(Failed { refusal: over(live, expiry), unsent: None }),
    }
}

fn unconnected(
    config: &Forward,
    endpoint: &Endpoint,
    error: &ConnectError,
    request: Box<Request<RequestBody>>,
) -> Failed {
    let cause = error.to_string();
    endpoint.failed(&cause, config.eject_after, Stamp::now());
    let address = endpoint.config.url.to_string();
    let refusal = match error {
        ConnectError::Timeout(after) => Refusal::ConnectTimeout { address, ms: after.as_millis() },
        _ => Refusal::Connect { address, cause },
    };
    Failed { refusal, unsent: Some(request) }
}

/// The innermost cause says what happened; hyper's own words say where.
fn cause(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Runs a step until it is done or one of the exchange's times is over; dropping it then cancels it upstream.
pub(crate) async fn guarded<T>(live: &Live, step: impl Future<Output = T>) -> Result<T, Expiry> {
    let mut step = pin!(step);
    poll_fn(|cx| match step.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => live.expired(cx).map_or(Poll::Pending, |expiry| Poll::Ready(Err(expiry))),
    })
    .await
}

/// Whose fault it is that a time is over.
pub(crate) fn over(live: &Live, expiry: Expiry) -> Refusal {
    let route = &live.route.rule.config;
    match expiry {
        Expiry::Total => Refusal::TotalTimeout { ms: route.total_timeout.as_millis() },
        Expiry::Idle if live.awaits_client.get() => Refusal::ClientStalled,
        Expiry::Idle => Refusal::IdleTimeout { ms: route.idle_timeout.as_millis() },
        Expiry::Header => {
            Refusal::HeaderTimeout { address: live.address(), ms: route.header_timeout.as_millis() }
        }
    }
}

impl Streamed {
    /// The response as the client shall see it.
    pub(crate) fn into_response(self, owner: Owner) -> Response<ReplyBody> {
        let Self { response, lease, client } = self;
        let now = Stamp::now();
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            owner.live().response_began(101, response.headers(), now);
            return upgrade::tunnel(response, client, owner, lease);
        }
        let (mut parts, body) = response.into_parts();
        end_hop(&mut parts.headers);
        parts.version = Version::HTTP_11;
        owner.live().response_began(parts.status.as_u16(), &parts.headers, now);
        Response::from_parts(parts, ReplyBody::stream(body, owner, lease))
    }
}

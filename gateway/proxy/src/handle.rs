//! The path of a request, one stage a line.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use weir_exchange::End;

use crate::body::ReplyBody;
use crate::clock::Stamp;
use crate::conn::Conn;
use crate::forward::{Streamed, forward};
use crate::live::{Beginning, Live, Owner};
use crate::local::infer;
use crate::refusal::Refusal;
use crate::snapshot::{RouteView, TargetKind, View};
use crate::trace;
use crate::worker::Unrouted;

/// Answers one request. Never fails: what goes wrong becomes an answer in words.
///
/// Not an `async fn`: the request is boxed before the future is made, so that what waits moves only a pointer
/// to it.
pub(crate) fn handle(
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> {
    answer(conn, Box::new(request))
}

async fn answer(
    conn: Rc<Conn>,
    mut request: Box<Request<Incoming>>,
) -> Result<Response<ReplyBody>, Infallible> {
    let began = Stamp::now();
    conn.activity.begin();
    if let Some(page) = page(&conn, &request) {
        return Ok(page);
    }
    let view = conn.worker.view();
    let route = match admit(&conn, &view, &request).and_then(|()| route(&view, &request)) {
        Ok(route) => route,
        Err(refusal) => return Ok(refuse_unrouted(&conn, &request, &refusal, began)),
    };
    let owner = Owner::of(begin(&conn, &route, &mut request, began));
    let answer = match &route.rule.target.kind {
        _ if over_limit(&route, &request) => {
            Err(Refusal::BodyTooLarge { limit: route.rule.config.body_bytes })
        }
        // Boxed: what only a local model needs must not make every request's future large.
        TargetKind::Local(model) => Box::pin(infer(owner.live(), &**model, *request)).await.map(Answer::Own),
        TargetKind::Forward { config, endpoints } => {
            forward(owner.live(), config, endpoints, *request).await.map(Answer::Streamed)
        }
    };
    Ok(match answer {
        Ok(answer) => respond(owner, answer),
        Err(refusal) => refuse(owner, &refusal),
    })
}

/// What a backend came up with.
enum Answer {
    Own(Response<Bytes>),
    Streamed(Streamed),
}

/// Step 1: limits that hold for everybody, and the shapes nobody may send.
fn admit(conn: &Conn, view: &View, request: &Request<Incoming>) -> Result<(), Refusal> {
    let limit = view.snapshot.limits.in_flight;
    if conn.worker.shared.in_flight.load(Relaxed) >= limit {
        return Err(Refusal::InFlight { limit });
    }
    if request.method() == Method::CONNECT {
        return Err(Refusal::BadRequest(
            "method `CONNECT` is for forward proxies (this is a gateway)".into(),
        ));
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || codings.next().is_some() {
        // Another coding would end here with its header, and the model server would get the coded bytes as
        // plain ones.
        return Err(Refusal::BadRequest(
            "`Transfer-Encoding` is more than `chunked` (send just that)".into(),
        ));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (request.version(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => Err(Refusal::BadRequest("several `Host` headers were sent (send one)".into())),
        (Version::HTTP_11, None, _) => {
            Err(Refusal::BadRequest("no `Host` header was sent (send one)".into()))
        }
        _ => Ok(()),
    }
}

/// Step 3: path, host, method and headers.
fn route(view: &View, request: &Request<Incoming>) -> Result<Rc<RouteView>, Refusal> {
    let path = request.uri().path();
    let host = host_of(request);
    let found = view.snapshot.router.find(path, host, request.method(), request.headers());
    found.map(|index| view.routes[index].clone()).ok_or_else(|| Refusal::NoRoute { path: path.to_owned() })
}

/// The host asked for, without its port; empty if none was sent. A whole URI has the last word over `Host`
/// (RFC 9112, 3.2.2).
fn host_of(request: &Request<Incoming>) -> &str {
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let host =
        named.or_else(|| request.headers().get(HOST).and_then(|h| h.to_str().ok())).unwrap_or_default();
    match host.rfind(':') {
        // Not the colons of a bare IPv6 address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

/// The exchange begins: its trace is joined and the headers for the upstream are told who asked.
fn begin(conn: &Rc<Conn>, route: &Rc<RouteView>, request: &mut Request<Incoming>, began: Stamp) -> Rc<Live> {
    let trace = trace::join(request.headers_mut());
    let path = path_bytes(request.uri());
    let (method, version) = (request.method().clone(), request.version());
    let headers = request.headers();
    Live::begin(conn, route.clone(), Beginning { method, version, path, headers, trace, began })
}

fn path_bytes(uri: &Uri) -> Bytes {
    // A copy: what hyper parsed pins its whole read buffer.
    Bytes::copy_from_slice(uri.path().as_bytes())
}

/// A body announced as too large is refused before a byte of it is read.
fn over_limit(route: &RouteView, request: &Request<Incoming>) -> bool {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    announced.is_some_and(|length| length > route.rule.config.body_bytes)
}

fn respond(owner: Owner, answer: Answer) -> Response<ReplyBody> {
    match answer {
        Answer::Own(response) => {
            owner.ended(End::Complete, None);
            response.map(|bytes| ReplyBody::own(bytes, Some(owner)))
        }
        Answer::Streamed(streamed) => streamed.into_response(owner),
    }
}

fn refuse(owner: Owner, refusal: &Refusal) -> Response<ReplyBody> {
    owner.live().answers(refusal.status().as_u16());
    owner.ended(refusal.end(), Some(refusal.error()));
    refusal.response().map(|bytes| ReplyBody::own(bytes, Some(owner)))
}

fn refuse_unrouted(
    conn: &Conn,
    request: &Request<Incoming>,
    refusal: &Refusal,
    began: Stamp,
) -> Response<ReplyBody> {
    conn.worker.unrouted(&Unrouted {
        began,
        client: conn.peer,
        method: request.method(),
        version: request.version(),
        path: request.uri().path(),
        status: refusal.status().as_u16(),
        error: refusal.error(),
    });
    conn.activity.end(Stamp::now());
    refusal.response().map(|bytes| ReplyBody::own(bytes, None))
}

/// `/metrics` and `/health` on the traffic port, where the configuration asks for it.
fn page(conn: &Conn, request: &Request<Incoming>) -> Option<Response<ReplyBody>> {
    let pages = conn.worker.shared.pages.as_ref()?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let accept = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (status, content_type, body) = pages.page(request.uri().path(), accept)?;
    let mut response = Response::new(ReplyBody::own(body, None));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let content_type = HeaderValue::try_from(content_type).unwrap_or(HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    conn.activity.end(Stamp::now());
    Some(response)
}

//! The path of a request, one stage a line.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, Version};
use hyper::body::{Body, Incoming};
use weir_exchange::{End, SpanFacts, TraceIds};

use crate::body::ReplyBody;
use crate::clock::Stamp;
use crate::conn::Conn;
use crate::drain::{drain, say_close};
use crate::fields::Gist;
use crate::forward::{Asked, Streamed, forward};
use crate::live::{Live, Owner};
use crate::local::infer;
use crate::refusal::Refusal;
use crate::snapshot::{RouteView, TargetKind, View};
use crate::trace;
use crate::worker::Unrouted;

/// Answers one request. Never fails: what goes wrong becomes an answer in words.
///
/// Not an `async fn`: the head is boxed before the future is made, so that what waits moves only a pointer to
/// it.
pub(crate) fn handle(
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> {
    let (head, body) = request.into_parts();
    answer(conn, Box::new(head), body)
}

async fn answer(conn: Rc<Conn>, head: Box<Parts>, body: Incoming) -> Result<Response<ReplyBody>, Infallible> {
    let began = Stamp::now();
    conn.activity.begin();
    if let Some(page) = page(&conn, &head) {
        return Ok(page);
    }
    let view = conn.worker.view();
    let gist = Gist::of(&head.headers);
    let route = match admit(&conn, &view, &head, &gist).and_then(|()| route(&view, &head, &gist)) {
        Ok(route) => route,
        Err(refusal) => {
            conn.activity.unread.store(!body.is_end_stream(), Relaxed);
            let owed = if body.is_end_stream() { 0 } else { gist.length.unwrap_or(0) };
            drain(body, &conn.activity);
            let rule = view.snapshot.tracing.as_ref();
            let trace = trace::join(&gist, &head.headers, rule).ids;
            let facts = (rule.is_some() && trace.sampled()).then(|| trace::facts(&conn, &head, &gist));
            let mut response = refuse_unrouted(&conn, &head, (trace, facts), &refusal, began);
            say_close(head.version, owed, &mut response);
            return Ok(response);
        }
    };
    let owner = Owner::of(Live::begin(&conn, route.clone(), &head, &gist, began));
    let limit = route.rule.config.body_bytes;
    let Gist { length: announced, hop, .. } = gist;
    let answer = match &route.rule.target.kind {
        // A body announced as too large is refused before a byte of it is read.
        _ if announced.is_some_and(|length| length > limit) => {
            drain(body, &conn.activity);
            Err(Refusal::BodyTooLarge { limit })
        }
        // Boxed: what only a local model needs must not make every request's future large.
        TargetKind::Local(model) => {
            Box::pin(infer(owner.live(), &**model, &head, body)).await.map(Answer::Own)
        }
        TargetKind::Forward { config, endpoints } => {
            let asked = Asked { head, hop, body };
            forward(owner.live(), config, endpoints, asked).await.map(Answer::Streamed)
        }
    };
    let live = owner.live().clone();
    let mut response = match answer {
        Ok(answer) => respond(owner, answer),
        Err(refusal) => refuse(owner, &refusal),
    };
    let (version, owed) = live.owes();
    say_close(version, owed, &mut response);
    Ok(response)
}

/// What a backend came up with.
enum Answer {
    Own(Response<Bytes>),
    Streamed(Streamed),
}

/// Step 1: limits that hold for everybody, and the shapes nobody may send.
fn admit(conn: &Conn, view: &View, head: &Parts, gist: &Gist<'_>) -> Result<(), Refusal> {
    let limit = view.snapshot.limits.in_flight;
    if conn.worker.shared.in_flight.load(Relaxed) >= limit {
        return Err(Refusal::InFlight { limit });
    }
    let header_bytes = view.snapshot.limits.header_bytes;
    if head.version == Version::HTTP_2 && list_size(head) > header_bytes {
        return Err(Refusal::HeadTooLarge { limit: header_bytes });
    }
    if head.method == Method::CONNECT {
        return Err(Refusal::BadRequest(
            "method `CONNECT` is for forward proxies (this is a gateway)".into(),
        ));
    }
    if gist.coded {
        // Another coding would end here with its header, and the model server would get the coded bytes as
        // plain ones.
        return Err(Refusal::BadRequest(
            "`Transfer-Encoding` is more than `chunked` (send just that)".into(),
        ));
    }
    match (head.version, gist.hosts) {
        (_, 2..) => Err(Refusal::BadRequest("several `Host` headers were sent (send one)".into())),
        (Version::HTTP_11, 0) => Err(Refusal::BadRequest("no `Host` header was sent (send one)".into())),
        _ => Ok(()),
    }
}

/// Size of a header list as HTTP/2 counts it (RFC 9113, section 6.5.2), without its pseudo-headers.
fn list_size(head: &Parts) -> usize {
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

/// Step 3: path, host, method and headers.
fn route(view: &View, head: &Parts, gist: &Gist<'_>) -> Result<Rc<RouteView>, Refusal> {
    let path = head.uri.path();
    let host = host_of(head, gist);
    let found = view.snapshot.router.find(path, host, &head.method, &head.headers);
    found.map(|index| view.routes[index].clone()).ok_or_else(|| Refusal::NoRoute { path: path.to_owned() })
}

/// The host asked for, without its port; empty if none was sent. A whole URI has the last word over `Host`
/// (RFC 9112, 3.2.2).
fn host_of<'h>(head: &'h Parts, gist: &Gist<'h>) -> &'h str {
    let named = head.uri.authority().map(http::uri::Authority::as_str);
    let host = named.or_else(|| gist.host.and_then(|h| h.to_str().ok())).unwrap_or_default();
    match host.rfind(':') {
        // Not the colons of a bare IPv6 address.
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
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
    head: &Parts,
    (trace, facts): (TraceIds, Option<Box<SpanFacts>>),
    refusal: &Refusal,
    began: Stamp,
) -> Response<ReplyBody> {
    let response = refusal.response();
    conn.worker.unrouted(Unrouted {
        began,
        client: conn.peer,
        trace,
        method: &head.method,
        version: head.version,
        path: head.uri.path(),
        status: refusal.status().as_u16(),
        response_bytes: response.body().len() as u64,
        error: refusal.error(),
        facts,
    });
    conn.activity.end(Stamp::now());
    response.map(|bytes| ReplyBody::own(bytes, None))
}

/// `/metrics` and `/health` on the traffic port, where the configuration asks for it.
fn page(conn: &Conn, head: &Parts) -> Option<Response<ReplyBody>> {
    let pages = conn.worker.shared.pages.as_ref()?;
    if head.method != Method::GET && head.method != Method::HEAD {
        return None;
    }
    let accept = head.headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (status, content_type, body) = pages.page(head.uri.path(), accept)?;
    let mut response = Response::new(ReplyBody::own(body, None));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let content_type = HeaderValue::try_from(content_type).unwrap_or(HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    conn.activity.end(Stamp::now());
    Some(response)
}

//! A request goes to a model that Weir runs itself.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use weir_config::PathMatch;
use weir_exchange::exchange::Encoding;
use weir_exchange::model::http_like;
use weir_exchange::{LocalReply, LocalRequest, ModelFault};

use crate::body::RequestBody;
use crate::clock::Stamp;
use crate::forward::{guarded, over};
use crate::live::Live;
use crate::refusal::Refusal;
use crate::seam::{LocalModel, Predicted};

/// Reads the request, asks the model, and returns its answer in the route's protocol.
pub(crate) async fn infer(
    live: &Rc<Live>,
    model: &dyn LocalModel,
    head: &Parts,
    body: Incoming,
) -> Result<Response<Bytes>, Refusal> {
    let method = match &head.method {
        &Method::GET | &Method::HEAD => http_like::Method::Get,
        &Method::POST => http_like::Method::Post,
        other => {
            return Err(Refusal::Method { method: other.to_string() });
        }
    };
    let (encoding, content) = live.request_form();
    if encoding == Encoding::Other && method == http_like::Method::Post {
        let coding = head.headers.get(CONTENT_ENCODING).map_or_else(Default::default, HeaderValue::as_bytes);
        return Err(Refusal::Coding { coding: String::from_utf8_lossy(coding).into_owned() });
    }
    let body = read(live, body).await?;
    let request = LocalRequest {
        route: live.route.observed.clone(),
        method,
        path: head.uri.path().to_owned(),
        exact_path: matches!(live.route.rule.config.path, PathMatch::Exact(_)),
        backend: live.route.rule.target.name.clone(),
        encoding,
        content,
        body,
    };
    live.sent_to_model(Stamp::now());
    let reply = ask(live, model, request).await?;
    Ok(answer(live, reply))
}

/// The whole body, up to the route's limit.
async fn read(live: &Rc<Live>, body: Incoming) -> Result<Bytes, Refusal> {
    let mut body = RequestBody::new(body, live.clone());
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = guarded(live, body.frame()).await.map_err(|expiry| over(live, expiry))? {
        let frame = frame.map_err(|_| live.request_fault.take().unwrap_or(Refusal::ClientGone))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first, rest.freeze()].concat().into())
}

async fn ask(
    live: &Rc<Live>,
    model: &dyn LocalModel,
    request: LocalRequest,
) -> Result<Box<LocalReply>, Refusal> {
    let backend = || live.route.rule.target.name.to_string();
    match model.predict(request) {
        Predicted::Now(reply) => Ok(reply),
        Predicted::Busy => Err(Refusal::ModelBusy { backend: backend() }),
        Predicted::Later(reply) => match guarded(live, reply).await {
            Ok(Ok(reply)) => Ok(Box::new(reply)),
            Ok(Err(_)) => Err(Refusal::ModelFailed { backend: backend() }),
            Err(expiry) => Err(over(live, expiry)),
        },
    }
}

fn answer(live: &Live, reply: Box<LocalReply>) -> Response<Bytes> {
    let mut response = Response::new(reply.body.clone());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if reply.fault == Some(ModelFault::Busy) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    live.model_answered(reply, Stamp::now());
    response
}

//! One request: guard, route, page, HTTP.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::gateway::{ReloadOutcome, Reloaded};
use crate::guard::Guard;
use crate::pages::{Page, Pages};
use crate::reply::{Refusal, Reply};
use crate::{duration, encoding};

/// Patience of `/api/settle` if the query names none, and at most.
const SETTLE: Duration = Duration::from_secs(10);
const SETTLE_MOST: Duration = Duration::from_secs(60);

/// No page needs a body; what comes is read up to here and thrown away.
const BODY_BYTES: usize = 64 << 10;
const BODY_TIME: Duration = Duration::from_secs(5);

/// Which pages a listener has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them, for names this machine is known by.
    #[default]
    Admin,
    /// `/metrics` and `/health`, under any name: this listener is bound on purpose for other machines, and nothing on it
    /// is secret or changes anything.
    Metrics,
}

/// What every connection of a listener shares.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) pages: Pages,
    pub(crate) guard: Guard,
    pub(crate) scope: Scope,
    /// One reload at a time.
    reloading: Arc<Semaphore>,
}

impl Site {
    pub(crate) fn new(pages: Pages, guard: Guard, scope: Scope) -> Self {
        Self { pages, guard, scope, reloading: Arc::new(Semaphore::new(1)) }
    }

    /// Answers a request; never fails.
    pub(crate) async fn serve(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let text = |name: HeaderName| join(request.headers(), &name);
        let (accept, accept_encoding) = (text(ACCEPT), text(ACCEPT_ENCODING));
        let reply = match self.answer(peer, &accept, request).await {
            Ok(reply) => reply,
            Err(refusal) => {
                self.count(&refusal);
                refusal.reply()
            }
        };
        Ok(http(reply, &accept_encoding))
    }

    async fn answer(&self, peer: IpAddr, accept: &str, request: Request<Incoming>) -> Result<Reply, Refusal> {
        let (head, body) = request.into_parts();
        if self.scope == Scope::Admin {
            self.guard.check_host(&head.uri, head.version, &head.headers)?;
        }
        let page = self.route(&head.method, head.uri.path())?;
        if page.changes_state() {
            self.guard.check_change(peer, &head.headers)?;
        }
        discard(body).await?;
        match page {
            Page::Settle => self.settle(head.uri.query()).await,
            Page::Reload => self.reload().await,
            page => Ok(self.pages.read(page, accept).expect("all other pages need no waiting")),
        }
    }

    fn route(&self, method: &Method, path: &str) -> Result<Page, Refusal> {
        let here = |page: &Page| self.scope == Scope::Admin || page.is_public();
        let page = Page::at(path).filter(here).ok_or_else(|| Refusal::NoPage { path: path.to_owned() })?;
        let (allowed, right) = match page.changes_state() {
            true => ("POST", method == Method::POST),
            false => ("GET, HEAD", method == Method::GET || method == Method::HEAD),
        };
        if right { Ok(page) } else { Err(Refusal::Method { method: method.to_string(), allowed }) }
    }

    async fn settle(&self, query: Option<&str>) -> Result<Reply, Refusal> {
        let wait = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("timeout="));
        let wait = wait.map_or(Ok(SETTLE), duration::parse).map_err(Refusal::Query)?.min(SETTLE_MOST);
        match timeout(wait, self.pages.gateway.settle()).await {
            Ok(settled) => {
                let document = json!({ "settled": true, "exchanges": settled.exchanges });
                Ok(Reply::json(StatusCode::OK, &document))
            }
            Err(_) => Err(Refusal::Unsettled { ms: wait.as_millis() }),
        }
    }

    /// Reloads on a thread of its own. A client that goes away does not stop it, and the next waits for it all the same.
    async fn reload(&self) -> Result<Reply, Refusal> {
        let turn = self.reloading.clone().try_acquire_owned().map_err(|_| Refusal::Reloading)?;
        let gateway = self.pages.gateway.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            (gateway.reload(), gateway.generation().number)
        });
        let (result, generation) = work.await.map_err(|_| Refusal::ReloadFailed)?;
        let outcome = result.as_ref().map_or(ReloadOutcome::Refused, |r: &Reloaded| (*r).into());
        let status = if result.is_ok() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let mut document = json!({ "outcome": outcome, "generation": generation });
        if let Err(error) = result {
            document["error"] = json!({ "type": "refused", "message": error });
        }
        Ok(Reply::json(status, &document))
    }

    fn count(&self, refusal: &Refusal) {
        let refused = &self.pages.refused;
        match refusal {
            Refusal::NoHost | Refusal::Host { .. } => refused.host.inc(),
            Refusal::NoToken | Refusal::NotLocal | Refusal::Origin { .. } => refused.forbidden.inc(),
            Refusal::BodyTooLarge { .. } | Refusal::BodyStalled => refused.body.inc(),
            _ => {}
        }
    }
}

/// All values of a header, as one list.
fn join(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// Reads a body that nobody wants, so that the connection can be used again.
async fn discard(body: Incoming) -> Result<(), Refusal> {
    match timeout(BODY_TIME, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(Refusal::BodyTooLarge { limit: BODY_BYTES }),
        Err(_) => Err(Refusal::BodyStalled),
    }
}

fn http(reply: Reply, accept_encoding: &str) -> Response<Full<Bytes>> {
    let gzipped = encoding::gzip(accept_encoding, &reply.body);
    let mut response = Response::new(Full::new(gzipped.clone().unwrap_or(reply.body)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_TYPE, reply.content_type),
        (CACHE_CONTROL, "no-store"),
        (VARY, "Accept, Accept-Encoding"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    if gzipped.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.extend(reply.header);
    response
}

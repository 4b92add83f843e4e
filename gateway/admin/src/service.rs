//! One request: guard, route, page, HTTP.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::time::timeout;

use crate::gateway::{LiveProfile, ReloadOutcome, Reloaded};
use crate::guard::Guard;
use crate::pages::{Page, Pages};
use crate::reply::{Refusal, Reply};
use crate::unread::Unread;
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
    /// `/metrics` and `/health`, under any name: this listener is bound on purpose for other machines, and
    /// nothing on it is secret or changes anything.
    Metrics,
}

impl Scope {
    fn has(self, page: Page) -> bool {
        self == Self::Admin || page.is_public()
    }
}

/// What every connection of a listener shares.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) pages: Pages,
    pub(crate) guard: Guard,
    pub(crate) scope: Scope,
    pub(crate) unread: Unread,
}

impl Site {
    /// Answers a request; never fails.
    pub(crate) async fn serve(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let text = |name: HeaderName| join(request.headers(), &name);
        let (accept, accept_encoding) = (text(ACCEPT), text(ACCEPT_ENCODING));
        let reply = self.answer(&accept, request).await.and_then(|reply| self.hold(reply, &accept_encoding));
        Ok(http(reply.unwrap_or_else(|refusal| {
            self.count(&refusal);
            refusal.reply()
        })))
    }

    /// The reply as it will be sent, its bytes charged to the listener's budget.
    fn hold(&self, reply: Reply, accept_encoding: &str) -> Result<Reply, Refusal> {
        let gzipped = encoding::gzip(accept_encoding, &reply.body);
        let gzip = gzipped.is_some();
        let body = self.unread.hold(gzipped.unwrap_or(reply.body));
        let body = body.ok_or(Refusal::Unread { limit: self.unread.limit() })?;
        Ok(Reply { body, gzip, ..reply })
    }

    async fn answer(&self, accept: &str, request: Request<Incoming>) -> Result<Reply, Refusal> {
        let (head, body) = request.into_parts();
        if self.scope == Scope::Admin {
            self.guard.check_host(&head.uri, head.version, &head.headers)?;
        }
        let page = self.route(&head.method, head.uri.path())?;
        if page.changes_state() {
            self.guard.check_change(&head.headers)?;
        }
        discard(body).await?;
        match page {
            Page::Evidence => {
                self.pages.evidence(head.uri.path()).ok_or_else(|| self.no_page(head.uri.path()))
            }
            Page::Findings => self.apart(|pages| pages.findings()).await,
            Page::Profile => {
                let asked = asked(head.uri.query())?;
                self.apart(move |pages| pages.profile(&asked)).await
            }
            Page::Settle => self.settle(head.uri.query()).await,
            Page::Reload => self.reload().await,
            page => Ok(self
                .pages
                .read(page, accept)
                .expect("all other pages need no waiting and no more of the path")),
        }
    }

    fn route(&self, method: &Method, path: &str) -> Result<Page, Refusal> {
        let page = Page::at(path).filter(|page| self.scope.has(*page)).ok_or_else(|| self.no_page(path))?;
        let (allowed, right) = match page.changes_state() {
            true => ("POST", method == Method::POST),
            false => ("GET, HEAD", method == Method::GET || method == Method::HEAD),
        };
        if right { Ok(page) } else { Err(Refusal::Method { method: method.to_string(), allowed }) }
    }

    fn no_page(&self, path: &str) -> Refusal {
        let here = Page::ALL.into_iter().filter(|page| self.scope.has(*page)).map(Page::path);
        Refusal::NoPage { path: path.to_owned(), here: here.collect::<Vec<_>>().join(", ") }
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

    /// Makes a page on a thread of its own, so that no other page waits for what this one waits for.
    async fn apart(&self, page: impl FnOnce(&Pages) -> Reply + Send + 'static) -> Result<Reply, Refusal> {
        let pages = self.pages.clone();
        tokio::task::spawn_blocking(move || page(&pages)).await.map_err(|_| Refusal::PageFailed)
    }

    /// Reloads on a thread of its own. A client that goes away does not stop it, and the next waits for it
    /// all the same.
    async fn reload(&self) -> Result<Reply, Refusal> {
        let turn = self.pages.reloading.clone().try_acquire_owned().map_err(|_| Refusal::Reloading)?;
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
            Refusal::NoToken | Refusal::NoTokenSet => refused.forbidden.inc(),
            Refusal::BodyTooLarge { .. } | Refusal::BodyStalled => refused.body.inc(),
            Refusal::Unread { .. } => refused.unread.inc(),
            _ => {}
        }
    }
}

/// Which traffic a query asks for.
fn asked(query: Option<&str>) -> Result<LiveProfile, Refusal> {
    let mut asked = LiveProfile::default();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "plugin" => &mut asked.plugin,
            "route" => &mut asked.route,
            "model" => &mut asked.model,
            "model_version" => &mut asked.model_version,
            other => {
                let words = format!("`{other}` is not asked for here (plugin, route, model, model_version)");
                return Err(Refusal::Query(words));
            }
        };
        *place = Some(percent_decode_str(value).decode_utf8_lossy().into_owned());
    }
    Ok(asked)
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

fn http(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
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
    if reply.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.extend(reply.header);
    response
}

//! What can be read: pure functions of the gateway and the registry.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Semaphore;
use weir_telemetry::{Registry, RegistryError, exposition};

use crate::gateway::{Gateway, LiveProfile};
use crate::index;
use crate::metrics::Refused;
use crate::reply::Reply;

/// A page of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Index,
    Ui,
    Metrics,
    Health,
    Ready,
    Plugins,
    Verdicts,
    Alerts,
    /// What one alert fired on; of many paths, so that it is not among [`Page::ALL`].
    Evidence,
    Findings,
    Profile,
    Backends,
    Config,
    Generation,
    Settle,
    Reload,
}

impl Page {
    pub(crate) const ALL: [Self; 15] = [
        Self::Index,
        Self::Ui,
        Self::Metrics,
        Self::Health,
        Self::Ready,
        Self::Plugins,
        Self::Verdicts,
        Self::Alerts,
        Self::Findings,
        Self::Profile,
        Self::Backends,
        Self::Config,
        Self::Generation,
        Self::Settle,
        Self::Reload,
    ];

    /// The page at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let is_one = path.strip_prefix(Self::Evidence.path()).is_some_and(|rest| !rest.is_empty());
        if is_one { Some(Self::Evidence) } else { Self::ALL.into_iter().find(|page| page.path() == path) }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Ui => "/ui",
            Self::Metrics => "/metrics",
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::Plugins => "/api/plugins",
            Self::Verdicts => "/api/verdicts",
            Self::Alerts => "/api/alerts",
            Self::Evidence => "/api/alerts/",
            Self::Findings => "/api/findings",
            Self::Profile => "/api/profile",
            Self::Backends => "/api/backends",
            Self::Config => "/api/config",
            Self::Generation => "/api/generation",
            Self::Settle => "/api/settle",
            Self::Reload => "/api/reload",
        }
    }

    /// One line of the index.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Index => "this list, for a terminal or a browser by `Accept`",
            Self::Ui => "this list and how Weir is, for a browser",
            Self::Metrics => "metrics, as Prometheus text or OpenMetrics by `Accept`",
            Self::Health => "200 while the process works",
            Self::Ready => "200 while traffic should be sent here",
            Self::Plugins => "plugins: state, faults, cost, conditions, counts of verdicts",
            Self::Verdicts => "the last verdicts on single exchanges, oldest first",
            Self::Alerts => "rules, objectives and receivers; `/api/alerts/FINGERPRINT` is what one fired on",
            Self::Evidence => "what one alert fired on",
            Self::Findings => "what plugins have found out about models, with the numbers it rests on",
            Self::Profile => "what a model gets now, as a profile (`?plugin=drift&route=..&model=..`)",
            Self::Backends => "endpoints: readiness, requests in flight, last error",
            Self::Config => "the configuration in force, without secrets",
            Self::Generation => "the generation in force and the last reload",
            Self::Settle => "waits until all that was handed off is judged (`?timeout=5s`)",
            Self::Reload => "reads the configuration again (POST, with the admin token)",
        }
    }

    /// Whether this page changes state, and so is asked for with POST.
    pub(crate) fn changes_state(self) -> bool {
        self == Self::Reload
    }

    /// Whether the page is for everybody who may scrape.
    pub(crate) fn is_public(self) -> bool {
        matches!(self, Self::Metrics | Self::Health)
    }
}

/// The pages of one gateway. Cloning shares them.
#[derive(Clone)]
pub struct Pages {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) refused: Refused,
    /// One reload at a time, whichever listener asks.
    pub(crate) reloading: Arc<Semaphore>,
    registry: Registry,
}

/// A page, for whoever speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Pages {
    /// The pages of a gateway; registers this room's own metrics.
    ///
    /// # Errors
    /// A metric's name is taken.
    pub fn new(gateway: Arc<dyn Gateway>, registry: &Registry) -> Result<Self, RegistryError> {
        let refused = Refused::new(registry)?;
        Ok(Self { gateway, refused, reloading: Arc::new(Semaphore::new(1)), registry: registry.clone() })
    }

    /// `/metrics` and `/health`, for a listener of somebody else's; `None` for any other path. `accept` is
    /// the request's `Accept`, or empty. Costs about half a microsecond a series: a large registry belongs on
    /// a thread without traffic.
    pub fn scrape(&self, path: &str, accept: &str) -> Option<Response> {
        let reply = match Page::at(path)? {
            Page::Metrics => self.metrics(accept),
            Page::Health => self.health(),
            _ => return None,
        };
        Some(Response { status: reply.status.as_u16(), content_type: reply.content_type, body: reply.body })
    }

    /// A page that needs no waiting and is of one path; `None` for the others.
    pub(crate) fn read(&self, page: Page, accept: &str) -> Option<Reply> {
        let ok = |document: &serde_json::Value| Reply::json(StatusCode::OK, document);
        Some(match page {
            Page::Index if !index::wants_html(accept) => index::text(),
            Page::Index | Page::Ui => index::html(&*self.gateway),
            Page::Metrics => self.metrics(accept),
            Page::Health => self.health(),
            Page::Ready => self.ready(),
            Page::Plugins => ok(&json!({ "plugins": self.gateway.plugins() })),
            Page::Verdicts => ok(&json!({ "verdicts": self.gateway.verdicts() })),
            Page::Alerts => ok(&self.gateway.alerts()),
            Page::Backends => ok(&json!({ "endpoints": self.gateway.backends() })),
            Page::Config => ok(&self.gateway.config()),
            Page::Generation => ok(&json!(self.gateway.generation())),
            Page::Evidence | Page::Findings | Page::Profile | Page::Settle | Page::Reload => return None,
        })
    }

    /// What one alert fired on; `None` if nobody knows it.
    pub(crate) fn evidence(&self, path: &str) -> Option<Reply> {
        let fingerprint = path.strip_prefix(Page::Evidence.path())?;
        Some(Reply::json(StatusCode::OK, &self.gateway.evidence(fingerprint)?))
    }

    /// What plugins have found. May wait.
    pub(crate) fn findings(&self) -> Reply {
        Reply::json(StatusCode::OK, &json!({ "findings": self.gateway.findings() }))
    }

    /// What a model gets now, as a profile. May wait.
    pub(crate) fn profile(&self, asked: &LiveProfile) -> Reply {
        match self.gateway.live_profile(asked) {
            Ok(profile) => Reply::json(StatusCode::OK, &profile),
            Err(why) => {
                let document = json!({ "error": { "type": "no_profile", "message": why } });
                Reply::json(StatusCode::NOT_FOUND, &document)
            }
        }
    }

    fn metrics(&self, accept: &str) -> Reply {
        let format = exposition::negotiate(accept);
        Reply::ok(format.content_type(), format.encode(&self.registry.gather()))
    }

    fn health(&self) -> Reply {
        let health = self.gateway.health();
        Reply::json(StatusCode::OK, &json!({ "status": "healthy", "model_loaded": health.model_loaded }))
    }

    fn ready(&self) -> Reply {
        match self.gateway.ready() {
            Ok(()) => Reply::json(StatusCode::OK, &json!({ "status": "ready" })),
            Err(reason) => {
                let document = json!({ "status": "not_ready", "reason": reason });
                Reply::json(StatusCode::SERVICE_UNAVAILABLE, &document)
            }
        }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

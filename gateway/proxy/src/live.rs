//! One exchange while it is under way: what was kept of it, when things happened, and how it ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::trace::Attempt;
use weir_exchange::{
    End, ErrorType, Exchange, Fate, Handoff, Head, LocalReply, Payload, Side, SpanFacts, Timing, shard,
};
use weir_telemetry::log::Access;

use crate::clock::Stamp;
use crate::conn::Conn;
use crate::fields::Gist;
use crate::metrics::Counted;
use crate::refusal::Refusal;
use crate::snapshot::{RouteView, TargetKind};
use crate::trace::{self, Joined};
use crate::upstream::{Endpoint, InFlight};

/// What is kept of one direction.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    chunks: SmallVec<[Bytes; 1]>,
    kept: usize,
    limit: usize,
    total: u64,
    encoding: Encoding,
    content: Content,
}

impl Capture {
    /// Keeps up to `limit` bytes of a body of this type and encoding. A content type no codec reads is only
    /// counted.
    fn begin(&mut self, limit: usize, content_type: Option<&HeaderValue>, coding: Option<&HeaderValue>) {
        self.encoding = encoding(coding);
        self.content = content(content_type);
        self.limit = if self.content == Content::Other { 0 } else { limit };
    }

    /// Looks at one chunk on its way.
    fn see(&mut self, chunk: &Bytes) {
        self.total += chunk.len() as u64;
        if self.kept < self.limit && !chunk.is_empty() {
            let room = self.limit - self.kept;
            let kept = if chunk.len() <= room { chunk.clone() } else { chunk.slice(..room) };
            self.kept += kept.len();
            self.chunks.push(kept);
        }
    }

    fn side(&mut self) -> Side {
        let payload = if self.chunks.is_empty() {
            Payload::Absent
        } else {
            Payload::Held(std::mem::take(&mut self.chunks))
        };
        Side {
            payload,
            total: self.total,
            truncated: self.limit > 0 && self.total > self.kept as u64,
            encoding: self.encoding,
            content: self.content,
        }
    }
}

fn encoding(coding: Option<&HeaderValue>) -> Encoding {
    match coding.map(HeaderValue::as_bytes) {
        None => Encoding::Identity,
        Some(v) if v.is_empty() || v.eq_ignore_ascii_case(b"identity") => Encoding::Identity,
        Some(v) if v.eq_ignore_ascii_case(b"gzip") || v.eq_ignore_ascii_case(b"x-gzip") => Encoding::Gzip,
        Some(v) if v.eq_ignore_ascii_case(b"deflate") => Encoding::Deflate,
        Some(_) => Encoding::Other,
    }
}

fn content(content_type: Option<&HeaderValue>) -> Content {
    let Some(value) = content_type.and_then(|v| v.to_str().ok()) else { return Content::Json };
    if value == "application/json" {
        return Content::Json;
    }
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence {
        "" => Content::Json,
        "text/csv" => Content::Csv,
        e if e.ends_with("+json") || e.eq_ignore_ascii_case("application/json") => Content::Json,
        // What curl and many clients say of a JSON body when nobody tells them.
        "application/x-www-form-urlencoded" | "text/plain" => Content::Json,
        e if e.eq_ignore_ascii_case("text/csv") => Content::Csv,
        _ => Content::Other,
    }
}

/// Why the worker's ticker ended an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    Header,
    Idle,
    Total,
}

/// An exchange under way. Lives on one worker; shared by the two body streams and the ticker.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) conn: Rc<Conn>,
    pub(crate) route: Rc<RouteView>,
    pub(crate) method: Method,
    version: Version,
    /// Bytes of the request's body, as far as its head says; 0 if it does not.
    announced: u64,
    uri: Uri,
    pub(crate) trace: Joined,
    /// Share of exchanges like this one that are handed off; 0: this one is not.
    probability: f32,
    began: Stamp,
    upstream_start: Cell<Stamp>,
    response_head: Cell<Stamp>,
    last_byte: Cell<Stamp>,
    request_done: Cell<Stamp>,
    status: Cell<u16>,
    request: RefCell<Capture>,
    response: RefCell<Capture>,
    model: RefCell<[Payload; 2]>,
    local: RefCell<Option<Box<LocalReply>>>,
    endpoint: RefCell<Option<InFlight>>,
    /// The next byte is the client's to send: the model server has asked for more than came.
    pub(crate) awaits_client: Cell<bool>,
    /// What broke the request body, if anything did.
    pub(crate) request_fault: RefCell<Option<Refusal>>,
    expired: Cell<Option<Expiry>>,
    unwatched: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// What its spans will tell, if they may be exported.
    facts: RefCell<Option<Box<SpanFacts>>>,
}

impl Live {
    pub(crate) fn begin(
        conn: &Rc<Conn>,
        route: Rc<RouteView>,
        head: &Parts,
        gist: &Gist<'_>,
        began: Stamp,
    ) -> Rc<Self> {
        let probability = if route.observed.observe { conn.worker.draw() } else { 0.0 };
        let rule = route.rule.tracing.as_ref();
        let trace = trace::join(gist, &head.headers, rule);
        let traced = rule.is_some() && (probability > 0.0 || trace.ids.sampled());
        let facts = traced.then(|| trace::facts(conn, head, gist));
        let mut request = Capture::default();
        request.begin(capture_limit(&route, probability), gist.content_type, gist.content_encoding);
        Rc::new(Self {
            conn: conn.clone(),
            route,
            method: head.method.clone(),
            version: head.version,
            announced: gist.length.unwrap_or(0),
            uri: head.uri.clone(),
            trace,
            probability,
            began,
            upstream_start: Cell::default(),
            response_head: Cell::default(),
            last_byte: Cell::new(began),
            request_done: Cell::default(),
            status: Cell::new(0),
            request: RefCell::new(request),
            response: RefCell::default(),
            model: RefCell::default(),
            local: RefCell::default(),
            endpoint: RefCell::default(),
            awaits_client: Cell::default(),
            request_fault: RefCell::default(),
            expired: Cell::default(),
            unwatched: Cell::default(),
            waker: RefCell::default(),
            facts: RefCell::new(facts),
        })
    }

    /// A chunk of the request passed.
    pub(crate) fn saw_request(&self, chunk: &Bytes, now: Stamp) -> u64 {
        self.last_byte.set(now);
        let mut request = self.request.borrow_mut();
        request.see(chunk);
        request.total
    }

    /// The request was read to its end.
    pub(crate) fn request_complete(&self, now: Stamp) {
        if self.request_done.get().0 == 0 {
            self.request_done.set(now);
            self.last_byte.set(now);
        }
    }

    pub(crate) fn request_is_complete(&self) -> bool {
        self.request_done.get().0 != 0
    }

    /// The version of the request, and the bytes of it that are known to come still.
    pub(crate) fn owes(&self) -> (Version, u64) {
        let seen = self.request.borrow().total;
        let owed = if self.request_is_complete() { 0 } else { self.announced.saturating_sub(seen) };
        (self.version, owed)
    }

    /// A chunk of the response passed.
    pub(crate) fn saw_response(&self, chunk: &Bytes, now: Stamp) {
        self.last_byte.set(now);
        self.response.borrow_mut().see(chunk);
    }

    /// A try to reach this endpoint begins.
    pub(crate) fn tries(&self, endpoint: &Endpoint, now: Stamp) {
        if let Some(facts) = &mut *self.facts.borrow_mut() {
            let server = endpoint.config.authority.clone();
            facts.attempts.push(Attempt { server, start_ns: now.since(self.began), end_ns: 0, error: None });
        }
    }

    /// The try has come to nothing.
    pub(crate) fn failed(&self, error: ErrorType, now: Stamp) {
        if let Some(attempt) = self.facts.borrow_mut().as_mut().and_then(|facts| facts.attempts.last_mut()) {
            (attempt.end_ns, attempt.error) = (now.since(self.began), Some(error));
        }
    }

    /// The span that the model server's spans are below: the running try's, or the request's own while no
    /// spans are exported.
    pub(crate) fn span_above_server(&self) -> u64 {
        let ids = &self.trace.ids;
        match &*self.facts.borrow() {
            Some(facts) => ids.child((facts.attempts.len() as u32).saturating_sub(1)),
            None => ids.span_id,
        }
    }

    /// The request goes to this endpoint now.
    pub(crate) fn sent_to(&self, endpoint: Arc<Endpoint>, now: Stamp) {
        self.endpoint.replace(Some(InFlight::on(endpoint)));
        self.upstream_start.set(now);
    }

    /// The local model has the request now.
    pub(crate) fn sent_to_model(&self, now: Stamp) {
        self.upstream_start.set(now);
    }

    /// A response head came from upstream.
    pub(crate) fn response_began(&self, status: u16, headers: &HeaderMap, now: Stamp) {
        self.status.set(status);
        self.response_head.set(now);
        self.last_byte.set(now);
        if self.probability <= 0.0 {
            return;
        }
        let (content_type, coding) = (headers.get(CONTENT_TYPE), headers.get(CONTENT_ENCODING));
        let limit = capture_limit(&self.route, self.probability);
        self.response.borrow_mut().begin(limit, content_type, coding);
        let observed = &self.route.observed;
        for (slot, name) in [&observed.model_header, &observed.model_version_header].into_iter().enumerate() {
            if let Some(value) = name.as_ref().and_then(|name| headers.get(&**name)) {
                self.model.borrow_mut()[slot] = shard::held(Bytes::copy_from_slice(value.as_bytes()));
            }
        }
    }

    /// How the request's body is written, as its head says.
    pub(crate) fn request_form(&self) -> (Encoding, Content) {
        let request = self.request.borrow();
        (request.encoding, request.content)
    }

    /// A local model answered.
    pub(crate) fn model_answered(&self, reply: Box<LocalReply>, now: Stamp) {
        self.status.set(reply.status);
        self.response_head.set(now);
        self.local.replace(Some(reply));
    }

    /// The status Weir answers with itself.
    pub(crate) fn answers(&self, status: u16) {
        self.status.set(status);
    }

    /// Why the ticker ended this exchange, if it did. Otherwise the task is woken should that happen.
    pub(crate) fn expired(&self, cx: &mut Context<'_>) -> Option<Expiry> {
        let expired = self.expired.get();
        if expired.is_none() {
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        expired
    }

    /// The ticker's look: ends the exchange if one of its times is over.
    pub(crate) fn check(&self, now: Stamp) {
        if self.unwatched.get() {
            return;
        }
        let route = &self.route.rule.config;
        let over = |from: Stamp, limit: std::time::Duration| {
            !limit.is_zero() && u128::from(now.since(from)) > limit.as_nanos()
        };
        let waits_for_head = self.request_is_complete() && self.response_head.get().0 == 0;
        let expiry = if over(self.began, route.total_timeout) {
            Some(Expiry::Total)
        } else if waits_for_head {
            over(self.request_done.get(), route.header_timeout).then_some(Expiry::Header)
        } else {
            over(self.last_byte.get(), route.idle_timeout).then_some(Expiry::Idle)
        };
        if self.expired.get().is_some() {
            self.conn.abandon();
        } else if expiry.is_some() {
            self.expired.set(expiry);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// Bytes that passed after the connection changed its protocol.
    pub(crate) fn tunnelled(&self, from_client: u64, to_client: u64) {
        self.request.borrow_mut().total += from_client;
        self.response.borrow_mut().total += to_client;
    }

    /// Address of the endpoint that has the request.
    pub(crate) fn address(&self) -> String {
        self.endpoint.borrow().as_ref().map(|e| e.endpoint().config.url.to_string()).unwrap_or_default()
    }

    /// The end: counted in the worker's cells, logged, handed off. Called exactly once, by [`Owner`].
    fn finish(&self, end: End, error: Option<ErrorType>) {
        let now = Stamp::now();
        let status = self.status.get();
        // A client that leaves after the head of an error leaves the error as it is.
        let own = error.filter(|error| *error != ErrorType::ClientGone || status < 500);
        let error = own.or_else(|| self.error_of_answer(status));
        let endpoint = self.endpoint.take();
        let started = self.upstream_start.get();
        let upstream_ns = if started.0 == 0 { 0 } else { now.since(started) };
        let (request_bytes, response_bytes) = (self.request.borrow().total, self.response_bytes());
        self.route.count(&Counted {
            method: &self.method,
            version: self.version,
            status,
            error,
            duration_ns: now.since(self.began),
            upstream_ns,
            request_bytes,
            response_bytes,
        });
        self.conn.worker.log_access(|| self.access(endpoint.as_ref(), error, now, upstream_ns));
        self.hand_off(end, error, now);
        if !self.request_is_complete() {
            self.conn.activity.unread.store(true, Relaxed);
        }
        self.conn.activity.end(now);
    }

    /// Of the body, be it a local model's, which is made whole and passes no relay.
    fn response_bytes(&self) -> u64 {
        let local = self.local.borrow().as_ref().map_or(0, |reply| reply.body.len() as u64);
        self.response.borrow().total + local
    }

    /// An answer that came whole can still be an error.
    fn error_of_answer(&self, status: u16) -> Option<ErrorType> {
        let local = self.local.borrow();
        match local.as_ref().and_then(|reply| reply.fault) {
            Some(weir_exchange::ModelFault::Client) => Some(ErrorType::BadRequest),
            Some(weir_exchange::ModelFault::Busy) => Some(ErrorType::Limit),
            Some(weir_exchange::ModelFault::Model) => Some(ErrorType::ModelError),
            None => (status >= 500).then_some(ErrorType::Status5xx),
        }
    }

    fn access<'a>(
        &'a self,
        endpoint: Option<&'a InFlight>,
        error: Option<ErrorType>,
        now: Stamp,
        upstream_ns: u64,
    ) -> Access<'a> {
        Access {
            trace: self.trace.ids,
            unix_ns: self.began.unix_ns(),
            client: self.conn.peer,
            route: &self.route.observed.name,
            method: self.method.as_str(),
            path: self.uri.path(),
            status: self.status.get(),
            duration_ns: now.since(self.began),
            upstream_ns,
            request_bytes: self.request.borrow().total,
            response_bytes: self.response_bytes(),
            error,
            upstream: endpoint.map(|e| &*e.endpoint().config.url),
        }
    }

    /// The path, where it can say which model answered. A local model's replies name it, and its refusals are
    /// the route's: a client must not mint labels.
    fn named_path(&self) -> Payload {
        match self.route.rule.target.kind {
            TargetKind::Forward { .. } => shard::held(Bytes::copy_from_slice(self.uri.path().as_bytes())),
            TargetKind::Local(_) => Payload::Absent,
        }
    }

    fn hand_off(&self, end: End, error: Option<ErrorType>, now: Stamp) {
        // An exchange that is not observed is handed off for its spans alone, if the head sampled it.
        let mut facts = self.facts.take().filter(|_| self.probability > 0.0 || self.trace.ids.sampled());
        if self.probability <= 0.0 && facts.is_none() {
            return self.route.cells.fate(Fate::Unsampled);
        }
        let offset = |stamp: Stamp| if stamp.0 == 0 { 0 } else { stamp.since(self.began).max(1) };
        let [model, model_version] = self.model.take();
        let (mut request, mut response) =
            (self.request.borrow_mut().side(), self.response.borrow_mut().side());
        if let Some(reply) = self.local.take() {
            response.total = reply.body.len() as u64;
            if let Some(facts) = &mut facts {
                facts.stages = reply.stages;
            }
            if let Some(rows) = reply.request {
                (request.payload, request.truncated) = (Payload::Rows(rows), false);
            }
            response.payload = reply.reply.map_or(Payload::Absent, Payload::Reply);
        }
        let exchange = Exchange {
            route: self.route.observed.clone(),
            head: Head { path: self.named_path(), status: self.status.get(), model, model_version },
            request,
            response,
            timing: Timing {
                start_unix_ns: self.began.unix_ns(),
                upstream_start_ns: offset(self.upstream_start.get()),
                response_head_ns: offset(self.response_head.get()),
                end_ns: offset(now),
            },
            end,
            error,
            probability: self.probability,
            trace: self.trace.ids,
            facts,
        };
        let handoff: &Handoff = &self.conn.worker.handoff;
        if handoff.push(exchange).is_err() {
            self.route.cells.fate(Fate::Shed);
        }
    }
}

fn capture_limit(route: &RouteView, probability: f32) -> usize {
    let decoded = route.observed.protocol.is_some() && probability > 0.0;
    if decoded { route.observed.capture_limit } else { 0 }
}

/// The one that ends an exchange: whoever holds it when the exchange is over, however that comes about.
#[derive(Debug)]
pub(crate) struct Owner {
    live: Rc<Live>,
    slot: usize,
    end: Cell<Option<(End, Option<ErrorType>)>>,
}

impl Owner {
    /// Takes the exchange under the worker's ticker.
    pub(crate) fn of(live: Rc<Live>) -> Self {
        let slot = live.conn.worker.live.borrow_mut().insert(live.clone());
        live.conn.worker.shared.in_flight.fetch_add(1, Relaxed);
        Self { live, slot, end: Cell::new(None) }
    }

    pub(crate) fn live(&self) -> &Rc<Live> {
        &self.live
    }

    /// Takes the exchange from under the ticker: no time limit holds any more.
    pub(crate) fn unwatch(&self) {
        self.live.unwatched.set(true);
    }

    /// Says how the exchange ended; the first to say it is believed. Counting happens when the owner is
    /// dropped.
    pub(crate) fn ended(&self, end: End, error: Option<ErrorType>) {
        if self.end.get().is_none() {
            self.end.set(Some((end, error)));
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.live.conn.worker.live.borrow_mut().remove(self.slot);
        self.live.conn.worker.shared.in_flight.fetch_sub(1, Relaxed);
        // Nobody said how it ended: hyper dropped the exchange because its client is gone.
        let (end, error) = self.end.get().unwrap_or((End::ClientGone, Some(ErrorType::ClientGone)));
        self.live.finish(end, error);
    }
}

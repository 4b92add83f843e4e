//! A request goes to a model server and its response comes back, both streaming.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use weir_config::Forward;

use crate::body::{ReplyBody, RequestBody};
use crate::clock::Stamp;
use crate::headers::Hop;
use crate::live::{Expiry, Live, Owner};
use crate::outgoing::Outgoing;
use crate::refusal::Refusal;
use crate::upgrade;
use crate::upstream::{ConnectError, Endpoint, Lease, Reply, pick};

/// A request as it came.
pub(crate) struct Asked {
    pub(crate) head: Box<Parts>,
    pub(crate) hop: Hop,
    pub(crate) body: Incoming,
}

/// A response head from upstream, its body to come.
pub(crate) struct Streamed {
    reply: Reply,
    lease: Lease,
    /// The client's end of an upgrade that was asked for.
    client: Option<OnUpgrade>,
}

/// Sends the request to one of the endpoints; once more to another if the first provably did not get it.
pub(crate) async fn forward(
    live: &Rc<Live>,
    config: &Forward,
    endpoints: &[Arc<Endpoint>],
    Asked { mut head, hop, body }: Asked,
) -> Result<Streamed, Refusal> {
    let client = upgrade::client_end(&mut head);
    let mut outgoing = Outgoing::new(head, hop, RequestBody::new(body, live.clone()));
    let client = upgrade::ask(live, client, &mut outgoing)?;
    let sent = try_endpoints(live, config, endpoints, &mut outgoing).await;
    if let (Err(_), Some(upload)) = (&sent, &mut outgoing.upload) {
        // What was asked is telemetry although nobody answers.
        upload.look();
    }
    sent.map(|(reply, lease)| Streamed { reply, lease, client })
}

async fn try_endpoints(
    live: &Rc<Live>,
    config: &Forward,
    endpoints: &[Arc<Endpoint>],
    outgoing: &mut Outgoing,
) -> Result<(Reply, Lease), Refusal> {
    let mut failed: Option<u64> = None;
    loop {
        let endpoint = pick(endpoints, failed, Stamp::recent())
            .ok_or_else(|| Refusal::NoEndpoint { backend: live.route.rule.target.name.to_string() })?;
        let sent = send(live, config, endpoint, outgoing, failed.is_some()).await;
        if let Err(failed) = &sent {
            live.failed(failed.refusal.error(), Stamp::now());
        }
        match sent {
            Err(Failed { unsent: true, .. }) if failed.is_none() && live.route.rule.config.retry => {
                live.conn.worker.shared.metrics.retries.get(&[&endpoint.backend]).inc();
                failed = Some(endpoint.id);
            }
            done => return done.map_err(|failed| failed.refusal),
        }
    }
}

/// A try that did not work out.
struct Failed {
    refusal: Refusal,
    /// The request provably was not sent.
    unsent: bool,
}

/// One try: a connection, the request, and the head of the response.
async fn send(
    live: &Rc<Live>,
    config: &Forward,
    endpoint: &Arc<Endpoint>,
    outgoing: &mut Outgoing,
    fresh: bool,
) -> Result<(Reply, Lease), Failed> {
    live.tries(endpoint, Stamp::now());
    let pools = &live.conn.worker.pools;
    let mut lease = match guarded(live, pools.lease(endpoint, config, fresh)).await {
        Ok(Ok(lease)) => lease,
        Ok(Err(error)) => return Err(unconnected(config, endpoint, &error)),
        Err(expiry) => return Err(Failed { refusal: over(live, expiry), unsent: false }),
    };
    live.sent_to(endpoint.clone(), Stamp::now());
    match guarded(live, lease.sender.send(live, endpoint, outgoing)).await {
        Ok(Ok(reply)) => {
            endpoint.succeeded();
            Ok((reply, lease))
        }
        Ok(Err(unanswered)) => {
            let refusal = live.request_fault.take().unwrap_or_else(|| {
                endpoint.failed(&unanswered.cause, config.eject_after, Stamp::now());
                Refusal::Reset { address: endpoint.config.url.to_string(), cause: unanswered.cause }
            });
            Err(Failed { refusal, unsent: unanswered.unsent })
        }
        Err(expiry) => Err(Failed { refusal: over(live, expiry), unsent: false }),
    }
}

fn unconnected(config: &Forward, endpoint: &Endpoint, error: &ConnectError) -> Failed {
    let cause = error.to_string();
    endpoint.failed(&cause, config.eject_after, Stamp::now());
    let address = endpoint.config.url.to_string();
    let refusal = match error {
        ConnectError::Timeout(after) => Refusal::ConnectTimeout { address, ms: after.as_millis() },
        _ => Refusal::Connect { address, cause },
    };
    Failed { refusal, unsent: true }
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
        let Self { reply: Reply { response, body }, lease, client } = self;
        owner.live().response_began(response.status().as_u16(), response.headers(), Stamp::now());
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return upgrade::tunnel(response, client, owner, lease);
        }
        response.map(|()| ReplyBody::stream(body, owner, lease))
    }
}

//! `Upgrade`: passed where the route allows it, refused in words where not.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use weir_exchange::{End, ErrorType};

use crate::body::{ReplyBody, RequestBody};
use crate::headers::Hop;
use crate::io::Io;
use crate::live::{Live, Owner};
use crate::refusal::Refusal;
use crate::upstream::Lease;

/// The client's end of a connection that may change its protocol; only HTTP/1.1 has such.
pub(crate) fn client_end(request: &mut Request<Incoming>) -> Option<OnUpgrade> {
    let asked = request.version() == Version::HTTP_11 && request.headers().contains_key(UPGRADE);
    asked.then(|| hyper::upgrade::on(request))
}

/// Asks the upstream for the same upgrade, if the client asked and the route allows it.
///
/// `h2c` is ignored, as RFC 9113 allows: a client with prior knowledge just speaks HTTP/2 here.
pub(crate) fn ask(
    live: &Rc<Live>,
    hop: &Hop,
    client: Option<OnUpgrade>,
    request: &mut Request<RequestBody>,
) -> Result<Option<OnUpgrade>, Refusal> {
    let (Some(client), Some(protocol)) = (client, &hop.upgrade) else { return Ok(None) };
    if protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
        return Ok(None);
    }
    if !live.route.rule.config.upgrade {
        let protocol = String::from_utf8_lossy(protocol.as_bytes()).into_owned();
        return Err(Refusal::Upgrade { protocol, why: "the route does not allow it (set `upgrade = true`)" });
    }
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, protocol.clone());
    Ok(Some(client))
}

/// Passes the upstream's 101 on and joins the two connections until both are done. No time limit holds any
/// more.
pub(crate) fn tunnel(
    mut response: Response<Incoming>,
    client: Option<OnUpgrade>,
    owner: Owner,
    mut lease: Lease,
) -> Response<ReplyBody> {
    let Some(client) = client else {
        owner.live().answers(502);
        owner.ended(End::UpstreamReset, Some(ErrorType::Reset));
        let address = owner.live().address();
        let cause = "it answered 101 to a request that asked for no upgrade".into();
        return Refusal::Reset { address, cause }.response().map(|bytes| ReplyBody::own(bytes, Some(owner)));
    };
    let upstream = hyper::upgrade::on(&mut response);
    owner.ended(End::Complete, None);
    owner.unwatch();
    lease.sender.detach();
    tokio::task::spawn_local(async move {
        let _lease = lease;
        if let (Ok(client), Ok(upstream)) = (client.await, upstream.await)
            && let Ok((from_client, to_client)) = join(client, upstream).await
        {
            owner.live().tunnelled(from_client, to_client);
        }
    });
    // Connection and Upgrade are part of a 101: they pass.
    response.map(|_| ReplyBody::own(Bytes::new(), None))
}

async fn join(client: Upgraded, upstream: Upgraded) -> std::io::Result<(u64, u64)> {
    let ((mut client, sent), (mut upstream, got)) = (stream(client)?, stream(upstream)?);
    // What each side said right behind its head.
    upstream.write_all(&sent).await?;
    client.write_all(&got).await?;
    let (up, down) = copy_bidirectional(&mut client, &mut upstream).await?;
    Ok((up + sent.len() as u64, down + got.len() as u64))
}

fn stream(upgraded: Upgraded) -> std::io::Result<(TcpStream, Bytes)> {
    let parts = upgraded.downcast::<Io>().map_err(|_| std::io::Error::other("not a connection of ours"))?;
    Ok((parts.io.into_stream(), parts.read_buf))
}

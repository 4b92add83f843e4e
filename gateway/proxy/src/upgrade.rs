//! `Upgrade`: passed where the route allows it, refused in words where not.

use std::rc::Rc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use weir_exchange::{End, ErrorType};

use crate::body::ReplyBody;
use crate::io::Io;
use crate::live::{Live, Owner};
use crate::outgoing::Outgoing;
use crate::refusal::Refusal;
use crate::upstream::Lease;

/// The client's end of a connection that may change its protocol; only HTTP/1.1 has such.
pub(crate) fn client_end(head: &mut Parts) -> Option<OnUpgrade> {
    // hyper puts it there for a request with `Upgrade`.
    let end = head.extensions.remove::<OnUpgrade>()?;
    (head.version == Version::HTTP_11).then_some(end)
}

/// Asks the upstream for the same upgrade, if the client asked and the route allows it.
///
/// `h2c` is ignored, as RFC 9113 allows: a client with prior knowledge just speaks HTTP/2 here.
pub(crate) fn ask(
    live: &Rc<Live>,
    client: Option<OnUpgrade>,
    outgoing: &mut Outgoing,
) -> Result<Option<OnUpgrade>, Refusal> {
    let (Some(client), Some(protocol)) = (client, outgoing.hop.upgrade()) else { return Ok(None) };
    if protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
        return Ok(None);
    }
    if !live.route.rule.config.upgrade {
        let protocol = String::from_utf8_lossy(protocol.as_bytes()).into_owned();
        return Err(Refusal::Upgrade { protocol, why: "the route does not allow it (set `upgrade = true`)" });
    }
    outgoing.upgrade = Some(protocol.clone());
    Ok(Some(client))
}

/// Passes the upstream's 101 on and joins the two connections until both are done. No time limit holds any
/// more.
pub(crate) fn tunnel(
    response: Response<()>,
    client: Option<OnUpgrade>,
    owner: Owner,
    lease: Lease,
) -> Response<ReplyBody> {
    let asked = client.is_some();
    let (Some(client), Some((upstream, got))) = (client, lease.into_stream()) else {
        owner.live().answers(502);
        owner.ended(End::UpstreamReset, Some(ErrorType::Reset));
        let address = owner.live().address();
        let what = if asked { "that was not complete" } else { "that asked for no upgrade" };
        let cause = format!("it answered 101 to a request {what}");
        return Refusal::Reset { address, cause }.response().map(|bytes| ReplyBody::own(bytes, Some(owner)));
    };
    owner.ended(End::Complete, None);
    owner.unwatch();
    tokio::task::spawn_local(async move {
        if let Ok(client) = client.await
            && let Ok((from_client, to_client)) = join(client, upstream, &got).await
        {
            owner.live().tunnelled(from_client, to_client);
        }
    });
    // Connection and Upgrade are part of a 101: they pass.
    response.map(|()| ReplyBody::own(Bytes::new(), None))
}

async fn join(client: Upgraded, mut upstream: TcpStream, got: &[u8]) -> std::io::Result<(u64, u64)> {
    let parts = client.downcast::<Io>().map_err(|_| std::io::Error::other("not a connection of ours"))?;
    let (mut client, sent) = (parts.io.into_stream(), parts.read_buf);
    // What each side said right behind its head.
    upstream.write_all(&sent).await?;
    client.write_all(got).await?;
    let (up, down) = copy_bidirectional(&mut client, &mut upstream).await?;
    Ok((up + sent.len() as u64, down + got.len() as u64))
}

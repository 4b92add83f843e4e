//! The rest of a request whose answer did not wait for it.
//!
//! A model server may answer before it has the whole request, and so may Weir. A client that has sent the
//! rest meanwhile uses its connection again: it must find it open, or have been told that it closes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::io::Activity;

/// What is read for the connection's sake. A new one is cheaper than more.
pub(crate) const MOST: u64 = 256 << 10;
/// How long the rest is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads and forgets the rest of a body beside its answer: hyper closes the connection of one that is dropped
/// before its end.
pub(crate) fn drain(body: Incoming, activity: &Arc<Activity>) {
    // One stream of many costs its connection nothing.
    let http2 = activity.http2.load(Relaxed);
    if http2 || body.is_end_stream() || owes_too_much(&body) {
        return;
    }
    // A worker that ends drops what it has.
    if tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    let activity = activity.clone();
    activity.draining.store(true, Relaxed);
    tokio::task::spawn_local(async move {
        // A client that stalls is not waited for: its connection closes.
        let _ = timeout(PATIENCE, forget(body)).await;
        activity.draining.store(false, Relaxed);
    });
}

async fn forget(mut body: Incoming) {
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        if left == 0 {
            return;
        }
    }
}

fn owes_too_much(body: &Incoming) -> bool {
    body.size_hint().lower() > MOST
}

/// Says that the connection closes, if so much is still to come that it will.
pub(crate) fn say_close<B>(version: Version, owed: u64, response: &mut Response<B>) {
    if version <= Version::HTTP_11 && owed > MOST {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

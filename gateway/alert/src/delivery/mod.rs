//! Telling alerts to others, at least once: to every Alertmanager, and to webhooks.
//!
//! After every evaluation the whole picture is offered. Each receiver keeps for itself what it was told, and
//! what it has yet to be told; a task of its own does that, so that a receiver that is slow or away is nobody
//! else's affair. What a receiver was told survives a restart by [`Delivery::saved`].

mod answer;
mod client;
mod hook;
#[cfg(test)]
mod hook_tests;
mod metrics;
mod once;
mod options;
mod peer;
#[cfg(test)]
mod peer_tests;
mod picture;
mod saved;
mod seat;
mod sign;
mod time;
mod voice;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use weir_telemetry::log::Logger;
use weir_telemetry::priority;

pub use metrics::DeliveryMetrics;
pub use once::{Tried, try_once};
pub use options::{AlertmanagerOptions, Kind, Prepared, ReceiverFault, Receivers, WebhookOptions};
pub use saved::SavedDelivery;
pub use seat::{ReceiverError, ReceiverStatus};

use crate::Alert;
use picture::Picture;
use saved::Table;
use seat::{Common, Seat};

/// Delivery of alerts. When it is dropped, nothing more is sent; [`Delivery::finish`] sends what is due
/// first.
pub struct Delivery {
    common: Arc<Common>,
    metrics: DeliveryMetrics,
    runtime: Handle,
    closing: Arc<watch::Sender<bool>>,
    /// Says something once no receiver is at work any more.
    ended: Mutex<mpsc::Receiver<()>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order of the configuration.
    seats: Vec<(Arc<Seat>, AbortHandle)>,
    /// What fires, for a receiver that comes later; `None` before the first evaluation.
    picture: Option<Picture>,
}

impl Delivery {
    /// Starts the thread, and goes on where `saved` ends. `on_confirmed` is called from that thread whenever
    /// there is something new to save: it must not wait.
    ///
    /// # Errors
    /// The thread or its runtime cannot be started.
    pub fn start(
        prepared: Prepared,
        saved: Option<&SavedDelivery>,
        metrics: DeliveryMetrics,
        log: &Logger,
        on_confirmed: Box<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        // A name that takes long to resolve blocks a thread of this runtime, and no more than four of them.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .thread_name("weir-alert-dns")
            .on_thread_start(priority::give_way)
            .build()?;
        let handle = runtime.handle().clone();
        let closing = Arc::new(watch::Sender::new(false));
        let (tell, ended) = mpsc::channel();
        let watched = closing.clone();
        thread::Builder::new().name("weir-deliver".into()).spawn(move || drive(runtime, &watched, &tell))?;
        let common =
            Arc::new(Common { begin: Instant::now(), log: log.source("alert.delivery"), on_confirmed });
        let (ended, inner) = (Mutex::new(ended), Mutex::default());
        let delivery = Self { common, metrics, runtime: handle, closing, ended, inner };
        delivery.seat(prepared, saved);
        Ok(delivery)
    }

    /// Takes what an evaluation found: all that fires, and what has ended since the last. Never waits for a
    /// receiver. To offer the same again changes nothing; what fired before and is in neither has ended.
    pub fn offer(&self, firing: Vec<Alert>, resolved: Vec<Alert>) {
        let picture = Picture::new(firing, resolved, self.common.now().unix_ms);
        let mut inner = self.lock();
        inner.seats.iter().for_each(|(seat, _)| seat.offer(&picture));
        inner.picture = Some(picture.firing_only());
    }

    /// Tells others from now on. A receiver that stays keeps its state: an Alertmanager is known by its URL
    /// without credentials, a webhook by its name. One that comes is told of all that fires.
    pub fn replace(&self, prepared: Prepared) {
        self.seat(prepared, None);
    }

    fn seat(&self, prepared: Prepared, saved: Option<&SavedDelivery>) {
        let alerts = saved.map(SavedDelivery::alerts).unwrap_or_default();
        let Prepared { receivers, timing } = prepared;
        let mut inner = self.lock();
        let known = std::mem::take(&mut inner.seats).into_iter().map(|seat| (seat.0.name.id.clone(), seat));
        let mut known: BTreeMap<String, _> = known.collect();
        for ready in receivers {
            let stays = known.remove(&ready.name.id).filter(|(seat, _)| seat.name == ready.name);
            if let Some(seat) = stays {
                seat.0.renew(ready.client, timing);
                inner.seats.push(seat);
                continue;
            }
            let cells = self.metrics.cells(&ready.name.label);
            let seat = Arc::new(Seat::new(ready.name, ready.client, timing, cells, &self.common));
            let mine = saved.and_then(|saved| saved.receivers.iter().find(|r| r.id == seat.name.id));
            if let Some(mine) = mine {
                seat.restore(&mine.state, &alerts);
            }
            if let Some(picture) = &inner.picture {
                seat.offer(picture);
            }
            let task = self.runtime.spawn(seat.clone().work(self.closing.subscribe())).abort_handle();
            inner.seats.push((seat, task));
        }
        for (seat, task) in known.into_values() {
            task.abort();
            seat.remove();
        }
        self.metrics.retain(|label| inner.seats.iter().any(|(seat, _)| seat.name.label == label));
    }

    /// What has to survive a restart.
    pub fn saved(&self) -> SavedDelivery {
        let mut table = Table::default();
        let receivers = self.lock().seats.iter().map(|(seat, _)| seat.save(&mut table)).collect();
        table.finish(receivers)
    }

    /// How each receiver does, in the order of the configuration.
    pub fn status(&self) -> Vec<ReceiverStatus> {
        self.lock().seats.iter().map(|(seat, _)| seat.status()).collect()
    }

    /// Sends what is due, and ends. What fires goes on firing in the receivers' eyes, until its time there is
    /// over. True if that took no longer than `limit` and no receiver has anything left to be told, so that
    /// nothing depends on what is saved.
    pub fn finish(&self, limit: Duration) -> bool {
        self.closing.send_replace(true);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // The other side being gone is an end too.
        let in_time = !matches!(ended.recv_timeout(limit), Err(mpsc::RecvTimeoutError::Timeout));
        let inner = self.lock();
        inner.seats.iter().for_each(|(_, task)| task.abort());
        in_time && inner.seats.iter().all(|(seat, _)| seat.status().waiting == 0)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: drives the receivers' tasks until all have ended.
fn drive(runtime: Runtime, closing: &watch::Sender<bool>, tell: &mpsc::Sender<()>) {
    priority::give_way();
    runtime.block_on(async {
        // Nobody is left to receive only when every task is gone: they hold the other receivers.
        let mut watched = closing.subscribe();
        let _ = watched.wait_for(|closing| *closing).await;
        drop(watched);
        closing.closed().await;
    });
    // A lookup may still hang in its thread.
    runtime.shutdown_background();
    let _ = tell.send(());
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.lock().seats.iter().for_each(|(_, task)| task.abort());
        self.closing.send_replace(true);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

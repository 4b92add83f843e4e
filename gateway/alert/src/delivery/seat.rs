//! One receiver at work: its state under a lock that is never held while something is awaited, its client,
//! and the loop that does what the state says.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::{Notify, watch};

use weir_telemetry::log::Logger;

use super::answer::{Failure, Taken};
use super::client::Client;
use super::hook::{self, Call, Hook};
use super::metrics::{Cells, Outcome, Reason};
use super::options::{Kind, Name};
use super::peer::{self, Batch, Peer};
use super::picture::{Lost, Picture};
use super::saved::{SavedReceiver, SavedState, Table};
use super::time::{Now, Timing};
use super::voice::Voice;
use super::wire;
use crate::Alert;

/// How a receiver does, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReceiverStatus {
    pub kind: Kind,
    /// Its label in metrics.
    pub receiver: String,
    /// Where it is, without credentials.
    pub place: String,
    /// When it last took something, Unix time in ms.
    pub last_success_ms: Option<u64>,
    pub last_error: Option<ReceiverError>,
    /// Its last request failed.
    pub failing: bool,
    /// How many alerts it has yet to be told of.
    pub waiting: u64,
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiverError {
    /// Unix time in ms.
    pub at_ms: u64,
    pub reason: String,
}

/// What all receivers share.
pub(super) struct Common {
    pub(super) begin: Instant,
    pub(super) log: Logger,
    pub(super) on_confirmed: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").finish_non_exhaustive()
    }
}

impl Common {
    /// Now, on both clocks.
    pub(super) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { at: self.begin.elapsed(), unix_ms: unix.as_millis() as u64 }
    }
}

#[derive(Debug)]
enum Machine {
    Peer(Peer),
    Hook(Hook),
}

/// What to do next.
enum Todo {
    Ask,
    Tell(Batch),
    Call(Call),
    Wait(Option<Duration>),
}

#[derive(Debug)]
struct State {
    machine: Machine,
    timing: Timing,
    voice: Voice,
    last_success_ms: Option<u64>,
    last_error: Option<ReceiverError>,
    /// What the gauge was told.
    shown: u64,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) name: Name,
    common: Arc<Common>,
    state: Mutex<State>,
    client: Mutex<Arc<Client>>,
    wake: Notify,
    cells: Cells,
}

impl Seat {
    pub(super) fn new(
        name: Name,
        client: Client,
        timing: Timing,
        cells: Cells,
        common: &Arc<Common>,
    ) -> Self {
        let machine = match name.kind {
            Kind::Alertmanager => Machine::Peer(Peer::new(timing)),
            Kind::Webhook => Machine::Hook(Hook::new(timing)),
        };
        let voice = Voice::new(&common.log, &name);
        let (last_success_ms, last_error) = (None, None);
        let state = State { machine, timing, voice, last_success_ms, last_error, shown: 0 };
        Self {
            name,
            common: common.clone(),
            state: Mutex::new(state),
            client: Mutex::new(Arc::new(client)),
            wake: Notify::new(),
            cells,
        }
    }

    pub(super) fn offer(&self, picture: &Picture) {
        let now = self.common.now();
        let mut state = self.lock();
        let lost = match &mut state.machine {
            Machine::Peer(peer) => peer.offer(picture, now),
            Machine::Hook(hook) => hook.offer(picture, now),
        };
        if lost != Lost::default() {
            self.cells.lost(lost);
            let fields = [
                ("receiver", self.name.label.as_str().into()),
                ("full", lost.full.into()),
                ("expired", lost.expired.into()),
            ];
            self.common.log.warn("alerts were dropped that a receiver was not told of", &fields);
        }
        self.show(&mut state);
        drop(state);
        self.wake.notify_one();
    }

    /// Goes on with another client and other intervals.
    pub(super) fn renew(&self, client: Client, timing: Timing) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
        let mut state = self.lock();
        state.timing = timing;
        match &mut state.machine {
            Machine::Peer(peer) => peer.set_timing(timing),
            Machine::Hook(hook) => hook.set_timing(timing),
        }
        drop(state);
        self.wake.notify_one();
    }

    /// It is told nothing any more.
    pub(super) fn remove(&self) {
        let mut state = self.lock();
        self.cells.drop_for(Reason::Removed, waiting(&state.machine));
        self.cells.waiting(-(state.shown as f64));
        state.shown = 0;
    }

    pub(super) fn restore(&self, saved: &SavedState, alerts: &[Arc<Alert>]) {
        let now = self.common.now();
        let mut state = self.lock();
        match (&mut state.machine, saved) {
            (Machine::Peer(peer), SavedState::Alertmanager { incarnation, entries }) => {
                peer.restore(incarnation.clone(), entries, alerts, now);
            }
            (Machine::Hook(hook), SavedState::Webhook { lanes }) => hook.restore(lanes, alerts, now),
            // Another kind of receiver had its name.
            _ => {}
        }
        self.show(&mut state);
    }

    pub(super) fn save(&self, table: &mut Table) -> SavedReceiver {
        let now = self.common.now();
        let state = match &self.lock().machine {
            Machine::Peer(peer) => peer.save(now, table),
            Machine::Hook(hook) => hook.save(now, table),
        };
        SavedReceiver { id: self.name.id.clone(), state }
    }

    pub(super) fn status(&self) -> ReceiverStatus {
        let state = self.lock();
        ReceiverStatus {
            kind: self.name.kind,
            receiver: self.name.label.clone(),
            place: self.name.place.clone(),
            last_success_ms: state.last_success_ms,
            last_error: state.last_error.clone(),
            failing: state.voice.is_failing(),
            waiting: waiting(&state.machine),
        }
    }

    /// Does what is due, for as long as there is a Delivery. At the end everything due is tried once more.
    pub(super) async fn work(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        loop {
            let ending = *closing.borrow();
            let went_well = match self.next(ending) {
                Todo::Wait(_) if ending => return,
                Todo::Wait(until) => {
                    tokio::select! {
                        () = self.sleep(until) => {}
                        () = self.wake.notified() => {}
                        // Gone without a word: nobody is left to be told for.
                        closed = closing.wait_for(|closing| *closing) => if closed.is_err() { return },
                    }
                    true
                }
                Todo::Ask => self.ask().await,
                Todo::Tell(batch) => self.tell(batch).await,
                Todo::Call(call) => self.call(call).await,
            };
            if ending && !went_well {
                return;
            }
        }
    }

    async fn sleep(&self, until: Option<Duration>) {
        match until {
            Some(until) => tokio::time::sleep_until((self.common.begin + until).into()).await,
            None => std::future::pending().await,
        }
    }

    fn next(&self, ending: bool) -> Todo {
        let now = self.common.now();
        match &mut self.lock().machine {
            Machine::Peer(peer) => match peer.next(now, ending) {
                peer::Step::Ask => Todo::Ask,
                peer::Step::Post(batch) => Todo::Tell(batch),
                peer::Step::Wait(until) => Todo::Wait(until),
            },
            Machine::Hook(hook) => match hook.next(now, ending) {
                hook::Step::Call(call) => Todo::Call(call),
                hook::Step::Wait(until) => Todo::Wait(until),
            },
        }
    }

    async fn ask(&self) -> bool {
        let client = self.client();
        let Client::Alertmanager(alertmanager) = &*client else { return false };
        let answer = alertmanager.ask().await;
        let now = self.common.now();
        let mut state = self.lock();
        let Machine::Peer(peer) = &mut state.machine else { return false };
        match answer {
            Ok(incarnation) => {
                let news = peer.asked(&incarnation, now);
                if news {
                    state.voice.restarted(&incarnation);
                }
                self.settle(state, news);
                true
            }
            Err(failure) => {
                // What was asked for their sake was not told.
                self.cells.ended(Outcome::Failed, peer.due(now));
                peer.failed(None, failure.reached, now, fastrand::f64());
                self.note_failure(&mut state, &failure, now);
                false
            }
        }
    }

    async fn tell(&self, batch: Batch) -> bool {
        let client = self.client();
        let Client::Alertmanager(alertmanager) = &*client else { return false };
        let (lifetime, alerts) = (self.lock().timing.lifetime_ms, batch.items.len() as u64);
        let body = wire::alerts(&batch, self.common.now().unix_ms, lifetime);
        let answer = alertmanager.tell(body).await;
        let now = self.common.now();
        let mut state = self.lock();
        let Machine::Peer(peer) = &mut state.machine else { return false };
        match answer {
            Ok(taken) => {
                let news = peer.confirmed(&batch, now);
                self.note_success(&mut state, &taken, alerts, now);
                self.settle(state, news);
                true
            }
            Err(failure) => {
                peer.failed(Some(&batch), failure.reached, now, fastrand::f64());
                self.cells.ended(Outcome::Failed, alerts);
                self.note_failure(&mut state, &failure, now);
                false
            }
        }
    }

    async fn call(&self, call: Call) -> bool {
        let client = self.client();
        let Client::Webhook(webhook) = &*client else { return false };
        let answer = webhook.tell(&call).await;
        let now = self.common.now();
        let mut state = self.lock();
        let Machine::Hook(hook) = &mut state.machine else { return false };
        match answer {
            Ok(taken) => {
                hook.answered(&call, now);
                self.note_success(&mut state, &taken, 1, now);
                if taken != Taken::Whole {
                    self.cells.refused();
                }
                self.settle(state, true);
                true
            }
            Err(failure) => {
                hook.failed(&call, &failure, now, fastrand::f64());
                self.cells.ended(Outcome::Failed, 1);
                self.note_failure(&mut state, &failure, now);
                false
            }
        }
    }

    fn note_success(&self, state: &mut State, taken: &Taken, alerts: u64, now: Now) {
        state.voice.worked(now.at);
        state.last_success_ms = Some(now.unix_ms);
        match taken {
            Taken::Whole => self.cells.ended(Outcome::Delivered, alerts),
            Taken::Refused(words) => {
                self.cells.ended(Outcome::Rejected, alerts);
                state.voice.refused(words, now.at);
                state.last_error = Some(ReceiverError { at_ms: now.unix_ms, reason: words.clone() });
            }
        }
    }

    fn note_failure(&self, state: &mut State, failure: &Failure, now: Now) {
        state.voice.failed(&failure.words, now.at);
        state.last_error = Some(ReceiverError { at_ms: now.unix_ms, reason: failure.words.clone() });
        self.show(state);
    }

    /// Lets go of the state, and says so if there is something new to save.
    fn settle(&self, mut state: MutexGuard<'_, State>, news: bool) {
        self.show(&mut state);
        drop(state);
        if news {
            (self.common.on_confirmed)();
        }
    }

    fn show(&self, state: &mut State) {
        let waiting = waiting(&state.machine);
        self.cells.waiting(waiting as f64 - state.shown as f64);
        state.shown = waiting;
    }

    fn client(&self) -> Arc<Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn waiting(machine: &Machine) -> u64 {
    match machine {
        Machine::Peer(peer) => peer.waiting(),
        Machine::Hook(hook) => hook.waiting(),
    }
}

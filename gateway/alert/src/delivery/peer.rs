//! What one Alertmanager was told, and what it has to be told when.
//!
//! An Alertmanager keeps alerts in memory only, and tells nobody of one whose end is the first it hears. So
//! a peer counts as told of an alert only by the incarnation that confirmed it, and the end of an alert
//! goes only to one that was told that it fired, and was given the time to notify.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::picture::{Form, Lost, Picture, ended};
use super::saved::{SavedEntry, SavedState, SavedTold, Table};
use super::time::{Hold, LONGEST_WAIT_MS, MOST_WAITING, Now, REMEMBERED, Timing};
use crate::{Alert, Fingerprint};

/// Most alerts of a request.
pub(super) const LARGEST_BATCH: usize = 256;

#[derive(Debug)]
pub(super) struct Peer {
    timing: Timing,
    entries: BTreeMap<Fingerprint, Entry>,
    /// When it was started, in its own words.
    incarnation: Option<String>,
    /// When it last said that it is this incarnation.
    seen: Option<Duration>,
    /// It may be another by now: it is asked before anything is sent.
    doubt: bool,
    hold: Hold,
    /// When there last was a picture.
    offered: Option<Duration>,
}

#[derive(Debug)]
struct Entry {
    alert: Arc<Alert>,
    told: Told,
    /// Its firing form was held up on our way to the peer, or lost with a former incarnation.
    late: bool,
    /// When it is to be sent; `None` until a picture shows that it still fires.
    next: Option<Duration>,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    noted_ms: u64,
    confirmed: Option<Duration>,
}

/// Whether the peer knows that an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Never,
    /// Perhaps: a former incarnation was, or a request had no answer.
    Elsewhere,
    /// This incarnation is; `until` when its end is held back.
    Here {
        until: Duration,
    },
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Ask who it is.
    Ask,
    Post(Batch),
    /// Nothing, until this moment or the next picture.
    Wait(Option<Duration>),
}

/// Alerts of one request.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) fingerprint: Fingerprint,
    pub(super) form: Form,
    pub(super) alert: Arc<Alert>,
    /// It fires late: its end has to leave the peer the time to notify.
    pub(super) first: bool,
    /// Nobody there can have heard of it before this request.
    pub(super) new: bool,
}

impl Entry {
    fn new(alert: Arc<Alert>, now: Now) -> Self {
        Self { alert, told: Told::Never, late: false, next: Some(now.at), ended: None }
    }

    /// What the peer is told of it, if anything: who was not told before it was muted is not told.
    fn form(&self) -> Option<Form> {
        match (&self.ended, self.told) {
            (None, Told::Never) if self.alert.muted => None,
            (Some(Ended { confirmed: Some(_), .. }), _) | (Some(_), Told::Here { .. }) => {
                Some(Form::Resolved)
            }
            _ => Some(Form::Firing),
        }
    }

    /// When that is due.
    fn due(&self) -> Option<Duration> {
        self.form().and(self.next)
    }

    /// The peer does not have its present form yet.
    fn waits(&self) -> bool {
        let confirmed = match &self.ended {
            Some(ended) => ended.confirmed.is_some(),
            None => matches!(self.told, Told::Here { .. }),
        };
        !confirmed && self.form().is_some()
    }

    fn ends_unheard(&self) -> Option<u64> {
        self.ended.as_ref().filter(|ended| ended.confirmed.is_none()).map(|ended| ended.noted_ms)
    }
}

impl Peer {
    pub(super) fn new(timing: Timing) -> Self {
        let (entries, hold) = (BTreeMap::new(), Hold::default());
        Self { timing, entries, incarnation: None, seen: None, doubt: true, hold, offered: None }
    }

    pub(super) fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Takes the whole picture. What fired and is in it no more has ended, even if nobody says so.
    pub(super) fn offer(&mut self, picture: &Picture, now: Now) -> Lost {
        self.offered = Some(now.at);
        for (fingerprint, alert) in &picture.resolved {
            self.end(*fingerprint, alert, now);
        }
        let gone = self.entries.iter().filter(|(f, e)| e.ended.is_none() && !picture.firing.contains_key(f));
        let gone: Vec<_> =
            gone.map(|(f, e)| (*f, Arc::new(ended(Alert::clone(&e.alert), now.unix_ms)))).collect();
        gone.iter().for_each(|(fingerprint, alert)| self.end(*fingerprint, alert, now));
        for (fingerprint, alert) in &picture.firing {
            match self.entries.get_mut(fingerprint) {
                Some(same) if same.ended.is_none() && same.alert.starts_at_ms == alert.starts_at_ms => {
                    same.alert = alert.clone();
                    same.next.get_or_insert(now.at);
                }
                _ => drop(self.entries.insert(*fingerprint, Entry::new(alert.clone(), now))),
            }
        }
        self.prune(now)
    }

    fn end(&mut self, fingerprint: Fingerprint, alert: &Arc<Alert>, now: Now) {
        let ended = Some(Ended { noted_ms: now.unix_ms, confirmed: None });
        let Some(entry) = self.entries.get_mut(&fingerprint) else {
            if !alert.muted {
                let unheard = Entry { ended, ..Entry::new(alert.clone(), now) };
                self.entries.insert(fingerprint, unheard);
            }
            return;
        };
        let stale = match entry.ended {
            Some(_) => alert.starts_at_ms <= entry.alert.starts_at_ms,
            None => alert.starts_at_ms < entry.alert.starts_at_ms,
        };
        if stale {
            return;
        }
        if entry.told == Told::Never && (entry.alert.muted || alert.muted) {
            self.entries.remove(&fingerprint);
            return;
        }
        if entry.ended.is_some() {
            // Another one, of which nothing was heard while it fired.
            *entry = Entry::new(alert.clone(), now);
        }
        let held = if let Told::Here { until } = entry.told { until } else { Duration::ZERO };
        (entry.alert, entry.ended, entry.next) = (alert.clone(), ended, Some(held.max(now.at)));
    }

    /// Forgets what was confirmed long ago, and what waits for too long or in too great a number.
    fn prune(&mut self, now: Now) -> Lost {
        let mut lost = Lost::default();
        self.entries.retain(|_, entry| {
            let expired = entry.ends_unheard().is_some_and(|noted| now.unix_ms > noted + LONGEST_WAIT_MS);
            lost.expired += u64::from(expired);
            let confirmed = entry.ended.and_then(|ended| ended.confirmed);
            !expired && confirmed.is_none_or(|at| at + REMEMBERED >= now.at)
        });
        lost.full = self.shrink(Entry::ends_unheard);
        self.shrink(|entry| entry.ended?.confirmed.map(|at| at.as_millis() as u64));
        lost
    }

    /// Drops the oldest of a kind, until few enough are left.
    fn shrink(&mut self, age: impl Fn(&Entry) -> Option<u64>) -> u64 {
        let mut aged: Vec<_> = self.entries.iter().filter_map(|(f, e)| Some((age(e)?, *f))).collect();
        let over = aged.len().saturating_sub(MOST_WAITING);
        if over > 0 {
            aged.sort_unstable();
            aged[..over].iter().for_each(|(_, fingerprint)| drop(self.entries.remove(fingerprint)));
        }
        over as u64
    }

    /// What to do now. A peer about to be left (`ending`) is tried again without waiting.
    pub(super) fn next(&mut self, now: Now, ending: bool) -> Step {
        // Nobody evaluates any more: what fires is not kept alive, a watchdog least of all.
        let lifetime = Duration::from_millis(self.timing.lifetime_ms);
        let abandoned = self.offered.is_some_and(|at| at + lifetime < now.at);
        let speaks = |entry: &Entry| !abandoned || entry.ended.is_some();
        let is_due = |entry: &Entry| speaks(entry) && entry.due().is_some_and(|at| at <= now.at);
        let mut due: Vec<_> = self.entries.iter().filter(|(_, entry)| is_due(entry)).collect();
        if due.is_empty() {
            let next = self.entries.values().filter(|entry| speaks(entry)).filter_map(Entry::due).min();
            return Step::Wait(next);
        }
        if let Some(until) = self.hold.until(now, ending) {
            return Step::Wait(Some(until));
        }
        due.sort_by_key(|(_, entry)| (!entry.waits(), entry.next));
        due.truncate(LARGEST_BATCH);
        if self.must_ask(&due, now) {
            return Step::Ask;
        }
        let fingerprints: Vec<_> = due.into_iter().map(|(fingerprint, _)| *fingerprint).collect();
        Step::Post(Batch { items: fingerprints.into_iter().filter_map(|f| self.item(f)).collect() })
    }

    /// What is new goes without a question; what only makes sense to a certain incarnation does not.
    fn must_ask(&self, due: &[(&Fingerprint, &Entry)], now: Now) -> bool {
        let fresh = self.seen.is_some_and(|seen| seen + self.timing.fresh >= now.at);
        let plain = due.iter().all(|(_, entry)| entry.ended.is_none() && entry.waits());
        self.doubt || !(fresh || plain)
    }

    fn item(&mut self, fingerprint: Fingerprint) -> Option<Item> {
        let entry = self.entries.get_mut(&fingerprint)?;
        let (form, new) = (entry.form()?, entry.told == Told::Never);
        if new {
            // From now on it may have heard of it.
            entry.told = Told::Elsewhere;
        }
        let first = entry.late || entry.ended.is_some();
        Some(Item { fingerprint, form, alert: entry.alert.clone(), first, new })
    }

    /// It said when it was started. True if that was news: then it knows nothing.
    pub(super) fn asked(&mut self, incarnation: &str, now: Now) -> bool {
        self.doubt = false;
        let seen = self.seen.replace(now.at);
        if self.incarnation.as_deref() == Some(incarnation) {
            return false;
        }
        self.incarnation = Some(incarnation.to_owned());
        for entry in self.entries.values_mut() {
            entry.forgotten(seen, now);
        }
        true
    }

    /// It has the batch, or as much of it as it will ever take. True if that was news of any alert.
    pub(super) fn confirmed(&mut self, batch: &Batch, now: Now) -> bool {
        self.hold.answered();
        let (resend, settle) = (self.timing.resend, self.timing.settle);
        batch.items.iter().filter(|item| self.confirm(item, now, resend, settle)).count() > 0
    }

    fn confirm(&mut self, item: &Item, now: Now, resend: Duration, settle: Duration) -> bool {
        let same = |entry: &&mut Entry| entry.alert.starts_at_ms == item.alert.starts_at_ms;
        let Some(entry) = self.entries.get_mut(&item.fingerprint).filter(same) else { return false };
        match (item.form, &mut entry.ended) {
            (Form::Firing, ended) => {
                let known = if let Told::Here { until } = entry.told { Some(until) } else { None };
                let until = known.unwrap_or(if item.first { now.at + settle } else { now.at });
                (entry.told, entry.late) = (Told::Here { until }, false);
                entry.next = Some(if ended.is_some() { until.max(now.at) } else { now.at + resend });
                known.is_none()
            }
            (Form::Resolved, Some(ended)) => {
                let news = ended.confirmed.is_none();
                ended.confirmed.get_or_insert(now.at);
                entry.next = Some(now.at + resend);
                news
            }
            // It began again meanwhile, and is due as what is new.
            (Form::Resolved, None) => false,
        }
    }

    /// A request failed: the batch, or the question. `reached` if the peer may have got it all the same.
    pub(super) fn failed(&mut self, batch: Option<&Batch>, reached: bool, now: Now, random: f64) {
        self.hold.failed(None, now, &self.timing, random);
        self.doubt = true;
        for item in batch.into_iter().flat_map(|batch| &batch.items).filter(|item| item.new && !reached) {
            if let Some(entry) = self.entries.get_mut(&item.fingerprint).filter(|e| e.told == Told::Elsewhere)
            {
                entry.told = Told::Never;
            }
        }
        for entry in self.entries.values_mut().filter(|e| !matches!(e.told, Told::Here { .. })) {
            entry.late |= entry.due().is_some_and(|at| at <= now.at);
        }
    }

    /// How many alerts the next request would be about.
    pub(super) fn due(&self, now: Now) -> u64 {
        let due = |entry: &&Entry| entry.due().is_some_and(|at| at <= now.at);
        self.entries.values().filter(due).take(LARGEST_BATCH).count() as u64
    }

    /// How many alerts it has yet to be told of.
    pub(super) fn waiting(&self) -> u64 {
        self.entries.values().filter(|entry| entry.waits()).count() as u64
    }

    pub(super) fn save(&self, now: Now, table: &mut Table) -> SavedState {
        let entry = |entry: &Entry| SavedEntry {
            alert: table.add(&entry.alert),
            told: match entry.told {
                Told::Never => SavedTold::Never,
                Told::Elsewhere => SavedTold::Elsewhere,
                Told::Here { until } => {
                    SavedTold::Here(now.unix_of(until) + until.saturating_sub(now.at).as_millis() as u64)
                }
            },
            late: entry.late,
            ended: entry.ended.map(|ended| (ended.noted_ms, ended.confirmed.map(|at| now.unix_of(at)))),
        };
        let entries = self.entries.values().map(entry).collect();
        SavedState::Alertmanager { incarnation: self.incarnation.clone(), entries }
    }

    /// Goes on where another process ended. What fired then is told again once it is known that it still
    /// does.
    pub(super) fn restore(
        &mut self,
        incarnation: Option<String>,
        entries: &[SavedEntry],
        alerts: &[Arc<Alert>],
        now: Now,
    ) {
        let known = incarnation.is_some();
        self.incarnation = incarnation;
        self.seen = known.then_some(now.at);
        for saved in entries {
            let Some(alert) = alerts.get(saved.alert) else { continue };
            let until = |until_ms: u64| now.at + Duration::from_millis(until_ms.saturating_sub(now.unix_ms));
            let told = match saved.told {
                SavedTold::Never => Told::Never,
                SavedTold::Here(until_ms) if known => {
                    Told::Here { until: until(until_ms).min(now.at + self.timing.settle) }
                }
                SavedTold::Elsewhere | SavedTold::Here(_) => Told::Elsewhere,
            };
            let ended = saved.ended.map(|(noted_ms, confirmed)| Ended {
                noted_ms,
                confirmed: confirmed.map(|unix_ms| now.ago(unix_ms)),
            });
            let held = if let Told::Here { until } = told { until } else { now.at };
            let next = ended.map(|_| held.max(now.at));
            let entry = Entry { alert: alert.clone(), told, late: saved.late, next, ended };
            self.entries.insert(alert.fingerprint(), entry);
        }
    }
}

impl Entry {
    /// The peer was started anew some time after it was last `seen`. An end that it confirmed before stays
    /// confirmed, and is told again as such: to have it fire once more would call somebody for nothing.
    fn forgotten(&mut self, seen: Option<Duration>, now: Now) {
        if matches!(self.told, Told::Here { .. }) {
            (self.told, self.late) = (Told::Elsewhere, true);
        }
        if let Some(Ended { confirmed: confirmed @ Some(_), .. }) = &mut self.ended {
            // Asking comes before telling, so what was confirmed at that very moment was so afterwards.
            if seen.is_none_or(|seen| *confirmed < Some(seen)) {
                return;
            }
            *confirmed = None;
        }
        self.next = self.next.map(|_| now.at);
    }
}

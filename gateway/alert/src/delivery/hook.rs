//! What one webhook was told, and what it has to be told next: every change of every alert, once, and those
//! of one alert in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::answer::Failure;
use super::picture::{Form, Lost, Picture, ended};
use super::saved::{SavedLane, SavedNotice, SavedState, Table};
use super::time::{Hold, LONGEST_WAIT_MS, MOST_WAITING, Now, REMEMBERED, Timing};
use crate::{Alert, Fingerprint};

#[derive(Debug)]
pub(super) struct Hook {
    timing: Timing,
    lanes: BTreeMap<Fingerprint, Lane>,
    /// Alerts with something to tell, each once. One whose request fails goes to the end: it may be the only
    /// one that the receiver cannot digest.
    turns: VecDeque<Fingerprint>,
    hold: Hold,
}

/// One alert.
#[derive(Debug, Default)]
struct Lane {
    /// What fires in the receiver's eyes once everything waiting is delivered.
    firing: Option<Arc<Alert>>,
    muted: bool,
    waiting: VecDeque<Notice>,
    /// What ended last: when it began, and when that was delivered.
    done: Option<(u64, Duration)>,
}

/// One change that waits.
#[derive(Debug)]
struct Notice {
    form: Form,
    alert: Arc<Alert>,
    noted_ms: u64,
    /// The receiver may have got it.
    tried: bool,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    Call(Call),
    /// Nothing, until this moment or the next picture.
    Wait(Option<Duration>),
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) fingerprint: Fingerprint,
    pub(super) form: Form,
    pub(super) alert: Arc<Alert>,
    /// The receiver cannot have got it before.
    pub(super) new: bool,
}

impl Lane {
    fn note(&mut self, form: Form, alert: &Arc<Alert>, now: Now) {
        self.waiting.push_back(Notice { form, alert: alert.clone(), noted_ms: now.unix_ms, tried: false });
    }

    /// It fires.
    fn begin(&mut self, alert: &Arc<Alert>, now: Now) {
        self.muted = alert.muted;
        match &self.firing {
            Some(told) if told.starts_at_ms == alert.starts_at_ms => return,
            Some(before) => self.finish(&Arc::new(ended(Alert::clone(before), now.unix_ms)), now),
            None => {}
        }
        self.note(Form::Firing, alert, now);
        self.firing = Some(alert.clone());
    }

    /// It has ended: nobody is told who was not told that it fired, if it was muted.
    fn finish(&mut self, alert: &Arc<Alert>, now: Now) {
        let (began, muted) = (self.firing.take().is_some(), self.muted || alert.muted);
        let unheard =
            !began || self.waiting.back().is_some_and(|last| last.form == Form::Firing && !last.tried);
        if muted && unheard {
            if began {
                self.waiting.pop_back();
            }
            return;
        }
        if !began {
            let firing = Arc::new(Alert { ends_at_ms: None, ..Alert::clone(alert) });
            self.note(Form::Firing, &firing, now);
        }
        self.note(Form::Resolved, alert, now);
    }

    /// Whether an end of this alert is no news.
    fn stale(&self, alert: &Alert) -> bool {
        let last = self.waiting.back().filter(|last| last.form == Form::Resolved);
        match (&self.firing, last, self.done) {
            (Some(firing), ..) => alert.starts_at_ms < firing.starts_at_ms,
            (None, Some(last), _) => alert.starts_at_ms <= last.alert.starts_at_ms,
            (None, None, Some((began, _))) => alert.starts_at_ms <= began,
            (None, None, None) => false,
        }
    }

    /// What may be sent now.
    fn ready(&self) -> Option<&Notice> {
        let head = self.waiting.front()?;
        let hushed = self.muted && self.waiting.len() == 1 && head.form == Form::Firing && !head.tried;
        (!hushed).then_some(head)
    }

    fn oldest_end(&self) -> Option<u64> {
        self.waiting.iter().find(|notice| notice.form == Form::Resolved).map(|notice| notice.noted_ms)
    }

    /// Drops everything up to the first end.
    fn drop_oldest(&mut self) {
        while self.waiting.pop_front().is_some_and(|notice| notice.form == Form::Firing) {}
    }
}

impl Hook {
    pub(super) fn new(timing: Timing) -> Self {
        Self { timing, lanes: BTreeMap::new(), turns: VecDeque::new(), hold: Hold::default() }
    }

    pub(super) fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Takes the whole picture. What fired and is in it no more has ended, even if nobody says so.
    pub(super) fn offer(&mut self, picture: &Picture, now: Now) -> Lost {
        for (fingerprint, alert) in &picture.resolved {
            let lane = self.lanes.entry(*fingerprint).or_default();
            if !lane.stale(alert) {
                lane.finish(alert, now);
            }
        }
        for (_, lane) in self.lanes.iter_mut().filter(|(f, _)| !picture.firing.contains_key(f)) {
            if let Some(alert) = lane.firing.clone() {
                lane.finish(&Arc::new(ended(Alert::clone(&alert), now.unix_ms)), now);
            }
        }
        for (fingerprint, alert) in &picture.firing {
            self.lanes.entry(*fingerprint).or_default().begin(alert, now);
        }
        let lost = self.prune(now);
        self.line_up();
        lost
    }

    /// Gives everyone with something to tell a turn, and nobody else.
    fn line_up(&mut self) {
        let speaks = |lane: &Lane| !lane.waiting.is_empty();
        self.turns.retain(|f| self.lanes.get(f).is_some_and(speaks));
        let known: BTreeSet<_> = self.turns.iter().copied().collect();
        let mut new: Vec<_> =
            self.lanes.iter().filter(|(f, lane)| speaks(lane) && !known.contains(f)).collect();
        new.sort_by_key(|(_, lane)| lane.waiting.front().map(|notice| notice.noted_ms));
        self.turns.extend(new.into_iter().map(|(fingerprint, _)| *fingerprint));
    }

    fn prune(&mut self, now: Now) -> Lost {
        let mut lost = Lost::default();
        for lane in self.lanes.values_mut() {
            while lane.oldest_end().is_some_and(|noted| now.unix_ms > noted + LONGEST_WAIT_MS) {
                lane.drop_oldest();
                lost.expired += 1;
            }
        }
        lost.full = self.shrink();
        self.lanes.retain(|_, lane| {
            let remembered = lane.done.is_some_and(|(_, at)| at + REMEMBERED >= now.at);
            lane.firing.is_some() || !lane.waiting.is_empty() || remembered
        });
        lost
    }

    fn shrink(&mut self) -> u64 {
        let ends = |lane: &Lane| lane.waiting.iter().filter(|notice| notice.form == Form::Resolved).count();
        let over = self.lanes.values().map(ends).sum::<usize>().saturating_sub(MOST_WAITING);
        if over > 0 {
            let all =
                self.lanes.iter().flat_map(|(f, lane)| lane.waiting.iter().map(move |notice| (f, notice)));
            let ends = all.filter(|(_, notice)| notice.form == Form::Resolved);
            let mut aged: Vec<_> = ends.map(|(f, notice)| (notice.noted_ms, *f)).collect();
            aged.sort_unstable();
            for (_, fingerprint) in &aged[..over] {
                self.lanes.entry(*fingerprint).or_default().drop_oldest();
            }
        }
        over as u64
    }

    /// What to do now. A receiver about to be left (`ending`) is tried again without waiting.
    pub(super) fn next(&mut self, now: Now, ending: bool) -> Step {
        let ready = |f: &Fingerprint| Some((*f, self.lanes.get(f)?.ready()?));
        let Some((fingerprint, notice)) = self.turns.iter().find_map(ready) else { return Step::Wait(None) };
        if let Some(until) = self.hold.until(now, ending) {
            return Step::Wait(Some(until));
        }
        let call = Call { fingerprint, form: notice.form, alert: notice.alert.clone(), new: !notice.tried };
        self.mark(&call, true);
        Step::Call(call)
    }

    fn head(&mut self, call: &Call) -> Option<&mut Notice> {
        let head = self.lanes.get_mut(&call.fingerprint)?.waiting.front_mut()?;
        (head.form == call.form && Arc::ptr_eq(&head.alert, &call.alert)).then_some(head)
    }

    fn mark(&mut self, call: &Call, tried: bool) {
        if let Some(head) = self.head(call) {
            head.tried = tried;
        }
    }

    /// It was taken, or refused for good: either way that is told.
    pub(super) fn answered(&mut self, call: &Call, now: Now) {
        self.hold.answered();
        let current = self.head(call).is_some();
        if let Some(lane) = self.lanes.get_mut(&call.fingerprint).filter(|_| current) {
            lane.waiting.pop_front();
            if call.form == Form::Resolved {
                lane.done = Some((call.alert.starts_at_ms, now.at));
            }
        }
        self.last_turn(call.fingerprint);
    }

    /// It may be taken later, and not before the time the receiver asked for.
    pub(super) fn failed(&mut self, call: &Call, failure: &Failure, now: Now, random: f64) {
        self.hold.failed(failure.after, now, &self.timing, random);
        if call.new && !failure.reached {
            self.mark(call, false);
        }
        self.last_turn(call.fingerprint);
    }

    fn last_turn(&mut self, fingerprint: Fingerprint) {
        self.turns.retain(|other| *other != fingerprint);
        if self.lanes.get(&fingerprint).is_some_and(|lane| !lane.waiting.is_empty()) {
            self.turns.push_back(fingerprint);
        }
    }

    /// How many changes it has yet to be told of.
    pub(super) fn waiting(&self) -> u64 {
        let ready = |lane: &Lane| lane.ready().map_or(0, |_| lane.waiting.len() as u64);
        self.lanes.values().map(ready).sum()
    }

    pub(super) fn save(&self, now: Now, table: &mut Table) -> SavedState {
        let lane = |lane: &Lane| SavedLane {
            firing: lane.firing.as_ref().map(|alert| table.add(alert)),
            muted: lane.muted,
            waiting: lane.waiting.iter().map(|notice| notice.save(table)).collect(),
            done: lane.done.map(|(began, at)| (began, now.unix_of(at))),
        };
        SavedState::Webhook { lanes: self.lanes.values().map(lane).collect() }
    }

    /// Goes on where another process ended.
    pub(super) fn restore(&mut self, lanes: &[SavedLane], alerts: &[Arc<Alert>], now: Now) {
        for saved in lanes {
            let notice = |notice: &SavedNotice| {
                let SavedNotice { form, alert, noted_ms, tried } = *notice;
                Some(Notice { form, alert: alerts.get(alert)?.clone(), noted_ms, tried })
            };
            let firing = saved.firing.and_then(|alert| alerts.get(alert)).cloned();
            let waiting: VecDeque<_> = saved.waiting.iter().filter_map(notice).collect();
            let Some(any) = firing.as_ref().or(waiting.front().map(|notice| &notice.alert)) else { continue };
            let fingerprint = any.fingerprint();
            let done = saved.done.map(|(began, unix_ms)| (began, now.ago(unix_ms)));
            self.lanes.insert(fingerprint, Lane { firing, muted: saved.muted, waiting, done });
        }
        self.line_up();
    }
}

impl Notice {
    fn save(&self, table: &mut Table) -> SavedNotice {
        let Self { form, noted_ms, tried, .. } = *self;
        SavedNotice { form, alert: table.add(&self.alert), noted_ms, tried }
    }
}

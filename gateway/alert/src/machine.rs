//! The states of one rule's alerts: pending, firing, gone. As Prometheus' `AlertingRule`, and one thing more:
//! an alert that was restored after a restart waits until there is something to judge it by.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::alert::Fingerprint;
use crate::evaluate::{Counts, Found};

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It holds, but not yet for long enough.
    Pending,
    Firing,
}

impl State {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// What a rule found, and when: kept for those who are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `None`: it is no finite number.
    pub value: Option<f64>,
    pub counts: Counts,
    /// When it was looked at, Unix time in ms.
    pub at_ms: u64,
    /// The configuration's generation then.
    pub generation: u64,
}

/// One label set of one rule. Times are Unix time in ms on the gateway's own clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// As the rule found them.
    pub found: BTreeMap<String, String>,
    pub state: State,
    /// Since when it holds.
    pub active_ms: u64,
    /// Since when it fires; 0 while it is pending.
    pub fired_ms: u64,
    /// When it was first seen not to hold any more, while it goes on firing.
    pub keep_since_ms: Option<u64>,
    /// Of the last look at which it held.
    pub last: Evidence,
    /// Of the moment it began to fire.
    pub at_firing: Option<Evidence>,
    /// It comes from before a restart, and nothing has confirmed it yet.
    #[serde(skip)]
    pub restored: bool,
}

/// A rule's alerts.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    active: BTreeMap<Fingerprint, Active>,
    /// Rises with everything that begins, ends or changes its state.
    changes: u64,
}

/// How long things take, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    pub hold_ms: u64,
    pub keep_ms: u64,
}

/// A moment at which a rule is judged.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix time in ms on the gateway's own clock.
    pub at_ms: u64,
    pub generation: u64,
    /// Restored alerts that were not measured wait rather than end.
    pub patient: bool,
    /// Too little was seen for what was restored to end.
    pub young: bool,
}

impl Machine {
    /// Takes what a rule found; gives back the alerts that ended by it. `measured`: label sets there was
    /// something to go by for, beside those found.
    pub fn step(
        &mut self,
        found: &[Found],
        measured: &[BTreeMap<String, String>],
        holds: Holds,
        now: Moment,
    ) -> Vec<Active> {
        let mut there = HashSet::with_capacity(found.len());
        for one in found {
            let fingerprint = Fingerprint::of(&one.labels);
            there.insert(fingerprint);
            let evidence = Evidence {
                value: one.value.is_finite().then_some(one.value),
                counts: one.counts,
                at_ms: now.at_ms,
                generation: now.generation,
            };
            let changes = &mut self.changes;
            let active = self.active.entry(fingerprint).or_insert_with(|| {
                *changes += 1;
                Active::new(one, evidence.clone())
            });
            active.last = evidence;
            active.keep_since_ms = None;
            active.restored = false;
        }
        // Only what was restored asks for it.
        let asked = self.active.values().any(|active| active.restored);
        let measured: HashSet<Fingerprint> =
            if asked { measured.iter().map(Fingerprint::of).collect() } else { HashSet::new() };
        let mut ended = Vec::new();
        let changes = &mut self.changes;
        self.active.retain(|fingerprint, active| {
            if there.contains(fingerprint) {
                return true;
            }
            if active.restored && (now.young || (now.patient && !measured.contains(fingerprint))) {
                return true;
            }
            if active.state == State::Pending {
                *changes += 1;
                return false;
            }
            let since = *active.keep_since_ms.get_or_insert(now.at_ms);
            if now.at_ms.saturating_sub(since) < holds.keep_ms {
                return true;
            }
            *changes += 1;
            ended.push(active.clone());
            false
        });
        for active in self.active.values_mut().filter(|a| a.state == State::Pending) {
            if !active.restored && now.at_ms.saturating_sub(active.active_ms) >= holds.hold_ms {
                self.changes += 1;
                active.state = State::Firing;
                active.fired_ms = now.at_ms;
                active.at_firing = Some(active.last.clone());
            }
        }
        ended
    }

    /// Whether an alert from before a restart waits to be measured: nobody else asks what was.
    pub(crate) fn waits(&self) -> bool {
        self.active.values().any(|active| active.restored)
    }

    /// What is pending or firing.
    pub fn active(&self) -> impl Iterator<Item = &Active> {
        self.active.values()
    }

    /// Rises with everything that begins, ends or changes its state.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What is active was found by samples that are no more: it waits as after a restart.
    pub fn doubt(&mut self) {
        self.active.values_mut().for_each(|active| active.restored = true);
    }

    /// Goes on with what was active before a restart.
    pub fn restore(&mut self, saved: Vec<Active>) {
        for mut active in saved {
            active.restored = true;
            self.active.insert(Fingerprint::of(&active.found), active);
        }
    }
}

impl Active {
    /// The same, earlier by so many ms.
    pub(crate) fn shifted(self, back_ms: u64) -> Self {
        Self {
            active_ms: self.active_ms.saturating_sub(back_ms),
            fired_ms: self.fired_ms.saturating_sub(back_ms),
            keep_since_ms: self.keep_since_ms.map(|since| since.saturating_sub(back_ms)),
            ..self
        }
    }

    /// One that fires from the start.
    pub(crate) fn firing(found: BTreeMap<String, String>, evidence: Evidence) -> Self {
        let of = Found { labels: found, value: f64::NAN, counts: Counts::default() };
        let fired_ms = evidence.at_ms;
        Self { state: State::Firing, fired_ms, ..Self::new(&of, evidence) }
    }

    fn new(found: &Found, evidence: Evidence) -> Self {
        Self {
            found: found.labels.clone(),
            state: State::Pending,
            active_ms: evidence.at_ms,
            fired_ms: 0,
            keep_since_ms: None,
            last: evidence,
            at_firing: None,
            restored: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(route: &str) -> Found {
        let labels = BTreeMap::from([("route".to_owned(), route.to_owned())]);
        Found { labels, value: 0.5, counts: Counts::default() }
    }

    fn step(machine: &mut Machine, at_ms: u64, found: &[Found], holds: (u64, u64)) -> Vec<Active> {
        let holds = Holds { hold_ms: holds.0, keep_ms: holds.1 };
        machine.step(found, &[], holds, Moment { at_ms, generation: 1, patient: true, young: false })
    }

    fn states(machine: &Machine) -> Vec<(State, u64, u64)> {
        machine.active().map(|a| (a.state, a.active_ms, a.fired_ms)).collect()
    }

    #[test]
    fn an_alert_fires_once_it_has_held_for_long_enough_and_not_before() {
        let mut machine = Machine::default();
        for at in [0, 10, 20] {
            step(&mut machine, at, &[found("a")], (30, 0));
            assert_eq!(states(&machine), [(State::Pending, 0, 0)]);
        }
        step(&mut machine, 30, &[found("a")], (30, 0));
        assert_eq!(states(&machine), [(State::Firing, 0, 30)]);
        let ended = step(&mut machine, 40, &[], (30, 0));
        assert_eq!((ended.len(), ended[0].fired_ms), (1, 30));
        assert_eq!(states(&machine), []);
    }

    #[test]
    fn what_is_pending_vanishes_at_once_and_begins_anew() {
        let mut machine = Machine::default();
        step(&mut machine, 0, &[found("a")], (30, 100));
        assert_eq!(step(&mut machine, 10, &[], (30, 100)), []);
        step(&mut machine, 20, &[found("a")], (30, 100));
        assert_eq!(states(&machine), [(State::Pending, 20, 0)]);
    }

    #[test]
    fn a_firing_alert_is_kept_from_the_first_look_at_which_it_does_not_hold() {
        let mut machine = Machine::default();
        step(&mut machine, 0, &[found("a")], (0, 50));
        assert_eq!(states(&machine), [(State::Firing, 0, 0)]);
        assert_eq!(step(&mut machine, 100, &[], (0, 50)), []);
        assert_eq!(step(&mut machine, 140, &[], (0, 50)), []);
        step(&mut machine, 145, &[found("a")], (0, 50));
        assert_eq!(step(&mut machine, 160, &[], (0, 50)), [], "it held again: the time begins anew");
        assert_eq!(step(&mut machine, 209, &[], (0, 50)), []);
        assert_eq!(step(&mut machine, 210, &[], (0, 50)).len(), 1);
    }

    #[test]
    fn label_sets_are_alerts_of_their_own() {
        let mut machine = Machine::default();
        step(&mut machine, 0, &[found("a")], (10, 0));
        step(&mut machine, 10, &[found("a"), found("b")], (10, 0));
        assert_eq!(states(&machine).len(), 2);
        let ended = step(&mut machine, 20, &[found("b")], (10, 0));
        assert_eq!(ended[0].found["route"], "a");
        assert_eq!(states(&machine), [(State::Firing, 10, 20)]);
    }

    #[test]
    fn what_was_restored_waits_for_something_to_go_by() {
        let mut before = Machine::default();
        step(&mut before, 0, &[found("a")], (0, 0));
        let saved: Vec<Active> = before.active().cloned().collect();
        let mut machine = Machine::default();
        machine.restore(saved);
        assert_eq!(step(&mut machine, 1000, &[], (0, 0)), [], "nothing was measured");
        assert_eq!(states(&machine), [(State::Firing, 0, 0)], "and it began when it began");
        let holds = Holds { hold_ms: 0, keep_ms: 0 };
        let now = Moment { at_ms: 2000, generation: 1, patient: true, young: false };
        let mut known = machine.clone();
        assert_eq!(known.step(&[], &[found("a").labels], holds, now).len(), 1, "it was measured");
        let now = Moment { patient: false, ..now };
        assert_eq!(machine.step(&[], &[], holds, now).len(), 1, "it has waited long enough");
    }

    #[test]
    fn a_restored_alert_goes_on_pending_from_when_it_began() {
        let mut before = Machine::default();
        step(&mut before, 0, &[found("a")], (100, 0));
        let saved: Vec<Active> = before.active().cloned().collect();
        let mut machine = Machine::default();
        machine.restore(saved);
        step(&mut machine, 90, &[], (100, 0));
        step(&mut machine, 100, &[], (100, 0));
        assert_eq!(states(&machine), [(State::Pending, 0, 0)], "it does not fire unseen");
        step(&mut machine, 110, &[found("a")], (100, 0));
        assert_eq!(states(&machine), [(State::Firing, 0, 110)]);
    }
}

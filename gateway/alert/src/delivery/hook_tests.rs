//! One webhook on a simulated clock.

use std::time::Duration;

use super::answer::Failure;
use super::hook::{Call, Hook, Step};
use super::peer_tests::{alert, at, muted, over, picture, timing};
use super::picture::Lost;
use super::saved::{SavedReceiver, SavedState, Table};
use super::time::MOST_WAITING;
use crate::Alert;

struct Rig(Hook);

impl Rig {
    fn new() -> Self {
        Self(Hook::new(timing()))
    }

    fn offer(&mut self, seconds: f64, firing: &[Alert], resolved: &[Alert]) {
        assert_eq!(self.0.offer(&picture(firing, resolved), at(seconds)), Lost::default());
    }

    fn call(&mut self, seconds: f64) -> Call {
        let Step::Call(call) = self.0.next(at(seconds), false) else { panic!("nothing to tell") };
        call
    }

    /// Takes all it is told; as `name form`.
    fn run(&mut self, seconds: f64) -> Vec<String> {
        let mut got = Vec::new();
        while let Step::Call(call) = self.0.next(at(seconds), false) {
            got.push(said(&call));
            self.0.answered(&call, at(seconds));
        }
        got
    }
}

fn said(call: &Call) -> String {
    format!("{} {}", call.alert.name(), call.form.as_str())
}

fn failure(reached: bool, after: Option<Duration>) -> Failure {
    Failure { words: String::new(), reached, after }
}

const NOTHING: [String; 0] = [];

#[test]
fn every_change_is_told_once_and_in_order() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0)], &[]);
    rig.offer(15.0, &[alert("a", 0.0)], &[over(alert("b", 0.0), 15.0)]);
    rig.offer(30.0, &[alert("a", 0.0), alert("b", 30.0)], &[]);
    rig.offer(45.0, &[alert("a", 0.0), alert("b", 30.0)], &[over(alert("b", 0.0), 15.0)]);
    let mut got = rig.run(45.0);
    let of = |name: &str| got.iter().filter(|said| said.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("a"), ["a firing"]);
    assert_eq!(of("b"), ["b firing", "b resolved", "b firing"]);
    rig.offer(60.0, &[], &[over(alert("a", 0.0), 60.0), over(alert("b", 30.0), 60.0)]);
    rig.offer(75.0, &[], &[over(alert("a", 0.0), 60.0), over(alert("b", 30.0), 60.0)]);
    got = rig.run(75.0);
    got.sort();
    assert_eq!(got, ["a resolved", "b resolved"]);
    rig.offer(90.0, &[], &[over(alert("a", 0.0), 60.0)]);
    assert_eq!(rig.run(90.0), NOTHING);
}

#[test]
fn what_is_in_the_picture_no_more_has_ended_and_another_beginning_is_another_alert() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0)], &[]);
    rig.run(0.0);
    rig.offer(15.0, &[alert("a", 14.0)], &[]);
    let got = rig.run(15.0);
    let of = |name: &str| got.iter().filter(|said| said.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!((of("a"), of("b")), (vec!["a resolved".into(), "a firing".into()], vec!["b resolved".into()]));
}

#[test]
fn one_request_that_fails_is_waited_for_and_then_another_alert_has_its_turn() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0)], &[]);
    let first = rig.call(0.0);
    rig.0.failed(&first, &failure(true, None), at(0.0), 0.0);
    assert!(matches!(rig.0.next(at(0.5), false), Step::Wait(Some(until)) if until == at(1.0).at));
    assert!(matches!(rig.0.next(at(0.5), true), Step::Call(_)), "the end does not wait");
    let second = rig.call(1.0);
    assert_ne!(said(&first), said(&second));
    rig.0.answered(&second, at(1.0));
    assert_eq!(rig.run(1.0), [said(&first)]);
}

#[test]
fn a_receiver_is_given_the_time_it_asks_for() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    let call = rig.call(0.0);
    rig.0.failed(&call, &failure(true, Some(Duration::from_secs(77))), at(0.0), 0.0);
    assert!(matches!(rig.0.next(at(76.0), true), Step::Wait(Some(until)) if until == at(77.0).at));
    assert_eq!(rig.run(77.0), ["a firing"]);
}

#[test]
fn what_is_muted_is_told_to_nobody_new_and_its_end_to_those_who_know() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("known", 0.0), muted("new", 0.0), muted("later", 0.0)], &[]);
    assert_eq!((rig.run(0.0), rig.0.waiting()), (vec!["known firing".to_owned()], 0));
    rig.offer(15.0, &[muted("known", 0.0), alert("later", 0.0)], &[over(muted("new", 0.0), 15.0)]);
    assert_eq!(rig.run(15.0), ["later firing"]);
    rig.offer(30.0, &[], &[over(muted("known", 0.0), 30.0), over(alert("later", 0.0), 30.0)]);
    let mut got = rig.run(30.0);
    got.sort();
    assert_eq!(got, ["known resolved", "later resolved"]);
}

#[test]
fn one_that_may_have_arrived_is_followed_by_its_end_even_if_muted() {
    for (reached, expect) in [(true, 2), (false, 0)] {
        let mut rig = Rig::new();
        rig.offer(0.0, &[alert("a", 0.0)], &[]);
        let call = rig.call(0.0);
        rig.0.failed(&call, &failure(reached, None), at(0.0), 0.0);
        rig.offer(15.0, &[muted("a", 0.0)], &[]);
        rig.offer(30.0, &[], &[over(muted("a", 0.0), 30.0)]);
        assert_eq!(rig.run(30.0).len(), expect, "reached: {reached}");
    }
}

#[test]
fn ends_that_wait_are_bounded_in_number_and_in_age() {
    let mut hook = Hook::new(timing());
    let ends: Vec<_> = (0..MOST_WAITING + 5).map(|i| over(alert(&format!("a{i}"), 0.0), 1.0)).collect();
    let lost = hook.offer(&picture(&[], &ends), at(1.0));
    assert_eq!((lost, hook.waiting()), (Lost { full: 5, expired: 0 }, 2 * MOST_WAITING as u64));
    let lost = hook.offer(&picture(&[], &[]), at(86_500.0));
    assert_eq!((lost, hook.waiting()), (Lost { full: 0, expired: MOST_WAITING as u64 }, 0));
}

#[test]
fn another_process_repeats_nothing_and_forgets_nothing() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("told", 0.0), alert("gone", 0.0)], &[]);
    rig.run(0.0);
    rig.offer(15.0, &[alert("told", 0.0), alert("new", 15.0)], &[over(alert("gone", 0.0), 15.0)]);
    let mut table = Table::default();
    let state = rig.0.save(at(16.0), &mut table);
    let saved = table.finish(vec![SavedReceiver { id: "webhook:w".into(), state }]);
    let saved: super::SavedDelivery =
        serde_json::from_str(&serde_json::to_string(&saved).expect("JSON")).expect("read again");
    let mut rig = Rig::new();
    let SavedState::Webhook { lanes } = &saved.receivers[0].state else { panic!("a webhook") };
    rig.0.restore(lanes, &saved.alerts(), at(20.0));
    let mut got = rig.run(20.0);
    got.sort();
    assert_eq!(got, ["gone resolved", "new firing"]);
    rig.offer(30.0, &[alert("told", 0.0), alert("new", 15.0)], &[]);
    assert_eq!(rig.run(30.0), NOTHING);
}

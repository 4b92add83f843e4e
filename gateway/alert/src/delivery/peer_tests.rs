//! One Alertmanager on a simulated clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::options::Receivers;
use super::peer::{Batch, LARGEST_BATCH, Peer, Step};
use super::picture::{Form, Lost, Picture};
use super::saved::{SavedDelivery, SavedReceiver, SavedState, Table};
use super::time::{MOST_WAITING, Now, Timing};
use crate::Alert;

/// Unix time at the beginning.
const EPOCH: u64 = 1_700_000_000_000;

pub(super) fn timing() -> Timing {
    Timing::new(&Receivers::default())
}

pub(super) fn at(seconds: f64) -> Now {
    Now { at: Duration::from_secs_f64(seconds), unix_ms: EPOCH + (seconds * 1000.0) as u64 }
}

pub(super) fn alert(name: &str, began: f64) -> Alert {
    Alert {
        labels: [("alertname".to_owned(), name.to_owned())].into(),
        annotations: BTreeMap::new(),
        starts_at_ms: at(began).unix_ms,
        ends_at_ms: None,
        generator_url: String::new(),
        muted: false,
    }
}

pub(super) fn muted(name: &str, began: f64) -> Alert {
    Alert { muted: true, ..alert(name, began) }
}

pub(super) fn over(alert: Alert, ended: f64) -> Alert {
    Alert { ends_at_ms: Some(at(ended).unix_ms), ..alert }
}

pub(super) fn picture(firing: &[Alert], resolved: &[Alert]) -> Picture {
    Picture::new(firing.to_vec(), resolved.to_vec(), EPOCH)
}

/// A peer, and the incarnation of the Alertmanager behind it; `None` while that is away.
struct Rig {
    peer: Peer,
    server: Option<&'static str>,
}

impl Rig {
    fn new() -> Self {
        Self { peer: Peer::new(timing()), server: Some("first") }
    }

    fn offer(&mut self, seconds: f64, firing: &[Alert], resolved: &[Alert]) {
        assert_eq!(self.peer.offer(&picture(firing, resolved), at(seconds)), Lost::default());
    }

    fn run(&mut self, seconds: f64) -> Vec<String> {
        run(&mut self.peer, self.server, at(seconds))
    }

    /// Runs second by second from one moment to just before another; what was got when.
    fn over(&mut self, seconds: std::ops::Range<u32>) -> Vec<(u32, String)> {
        seconds.flat_map(|s| self.run(f64::from(s)).into_iter().map(move |got| (s, got))).collect()
    }
}

/// Lets the peer do all it wants to at this moment; what the server got, as `name form`.
fn run(peer: &mut Peer, server: Option<&str>, now: Now) -> Vec<String> {
    let mut got = Vec::new();
    loop {
        match (peer.next(now, false), server) {
            (Step::Wait(_), _) => return got,
            (Step::Ask, Some(incarnation)) => _ = peer.asked(incarnation, now),
            (Step::Post(batch), Some(_)) => {
                got.extend(said(&batch));
                peer.confirmed(&batch, now);
            }
            (Step::Ask, None) => peer.failed(None, false, now, 0.0),
            (Step::Post(batch), None) => peer.failed(Some(&batch), false, now, 0.0),
        }
    }
}

fn said(batch: &Batch) -> Vec<String> {
    batch.items.iter().map(|item| format!("{} {}", item.alert.name(), item.form.as_str())).collect()
}

fn timed(got: &[(u32, &str)]) -> Vec<(u32, String)> {
    got.iter().map(|(s, said)| (*s, (*said).to_owned())).collect()
}

const NOTHING: [String; 0] = [];

#[test]
fn new_ones_go_at_once_firing_ones_every_minute_and_ends_for_a_quarter_of_an_hour() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    assert_eq!(rig.over(0..121), timed(&[(0, "a firing"), (60, "a firing"), (120, "a firing")]));
    rig.offer(121.0, &[], &[over(alert("a", 0.0), 121.0)]);
    let got = rig.over(121..1100);
    // The first, and one a minute for 15.
    assert_eq!((got.len(), &got[0], &got[1]), (17, &(121, "a resolved".into()), &(181, "a resolved".into())));
    rig.offer(1100.0, &[], &[]);
    assert_eq!(rig.over(1100..2000), timed(&[]));
    assert_eq!(rig.peer.waiting(), 0);
}

#[test]
fn to_offer_the_same_again_changes_nothing() {
    let mut rig = Rig::new();
    for second in 0..59 {
        rig.offer(f64::from(second), &[alert("a", 0.0)], &[]);
        assert_eq!(rig.run(f64::from(second)).len(), usize::from(second == 0));
    }
    for second in 60..100 {
        rig.offer(f64::from(second), &[], &[over(alert("a", 0.0), 60.0)]);
        assert_eq!(rig.run(f64::from(second)).len(), usize::from(second == 60), "{second}");
    }
}

#[test]
fn what_is_in_the_picture_no_more_has_ended() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0)], &[]);
    rig.run(0.0);
    rig.offer(15.0, &[alert("b", 0.0)], &[]);
    assert_eq!(rig.run(15.0), ["a resolved"]);
}

#[test]
fn what_ended_while_the_peer_was_away_fires_first_and_ends_after_group_wait() {
    let mut rig = Rig::new();
    rig.server = None;
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    assert_eq!(rig.run(0.0), NOTHING);
    rig.offer(15.0, &[], &[over(alert("a", 0.0), 15.0)]);
    assert_eq!((rig.over(15..100), rig.peer.waiting()), (timed(&[]), 1));
    rig.server = Some("first");
    let got = rig.over(100..200);
    let back = got[0].0;
    assert!(back < 130, "{got:?}");
    assert_eq!(
        got,
        timed(&[(back, "a firing"), (back + 35, "a resolved"), (back + 95, "a resolved")])[..got.len()]
    );
    assert!(got.len() >= 2);
    assert_eq!(rig.peer.waiting(), 0);
}

#[test]
fn one_that_is_late_and_ends_soon_leaves_the_peer_its_group_wait_and_one_in_time_does_not() {
    for (away, end) in [(false, 3), (true, 36)] {
        let mut rig = Rig::new();
        rig.server = (!away).then_some("first");
        rig.offer(0.0, &[alert("a", 0.0)], &[]);
        rig.run(0.0);
        rig.server = Some("first");
        rig.run(1.0);
        rig.offer(3.0, &[], &[over(alert("a", 0.0), 3.0)]);
        assert_eq!(rig.over(2..50), timed(&[(end, "a resolved")]), "away: {away}");
    }
}

#[test]
fn a_peer_that_was_told_and_was_then_away_hears_of_the_end_at_once() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    rig.run(0.0);
    rig.server = None;
    rig.offer(30.0, &[], &[over(alert("a", 0.0), 30.0)]);
    assert_eq!(rig.run(30.0), NOTHING);
    rig.server = Some("first");
    assert_eq!(rig.over(31..40), timed(&[(31, "a resolved")]));
}

#[test]
fn a_restarted_peer_is_told_all_that_fires_at_once_and_of_ends_only_after_that() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0)], &[]);
    rig.run(0.0);
    rig.offer(20.0, &[alert("a", 0.0), alert("b", 0.0), alert("c", 20.0)], &[]);
    rig.run(20.0);
    rig.server = Some("second");
    rig.offer(30.0, &[alert("a", 0.0), alert("c", 20.0)], &[over(alert("b", 0.0), 30.0)]);
    let mut got = rig.over(30..80);
    got.sort();
    assert_eq!(got, timed(&[(30, "a firing"), (30, "b firing"), (30, "c firing"), (65, "b resolved")]));
}

#[test]
fn a_restart_is_noticed_at_the_next_round_and_an_end_told_shortly_before_is_told_anew() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0), alert("old", 0.0)], &[]);
    rig.run(0.0);
    rig.offer(5.0, &[alert("a", 0.0), alert("b", 0.0)], &[over(alert("old", 0.0), 5.0)]);
    rig.run(5.0);
    rig.run(60.0);
    rig.offer(62.0, &[alert("a", 0.0)], &[over(alert("b", 0.0), 62.0)]);
    assert_eq!(rig.run(62.0), ["b resolved"]);
    // Nobody was told of that end before the restart; of the older one somebody was.
    rig.server = Some("second");
    let got: Vec<_> = rig.over(63..170);
    let expect = [(65, "old resolved"), (65, "a firing"), (65, "b firing"), (100, "b resolved")];
    let firsts: Vec<_> = got.iter().filter(|(s, _)| *s < 120).cloned().collect();
    let sorted = |mut list: Vec<(u32, String)>| {
        list.sort();
        list
    };
    assert_eq!(sorted(firsts), sorted(timed(&expect)));
}

#[test]
fn what_is_muted_goes_to_nobody_new_and_its_end_to_those_who_know() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("known", 0.0), muted("new", 0.0)], &[]);
    assert_eq!(rig.run(0.0), ["known firing"]);
    rig.offer(10.0, &[muted("known", 0.0), muted("new", 0.0)], &[]);
    assert_eq!(rig.over(10..70), timed(&[(60, "known firing")]));
    assert_eq!(rig.peer.waiting(), 0);
    rig.offer(70.0, &[], &[over(muted("known", 0.0), 70.0), over(muted("new", 0.0), 70.0)]);
    assert_eq!(rig.run(70.0), ["known resolved"]);
    assert_eq!(rig.over(71..120), timed(&[]));
}

#[test]
fn what_is_muted_no_more_goes_at_once_with_its_own_beginning() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[muted("a", 0.0)], &[]);
    assert_eq!(rig.run(0.0), NOTHING);
    rig.offer(15.0, &[alert("a", 0.0)], &[]);
    let now = at(15.0);
    assert!(matches!(rig.peer.next(now, false), Step::Ask));
    rig.peer.asked("first", now);
    let Step::Post(batch) = rig.peer.next(now, false) else { panic!("nothing to post") };
    assert_eq!((batch.items[0].form, batch.items[0].alert.starts_at_ms), (Form::Firing, EPOCH));
}

#[test]
fn one_muted_after_a_refused_connection_is_withdrawn_and_after_a_hang_is_not() {
    for (reached, expect) in [(false, 0), (true, 1)] {
        let mut peer = Peer::new(timing());
        peer.offer(&picture(&[alert("a", 0.0)], &[]), at(0.0));
        peer.asked("first", at(0.0));
        let Step::Post(batch) = peer.next(at(0.0), false) else { panic!("nothing to post") };
        peer.failed(Some(&batch), reached, at(10.0), 0.0);
        peer.offer(&picture(&[muted("a", 0.0)], &[]), at(15.0));
        assert_eq!(peer.waiting(), expect, "reached: {reached}");
    }
}

#[test]
fn one_that_begins_again_fires_again_whatever_is_still_under_way() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    rig.run(0.0);
    rig.offer(10.0, &[], &[over(alert("a", 0.0), 10.0)]);
    rig.peer.asked("first", at(10.0));
    let Step::Post(batch) = rig.peer.next(at(10.0), false) else { panic!("nothing to post") };
    rig.offer(20.0, &[alert("a", 20.0)], &[]);
    rig.peer.confirmed(&batch, at(21.0));
    assert_eq!(rig.over(22..90), timed(&[(22, "a firing"), (82, "a firing")]));
}

#[test]
fn a_failing_peer_is_left_alone_for_a_while_but_not_at_the_end() {
    let mut rig = Rig::new();
    rig.server = None;
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    rig.run(0.0);
    assert!(matches!(rig.peer.next(at(0.5), false), Step::Wait(Some(until)) if until == at(1.0).at));
    assert!(matches!(rig.peer.next(at(0.5), true), Step::Ask));
}

#[test]
fn batches_are_bounded_and_what_is_new_goes_first() {
    let mut rig = Rig::new();
    let many: Vec<_> = (0..LARGEST_BATCH + 10).map(|i| alert(&format!("a{i}"), 0.0)).collect();
    rig.offer(0.0, &many, &[]);
    rig.peer.asked("first", at(0.0));
    let mut sizes = Vec::new();
    while let Step::Post(batch) = rig.peer.next(at(0.0), false) {
        sizes.push(batch.items.len());
        rig.peer.confirmed(&batch, at(0.0));
    }
    assert_eq!(sizes, [LARGEST_BATCH, 10]);
    let more: Vec<_> = many.into_iter().chain([alert("new", 60.0)]).collect();
    rig.offer(60.0, &more, &[]);
    assert_eq!(rig.run(60.0)[0], "new firing");
}

#[test]
fn ends_that_wait_are_bounded_in_number_and_in_age() {
    let mut peer = Peer::new(timing());
    let ends = |n: usize| -> Vec<_> { (0..n).map(|i| over(alert(&format!("a{i}"), 0.0), 1.0)).collect() };
    let lost = peer.offer(&picture(&[], &ends(MOST_WAITING + 5)), at(1.0));
    assert_eq!((lost, peer.waiting()), (Lost { full: 5, expired: 0 }, MOST_WAITING as u64));
    let lost = peer.offer(&picture(&[], &[]), at(86_500.0));
    assert_eq!((lost, peer.waiting()), (Lost { full: 0, expired: MOST_WAITING as u64 }, 0));
}

/// The same peer in another process, `now`.
fn reborn(peer: &Peer, before: Now, now: Now) -> Peer {
    let mut table = Table::default();
    let state = peer.save(before, &mut table);
    let saved = table.finish(vec![SavedReceiver { id: "am".into(), state }]);
    let text = serde_json::to_string(&saved).expect("JSON");
    let saved: SavedDelivery = serde_json::from_str(&text).expect("read again");
    let mut peer = Peer::new(timing());
    let alerts: Vec<Arc<Alert>> = saved.alerts();
    let SavedState::Alertmanager { incarnation, entries } = &saved.receivers[0].state else {
        panic!("a peer")
    };
    peer.restore(incarnation.clone(), entries, &alerts, now);
    peer
}

#[test]
fn another_process_goes_on_with_the_same_alerts() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0), alert("b", 0.0), alert("c", 0.0)], &[]);
    rig.run(0.0);
    rig.server = None;
    rig.offer(
        15.0,
        &[alert("a", 0.0), alert("b", 0.0), alert("never", 14.0)],
        &[over(alert("c", 0.0), 15.0)],
    );
    rig.run(15.0);
    // Its monotonic clock begins anew.
    let now = |seconds| Now { at: Duration::from_secs_f64(seconds - 50.0), unix_ms: at(seconds).unix_ms };
    let mut peer = reborn(&rig.peer, at(16.0), now(50.0));
    // It was told that `c` fires, and is the same: the end can go. What fires waits for a picture.
    assert_eq!(run(&mut peer, Some("first"), now(50.0)), ["c resolved"]);
    peer.offer(&picture(&[alert("a", 0.0), alert("never", 14.0)], &[]), now(51.0));
    let mut got = run(&mut peer, Some("first"), now(51.0));
    got.sort();
    assert_eq!(got, ["a firing", "b resolved", "never firing"]);
}

#[test]
fn a_peer_that_was_restarted_while_we_were_away_is_told_anew() {
    let mut rig = Rig::new();
    rig.offer(0.0, &[alert("a", 0.0)], &[]);
    rig.run(0.0);
    let mut rig = Rig { peer: reborn(&rig.peer, at(10.0), at(20.0)), server: Some("second") };
    rig.offer(21.0, &[], &[over(alert("a", 0.0), 21.0)]);
    assert_eq!(rig.over(21..60), timed(&[(21, "a firing"), (56, "a resolved")]));
}

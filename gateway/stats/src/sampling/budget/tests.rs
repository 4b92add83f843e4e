//! Tests of the budget that can be counted out by hand; `coverage.rs` holds the one by simulation.

use super::*;

fn budget<P>(k: usize) -> Budget<P> {
    Budget::new(NonZeroUsize::new(k).unwrap())
}

fn candidate<P>(r: u64, t: u64, payload: P) -> Candidate<P> {
    let threshold = Threshold::from_bits(t).unwrap();
    Candidate::new(Randomness::from_bits(r), threshold, payload).ok().unwrap()
}

#[test]
fn with_room_for_all_nothing_changes() {
    let mut some = budget(3);
    for (r, t) in [(9, 7), (0, 0), (UNIVERSE - 1, UNIVERSE - 1)] {
        assert!(some.offer(5, candidate(r, t, (r, t))).is_none());
    }
    let closed = some.finish().unwrap();
    assert_eq!((closed.second, closed.offered, closed.threshold), (0, 3, Threshold::ALWAYS));
    assert_eq!(closed.kept.len(), 3);
    assert!(closed.kept.iter().all(|kept| kept.threshold.bits() == kept.payload.1));
    assert!(some.finish().is_none());
}

#[test]
fn the_highest_ranks_win_and_the_next_one_sets_the_threshold() {
    let mut two = budget(2);
    let half = UNIVERSE / 2;
    // By rank: 0.75, 0.5, 0.375, 0.25. By R alone the third would be the second.
    for (r, t, name) in [(half, 0, "b"), (half + half / 4, half, "d"), (3 * (half / 2), 0, "a")] {
        two.offer(0, candidate(r, t, name));
    }
    two.offer(0, candidate(half + 3 * (half / 8), half, "c"));
    let closed = two.finish().unwrap();
    let names: Vec<_> = closed.kept.iter().map(|kept| kept.payload).collect();
    assert_eq!((names, closed.offered), (vec!["a", "b"], 4));
    assert_eq!(closed.threshold.bits(), 3 * (UNIVERSE / 8) + 1);
}

#[test]
fn all_shrink_by_the_same_factor() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut ten = budget(10);
    let (rare, flood) = (Threshold::ALWAYS, Threshold::parse("fd70a").unwrap());
    for i in 0..1_000 {
        let threshold = if i % 10 == 0 { rare } else { flood };
        let r = random.u64(threshold.bits()..UNIVERSE);
        ten.offer(0, candidate(r, threshold.bits(), threshold));
    }
    let closed = ten.finish().unwrap();
    assert_eq!(closed.kept.len(), 10);
    for kept in closed.kept {
        let factor = kept.threshold.probability() / kept.payload.probability();
        assert!((factor / closed.threshold.probability() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn what_its_threshold_does_not_keep_is_handed_back() {
    let refused = Candidate::new(Randomness::from_bits(6), Threshold::from_bits(7).unwrap(), "mine");
    assert_eq!(refused.err(), Some("mine"));
}

#[test]
fn a_window_is_a_second_and_a_late_item_joins_the_running_one() {
    let mut one = budget(1);
    assert!(one.offer(7 * WINDOW_NS, candidate(1, 0, 'a')).is_none());
    assert!(one.close(8 * WINDOW_NS - 1).is_none());
    let closed = one.offer(8 * WINDOW_NS, candidate(2, 0, 'b')).unwrap();
    assert_eq!((closed.second, closed.kept[0].payload), (7, 'a'));
    assert!(one.offer(7 * WINDOW_NS, candidate(3, 0, 'c')).is_none());
    let closed = one.close(20 * WINDOW_NS).unwrap();
    assert_eq!((closed.second, closed.offered, closed.kept[0].payload), (8, 2, 'c'));
    assert!(one.offer(7 * WINDOW_NS, candidate(3, 0, 'd')).is_none());
    assert_eq!(one.finish().map(|closed| closed.second), Some(20), "a second that is over never comes back");
    assert!(one.close(30 * WINDOW_NS).is_none());
    assert!(one.offer(u64::MAX, candidate(0, 0, 'e')).is_none());
}

#[test]
fn items_of_one_trace_stand_or_fall_together() {
    for k in 1..=4 {
        let mut some = budget(k);
        for r in [5, 5, 5, 9] {
            some.offer(0, candidate(r, 0, r));
        }
        let kept: Vec<u64> = some.finish().unwrap().kept.iter().map(|kept| kept.payload).collect();
        assert_eq!(kept.len(), if k < 4 { 1 } else { 4 }, "{kept:?} of k = {k}");
    }
}

#[test]
fn never_more_than_k_and_one_are_held() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut some = budget(7);
    for i in 0..1_000 {
        some.offer(0, candidate(random.u64(..UNIVERSE), 0, i));
        assert!(some.best.len() <= 8);
    }
    assert_eq!(some.finish().unwrap().kept.len(), 7);
}

/// Items whose thresholds leave only a few random values, so that every outcome can be counted, ties
/// included.
#[test]
fn over_all_outcomes_the_estimate_is_exact() {
    let rooms = [4, 3, 5, 2, 4];
    let outcomes: u64 = rooms.iter().product();
    for k in 1..=5 {
        let (mut totals, mut possible) = ([0.0; 5], [0.0; 5]);
        for outcome in 0..outcomes {
            let mut rest = outcome;
            let ranks = rooms.map(|room| {
                let above = rest % room;
                rest /= room;
                (above, room)
            });
            let mut some = budget(k);
            for (i, (above, room)) in ranks.into_iter().enumerate() {
                some.offer(0, candidate(UNIVERSE - room + above, UNIVERSE - room, i));
                // So coarse a rank can be unable to rise above k others, whatever its random value.
                let others = ranks.iter().enumerate().filter(|(j, _)| *j != i);
                let in_the_way = others.filter(|(_, (a, of))| a * room >= (room - 1) * of).count();
                possible[i] += if in_the_way < k { 1.0 } else { 0.0 };
            }
            for kept in some.finish().unwrap().kept {
                // By its probability to get a place, for an item that was offered.
                totals[kept.payload] +=
                    rooms[kept.payload] as f64 / (UNIVERSE - kept.threshold.bits()) as f64;
            }
        }
        for (total, possible) in totals.iter().zip(possible) {
            assert!((total - possible).abs() < 1e-9, "k = {k}: {totals:?}, not {possible}");
        }
    }
}

//! Weir's rules and Prometheus', asked about the same series: every state of every alert at every evaluation.
//!
//! Cases are made from a number each. What Prometheus 2.42 answers is kept in `record.txt`, so that these
//! tests need none; where `promtool` is installed and `WEIR_PEERS` is set, it is asked anew, and where
//! `UPDATE` is set as well, `record.txt` is written:
//!
//!     WEIR_PEERS=1 UPDATE=1 cargo test -p weir-alert --test parity -- --nocapture

mod case;
mod promtool;
mod random;
mod record;
mod replay;

use case::Case;
use replay::Timeline;

const CASES: u64 = 240;
const EVALUATIONS: u64 = 41;

fn all() -> Vec<(Case, Timeline)> {
    let of = |number| {
        let case = Case::new(number);
        let timeline = replay::timeline(&case);
        (case, timeline)
    };
    (0..CASES).map(of).collect()
}

#[test]
fn every_alert_is_as_prometheus_has_it_at_every_evaluation() {
    let known = record::read();
    let all = all();
    assert_eq!(
        known.len(),
        all.len(),
        "`record.txt` has another number of cases (see above how to write it)"
    );
    for (case, timeline) in &all {
        let (digest, answered) = &known[&case.number];
        let words = "the case is not the one that `record.txt` answers (see above how to write it)";
        assert_eq!(*digest, case.digest(), "case {}: {words}", case.number);
        let ours = record::lines(timeline);
        for (a, b) in ours.iter().zip(answered) {
            assert_eq!(a, b, "case {}: Weir, Prometheus\n{}", case.number, case.rules);
        }
        assert_eq!(ours.len(), answered.len(), "case {}: {ours:#?} {answered:#?}", case.number);
    }
}

#[test]
fn the_cases_have_alerts_of_every_form_that_wait_fire_are_kept_and_end() {
    let mut seen = std::collections::BTreeMap::<String, [usize; 3]>::new();
    for (_, timeline) in all() {
        for ((name, _), states) in timeline {
            let counts = seen.entry(name).or_default();
            for pair in states.windows(2) {
                match (pair[0], pair[1]) {
                    ('.', 'p') => counts[0] += 1,
                    ('.' | 'p', 'F') => counts[1] += 1,
                    ('F', '.') => counts[2] += 1,
                    _ => {}
                }
            }
        }
    }
    println!("began to wait, to fire, ended: {seen:?}");
    assert_eq!(seen.len(), case::FORMS.len(), "{seen:?}");
    assert!(seen.values().all(|counts| counts.iter().all(|n| *n >= 10)), "{seen:?}");
}

#[test]
fn promtool_agrees_with_every_state() {
    if std::env::var_os("WEIR_PEERS").is_none() {
        println!("SKIPPED: WEIR_PEERS is not set; `record.txt` says what promtool answered");
        return;
    }
    assert!(promtool::is_there(), "promtool 2.42 is not installed (Debian: apt-get install prometheus)");
    let all = all();
    promtool::ask(&all);
    if std::env::var_os("UPDATE").is_some() {
        record::write(&all);
    }
}

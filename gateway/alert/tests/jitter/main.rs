//! Live windows beside a real Prometheus, which sees the same events through scrapes that come as they come.
//!
//! Weir looks at its own counters every 15 s, exactly. Prometheus 2.42 has them as scraped every 15 s from a
//! moment of its own, each scrape up to 2 s early or late, in every second history a few not at all; it
//! evaluates at moments of its own as well. What holds in the one holds in the other, and begins and ends no
//! further apart than one scrape and one evaluation:
//!
//!     WEIR_PEERS=1 cargo test -p weir-alert --test jitter -- --nocapture
//!
//! Why that far: at `t`, Prometheus knows what was scraped until `t - d`, and of the beginning of a
//! window what was scraped from `d` after it on, where `d` is at most the time between two scrapes; it
//! takes the rest to be as what it knows. So the share of a window that something has to fill before a
//! rule holds is full up to `d` earlier or later than it really is. `d` is 15 s and the jitter of two
//! scrapes (4 s); a missing scrape makes it 15 s more. Each side then says so at its next look, up to 15
//! s later. A state that lasts for no longer than all of this may be seen by one of them only; things
//! move so that it hardly ever is.

mod compare;
mod gateway;
mod history;
mod prometheus;
#[path = "../parity/random.rs"]
mod random;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use compare::{Line, Tally};
use history::History;
use prometheus::Server;
use weir_alert::State;

const HISTORIES: u64 = 60;
/// When each history begins, Unix time in ms: long ago, and at the edge of a block of Prometheus'.
const BASE_MS: u64 = 1_699_999_200_000;
/// Between two scrapes, and between two evaluations.
const STEP_MS: u64 = 15_000;
/// How far a scrape is from its time, at most.
const JITTER_MS: u64 = 2000;
const LOOKS: u64 = history::SECONDS * 1000 / STEP_MS;
/// Every window has been seen whole from here on.
const KNOWN_MS: u64 = 600_000;

/// By rule and labels: a state a look.
type Timelines = BTreeMap<(String, BTreeMap<String, String>), Vec<Option<State>>>;

/// Says what a rule found of a label set at a look.
fn note(all: &mut Timelines, name: &str, labels: BTreeMap<String, String>, look: u64, state: State) {
    let states = all.entry((name.to_owned(), labels)).or_insert_with(|| vec![None; LOOKS as usize]);
    states[look as usize] = Some(state);
}

/// Compares when each rule holds, and when it fires; says what is too far apart.
fn compared(history: &History, theirs: &Timelines, tallies: &mut BTreeMap<String, Tally>) -> Vec<String> {
    let ours = gateway::timelines(history);
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let never = vec![None; LOOKS as usize];
    let mut apart = Vec::new();
    for key in keys {
        let [ours, theirs] = [&ours, theirs].map(|all| all.get(key).unwrap_or(&never));
        let states = [("holds", &[State::Pending, State::Firing][..]), ("fires", &[State::Firing])];
        // What never waits fires while it holds.
        let waits = ours.contains(&Some(State::Pending));
        for (word, states) in states.into_iter().take(if waits { 2 } else { 1 }) {
            let is = |state: &Option<State>| state.is_some_and(|state| states.contains(&state));
            let ours = Line { from_ms: 0, states: ours.iter().map(is).collect() };
            let theirs = Line { from_ms: history.looks_from_ms, states: theirs.iter().map(is).collect() };
            let tally = tallies.entry(format!("{} {word}", key.0)).or_default();
            let found = compare::compare(&ours, &theirs, history.bound_ms(), tally);
            apart.extend(found.iter().map(|f| format!("{} {:?} {word}: {f}", key.0, key.1)));
        }
    }
    apart
}

fn told(tallies: &BTreeMap<String, Tally>) -> Tally {
    let mut all = Tally::default();
    for (name, tally) in tallies {
        println!("  {name:<16} {tally}");
        all.add(tally);
    }
    println!("  {:<16} {all}", "all");
    all
}

#[test]
fn what_holds_begins_and_ends_within_a_scrape_and_an_evaluation_of_a_real_prometheus() {
    if std::env::var_os("WEIR_PEERS").is_none() {
        println!("SKIPPED: WEIR_PEERS is not set");
        return;
    }
    assert!(prometheus::is_there(), "Prometheus 2.42 is not installed (Debian: apt-get install prometheus)");
    let histories: Vec<History> = (0..HISTORIES).map(History::new).collect();
    let server = Server::start(&histories);
    let (mut apart, mut tallies) = (Vec::new(), [BTreeMap::new(), BTreeMap::new()]);
    for history in &histories {
        let tallies = &mut tallies[usize::from(history.has_holes())];
        let found = compared(history, &server.timelines(history, 1), tallies);
        apart.extend(found.iter().map(|found| format!("history {}: {found}", history.number)));
    }
    let mut all = Vec::new();
    for ((what, history), tallies) in ["all scrapes", "missing scrapes"].iter().zip(&histories).zip(&tallies)
    {
        println!("{} histories, {what}, to be within {} ms:", HISTORIES / 2, history.bound_ms());
        all.push(told(tallies));
    }
    assert!(apart.is_empty(), "{} are too far apart:\n{}", apart.len(), apart.join("\n"));
    assert!(all.iter().all(|all| all.changes > 2000 && all.alone * 100 < all.changes), "see above");
    // Were it not seen that windows differ, the above would prove little.
    let other = |history| compared(history, &server.timelines(history, 2), &mut BTreeMap::new());
    let other: usize = histories[..6].iter().map(|history| other(history).len()).sum();
    println!("6 histories, windows twice as long in Prometheus: {other} are too far apart");
    assert!(other > 50, "{other}");
}

//! What Weir makes of a case.

use std::collections::BTreeMap;

use weir_alert::{Holds, Machine, Moment, State, Store, look};

use crate::case::Case;

/// By rule and labels: a state an evaluation, `.` for none, `p` for pending, `F` for firing.
pub(crate) type Timeline = BTreeMap<(String, BTreeMap<String, String>), Vec<char>>;

/// Feeds what was sampled until each evaluation, and evaluates.
pub(crate) fn timeline(case: &Case) -> Timeline {
    let mut store = Store::default();
    store.watch(case.plan.rules(), case.interval * 1000);
    let mut machines = vec![Machine::default(); case.plan.rules().len()];
    let (mut timeline, mut fed) = (Timeline::new(), 0);
    for evaluation in 0..crate::EVALUATIONS {
        let at_s = evaluation * case.interval;
        while fed * case.step <= at_s {
            for line in &case.lines {
                if let Some(Some(sample)) = line.samples.get(fed as usize) {
                    let at_ms = (fed * case.step * 1000) as i64;
                    store.push(at_ms, &line.spec.name, &line.labels, sample.as_ref());
                }
            }
            fed += 1;
        }
        for ((rule, config), machine) in case.plan.rules().iter().zip(&case.config.alerts).zip(&mut machines)
        {
            let seen = look(rule, &store, (at_s * 1000) as i64);
            let holds = Holds {
                hold_ms: config.hold.as_millis() as u64,
                keep_ms: config.keep_firing_for.as_millis() as u64,
            };
            let now = Moment { at_ms: at_s * 1000, generation: 1, patient: false, young: false };
            machine.step(&seen.found, &seen.measured, holds, now);
            for active in machine.active() {
                let key = (config.name.to_string(), active.found.clone());
                let states = timeline.entry(key).or_insert_with(|| vec!['.'; crate::EVALUATIONS as usize]);
                states[evaluation as usize] = if active.state == State::Firing { 'F' } else { 'p' };
            }
        }
    }
    timeline
}

//! Events of the objectives that only a look into the bodies can judge: exchanges that can be read, rows that
//! are sure enough. Those of conditions are the alert room's.

use std::sync::Arc;

use weir_exchange::{Aim, Fate, Objective, ObservedRoute, Outcome};
use weir_telemetry::{Counter, Family};

use crate::read::{Reading, State};

/// One thread's cells by objective, as of the newest generation that it saw.
pub(crate) struct Events {
    family: Family<Counter>,
    generation: u64,
    known: Vec<Known>,
}

/// An objective's cells, bad and good.
struct Known {
    name: Arc<str>,
    definition: Arc<str>,
    /// `None`: its series is gone, and late events of it are lost.
    cells: Option<[Arc<Counter>; 2]>,
}

impl Events {
    /// `family` is `weir_slo_events_total`. The request path makes its series and drops them; here only those
    /// that are there are counted in.
    pub(crate) fn new(family: Family<Counter>) -> Self {
        Self { family, generation: 0, known: Vec::new() }
    }

    /// Counts an exchange as it was read, for objectives that it can be read.
    pub(crate) fn count_exchange(&mut self, route: &ObservedRoute, outcome: Outcome, reading: Reading) {
        for objective in &*route.objectives {
            if objective.aim == Aim::Decodable
                && let Some(good) = readable(outcome, reading)
            {
                self.add(route.generation, objective, [u64::from(!good), u64::from(good)]);
            }
        }
    }

    /// Counts rows by their highest scores.
    pub(crate) fn count_rows(&mut self, route: &ObservedRoute, scores: &(impl Iterator<Item = f64> + Clone)) {
        for objective in &*route.objectives {
            if let Aim::Confidence { at_least } = objective.aim {
                let mut counts = [0, 0];
                scores.clone().for_each(|score| counts[usize::from(score >= at_least)] += 1);
                self.add(route.generation, objective, counts);
            }
        }
    }

    fn add(&mut self, generation: u64, objective: &Objective, counts: [u64; 2]) {
        if let Some(cells) = self.cells(generation, objective) {
            cells.iter().zip(counts).for_each(|(cell, count)| cell.bump(count));
        }
    }

    fn cells(&mut self, generation: u64, objective: &Objective) -> Option<&[Arc<Counter>; 2]> {
        if generation > self.generation {
            // A definition that went and came back has new series: old cells of it are read by nobody.
            self.known.clear();
            self.generation = generation;
        }
        let is = |k: &Known| k.name == objective.name && k.definition == objective.definition;
        let at = self.known.iter().position(is).unwrap_or_else(|| {
            let [bad, good] = [false, true].map(|good| self.family.known_local(&objective.labels(good)));
            self.known.push(Known {
                name: objective.name.clone(),
                definition: objective.definition.clone(),
                cells: bad.zip(good).map(<[_; 2]>::from),
            });
            self.known.len() - 1
        });
        self.known[at].cells.as_ref()
    }
}

/// [`Aim::Decodable`]: whether an exchange is good; `None` if it is no event.
fn readable(outcome: Outcome, reading: Reading) -> Option<bool> {
    match (outcome, reading.fate()) {
        (Outcome::Ok, Fate::Undecodable) => Some(false),
        (Outcome::Ok, Fate::Observed) => {
            (reading.request == State::Rows && reading.response == State::Rows).then_some(true)
        }
        _ => None,
    }
}

//! Events of the objectives about requests, counted where the client is answered.

use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;
use weir_exchange::Objective;
use weir_telemetry::{Cap, Counter, Family, Spec};

use crate::metrics::Counted;

/// `weir_slo_events_total`. The wiring makes it and gives it to every room that judges events.
///
/// Its series are those of the objectives configured now: a generation announces them before it answers, and
/// what is gone with it goes. So whoever counts takes its cells with [`Family::known`] or
/// [`Family::known_local`]: a late event of a generation that is gone is lost, and brings no series back.
pub fn slo_events() -> Family<Counter> {
    let help = "Events of service level objectives, by whether they were good; \
                those of two definitions are not comparable.";
    Family::new(Spec::counter("weir_slo_events_total", help, &["slo", "definition", "good"]), Cap::Closed)
}

/// Exports both kinds of event of every objective at 0, so that the first one is an increase, and drops the
/// series of all other objectives.
pub(crate) fn announce(events: &Family<Counter>, objectives: &[Objective]) {
    let is = |o: &Objective, labels: &[Arc<str>]| labels[0] == o.name && labels[1] == o.definition;
    events.retain(|labels| objectives.iter().any(|objective| is(objective, labels)));
    for objective in objectives {
        events.touch(&[&objective.labels(true), &objective.labels(false)]);
    }
}

/// One worker's cells for one objective, in one generation: all routes that count for it share them.
#[derive(Debug)]
pub(crate) struct EventCells {
    objective: Objective,
    good: Arc<Counter>,
    bad: Arc<Counter>,
}

impl EventCells {
    /// The cells of every objective that is about requests, by its name.
    pub(crate) fn of_all(
        objectives: &[Objective],
        events: &Family<Counter>,
    ) -> HashMap<Arc<str>, Rc<Self>, RandomState> {
        let of_requests = objectives.iter().filter(|objective| objective.aim.is_of_requests());
        let cells =
            |objective: &Objective| Some((objective.name.clone(), Rc::new(Self::of(objective, events)?)));
        of_requests.filter_map(cells).collect()
    }

    /// `None`: the series is gone, since another generation was published while this one was looked at.
    fn of(objective: &Objective, events: &Family<Counter>) -> Option<Self> {
        let [good, bad] = [true, false].map(|good| events.known_local(&objective.labels(good)));
        Some(Self { objective: objective.clone(), good: good?, bad: bad? })
    }

    /// Counts one finished request, if it is an event.
    pub(crate) fn count(&self, done: &Counted<'_>) {
        match self.objective.judge(done.status, done.error, done.duration_ns) {
            Some(true) => self.good.bump(1),
            Some(false) => self.bad.bump(1),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_exchange::{Aim, Stance};

    use super::*;

    fn objective(definition: &str) -> Objective {
        Objective {
            name: "a".into(),
            definition: definition.into(),
            aim: Aim::Availability,
            client_errors: Stance::Good,
            cancelled: Stance::Ignored,
        }
    }

    #[test]
    fn a_worker_that_looks_at_a_generation_too_late_brings_no_series_back() {
        let events = slo_events();
        announce(&events, &[objective("1")]);
        assert_eq!(EventCells::of_all(&[objective("1")], &events).len(), 1);
        announce(&events, &[objective("2")]);
        assert!(EventCells::of_all(&[objective("1")], &events).is_empty());
        assert!(events.samples().iter().all(|sample| *sample.labels[1] == *"2"));
    }
}

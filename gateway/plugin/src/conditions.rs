//! The conditions of one plugin key, by declaration, model and labels. Shared with whoever shows them.

use std::sync::Arc;

use weir_exchange::ConditionState;
use weir_telemetry::Gauge;

use crate::family::{AnyFamily, Cell};
use crate::places::{Kept, Labels, Places, model_of};

/// A condition as declared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConditionPlan {
    pub(crate) name: Arc<str>,
    pub(crate) help: Arc<str>,
    pub(crate) labels: Vec<Arc<str>>,
}

/// What a plugin says of a condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) active: bool,
    pub(crate) value: f64,
    pub(crate) count: u64,
}

#[derive(Debug)]
struct Said {
    gauge: Arc<Gauge>,
    /// `None` until the plugin has said something.
    state: Option<ConditionState>,
}

/// The conditions of one key.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    plans: Vec<ConditionPlan>,
    places: Places<Said>,
}

impl Conditions {
    /// The place of a condition; made if it is new. `None` past the cap on series.
    pub(crate) fn place(
        &mut self,
        plan: usize,
        labels: &Labels,
        gauge: impl FnOnce() -> Option<Arc<Gauge>>,
    ) -> Option<usize> {
        if let Some(place) = self.places.find(plan, labels) {
            return Some(place);
        }
        Some(self.places.insert(plan, labels.clone(), Said { gauge: gauge()?, state: None }))
    }

    /// Takes a report; gives the new state back if the condition came or went.
    pub(crate) fn report(&mut self, place: usize, report: Report, now_ns: u64) -> Option<&ConditionState> {
        let Kept { plan, labels, it: said } = self.places.get_mut(place)?;
        let Report { active, value, count } = report;
        said.gauge.set(f64::from(u8::from(active)));
        let was = said.state.as_ref().map(|state| state.active);
        match &mut said.state {
            Some(state) => {
                state.since_unix_ns = if state.active == active { state.since_unix_ns } else { now_ns };
                (state.active, state.value, state.count) = (active, value, count);
            }
            none => {
                let plan = &self.plans[*plan];
                let names = ["route", "model", "model_version"].map(Arc::from).into_iter();
                let names = names.chain(plan.labels.iter().cloned());
                let labels = names.zip(labels.iter().cloned()).collect();
                let name = plan.name.clone();
                *none = Some(ConditionState { name, labels, active, value, count, since_unix_ns: now_ns });
            }
        }
        // A condition begins as inactive: to say so changes nothing.
        (was.unwrap_or(false) != active).then_some(said.state.as_ref()).flatten()
    }

    /// What is known now, by name and labels.
    pub(crate) fn states(&self) -> Vec<ConditionState> {
        let mut states: Vec<_> = self.places.iter().filter_map(|kept| kept.it.state.clone()).collect();
        states.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        states
    }

    /// Drops the conditions of models that are gone, with their series: nobody would ever clear them.
    pub(crate) fn sweep(
        &mut self,
        live: impl Fn(&[Arc<str>]) -> bool,
        mut forget: impl FnMut(usize, &Labels),
    ) {
        self.places.retain(|Kept { plan, labels, .. }| {
            let stays = live(model_of(labels));
            if !stays {
                forget(*plan, labels);
            }
            stays
        });
    }

    /// Goes on under another declaration, with the gauges of its `families`. Conditions of another name or
    /// other labels end; returns how many declarations of the same name did not fit.
    pub(crate) fn redeclare(&mut self, plans: Vec<ConditionPlan>, families: &[AnyFamily], key: &str) -> u64 {
        let same =
            |old: &ConditionPlan, new: &ConditionPlan| old.name == new.name && old.labels == new.labels;
        let old = std::mem::replace(self, Self { plans, ..Self::default() });
        let moves: Vec<Option<usize>> =
            old.plans.iter().map(|o| self.plans.iter().position(|new| same(o, new))).collect();
        let changed = |(o, to): &(&ConditionPlan, &Option<usize>)| {
            to.is_none() && self.plans.iter().any(|new| new.name == o.name)
        };
        let resets = old.plans.iter().zip(&moves).filter(changed).count() as u64;
        for Kept { plan, labels, it: said } in old.places.into_kept() {
            let Some(plan) = moves[plan] else { continue };
            let Some(gauge) = gauge(&families[plan], key, &labels) else { continue };
            gauge.set(f64::from(u8::from(said.state.as_ref().is_some_and(|state| state.active))));
            self.places.insert(plan, labels, Said { gauge, ..said });
        }
        resets
    }
}

/// The series of a condition; `None` past the cap, where it could not be told from others.
pub(crate) fn gauge(family: &AnyFamily, key: &str, labels: &Labels) -> Option<Arc<Gauge>> {
    let (cell, overflow) = family.series(&with_key(key, labels));
    match cell {
        Cell::Gauge(gauge) if !overflow => Some(gauge),
        _ => None,
    }
}

/// The label values of a series: the plugin's key first.
pub(crate) fn with_key<'a>(key: &'a str, labels: &'a Labels) -> Vec<&'a str> {
    std::iter::once(key).chain(labels.iter().map(|label| &**label)).collect()
}

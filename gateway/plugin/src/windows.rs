//! The sliding windows of one plugin key: by declaration, model and labels, and below each by text where it
//! is fed by a code column. They outlive instances and, while their shape stays, versions of the plugin.

use std::collections::HashMap;
use std::sync::Arc;

use weir_stats::{Summary, Window, WindowShape};

use crate::places::{Kept, Labels, Places, model_of};

/// Bytes a window takes beside its slices, roughly: names, map entries.
const OVERHEAD: usize = 256;

/// A window as declared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WindowPlan {
    pub(crate) name: Arc<str>,
    pub(crate) shape: WindowShape,
    pub(crate) labels: Vec<Arc<str>>,
}

impl WindowPlan {
    pub(crate) fn bytes(&self) -> usize {
        self.shape.bytes() + OVERHEAD
    }
}

/// What is kept for one declaration, model and set of labels.
#[derive(Debug, Default)]
struct Held {
    whole: Option<Window>,
    groups: HashMap<Arc<str>, Window, ahash::RandomState>,
}

impl Held {
    fn count(&self) -> usize {
        self.groups.len() + usize::from(self.whole.is_some())
    }
}

/// The windows of one key.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    plans: Vec<WindowPlan>,
    places: Places<Held>,
    /// Bytes held, and how many may be.
    bytes: usize,
    budget: usize,
}

/// What became of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fed {
    /// They came later than the window reaches back.
    pub(crate) late: u64,
    /// There was no room for another window.
    pub(crate) no_room: u64,
}

impl Fed {
    pub(crate) fn add(&mut self, other: Self) {
        self.late += other.late;
        self.no_room += other.no_room;
    }
}

impl Windows {
    pub(crate) fn new(plans: Vec<WindowPlan>, budget: usize) -> Self {
        Self { plans, budget, ..Self::default() }
    }

    /// Takes so many bytes of the budget for something else that is already there.
    pub(crate) fn book(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Takes `after` bytes of the budget in place of `before`; false, and nothing changes, if there is no
    /// room.
    pub(crate) fn rebook(&mut self, before: usize, after: usize) -> bool {
        let bytes = self.bytes.saturating_sub(before).saturating_add(after);
        let room = bytes <= self.budget || after <= before;
        if room {
            self.bytes = bytes;
        }
        room
    }

    /// The place of a window; made if it is new. `None` if there is no room.
    pub(crate) fn place(&mut self, plan: usize, labels: &Labels) -> Option<usize> {
        if let Some(place) = self.places.find(plan, labels) {
            return Some(place);
        }
        if self.bytes + OVERHEAD > self.budget {
            return None;
        }
        self.bytes += OVERHEAD;
        Some(self.places.insert(plan, labels.clone(), Held::default()))
    }

    /// Feeds finite values into a window, or into that of one text of it.
    pub(crate) fn feed(
        &mut self,
        place: usize,
        group: Option<&Arc<str>>,
        now_ns: u64,
        values: &[f64],
    ) -> Fed {
        let Some(Kept { plan, it: held, .. }) = self.places.get_mut(place) else { return Fed::default() };
        let plan = &self.plans[*plan];
        let known = match group {
            Some(text) => held.groups.contains_key(text),
            None => held.whole.is_some(),
        };
        if !known {
            if self.bytes + plan.bytes() > self.budget {
                return Fed { no_room: values.len() as u64, late: 0 };
            }
            self.bytes += plan.bytes();
        }
        let window = match group {
            Some(text) => held.groups.entry(text.clone()).or_insert_with(|| Window::new(plan.shape.clone())),
            None => held.whole.get_or_insert_with(|| Window::new(plan.shape.clone())),
        };
        let taken = window.push(now_ns, values);
        Fed { late: values.len() as u64 - taken, no_room: 0 }
    }

    /// What a window holds; `None` if nothing was ever fed to it.
    pub(crate) fn read(&self, place: usize, group: Option<&str>, now_ns: u64) -> Option<Summary> {
        let held = &self.places.get(place)?.it;
        let window = match group {
            Some(text) => held.groups.get(text)?,
            None => held.whole.as_ref()?,
        };
        Some(window.summary(now_ns))
    }

    /// Drops what has run empty: texts always, windows only of models that are gone, since handles speak of
    /// the others.
    pub(crate) fn sweep(&mut self, now_ns: u64, live: impl Fn(&[Arc<str>]) -> bool) {
        let Self { plans, places, bytes, .. } = self;
        places.retain(|Kept { plan, labels, it: held }| {
            let size = plans[*plan].bytes();
            let before = held.groups.len();
            held.groups.retain(|_, window| !window.is_empty(now_ns));
            *bytes -= (before - held.groups.len()) * size;
            let empty = held.groups.is_empty() && held.whole.as_ref().is_none_or(|w| w.is_empty(now_ns));
            let stays = !empty || live(model_of(labels));
            if !stays {
                *bytes -= OVERHEAD + held.count() * size;
            }
            stays
        });
    }

    /// The same windows under another declaration. What has the name of a new window but another shape or
    /// other labels starts anew; returns how many declarations did.
    pub(crate) fn redeclared(self, plans: Vec<WindowPlan>, budget: usize) -> (Self, u64) {
        let mut next = Self::new(plans, budget);
        let moves: Vec<Option<usize>> =
            self.plans.iter().map(|old| next.plans.iter().position(|new| new == old)).collect();
        let changed = |old: &WindowPlan| next.plans.iter().any(|new| new.name == old.name && new != old);
        let resets = self.plans.iter().filter(|old| changed(old)).count() as u64;
        for Kept { plan, labels, it: held } in self.places.into_kept() {
            let Some(plan) = moves[plan] else { continue };
            next.bytes += OVERHEAD + held.count() * next.plans[plan].bytes();
            next.places.insert(plan, labels, held);
        }
        (next, resets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str, span_ns: u64) -> WindowPlan {
        let shape = WindowShape { span_ns, slices: 10, edges: Arc::from([1.0]) };
        WindowPlan { name: name.into(), shape, labels: Vec::new() }
    }

    fn labels(model: &str) -> Labels {
        ["route", model, "1"].map(Arc::from).into()
    }

    fn count(windows: &Windows, place: usize, group: Option<&str>) -> Option<u64> {
        windows.read(place, group, 5).map(|summary| summary.moments.count)
    }

    #[test]
    fn windows_go_on_when_their_declaration_is_equal_and_restart_when_it_is_not() {
        let mut windows = Windows::new(vec![plan("a", 100), plan("b", 100), plan("c", 100)], 1 << 20);
        for i in 0..3 {
            let place = windows.place(i, &labels("m")).unwrap();
            windows.feed(place, None, 5, &[1.0, 2.0]);
            windows.feed(place, Some(&"x".into()), 5, &[1.0]);
        }
        let before = windows.bytes;
        let (mut windows, resets) = windows.redeclared(vec![plan("b", 200), plan("a", 100)], 1 << 20);
        assert_eq!(resets, 1, "`b` has another span, `c` is not wanted any more");
        let a = windows.place(1, &labels("m")).unwrap();
        let b = windows.place(0, &labels("m")).unwrap();
        assert_eq!((count(&windows, a, None), count(&windows, a, Some("x"))), (Some(2), Some(1)));
        assert_eq!(count(&windows, b, None), None);
        assert_eq!(windows.bytes, before / 3 + OVERHEAD);
    }

    #[test]
    fn windows_past_the_budget_take_nothing_and_say_so() {
        let size = plan("a", 100).bytes();
        let mut windows = Windows::new(vec![plan("a", 100)], OVERHEAD + 2 * size);
        let place = windows.place(0, &labels("m")).unwrap();
        assert_eq!(windows.feed(place, Some(&"x".into()), 5, &[1.0]), Fed::default());
        assert_eq!(windows.feed(place, None, 5, &[1.0]), Fed::default());
        assert_eq!(windows.feed(place, Some(&"y".into()), 5, &[1.0, 2.0]), Fed { no_room: 2, late: 0 });
        assert_eq!(windows.place(0, &labels("other")), None);
        windows.sweep(1000, |_| false);
        assert_eq!((windows.bytes, count(&windows, place, None)), (0, None));
        assert!(windows.place(0, &labels("other")).is_some());
    }

    #[test]
    fn empty_windows_of_live_models_stay_for_their_handles() {
        let mut windows = Windows::new(vec![plan("a", 100)], 1 << 20);
        let place = windows.place(0, &labels("m")).unwrap();
        windows.feed(place, None, 5, &[1.0]);
        windows.feed(place, Some(&"x".into()), 5, &[1.0]);
        windows.sweep(1000, |model| &*model[1] == "m");
        assert_eq!((count(&windows, place, None), count(&windows, place, Some("x"))), (Some(1), None));
        assert_eq!(windows.feed(place, None, 1000, &[1.0]).late, 0);
        assert_eq!(windows.feed(place, None, 5, &[1.0]).late, 1);
    }
}

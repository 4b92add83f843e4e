//! The sliding windows of one plugin key: by declaration, model and labels, and below each by text where it
//! is fed by a code column. They outlive instances and, while their shape stays, versions of the plugin.

use std::collections::HashMap;
use std::sync::Arc;

use weir_stats::{Summary, Window, WindowShape};

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

/// Route, model, version, then the plugin's own label values.
pub(crate) type Labels = Arc<[Arc<str>]>;

/// The part of [`Labels`] that says which model.
pub(crate) fn model_of(labels: &Labels) -> &[Arc<str>] {
    &labels[..3]
}

#[derive(Debug)]
struct Entry {
    plan: usize,
    labels: Labels,
    whole: Option<Window>,
    groups: HashMap<Arc<str>, Window, ahash::RandomState>,
}

/// The windows of one key.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    plans: Vec<WindowPlan>,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    places: HashMap<(usize, Labels), usize, ahash::RandomState>,
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

    /// The place of a window; made if it is new. `None` if there is no room.
    pub(crate) fn place(&mut self, plan: usize, labels: &Labels) -> Option<usize> {
        if let Some(place) = self.places.get(&(plan, labels.clone())) {
            return Some(*place);
        }
        if self.bytes + OVERHEAD > self.budget {
            return None;
        }
        self.bytes += OVERHEAD;
        let entry = Entry { plan, labels: labels.clone(), whole: None, groups: HashMap::default() };
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() - 1
            }
        };
        self.places.insert((plan, labels.clone()), place);
        Some(place)
    }

    /// Feeds finite values into a window, or into that of one text of it.
    pub(crate) fn feed(
        &mut self,
        place: usize,
        group: Option<&Arc<str>>,
        now_ns: u64,
        values: &[f64],
    ) -> Fed {
        let Some(Some(entry)) = self.entries.get_mut(place) else { return Fed::default() };
        let plan = &self.plans[entry.plan];
        let known = match group {
            Some(text) => entry.groups.contains_key(text),
            None => entry.whole.is_some(),
        };
        if !known {
            if self.bytes + plan.bytes() > self.budget {
                return Fed { no_room: values.len() as u64, late: 0 };
            }
            self.bytes += plan.bytes();
        }
        let window = match group {
            Some(text) => entry.groups.entry(text.clone()).or_insert_with(|| Window::new(plan.shape.clone())),
            None => entry.whole.get_or_insert_with(|| Window::new(plan.shape.clone())),
        };
        let taken = window.push(now_ns, values);
        Fed { late: values.len() as u64 - taken, no_room: 0 }
    }

    /// What a window holds; `None` if nothing was ever fed to it.
    pub(crate) fn read(&self, place: usize, group: Option<&str>, now_ns: u64) -> Option<Summary> {
        let entry = self.entries.get(place)?.as_ref()?;
        let window = match group {
            Some(text) => entry.groups.get(text)?,
            None => entry.whole.as_ref()?,
        };
        Some(window.summary(now_ns))
    }

    /// Drops what has run empty: texts always, windows only of models that are gone, since handles speak of
    /// the others.
    pub(crate) fn sweep(&mut self, now_ns: u64, live: impl Fn(&[Arc<str>]) -> bool) {
        for place in 0..self.entries.len() {
            let Some(entry) = &mut self.entries[place] else { continue };
            let size = self.plans[entry.plan].bytes();
            let before = entry.groups.len();
            entry.groups.retain(|_, window| !window.is_empty(now_ns));
            self.bytes -= (before - entry.groups.len()) * size;
            let empty = entry.groups.is_empty() && entry.whole.as_ref().is_none_or(|w| w.is_empty(now_ns));
            if empty && !live(model_of(&entry.labels)) {
                self.bytes -= OVERHEAD + usize::from(entry.whole.is_some()) * size;
                self.places.remove(&(entry.plan, entry.labels.clone()));
                self.entries[place] = None;
                self.free.push(place);
            }
        }
    }

    /// The same windows under another declaration. What has the name of a new window but another shape or
    /// other labels starts anew; returns how many declarations did.
    pub(crate) fn redeclared(self, plans: Vec<WindowPlan>, budget: usize) -> (Self, u64) {
        let mut next = Self::new(plans, budget);
        let moves: Vec<Option<usize>> =
            self.plans.iter().map(|old| next.plans.iter().position(|new| new == old)).collect();
        let changed = |old: &WindowPlan| next.plans.iter().any(|new| new.name == old.name && new != old);
        let resets = self.plans.iter().filter(|old| changed(old)).count() as u64;
        for entry in self.entries.into_iter().flatten() {
            let Some(plan) = moves[entry.plan] else { continue };
            let windows = entry.groups.len() + usize::from(entry.whole.is_some());
            next.bytes += OVERHEAD + windows * next.plans[plan].bytes();
            next.places.insert((plan, entry.labels.clone()), next.entries.len());
            next.entries.push(Some(Entry { plan, ..entry }));
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

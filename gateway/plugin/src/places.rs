//! Numbered places for what is kept by declaration, model and labels: what stands behind a plugin's handles.

use std::collections::HashMap;
use std::sync::Arc;

/// Route, model, version, then the plugin's own label values.
pub(crate) type Labels = Arc<[Arc<str>]>;

/// The part of [`Labels`] that says which model.
pub(crate) fn model_of(labels: &Labels) -> &[Arc<str>] {
    &labels[..3]
}

/// What has a place.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// Index of its declaration.
    pub(crate) plan: usize,
    pub(crate) labels: Labels,
    pub(crate) it: T,
}

/// Places stay as they are while others come and go; those that were left are given away again.
#[derive(Debug)]
pub(crate) struct Places<T> {
    kept: Vec<Option<Kept<T>>>,
    free: Vec<usize>,
    by_labels: HashMap<(usize, Labels), usize, ahash::RandomState>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), free: Vec::new(), by_labels: HashMap::default() }
    }
}

impl<T> Places<T> {
    /// Where it is, if it is anywhere.
    pub(crate) fn find(&self, plan: usize, labels: &Labels) -> Option<usize> {
        self.by_labels.get(&(plan, labels.clone())).copied()
    }

    /// Gives a place to what has none.
    pub(crate) fn insert(&mut self, plan: usize, labels: Labels, it: T) -> usize {
        let kept = Some(Kept { plan, labels: labels.clone(), it });
        let place = match self.free.pop() {
            Some(place) => {
                self.kept[place] = kept;
                place
            }
            None => {
                self.kept.push(kept);
                self.kept.len() - 1
            }
        };
        self.by_labels.insert((plan, labels), place);
        place
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Kept<T>> {
        self.kept.get(place)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut Kept<T>> {
        self.kept.get_mut(place)?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Kept<T>> {
        self.kept.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kept<T>> {
        self.kept.iter_mut().flatten()
    }

    /// Takes the place of all for which `stays` is false.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&mut Kept<T>) -> bool) {
        for (place, slot) in self.kept.iter_mut().enumerate() {
            if let Some(Kept { plan, labels, .. }) = slot.take_if(|kept| !stays(kept)) {
                self.by_labels.remove(&(plan, labels));
                self.free.push(place);
            }
        }
    }

    /// Everything, in the order of places.
    pub(crate) fn into_kept(self) -> impl Iterator<Item = Kept<T>> {
        self.kept.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stays_while_others_go_and_is_given_away_again() {
        let labels = |model: &str| -> Labels { ["route", model, "1"].map(Arc::from).into() };
        let mut places = Places::default();
        let [a, b] = ["a", "b"].map(|model| places.insert(0, labels(model), model.to_owned()));
        places.retain(|kept| kept.it != "a");
        assert_eq!((places.find(0, &labels("a")), places.get(a).is_none()), (None, true));
        assert_eq!(places.find(0, &labels("b")), Some(b));
        assert_eq!(places.insert(1, labels("c"), "c".to_owned()), a);
        assert_eq!(places.find(0, &labels("c")), None, "another declaration's");
        assert_eq!(places.into_kept().map(|kept| kept.it).collect::<Vec<_>>(), ["c", "b"]);
    }
}

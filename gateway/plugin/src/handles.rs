//! The numbers by which an instance speaks of series, windows, conditions and tallies.
//!
//! A handle is a place and how often that place was given out before, so that one whose schema has been
//! retired means nothing instead of something else.

use std::collections::HashMap;

use crate::family::Cell;

/// What arguments that fit nothing get.
pub(crate) const NO_HANDLE: u32 = u32::MAX;

/// Handles an instance may hold. The SDK forgets and asks again before it has as many.
const MOST: usize = 1 << 16;
const PLACE_BITS: u32 = 17;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;

/// What a handle can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Series,
    Window,
    Condition,
    Tally,
}

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Series(Cell),
    /// Index into the windows, conditions or tallies of the state.
    Window(usize),
    Condition(usize),
    Tally(usize),
}

/// The question that a handle answers. `labels` is `None` for the series past the cap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) schema: u32,
    pub(crate) kind: Kind,
    /// Which metric, window or condition of the manifest; 0 for a tally, which is a question in itself.
    pub(crate) index: u32,
    pub(crate) labels: Option<Vec<String>>,
}

#[derive(Debug, Default)]
struct Place {
    /// Times this place was given out before.
    round: u32,
    target: Option<Target>,
}

/// The handles of one instance.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    places: Vec<Place>,
    free: Vec<u32>,
    known: HashMap<Asked, u32, ahash::RandomState>,
}

impl Handles {
    pub(crate) fn find(&self, asked: &Asked) -> Option<u32> {
        self.known.get(asked).copied()
    }

    /// A new handle; `None` if there are too many.
    pub(crate) fn add(&mut self, asked: Asked, target: Target) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.places.len() < MOST => {
                self.places.push(Place::default());
                (self.places.len() - 1) as u32
            }
            None => return None,
        };
        let slot = &mut self.places[place as usize];
        slot.target = Some(target);
        let handle = slot.round << PLACE_BITS | place;
        self.known.insert(asked, handle);
        Some(handle)
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&Target> {
        let place = self.places.get((handle & PLACE_MASK) as usize)?;
        if place.round == handle >> PLACE_BITS { place.target.as_ref() } else { None }
    }

    /// Ends the handles of a schema.
    pub(crate) fn retire(&mut self, schema: u32) {
        let Self { places, free, known } = self;
        known.retain(|asked, handle| {
            let stays = asked.schema != schema;
            if !stays {
                let place = &mut places[(*handle & PLACE_MASK) as usize];
                place.target = None;
                place.round = (place.round + 1) & (u32::MAX >> PLACE_BITS);
                free.push(*handle & PLACE_MASK);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(schema: u32, index: u32) -> Asked {
        Asked { schema, kind: Kind::Window, index, labels: Some(Vec::new()) }
    }

    #[test]
    fn a_handle_of_a_retired_schema_means_nothing_even_when_its_place_is_taken_again() {
        let mut handles = Handles::default();
        let old = handles.add(asked(1, 0), Target::Window(7)).unwrap();
        let other = handles.add(asked(2, 0), Target::Window(8)).unwrap();
        handles.retire(1);
        assert!(handles.get(old).is_none() && handles.find(&asked(1, 0)).is_none());
        let new = handles.add(asked(3, 0), Target::Window(9)).unwrap();
        assert!(handles.get(old).is_none());
        assert!(matches!(handles.get(new), Some(Target::Window(9))));
        assert!(matches!(handles.get(other), Some(Target::Window(8))));
        assert!(handles.get(NO_HANDLE).is_none());
    }

    #[test]
    fn handles_are_bounded() {
        let mut handles = Handles::default();
        assert!((0..MOST as u32).all(|i| handles.add(asked(1, i), Target::Window(0)).is_some()));
        assert_eq!(handles.add(asked(1, u32::MAX), Target::Window(0)), None);
        handles.retire(1);
        assert!(handles.add(asked(2, 0), Target::Window(0)).is_some());
    }
}

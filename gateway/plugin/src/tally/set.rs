//! The tallies of one plugin key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_exchange::{Batch, SchemaId};
use weir_profile::Profile;

use super::export::Exported;
use super::live::LiveCounts;
use super::rows::Scratch;
use super::{Counted, GRACE_NS, Lost, Tally, Wanted, Wish};
use crate::family::AnyFamily;
use crate::places::{Kept, Labels, Places, model_of};
use crate::windows::Windows;

/// Tallies of one model: each costs every batch of it.
const MOST_OF_A_MODEL: usize = 8;

/// Tells what was answered and never counted, so that a plugin knows how much of the traffic it speaks of.
pub trait Coverage: Send + Sync {
    /// Exchanges of a route so far that were answered and that the plugin of this key was not given: shed,
    /// truncated, not decodable, dropped by its queue. Never falls.
    fn lost(&self, key: &str, route: &str) -> u64;
}

/// Tells what [`Coverage::lost`] says of a route; `None` if nobody counts.
pub(crate) type LostOf<'a> = dyn Fn(&str) -> Option<u64> + 'a;

/// All tallies of a key.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    pub(super) places: Places<Tally>,
    scratch: Scratch,
    /// Since when rows wait to be counted, if any do.
    uncounted_ns: Option<u64>,
    /// Something was counted since they were saved.
    pub(crate) changed: bool,
}

/// Tallies are also read by whoever asks for live counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTallies(Arc<Mutex<Tallies>>);

/// How long rows may wait to be counted, in ns: what is exported shows them then.
const WAIT_NS: u64 = 1_000_000_000;

impl SharedTallies {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tallies> {
        // Nothing under this lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts belong to.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) key: &'a str,
    pub(crate) families: &'a [AnyFamily],
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) place: usize,
    /// There was one of this name with another shape: it begins anew.
    pub(crate) reset: bool,
}

impl Tallies {
    /// Opens a tally or goes on with it; `None` if there is no room.
    pub(crate) fn open(
        &mut self,
        (model, wish): (&[Arc<str>; 3], Wish),
        profile: &Arc<Profile>,
        (owner, windows): (Owner<'_>, &mut Windows),
        now_ns: u64,
    ) -> Option<Opened> {
        let labels: Labels = model.iter().cloned().chain([wish.name.clone()]).collect();
        let place = self.places.find(0, &labels);
        if let Some(known) = place.and_then(|place| self.places.get_mut(place)) {
            let tally = &mut known.it;
            if tally.wish.shape == wish.shape && tally.profile.digest == profile.digest {
                let before = Tally::bytes(&tally.wish, profile);
                if !windows.rebook(before, Tally::bytes(&wish, profile)) {
                    return None;
                }
                let announce = tally.wish.exported != wish.exported || tally.exported.is_none();
                // Those that wait came before this wish.
                tally.count();
                tally.detect(wish.run_length);
                (tally.wanted, tally.wish) = (Wanted::Asked, wish);
                if announce {
                    tally.announce(owner, model);
                }
                return Some(Opened { place: place?, reset: false });
            }
        }
        let before = place.and_then(|place| self.places.get(place));
        let before = before.map_or(0, |known| Tally::bytes(&known.it.wish, &known.it.profile));
        let of_model = self.places.iter().filter(|kept| model_of(&kept.labels) == model).count();
        if place.is_none() && of_model >= MOST_OF_A_MODEL
            || !windows.rebook(before, Tally::bytes(&wish, profile))
        {
            return None;
        }
        let mut tally = Tally::new(wish, profile.clone(), now_ns);
        tally.announce(owner, model);
        self.changed = true;
        let reset = place.is_some();
        match place.and_then(|place| self.places.get_mut(place)) {
            Some(known) => {
                // Exported counts outlive the windows.
                known.it.count();
                known.it = tally;
            }
            None => return Some(Opened { place: self.places.insert(0, labels, tally), reset }),
        }
        place.map(|place| Opened { place, reset })
    }

    /// Whether a batch of a model is counted anywhere.
    pub(crate) fn counts(&self, model: &[Arc<str>; 3], fresh: bool) -> bool {
        self.places.iter().any(wanted(model, fresh))
    }

    /// Takes a batch in for every tally of its model; with `fresh`, for those alone that were opened since it
    /// came.
    pub(crate) fn take_in(
        &mut self,
        batch: &Batch,
        model: &[Arc<str>; 3],
        (lost, now_ns): (&LostOf<'_>, u64),
        fresh: bool,
    ) -> Counted {
        let wanted = wanted(model, fresh);
        let share = self.shares();
        let mut counted = Counted::default();
        let Self { places, scratch, changed, uncounted_ns } = self;
        for kept in places.iter_mut().filter(|kept| wanted(kept)) {
            let lost = Lost { total: lost(&model[0]), share: share(&kept.labels, &kept.it) };
            counted.late += kept.it.take_in(batch, lost, scratch).late;
            if kept.it.waits() {
                uncounted_ns.get_or_insert(now_ns);
            }
            *changed = true;
        }
        counted
    }

    /// Counts the rows that wait.
    pub(crate) fn count(&mut self) {
        if self.uncounted_ns.take().is_some() {
            self.places.iter_mut().for_each(|kept| kept.it.count());
        }
    }

    /// Closes the windows that have ended.
    pub(crate) fn advance(&mut self, now_ns: u64, lost: &LostOf<'_>) {
        if self.due().is_none_or(|due| due > now_ns) {
            return;
        }
        let share = self.shares();
        for kept in self.places.iter_mut() {
            let lost = Lost { total: lost(&kept.labels[0]), share: share(&kept.labels, &kept.it) };
            kept.it.advance(now_ns, lost);
        }
        self.changed = true;
    }

    /// What was lost of a route is lost of its models as they share in what was counted.
    fn shares(&self) -> impl Fn(&Labels, &Tally) -> f64 + use<> {
        let observed = |tally: &Tally| tally.open.front().map_or(0.0, |window| window.observed);
        let fronts: Vec<(Labels, u64, f64)> = self
            .places
            .iter()
            .map(|kept| (kept.labels.clone(), kept.it.front_ns, observed(&kept.it)))
            .collect();
        move |labels, tally| {
            let together = fronts.iter().filter(|(other, front, _)| {
                (&other[0], &other[3], *front) == (&labels[0], &labels[3], tally.front_ns)
            });
            let (mut count, mut total) = (0.0, 0.0);
            together.for_each(|(.., rows)| (count, total) = (count + 1.0, total + rows));
            let own = observed(tally);
            if total > 0.0 { own / total } else { 1.0 / f64::max(count, 1.0) }
        }
    }

    /// When the next window closes, or rows have waited for long enough.
    pub(crate) fn due(&self) -> Option<u64> {
        let counts = self.uncounted_ns.map(|since_ns| since_ns.saturating_add(WAIT_NS));
        self.places.iter().map(|kept| kept.it.due_ns()).chain(counts).min()
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Tally> {
        self.places.get(place).map(|kept| &kept.it)
    }

    /// The tally of the same name of another version of the model, in the bins of the same profile.
    pub(crate) fn of_version(&self, place: usize, version: &str) -> Option<&Tally> {
        let Kept { labels, it, .. } = self.places.get(place)?;
        let same = |other: &&Kept<Tally>| {
            let theirs = &other.labels;
            (&theirs[0], &theirs[1], &*theirs[2], &theirs[3]) == (&labels[0], &labels[1], version, &labels[3])
        };
        self.places
            .iter()
            .find(same)
            .map(|kept| &kept.it)
            .filter(|other| other.profile.digest == it.profile.digest)
    }

    /// A window has been judged.
    pub(crate) fn done(&mut self, place: usize, begin_ns: u64, looked: bool) {
        if let Some(kept) = self.places.get_mut(place) {
            kept.it.done(begin_ns, looked);
            self.changed = true;
        }
    }

    /// A schema will not come again.
    pub(crate) fn forget(&mut self, schema: SchemaId) {
        self.places.iter_mut().for_each(|kept| {
            kept.it.maps.remove(&schema);
        });
    }

    /// Another judge takes over, which has to open again what it wants to go on. Books the bytes.
    pub(crate) fn redeclared(&mut self, owner: Owner<'_>, windows: &mut Windows, now_ns: u64) {
        for Kept { labels, it: tally, .. } in self.places.iter_mut() {
            let span = tally.span_ns();
            tally.counted_ns = tally.counted_ns.max(now_ns);
            tally.wanted = Wanted::Until(now_ns.saturating_add(span).saturating_add(GRACE_NS.min(span)));
            let model: Vec<Arc<str>> = model_of(labels).to_vec();
            tally.announce(owner, &model);
            windows.book(Tally::bytes(&tally.wish, &tally.profile));
        }
    }

    /// Drops what nobody asked for again, and what belongs to models that are gone.
    pub(crate) fn sweep(&mut self, now_ns: u64, live: impl Fn(&[Arc<str>]) -> bool, windows: &mut Windows) {
        let Self { places, changed, .. } = self;
        places.retain(|Kept { labels, it: tally, .. }| {
            let over = tally.is_over(now_ns, live(model_of(labels)));
            if over {
                windows.rebook(Tally::bytes(&tally.wish, &tally.profile), 0);
                *changed = true;
            }
            !over
        });
    }

    /// What the tallies of a model hold now.
    pub(crate) fn live(&self, model: [&str; 3]) -> Vec<LiveCounts> {
        let of_model = |kept: &&Kept<Tally>| model_of(&kept.labels).iter().zip(model).all(|(a, b)| **a == *b);
        let mut all: Vec<LiveCounts> =
            self.places.iter().filter(of_model).map(|kept| kept.it.live()).collect();
        all.sort_by(|a, b| a.tally.cmp(&b.tally));
        all
    }

    /// Nothing waits since a time to come.
    pub(super) fn wait_since(&mut self, now_ns: u64) {
        self.uncounted_ns = self.uncounted_ns.map(|since_ns| since_ns.min(now_ns));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Labels, &Tally)> {
        self.places.iter().map(|kept| (&kept.labels, &kept.it))
    }

    /// Takes over a tally that was saved.
    pub(super) fn restore(&mut self, labels: Labels, tally: Tally) {
        if self.places.find(0, &labels).is_none() {
            self.places.insert(0, labels, tally);
        }
    }
}

fn wanted(model: &[Arc<str>; 3], fresh: bool) -> impl Fn(&Kept<Tally>) -> bool {
    move |kept| model_of(&kept.labels) == model && (!fresh || kept.it.fresh)
}

impl Tally {
    /// Has its counter show all bins.
    fn announce(&mut self, Owner { key, families }: Owner<'_>, model: &[Arc<str>]) {
        self.exported = self.wish.exported.as_ref().and_then(|(metric, features)| {
            let family = families.iter().find(|family| family.spec().name == *metric)?;
            Some(Exported::new((family, key), model, &self.profile, *features))
        });
    }
}

//! One look at one window: every hypothesis of it, and what Holm makes of them together.

use weir_plugin_sdk::prelude::role;
use weir_plugin_sdk::reference::{
    Against, Closed, Comparison, Feature, Misfit, MisfitKind, ProfileInfo, Segment, Table, Tally,
};
use weir_plugin_sdk::statistics;
use weir_plugin_sdk::turns::Turns;

/// What of a feature is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Where its values lie.
    Values,
    /// How many rows have none.
    Missing,
}

impl Of {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Missing => "missing",
        }
    }
}

/// Of which rows: of the window's segments, or all.
pub(crate) type Place = (usize, Option<usize>);

/// A hypothesis: nothing has changed.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    /// Its comparison, by index.
    pub(crate) of: (usize, Of),
    /// Holm's, over the family.
    pub(crate) adjusted_p: f64,
    /// The p that it would have had to stay above, with its rank.
    pub(crate) cut_off: f64,
    pub(crate) drift: bool,
}

/// A look that may take several calls.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) begin_ns: u64,
    places: Vec<Place>,
    next: usize,
    /// Places that could be compared.
    pub(crate) compared: Vec<(Place, Comparison)>,
    /// Once all are: the tests, those to tell first, and what is told of them so far, as JSON.
    pub(crate) tests: Option<Vec<Test>>,
    pub(crate) told: Vec<String>,
}

/// What decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) level: f64,
    pub(crate) min_effect: f64,
}

impl Look {
    /// Everything of a window that is to be judged: whole, and each segment with rows enough.
    pub(crate) fn new(closed: &Closed, features: &[usize], min_rows: f64) -> Self {
        let enough = |(_, segment): &(usize, &Segment)| segment.effective >= min_rows;
        let segments = closed.segments.iter().enumerate().filter(enough).map(|(at, _)| Some(at));
        let of_segment = |segment| features.iter().map(move |feature| (*feature, segment));
        let places = [None].into_iter().chain(segments).flat_map(of_segment).collect();
        Self {
            begin_ns: closed.begin_ns,
            places,
            next: 0,
            compared: Vec::new(),
            tests: None,
            told: Vec::new(),
        }
    }

    /// Compares as many more as the budget allows; true if that was all.
    pub(crate) fn go_on(&mut self, tally: Tally, against: &Against, turns: &mut Turns) -> bool {
        let end = self.places.len().min(self.next + turns.take(self.places.len() - self.next, 1));
        for place in &self.places[self.next..end] {
            let comparison = tally.compare(place.0, place.1, against);
            self.compared.extend(comparison.map(|it| (*place, it)));
        }
        self.next = end;
        end == self.places.len()
    }

    /// Holm over the whole family. What has no degrees of freedom is no hypothesis: nothing it could show.
    /// The first `most` are in the order of p, so that what has moved most clearly comes first; of a family
    /// of thousands the rest is left as it is, since sorting takes a call's whole work.
    pub(crate) fn tests(&self, bar: Bar, most: usize) -> Vec<Test> {
        let both = |at: usize| [(at, Of::Values), (at, Of::Missing)];
        let mut family: Vec<(usize, Of)> = (0..self.compared.len()).flat_map(both).collect();
        family.retain(|of| self.table(*of).dof > 0);
        let p: Vec<f64> = family.iter().map(|of| self.table(*of).alarm_p).collect();
        let adjusted = statistics::holm(&p);
        let mut order: Vec<usize> = (0..family.len()).collect();
        // Equal p-values, such as 0, by how far the rows have moved.
        let key = |at: &usize| (p[*at], -self.table(family[*at]).psi.corrected);
        let by = |a: &usize, b: &usize| key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1));
        if most < order.len() {
            order.select_nth_unstable_by(most, by);
        }
        let told = order.len().min(most);
        order[..told].sort_by(by);
        let test = |(rank, at): (usize, usize)| Test {
            of: family[at],
            adjusted_p: adjusted[at],
            cut_off: bar.level / (family.len() - rank) as f64,
            drift: adjusted[at] <= bar.level && self.table(family[at]).psi.corrected > bar.min_effect,
        };
        order.into_iter().enumerate().map(test).collect()
    }

    pub(crate) fn table(&self, (at, of): (usize, Of)) -> &Table {
        let comparison = &self.compared[at].1;
        match of {
            Of::Values => &comparison.values,
            Of::Missing => &comparison.missing,
        }
    }

    pub(crate) fn place(&self, test: &Test) -> Place {
        self.compared[test.of.0].0
    }
}

/// Features that are judged: not those that were left out by name, those whose own reference would raise
/// alarms, nor those that no reply has.
pub(crate) fn judged(profile: &ProfileInfo, misfits: &[Misfit], ignore: &[String]) -> Vec<usize> {
    let judged = |(_, it): &(usize, &Feature)| why_not(it, misfits, ignore).is_none();
    profile.features.iter().enumerate().filter(judged).map(|(at, _)| at).collect()
}

/// Why a feature has no verdict.
pub(crate) fn why_not(feature: &Feature, misfits: &[Misfit], ignore: &[String]) -> Option<&'static str> {
    let same = |misfit: &&Misfit| misfit.name == feature.name && misfit.role == feature.role;
    match misfits.iter().filter(same).map(|misfit| misfit.what).next() {
        Some(MisfitKind::Missing) => Some("never seen"),
        Some(MisfitKind::OtherKind) => Some("of another kind"),
        _ if feature.unstable => Some("unstable"),
        _ if ignore.contains(&feature.name) => Some("ignored"),
        _ => None,
    }
}

/// Whether traffic that differs so is none that the profile is of: an input was never seen, or is numbers
/// where the profile has texts. Replies that say less than the profile knows are judged by what they say.
pub(crate) fn is_refused(misfit: &Misfit) -> bool {
    misfit.role == role::INPUT && misfit.what != MisfitKind::Extra
}

/// The columns that differ, in words.
pub(crate) fn named(misfits: &[Misfit]) -> String {
    let words = |misfit: &Misfit| match misfit.what {
        MisfitKind::Missing => format!("`{}` was never seen", misfit.name),
        MisfitKind::OtherKind => format!("`{}` is of another kind", misfit.name),
        MisfitKind::Extra => format!("`{}` is not in the profile", misfit.name),
    };
    misfits.iter().map(words).collect::<Vec<_>>().join(", ")
}

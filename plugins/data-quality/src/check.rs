//! What is checked, and when what was found is too much to be tolerated.
//!
//! Each check is a hypothesis: no more is wrong than is allowed. Holm's procedure holds the level over all of
//! a look, with intervals in place of p-values: as long as hypotheses are rejected at the level divided by
//! how many are left, the rest is tried at the next one.

use weir_plugin_sdk::statistics::{self, Interval};

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    Missing,
    /// A number where the reference has texts, or the other way round.
    Type,
    OutOfRange,
    UnseenCategory,
    NonFinite,
    Constant,
    DuplicateRows,
    ExtraColumn,
    MissingColumn,
}

impl Check {
    pub(crate) const ALL: [Self; 9] = [
        Self::Missing,
        Self::Type,
        Self::OutOfRange,
        Self::UnseenCategory,
        Self::NonFinite,
        Self::Constant,
        Self::DuplicateRows,
        Self::ExtraColumn,
        Self::MissingColumn,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Type => "type",
            Self::OutOfRange => "out_of_range",
            Self::UnseenCategory => "unseen_category",
            Self::NonFinite => "non_finite",
            Self::Constant => "constant",
            Self::DuplicateRows => "duplicate_rows",
            Self::ExtraColumn => "extra_column",
            Self::MissingColumn => "missing_column",
        }
    }
}

/// A share of rows, and what is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Rows, each as many times as it stands for.
    pub(crate) rows: f64,
    pub(crate) share: f64,
    /// Independent rows that know as much.
    pub(crate) n: f64,
    pub(crate) allowed: f64,
    /// The reference's share, the rows that rests on, and what is tolerated beyond it.
    pub(crate) reference: Option<(f64, f64, f64)>,
}

impl Share {
    /// No smaller than the probability of as many such rows if no more than what is allowed were: exact up to
    /// a factor, however few are expected (Chernoff 1952), where a normal interval alone would alarm too
    /// often.
    pub(crate) fn p(&self) -> f64 {
        let Self { share, n, allowed, .. } = *self;
        if share <= allowed {
            return 1.0;
        }
        let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
        (-n * (part(share, allowed) + part(1.0 - share, 1.0 - allowed))).exp()
    }

    /// Wilson's interval of the share.
    pub(crate) fn interval(&self, confidence: f64) -> Interval {
        statistics::wilson(self.share * self.n, self.n, confidence)
    }

    /// Newcombe's interval of how far it is from the reference's.
    pub(crate) fn difference(&self, confidence: f64) -> Option<Interval> {
        let (share, n, _) = self.reference?;
        Some(statistics::newcombe((self.share * self.n, self.n), (share * n, n), confidence))
    }

    fn is_more(&self, level: f64) -> bool {
        // A single row is more than none.
        if self.allowed <= 0.0 && self.reference.is_none_or(|(_, _, tolerance)| tolerance <= 0.0) {
            return self.share > 0.0;
        }
        let confidence = one_sided(level);
        let tolerance = self.reference.map_or(0.0, |(_, _, tolerance)| tolerance);
        self.p() <= level
            && self.interval(confidence).low > self.allowed
            && self.difference(confidence).is_none_or(|it| it.low > tolerance)
    }
}

/// The confidence of an interval whose one end is wrong that often.
pub(crate) fn one_sided(level: f64) -> f64 {
    (1.0 - 2.0 * level).max(0.0)
}

/// What speaks against a hypothesis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evidence {
    Share(Share),
    /// So many rows show it, and chance alone would with this probability.
    Chance {
        rows: f64,
        share: f64,
        p: f64,
    },
    /// It is so.
    Fact,
}

impl Evidence {
    fn rejects(&self, level: f64) -> bool {
        match self {
            Self::Share(share) => share.is_more(level),
            Self::Chance { p, .. } => *p <= level,
            Self::Fact => true,
        }
    }

    pub(crate) fn p(&self) -> f64 {
        match self {
            Self::Share(share) => share.p(),
            Self::Chance { p, .. } => *p,
            Self::Fact => 0.0,
        }
    }

    pub(crate) fn share(&self) -> f64 {
        match self {
            Self::Share(Share { share, .. }) | Self::Chance { share, .. } => *share,
            Self::Fact => 1.0,
        }
    }
}

/// A check that found something.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) check: Check,
    /// The name of a feature or column; empty for the rows as such.
    pub(crate) column: String,
    /// The feature of the profile.
    pub(crate) feature: Option<usize>,
    pub(crate) evidence: Evidence,
    /// The level it was last tried at.
    pub(crate) level: f64,
    pub(crate) bad: bool,
}

impl Found {
    pub(crate) fn new(check: Check, column: &str, feature: Option<usize>, evidence: Evidence) -> Self {
        Self { check, column: column.to_owned(), feature, evidence, level: 0.0, bad: false }
    }
}

/// Decides what is bad. `family` is how many checks were made, those that found nothing included.
pub(crate) fn decide(found: &mut [Found], family: usize, level: f64) {
    let mut left = family.max(found.len());
    loop {
        let tried = level / left.max(1) as f64;
        let before = left;
        for it in found.iter_mut().filter(|it| !it.bad) {
            it.level = tried;
            it.bad = it.evidence.rejects(tried);
            left -= usize::from(it.bad);
        }
        if left == before {
            return;
        }
    }
}

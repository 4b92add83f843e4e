//! Where each feature of a profile has its counts, and what a tally of it takes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use weir_exchange::Role;
use weir_profile::{Feature, FeatureKind, Profile};

use super::part::Side;

/// Rows of counts, one behind the other.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Where the fine bins of each feature begin, and the end of the last.
    bins: Vec<usize>,
    /// The same of the bins that are tested.
    groups: Vec<usize>,
    features: HashMap<(Role, Arc<str>), usize, ahash::RandomState>,
}

impl Layout {
    pub(crate) fn new(profile: &Profile) -> Self {
        let named = profile.features.iter().enumerate();
        Self {
            bins: ends(profile.features.iter().map(Feature::bins)),
            groups: ends(profile.features.iter().map(|feature| feature.groups.len())),
            features: named.map(|(at, feature)| ((feature.role, feature.name.clone()), at)).collect(),
        }
    }

    pub(crate) fn features(&self) -> usize {
        self.bins.len() - 1
    }

    /// The number of a feature.
    pub(crate) fn feature(&self, role: Role, name: &Arc<str>) -> Option<usize> {
        self.features.get(&(role, name.clone())).copied()
    }

    pub(crate) fn bins(&self, feature: usize) -> std::ops::Range<usize> {
        range(&self.bins, feature)
    }

    pub(crate) fn groups(&self, feature: usize) -> std::ops::Range<usize> {
        range(&self.groups, feature)
    }

    /// Fine bins of all features.
    pub(crate) fn all_bins(&self) -> usize {
        self.bins.last().copied().unwrap_or_default()
    }

    /// Tested bins of all features.
    pub(crate) fn all_groups(&self) -> usize {
        self.groups.last().copied().unwrap_or_default()
    }

    /// Bytes of the counts of one part of a window.
    pub(crate) fn part_bytes(&self) -> usize {
        self.all_bins() * size_of::<f64>() + self.features() * size_of::<Side>()
    }

    /// Bytes of a window that is done: its tested bins, and what is missing.
    pub(crate) fn past_bytes(&self) -> usize {
        (self.all_groups() + self.features()) * size_of::<f64>()
    }
}

fn range(ends: &[usize], at: usize) -> std::ops::Range<usize> {
    let end = |at: usize| ends.get(at).or(ends.last()).copied().unwrap_or_default();
    end(at)..end(at + 1)
}

fn ends(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut sum = 0;
    let ends = lengths.map(|length| {
        sum += length;
        sum
    });
    std::iter::once(0).chain(ends).collect()
}

/// Names of the bins of a feature that are tested: the upper edge of numbers, the text of a category.
pub(crate) fn bin_names(feature: &Feature) -> Vec<String> {
    match &feature.kind {
        FeatureKind::Number { bins, .. } => {
            let names = edge_names(feature, bins.edges(), short);
            let told_apart = names.iter().collect::<HashSet<_>>().len() == names.len();
            if told_apart { names } else { edge_names(feature, bins.edges(), |edge| edge.to_string()) }
        }
        FeatureKind::Category { texts } => text_names(feature, texts),
    }
}

fn edge_names(feature: &Feature, edges: &[f64], name: impl Fn(f64) -> String) -> Vec<String> {
    let mut names = vec![String::new(); feature.groups.len()];
    let edges = edges.iter().map(|edge| name(*edge)).chain(["+Inf".to_owned()]);
    // Edges rise, and with them the groups: the last that is written is the highest.
    feature.groups.of_bins().iter().zip(edges).for_each(|(group, edge)| names[*group] = edge);
    names
}

/// Texts that are tested together are neighbours by name, so the first and the last say which.
fn text_names(feature: &Feature, texts: &[Arc<str>]) -> Vec<String> {
    let name = |group| {
        let (range, others) = feature.texts_of(texts, group);
        let known = range.map(|(first, last)| match first == last {
            true => first.to_owned(),
            false => format!("{first}..{last}"),
        });
        known.into_iter().chain(others.then(|| "other".to_owned())).collect::<Vec<_>>().join("+")
    };
    (0..feature.groups.len()).map(name).collect()
}

/// An edge in up to six digits.
fn short(edge: f64) -> String {
    format!("{edge:.5e}").parse::<f64>().unwrap_or(edge).to_string()
}

/// The profile for a model: bound to it and its version, else to it, else to none.
pub(crate) fn choose<'p>(profiles: &'p [Arc<Profile>], model: &[Arc<str>; 3]) -> Option<&'p Arc<Profile>> {
    let [_, name, version] = model;
    let bound = |wanted: Option<&str>| {
        profiles.iter().find(|profile| {
            let model = profile.model.as_ref();
            model.is_some_and(|model| model.name == **name && model.version.as_deref() == wanted)
        })
    };
    bound(Some(version)).or_else(|| bound(None)).or_else(|| profiles.iter().find(|it| it.model.is_none()))
}

//! Rows in the bins that are tested, as a counter of the plugin's.

use std::sync::Arc;

use weir_exchange::Role;
use weir_profile::Profile;
use weir_stats::drift::Groups;
use weir_telemetry::{Counter, Shape};

use super::layout::bin_names;
use crate::conditions::with_key;
use crate::family::{AnyFamily, Cell};
use crate::places::Labels;
use crate::plan::{OUR_LABELS, Plan};

const FEATURE: &str = "feature";
const BIN: &str = "bin";

/// The name of a metric that can take bins: a counter with the labels `feature` and `bin`.
pub(super) fn counter(plan: &Plan, metric: u32) -> Option<Arc<str>> {
    let spec = plan.specs[..plan.metrics].get(metric as usize)?;
    let own = &spec.labels[OUR_LABELS.len()..];
    let fits = own.len() == 2 && [FEATURE, BIN].iter().all(|name| own.iter().any(|label| **label == **name));
    (fits && spec.shape == Shape::Counter).then(|| spec.name.clone())
}

/// Counters of the first features by bin, with the groups that fine bins are summed to.
#[derive(Debug)]
pub(super) struct Exported(Vec<Vec<Arc<Counter>>>, Vec<Groups>);

impl Exported {
    /// Announces the bins of the first `features` features, at 0 if they are new.
    pub(super) fn new(
        (family, key): (&AnyFamily, &str),
        model: &[Arc<str>],
        profile: &Profile,
        features: u32,
    ) -> Self {
        let shown = profile.features.iter().take(features as usize);
        let own = &family.spec().labels[OUR_LABELS.len()..];
        let counters = shown.clone().enumerate().map(|(at, feature)| {
            let twin = profile.features[..at].iter().any(|other| other.name == feature.name);
            let name: Arc<str> = match twin && feature.role != Role::Input {
                // An output may be named as an input is.
                true => format!("{}.{}", feature.role.as_str(), feature.name).into(),
                false => feature.name.clone(),
            };
            let bins = bin_names(feature).into_iter().map(|bin| {
                let value =
                    |label: &Arc<str>| if **label == *FEATURE { name.clone() } else { bin.as_str().into() };
                let labels: Labels = model.iter().cloned().chain(own.iter().map(value)).collect();
                match family.series(&with_key(key, &labels)).0 {
                    Cell::Counter(counter) => counter,
                    // A metric of this name is a counter, or it would have been refused.
                    _ => Arc::default(),
                }
            });
            bins.collect()
        });
        Self(counters.collect(), shown.map(|feature| feature.groups.clone()).collect())
    }

    /// Adds the rows that count, by the bin of each row of a feature; nothing past the
    /// features that are shown.
    pub(super) fn add(&self, feature: usize, rows: &[u32], weights: &[f64], bins: &[u16]) {
        let Some((counters, groups)) = self.0.get(feature).zip(self.1.get(feature)) else { return };
        let of = groups.of_bins();
        let mut sums = vec![0.0; counters.len()];
        for row in rows {
            let group = bins.get(*row as usize).and_then(|bin| of.get(usize::from(*bin)));
            if let Some(sum) = group.and_then(|group| sums.get_mut(*group)) {
                *sum += weights[*row as usize];
            }
        }
        for (counter, rows) in counters.iter().zip(sums).filter(|(_, rows)| *rows > 0.0) {
            counter.bump(rows.trunc() as u64);
            if rows.fract() > 0.0 {
                counter.add_f64(rows.fract());
            }
        }
    }
}

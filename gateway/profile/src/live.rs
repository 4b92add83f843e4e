//! What live traffic shows beside the counts of a window: what lies beyond the reference, what is of another
//! kind, and which columns there are. It is no part of a profile, which has no place for it.

use serde::{Deserialize, Serialize};
use weir_exchange::{Kind, Role};

use crate::compare::{Current, Outside};
use crate::draw::percent;
use crate::profile::{Feature, FeatureKind, Profile};

/// Beside a profile of live traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// Columns of all kinds of exchange that were seen.
    pub columns: Vec<LiveColumn>,
    /// Parallel to the profile's features.
    pub features: Vec<BesideFeature>,
}

/// A column as it is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveColumn {
    pub role: String,
    pub name: String,
    /// Texts, not numbers.
    pub text: bool,
}

/// Rows of a feature beside those in its bins; sums of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BesideFeature {
    pub below: f64,
    pub above: f64,
    /// The lowest and the highest number; absent without any, or if infinite.
    pub lowest: Option<f64>,
    pub highest: Option<f64>,
    /// Texts where the profile has numbers, or the other way round; missing in the counts.
    pub other_kind: f64,
}

impl Current {
    /// A live window: counts are exact where both profiles have the same bins, as they have unless the
    /// reference was built anew since.
    pub fn of_live(reference: &Profile, live: &Profile, beside: &Beside) -> Self {
        let mut current = Self::of_profile(reference, live);
        let column = |column: &LiveColumn| {
            let kind = if column.text { Kind::Code } else { Kind::Number };
            Some((Role::parse(&column.role)?, column.name.clone(), kind))
        };
        let columns: Vec<(Role, String, Kind)> = beside.columns.iter().filter_map(column).collect();
        current.misfits = reference.fit(columns.iter().map(|(role, name, kind)| (*role, &**name, *kind)));
        let Some(cell) = live.cell(None, None) else { return current };
        for (at, feature) in reference.features.iter().enumerate() {
            let Some(found) = live.feature(feature.role, &feature.name) else { continue };
            if live.features[found].kind == feature.kind {
                current.counts[at] = cell.counts.get(found).cloned();
            }
            let Some(beside) = beside.features.get(found) else { continue };
            current.outside[at] = beside.outside();
            let other_kind = other_kind(feature, beside.other_kind / cell.rows.max(1.0));
            current.notes.extend(other_kind.map(|note| (at, note)));
        }
        current
    }
}

impl BesideFeature {
    fn outside(&self) -> Outside {
        Outside {
            below: self.below,
            above: self.above,
            lowest: self.lowest.filter(|_| self.below > 0.0),
            highest: self.highest.filter(|_| self.above > 0.0),
        }
    }
}

/// `"1"` against 1.
fn other_kind(feature: &Feature, share: f64) -> Option<String> {
    let words = match feature.kind {
        FeatureKind::Number { .. } => "texts where the reference has numbers, such as \"1\" for 1",
        FeatureKind::Category { .. } => "numbers where the reference has texts, such as 1 for \"1\"",
    };
    (share > 0.0).then(|| format!("{} {words}; counted as missing", percent(share)))
}

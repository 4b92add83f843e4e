//! Whether a profile fits the columns of live traffic.

use std::fmt;
use std::sync::Arc;

use weir_exchange::{Kind, Role};

use crate::profile::Profile;

/// Columns in which a profile and traffic differ, each with its role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfits {
    /// Features that traffic does not have.
    pub missing: Vec<(Role, Arc<str>)>,
    /// Columns that the profile neither has nor left out.
    pub extra: Vec<(Role, Arc<str>)>,
    /// Features whose values are of another kind, with the kind that traffic has.
    pub other_kind: Vec<(Role, Arc<str>, Kind)>,
}

impl Misfits {
    /// True if the profile fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.other_kind.is_empty()
    }
}

impl Profile {
    /// Compares features with columns as they are live.
    ///
    /// A field that carried both numbers and texts has two columns: it fits if one is of the feature's kind.
    /// A column is extra only if the profile has features of its role: one that was built without predictions
    /// says nothing of them.
    pub fn fit<'c>(&self, columns: impl Iterator<Item = (Role, &'c str, Kind)>) -> Misfits {
        let columns: Vec<(Role, &str, Kind)> = columns.collect();
        let mut misfits = Misfits::default();
        for feature in &self.features {
            let same = |column: &&(Role, &str, Kind)| column.0 == feature.role && column.1 == &*feature.name;
            let mut found = columns.iter().filter(same).peekable();
            let key = (feature.role, Arc::clone(&feature.name));
            match found.peek().copied() {
                None => misfits.missing.push(key),
                Some(_) if found.any(|(.., kind)| *kind == feature.column_kind()) => {}
                Some((.., kind)) => misfits.other_kind.push((key.0, key.1, *kind)),
            }
        }
        for (role, name, _) in columns {
            let described = self.features.iter().any(|feature| feature.role == role);
            let known = self.feature(role, name).is_some()
                || self.left_out.iter().any(|left| left.column == name)
                || misfits.extra.iter().any(|extra| extra.0 == role && &*extra.1 == name);
            if described && !known {
                misfits.extra.push((role, name.into()));
            }
        }
        misfits
    }
}

impl fmt::Display for Misfits {
    /// Completes "the profile does not fit: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(role, name): &(Role, Arc<str>)| format!("{} `{name}`", role.as_str());
        let kind = |(role, name, kind): &(Role, Arc<str>, Kind)| {
            let (live, profile) = if *kind == Kind::Code { ("text", "number") } else { ("number", "text") };
            format!("{} `{name}` ({live}, not {profile})", role.as_str())
        };
        let parts = [
            ("missing", listed(self.missing.iter().map(named))),
            ("not in the profile", listed(self.extra.iter().map(named))),
            ("of another kind", listed(self.other_kind.iter().map(kind))),
        ];
        let said = parts.iter().filter(|(_, names)| !names.is_empty());
        f.write_str(&said.map(|(what, names)| format!("{what}: {names}")).collect::<Vec<_>>().join("; "))
    }
}

/// The first few of a list, and how many more there are.
pub(crate) fn listed(names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<String> = names.collect();
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

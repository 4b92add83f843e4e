//! How a model stands.

use std::collections::BTreeMap;

use weir_plugin_sdk::json;

/// What the last window says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Bad,
    /// Too few rows to say.
    NotEnoughData,
    /// Too many of its exchanges were not observed.
    Incomplete,
    /// Nothing to compare with.
    NoProfile,
}

impl State {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ok, Self::Bad, Self::NotEnoughData, Self::Incomplete, Self::NoProfile];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Bad => "bad",
            Self::NotEnoughData => "not_enough_data",
            Self::Incomplete => "incomplete",
            Self::NoProfile => "no_profile",
        }
    }
}

/// What is kept of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    /// Windows in a row that should have been looked at and could not be.
    pub(crate) misses: u32,
    /// When its last row came; none yet for a model nobody has seen a row of.
    pub(crate) last_row_ns: Option<u64>,
    /// It has been said how it stands.
    pub(crate) said: bool,
    /// Up to when windows without a profile were counted.
    pub(crate) waited_ns: Option<u64>,
}

/// Writes what a new instance has to know.
pub(crate) fn write(models: &BTreeMap<String, Model>) -> Option<Vec<u8>> {
    let plain: BTreeMap<&str, (u32, Option<u64>)> =
        models.iter().map(|(key, it)| (key.as_str(), (it.misses, it.last_row_ns))).collect();
    json::to_vec(&plain).ok()
}

/// Reads what `write` wrote.
pub(crate) fn read(data: &[u8]) -> Option<BTreeMap<String, Model>> {
    let plain: BTreeMap<String, (u32, Option<u64>)> = json::from_slice(data).ok()?;
    // The gateway has kept what was said of it.
    let model =
        |(key, (misses, last_row_ns))| (key, Model { misses, last_row_ns, said: true, waited_ns: None });
    Some(plain.into_iter().map(model).collect())
}

//! How a model stands.

use std::collections::BTreeMap;

use weir_plugin_sdk::json;

/// What the last window says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Drift,
    /// Too few rows to say.
    NotEnoughData,
    /// Too many of its exchanges were not observed.
    Incomplete,
    /// Nothing to compare with.
    NoProfile,
}

impl State {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ok, Self::Drift, Self::NotEnoughData, Self::Incomplete, Self::NoProfile];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Drift => "drift",
            Self::NotEnoughData => "not_enough_data",
            Self::Incomplete => "incomplete",
            Self::NoProfile => "no_profile",
        }
    }

    /// Whether its rows were tested.
    pub(crate) fn is_verdict(self) -> bool {
        matches!(self, Self::Ok | Self::Drift)
    }
}

/// What is kept of a model from window to window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// Windows in a row that should have been looked at and could not be.
    pub(crate) misses: u32,
}

impl Standing {
    /// All of them, for a new instance.
    pub(crate) fn write(all: &BTreeMap<String, Self>) -> Vec<u8> {
        let plain: BTreeMap<&str, (&str, u32)> =
            all.iter().map(|(model, it)| (model.as_str(), (it.state.as_str(), it.misses))).collect();
        json::to_vec(&plain).unwrap_or_default()
    }

    /// Reads what `write` wrote.
    pub(crate) fn read(data: &[u8]) -> Option<BTreeMap<String, Self>> {
        let plain: BTreeMap<String, (String, u32)> = json::from_slice(data).ok()?;
        let known = |(model, (state, misses)): (String, (String, u32))| {
            let state = State::ALL.into_iter().find(|it| it.as_str() == state)?;
            Some((model, Self { state, misses }))
        };
        Some(plain.into_iter().filter_map(known).collect())
    }
}

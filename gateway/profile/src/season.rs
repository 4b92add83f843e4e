//! Slots of a season: hours of the day, days of the week, hours of the week.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the reference is split by, since traffic repeats itself. Slots are of UTC; weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Season {
    /// 24 slots: the hour that begins at slot:00.
    Hour,
    /// 7 slots, from Monday.
    Weekday,
    /// 168 slots: weekday * 24 + hour.
    HourOfWeek,
}

impl Season {
    /// Every season.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Weekday, Self::HourOfWeek];

    /// How many slots there are.
    pub fn slots(self) -> u32 {
        match self {
            Self::Hour => 24,
            Self::Weekday => 7,
            Self::HourOfWeek => 168,
        }
    }

    /// The name on the command line and in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::HourOfWeek => "hour-of-week",
        }
    }

    /// The slot of a second since 1970, before which it goes on backwards.
    pub fn slot_at(self, unix_secs: i64) -> u32 {
        // 1970-01-01 was a Thursday, which is the fourth day from Monday.
        let hours = unix_secs.div_euclid(3600) + 3 * 24;
        let slot = match self {
            Self::Hour => hours.rem_euclid(24),
            Self::Weekday => hours.div_euclid(24).rem_euclid(7),
            Self::HourOfWeek => hours.rem_euclid(168),
        };
        u32::try_from(slot).unwrap_or_default()
    }

    /// A slot in words, such as `Mon 07:00`.
    pub fn slot_name(self, slot: u32) -> String {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let day = |day: u32| DAYS[(day % 7) as usize];
        match self {
            Self::Hour => format!("{slot:02}:00"),
            Self::Weekday => day(slot).to_owned(),
            Self::HourOfWeek => format!("{} {:02}:00", day(slot / 24), slot % 24),
        }
    }
}

impl fmt::Display for Season {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Season {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|season| season.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is no season (`hour`, `weekday` or `hour-of-week`)"))
    }
}

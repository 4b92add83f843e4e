//! Numbers without a unit, and tables that say which series are meant.

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::{Describe, Kind, List, Text};
use crate::reader::{At, Item, Reader};
use crate::section::in_order;

/// A number, whole or not, within bounds, both included.
pub(crate) struct Number {
    min: f64,
    max: f64,
}

impl Number {
    pub(crate) const ANY: Self = Self { min: f64::MIN, max: f64::MAX };

    pub(crate) const fn new(min: f64, max: f64) -> Self {
        Self { min, max }
    }
}

impl Describe for Number {
    fn schema(&self) -> Value {
        if *self == Self::ANY {
            return json!({"type": "number"});
        }
        json!({"type": "number", "minimum": self.min, "maximum": self.max})
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        (self.min, self.max) == (other.min, other.max)
    }
}

impl Kind for Number {
    type Out = f64;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<f64> {
        let number = match item.value {
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|n| n as f64)
            }
            DeValue::Float(digits) => digits.as_str().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        };
        let Some(number) = number else {
            let words = "is no number (write it without quotes and without a unit, such as `0.5`)";
            reader.fault(&item.place, format!("{} {words}", item.quoted()));
            return None;
        };
        if (self.min..=self.max).contains(&number) {
            return Some(number);
        }
        let message = format!("{} is out of bounds (from `{}` to `{}`)", item.quoted(), self.min, self.max);
        reader.fault(&item.place, message);
        None
    }
}

/// Label names and the values that are meant: one, or a list of which any will do.
pub(crate) struct Selectors;

/// Most values of one label.
const VALUES: usize = 64;

impl Describe for Selectors {
    fn schema(&self) -> Value {
        let many = List::up_to(VALUES, Text).schema();
        json!({
            "type": "object",
            "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
            "additionalProperties": {"anyOf": [{"type": "string"}, many]},
        })
    }
}

impl Kind for Selectors {
    type Out = Vec<Meant>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let DeValue::Table(table) = item.value else {
            let form = "{ outcome = \"timeout\" }` or `{ outcome = [\"timeout\", \"cancelled\"] }";
            reader.misfit(&item.place, format!("{} is no table (write `{form}`)", item.quoted()));
            return None;
        };
        let all: Vec<Option<_>> = lines(table, item, reader);
        all.into_iter().collect()
    }
}

/// A label and the values that are meant.
type Meant = At<(String, Vec<String>)>;

fn lines(table: &DeTable<'_>, above: &Item<'_>, reader: &mut Reader<'_>) -> Vec<Option<Meant>> {
    let one = |(name, value): crate::section::Line<'_, '_>| {
        let place = above.place.below(name.get_ref(), value.span());
        let item = Item { value: value.get_ref(), place };
        let values = match item.value {
            DeValue::Array(_) => List::up_to(VALUES, AnyText).read(&item, reader)?,
            _ => vec![AnyText.read(&item, reader)?],
        };
        if values.is_empty() {
            reader.fault(&item.place, "an empty list selects nothing (name a value, or leave the label out)");
            return None;
        }
        Some(At { value: (name.get_ref().to_string(), values), shown: item.quoted(), place: item.place })
    };
    in_order(table).into_iter().map(one).collect()
}

/// A string that may be empty: the value of a label that is not there.
struct AnyText;

impl Describe for AnyText {
    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl Kind for AnyText {
    type Out = String;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<String> {
        if item.value.as_str() == Some("") { Some(String::new()) } else { Text.read(item, reader) }
    }
}

/// A moment: an RFC 3339 date and time with an offset, as a string or as TOML's own; Unix time in ms.
pub(crate) struct Moment;

impl Describe for Moment {
    fn schema(&self) -> Value {
        json!({"type": "string", "format": "date-time"})
    }
}

impl Kind for Moment {
    type Out = u64;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<u64> {
        let text = match item.value {
            DeValue::Datetime(value) => value.to_string(),
            DeValue::String(_) => reader.text(item, "a date and time")?.into_owned(),
            _ => String::new(),
        };
        let moment = text.parse().ok().and_then(|at: toml::value::Datetime| unix_ms(&at));
        if moment.is_none() {
            let words = "is no moment (write date, time and offset: `2026-05-01T02:00:00Z`)";
            reader.fault(&item.place, format!("{} {words}", item.quoted()));
        }
        moment
    }
}

/// `None` without date, time or offset, or before 1970.
fn unix_ms(at: &toml::value::Datetime) -> Option<u64> {
    let (date, time, offset) = (at.date?, at.time?, at.offset?);
    let east = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let second = time.second.map_or(0, i64::from);
    let seconds = days * 86_400 + i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + second - east;
    let ms = seconds.checked_mul(1000)? + time.nanosecond.map_or(0, |ns| i64::from(ns / 1_000_000));
    u64::try_from(ms).ok()
}

/// Days since 1970-01-01 in the Gregorian calendar: March begins the year, so that the leap day ends it.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A time of day twice, `HH:MM-HH:MM` in UTC, as minutes; the second may be the earlier: past midnight.
pub(crate) struct Daily;

impl Describe for Daily {
    fn schema(&self) -> Value {
        super::string_schema("[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]")
    }
}

impl Kind for Daily {
    type Out = (u32, u32);

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<(u32, u32)> {
        let form = "two times of day in UTC: `02:00-04:30`";
        let text = reader.text(item, form)?;
        let read = text.split_once('-').and_then(|(from, to)| Some((minutes(from)?, minutes(to)?)));
        let fitting = read.filter(|(from, to)| from != to);
        if fitting.is_none() {
            reader.fault(&item.place, format!("{} is no span of a day (write {form})", item.quoted()));
        }
        fitting
    }
}

fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |t: &str| (t.len() == 2 && t.chars().all(|c| c.is_ascii_digit())).then(|| t.parse().ok());
    let (hour, minute): (u32, u32) = (two(hour)??, two(minute)??);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_and_an_offset() {
        let ms = |text: &str| text.parse().ok().and_then(|at: toml::value::Datetime| unix_ms(&at));
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("2026-11-27T20:15:23.250Z"), Some(1_795_810_523_250));
        assert_eq!(ms("2024-02-29T12:00:00+02:00"), Some(1_709_200_800_000));
        assert_eq!(ms("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(ms("2026-11-27T20:15:23"), None);
        assert_eq!(ms("2026-11-27"), None);
    }

    #[test]
    fn a_span_of_a_day_may_pass_midnight() {
        assert_eq!((minutes("02:00"), minutes("23:59")), (Some(120), Some(1439)));
        for wrong in ["24:00", "2:00", "02:60", "0200", "-1:00"] {
            assert_eq!(minutes(wrong), None, "{wrong}");
        }
    }
}

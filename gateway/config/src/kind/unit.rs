//! Numbers with a bound, and strings with a unit: `"10s"`, `"16MiB"`, `"2%"`.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde_json::{Value, json};
use toml::de::DeValue;

use super::{Describe, Kind, string_schema};
use crate::reader::{Item, Reader};

const MILLIS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];
const BYTES: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A whole number within bounds, both included.
pub(crate) struct Count<T> {
    min: u64,
    max: u64,
    out: PhantomData<fn() -> T>,
}

impl<T> Count<T> {
    pub(crate) const fn new(min: u64, max: u64) -> Self {
        Self { min, max, out: PhantomData }
    }
}

impl<T> Describe for Count<T> {
    fn schema(&self) -> Value {
        json!({"type": "integer", "minimum": self.min, "maximum": self.max})
    }
}

impl<T: TryFrom<u64>> Kind for Count<T> {
    type Out = T;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<T> {
        let DeValue::Integer(digits) = item.value else {
            let example = self.min.max(1);
            let message =
                format!("{} does not fit (write a whole number such as `{example}`)", item.quoted());
            reader.fault(&item.place, message);
            return None;
        };
        // Too many digits, or a sign, is as far out of bounds as a number can be.
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let fitting = number.filter(|n| (self.min..=self.max).contains(n)).and_then(|n| T::try_from(n).ok());
        if fitting.is_none() {
            reader.fault(&item.place, out_of_bounds(item, self.min, self.max));
        }
        fitting
    }
}

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub(crate) struct Period {
    min: Duration,
    max: Duration,
    /// `0s` is legal though below `min`: it means "none".
    or_zero: bool,
}

impl Period {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, or_zero: false }
    }

    pub(crate) const fn or_zero(self) -> Self {
        Self { or_zero: true, ..self }
    }
}

impl Describe for Period {
    fn schema(&self) -> Value {
        string_schema("[0-9]+(ms|s|m|h|d)")
    }
}

impl Kind for Period {
    type Out = Duration;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Duration> {
        let text = unit_text(item, reader, "a duration such as `\"10s\"`", |n| format!("{n}s"))?;
        let Some(millis) = scaled(&text, &MILLIS) else {
            let units = "a whole number and `ms`, `s`, `m`, `h` or `d`: `\"250ms\"`, `\"10s\"`";
            reader.fault(&item.place, format!("{} is no duration (write {units})", item.quoted()));
            return None;
        };
        let period = Duration::from_millis(millis);
        if (self.or_zero && period.is_zero()) || (self.min..=self.max).contains(&period) {
            return Some(period);
        }
        let bounds =
            (in_unit(self.min.as_millis() as u64, &MILLIS), in_unit(self.max.as_millis() as u64, &MILLIS));
        reader.fault(&item.place, out_of_bounds(item, bounds.0, bounds.1));
        None
    }
}

/// A number of bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub(crate) struct Size<T> {
    min: u64,
    max: u64,
    out: PhantomData<fn() -> T>,
}

impl<T> Size<T> {
    pub(crate) const fn new(min: u64, max: u64) -> Self {
        Self { min, max, out: PhantomData }
    }
}

impl<T> Describe for Size<T> {
    fn schema(&self) -> Value {
        string_schema("[0-9]+(B|KiB|MiB|GiB)")
    }
}

impl<T: TryFrom<u64>> Kind for Size<T> {
    type Out = T;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<T> {
        let exact = |n: u64| in_unit(n, &BYTES);
        let text = unit_text(item, reader, "a size such as `\"16MiB\"`", |n| {
            n.parse().map_or_else(|_| format!("{n}B"), exact)
        })?;
        let Some(bytes) = scaled(&text, &BYTES) else {
            let units = "a whole number and `B`, `KiB`, `MiB` or `GiB`: `\"64KiB\"`, `\"16MiB\"`";
            reader.fault(&item.place, format!("{} is no size (write {units})", item.quoted()));
            return None;
        };
        let fitting =
            Some(bytes).filter(|b| (self.min..=self.max).contains(b)).and_then(|b| T::try_from(b).ok());
        if fitting.is_none() {
            reader.fault(&item.place, out_of_bounds(item, exact(self.min), exact(self.max)));
        }
        fitting
    }
}

/// A share in percent, read as a fraction: `"2%"` is 0.02.
pub(crate) struct Share {
    /// Percent; the upper bound is 100.
    min: f64,
}

impl Share {
    pub(crate) const fn from(min: f64) -> Self {
        Self { min }
    }
}

impl Describe for Share {
    fn schema(&self) -> Value {
        string_schema(r"[0-9]+(\.[0-9]+)?%")
    }
}

impl Kind for Share {
    type Out = f64;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<f64> {
        let text = unit_text(item, reader, "a share such as `\"2%\"`", in_percent)?;
        let digits = text.strip_suffix('%').filter(|d| d.starts_with(|c: char| c.is_ascii_digit()));
        let percent =
            digits.filter(|d| d.chars().all(|c| c == '.' || c.is_ascii_digit())).and_then(|d| d.parse().ok());
        let Some(percent) = percent else {
            let message = format!("{} is no share (write percent: `\"2%\"`, `\"0.5%\"`)", item.quoted());
            reader.fault(&item.place, message);
            return None;
        };
        if (self.min..=100.0).contains(&percent) {
            return Some(percent / 100.0);
        }
        reader.fault(&item.place, out_of_bounds(item, format_args!("{}%", self.min), "100%"));
        None
    }
}

/// A bare number as percent: up to 1 it was meant as a fraction.
fn in_percent(number: &str) -> String {
    match number.parse::<f64>() {
        Ok(fraction) if number.contains('.') && fraction <= 1.0 => format!("{}%", fraction * 100.0),
        _ => format!("{number}%"),
    }
}

/// The text of a value that needs a unit; a bare number is told the right form.
fn unit_text(
    item: &Item<'_>,
    reader: &mut Reader<'_>,
    expected: &str,
    with_unit: impl Fn(&str) -> String,
) -> Option<String> {
    let bare = match item.value {
        DeValue::Integer(digits) if digits.radix() == 10 => {
            digits.as_str().trim_start_matches('+').to_owned()
        }
        DeValue::Float(digits) => digits.as_str().to_owned(),
        _ => return reader.text(item, expected).map(|text| text.into_owned()),
    };
    let form = with_unit(&bare);
    reader.fault(&item.place, format!("`{bare}` has no unit (write {expected}; here perhaps `\"{form}\"`)"));
    None
}

fn out_of_bounds(item: &Item<'_>, min: impl fmt::Display, max: impl fmt::Display) -> String {
    format!("{} is out of bounds (from `{min}` to `{max}`)", item.quoted())
}

/// `250ms` with a table of units: 250 times the unit's size.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// A duration as the configuration would write it.
pub fn period(period: Duration) -> String {
    in_unit(period.as_millis() as u64, &MILLIS)
}

/// A number of bytes as the configuration would write it.
pub(crate) fn size(bytes: u64) -> String {
    in_unit(bytes, &BYTES)
}

/// A share as the configuration would write it, without what floats add to it.
pub(crate) fn percent(share: f64) -> String {
    format!("{}%", (share * 1e8).round() / 1e6)
}

/// The shortest exact way to write a quantity.
fn in_unit(quantity: u64, units: &[(&str, u64)]) -> String {
    let exact = units.iter().rev().find(|(_, size)| quantity >= *size && quantity.is_multiple_of(*size));
    let (name, size) = exact.unwrap_or(&units[0]);
    format!("{}{name}", quantity / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_a_whole_number_and_a_known_unit() {
        let cases =
            [("250ms", Some(250)), ("1h", Some(3_600_000)), ("0s", Some(0)), ("2d", Some(172_800_000))];
        let wrong =
            ["", "s", "10", "10 s", "1.5s", "-1s", "10S", "99999999999999999999s", "18446744073709551615s"];
        for (text, millis) in cases.into_iter().chain(wrong.map(|text| (text, None))) {
            assert_eq!(scaled(text, &MILLIS), millis, "{text}");
        }
        assert_eq!(scaled("16MiB", &BYTES), Some(16 << 20));
        assert_eq!(scaled("16MB", &BYTES), None);
    }

    #[test]
    fn a_quantity_is_written_in_its_largest_exact_unit() {
        assert_eq!(in_unit(90_000, &MILLIS), "90s");
        assert_eq!(in_unit(86_400_000, &MILLIS), "1d");
        assert_eq!(in_unit(0, &MILLIS), "0ms");
        assert_eq!(in_unit(1536, &BYTES), "1536B");
    }
}

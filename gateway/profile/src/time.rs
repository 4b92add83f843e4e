//! When each row was: a column of times, or columns of years, months and so on.

use std::str::FromStr;

use crate::error::BuildError;
use crate::sheet::{Sheet, Values};

/// Where the time of a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeColumns {
    /// Seconds or milliseconds since 1970, RFC 3339, `YYYY-MM-DD` or `YYYY-MM-DD HH:MM:SS`; UTC unless it
    /// says otherwise.
    One(String),
    /// Whole numbers of parts.
    Parts(Vec<(Part, TimeFrom)>),
}

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Hour and minute as one number: 515 is 05:15.
    Hhmm,
}

/// Where a part stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFrom {
    Column(String),
    /// The same in every row.
    Fixed(i64),
}

impl Part {
    const ALL: [(&str, Self); 7] = [
        ("year", Self::Year),
        ("month", Self::Month),
        ("day", Self::Day),
        ("hour", Self::Hour),
        ("minute", Self::Minute),
        ("second", Self::Second),
        ("hhmm", Self::Hhmm),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, part)| *part)
    }
}

impl FromStr for TimeColumns {
    type Err = String;

    /// A column; or two and more of `year`, `month`, `day`, `hour`, `minute`, `second`, `hhmm`, each the name
    /// of its column or followed by `=COLUMN` or `=NUMBER`.
    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains([',', '=']) {
            return Ok(Self::One(text.to_owned()));
        }
        let part = |item: &str| {
            let (name, from) = item.split_once('=').unwrap_or((item, item));
            let part = Part::parse(name.trim()).ok_or_else(|| {
                let known = Part::ALL.map(|(name, _)| format!("`{name}`")).join(", ");
                format!("`{}` is no part of a time (write PART=COLUMN; parts are {known})", name.trim())
            })?;
            let from = from.trim();
            Ok((part, from.parse().map_or_else(|_| TimeFrom::Column(from.to_owned()), TimeFrom::Fixed)))
        };
        text.split(',').map(part).collect::<Result<_, String>>().map(Self::Parts)
    }
}

impl Sheet {
    /// The time of each row, in milliseconds since 1970, and the columns that say nothing else: the one, or
    /// year, month and day. An hour is a feature like others.
    ///
    /// # Errors
    /// A column is not there, or a row has no time.
    pub fn times(&self, of: &TimeColumns) -> Result<(Vec<i64>, Vec<usize>), BuildError> {
        match of {
            TimeColumns::One(name) => {
                let at = self.column("time", name)?;
                let ms = column_times(&self.columns[at].values);
                Ok((self.every_row(&ms, name)?, vec![at]))
            }
            TimeColumns::Parts(parts) => self.joined(parts),
        }
    }

    fn joined(&self, parts: &[(Part, TimeFrom)]) -> Result<(Vec<i64>, Vec<usize>), BuildError> {
        let mut dates = Vec::new();
        let mut columns = Vec::new();
        for (part, from) in parts {
            let TimeFrom::Column(name) = from else { continue };
            let at = self.column("time", name)?;
            let Values::Number(numbers) = &self.columns[at].values else {
                let message = format!("`{name}` is not of whole numbers");
                return Err(BuildError::Option { key: "time", message });
            };
            columns.push((*part, numbers));
            if matches!(part, Part::Year | Part::Month | Part::Day) {
                dates.push(at);
            }
        }
        let fixed = |wanted| {
            parts.iter().find_map(|(part, from)| match from {
                TimeFrom::Fixed(x) if *part == wanted => Some(*x),
                _ => None,
            })
        };
        let row = |row: usize| {
            let part = |wanted: Part, default: i64| match columns.iter().find(|(part, _)| *part == wanted) {
                Some((_, numbers)) => whole(*numbers.get(row)?),
                None => Some(fixed(wanted).unwrap_or(default)),
            };
            let hhmm = part(Part::Hhmm, 0)?;
            let days = days(part(Part::Year, 1970)?, part(Part::Month, 1)?, part(Part::Day, 1)?)?;
            let (hour, minute) = (part(Part::Hour, hhmm / 100)?, part(Part::Minute, hhmm % 100)?);
            let second = part(Part::Second, 0)?;
            let clock = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
            clock.then(|| 1000 * (days * 86_400 + hour * 3600 + minute * 60 + second))
        };
        let ms: Vec<Option<i64>> = (0..self.rows).map(row).collect();
        Ok((self.every_row(&ms, "the parts")?, dates))
    }

    fn every_row(&self, ms: &[Option<i64>], name: &str) -> Result<Vec<i64>, BuildError> {
        let missing = ms.iter().filter(|ms| ms.is_none()).count();
        if let Some(row) = ms.iter().position(Option::is_none) {
            let what = "seconds or milliseconds since 1970, RFC 3339, or `YYYY-MM-DD HH:MM:SS`";
            let message = format!(
                "{missing} of {} rows have no time in {name}, row {} first ({what}; take such rows out)",
                self.rows,
                row + 1
            );
            return Err(BuildError::Option { key: "time", message });
        }
        Ok(ms.iter().copied().flatten().collect())
    }
}

fn column_times(values: &Values) -> Vec<Option<i64>> {
    match values {
        Values::Time(secs) => secs.iter().map(|secs| from_secs(*secs)).collect(),
        Values::Number(numbers) => {
            // Seconds until the year 5138: one unit for the whole column.
            let millis = numbers.iter().any(|x| x.abs() >= 1e11);
            numbers.iter().map(|x| from_secs(if millis { x / 1000.0 } else { *x })).collect()
        }
        Values::Text(texts) => {
            let of: Vec<Option<i64>> = texts.dictionary.iter().map(|text| timestamp(text)).collect();
            texts.codes.iter().map(|code| of.get(*code as usize).copied().flatten()).collect()
        }
        Values::Unread(_) => Vec::new(),
    }
}

/// Years past this are no times, and would not fit.
const LATEST_SECS: f64 = 1e11;

fn from_secs(secs: f64) -> Option<i64> {
    (secs.abs() <= LATEST_SECS).then_some((secs * 1000.0).round() as i64)
}

fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() < 1e6).then_some(x as i64)
}

/// Milliseconds since 1970 of `YYYY-MM-DD`, alone or followed by ` ` or `T`, `HH:MM`, perhaps `:SS` with a
/// fraction, and perhaps `Z` or an offset; UTC without one.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let (date, clock) = text.split_at_checked(10)?;
    let mut parts = date.splitn(3, '-').map(digits);
    let days = days(parts.next()??, parts.next()??, parts.next()??)?;
    if clock.is_empty() {
        return Some(days * 86_400_000);
    }
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let zone = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.splitn(3, ':').map(digits);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let millis = (digits(fraction)? as f64 / 10_f64.powi(fraction.len() as i32) * 1000.0) as i64;
    let fits = hour < 24 && minute < 60 && second <= 60 && fraction.len() <= 9;
    let secs = days * 86_400 + hour * 3600 + minute * 60 + second - offset(zone.trim())?;
    fits.then_some(secs * 1000 + millis)
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    let Some(sign) = zone.chars().next().filter(|sign| matches!(sign, '+' | '-')) else {
        return matches!(zone, "" | "Z" | "z").then_some(0);
    };
    let clock: String = zone.chars().skip(1).filter(|c| *c != ':').collect();
    let minutes = match clock.len() {
        2 => digits(&clock)? * 60,
        4 => digits(&clock[..2])? * 60 + digits(&clock[2..])?,
        _ => return None,
    };
    Some(if sign == '-' { -60 } else { 60 } * minutes)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted from 1 March so that the leap day comes
/// last; `None` if there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1..=5000).contains(&year) {
        return None;
    }
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + (153 * months + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_time_if_it_has_a_date_that_there_is() {
        let check = |text: &str, ms: Option<i64>| assert_eq!(timestamp(text), ms, "{text}");
        check("1970-01-01", Some(0));
        check("2024-01-01 00:00:00", Some(1_704_067_200_000));
        check("2024-02-29T12:30:15.250Z", Some(1_709_209_815_250));
        check("2024-02-29T12:30", Some(1_709_209_800_000));
        check("2024-01-01T01:00:00+01:00", Some(1_704_067_200_000));
        check("2023-12-31T18:30:00-0530", Some(1_704_067_200_000));
        check("1969-12-31T23:59:59Z", Some(-1000));
        for no in ["", "2023-02-29", "2024-13-01", "2024-1-1", "20240101", "2024-01-01 25:00", "hello world"]
        {
            check(no, None);
        }
        check("2024-01-01T00:00:00+1", None);
        check("ééééééééééé", None);
    }
}

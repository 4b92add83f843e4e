//! Annotations with places to fill, in the words of Prometheus' templates: `{{ $value }}`,
//! `{{ $labels.route }}`, and one of three functions behind a `|`. What else Go's templates know is refused.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A text with places to fill.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Value(Format),
    Label(String),
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// As short as it can be.
    Plain,
    /// Four significant digits and a prefix: 1.234k.
    Humanize,
    /// Percent of a fraction, four significant digits.
    Percentage,
    /// Days, hours, minutes, seconds, or milliseconds.
    Duration,
}

const FORMATS: [(&str, Format); 3] = [
    ("humanize", Format::Humanize),
    ("humanizePercentage", Format::Percentage),
    ("humanizeDuration", Format::Duration),
];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A place is not closed, or asks for what nobody fills; in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, behind)) = after.split_once("}}") else {
                return Err("`{{` is not closed (write `}}` after it)".to_owned());
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(place(inside.trim())?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The labels it asks for.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Label(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it shows the value, which changes from one evaluation to the next.
    pub(crate) fn shows_value(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Value(_)))
    }

    /// Fills it. A label that is not there is empty.
    pub(crate) fn fill(&self, labels: &BTreeMap<String, String>, value: f64) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(format) => out.push_str(&format.write(value)),
                Part::Label(name) => out.push_str(labels.get(name).map_or("", |value| value)),
            }
        }
        out
    }
}

fn place(inside: &str) -> Result<Part, String> {
    let (what, format) = match inside.split_once('|') {
        None => (inside, Format::Plain),
        Some((what, function)) => {
            let function = function.trim();
            let known = FORMATS.iter().find(|(name, _)| *name == function);
            let all = FORMATS.map(|(name, _)| name).join(", ");
            let (_, format) =
                known.ok_or_else(|| format!("there is no function `{function}` (use one of {all})"))?;
            (what.trim(), *format)
        }
    };
    if what == "$value" {
        return Ok(Part::Value(format));
    }
    let Some(label) = what.strip_prefix("$labels.").filter(|name| is_label(name)) else {
        let words = "fills nothing here (write `{{ $value }}` or `{{ $labels.route }}`, say)";
        return Err(format!("`{{{{ {what} }}}}` {words}"));
    };
    if format == Format::Plain {
        Ok(Part::Label(label.to_owned()))
    } else {
        Err(format!("a label is no number (write `{{{{ $labels.{label} }}}}` alone)"))
    }
}

fn is_label(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Format {
    fn write(self, value: f64) -> String {
        match self {
            Self::Plain => plain(value),
            Self::Humanize => humanize(value),
            Self::Percentage => format!("{}%", significant(value * 100.0)),
            Self::Duration => duration(value),
        }
    }
}

/// As Go prints a float: whole numbers without a point.
fn plain(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    format!("{value}")
}

/// Four significant digits, as Go's `%.4g`.
fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return plain(value);
    }
    let exact = format!("{value:.3e}");
    let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..4).contains(&exponent) {
        return plain(exact.parse().unwrap_or(value));
    }
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn humanize(value: f64) -> String {
    const UP: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
    const DOWN: [&str; 9] = ["", "m", "u", "n", "p", "f", "a", "z", "y"];
    if value == 0.0 || !value.is_finite() {
        return plain(value);
    }
    let (mut scaled, mut step) = (value, 0);
    let prefixes = if value.abs() >= 1.0 { UP } else { DOWN };
    while step < 8 && if value.abs() >= 1.0 { scaled.abs() >= 1000.0 } else { scaled.abs() < 1.0 } {
        scaled = if value.abs() >= 1.0 { scaled / 1000.0 } else { scaled * 1000.0 };
        step += 1;
    }
    format!("{}{}", significant(scaled), prefixes[step])
}

fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return plain(seconds);
    }
    if seconds.abs() < 1.0 {
        let value = humanize(seconds);
        return if seconds == 0.0 { "0s".into() } else { format!("{value}s") };
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    let mut out = sign.to_owned();
    for (number, unit) in [(days, "d"), (hours, "h"), (minutes, "m")] {
        if number > 0 || out.len() > sign.len() {
            let _ = write!(out, "{number}{unit} ");
        }
    }
    let rest = if whole < 60 { significant(seconds.abs()) } else { (whole % 60).to_string() };
    let _ = write!(out, "{rest}s");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, value: f64) -> String {
        let labels = BTreeMap::from([("route".to_owned(), "churn".to_owned())]);
        Template::parse(text).expect(text).fill(&labels, value)
    }

    #[test]
    fn places_are_filled_as_prometheus_fills_them() {
        for (text, value, out) in [
            ("plain", 1.0, "plain"),
            ("{{ $labels.route }} at {{ $value }}", 0.25, "churn at 0.25"),
            ("{{$labels.none}}|{{$value|humanize}}", 1234.5, "|1.234k"),
            ("{{ $value | humanize }}", 0.001_234_5, "1.234m"),
            ("{{ $value | humanizePercentage }}", 0.123_456, "12.35%"),
            ("{{ $value | humanizePercentage }}", 0.5, "50%"),
            ("{{ $value | humanizePercentage }}", 123.45, "1.234e+04%"),
            ("{{ $value | humanizeDuration }}", 3661.0, "1h 1m 1s"),
            ("{{ $value | humanizeDuration }}", 0.25, "250ms"),
            ("{{ $value }}", f64::NAN, "NaN"),
            ("{{ $value | humanizePercentage }}", f64::INFINITY, "+Inf%"),
            ("{{ $value }}", 3.0, "3"),
        ] {
            assert_eq!(filled(text, value), out, "{text} {value}");
        }
    }

    #[test]
    fn what_nobody_fills_is_refused_in_words() {
        for (text, words) in [
            ("{{ $value", "not closed"),
            ("{{ value }}", "fills nothing here"),
            ("{{ $labels }}", "fills nothing here"),
            ("{{ $value | upper }}", "no function `upper`"),
            ("{{ range query \"up\" }}", "fills nothing here"),
            ("{{ $labels.route | humanize }}", "a label is no number"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}

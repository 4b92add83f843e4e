//! Settings of a plugin: read from JSON with every fault at once, and described as a JSON schema.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::bindings::weir::plugin::types;
use crate::nearest::nearest;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer to the value; empty for the whole.
    pub path: String,
    /// What is wrong and what to do, lower case, no full stop.
    pub message: String,
}

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { path: path.into(), message: message.into() });
    }

    /// Notes a fault unless `ok`.
    pub fn check(&mut self, ok: bool, path: &str, message: &str) {
        if !ok {
            self.push(path, message);
        }
    }

    /// What was noted.
    pub fn list(&self) -> &[Fault] {
        &self.0
    }

    pub(crate) fn into_wire(self) -> Vec<types::Fault> {
        self.0.into_iter().map(|f| types::Fault { path: f.path, message: f.message }).collect()
    }
}

/// A type that a setting may have.
pub trait Setting: Sized {
    /// Reads a value; `None` and a fault if it does not fit.
    fn read(value: &Value, path: &str, faults: &mut Faults) -> Option<Self>;
    /// Its JSON schema.
    fn schema() -> Value;
    /// The value as it would be written.
    fn show(&self) -> Value;
}

/// Declares a struct of settings, each with a doc comment, a type and a default:
///
/// ```
/// weir_plugin_sdk::settings! {
///     /// When confidence counts as low.
///     pub struct Settings {
///         /// Probability below which it is.
///         pub threshold: f64 = 0.6,
///         /// Over how long.
///         pub window: std::time::Duration = std::time::Duration::from_secs(600),
///     }
/// }
/// # use weir_plugin_sdk::settings::{Faults, Setting};
/// let mut faults = Faults::default();
/// Settings::read(&serde_json::json!({ "treshold": 1 }), "", &mut faults);
/// assert_eq!(faults.list()[0].path, "/treshold");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $doc:literal])* $fvis:vis $field:ident : $type:ty = $default:expr ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        $vis struct $name { $( $(#[doc = $doc])* $fvis $field: $type ),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default ),* }
            }
        }

        impl $crate::settings::Setting for $name {
            fn read(
                value: &$crate::json::Value,
                path: &str,
                faults: &mut $crate::settings::Faults,
            ) -> Option<Self> {
                let map = $crate::settings::object(value, path, &[$( stringify!($field) ),*], faults)?;
                let mut it = Self::default();
                $( $crate::settings::read_into(map, path, stringify!($field), &mut it.$field, faults); )*
                Some(it)
            }

            fn show(&self) -> $crate::json::Value {
                let mut all = $crate::json::Map::new();
                $( all.insert(stringify!($field).into(), $crate::settings::Setting::show(&self.$field)); )*
                all.into()
            }

            fn schema() -> $crate::json::Value {
                let mut all = $crate::json::Map::new();
                let default = Self::default();
                $(
                    let mut one = <$type as $crate::settings::Setting>::schema();
                    one["description"] = concat!($($doc),*).trim().into();
                    one["default"] = $crate::settings::Setting::show(&default.$field);
                    all.insert(stringify!($field).into(), one);
                )*
                $crate::json::json!({ "type": "object", "properties": all, "additionalProperties": false })
            }
        }
    };
}

/// The object at a path, with no keys but these.
#[doc(hidden)]
pub fn object<'a>(
    value: &'a Value,
    path: &str,
    known: &[&str],
    faults: &mut Faults,
) -> Option<&'a Map<String, Value>> {
    let Some(map) = value.as_object() else {
        return wrong(value, path, "an object", faults);
    };
    for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
        let hint = match nearest(key, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there are none".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        faults.push(format!("{path}/{key}"), format!("unknown setting ({hint})"));
    }
    Some(map)
}

/// Reads one key if it is there.
#[doc(hidden)]
pub fn read_into<T: Setting>(
    map: &Map<String, Value>,
    path: &str,
    key: &str,
    into: &mut T,
    faults: &mut Faults,
) {
    if let Some(value) = map.get(key)
        && let Some(read) = T::read(value, &format!("{path}/{key}"), faults)
    {
        *into = read;
    }
}

fn wrong<T>(value: &Value, path: &str, wanted: &str, faults: &mut Faults) -> Option<T> {
    faults.push(path, format!("expected {wanted}, found `{value}`"));
    None
}

macro_rules! plain {
    ($type:ty, $schema:expr, $wanted:literal, $read:expr, $show:expr) => {
        impl Setting for $type {
            fn read(value: &Value, path: &str, faults: &mut Faults) -> Option<Self> {
                let read: fn(&Value) -> Option<$type> = $read;
                read(value).or_else(|| wrong(value, path, $wanted, faults))
            }
            fn schema() -> Value {
                $schema
            }
            fn show(&self) -> Value {
                let show: fn(&$type) -> Value = $show;
                show(self)
            }
        }
    };
}

plain!(bool, json!({ "type": "boolean" }), "true or false", Value::as_bool, |v| (*v).into());
plain!(f64, json!({ "type": "number" }), "a number", Value::as_f64, |v| (*v).into());
plain!(u64, json!({ "type": "integer", "minimum": 0 }), "a whole number", Value::as_u64, |v| (*v).into());
plain!(String, json!({ "type": "string" }), "a text", |v| v.as_str().map(str::to_owned), |v| v
    .as_str()
    .into());
plain!(
    Duration,
    json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
    "a time with its unit (`500ms`, `10s`, `5m`, `24h`, `7d`)",
    |v| duration(v.as_str()?),
    |v| shown(*v).into()
);

/// Units of time and their milliseconds, longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A time written with its unit, as settings are.
pub fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, ms) = UNITS.iter().find(|(known, _)| *known == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*ms).map(Duration::from_millis)
}

fn shown(time: Duration) -> String {
    let ms = time.as_millis() as u64;
    let fits = |(_, unit): &&(&str, u64)| ms >= *unit && ms.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().find(fits).unwrap_or(&("s", 1000));
    format!("{}{name}", ms / unit)
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value, path: &str, faults: &mut Faults) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value, path, faults).map(Some) }
    }
    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "type": "null" }] })
    }
    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value, path: &str, faults: &mut Faults) -> Option<Self> {
        let Some(list) = value.as_array() else {
            return wrong(value, path, "a list", faults);
        };
        // Every element is read even after a fault, so that all faults show at once.
        let read: Vec<_> =
            list.iter().enumerate().map(|(i, v)| T::read(v, &format!("{path}/{i}"), faults)).collect();
        read.into_iter().collect()
    }
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
    fn show(&self) -> Value {
        self.iter().map(T::show).collect()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn read(value: &Value, path: &str, faults: &mut Faults) -> Option<Self> {
        let Some(map) = value.as_object() else {
            return wrong(value, path, "an object", faults);
        };
        let read: Vec<_> = map
            .iter()
            .map(|(key, v)| Some((key.clone(), T::read(v, &format!("{path}/{key}"), faults)?)))
            .collect();
        read.into_iter().collect()
    }
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
    fn show(&self) -> Value {
        self.iter().map(|(key, v)| (key.clone(), v.show())).collect()
    }
}

/// For a plugin without settings.
impl Setting for () {
    fn read(value: &Value, path: &str, faults: &mut Faults) -> Option<Self> {
        object(value, path, &[], faults).map(|_| ())
    }
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": false })
    }
    fn show(&self) -> Value {
        json!({})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// One feature.
        struct Inner {
            /// Lowest.
            min: Option<f64> = None,
        }
    }

    crate::settings! {
        /// All of them.
        struct Outer {
            /// How long.
            window: Duration = Duration::from_secs(1),
            /// By name.
            features: BTreeMap<String, Inner> = BTreeMap::new(),
            /// Some words.
            words: Vec<String> = Vec::new(),
        }
    }

    fn read(text: &str) -> (Option<Outer>, Vec<(String, String)>) {
        let mut faults = Faults::default();
        let read = Outer::read(&serde_json::from_str(text).unwrap(), "", &mut faults);
        (read, faults.0.into_iter().map(|f| (f.path, f.message)).collect())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let (read, faults) = read(r#"{"features": {"age": {"min": 18}, "name": {}}}"#);
        let read = read.unwrap();
        assert!(faults.is_empty());
        assert_eq!((read.window, read.words.len()), (Duration::from_secs(1), 0));
        assert_eq!((read.features["age"].min, read.features["name"].min), (Some(18.0), None));
    }

    #[test]
    fn every_fault_shows_at_once_with_its_path() {
        let (_, faults) =
            read(r#"{"windo": 1, "window": "10", "features": {"age": {"min": "x"}}, "words": [1, "a", 2]}"#);
        let paths: Vec<_> = faults.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["/windo", "/window", "/features/age/min", "/words/0", "/words/2"]);
        assert_eq!(faults[0].1, "unknown setting (did you mean `window`?)");
        assert!(faults[1].1.contains("`10s`"), "{}", faults[1].1);
    }

    #[test]
    fn a_setting_unlike_any_other_is_told_all_there_are() {
        let (_, faults) = read(r#"{"colour": 1}"#);
        assert_eq!(faults[0].1, "unknown setting (known: window, features, words)");
        let mut faults = Faults::default();
        <()>::read(&json!({ "colour": 1 }), "", &mut faults);
        assert_eq!(faults.0[0].message, "unknown setting (there are none)");
    }

    #[test]
    fn times_carry_their_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        for text in ["250ms", "90s", "10m", "36h", "7d", "0s"] {
            assert_eq!(shown(duration(text).unwrap()), text);
        }
        for bad in ["10", "s", "1.5s", "-1s", "10 s", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn doc_comments_and_defaults_become_the_schema() {
        let schema = Outer::schema();
        assert_eq!(schema["properties"]["window"]["description"], "How long.");
        assert_eq!(schema["properties"]["window"]["default"], "1s");
        assert_eq!(schema["properties"]["features"]["default"], json!({}));
        assert_eq!(schema["additionalProperties"], false);
    }
}

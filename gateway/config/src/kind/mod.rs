//! Kinds of values: how each is read, and how it is described to a JSON schema.

mod nest;
mod select;
mod text;
mod unit;

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use crate::key::Table;
use crate::reader::{Item, Reader};

pub(crate) use nest::{Entry, Free, List, Named, Pairs, SecretPairs, Sub, Tables, headers};
pub(crate) use select::{Daily, Moment, Number, Selectors};
pub(crate) use text::{
    Addr, Blank, Collector, Field, HeaderName, Name, Placed, Secret, Text, Unshown, Url, Word, Words,
};
pub use unit::period;
pub(crate) use unit::{Count, Period, Share, Size, percent, size};

/// What a value is, whatever it holds.
pub(crate) trait Describe {
    /// Its JSON schema, without doc and default.
    fn schema(&self) -> Value;

    /// Whether it is a leaf or holds tables of known keys.
    fn shape(&self) -> Shape {
        Shape::Leaf
    }

    /// A secret is never shown.
    fn secret(&self) -> bool {
        false
    }
}

/// How a kind reads its value.
pub(crate) trait Kind: Describe {
    type Out;

    /// The value, or `None` with every fault in it recorded.
    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out>;
}

/// What stands below a key.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Leaf,
    /// `[key]`
    Table(&'static Table),
    /// `[[key]]`
    Tables(&'static Table),
    /// `[key.NAME]`; of several tables the one whose first key is present holds, else the first.
    Named(&'static [&'static Table]),
}

/// `true` or `false`.
pub(crate) struct Bool;

impl Describe for Bool {
    fn schema(&self) -> Value {
        json!({"type": "boolean"})
    }
}

impl Kind for Bool {
    type Out = bool;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<bool> {
        if let DeValue::Boolean(value) = item.value {
            return Some(*value);
        }
        reader.fault(&item.place, format!("{} does not fit (write `true` or `false`)", item.quoted()));
        None
    }
}

/// The schema of a string; where it has a form, a value taken from the environment fits too.
pub(crate) fn string_schema(pattern: &str) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), json!("string"))]);
    if !pattern.is_empty() {
        let either = format!(r"^({pattern})$|\$\{{[A-Za-z_][A-Za-z0-9_]*\}}");
        schema.insert("pattern".to_owned(), Value::String(either));
    }
    Value::Object(schema)
}

//! Values that hold values: lists, pairs, free tables and tables of known keys.

use std::collections::HashSet;
use std::marker::PhantomData;

use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Describe, HeaderName, Kind, Name, Shape, Text};
use crate::fault::{Place, secretive};
use crate::key::Table;
use crate::reader::{At, Item, Reader};
use crate::section::{Keys, Line, Title, in_order, read};

/// A list without repetition.
pub(crate) struct List<K> {
    pub(crate) of: K,
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl<K> List<K> {
    /// Of no entries to `max`.
    pub(crate) const fn up_to(max: usize, of: K) -> Self {
        Self { of, min: 0, max }
    }
}

impl<K: Describe> Describe for List<K> {
    fn schema(&self) -> Value {
        json!({
            "type": "array",
            "items": self.of.schema(),
            "minItems": self.min,
            "maxItems": self.max,
            "uniqueItems": true,
        })
    }
}

impl<K: Kind> Kind for List<K> {
    type Out = Vec<K::Out>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let DeValue::Array(values) = item.value else {
            reader.fault(&item.place, format!("{} is no list (write `[..]` around it)", item.quoted()));
            return None;
        };
        if !(self.min..=self.max).contains(&values.len()) {
            let message =
                format!("a list of {} does not fit (write {} to {})", values.len(), self.min, self.max);
            reader.fault(&item.place, message);
            return None;
        }
        let mut seen = HashSet::new();
        let mut read = |(index, value): (usize, &Spanned<DeValue<'_>>)| {
            let place = Place::new(format!("{}[{index}]", item.place.key), value.span());
            let one = Item { value: value.get_ref(), place };
            if !seen.insert(one.quoted()) {
                reader.fault(&one.place, format!("{} stands twice in the list (take one out)", one.quoted()));
            }
            self.of.read(&one, reader)
        };
        let all: Vec<Option<K::Out>> = values.iter().enumerate().map(&mut read).collect();
        // Every fault of the list first, then none of it: half a list is another list.
        all.into_iter().collect()
    }
}

/// A table of strings with free names; in the order of the names, which is the same for equal tables.
pub(crate) struct Pairs;

impl Describe for Pairs {
    fn schema(&self) -> Value {
        json!({"type": "object", "additionalProperties": Text.schema()})
    }
}

impl Kind for Pairs {
    type Out = Vec<At<(String, String)>>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let table = table(item, reader, "{ name = \"value\" }")?;
        let mut pair = |(name, value): Line<'_, '_>| {
            let one = entry(item, name, value, reader);
            let text = Text.read(&one, reader)?;
            Some(At { value: (name.get_ref().to_string(), text), shown: one.quoted(), place: one.place })
        };
        let all: Vec<Option<_>> = table.iter().map(&mut pair).collect();
        all.into_iter().collect()
    }
}

/// [`Pairs`] whose values are never shown.
pub(crate) struct SecretPairs;

impl Describe for SecretPairs {
    fn schema(&self) -> Value {
        Pairs.schema()
    }

    fn secret(&self) -> bool {
        true
    }
}

impl Kind for SecretPairs {
    type Out = Vec<At<(String, String)>>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        if let DeValue::Table(table) = item.value {
            table.values().for_each(|value| reader.mask(&value.span()));
        }
        Pairs.read(item, reader)
    }
}

/// Names, in lower case, and values that can be headers; the others are faults.
pub(crate) fn headers(pairs: &[At<(String, String)>], reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let one = |header: &At<(String, String)>| {
        let (name, value) = &header.value;
        let fits = HeaderName::fits(name) && !value.contains(|c: char| c.is_control());
        if !fits {
            reader.fault(&header.place, "this is no header (write a name and a value on one line)");
        }
        fits.then(|| (name.to_ascii_lowercase(), value.clone()))
    };
    pairs.iter().filter_map(one).collect()
}

/// A table whose keys are somebody else's, as JSON.
pub(crate) struct Free;

impl Describe for Free {
    fn schema(&self) -> Value {
        json!({"type": "object"})
    }
}

impl Kind for Free {
    type Out = Value;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Value> {
        table(item, reader, "{ key = \"value\" }")?;
        json_of(item, reader)
    }
}

/// A TOML value as JSON, its strings filled from the environment.
fn json_of(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Value> {
    match item.value {
        DeValue::String(_) => reader.text(item, "a string").map(|text| Value::String(text.into_owned())),
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Datetime(value) => Some(Value::String(value.to_string())),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
            fits_json(number.map(Value::from), item, reader)
        }
        DeValue::Float(digits) => fits_json(digits.as_str().parse().ok().and_then(finite), item, reader),
        DeValue::Array(values) => {
            let one = |(index, value): (usize, &Spanned<DeValue<'_>>)| {
                let place = Place::new(format!("{}[{index}]", item.place.key), value.span());
                json_of(&Item { value: value.get_ref(), place }, reader)
            };
            let all: Vec<Option<Value>> = values.iter().enumerate().map(one).collect();
            all.into_iter().collect::<Option<Vec<Value>>>().map(Value::Array)
        }
        DeValue::Table(table) => {
            let one = |(name, value): Line<'_, '_>| {
                let value = json_of(&entry(item, name, value, reader), reader)?;
                Some((name.get_ref().to_string(), value))
            };
            let all: Vec<Option<(String, Value)>> = in_order(table).into_iter().map(one).collect();
            all.into_iter().collect::<Option<Map<String, Value>>>().map(Value::Object)
        }
    }
}

/// A value below a key that is somebody else's; it is not shown if the key gives it away as secret.
fn entry<'a>(
    above: &Item<'_>,
    name: &Title<'_>,
    value: &'a Spanned<DeValue<'a>>,
    reader: &mut Reader<'_>,
) -> Item<'a> {
    if secretive(name.get_ref()) {
        reader.mask(&value.span());
    }
    Item { value: value.get_ref(), place: above.place.below(name.get_ref(), value.span()) }
}

fn finite(number: f64) -> Option<Value> {
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn fits_json(value: Option<Value>, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Value> {
    if value.is_none() {
        let message = format!("{} does not fit (plugins take finite numbers of 64 bits)", item.quoted());
        reader.fault(&item.place, message);
    }
    value
}

/// A table of known keys: `[key]`.
pub(crate) struct Sub<S>(PhantomData<fn() -> S>);

impl<S> Sub<S> {
    pub(crate) const NEW: Self = Self(PhantomData);
}

impl<S: Keys> Describe for Sub<S> {
    fn schema(&self) -> Value {
        crate::schema::of_table(S::TABLE)
    }

    fn shape(&self) -> Shape {
        Shape::Table(S::TABLE)
    }
}

impl<S: Keys> Kind for Sub<S> {
    type Out = S;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<S> {
        let table = table(item, reader, &format!("[{}]", item.place.key))?;
        Some(read(table, &item.place, reader))
    }
}

/// A list of tables of known keys: `[[key]]`.
pub(crate) struct Tables<S> {
    max: usize,
    out: PhantomData<fn() -> S>,
}

impl<S> Tables<S> {
    pub(crate) const fn max(max: usize) -> Self {
        Self { max, out: PhantomData }
    }
}

impl<S: Keys> Describe for Tables<S> {
    fn schema(&self) -> Value {
        json!({"type": "array", "items": crate::schema::of_table(S::TABLE), "maxItems": self.max})
    }

    fn shape(&self) -> Shape {
        Shape::Tables(S::TABLE)
    }
}

impl<S: Keys> Kind for Tables<S> {
    type Out = Vec<At<S>>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let key = &item.place.key;
        let DeValue::Array(values) = item.value else {
            reader.misfit(&item.place, format!("`{key}` is a list of tables (write `[[{key}]]`)"));
            return None;
        };
        if values.len() > self.max {
            reader.misfit(
                &item.place,
                format!("{} `[[{key}]]` are too many (at most {} fit)", values.len(), self.max),
            );
        }
        let mut all = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate().take(self.max) {
            let one =
                Item { value: value.get_ref(), place: Place::new(format!("{key}[{index}]"), value.span()) };
            if let Some(table) = table(&one, reader, &format!("[[{key}]]")) {
                let value = read(table, &one.place, reader);
                all.push(At { value, shown: one.place.key.clone(), place: one.place });
            }
        }
        Some(all)
    }
}

/// What a named table holds: keys of one table, or of one of several.
pub(crate) trait Entry: Sized + 'static {
    const TABLES: &'static [&'static Table];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self;
}

/// Tables with names: `[key.NAME]`, in the order of the file; `shown` is the name.
pub(crate) struct Named<E> {
    max: usize,
    out: PhantomData<fn() -> E>,
}

impl<E> Named<E> {
    pub(crate) const fn max(max: usize) -> Self {
        Self { max, out: PhantomData }
    }
}

impl<E: Entry> Describe for Named<E> {
    fn schema(&self) -> Value {
        let tables: Vec<Value> = E::TABLES.iter().map(|table| crate::schema::of_table(table)).collect();
        let entry = if let [one] = tables.as_slice() { one.clone() } else { json!({"oneOf": tables}) };
        json!({
            "type": "object",
            "propertyNames": Name.schema(),
            "maxProperties": self.max,
            "additionalProperties": entry,
        })
    }

    fn shape(&self) -> Shape {
        Shape::Named(E::TABLES)
    }
}

impl<E: Entry> Kind for Named<E> {
    type Out = Vec<At<E>>;

    fn read(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let header = format!("[{}.NAME]", item.place.key);
        let named = table(item, reader, &header)?;
        if named.len() > self.max {
            reader.misfit(
                &item.place,
                format!("{} `{header}` are too many (at most {} fit)", named.len(), self.max),
            );
        }
        let mut all = Vec::with_capacity(named.len());
        for (name, value) in in_order(named).into_iter().take(self.max) {
            let text: &str = name.get_ref();
            if !Name::fits(text) {
                let place = item.place.below(text, name.span());
                reader.misfit(&place, Name::unfit(&format!("`{}`", text.escape_debug())));
            }
            let one = Item { value: value.get_ref(), place: item.place.below(text, value.span()) };
            if let Some(table) = table(&one, reader, &header) {
                let value = E::read_entry(table, &one.place, reader);
                all.push(At { value, shown: text.to_owned(), place: one.place });
            }
        }
        Some(all)
    }
}

/// The table that a value is, or a fault that shows how to write one.
fn table<'a>(item: &Item<'a>, reader: &mut Reader<'_>, form: &str) -> Option<&'a DeTable<'a>> {
    if let DeValue::Table(table) = item.value {
        return Some(table);
    }
    reader.misfit(&item.place, format!("{} is no table (write `{form}`)", item.quoted()));
    None
}

//! The configuration in force, in the shape of its file, with nothing secret in it.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use crate::document::File;
use crate::expand::{expand, refers};
use crate::fault::{REDACTED, secretive};
use crate::gateway::Gateway;
use crate::key::{Key, Presence, Table};
use crate::kind::Shape;
use crate::section::{Keys, Line, in_order};

/// Every key with the value in force. What the gateway resolved is shown resolved.
pub(crate) fn effective(root: &DeTable<'_>, gateway: &Gateway) -> Value {
    let mut all = of_table(root, File::TABLE);
    if let Some(shown) = all.get_mut("gateway").and_then(Value::as_object_mut) {
        shown.insert("workers".to_owned(), json!(gateway.workers));
        shown.insert("telemetry_threads".to_owned(), json!(gateway.telemetry_threads));
        if shown.get("instance") == Some(&json!("")) {
            shown.insert("instance".to_owned(), json!(gateway.instance));
        }
    }
    Value::Object(all)
}

fn of_table(values: &DeTable<'_>, table: &Table) -> Map<String, Value> {
    let one = |key: &Key| {
        let value = match values.get(key.name) {
            Some(value) => of_key(value.get_ref(), key),
            None if key.presence == Presence::Default => {
                let value = DeValue::parse(key.literal).expect("a default is TOML, which a test proves");
                of_key(value.get_ref(), key)
            }
            None => return None,
        };
        Some((key.name.to_owned(), value))
    };
    table.keys.iter().filter_map(one).collect()
}

fn of_key(value: &DeValue<'_>, key: &Key) -> Value {
    match (key.kind.shape(), value) {
        (Shape::Table(table), DeValue::Table(values)) => Value::Object(of_table(values, table)),
        (Shape::Tables(table), DeValue::Array(list)) => {
            let each = list.iter().filter_map(|one| one.get_ref().as_table());
            each.map(|values| Value::Object(of_table(values, table))).collect()
        }
        (Shape::Named(tables), DeValue::Table(named)) => {
            let entry = |values: &DeTable<'_>| {
                let fits = |table: &&&Table| values.contains_key(table.keys[0].name);
                of_table(values, tables.iter().find(fits).unwrap_or(&tables[0]))
            };
            let each = in_order(named).into_iter().filter_map(|(name, one)| {
                Some((name.get_ref().to_string(), Value::Object(entry(one.get_ref().as_table()?))))
            });
            Value::Object(each.collect())
        }
        _ if key.kind.secret() && value.as_str() != Some("") => json!(REDACTED),
        _ => of_value(value),
    }
}

/// A value as JSON; what came from the environment is hidden, and so is what a name gives away as secret.
fn of_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(raw) if refers(raw) => json!(REDACTED),
        DeValue::String(raw) => expand(raw, &|_| None).map_or(json!(REDACTED), |text| json!(text)),
        DeValue::Boolean(value) => json!(value),
        DeValue::Datetime(value) => json!(value.to_string()),
        DeValue::Integer(digits) => json!(i64::from_str_radix(digits.as_str(), digits.radix()).ok()),
        DeValue::Float(digits) => json!(digits.as_str().parse::<f64>().ok()),
        DeValue::Array(values) => values.iter().map(|one| of_value(one.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(in_order(table).into_iter().map(entry).collect()),
    }
}

fn entry((name, value): Line<'_, '_>) -> (String, Value) {
    let shown = if secretive(name.get_ref()) { json!(REDACTED) } else { of_value(value.get_ref()) };
    (name.get_ref().to_string(), shown)
}

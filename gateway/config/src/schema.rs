//! The JSON schema of the file, for editors that complete and check TOML as it is written.

use serde_json::{Map, Value, json};

use crate::document::File;
use crate::key::{Key, Presence, Table};
use crate::kind::Shape;
use crate::section::Keys;

/// The JSON schema of a configuration: every key with its type, bounds, default and doc. `weir generate
/// schema` prints it, and `config/weir.schema.json` is a copy.
pub fn schema() -> String {
    let mut schema = Map::from_iter([
        ("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema")),
        ("title".to_owned(), json!("Weir configuration")),
    ]);
    schema.extend(object(of_table(File::TABLE)));
    schema.insert("required".to_owned(), json!(["route"]));
    let text =
        serde_json::to_string_pretty(&Value::Object(schema)).expect("JSON values are written without fail");
    text + "\n"
}

/// The schema of a table of known keys.
pub(crate) fn of_table(table: &Table) -> Value {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let is_required = |key: &&Key| key.presence == Presence::Required;
    let required: Vec<&str> = table.keys.iter().filter(is_required).map(|key| key.name).collect();
    let mut schema = json!({
        "description": prose(table.about),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn of_key(key: &Key) -> Value {
    let mut schema = Map::from_iter([("description".to_owned(), json!(prose(key.doc)))]);
    schema.extend(object(key.kind.schema()).into_iter().filter(|(name, _)| name != "description"));
    if matches!(key.kind.shape(), Shape::Leaf) {
        let value = literal(key.literal);
        let (name, value) =
            if key.presence == Presence::Default { ("default", value) } else { ("examples", json!([value])) };
        schema.insert(name.to_owned(), value);
    }
    Value::Object(schema)
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// A TOML literal as JSON.
fn literal(text: &str) -> Value {
    let table: toml::Table =
        format!("value = {text}").parse().expect("a literal is TOML, which a test proves");
    serde_json::to_value(&table["value"]).expect("what the definitions hold is JSON too")
}

/// Doc lines as one paragraph.
fn prose(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

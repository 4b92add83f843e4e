//! Spans as receivers give them back: OTLP's JSON in the spellings that each of them has.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a span is to a test. Ids are as the receiver writes them.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for none.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) failed: bool,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// All that the receiver says of it, in the spelling of OTLP.
    pub(crate) whole: Value,
}

impl Span {
    /// Reads a span of any receiver's.
    pub(crate) fn read(json: Value) -> Self {
        let whole = camel(json);
        let text = |key: &str| whole[key].as_str().unwrap_or_default().to_owned();
        let pairs = whole["attributes"].as_array().into_iter().flatten();
        let attributes =
            pairs.map(|pair| (pair["key"].as_str().unwrap_or_default().into(), plain(&pair["value"])));
        Self {
            trace: text("traceId"),
            id: text("spanId"),
            parent: text("parentSpanId"),
            name: text("name"),
            start_ns: number(&whole["startTimeUnixNano"]).expect("it begins"),
            end_ns: number(&whole["endTimeUnixNano"]).expect("it ends"),
            failed: whole["status"]["code"] == 2 || whole["status"]["code"] == "STATUS_CODE_ERROR",
            attributes: attributes.collect(),
            whole,
        }
    }

    /// An attribute; null if it is not there.
    pub(crate) fn attribute(&self, key: &str) -> &Value {
        self.attributes.get(key).unwrap_or(&Value::Null)
    }
}

/// The spans of one trace, each the only child of the one before.
#[track_caller]
pub(crate) fn chain(spans: &[Span]) -> Vec<&Span> {
    let mut chain: Vec<&Span> = Vec::new();
    loop {
        let parent = chain.last().map_or("", |last| &last.id);
        let mut below = spans.iter().filter(|span| span.parent == parent);
        let Some(next) = below.next() else { break };
        assert!(below.next().is_none(), "two spans below one: {spans:#?}");
        chain.push(next);
    }
    assert_eq!(chain.len(), spans.len(), "one without its parent: {spans:#?}");
    chain
}

/// `snake_case` to `camelCase`, and no nulls.
fn camel(json: Value) -> Value {
    match json {
        Value::Array(list) => list.into_iter().map(camel).collect(),
        Value::Object(map) => {
            let there = map.into_iter().filter(|(_, value)| !value.is_null());
            there.map(|(key, value)| (camel_key(&key), camel(value))).collect()
        }
        other => other,
    }
}

fn camel_key(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |key, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        key + &initial.to_ascii_uppercase() + rest
    })
}

/// The value of an attribute as plain JSON.
fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|one| one.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "intValue" => number(value).map_or(Value::Null, Value::from),
        "arrayValue" => value["values"].as_array().into_iter().flatten().map(plain).collect(),
        _ => value.clone(),
    }
}

/// A number, written as one or, since it has 64 bits, as a text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

//! Tables as text, so that an expectation fits a line.

use weir_codec::{Body, DecodeError, Decoder, classify};
use weir_exchange::{Cell, FieldPath, Fields, JsonPaths, ObservedRoute, Output, Protocol, Reply, Table};

pub(crate) fn route(protocol: &Protocol, output: Output) -> ObservedRoute {
    ObservedRoute { output, ..ObservedRoute::named("test", Some(protocol.clone())) }
}

/// `json` with other paths than the default.
pub(crate) fn json_at(features: &str, predictions: &str, scores: Option<&str>) -> Protocol {
    let path = |text| FieldPath::parse(text).unwrap();
    Protocol::Json(JsonPaths {
        features: path(features),
        predictions: path(predictions),
        scores: scores.map(path),
        ..JsonPaths::default()
    })
}

pub(crate) fn json() -> Protocol {
    Protocol::Json(JsonPaths::default())
}

/// A table as `#2: 1 2; 3 _` or `(a b): 1 'x'; _ 'y'`: width or names, then rows; `_` is missing.
pub(crate) fn show(table: &Table) -> String {
    let cell = |row, column| match table.cell(row, column) {
        Cell::Missing => "_".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => format!("'{text}'"),
    };
    assert_eq!(table.numbers.len(), table.rows * table.width, "a table is dense");
    assert!(table.texts.is_sorted_by(|a, b| a.0 < b.0), "texts rise by cell");
    let head = match &table.fields {
        Fields::Positional => format!("#{}:", table.width),
        Fields::Named(names) => {
            assert_eq!(names.len(), table.width, "a name for each column");
            format!("({}):", names.join(" "))
        }
    };
    let row = |row| (0..table.width).map(|column| format!(" {}", cell(row, column))).collect::<String>();
    head + &(0..table.rows).map(row).collect::<Vec<_>>().join(";")
}

/// Outputs, scores if any, and the model if the body named it.
pub(crate) fn show_reply(reply: &Reply) -> String {
    let mut text = show(&reply.outputs);
    if reply.scores.width > 0 {
        text += &format!(" scores {}", show(&reply.scores));
    }
    if !reply.model.is_empty() || !reply.model_version.is_empty() {
        text += &format!(" by {}:{}", reply.model, reply.model_version);
    }
    text
}

pub(crate) fn request_in(
    decoder: &mut Decoder,
    protocol: &Protocol,
    body: Body<'_>,
) -> Result<Table, DecodeError> {
    let mut table = Table::default();
    decoder.request(&route(protocol, Output::default()), "/", body, &mut table).map(|()| table)
}

/// A reply as it is decoded and classified without an earlier decision.
pub(crate) fn response_in(
    decoder: &mut Decoder,
    protocol: &Protocol,
    output: Output,
    body: &[u8],
) -> Result<Reply, DecodeError> {
    let (mut reply, route) = (Reply::default(), route(protocol, output));
    decoder.response(&route, Body::json(body), &mut reply)?;
    classify(&mut reply, None, &route.output);
    Ok(reply)
}

/// An error as `kind: message`.
pub(crate) fn outcome(read: Result<String, DecodeError>) -> String {
    read.unwrap_or_else(|error| format!("{}: {error}", error.kind.as_str()))
}

/// A request of every protocol and shape, and a reply.
pub(crate) fn samples() -> Vec<(Protocol, &'static str, &'static str)> {
    vec![
        (
            Protocol::KserveV1,
            r#"{"instances": [[1.5, -2e3, null], ["a\u00e9\n", true, 0.1234567890123456789]]}"#,
            r#"{"predictions": [[0.25, 0.75], [0.5, 0.5]], "model_version": 3}"#,
        ),
        (
            Protocol::KserveV1,
            r#"{"inputs": {"age": [1, 2], "x": {"y": [[1, 2], [3, 4]]}}, "signature_name": "s"}"#,
            r#"{"outputs": ["yes", "no"], "scores": {"a": [0, 1], "b": [1, 0]}}"#,
        ),
        (
            Protocol::Mlflow,
            r#"{"dataframe_split": {"index": [0, 1], "columns": ["a", 7], "data": [[1, "x"], [NaN, -Infinity]]}}"#,
            r#"{"predictions": [{"label": "x", "probabilities": [0.1, 0.9]}], "probs": [[1e-3, 2E+2]]}"#,
        ),
        (
            Protocol::Mlflow,
            r#"{"dataframe_records": [{"a": 1, "b": {"c": "t"}}, {"b": {"c": null}, "a": [1, 2]}], "params": {}}"#,
            r#"[{"0": 0.5}, {"0": 1.5}]"#,
        ),
        (
            Protocol::OipV2,
            r#"{"id": "7", "inputs": [{"name": "a", "data": [[1, 2], [3, 4]], "shape": [2, 2], "datatype": "FP32"},
                {"name": "s", "shape": [2], "datatype": "BYTES", "data": ["x", "\ud83d\ude00"]}]}"#,
            r#"{"model_name": "m", "outputs": [{"name": "predict", "shape": [2], "datatype": "INT64", "data": [1, 0]},
                {"name": "predict_proba", "shape": [2, 2], "datatype": "FP64", "data": [0.5, 0.5, 0.25, 0.75],
                 "parameters": {"class_names": "[\"n\",\"y\"]"}}]}"#,
        ),
        (
            json_at("data.0.rows", "out.labels", Some("out.conf.0")),
            r#"{"data": [{"rows": [[1, 2], [3]]}, "more"], "n": [{}, [], "", false]}"#,
            r#"{"out": {"conf": [[[0.5, 0.5]], 1], "labels": ["x"]}, "model": "m", "model_version": "v"}"#,
        ),
    ]
}

//! What is written for a local model: in the words of the protocol, and read back as it was.

use std::sync::Arc;

use serde_json::{Value, json};
use weir_codec::encode::{self, Datatype, ModelInfo, ModelLabels};
use weir_codec::{Body, Decoder};
use weir_exchange::{Cell, FieldPath, Fields, JsonPaths, ModelFault, Output, Protocol, Reply, Table};

use crate::support::{json as plain_json, json_at, route, show_reply};

const LABELS: ModelLabels<'static> = ModelLabels { name: "churn", version: "3" };

fn table(width: usize, cells: &[Cell<'_>]) -> Table {
    let mut table = Table { rows: cells.len() / width, width, ..Table::default() };
    for (at, cell) in cells.iter().enumerate() {
        if let Cell::Text(text) = cell {
            table.push_text(at, text);
        }
        table.numbers.push(if let Cell::Number(number) = cell { *number } else { f64::NAN });
    }
    table
}

fn numbers(width: usize, numbers: &[f64]) -> Table {
    table(width, &numbers.iter().copied().map(Cell::Number).collect::<Vec<_>>())
}

fn names(names: &[&str]) -> Fields {
    Fields::Named(names.iter().map(|name| Arc::from(*name)).collect())
}

/// Two rows of labels with the probabilities of two classes.
fn classified(labels: Table, classes: &[&str]) -> Reply {
    let scores = Table { fields: names(classes), ..numbers(2, &[0.25, 0.75, 0.9375, 0.0625]) };
    Reply { outputs: labels, scores, ..Reply::default() }
}

fn texts() -> Reply {
    classified(table(1, &[Cell::Text("yes"), Cell::Text("no")]), &["no", "yes"])
}

fn whole() -> Reply {
    classified(numbers(1, &[1.0, 0.0]), &["0", "1"])
}

#[track_caller]
fn written(protocol: &Protocol, reply: &Reply, expect: &Value) {
    let bytes = encode::reply(protocol, reply, &LABELS, None);
    assert_eq!(
        serde_json::from_slice::<Value>(&bytes).unwrap(),
        *expect,
        "{}",
        String::from_utf8_lossy(&bytes)
    );
}

#[test]
fn predictions_stand_where_clients_of_kserve_and_mlflow_read_them() {
    for protocol in [Protocol::KserveV1, Protocol::Mlflow] {
        let scores = json!([[0.25, 0.75], [0.9375, 0.0625]]);
        written(
            &protocol,
            &texts(),
            &json!({"predictions": ["yes", "no"], "probabilities": scores,
            "class_names": ["no", "yes"], "model_name": "churn", "model_version": "3"}),
        );
        written(
            &protocol,
            &whole(),
            &json!({"predictions": [1, 0], "probabilities": scores,
            "class_names": ["0", "1"], "model_name": "churn", "model_version": "3"}),
        );
        let regression = Reply { outputs: numbers(1, &[1.5, -2.0]), ..Reply::default() };
        written(
            &protocol,
            &regression,
            &json!({"predictions": [1.5, -2],
            "model_name": "churn", "model_version": "3"}),
        );
        let several = Reply { outputs: numbers(2, &[1.0, 2.0, 3.0, 4.0]), ..Reply::default() };
        written(
            &protocol,
            &several,
            &json!({"predictions": [[1, 2], [3, 4]],
            "model_name": "churn", "model_version": "3"}),
        );
        let fields = Table { fields: names(&["a", "b"]), ..numbers(2, &[1.0, 2.0]) };
        written(
            &protocol,
            &Reply { outputs: fields, ..Reply::default() },
            &json!({"predictions": [{"a": 1, "b": 2}],
            "model_name": "churn", "model_version": "3"}),
        );
    }
    let bytes = encode::reply(&Protocol::KserveV1, &whole(), &ModelLabels { version: "", ..LABELS }, None);
    assert!(serde_json::from_slice::<Value>(&bytes).unwrap().get("model_version").is_none());
}

#[test]
fn tensors_have_the_shape_and_type_of_their_data() {
    let tensors = |labels: Value, classes: &str| {
        json!({"model_name": "churn", "model_version": "3", "outputs": [
            labels,
            {"name": "predict_proba", "shape": [2, 2], "datatype": "FP64", "parameters": {"class_names": classes},
             "data": [0.25, 0.75, 0.9375, 0.0625]}]})
    };
    let o = Protocol::OipV2;
    let yes_no = json!({"name": "predict", "shape": [2, 1], "datatype": "BYTES", "data": ["yes", "no"]});
    written(&o, &texts(), &tensors(yes_no, r#"["no","yes"]"#));
    let one_zero = json!({"name": "predict", "shape": [2, 1], "datatype": "INT64", "data": [1, 0]});
    written(&o, &whole(), &tensors(one_zero, r#"["0","1"]"#));
    let regression = Reply { outputs: numbers(1, &[1.0, f64::NAN]), ..Reply::default() };
    written(
        &o,
        &regression,
        &json!({"model_name": "churn", "model_version": "3", "outputs": [
        {"name": "predict", "shape": [2, 1], "datatype": "FP64", "data": [1, null]}]}),
    );
    let mixed = table(2, &[Cell::Text("a\"\n\u{1}é"), Cell::Number(0.5), Cell::Missing, Cell::Number(2.0)]);
    let mixed = Table { fields: names(&["what", "how much"]), ..mixed };
    written(
        &o,
        &Reply { outputs: mixed, ..Reply::default() },
        &json!({"model_name": "churn", "model_version": "3",
        "outputs": [
            {"name": "what", "shape": [2, 1], "datatype": "BYTES", "data": ["a\"\n\u{1}é", null]},
            {"name": "how much", "shape": [2, 1], "datatype": "FP64", "data": [0.5, 2]}]}),
    );
    let empty = encode::reply(&o, &Reply::default(), &LABELS, Some("a\"b"));
    let expect = json!({"model_name": "churn", "model_version": "3", "id": "a\"b", "outputs": []});
    assert_eq!(serde_json::from_slice::<Value>(&empty).unwrap(), expect);
}

#[test]
fn json_values_stand_at_the_route_s_paths() {
    let scores = json!([[0.25, 0.75], [0.9375, 0.0625]]);
    let beside = json!({"predictions": ["yes", "no"], "probabilities": scores, "class_names": ["no", "yes"],
        "model": "churn", "model_version": "3"});
    written(&plain_json(), &texts(), &beside);
    let deep = json!({"out": {"labels": ["yes", "no"], "conf": [scores], "class_names": ["no", "yes"]},
        "model": "churn", "model_version": "3"});
    written(&json_at("x", "out.labels", Some("out.conf.0")), &texts(), &deep);
    written(&json_at("x", "", None), &texts(), &json!(["yes", "no"]));
    let far = json!({"out": {"4000000000": ["yes", "no"], "probabilities": scores, "class_names": ["no", "yes"]},
        "model": "churn", "model_version": "3"});
    written(&json_at("x", "out.4000000000", None), &texts(), &far);
}

#[test]
fn what_is_written_reads_back_as_it_was() {
    let named = |reply: Reply| Reply { model: "churn".into(), model_version: "3".into(), ..reply };
    let only_scores = |fields| {
        let scores = Table { fields, ..numbers(3, &[0.1, 0.2, 0.7]) };
        Reply { outputs: Table { rows: 1, ..Table::default() }, scores, ..Reply::default() }
    };
    let replies = [
        texts(),
        whole(),
        only_scores(Fields::Positional),
        Reply { outputs: numbers(1, &[1e300, -0.0, 0.1 + 0.2]), ..Reply::default() },
        Reply { outputs: numbers(1, &[5e-324, 123456789012345680.0, 1e15]), ..Reply::default() },
        Reply {
            outputs: table(1, &[Cell::Missing, Cell::Text("\u{7f}\\ \"\t"), Cell::Text("")]),
            ..Reply::default()
        },
    ];
    let json = Protocol::Json(JsonPaths { scores: Some(FieldPath::field("p")), ..JsonPaths::default() });
    for protocol in [Protocol::KserveV1, Protocol::Mlflow, Protocol::OipV2, plain_json(), json] {
        for reply in &replies {
            let bytes = encode::reply(&protocol, reply, &LABELS, None);
            let (mut read, route) = (Reply::default(), route(&protocol, Output::default()));
            Decoder::default().response(&route, Body::json(&bytes), &mut read).unwrap();
            // Scores that are the predictions are told apart by what they look like, except where they have
            // a name.
            weir_codec::classify(&mut read, None, &route.output);
            assert_eq!(
                show_reply(&read),
                show_reply(&named(reply.clone())),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn errors_are_told_in_the_protocol_s_words() {
    let message = "no column `a\"`\n";
    for protocol in [Protocol::KserveV1, Protocol::OipV2, plain_json()] {
        let body: Value =
            serde_json::from_slice(&encode::error(&protocol, ModelFault::Client, message)).unwrap();
        assert_eq!(body, json!({"error": message}));
    }
    for (fault, code) in [
        (ModelFault::Client, "BAD_REQUEST"),
        (ModelFault::Model, "INTERNAL_ERROR"),
        (ModelFault::Busy, "TEMPORARILY_UNAVAILABLE"),
    ] {
        let body: Value = serde_json::from_slice(&encode::error(&Protocol::Mlflow, fault, message)).unwrap();
        assert_eq!(body, json!({"error_code": code, "message": message}));
    }
}

#[test]
fn only_the_open_inference_protocol_has_request_ids() {
    let id = |protocol: &Protocol, body: &str| encode::request_id(protocol, body.as_bytes());
    let o = Protocol::OipV2;
    assert_eq!(id(&o, r#"{"inputs": [{"id": "no"}], "id": "a\u00e9"}"#), Some("aé".to_owned()));
    assert_eq!(id(&o, r#"{"id": 7, "inputs": []}"#), None);
    assert_eq!(id(&o, r#"{"id": "7", "inputs": ["#), None);
    assert_eq!(id(&Protocol::KserveV1, r#"{"id": "7"}"#), None);
}

fn info(classes: &[&str]) -> ModelInfo {
    ModelInfo {
        name: "churn".into(),
        version: "3".into(),
        features: vec![("age".into(), Datatype::Int64), ("plan".into(), Datatype::Bytes)],
        classes: classes.iter().map(|class| Arc::from(*class)).collect(),
    }
}

#[test]
fn get_answers_what_the_protocol_defines_and_nothing_else() {
    let model = info(&["no", "yes"]);
    let get = |protocol: &Protocol, path: &str| {
        let (status, body) = encode::answer_get(protocol, path, &model)?;
        Some((status, serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null)))
    };
    let ready = || Some((200, json!({"name": "churn", "ready": true})));
    let (k, o, m) = (Protocol::KserveV1, Protocol::OipV2, Protocol::Mlflow);
    assert_eq!(get(&k, "/v1/models"), Some((200, json!({"models": ["churn"]}))));
    assert_eq!(get(&k, "/v1/models/churn"), ready());
    assert_eq!(get(&k, "/v1/models/churn/versions/3"), ready());
    assert_eq!(get(&o, "/v2/models/churn/ready"), ready());
    assert_eq!(get(&o, "/v2/models/churn/versions/3/ready"), ready());
    assert_eq!(get(&o, "/v2/health/live"), Some((200, json!({"live": true}))));
    assert_eq!(get(&o, "/v2/health/ready").unwrap().1["ready"], true);
    assert_eq!(get(&o, "/v2").unwrap().1["name"], "weir");
    for (protocol, path) in
        [(&k, "/v1/models/x"), (&k, "/v1/models/churn/versions/4"), (&o, "/v2/models/x/ready")]
    {
        let (status, body) = get(protocol, path).unwrap();
        assert_eq!(status, 404, "{path}");
        assert!(body["error"].as_str().unwrap().contains("is not served here"), "{body}");
    }
    assert_eq!(get(&m, "/ping"), Some((200, Value::Null)));
    assert_eq!(get(&plain_json(), "/health").unwrap().1["model_loaded"], true);
    for (protocol, path) in
        [(&k, "/favicon.ico"), (&o, "/v1/models"), (&m, "/invocations"), (&plain_json(), "/")]
    {
        assert_eq!(get(protocol, path), None, "{path}");
    }
}

#[test]
fn metadata_names_the_tensors_that_replies_have() {
    let metadata = |classes: &[&str]| -> Value {
        let (_, body) = encode::answer_get(&Protocol::OipV2, "/v2/models/churn", &info(classes)).unwrap();
        serde_json::from_slice(&body).unwrap()
    };
    let predict = |datatype: &str| json!({"name": "predict", "datatype": datatype, "shape": [-1, 1]});
    let scores = json!({"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]});
    let body = metadata(&["no", "yes"]);
    assert_eq!((&body["name"], &body["versions"]), (&json!("churn"), &json!(["3"])));
    assert_eq!(
        body["inputs"],
        json!([
        {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "plan", "datatype": "BYTES", "shape": [-1, 1]}])
    );
    assert_eq!(body["outputs"], json!([predict("BYTES"), scores]));
    assert_eq!(metadata(&["0", "1"])["outputs"], json!([predict("INT64"), scores]));
    assert_eq!(metadata(&["0.5", "1"])["outputs"], json!([predict("FP64"), scores]));
    assert_eq!(metadata(&[])["outputs"], json!([predict("FP64")]));
}

//! What bodies of each protocol decode to.

use crate::support::{json, json_at, outcome, request_in, response_in, route, show, show_reply};
use weir_codec::{Body, DecodeErrorKind, Decoder, model_in_path};
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{FieldPath, Fields, Output, Protocol, Reply, Table, Task};

#[track_caller]
fn request(protocol: &Protocol, body: &str, expect: &str) {
    let read = request_in(&mut Decoder::default(), protocol, Body::json(body.as_bytes()));
    assert_eq!(outcome(read.map(|table| show(&table))), expect, "{body}");
}

#[track_caller]
fn response(protocol: &Protocol, body: &str, expect: &str) {
    response_as(protocol, Output::default(), body, expect);
}

#[track_caller]
fn response_as(protocol: &Protocol, output: Output, body: &str, expect: &str) {
    let read = response_in(&mut Decoder::default(), protocol, output, body.as_bytes());
    assert_eq!(outcome(read.map(|reply| show_reply(&reply))), expect, "{body}");
}

fn classes(names: &[&str]) -> Output {
    Output { classes: names.iter().map(|name| (*name).into()).collect(), ..Output::default() }
}

fn scores_at(path: &str) -> Output {
    Output { scores: Some(FieldPath::parse(path).unwrap()), ..Output::default() }
}

fn task(task: Task) -> Output {
    Output { task, ..Output::default() }
}

#[test]
fn kserve_rows_are_arrays_objects_or_plain_values() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"instances": [[1, 2.5], [3, -4e2]]}"#, "#2: 1 2.5; 3 -400");
    request(&k, r#"{"inputs": [[1, 2]]}"#, "#2: 1 2");
    request(&k, r#"{"instances": [1, "a", true, null]}"#, "#1: 1; 'a'; 1; _");
    request(&k, r#"{"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}"#, "(a b): 1 'x'; 2 'y'");
    request(&k, r#"{"signature_name": "s", "instances": []}"#, "#0:");
    request(&k, r#"{"instances": [[], []]}"#, "#0:;");
    request(&k, r#"{"rows": [1]}"#, "absent: neither `instances` nor `inputs` is in the body");
}

#[test]
fn kserve_inputs_may_be_columns() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"inputs": {"a": [1, 2], "b": ["x", "y"]}}"#, "(a b): 1 'x'; 2 'y'");
    request(&k, r#"{"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}}"#, "(a_0 a_1 b): 1 2 5; 3 4 6");
    request(&k, r#"{"inputs": {"a": 1, "b": "x"}}"#, "(a b): 1 'x'");
    let uneven = r#"{"inputs": {"a": [1, 2], "b": [1]}}"#;
    request(&k, uneven, "unsupported: `b` has 1 rows where `a` has 2");
}

#[test]
fn an_object_with_a_plain_value_is_one_row_wherever_that_stands() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"inputs": {"tags": ["x", "y"], "age": 3}}"#, "(tags_0 tags_1 age): 'x' 'y' 3");
    request(&k, r#"{"inputs": {"age": 3, "tags": ["x", "y"]}}"#, "(age tags_0 tags_1): 3 'x' 'y'");
    request(&k, r#"{"inputs": {"a": {"b": [1, 2], "c": null}}}"#, "(a.b_0 a.b_1 a.c): 1 2 _");
    request(&json(), r#"{"features": {"a": [1, 2], "b": "x"}}"#, "(a_0 a_1 b): 1 2 'x'");
}

#[test]
fn short_rows_are_padded_wherever_the_longest_stands() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"instances": [[1, 2, 3], [4], []]}"#, "#3: 1 2 3; 4 _ _; _ _ _");
    request(&k, r#"{"instances": [[1], [2, 3], ["a"], [4, "b", 5]]}"#, "#3: 1 _ _; 2 3 _; 'a' _ _; 4 'b' 5");
    request(&k, r#"{"instances": [[], [1], "s", ["x", "y"]]}"#, "#2: _ _; 1 _; 's' _; 'x' 'y'");
}

#[test]
fn inner_arrays_of_a_row_are_flattened() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"instances": [[[1, 2], [3, [4]]], [5, 6, 7, 8]]}"#, "#4: 1 2 3 4; 5 6 7 8");
    let object = "unsupported: an object inside an array row";
    request(&k, r#"{"instances": [[1, {"a": 2}]]}"#, object);
}

#[test]
fn object_rows_keep_first_seen_order_whatever_order_they_come_in() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"instances": [{"a": 1, "b": 2}, {"b": 3, "a": 4}]}"#, "(a b): 1 2; 4 3");
    request(&k, r#"{"instances": [{"a": 1}, {"b": "x", "c": 2}, {}]}"#, "(a b c): 1 _ _; _ 'x' 2; _ _ _");
    request(&k, r#"{"instances": [{"b": "x", "a": "y"}, {"a": "p", "b": "q"}]}"#, "(b a): 'x' 'y'; 'q' 'p'");
    request(&k, r#"{"instances": [{"a": 1}, null, {"a": 2}]}"#, "(a): 1; _; 2");
    request(&k, r#"{"instances": [null, null, {"a": 2}]}"#, "(a): _; _; 2");
    request(&k, r#"{"instances": [null, [1, 2]]}"#, "#2: _ _; 1 2");
    request(&k, r#"{"instances": [null]}"#, "#1: _");
    request(&k, r#"{"instances": [{"a": 1}, [2]]}"#, "unsupported: row 1 mixes array rows and object rows");
}

#[test]
fn the_last_value_of_a_repeated_field_counts() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"instances": [{"a": 1, "b": "t", "a": 2, "b": 3}]}"#, "(a b): 2 3");
    request(
        &k,
        r#"{"instances": [{"a": "x", "b": 1, "a": "y"}, {"a": "z", "a": null}]}"#,
        "(a b): 'y' 1; _ _",
    );
    request(&k, r#"{"instances": [[1]], "instances": [[2, 3]]}"#, "#2: 2 3");
}

#[test]
fn nested_fields_are_named_by_their_path() {
    let k = Protocol::KserveV1;
    request(&k, r#"{"instances": [{"a": {"b": 1, "c": {"d": "x"}}, "e": 2}]}"#, "(a.b a.c.d e): 1 'x' 2");
    request(&k, r#"{"instances": [{"a": [1, [2, "x"]], "b": [[7]]}]}"#, "(a_0 a_1 a_2 b): 1 2 'x' 7");
    request(&k, r#"{"instances": [{"a": [{"x": 1}, 5]}]}"#, "(a_0.x a_1): 1 5");
    request(&k, r#"{"instances": [{"a": [], "b": 1}]}"#, "(b): 1");
}

#[test]
fn more_fields_than_are_searched_one_by_one_find_their_place() {
    let row = |order: &mut dyn Iterator<Item = usize>| {
        let fields: Vec<String> = order.map(|at| format!("\"f{at}\": {at}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let body = format!("{{\"instances\": [{}, {}]}}", row(&mut (0..40)), row(&mut (0..50).rev()));
    let table =
        request_in(&mut Decoder::default(), &Protocol::KserveV1, Body::json(body.as_bytes())).unwrap();
    assert_eq!((table.rows, table.width), (2, 50));
    assert!(table.row(0)[40..].iter().all(|n| n.is_nan()));
    let Fields::Named(names) = &table.fields else { panic!("object rows have names") };
    for (column, name) in names.iter().enumerate() {
        assert_eq!(table.row(1)[column], name[1..].parse::<f64>().unwrap());
    }
}

#[test]
fn mlflow_reads_all_four_shapes() {
    let m = Protocol::Mlflow;
    let split =
        r#"{"dataframe_split": {"columns": ["a", "b"], "index": [0], "data": [[1, "x"], [null, "y"]]}}"#;
    request(&m, split, "(a b): 1 'x'; _ 'y'");
    request(&m, r#"{"dataframe_split": {"data": [[1, 2]], "columns": ["a", 7]}}"#, "(a 7): 1 2");
    request(&m, r#"{"dataframe_split": {"data": [[1, 2]]}}"#, "#2: 1 2");
    request(&m, r#"{"dataframe_split": {"data": [], "columns": ["a"]}}"#, "(a):");
    request(&m, r#"{"dataframe_records": [{"a": 1}, {"a": 2}], "params": {"p": 1}}"#, "(a): 1; 2");
    request(&m, r#"{"instances": [[1, 2]]}"#, "#2: 1 2");
    request(&m, r#"{"inputs": [[1, 2]]}"#, "#2: 1 2");
    request(&m, r#"{"inputs": {"a": [1, 2], "b": {"c": [3, 4]}}}"#, "(a b.c): 1 3; 2 4");
    request(&m, r#"{"inputs": {"a": [{"x": 1, "y": "s"}, {"x": 2}]}}"#, "(a.x a.y): 1 's'; 2 _");
}

#[test]
fn mlflow_frames_that_do_not_fit_are_refused() {
    let m = Protocol::Mlflow;
    let narrow = r#"{"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}"#;
    request(&m, narrow, "malformed: rows of 1 fields under 2 `columns`");
    let twice = r#"{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}"#;
    request(&m, twice, "malformed: field `a` stands there twice");
    request(&m, r#"{"messages": []}"#, "unsupported: text for a language model, not rows");
    let none = "absent: none of `dataframe_split`, `dataframe_records`, `instances`, `inputs` is in the body";
    request(&m, "{}", none);
}

#[test]
fn mlflow_reads_csv() {
    let csv = |text: &str| {
        let body = Body { bytes: text.as_bytes(), encoding: Encoding::Identity, content: Content::Csv };
        outcome(request_in(&mut Decoder::default(), &Protocol::Mlflow, body).map(|table| show(&table)))
    };
    assert_eq!(csv("a,b,c\n1,x,true\n,\"y, z\",False\n"), "(a b c): 1 'x' 1; _ 'y, z' 0");
    assert_eq!(csv("a,b\r\n1e3\r\nNaN, 7\r\n"), "(a b): 1000 _; _ 7");
    assert_eq!(csv("a,b\n1,2,3\n"), "malformed: a line of 3 cells under 2 fields");
    assert_eq!(csv("a,a\n1,2\n"), "malformed: field `a` stands in the header twice");
    assert_eq!(csv("a,b"), "(a b):");
    assert_eq!(csv("a,b\n1\nx\n"), "(a b): 1 _; 'x' _");
}

#[test]
fn oip_tensors_are_rows_by_their_shape() {
    let one = |rest: &str| format!(r#"{{"inputs": [{{"name": "x", "datatype": "FP64", {rest}}}]}}"#);
    let o = Protocol::OipV2;
    request(&o, &one(r#""shape": [2, 2], "data": [1, 2, 3, 4]"#), "#2: 1 2; 3 4");
    request(&o, &one(r#""data": [[1, 2], [3, 4]], "shape": [2, 2]"#), "#2: 1 2; 3 4");
    request(&o, &one(r#""shape": [1, 2, 2], "data": [[[1, 2], [3, 4]]]"#), "#4: 1 2 3 4");
    request(&o, &one(r#""shape": [3], "data": [1, 2, 3]"#), "#1: 1; 2; 3");
    request(&o, &one(r#""shape": [], "data": [5]"#), "#1: 5");
    request(&o, &one(r#""shape": [0, 3], "data": []"#), "#3:");
    let short = "malformed: tensor `x` has 3 values for a shape of 2 x 2";
    request(&o, &one(r#""shape": [2, 2], "data": [1, 2, 3]"#), short);
    let huge = r#""shape": [4611686018427387904, 4], "data": []"#;
    let message = "malformed: tensor `x` has 0 values for a shape of 4611686018427387904 x 4";
    request(&o, &one(huge), message);
    request(&o, &one(r#""shape": [-1], "data": []"#), "malformed: `-1` is no dimension of a shape");
    request(&o, &one(r#""data": [1]"#), "malformed: tensor `x` has no `shape` or no `data`");
    let binary = r#""shape": [1], "parameters": {"binary_data_size": 8}"#;
    request(&o, &one(binary), "unsupported: tensor `x` travels as binary data");
    request(&o, r#"{"id": "1"}"#, "absent: `inputs` is not in the body");
}

#[test]
fn several_oip_tensors_are_named_columns() {
    let body = r#"{"inputs": [
        {"name": "s", "shape": [2, 1], "datatype": "BYTES", "data": ["x", "y"]},
        {"name": "m", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]},
        {"name": "b", "shape": [2], "datatype": "BOOL", "data": [true, false]},
        {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["p", "q"]}]}"#;
    request(&Protocol::OipV2, body, "(s m_0 m_1 b t): 'x' 1 2 1 'p'; 'y' 3 4 0 'q'");
    for datatype in ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16"] {
        let body = format!(
            r#"{{"inputs": [{{"name": "x", "shape": [1], "datatype": "{datatype}", "data": [1]}}]}}"#
        );
        request(&Protocol::OipV2, &body, "#1: 1");
    }
    let body = r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "BF16", "data": [1]}]}"#;
    request(&Protocol::OipV2, body, "unsupported: datatype `BF16` in JSON");
}

#[test]
fn oip_tensors_that_fit_no_table_are_refused() {
    let two = |name: &str, rows: usize| {
        format!(
            r#"{{"inputs": [{{"name": "a", "shape": [2], "datatype": "FP32", "data": [1, 2]}},
                {{"name": "{name}", "shape": [{rows}], "datatype": "INT8", "data": [{}]}}]}}"#,
            vec!["1"; rows].join(",")
        )
    };
    let o = Protocol::OipV2;
    request(&o, &two("b", 3), "unsupported: `b` has 3 rows where `a` has 2");
    request(&o, &two("a", 2), "malformed: field `a` stands there twice");
    request(&o, r#"{"inputs": []}"#, "#0:");
    request(
        &o,
        r#"{"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]}"#,
        "malformed: a tensor has no `name`",
    );
    request(&o, r#"{"inputs": {}}"#, "malformed: expected an array at byte 11, found `{`");
}

#[test]
fn oip_tensors_behind_the_json_are_unsupported() {
    let json = r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}]}"#;
    let read = |tail: &[u8]| {
        let body = [json.as_bytes(), tail].concat();
        let read = request_in(&mut Decoder::default(), &Protocol::OipV2, Body::json(&body));
        read.unwrap_err().kind
    };
    assert_eq!(read(&1.5_f64.to_le_bytes()), DecodeErrorKind::Unsupported);
    assert_eq!(read(&[0xff; 8]), DecodeErrorKind::Unsupported);
    let reply = r#"{"outputs": [{"name": "y", "shape": [1], "datatype": "INT8", "parameters": {"binary_data_size": 1}}]}"#;
    response(&Protocol::OipV2, reply, "unsupported: tensor `y` travels as binary data");
}

#[test]
fn json_features_are_rows_one_row_or_columns() {
    request(&json(), r#"{"features": [[1, 2], [3, 4]]}"#, "#2: 1 2; 3 4");
    request(&json(), r#"{"features": [1, "a", [2, 3]]}"#, "#4: 1 'a' 2 3");
    request(&json(), r#"{"features": {"a": 1, "b": ["x", "y"]}}"#, "(a b_0 b_1): 1 'x' 'y'");
    request(&json(), r#"{"features": {"a": [1, 2], "b": [3, 4]}}"#, "(a b): 1 3; 2 4");
    request(&json(), r#"{"features": [{"a": 1}]}"#, "(a): 1");
    request(&json(), r#"{"features": 7}"#, "#1: 7");
    request(&json(), r#"{"x": 7}"#, "absent: `features` is not in the body");
}

#[test]
fn json_paths_reach_into_objects_lists_and_the_document_itself() {
    let deep = json_at("data.1.rows", "p", None);
    request(&deep, r#"{"data": [{"rows": [[9]]}, {"k": 1, "rows": [[1]]}, 3]}"#, "#1: 1");
    request(&deep, r#"{"data": {"rows": [[9]]}}"#, "absent: `data.1.rows` is not in the body");
    let root = json_at("", "", None);
    request(&root, r#"[[1, 2], [3, 4]]"#, "#2: 1 2; 3 4");
    request(&root, r#"{"age": 3, "city": "x"}"#, "(age city): 3 'x'");
    response(&root, "[3, 4]", "#1: 3; 4");
    response(&root, r#"{"label": "a", "probs": 1}"#, "(label): 'a' scores #1: 1");
}

#[test]
fn replies_give_predictions_scores_and_the_model() {
    let k = Protocol::KserveV1;
    response(&k, r#"{"predictions": [1, 2, 3]}"#, "#1: 1; 2; 3");
    response(&k, r#"{"predictions": [[1.5, 2.5]]}"#, "#2: 1.5 2.5");
    response(&k, r#"{"outputs": [["a", "b"]], "model_version": 12}"#, "#2: 'a' 'b' by :12");
    response(&k, r#"{"predictions": 4, "model_name": "m", "model_version": "2"}"#, "#1: 4 by m:2");
    let fastapi =
        r#"{"predictions": [0, 1], "probabilities": [[0.9, 0.1], [0.2, 0.8]], "model_version": "1"}"#;
    response(&json(), fastapi, "#1: 0; 1 scores #2: 0.9 0.1; 0.2 0.8 by :1");
    response(&json(), r#"{"detail": "no"}"#, "absent: `predictions` is not in the body");
    response(&Protocol::Mlflow, r#"{"predictions": [{"0": 2.5}, {"0": 3}]}"#, "(0): 2.5; 3");
    response(&Protocol::Mlflow, "[1, 2]", "#1: 1; 2");
    response(&Protocol::Mlflow, r#"[{"a": "x"}]"#, "(a): 'x'");
    response(&Protocol::Mlflow, r#"{"predictions": {"l": ["x", "y"], "n": [1, 2]}}"#, "(l n): 'x' 1; 'y' 2");
}

#[test]
fn predictions_that_sum_to_one_are_scores() {
    let k = Protocol::KserveV1;
    response(&k, r#"{"predictions": [[0.25, 0.75], [1, 0]]}"#, "#0:; scores #2: 0.25 0.75; 1 0");
    response(&k, r#"{"predictions": [[0.333, 0.333, 0.333]]}"#, "#0: scores #3: 0.333 0.333 0.333");
    response(&k, r#"{"predictions": [[0.25, 0.75], [1, 1]]}"#, "#2: 0.25 0.75; 1 1");
    response(&k, r#"{"predictions": [[1.5, -0.5]]}"#, "#2: 1.5 -0.5");
    response(&k, r#"{"predictions": [[1, null]]}"#, "#2: 1 _");
    response(&k, r#"{"predictions": [1, 1]}"#, "#1: 1; 1");
    response(&k, r#"{"predictions": [{"no": 0.25, "yes": 0.75}]}"#, "#0: scores (no yes): 0.25 0.75");
}

#[test]
fn the_route_overrules_what_the_numbers_look_like() {
    let k = Protocol::KserveV1;
    let (sums, other) = (r#"{"predictions": [[0.25, 0.75]]}"#, r#"{"predictions": [[3, 4]]}"#);
    response_as(&k, task(Task::Regression), sums, "#2: 0.25 0.75");
    response_as(&k, task(Task::Classification), other, "#0: scores #2: 3 4");
    response_as(&k, classes(&["no", "yes"]), sums, "#0: scores (no yes): 0.25 0.75");
    response_as(&k, classes(&["one"]), sums, "#0: scores #2: 0.25 0.75");
    let beside = r#"{"predictions": [7], "scores": [[3, 4]]}"#;
    response_as(&k, task(Task::Regression), beside, "#1: 7");
    response_as(
        &k,
        scores_at("extra.conf"),
        r#"{"extra": {"conf": [[3, 4]]}, "predictions": [7]}"#,
        "#1: 7 scores #2: 3 4",
    );
    response_as(&k, scores_at("predictions"), other, "#0: scores #2: 3 4");
    let uneven = r#"{"c": [[1], [2]], "predictions": ["a"]}"#;
    response_as(&k, scores_at("c"), uneven, "#1: 'a' scores #2: 1 2");
    let uneven = r#"{"c": [[1, 2], [3, 4]], "predictions": ["a"]}"#;
    response_as(&k, scores_at("c"), uneven, "malformed: the scores have 2 rows where the predictions have 1");
}

#[test]
fn scores_take_the_forms_servers_give_them() {
    response(&json(), r#"{"predictions": "a", "probs": [0.9, 0.1]}"#, "#1: 'a' scores #2: 0.9 0.1");
    let columns = r#"{"predictions": ["a", "b"], "scores": {"x": [1, 0], "y": [0, 1]}}"#;
    response(&json(), columns, "#1: 'a'; 'b' scores (x y): 1 0; 0 1");
    let records = r#"{"predictions": ["a"], "predict_proba": [{"x": 1, "y": 0}]}"#;
    response(&json(), records, "#1: 'a' scores (x y): 1 0");
    response(&json(), r#"{"probabilities": [[0.5, 0.5]]}"#, "#0: scores #2: 0.5 0.5");
    let inside = r#"{"predictions": [{"label": "x", "probabilities": [0.1, 0.9]}]}"#;
    response(&Protocol::Mlflow, inside, "(label): 'x' scores #2: 0.1 0.9");
    let named = r#"{"predictions": [{"scores": {"n": 0.1, "y": 0.9}, "label": 1}]}"#;
    response(&Protocol::Mlflow, named, "(label): 1 scores (n y): 0.1 0.9");
}

#[test]
fn a_field_that_is_only_called_scores_does_no_harm() {
    for scores in [r#""high""#, r#"{"auc": 0.9, "f1": [1, 2]}"#, "[[1], {\"a\": 1}]", "[1, 2, 3]"] {
        response(&json(), &format!(r#"{{"predictions": [7, 8], "scores": {scores}}}"#), "#1: 7; 8");
    }
}

#[test]
fn the_better_name_gives_the_scores_whichever_comes_first() {
    let (probabilities, scores) = (r#""probabilities": [[0.1, 0.9]]"#, r#""scores": [7]"#);
    for both in [format!("{probabilities}, {scores}"), format!("{scores}, {probabilities}")] {
        response(&json(), &format!(r#"{{"predictions": [1], {both}}}"#), "#1: 1 scores #2: 0.1 0.9");
    }
    let text = r#"{"predictions": [1], "probabilities": "high", "scores": [[0.2, 0.8]]}"#;
    response(&json(), text, "#1: 1 scores #2: 0.2 0.8");
    response(&json(), r#"{"scores": "high"}"#, "absent: `predictions` is not in the body");
    response(
        &Protocol::Mlflow,
        r#"{"predictions": [{"scores\u00e9": 1, "probs": 2}]}"#,
        "(scoresé): 1 scores #1: 2",
    );
}

#[test]
fn parts_of_a_reply_may_come_in_any_order() {
    let parts = [
        r#""predictions": ["a", "b"]"#,
        r#""probabilities": [[0.1, 0.9], [0.6, 0.4]]"#,
        r#""class_names": ["n", "y"]"#,
        r#""model_name": "m""#,
        r#""model_version": 3"#,
    ];
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..40 {
        let mut order = parts;
        random.shuffle(&mut order);
        let body = format!("{{{}}}", order.join(", "));
        response(&Protocol::KserveV1, &body, "#1: 'a'; 'b' scores (n y): 0.1 0.9; 0.6 0.4 by m:3");
    }
    response(&Protocol::KserveV1, r#"{"predictions": [1], "predictions": [2, 3]}"#, "#1: 2; 3");
}

#[test]
fn oip_outputs_with_a_score_name_are_scores() {
    let tensor = |name: &str, width: usize, data: &str| {
        format!(r#"{{"name": "{name}", "shape": [2, {width}], "datatype": "FP64", "data": {data}}}"#)
    };
    let body = |tensors: &[String]| {
        format!(r#"{{"model_name": "m", "model_version": "3", "outputs": [{}]}}"#, tensors.join(","))
    };
    let (labels, probs) =
        (tensor("predict", 1, "[1, 0]"), tensor("predict_proba", 2, "[0.5, 0.5, 0.1, 0.9]"));
    let o = Protocol::OipV2;
    response(&o, &body(&[labels.clone(), probs.clone()]), "#1: 1; 0 scores #2: 0.5 0.5; 0.1 0.9 by m:3");
    response(&o, &body(std::slice::from_ref(&probs)), "#0:; scores #2: 0.5 0.5; 0.1 0.9 by m:3");
    let both = body(&[labels, probs]);
    let named = "(predict predict_proba_0 predict_proba_1): 1 0.5 0.5; 0 0.1 0.9 by m:3";
    response_as(&o, task(Task::Regression), &both, named);
    let other = body(&[tensor("y", 1, "[1, 0]"), tensor("output__1", 2, "[1, 2, 3, 4]")]);
    response_as(&o, scores_at("output__1"), &other, "#1: 1; 0 scores #2: 1 2; 3 4 by m:3");
    response(&o, r#"{"error": "no"}"#, "absent: `outputs` is not in the body");
}

#[test]
fn a_frozen_decision_holds_for_odd_replies() {
    let classify = |body: &str, decision| {
        let (mut reply, route) = (Reply::default(), route(&Protocol::KserveV1, Output::default()));
        Decoder::default().response(&route, Body::json(body.as_bytes()), &mut reply).unwrap();
        let says = weir_codec::classify(&mut reply, decision, &route.output);
        (says, reply.scores.width)
    };
    let (sums, other, empty) =
        (r#"{"predictions": [[0.5, 0.5]]}"#, r#"{"predictions": [[0.5, 0.6]]}"#, r#"{"predictions": []}"#);
    assert_eq!(classify(sums, None), (Some(true), 2));
    assert_eq!(classify(other, None), (Some(false), 0));
    assert_eq!(classify(sums, Some(false)), (Some(false), 0));
    assert_eq!(classify(other, Some(true)), (Some(true), 2));
    assert_eq!(classify(empty, None), (None, 0));
    assert_eq!(classify(r#"{"predictions": [[NaN, null]]}"#, None), (None, 0));
    assert_eq!(classify(r#"{"predictions": [[NaN, null], [0.5, 0.5]]}"#, None), (Some(true), 2));
    assert_eq!(classify(r#"{"predictions": [1], "probs": [[1, 2]]}"#, Some(false)), (Some(true), 2));
}

#[test]
fn strings_are_read_with_their_escapes() {
    let body = r#"{"instances": ["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", "\ud83d", "\ud83dx", "é and more than eight"]}"#;
    let expect =
        "#1: '\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}'; '\u{fffd}'; '\u{fffd}x'; 'é and more than eight'";
    request(&Protocol::KserveV1, body, expect);
    request(&Protocol::KserveV1, r#"{"\u0069nstances": [{"\u0061": 1}, {"a": 2}]}"#, "(a): 1; 2");
}

#[test]
fn python_writes_nan_and_infinity() {
    let body = r#"{"instances": [[NaN, Infinity, -Infinity, 1e999, -1e999, 1e-999]]}"#;
    request(&Protocol::KserveV1, body, "#6: _ inf -inf inf -inf 0");
}

#[test]
fn json_is_read_strictly() {
    for (body, expect) in [
        ("", "absent: the body is empty"),
        (" \n", "absent: the body is empty"),
        ("[1]", "malformed: expected an object at byte 0, found `[`"),
        (r#"{"instances": [1,]}"#, "malformed: expected a value at byte 17, found `]`"),
        (r#"{"instances": [1 2]}"#, "malformed: expected `,` or `]` at byte 17, found `2`"),
        (r#"{"instances": [1]} x"#, "malformed: expected the end of the body at byte 19, found `x`"),
        (r#"{"instances": [1],}"#, "malformed: expected a string at byte 18, found `}`"),
        (r#"{"instances" [1]}"#, "malformed: expected `:` at byte 13, found `[`"),
        (r#"{"instances": [1]"#, "malformed: the body ends where `,` or `}` should stand"),
        (r#"{"instances": [01]}"#, "malformed: expected a value at byte 15, found `0`"),
        (r#"{"instances": [1.]}"#, "malformed: expected a value at byte 15, found `1`"),
        (r#"{"instances": [.5]}"#, "malformed: expected a value at byte 15, found `.`"),
        (r#"{"instances": [+1]}"#, "malformed: expected a value at byte 15, found `+`"),
        (r#"{"instances": [1e]}"#, "malformed: expected a value at byte 15, found `1`"),
        (r#"{"instances": [--1]}"#, "malformed: expected a value at byte 15, found `-`"),
        (r#"{"instances": [tru]}"#, "malformed: expected a value at byte 15, found `t`"),
        (r#"{"instances": ["a]}"#, "malformed: the body ends in a string"),
        ("{\"instances\": [\"a\nb\"]}", "malformed: control character in a string at byte 17"),
        (r#"{"instances": ["\x"]}"#, "malformed: unknown escape in a string at byte 17"),
        (r#"{"instances": ["\u12"]}"#, "malformed: `\\u` without four hexadecimal digits at byte 18"),
        (r#"{"x": {"y": [tru]}, "instances": [1]}"#, "malformed: expected a value at byte 13, found `t`"),
        (r#"{'instances': [1]}"#, "malformed: expected a string at byte 1, found `'`"),
    ] {
        request(&Protocol::KserveV1, body, expect);
    }
    request(&Protocol::KserveV1, "\u{feff}{\"instances\": [1]}", "#1: 1");
}

#[test]
fn what_is_no_json_is_unsupported() {
    let read = |protocol: &Protocol, encoding, content| {
        let body = Body { bytes: b"{}", encoding, content };
        outcome(request_in(&mut Decoder::default(), protocol, body).map(|table| show(&table)))
    };
    let csv = "unsupported: a CSV body (only mlflow requests are read as CSV)";
    assert_eq!(read(&Protocol::KserveV1, Encoding::Identity, Content::Csv), csv);
    assert_eq!(read(&json(), Encoding::Identity, Content::Other), "unsupported: a body that is not JSON");
    let brotli = "unsupported: a content encoding other than gzip or deflate";
    assert_eq!(read(&json(), Encoding::Other, Content::Json), brotli);
}

#[test]
fn calls_that_are_no_predictions_are_unsupported() {
    let mut table = Table::default();
    for (protocol, path) in
        [(Protocol::KserveV1, "/v1/models/m:classify"), (Protocol::OipV2, "/v2/models/m/generate")]
    {
        let route = route(&protocol, Output::default());
        let error = Decoder::default().request(&route, path, Body::json(b"{}"), &mut table).unwrap_err();
        assert_eq!(error.kind.as_str(), "unsupported", "{path}");
    }
}

#[test]
fn a_reused_table_keeps_nothing_of_the_body_before() {
    let (mut decoder, mut table) = (Decoder::default(), Table::default());
    let route = route(&Protocol::KserveV1, Output::default());
    for (body, expect) in [
        (r#"{"instances": [{"a": 1, "b": "x", "c": 3}]}"#, "(a b c): 1 'x' 3"),
        (r#"{"instances": [{"a": 2, "b": "y"}]}"#, "(a b): 2 'y'"),
        (r#"{"instances": [{"a": 1, "c": 2, "b": 3}]}"#, "(a c b): 1 2 3"),
        (r#"{"instances": [{"c": 1}]}"#, "(c): 1"),
        (r#"{"instances": [[1, 2], [3]]}"#, "#2: 1 2; 3 _"),
        (r#"{"instances": [["t"]]}"#, "#1: 't'"),
    ] {
        decoder.request(&route, "/", Body::json(body.as_bytes()), &mut table).unwrap();
        assert_eq!(show(&table), expect);
    }
    decoder.request(&route, "/", Body::json(b"{"), &mut table).unwrap_err();
    assert_eq!(table, Table::default());
}

#[test]
fn named_columns_over_those_of_the_body_before_are_read_afresh() {
    let (mut decoder, mut table) = (Decoder::default(), Table::default());
    let route = route(&Protocol::Mlflow, Output::default());
    for (columns, expect) in [
        (r#"["a", "b"]"#, "(a b): 1 2"),
        (r#"["a", "b"]"#, "(a b): 1 2"),
        (r#"["b", "a"]"#, "(b a): 1 2"),
        (r#"["b", "b"]"#, "malformed: field `b` stands there twice"),
        (r#"["c", 3]"#, "(c 3): 1 2"),
        (r#"["c"], "columns": ["c", "d"]"#, "(c d): 1 2"),
        (r#"["c"]"#, "malformed: rows of 2 fields under 1 `columns`"),
    ] {
        let body = format!(r#"{{"dataframe_split": {{"columns": {columns}, "data": [[1, 2]]}}}}"#);
        let read = decoder.request(&route, "/", Body::json(body.as_bytes()), &mut table);
        assert_eq!(outcome(read.map(|()| show(&table))), expect, "{columns}");
    }
}

#[test]
fn names_are_shared_from_body_to_body() {
    let mut decoder = Decoder::default();
    let body = Body::json(br#"{"instances": [{"tenure": 1}]}"#);
    let name = |table: Table| match table.fields {
        Fields::Named(mut names) => names.remove(0),
        Fields::Positional => panic!("object rows have names"),
    };
    let first = name(request_in(&mut decoder, &Protocol::KserveV1, body).unwrap());
    let second = name(request_in(&mut decoder, &Protocol::KserveV1, body).unwrap());
    assert!(std::sync::Arc::ptr_eq(&first, &second));
}

#[test]
fn a_path_may_name_the_model() {
    let (k, o) = (Protocol::KserveV1, Protocol::OipV2);
    for (protocol, path, expect) in [
        (&k, "/v1/models/churn:predict", (Some("churn"), None)),
        (&k, "/v1/models/churn/versions/3:predict", (Some("churn"), Some("3"))),
        (&k, "/seldon/v1/models/a:b:predict", (Some("a:b"), None)),
        (&k, "/v1/models/churn", (None, None)),
        (&k, "/v1/models/a/b:predict", (None, None)),
        (&o, "/v2/models/churn/infer", (Some("churn"), None)),
        (&o, "/v2/models/churn/versions/3/infer", (Some("churn"), Some("3"))),
        (&o, "/v2/models//infer", (None, None)),
        (&o, "/v2/health/ready", (None, None)),
        (&Protocol::Mlflow, "/invocations", (None, None)),
        (&json(), "/v1/models/churn:predict", (None, None)),
    ] {
        assert_eq!(model_in_path(protocol, path), expect, "{path}");
    }
}

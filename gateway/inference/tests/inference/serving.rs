//! Requests in the words of a protocol, answered in place or by the pool.

use std::io::Write as _;
use std::sync::{Arc, mpsc};

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use serde_json::json;
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{LocalRequest, ModelFault, ObservedRoute, Protocol};
use weir_inference::{ServeOptions, Served, Submitted};

use crate::support::{
    FOREST, HELD_OUT, REGRESSION, answer, get, instances, json as plain_json, named, parsed, post, serve,
};

#[test]
fn named_rows_are_answered_in_place_with_labels_probabilities_and_columns() {
    let served = serve(&REGRESSION);
    let (reply, in_place) = answer(&served, post(Protocol::KserveV1, named(2)));
    assert_eq!((reply.status, in_place, reply.fault), (200, true, None));
    assert_eq!((&*reply.model, &*reply.model_version), ("churn", "7"));
    let body = parsed(&reply);
    assert!(["No", "Yes"].contains(&body["predictions"][0].as_str().unwrap()), "{body}");
    assert_eq!(body["class_names"], json!(["No", "Yes"]));
    let (rows, predicted) = (reply.request.unwrap(), reply.reply.unwrap());
    assert_eq!((rows.rows, rows.width, predicted.rows()), (2, 19, 2));
    assert_eq!(
        [&*predicted.model, &*predicted.model_version],
        ["churn", "7"],
        "whoever counts them must know"
    );
    assert_eq!(body["probabilities"][1][0].as_f64(), Some(predicted.scores.numbers[2]));
    assert_eq!(body["predictions"][1].as_str(), predicted.outputs.text_at(1));
}

#[test]
fn rows_by_position_need_exactly_the_model_s_width() {
    let served = serve(&REGRESSION);
    let values: Vec<&weir_inference::Value> = HELD_OUT[0].features.iter().map(|(_, value)| value).collect();
    let (reply, _) = answer(&served, post(Protocol::KserveV1, json!({"instances": [values]}).to_string()));
    assert_eq!(reply.status, 200);
    let (named, _) = answer(&served, post(Protocol::KserveV1, named(1)));
    assert_eq!(parsed(&reply), parsed(&named));
    let (reply, _) =
        answer(&served, post(Protocol::KserveV1, json!({"instances": [values[1..]]}).to_string()));
    assert_eq!((reply.status, reply.fault), (400, Some(ModelFault::Client)));
    let error = parsed(&reply)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("rows have 18 columns, and the model takes 19 (`female`, `senior_"), "{error}");
    assert_eq!(reply.request.map(|rows| rows.width), Some(18), "telemetry sees what was refused");
}

/// Changes the first held-out row in JSON and returns the refusal.
fn refused(change: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) -> String {
    let mut rows = serde_json::to_value(&HELD_OUT[..3]).unwrap();
    change(rows[1].as_object_mut().unwrap());
    let (reply, _) =
        answer(&serve(&REGRESSION), post(Protocol::KserveV1, json!({"instances": rows}).to_string()));
    assert_eq!((reply.status, reply.fault), (400, Some(ModelFault::Client)));
    assert!(reply.reply.is_none());
    parsed(&reply)["error"].as_str().unwrap().to_owned()
}

#[test]
fn wrong_types_are_refused_with_row_column_and_value() {
    let error = refused(|row| row["tenure"] = json!("abc"));
    assert_eq!(error, "row 1: `tenure` is the text \"abc\", and the model takes a finite number there");
    let error = refused(|row| row["contract"] = json!(12));
    assert_eq!(error, "row 1: `contract` is the number 12, and the model takes a text there");
}

#[test]
fn unknown_and_missing_columns_are_named() {
    let error = refused(|row| drop(row.insert("shoe_size".into(), json!(43))));
    assert_eq!(error, "unknown columns: `shoe_size`");
    let body = json!({"instances": [{"tenure": 3, "tenur": 4}]}).to_string();
    let (reply, _) = answer(&serve(&REGRESSION), post(Protocol::KserveV1, body));
    let error = parsed(&reply)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("missing columns: `female`, "), "{error}");
    assert!(error.ends_with("; unknown columns: `tenur`"), "{error}");
}

#[test]
fn an_unseen_category_and_a_missing_value_are_no_errors() {
    let mut rows = serde_json::to_value(&HELD_OUT[..1]).unwrap();
    rows[0]["contract"] = json!("Three years");
    rows[0]["total_charges"] = json!(null);
    let (reply, _) =
        answer(&serve(&REGRESSION), post(Protocol::KserveV1, json!({"instances": rows}).to_string()));
    assert_eq!(reply.status, 200);
}

#[test]
fn errors_have_the_protocol_s_shape() {
    let served = serve(&REGRESSION);
    for body in ["", "{", "{\"instances\":[]}", "{\"rows\":1}", "\u{feff}[]", "{\"instances\":[[[[1]]]]}"] {
        let (reply, _) = answer(&served, post(Protocol::KserveV1, body));
        assert_eq!((reply.status, reply.fault), (400, Some(ModelFault::Client)), "{body}");
        assert!(parsed(&reply)["error"].is_string(), "{body}");
    }
    let (reply, _) = answer(&served, post(Protocol::Mlflow, "{\"dataframe_split\":1}"));
    assert_eq!(parsed(&reply)["error_code"], "BAD_REQUEST");
}

#[test]
fn other_protocols_are_served_alike() {
    let served = serve(&REGRESSION);
    let (reference, _) = answer(&served, post(Protocol::KserveV1, named(2)));
    let scores = &parsed(&reference)["probabilities"];
    let body = json!({"dataframe_records": &HELD_OUT[..2]}).to_string();
    let (reply, _) = answer(&served, post(Protocol::Mlflow, body));
    assert_eq!(&parsed(&reply)["probabilities"], scores);
    let body = json!({"features": &HELD_OUT[..2]}).to_string();
    let (reply, _) = answer(&served, post(plain_json(), body));
    assert_eq!(&parsed(&reply)["probabilities"], scores);
    let tensor = |at: usize| {
        let datatype = if matches!(HELD_OUT[0].features[at].1, weir_inference::Value::Text(_)) {
            "BYTES"
        } else {
            "FP64"
        };
        let data: Vec<_> = HELD_OUT[..2].iter().map(|row| &row.features[at].1).collect();
        json!({"name": HELD_OUT[0].features[at].0, "datatype": datatype, "shape": [2, 1], "data": data})
    };
    let inputs: Vec<_> = (0..19).map(tensor).collect();
    let (reply, _) =
        answer(&served, post(Protocol::OipV2, json!({"id": "42", "inputs": inputs}).to_string()));
    let body = parsed(&reply);
    assert_eq!((reply.status, &body["id"]), (200, &json!("42")), "{body}");
    assert_eq!(body["outputs"][1]["data"][2], scores[1][0]);
}

#[test]
fn metadata_and_readiness_are_answered_under_the_served_name() {
    let options = ServeOptions { name: Some("ChurnPredictor".into()), threads: 1, queue: 1 };
    let served = Served::start(Arc::clone(&REGRESSION), options).unwrap();
    assert_eq!((served.name(), served.version()), ("ChurnPredictor", "7"));
    let (reply, in_place) = answer(&served, get(Protocol::OipV2, "/v2/models/ChurnPredictor"));
    let body = parsed(&reply);
    assert_eq!((reply.status, in_place), (200, true));
    assert_eq!(body["inputs"][4], json!({"name": "tenure", "datatype": "INT64", "shape": [-1, 1]}));
    assert!(reply.request.is_none() && reply.reply.is_none());
    let (reply, _) = answer(&served, get(Protocol::KserveV1, "/v1/models/ChurnPredictor"));
    assert_eq!(parsed(&reply)["ready"], true);
    let (reply, _) = answer(&served, get(Protocol::KserveV1, "/v1/models/other"));
    assert_eq!((reply.status, reply.fault), (404, Some(ModelFault::Client)));
    let (reply, _) = answer(&served, get(Protocol::KserveV1, "/favicon.ico"));
    assert_eq!(reply.status, 404);
}

/// Status and error of a POST to `path`, on a route that calls its model `alias` and may name the path whole.
fn asked(protocol: Protocol, path: &str, exact_path: bool) -> (u16, String) {
    let route =
        ObservedRoute { model: "alias".into(), ..ObservedRoute::named("churn", Some(protocol.clone())) };
    let body = if protocol == Protocol::OipV2 { "{\"inputs\":[]}".to_owned() } else { named(1) };
    let request =
        LocalRequest { route: Arc::new(route), path: path.into(), exact_path, ..post(protocol, body) };
    let options = ServeOptions { name: Some("Churn Predictor".into()), threads: 1, queue: 1 };
    let (reply, _) = answer(&Served::start(Arc::clone(&REGRESSION), options).unwrap(), request);
    assert_eq!(reply.fault, (reply.status != 200).then_some(ModelFault::Client));
    assert!(reply.status != 404 || reply.request.is_none(), "what is not for this model is not read");
    (reply.status, parsed(&reply)["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_path_may_call_the_model_by_its_name_the_route_s_or_the_backend_s() {
    for name in ["Churn%20Predictor", "alias", "local"] {
        for path in [format!("/v1/models/{name}:predict"), format!("/at/v1/models/{name}/versions/7:predict")]
        {
            assert_eq!(asked(Protocol::KserveV1, &path, false).0, 200, "{path}");
        }
    }
    for path in ["/v1/models/other:predict", "/v1/models/other/versions/3:predict", "/predict"] {
        assert_eq!(asked(Protocol::KserveV1, path, true).0, 200, "{path}, as the configuration says");
    }
    assert_eq!(asked(Protocol::KserveV1, "/predict", false).0, 200, "a path of the route's own");
    assert_eq!(asked(Protocol::OipV2, "/v2/models/alias/infer", false).0, 400, "read, and found to be empty");
}

#[test]
fn another_model_version_or_verb_is_not_found() {
    let check = |protocol: &Protocol, path: &str, exact_path: bool, expect: &str| {
        assert_eq!(asked(protocol.clone(), path, exact_path), (404, expect.to_owned()));
    };
    let (v1, v2) = (Protocol::KserveV1, Protocol::OipV2);
    let here = "is not served here (model `Churn Predictor` is)";
    check(&v1, "/v1/models/other:predict", false, &format!("`other` {here}"));
    check(&v1, "/v1/models/other%20:predict", false, &format!("`other%20` {here}"));
    check(&v2, "/v2/models/other/infer", false, &format!("`other` {here}"));
    let version =
        "`Churn Predictor/versions/8` is not served here (version `7` of model `Churn Predictor` is)";
    check(&v1, "/v1/models/alias/versions/8:predict", false, version);
    check(&v2, "/v2/models/local/versions/8/infer", false, version);
    let hint = "asks for nothing here (`POST /v1/models/Churn Predictor:predict` predicts)";
    for (path, exact) in [
        ("/v1/models/alias:explain", false),
        ("/v1/models/alias:explain", true),
        ("/v1/models/alias", false),
        ("/v1/models", false),
    ] {
        check(&v1, path, exact, &format!("`POST {path}` {hint}"));
    }
    let hint = "asks for nothing here (`POST /v2/models/Churn Predictor/infer` predicts)";
    for path in ["/v2/models/alias/generate", "/v2/models/alias/ready", "/v2/health/ready"] {
        check(&v2, path, false, &format!("`POST {path}` {hint}"));
    }
    let (reply, _) =
        answer(&serve(&REGRESSION), LocalRequest { path: "/ping".into(), ..post(Protocol::Mlflow, "{}") });
    assert_eq!((reply.status, &parsed(&reply)["error_code"]), (404, &json!("BAD_REQUEST")));
}

#[test]
fn who_asks_another_model_waits_in_no_queue() {
    let request =
        LocalRequest { path: "/v1/models/other:predict".into(), ..post(Protocol::KserveV1, named(500)) };
    let (reply, in_place) = answer(&serve(&REGRESSION), request);
    assert_eq!((reply.status, in_place), (404, true));
}

#[test]
fn csv_is_read_where_mlflow_reads_it() {
    let columns: Vec<&str> = HELD_OUT[0].features.iter().map(|(name, _)| &**name).collect();
    let row = HELD_OUT[0].features.iter().map(|(_, value)| match serde_json::to_value(value).unwrap() {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        value => value.to_string(),
    });
    let csv = format!("{}\n{}\n", columns.join(","), row.collect::<Vec<_>>().join(","));
    let served = serve(&REGRESSION);
    let typed = |protocol| LocalRequest { content: Content::Csv, ..post(protocol, csv.clone()) };
    let (reply, _) = answer(&served, typed(Protocol::Mlflow));
    let (plain, _) = answer(&served, post(Protocol::KserveV1, named(1)));
    assert_eq!(parsed(&reply)["probabilities"], parsed(&plain)["probabilities"]);
    let (reply, _) = answer(&served, typed(Protocol::KserveV1));
    assert_eq!(parsed(&reply)["error"], "a CSV body (only mlflow requests are read as CSV)");
}

#[test]
fn deflate_is_undone() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(named(3).as_bytes()).unwrap();
    let request =
        LocalRequest { encoding: Encoding::Deflate, ..post(Protocol::KserveV1, zlib.finish().unwrap()) };
    let served = serve(&REGRESSION);
    assert_eq!(answer(&served, request).0.body, answer(&served, post(Protocol::KserveV1, named(3))).0.body);
}

#[test]
fn gzip_goes_to_the_pool_and_is_answered_the_same() {
    let served = serve(&REGRESSION);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(named(3).as_bytes()).unwrap();
    let mut request = post(Protocol::KserveV1, gzip.finish().unwrap());
    request.encoding = Encoding::Gzip;
    let (reply, in_place) = answer(&served, request);
    assert_eq!((reply.status, in_place), (200, false));
    let (plain, _) = answer(&served, post(Protocol::KserveV1, named(3)));
    assert_eq!(reply.body, plain.body);
    let mut broken = post(Protocol::KserveV1, "no gzip");
    broken.encoding = Encoding::Gzip;
    assert_eq!(answer(&served, broken).0.status, 400);
}

#[test]
fn what_takes_long_goes_to_the_pool_and_what_does_not_stays() {
    let (regression, forest) = (serve(&REGRESSION), serve(&FOREST));
    let values = |row: &weir_inference::Row| row.features.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>();
    let by_position = |rows: usize| {
        let rows: Vec<_> = HELD_OUT[..rows].iter().map(values).collect();
        post(Protocol::KserveV1, json!({"instances": rows}).to_string())
    };
    assert!(answer(&regression, by_position(40)).1, "40 rows of a regression are cheap");
    assert!(answer(&forest, by_position(2)).1, "2 rows of a forest are cheap");
    let (reply, in_place) = answer(&forest, by_position(40));
    assert!(!in_place, "40 rows of a hundred trees are not");
    assert_eq!(reply.reply.unwrap().rows(), 40);
    let (reply, in_place) = answer(&regression, post(Protocol::KserveV1, named(500)));
    assert!(!in_place, "a long body is decoded elsewhere too");
    assert_eq!((reply.status, reply.reply.unwrap().rows()), (200, 500));
}

#[test]
fn a_full_queue_is_busy_and_what_is_queued_is_answered_even_after_the_drop() {
    let options = ServeOptions { name: None, threads: 1, queue: 1 };
    let served = Served::start(Arc::clone(&REGRESSION), options).unwrap();
    let body = instances(&HELD_OUT[..200]);
    let (release, wait) = mpsc::channel::<()>();
    let (sender, answers) = mpsc::channel();
    let first = sender.clone();
    let held = served.submit(
        post(Protocol::KserveV1, body.clone()),
        Box::new(move |reply| {
            first.send(reply.status).unwrap();
            wait.recv().unwrap();
        }),
    );
    assert!(matches!(held, Submitted::Later));
    assert_eq!(answers.recv().unwrap(), 200, "the thread is now held in the callback");
    let queued = served.submit(
        post(Protocol::KserveV1, body.clone()),
        Box::new(move |reply| sender.send(reply.status).unwrap()),
    );
    assert!(matches!(queued, Submitted::Later));
    let turned_away = served.submit(post(Protocol::KserveV1, body), Box::new(|_| panic!("never called")));
    assert!(matches!(turned_away, Submitted::Busy));
    drop(served);
    release.send(()).unwrap();
    assert_eq!(answers.recv().unwrap(), 200);
    assert!(answers.recv().is_err(), "the thread has ended and dropped what it held");
}

#[test]
fn a_callback_that_panics_costs_its_own_answer_only() {
    let served = serve(&REGRESSION);
    let long = post(Protocol::KserveV1, instances(&HELD_OUT[..200]));
    assert!(matches!(served.submit(long.clone(), Box::new(|_| panic!("receiver"))), Submitted::Later));
    assert_eq!(answer(&served, long).0.status, 200);
}

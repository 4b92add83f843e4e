//! What the two bodies of an exchange give, each on its own, and the fate that makes of it.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{End, ErrorType, Exchange, ObservedRoute, Payload, Protocol, Reply, Role, Table};

use crate::support::{
    House, Record, ended, exchange, failed, good, kserve, numbers, route, rows, side, still, values,
};

fn house() -> (House, Record, Arc<ObservedRoute>) {
    let (house, record) = House::recorded(still());
    (house, record, kserve())
}

fn errors(house: &House, side: &str, kind: &str) -> f64 {
    house.value("weir_decode_errors_total", &[("side", side), ("kind", kind)])
}

#[test]
fn every_exchange_has_one_fate() {
    let (house, _, route) = house();
    house.see([
        good(&route, 1),
        exchange(&route, "[[[", &values(1)),
        exchange(&route, &rows(1), "{}"),
        exchange(&route, &rows(1), &values(2)),
        failed(&route, &rows(1), 404),
        ended(&route, "", End::Refused, ErrorType::Limit),
        Exchange { request: truncated(), ..good(&route, 1) },
        Exchange { response: truncated(), ..good(&route, 1) },
        Exchange { request: truncated(), ..exchange(&route, "", "no json") },
    ]);
    let fates = ["observed", "undecodable", "truncated"].map(|fate| house.fate(fate));
    assert_eq!(fates, [3.0, 3.0, 3.0]);
    // What is not handed off is counted by the request path, in the same family.
    house.metrics.line.exchanges.get(&["route-0", "shed"]).add(2);
    house.metrics.line.exchanges.get(&["route-0", "unsampled"]).add(5);
    assert_eq!(house.value("weir_exchanges_total", &[("route", "route-0")]), 9.0 + 2.0 + 5.0);
}

fn truncated() -> weir_exchange::Side {
    weir_exchange::Side { truncated: true, ..side(rows(3).as_bytes()) }
}

#[test]
fn a_truncated_side_yields_no_rows_and_the_other_its_own() {
    let (house, record, route) = house();
    let request = Exchange { request: truncated(), ..good(&route, 2) };
    let response = Exchange { response: truncated(), ..good(&route, 3) };
    house.see([request, response]);
    let batch = record.batch();
    assert_eq!((batch.exchanges, batch.rows), (2, 5));
    assert!(numbers(&batch, Role::Input, "0")[..2].iter().all(|cell| cell.is_nan()));
    assert_eq!(numbers(&batch, Role::Input, "0")[2..], [0.0, 1.0, 2.0]);
    assert_eq!(numbers(&batch, Role::Output, "0")[..2], [0.25, 1.25]);
    assert!(numbers(&batch, Role::Output, "0")[2..].iter().all(|cell| cell.is_nan()));
    assert_eq!(house.predictions("ok"), 5.0);
    assert_eq!(house.value("weir_decode_errors_total", &[]), 0.0, "truncated is a fate, not an error");
}

#[test]
fn an_undecodable_request_leaves_a_good_reply_in_the_batch() {
    let (house, record, route) = house();
    house.see([exchange(&route, "{\"instances\": [1, 2", &values(2)), exchange(&route, "{}", &values(1))]);
    let batch = record.batch();
    assert_eq!(numbers(&batch, Role::Output, "0"), [0.25, 1.25, 0.25]);
    assert!(batch.schema.with_role(Role::Input).next().is_none());
    assert_eq!([errors(&house, "request", "malformed"), errors(&house, "request", "absent")], [1.0, 1.0]);
    assert_eq!([house.fate("undecodable"), house.predictions("ok")], [2.0, 3.0]);
}

#[test]
fn rows_that_do_not_match_the_reply_are_left_out() {
    let (house, record, route) = house();
    house.see([exchange(&route, &rows(3), &values(2))]);
    let batch = record.batch();
    assert_eq!((batch.rows, numbers(&batch, Role::Output, "0").len()), (2, 2));
    assert!(batch.schema.with_role(Role::Input).next().is_none());
    assert_eq!(errors(&house, "request", "row_mismatch"), 1.0);
    assert_eq!([house.fate("undecodable"), house.predictions("ok")], [1.0, 2.0]);
}

#[test]
fn an_error_has_a_request_and_no_prediction() {
    let (house, record, route) = house();
    house.see([failed(&route, &rows(2), 500)]);
    let batch = record.batch();
    assert_eq!(numbers(&batch, Role::Input, "1"), [0.5, 1.5]);
    assert_eq!(numbers(&batch, Role::Status, "status"), [500.0]);
    assert!(batch.schema.with_role(Role::Output).next().is_none());
    assert_eq!(house.fate("observed"), 1.0, "an error's body is not expected to be a prediction");
}

#[test]
fn compressed_bodies_are_read_whether_in_one_piece_or_several() {
    let (house, record, route) = house();
    let mut whole = good(&route, 1);
    whole.request = gzip(&rows(2));
    whole.response = gzip(&values(2));
    let mut pieces = good(&route, 1);
    let body = Bytes::from(rows(5000));
    pieces.request.payload =
        Payload::Held([body.slice(..7), body.slice(7..90), body.slice(90..)].into_iter().collect());
    pieces.response = gzip(&values(5000));
    let mut broken = good(&route, 1);
    broken.request = gzip("");
    let Payload::Held(chunks) = &mut broken.request.payload else { panic!("held") };
    chunks[0] = chunks[0].slice(..chunks[0].len() / 2);
    house.see([whole, pieces, broken]);
    let batch = record.batch();
    assert_eq!(batch.rows, 5003);
    assert_eq!(numbers(&batch, Role::Input, "0")[5001], 4999.0);
    assert_eq!(errors(&house, "request", "malformed"), 1.0);
}

fn gzip(body: &str) -> weir_exchange::Side {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes()).unwrap();
    weir_exchange::Side { encoding: Encoding::Gzip, ..side(&encoder.finish().unwrap()) }
}

#[test]
fn what_no_codec_reads_is_undecodable_though_nothing_was_kept_of_it() {
    let (house, _, route) = house();
    let unread =
        |total| weir_exchange::Side { payload: Payload::Absent, content: Content::Other, total, ..side(b"") };
    house.see([
        Exchange { request: unread(900), ..good(&route, 1) },
        Exchange { response: unread(900), ..good(&route, 1) },
    ]);
    assert_eq!(
        [errors(&house, "request", "unsupported"), errors(&house, "response", "unsupported")],
        [1.0; 2]
    );
    assert_eq!(house.fate("undecodable"), 2.0);
    house.see([Exchange { request: unread(0), response: unread(900), ..good(&route, 1) }]);
    assert_eq!(house.fate("observed"), 1.0, "nothing was asked: a page under the same path");
}

#[test]
fn a_request_that_broke_off_with_its_exchange_is_truncated_not_malformed() {
    let (house, _, route) = house();
    let half = &rows(9)[..40];
    house.see([
        ended(&route, half, End::ClientGone, ErrorType::ClientGone),
        ended(&route, half, End::Timeout, ErrorType::Timeout),
        exchange(&route, half, &values(1)),
    ]);
    assert_eq!([house.fate("truncated"), house.fate("undecodable")], [2.0, 1.0]);
    assert_eq!([house.predictions("cancelled"), house.predictions("timeout")], [0.0; 2]);
    assert_eq!(errors(&house, "request", "malformed"), 1.0);
}

#[test]
fn a_question_without_rows_is_observed_whatever_the_answer() {
    let (house, record, route) = house();
    house.see([exchange(&route, "", r#"{"name": "m", "ready": true}"#), exchange(&route, "", "<html>")]);
    assert_eq!([house.fate("observed"), house.predictions("ok")], [2.0, 0.0]);
    let batch = record.batch();
    assert_eq!((batch.exchanges, batch.rows), (2, 0));
}

#[test]
fn rows_that_a_local_model_decoded_are_taken_as_they_are() {
    let (house, record, route) = house();
    let table = Table { rows: 2, width: 1, numbers: vec![1.5, 2.5], ..Table::default() };
    let outputs = Table { rows: 2, width: 1, numbers: vec![0.0, 9.0], ..Table::default() };
    let mut local = good(&route, 1);
    local.request.payload = Payload::Rows(Box::new(table));
    let reply = Reply { outputs, model: "forest".into(), model_version: "3".into(), ..Reply::default() };
    local.response.payload = Payload::Reply(Box::new(reply));
    house.see([local]);
    let batch = record.batch();
    assert_eq!(numbers(&batch, Role::Input, "0"), [1.5, 2.5]);
    assert_eq!(numbers(&batch, Role::Output, "0"), [0.0, 9.0]);
    let model = [("model", "forest"), ("model_version", "3"), ("outcome", "ok")];
    assert_eq!(house.value("predictions_total", &model), 2.0);
}

#[test]
fn a_route_without_a_protocol_is_judged_by_its_exchanges_alone() {
    let (house, record, _) = house();
    let passed = Arc::new(ObservedRoute { protocol: None, ..route(0, Protocol::KserveV1) });
    house.see([good(&passed, 3), failed(&passed, "garbage", 500)]);
    let batch = record.batch();
    assert_eq!((batch.exchanges, batch.rows, batch.schema.columns.len()), (2, 0, 6));
    assert_eq!(house.fate("observed"), 2.0);
    assert_eq!(house.histogram("prediction_latency_seconds", &[]).0, 2);
    assert_eq!(house.value("predictions_total", &[]), 0.0);
}

#[test]
fn a_batch_says_of_each_exchange_what_is_known() {
    let (house, record, route) = house();
    let mut sampled = good(&route, 1);
    sampled.probability = 0.25;
    house.see([sampled, failed(&route, &rows(2), 404)]);
    let batch = record.batch();
    assert_eq!(batch.probabilities, [0.25, 1.0]);
    assert_eq!(batch.trace_ids, [1, 2]);
    let outcomes = crate::support::texts(&batch, Role::Outcome, "outcome");
    assert_eq!(outcomes, [Some("ok".to_owned()), Some("client_error".to_owned())]);
    assert_eq!(numbers(&batch, Role::Duration, "duration"), [0.5, 0.5]);
    assert_eq!(numbers(&batch, Role::Time, "time"), [1.7e9, 1.7e9]);
    assert_eq!(batch.row_exchange, [0, 1, 1]);
}

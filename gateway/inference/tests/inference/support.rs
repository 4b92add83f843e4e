//! Models trained once for all tests, and small things to say to them.

use std::sync::{Arc, LazyLock};

use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::model::http_like::Method;
use weir_exchange::{JsonPaths, LocalReply, LocalRequest, ObservedRoute, Protocol, Reply, Table};
use weir_inference::{
    Algorithm, Model, Row, ServeOptions, Served, Submitted, TrainOptions, holdout_rows, train,
};

pub(crate) const CHURN: &[u8] = include_bytes!("../../../../examples/churn/churn.csv");

pub(crate) static REGRESSION: LazyLock<Arc<Model>> = LazyLock::new(|| churn(Algorithm::LogisticRegression));
pub(crate) static FOREST: LazyLock<Arc<Model>> = LazyLock::new(|| churn(Algorithm::RandomForest));
pub(crate) static HELD_OUT: LazyLock<Vec<Row>> =
    LazyLock::new(|| holdout_rows(CHURN, REGRESSION.about()).unwrap());

fn churn(algorithm: Algorithm) -> Arc<Model> {
    let options =
        TrainOptions { name: "churn".into(), version: "7".into(), ..TrainOptions::new("churn", algorithm) };
    Arc::new(train(CHURN, &options).unwrap())
}

/// `{"instances": [..]}` of some held-out rows.
pub(crate) fn named(rows: usize) -> String {
    instances(&HELD_OUT[..rows])
}

pub(crate) fn instances(rows: &[Row]) -> String {
    format!("{{\"instances\":{}}}", serde_json::to_string(rows).unwrap())
}

/// A model over three kinds of features whose target is plain: `colour` decides, `size` nearly does.
pub(crate) fn small(algorithm: Algorithm) -> Model {
    let colours = ["red", "green", "blue"];
    let mut csv = "colour,size,ok,note,kind\n".to_owned();
    for row in 0..300 {
        let (kind, size) = (row % 3, row % 3 * 10 + row % 7);
        let colour = if row % 50 == 0 { "" } else { colours[kind] };
        csv.push_str(&format!("{colour},{size},{},{row},{}\n", row % 2 == 0, ["a", "b", "c"][kind]));
    }
    let options = TrainOptions { ignore: vec!["note".into()], ..TrainOptions::new("kind", algorithm) };
    train(csv.as_bytes(), &options).unwrap()
}

pub(crate) fn route(protocol: Protocol) -> Arc<ObservedRoute> {
    Arc::new(ObservedRoute::named("churn", Some(protocol)))
}

pub(crate) fn json() -> Protocol {
    Protocol::Json(JsonPaths::default())
}

pub(crate) fn post(protocol: Protocol, body: impl Into<Vec<u8>>) -> LocalRequest {
    LocalRequest {
        route: route(protocol),
        method: Method::Post,
        path: "/v1/models/churn:predict".into(),
        exact_path: false,
        backend: "local".into(),
        encoding: Encoding::Identity,
        content: Content::Json,
        body: body.into().into(),
    }
}

pub(crate) fn get(protocol: Protocol, path: &str) -> LocalRequest {
    LocalRequest { method: Method::Get, path: path.into(), ..post(protocol, "") }
}

pub(crate) fn serve(model: &Arc<Model>) -> Served {
    let options = ServeOptions { name: None, threads: 1, queue: 8 };
    Served::start(Arc::clone(model), options).unwrap()
}

/// The answer, wherever it was made; and whether that was in place.
pub(crate) fn answer(served: &Served, request: LocalRequest) -> (LocalReply, bool) {
    let (sender, answers) = std::sync::mpsc::channel();
    match served.submit(request, Box::new(move |reply| sender.send(reply).unwrap())) {
        Submitted::Now(reply) => (*reply, true),
        Submitted::Later => (answers.recv().unwrap(), false),
        Submitted::Busy => panic!("the queue is full"),
    }
}

pub(crate) fn parsed(reply: &LocalReply) -> serde_json::Value {
    serde_json::from_slice(&reply.body).unwrap()
}

/// Rows of numbers and texts by position.
pub(crate) fn table(rows: &[&[serde_json::Value]]) -> Table {
    let mut table = Table { rows: rows.len(), width: rows[0].len(), ..Table::default() };
    for (cell, value) in rows.iter().flat_map(|row| row.iter()).enumerate() {
        if let Some(text) = value.as_str() {
            table.push_text(cell, text);
        }
        table.numbers.push(value.as_f64().unwrap_or(f64::NAN));
    }
    table
}

/// The label and the probabilities of the first row.
pub(crate) fn first(model: &Model, row: &[serde_json::Value]) -> (String, Vec<f64>) {
    let mut reply = Reply::default();
    model.predict(&table(&[row]), &mut reply).unwrap();
    (reply.outputs.text_at(0).unwrap_or_default().to_owned(), reply.scores.numbers)
}

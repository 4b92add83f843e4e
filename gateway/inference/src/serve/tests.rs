//! What a model that panics costs: only here can one be made.

use std::sync::{Arc, mpsc};

use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{LocalReply, LocalRequest, ModelFault, ObservedRoute, Protocol};

use super::*;
use crate::{Algorithm, TrainOptions, train};

fn request(rows: usize) -> LocalRequest {
    let route = ObservedRoute::named("m", Some(Protocol::KserveV1));
    LocalRequest {
        route: Arc::new(route),
        method: Method::Post,
        path: "/v1/models/m:predict".into(),
        exact_path: true,
        backend: "m".into(),
        encoding: Encoding::Identity,
        content: Content::Json,
        body: format!("{{\"instances\":[[0]{}]}}", ",[1]".repeat(rows - 1)).into(),
    }
}

fn check(served: &Served, rows: usize, in_place: bool) {
    let (sender, answers) = mpsc::channel();
    let failed: LocalReply = match served.submit(request(rows), Box::new(move |r| sender.send(r).unwrap())) {
        Submitted::Now(reply) if in_place => *reply,
        Submitted::Later if !in_place => answers.recv().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!((failed.status, failed.fault), (500, Some(ModelFault::Model)));
    assert_eq!(failed.body, "{\"error\":\"the model `model` failed\"}");
}

#[test]
fn a_model_that_panics_is_a_500_and_the_next_request_is_answered() {
    let rows: String = (0..20).map(|row| format!("{row},{}\n", row % 2)).collect();
    let options = TrainOptions::new("y", Algorithm::LogisticRegression);
    let model = train(format!("x,y\n{rows}").as_bytes(), &options).unwrap();
    let served =
        Served::start(Arc::new(model.broken()), ServeOptions { name: None, threads: 1, queue: 4 }).unwrap();
    for _ in 0..2 {
        check(&served, 1, true);
        check(&served, 10_000, false);
    }
}

//! What a prediction costs, in place and by the pool: `cargo bench -p weir-inference`.
//!
//! Every line is the best of several rounds: what the code costs when nobody else uses the core.

use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::model::http_like::Method;
use weir_exchange::{LocalRequest, ObservedRoute, Protocol, Reply, Table};
use weir_inference::{
    Algorithm, Model, Row, ServeOptions, Served, Submitted, TrainOptions, Value, holdout_rows, train,
};

const CHURN: &[u8] = include_bytes!("../../../examples/churn/churn.csv");
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(20);

fn main() {
    println!("{:<58} {:>10} {:>10}", "", "us", "ns/row");
    for (name, algorithm) in
        [("regression", Algorithm::LogisticRegression), ("100 trees", Algorithm::RandomForest)]
    {
        let model = Arc::new(train(CHURN, &TrainOptions::new("churn", algorithm)).expect("the data is good"));
        let rows = holdout_rows(CHURN, model.about()).expect("the same data");
        for count in [1, 2, 16, 64, 1000] {
            predict(&format!("{name}, {count} rows, decoded"), &model, &rows[..count]);
        }
        for count in [1, 2, 8] {
            in_place(&format!("{name}, {count} named rows in JSON, submitted"), &model, &rows[..count]);
        }
        in_pool(&format!("{name}, 200 named rows in JSON, submitted"), &model, &rows[..200]);
    }
    hand_over();
}

fn predict(what: &str, model: &Model, rows: &[Row]) {
    let (table, mut reply) = (table(rows), Reply::default());
    let ns = measure(|| model.predict(black_box(&table), &mut reply).expect("the rows fit"));
    print(what, ns, rows.len());
}

fn in_place(what: &str, model: &Arc<Model>, rows: &[Row]) {
    let (served, request) = (serve(model), request(rows));
    let ns = measure(|| match served.submit(black_box(request.clone()), Box::new(drop)) {
        Submitted::Now(reply) => assert_eq!(reply.status, 200),
        other => unreachable!("a few rows are answered in place: {other:?}"),
    });
    print(&format!("{what}: in place"), ns, rows.len());
}

fn in_pool(what: &str, model: &Arc<Model>, rows: &[Row]) {
    let (served, request) = (serve(model), request(rows));
    let ns = measure(|| {
        let (sender, answer) = mpsc::channel();
        let reply = Box::new(move |reply| drop(sender.send(reply)));
        assert!(matches!(served.submit(black_box(request.clone()), reply), Submitted::Later));
        assert_eq!(answer.recv().expect("an answer").status, 200);
    });
    print(&format!("{what}: pool"), ns, rows.len());
}

/// What the pool costs before it does anything: a job there, its answer back, both threads asleep in between.
fn hand_over() {
    let (jobs, queue) = mpsc::sync_channel::<mpsc::Sender<()>>(16);
    let worker = thread::spawn(move || queue.iter().for_each(|answer| _ = answer.send(())));
    let ns = measure(|| {
        let (sender, answer) = mpsc::channel();
        jobs.send(sender).expect("the worker lives");
        answer.recv().expect("an answer");
    });
    drop(jobs);
    worker.join().expect("the worker ends");
    print("hand-over to a thread and back", ns, 1);
}

fn serve(model: &Arc<Model>) -> Served {
    let options = ServeOptions { name: None, threads: 1, queue: 16 };
    Served::start(Arc::clone(model), options).expect("a thread starts")
}

fn request(rows: &[Row]) -> LocalRequest {
    let route = ObservedRoute::named("churn", Some(Protocol::KserveV1));
    let rows = serde_json::to_string(rows).expect("rows are JSON");
    LocalRequest {
        route: Arc::new(route),
        method: Method::Post,
        path: "/v1/models/churn:predict".into(),
        exact_path: false,
        backend: "churn".into(),
        encoding: Encoding::Identity,
        content: Content::Json,
        body: format!("{{\"instances\":{rows}}}").into(),
    }
}

/// The rows by position.
fn table(rows: &[Row]) -> Table {
    let mut table = Table { rows: rows.len(), width: rows[0].features.len(), ..Table::default() };
    for (_, value) in rows.iter().flat_map(|row| &row.features) {
        if let Value::Text(text) = value {
            table.push_text(table.numbers.len(), text);
        }
        table.numbers.push(if let Value::Number(number) = value { *number } else { f64::NAN });
    }
    table
}

/// Nanoseconds.
fn measure(mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let (begin, mut done) = (Instant::now(), 0_u32);
        while begin.elapsed() < ROUND {
            work();
            done += 1;
        }
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(done)
    };
    (0..ROUNDS).map(|_| round(&mut work)).fold(f64::INFINITY, f64::min)
}

fn print(what: &str, ns: f64, rows: usize) {
    println!("{what:<58} {:>10.2} {:>10.0}", ns / 1e3, ns / rows as f64);
}

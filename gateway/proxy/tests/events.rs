//! Events of objectives about requests, counted where the client is answered: a whole request path in this
//! process, with a model that does what the path of a request says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use weir_config::Config;
use weir_exchange::{Fate, Handoff, LocalReply, LocalRequest, ModelFault, ShardLimits};
use weir_proxy::{
    EndpointBook, Listener, LocalModel, Predicted, Proxy, ProxyMetrics, ProxyParts, RouteIds, Snapshot,
    SnapshotParts, slo_events,
};
use weir_telemetry::log::Logger;
use weir_telemetry::{Cap, Counter, Family, Registry, Sample, Spec, Value};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A model; what is asked under `/m/later` waits for the test.
struct Played(Sender<oneshot::Sender<LocalReply>>);

impl LocalModel for Played {
    fn labels(&self) -> [Arc<str>; 2] {
        ["played".into(), "1".into()]
    }

    fn predict(&self, request: LocalRequest) -> Predicted {
        match request.path.rsplit('/').next().unwrap_or_default() {
            "later" => {
                let (answer, answered) = oneshot::channel();
                self.0.send(answer).unwrap();
                Predicted::Later(answered)
            }
            "busy" => Predicted::Busy,
            "wrong" => Predicted::Now(Box::new(reply(400, Some(ModelFault::Client)))),
            "broken" => Predicted::Now(Box::new(reply(500, Some(ModelFault::Model)))),
            _ => Predicted::Now(Box::new(reply(200, None))),
        }
    }
}

fn reply(status: u16, fault: Option<ModelFault>) -> LocalReply {
    let (model, model_version) = ("played".into(), "1".into());
    LocalReply {
        status,
        body: "{}".into(),
        model,
        model_version,
        request: None,
        reply: None,
        fault,
        stages: None,
    }
}

/// A request path at work.
struct House {
    proxy: Proxy,
    address: SocketAddr,
    parts: Parts,
    waiting: Receiver<oneshot::Sender<LocalReply>>,
}

/// What outlives generations.
struct Parts {
    registry: Registry,
    events: Family<Counter>,
    models: HashMap<Arc<str>, Arc<dyn LocalModel>>,
    ids: RouteIds,
    endpoints: EndpointBook,
    /// Bound and not listened on: nobody else gets it.
    down: TcpSocket,
}

impl Parts {
    fn snapshot(&self, generation: u64, text: &str) -> Arc<Snapshot> {
        let route = |name, path, backend| {
            format!("[[route]]\nname = \"{name}\"\npath = \"{path}\"\nbackend = \"{backend}\"\n")
        };
        let routes = [
            route("m", "/m/*", "played"),
            "protocol = \"kserve-v1\"\nbody_bytes = \"100B\"\n".to_owned(),
            route("down", "/down", "down"),
            "[backend.played]\nmodel = \"builtin:churn\"\n".to_owned(),
            format!("[backend.down]\nendpoints = [\"http://{}\"]\n", self.down.local_addr().unwrap()),
        ];
        let whole = format!("{}{text}", routes.concat());
        let loaded = Config::parse(&whole, "t.toml", Path::new("/"), &|_| None);
        let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
        let Self { models, ids, endpoints, .. } = self;
        Arc::new(Snapshot::new(&SnapshotParts { generation, config: &config, models, ids, endpoints }))
    }

    /// Every series of the events, as text.
    fn series(&self) -> Vec<String> {
        let text = |sample: Sample| match sample.value {
            Value::Counter(n) => format!("{} {n}", sample.labels.join(" ")),
            _ => panic!("events are counted"),
        };
        self.events.samples().into_iter().map(text).collect()
    }

    /// Good and bad events of an objective.
    #[track_caller]
    fn check(&self, name: &str, expect: [f64; 2]) {
        let of = |good: &str| {
            let samples = self.events.samples().into_iter();
            let mine = samples.filter(|s| *s.labels[0] == *name && *s.labels[2] == *good);
            mine.map(|s| if let Value::Counter(n) = s.value { n } else { 0.0 }).sum::<f64>()
        };
        assert_eq!([of("true"), of("false")], expect, "good and bad of `{name}`");
    }

    /// Requests that failed so.
    fn errors(&self, kind: &str) -> f64 {
        let points = self.registry.gather();
        let errors = points.into_iter().find(|points| &*points.spec.name == "api_errors_total").unwrap();
        let mine = errors.samples.into_iter().filter(|s| *s.labels[1] == *kind);
        mine.map(|s| if let Value::Counter(n) = s.value { n } else { 0.0 }).sum()
    }
}

/// An address that refuses connections.
fn nobody() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

impl House {
    /// One worker, with these objectives, nothing observed.
    fn with(text: &str) -> Self {
        let (asks, waiting) = mpsc::channel();
        let model: Arc<dyn LocalModel> = Arc::new(Played(asks));
        let parts = Parts {
            registry: Registry::default(),
            events: slo_events(),
            models: [("played".into(), model)].into_iter().collect(),
            ids: RouteIds::default(),
            endpoints: EndpointBook::default(),
            down: nobody(),
        };
        let fates = Spec::counter("weir_exchanges_total", "Fates.", &["route", "fate"]);
        let fates = Family::new(fates, Cap::Closed);
        let proxy_parts = ProxyParts {
            snapshot: parts.snapshot(1, text),
            metrics: ProxyMetrics::new(&parts.registry, fates, parts.events.clone()).unwrap(),
            handoffs: vec![Arc::new(Handoff::new(ShardLimits::default()))],
            observe_probability: Arc::new(AtomicU32::new(0f32.to_bits())),
            log: Logger::discard(),
            pages: None,
        };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let address = listener.address();
        let proxy = Proxy::start(proxy_parts, listener).unwrap();
        Self { proxy, address, parts, waiting }
    }

    /// Sends a request and does not wait for its answer.
    fn ask(&self, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    #[track_caller]
    fn gets(&self, path: &str, status: u16) {
        assert_eq!(answer(self.ask(path, "{}")), status, "{path}");
    }

    /// The request that waits for its answer.
    fn under_way(&self) -> oneshot::Sender<LocalReply> {
        self.waiting.recv_timeout(LONG).expect("the model is asked in time")
    }

    fn reload(&self, generation: u64, text: &str) {
        self.proxy.publish(self.parts.snapshot(generation, text));
    }

    /// The end, when nothing is counted any more.
    fn end(self) -> Parts {
        let Self { proxy, parts, .. } = self;
        assert_eq!(proxy.drain(LONG), 0, "nothing is cut off");
        parts
    }
}

/// The status of the answer, which is read to its end.
fn answer(mut stream: TcpStream) -> u16 {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[track_caller]
fn eventually(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < LONG, "{what} in time");
        std::thread::yield_now();
    }
}

const AVAILABLE: &str = "[slo.available]\nobjective = 0.99\n";
const STRICT: &str = "[slo.strict]\nobjective = 0.99\nclient_errors = \"bad\"\ncancelled = \"bad\"\n";

#[test]
fn every_objective_is_there_at_zero_before_the_first_event() {
    let aims = ["latency_under = \"1s\"", "confidence_at_least = 0.5", "decodable = true"];
    let text: String =
        (0..).zip(aims).map(|(n, aim)| format!("[slo.s{n}]\nobjective = 0.9\n{aim}\n")).collect();
    let condition = "[slo.s3]\nobjective = 0.9\ncondition = \"confidence:low_confidence\"\n\
                     [plugin.confidence]\npath = \"builtin:confidence\"\n";
    let parts = House::with(&format!("{AVAILABLE}{text}{condition}")).end();
    assert_eq!(parts.series().len(), 5 * 2);
    assert!(parts.series().iter().all(|line| line.ends_with(" 0")), "{:?}", parts.series());
}

#[test]
fn what_was_ours_or_the_models_is_bad_and_a_clients_error_is_what_the_objective_says() {
    let house = House::with(&format!("{AVAILABLE}{STRICT}"));
    for (path, status) in [
        ("/m/good", 200),
        ("/m/good", 200),
        ("/m/wrong", 400),
        ("/m/broken", 500),
        ("/m/busy", 503),
        ("/down", 502),
    ] {
        house.gets(path, status);
    }
    let parts = house.end();
    parts.check("available", [3.0, 3.0]);
    parts.check("strict", [2.0, 4.0]);
}

#[test]
fn what_a_limit_of_the_route_turns_away_is_an_event() {
    let house = House::with(&format!("{AVAILABLE}{STRICT}"));
    assert_eq!(answer(house.ask("/m/good", &"x".repeat(101))), 413);
    house.gets("/m/busy", 503);
    let parts = house.end();
    parts.check("available", [1.0, 1.0]);
    parts.check("strict", [0.0, 2.0]);
}

#[test]
fn what_no_route_took_is_no_event() {
    let house = House::with(&format!("{AVAILABLE}{STRICT}[limits]\nin_flight = 1\n"));
    house.gets("/nowhere", 404);
    let first = house.ask("/m/later", "{}");
    let later = house.under_way();
    house.gets("/m/good", 503);
    later.send(reply(200, None)).unwrap();
    assert_eq!(answer(first), 200);
    let parts = house.end();
    assert_eq!([parts.errors("no_route"), parts.errors("limit")], [1.0, 1.0]);
    parts.check("available", [1.0, 0.0]);
    parts.check("strict", [1.0, 0.0]);
}

#[test]
fn a_request_its_client_left_is_what_the_objective_says() {
    let house = House::with(&format!("{AVAILABLE}{STRICT}"));
    let client = house.ask("/m/later", "{}");
    let later = house.under_way();
    drop(client);
    eventually("the client is missed", || house.parts.errors("client_gone") == 1.0);
    drop(later);
    let parts = house.end();
    parts.check("available", [0.0, 0.0]);
    parts.check("strict", [0.0, 1.0]);
}

#[test]
fn a_request_is_good_if_it_is_answered_in_time() {
    let of = |name, under| format!("[slo.{name}]\nobjective = 0.9\nlatency_under = \"{under}\"\n");
    let house = House::with(&format!("{}{}", of("ever", "1h"), of("fast", "1ms")));
    let client = house.ask("/m/later", "{}");
    let later = house.under_way();
    let asked = Instant::now();
    eventually("too much time has passed", || asked.elapsed() > Duration::from_millis(1));
    later.send(reply(200, None)).unwrap();
    assert_eq!(answer(client), 200);
    house.gets("/m/broken", 500);
    let parts = house.end();
    parts.check("ever", [1.0, 1.0]);
    parts.check("fast", [0.0, 2.0]);
}

#[test]
fn a_route_counts_for_the_objectives_that_take_it() {
    let text = "[slo.one]\nobjective = 0.9\nroutes = [\"down\"]\n[slo.all]\nobjective = 0.9\n";
    let house = House::with(text);
    house.gets("/m/good", 200);
    house.gets("/down", 502);
    let parts = house.end();
    parts.check("one", [0.0, 1.0]);
    parts.check("all", [1.0, 1.0]);
}

/// The definition of the one objective named so.
fn definition(parts: &Parts, name: &str) -> String {
    let samples = parts.events.samples();
    let mine = samples.iter().find(|s| *s.labels[0] == *name);
    mine.map(|s| s.labels[1].to_string()).unwrap_or_default()
}

#[test]
fn a_new_definition_begins_at_zero_and_the_old_one_is_gone_with_its_late_events() {
    let house = House::with(&format!("{AVAILABLE}{STRICT}"));
    house.gets("/m/good", 200);
    let client = house.ask("/m/later", "{}");
    let later = house.under_way();
    let (old, strict) = (definition(&house.parts, "available"), definition(&house.parts, "strict"));
    house.reload(2, &format!("[slo.available]\nobjective = 0.5\n{STRICT}"));
    let new = definition(&house.parts, "available");
    assert_ne!(new, old);
    let now = house.parts.series();
    assert_eq!(now[..2], [format!("available {new} false 0"), format!("available {new} true 0")]);
    house.gets("/m/broken", 500);
    later.send(reply(200, None)).unwrap();
    assert_eq!(answer(client), 200);
    let series = house.end().series();
    let expect = [
        format!("available {new} false 1"),
        format!("available {new} true 0"),
        format!("strict {strict} false 1"),
        format!("strict {strict} true 2"),
    ];
    assert_eq!(
        series, expect,
        "what was under way is judged as it was begun, and only its definition is gone"
    );
}

#[test]
fn a_definition_that_comes_back_counts_anew() {
    for between in [0, 1] {
        let house = House::with(AVAILABLE);
        house.gets("/m/good", 200);
        house.reload(2, "");
        assert_eq!(house.parts.series(), [""; 0]);
        (0..between).for_each(|_| house.gets("/m/good", 200));
        house.reload(3, AVAILABLE);
        house.gets("/m/broken", 500);
        house.end().check("available", [0.0, 1.0]);
    }
}

#[test]
fn without_objectives_nothing_is_counted_and_nothing_else_changes() {
    let house = House::with("");
    house.gets("/m/good", 200);
    let parts = house.end();
    assert_eq!(parts.series(), [""; 0]);
    let points = parts.registry.gather();
    let fates = points.iter().find(|points| &*points.spec.name == "weir_exchanges_total").unwrap();
    let unsampled = fates.samples.iter().filter(|s| *s.labels[1] == *Fate::Unsampled.as_str());
    assert!(unsampled.into_iter().any(|s| s.value == Value::Counter(1.0)));
}

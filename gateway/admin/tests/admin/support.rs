//! A gateway in words of its own, a served listener, and a client that shows the bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use weir_admin::{
    Gateway, GenerationStatus, Health, LiveProfile, Options, Pages, RecentVerdict, ReloadOutcome,
    ReloadStatus, Reloaded, Running, Server, Settled, Settling, start,
};
use weir_exchange::status::{AlertBrief, EndpointStatus, ObjectiveBrief, PluginState, PluginStatus};
use weir_telemetry::{Cap, Counter, Family, Histogram, Registry, Spec};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// The header that may change things, where the token is `s3cret`.
pub(crate) const TOKEN: (&str, &str) = ("authorization", "Bearer s3cret");

/// What the test makes of the rest of Weir.
#[derive(Default)]
pub(crate) struct House {
    pub(crate) draining: AtomicBool,
    /// Somebody has asked to settle.
    pub(crate) settling: AtomicBool,
    /// Settling ends when this is notified.
    pub(crate) judged: Arc<Notify>,
    /// The next reload waits for a word from here, and answers with it.
    pub(crate) reload: Mutex<Option<mpsc::Receiver<Result<Reloaded, String>>>>,
    /// The next look at what plugins have counted or found waits for a word from here.
    pub(crate) look: Mutex<Option<mpsc::Receiver<()>>>,
}

impl House {
    fn look(&self) {
        let word = self.look.lock().expect("whole").take();
        word.iter().for_each(|word| word.recv_timeout(LONG).expect("the test says a word"));
    }
}

impl Gateway for House {
    fn health(&self) -> Health {
        Health { model_loaded: true }
    }
    fn ready(&self) -> Result<(), String> {
        if self.draining.load(SeqCst) { Err("draining".into()) } else { Ok(()) }
    }
    fn plugins(&self) -> Vec<PluginStatus> {
        vec![PluginStatus {
            key: "drift".into(),
            name: "drift".into(),
            version: "0.1.0".into(),
            description: String::new(),
            path: "drift.wasm".into(),
            digest: "ab".into(),
            state: PluginState::Quarantined,
            last_fault: Some("trapped in <script>alert(1)</script>".into()),
            routes: vec!["churn".into()],
            batches: 1,
            rows: 2,
            faults: 3,
            cpu_seconds: 0.5,
            memory_bytes: 65_536,
            metrics: Vec::new(),
            conditions: Vec::new(),
            verdicts: Vec::new(),
        }]
    }
    fn alerts(&self) -> Value {
        serde_json::json!({"rules": [{"name": "Errors"}]})
    }
    fn evidence(&self, fingerprint: &str) -> Option<Value> {
        (fingerprint == "00ab").then(|| serde_json::json!({"value": 0.5}))
    }
    fn findings(&self) -> Value {
        self.look();
        serde_json::json!([{"plugin": "drift", "kind": "drift"}])
    }
    fn live_profile(&self, asked: &LiveProfile) -> Result<Value, String> {
        self.look();
        match asked.model.as_deref() {
            Some("other") => Err("no traffic of `other` is counted".to_owned()),
            _ => Ok(serde_json::json!({"route": asked.route, "model": asked.model})),
        }
    }
    fn alert_briefs(&self) -> Vec<AlertBrief> {
        vec![AlertBrief {
            name: "Errors".into(),
            state: "firing",
            labels: "route=<b>".into(),
            since_unix_ms: 1,
            muted: true,
        }]
    }
    fn objectives(&self) -> Vec<ObjectiveBrief> {
        vec![ObjectiveBrief {
            name: "availability".into(),
            objective: 0.999,
            good: 90,
            bad: 10,
            budget_left: -0.03,
            burning: true,
        }]
    }
    fn verdicts(&self) -> Vec<RecentVerdict> {
        vec![RecentVerdict {
            plugin: "drift".into(),
            route: "churn".into(),
            trace_id: 0xab,
            reason: "slow".into(),
            probability: 1.0,
            at_unix_ms: 3,
        }]
    }
    fn backends(&self) -> Vec<EndpointStatus> {
        vec![EndpointStatus {
            backend: "churn".into(),
            address: "127.0.0.1:9000".into(),
            ejected: true,
            ready: Some(false),
            in_flight: 0,
            last_error: Some("refused".into()),
        }]
    }
    fn config(&self) -> Value {
        serde_json::json!({ "gateway": { "listen": "127.0.0.1:8000" } })
    }
    fn generation(&self) -> GenerationStatus {
        let error = Some("unknown key `lisen`".into());
        let outcome = ReloadOutcome::Refused;
        let last = ReloadStatus { at_unix_ms: 2, what: "config".into(), outcome, error };
        GenerationStatus {
            number: 7,
            loaded_unix_ms: 1,
            config_digest: "cd".into(),
            refused: 1,
            last_reload: Some(last),
        }
    }
    fn settle(&self) -> Settling {
        self.settling.store(true, SeqCst);
        let judged = self.judged.clone();
        Box::pin(async move {
            judged.notified().await;
            Settled { exchanges: 42 }
        })
    }
    fn reload(&self) -> Result<Reloaded, String> {
        let word = self.reload.lock().expect("whole").take();
        word.map_or(Ok(Reloaded::Unchanged), |word| word.recv_timeout(LONG).expect("the test says a word"))
    }
}

/// A served listener and what stands behind it.
pub(crate) struct Site {
    pub(crate) house: Arc<House>,
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    pub(crate) running: Running,
}

impl Site {
    pub(crate) fn start(options: &Options) -> Self {
        let (house, registry) = (Arc::new(House::default()), registry());
        let pages = Pages::new(house.clone(), &registry).expect("names are free");
        let server = Server::bind("127.0.0.1:0".parse().expect("address"), &pages, options).expect("bound");
        let address = server.address().expect("known");
        Self { house, registry, address, running: start(vec![server]).expect("started") }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// One GET on a new connection.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().ask("GET", path, &[])
    }
}

pub(crate) fn registry() -> Registry {
    let registry = Registry::default();
    let requests =
        Family::<Counter>::new(Spec::counter("requests_total", "Requests.", &["route"]), Cap::Closed);
    requests.get(&["churn"]).add(5);
    registry.family(&requests).expect("registered");
    let spec = Spec::histogram("latency_seconds", "Latency.", &[0.5, 1.0], &["route"]).unit("seconds");
    let latency = Family::<Histogram>::new(spec, Cap::Closed);
    (0..40).for_each(|i| latency.get(&[&format!("route{i}")]).observe(0.7));
    registry.family(&latency).expect("registered");
    registry
}

/// A connection that is kept.
pub(crate) struct Client(pub(crate) TcpStream);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(LONG)).expect("set");
        Self(stream)
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, path, headers);
        self.read(method == "HEAD").expect("an answer")
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if headers.iter().all(|(name, _)| *name != "host") {
            text += "host: localhost\r\n";
        }
        headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        self.0.write_all((text + "\r\n").as_bytes()).expect("sent");
    }

    /// One answer; `bare` if it has no body although its head says so.
    pub(crate) fn read(&mut self, bare: bool) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        let status = head[9..12].parse().expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        if !bare {
            answer
                .body
                .resize(answer.header("content-length").map_or(0, |n| n.parse().expect("a length")), 0);
            self.0.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// True if the other side closes without a further byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 64]) {
            Ok(n) => n == 0,
            Err(e) => e.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let matches = |line: &&str| line.split_once(':').is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        self.head.lines().find(matches).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("json")
    }

    /// The words of a refusal.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()["error"]["message"].as_str().expect("an error in words").to_owned()
    }
}

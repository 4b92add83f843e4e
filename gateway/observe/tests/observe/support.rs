//! A line with crossings of its own, exchanges in words, and a judge that remembers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use weir_exchange::exchange::{Content, Encoding};
use weir_exchange::{
    Batch, ColumnData, End, ErrorType, Exchange, Handoff, Head, ObservedRoute, Payload, Protocol, Role,
    RouteId, SchemaId, ShardLimits, Side, Timing, TraceIds, Verdict, shard,
};
use weir_observe::{BatchLimits, Judge, Line, LineConfig, Metrics, RecentVerdicts};
use weir_telemetry::{Cap, Counter, Family, Registry, Sample, Spec, Value};

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Nothing happens by time alone: a pass is made when somebody asks for one, and no batch grows old.
pub(crate) fn still() -> LineConfig {
    let batches = BatchLimits { age: Duration::from_secs(3600), ..BatchLimits::default() };
    LineConfig { poll: Duration::from_secs(3600), batches, ..LineConfig::default() }
}

/// A line at work.
pub(crate) struct House {
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) slo_events: Family<Counter>,
    pub(crate) handoffs: Vec<Arc<Handoff>>,
    pub(crate) line: Line,
    pub(crate) verdicts: Arc<RecentVerdicts>,
    traces: AtomicU64,
}

impl House {
    /// One worker, no judges.
    pub(crate) fn new() -> Self {
        Self::with(still(), 1, Vec::new())
    }

    /// One worker and a judge that remembers.
    pub(crate) fn recorded(config: LineConfig) -> (Self, Record) {
        let (judge, record) = recorder("record");
        (Self::with(config, 1, vec![judge]), record)
    }

    pub(crate) fn with(config: LineConfig, workers: usize, judges: Vec<Box<dyn Judge>>) -> Self {
        let registry = Registry::default();
        let slo_events = slo_events();
        registry.family(&slo_events).unwrap();
        let metrics = Metrics::new(&registry, slo_events.clone()).unwrap();
        let verdicts = Arc::new(RecentVerdicts::new(&metrics.line, 4));
        let crossing = |_| Arc::new(Handoff::new(ShardLimits::default()));
        let handoffs: Vec<_> = (0..workers).map(crossing).collect();
        let line = Line::start(config, handoffs.clone(), metrics.clone(), verdicts.clone(), judges).unwrap();
        Self { registry, metrics, slo_events, handoffs, line, verdicts, traces: AtomicU64::new(0) }
    }

    /// Hands off an exchange to the first worker's shard, with a trace id that counts from 1.
    pub(crate) fn send(&self, exchange: Exchange) {
        self.send_to(0, exchange);
    }

    pub(crate) fn send_to(&self, worker: usize, mut exchange: Exchange) {
        exchange.trace.trace_id = u128::from(self.traces.fetch_add(1, Relaxed) + 1);
        self.handoffs[worker].push(exchange).unwrap();
    }

    pub(crate) fn settle(&self) {
        assert!(self.line.settle(LONG), "everything is judged in time");
    }

    /// Hands off, and waits until it is judged.
    pub(crate) fn see(&self, exchanges: impl IntoIterator<Item = Exchange>) {
        exchanges.into_iter().for_each(|exchange| self.send(exchange));
        self.settle();
    }

    /// Series of a metric whose labels have these values, overflow included.
    pub(crate) fn series(&self, metric: &str, labels: &[(&str, &str)]) -> Vec<Sample> {
        let points = self.registry.gather();
        let points = points.into_iter().find(|points| &*points.spec.name == metric);
        let points = points.unwrap_or_else(|| panic!("there is no metric `{metric}`"));
        let place = |name: &str| points.spec.labels.iter().position(|label| **label == *name).unwrap();
        let wanted: Vec<_> = labels.iter().map(|(name, value)| (place(name), *value)).collect();
        let fits = |sample: &Sample| wanted.iter().all(|(at, value)| *sample.labels[*at] == **value);
        points.samples.into_iter().filter(fits).collect()
    }

    /// Sum of the counters or gauges with these labels; 0 if there are none.
    pub(crate) fn value(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let values = self.series(metric, labels).into_iter().map(|sample| match sample.value {
            Value::Counter(value) | Value::Gauge(value) => value,
            Value::Histogram { .. } => panic!("`{metric}` is a histogram"),
        });
        values.sum()
    }

    /// Count and sum of the histograms with these labels.
    pub(crate) fn histogram(&self, metric: &str, labels: &[(&str, &str)]) -> (u64, f64) {
        let values = self.series(metric, labels).into_iter().map(|sample| match sample.value {
            Value::Histogram { counts, sum, .. } => (counts.iter().sum::<u64>(), sum),
            _ => panic!("`{metric}` is no histogram"),
        });
        values.fold((0, 0.0), |(n, sum), (more, plus)| (n + more, sum + plus))
    }

    /// Rows of an outcome over all models.
    pub(crate) fn predictions(&self, outcome: &str) -> f64 {
        self.value("predictions_total", &[("outcome", outcome)])
    }

    pub(crate) fn fate(&self, fate: &str) -> f64 {
        self.value("weir_exchanges_total", &[("fate", fate)])
    }

    pub(crate) fn closed(&self, reason: &str) -> f64 {
        self.value("weir_batches_total", &[("reason", reason)])
    }

    pub(crate) fn capped(&self, what: &str) -> f64 {
        self.value("weir_caps_reached_total", &[("what", what)])
    }
}

/// The family as the request path makes it.
pub(crate) fn slo_events() -> Family<Counter> {
    let labels = ["slo", "definition", "good"];
    Family::new(Spec::counter("weir_slo_events_total", "Events.", &labels), Cap::Closed)
}

pub(crate) fn route(id: u32, protocol: Protocol) -> ObservedRoute {
    ObservedRoute {
        id: RouteId(id),
        model: "configured".into(),
        model_version: "1".into(),
        ..ObservedRoute::named(&format!("route-{id}"), Some(protocol))
    }
}

/// A KServe V1 route.
pub(crate) fn kserve() -> Arc<ObservedRoute> {
    Arc::new(route(0, Protocol::KserveV1))
}

/// A complete exchange: 200 after half a second.
pub(crate) fn exchange(route: &Arc<ObservedRoute>, request: &str, response: &str) -> Exchange {
    Exchange {
        route: route.clone(),
        head: Head { path: shard::held(Bytes::from_static(b"/predict")), status: 200, ..Head::default() },
        request: side(request.as_bytes()),
        response: side(response.as_bytes()),
        timing: Timing {
            start_unix_ns: 1_700_000_000_000_000_000,
            upstream_start_ns: 1_000,
            response_head_ns: 400_000_000,
            end_ns: 500_001_000,
        },
        end: End::Complete,
        error: None,
        probability: 1.0,
        trace: TraceIds::default(),
        facts: None,
    }
}

/// The same, answered with an error.
pub(crate) fn failed(route: &Arc<ObservedRoute>, request: &str, status: u16) -> Exchange {
    let mut failed = exchange(route, request, r#"{"error": "no"}"#);
    failed.head.status = status;
    failed.error = (status >= 500).then_some(ErrorType::Status5xx);
    failed
}

/// The same, ended before there was an answer.
pub(crate) fn ended(route: &Arc<ObservedRoute>, request: &str, end: End, error: ErrorType) -> Exchange {
    let mut ended = exchange(route, request, "");
    (ended.head.status, ended.end, ended.error) = (0, end, Some(error));
    ended
}

pub(crate) fn side(body: &[u8]) -> Side {
    Side {
        payload: shard::held(Bytes::copy_from_slice(body)),
        total: body.len() as u64,
        truncated: false,
        encoding: Encoding::Identity,
        content: Content::Json,
    }
}

pub(crate) fn held(text: &str) -> Payload {
    shard::held(Bytes::copy_from_slice(text.as_bytes()))
}

/// `rows` rows of two numbers.
pub(crate) fn rows(rows: usize) -> String {
    let row = |row| format!("[{row}, {row}.5]");
    format!("{{\"instances\": [{}]}}", (0..rows).map(row).collect::<Vec<_>>().join(", "))
}

/// `rows` values that are no scores.
pub(crate) fn values(rows: usize) -> String {
    format!(
        "{{\"predictions\": [{}]}}",
        (0..rows).map(|row| format!("{row}.25")).collect::<Vec<_>>().join(", ")
    )
}

/// A good exchange of so many rows.
pub(crate) fn good(route: &Arc<ObservedRoute>, count: usize) -> Exchange {
    exchange(route, &rows(count), &values(count))
}

/// What a judge was told, in order.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Batch(Batch),
    Forget(SchemaId),
}

/// The memory of a judge.
pub(crate) struct Record(Receiver<Told>);

impl Record {
    /// The next batch; waits for it.
    pub(crate) fn batch(&self) -> Batch {
        loop {
            if let Told::Batch(batch) = self.next() {
                return batch;
            }
        }
    }

    pub(crate) fn next(&self) -> Told {
        self.0.recv_timeout(LONG).expect("the judge is told something in time")
    }

    /// Waits until the judge is gone; what it was told meanwhile is lost.
    pub(crate) fn is_over(&self) -> bool {
        loop {
            match self.0.recv_timeout(LONG) {
                Ok(_) => {}
                Err(why) => return why == RecvTimeoutError::Disconnected,
            }
        }
    }

    /// What was told so far.
    pub(crate) fn so_far(&self) -> Vec<Told> {
        self.0.try_iter().collect()
    }

    /// Batches so far.
    pub(crate) fn batches(&self) -> Vec<Batch> {
        let told = self.so_far().into_iter();
        told.filter_map(|told| if let Told::Batch(batch) = told { Some(batch) } else { None }).collect()
    }
}

/// A judge made of closures.
pub(crate) struct Played<F> {
    pub(crate) key: &'static str,
    pub(crate) routes: Option<Vec<Arc<str>>>,
    pub(crate) observe: F,
}

impl<F: FnMut(&Batch) -> Vec<Verdict> + Send + 'static> Judge for Played<F> {
    fn key(&self) -> &str {
        self.key
    }
    fn routes(&self) -> Option<Vec<Arc<str>>> {
        self.routes.clone()
    }
    fn observe(&mut self, batch: &Batch, _now_unix_ns: u64) -> Vec<Verdict> {
        (self.observe)(batch)
    }
}

/// A judge of all routes that does this.
pub(crate) fn judge(
    key: &'static str,
    observe: impl FnMut(&Batch) -> Vec<Verdict> + Send + 'static,
) -> Box<dyn Judge> {
    Box::new(Played { key, routes: None, observe })
}

struct Recorder {
    key: &'static str,
    told: Mutex<Sender<Told>>,
}

impl Recorder {
    fn tell(&self, told: Told) {
        let _ = self.told.lock().unwrap().send(told);
    }
}

impl Judge for Recorder {
    fn key(&self) -> &str {
        self.key
    }
    fn observe(&mut self, batch: &Batch, _now_unix_ns: u64) -> Vec<Verdict> {
        self.tell(Told::Batch(batch.clone()));
        Vec::new()
    }
    fn forget(&mut self, schema: SchemaId) {
        self.tell(Told::Forget(schema));
    }
}

/// A judge that remembers what it is told.
pub(crate) fn recorder(key: &'static str) -> (Box<dyn Judge>, Record) {
    let (told, record) = mpsc::channel();
    (Box::new(Recorder { key, told: Mutex::new(told) }), Record(record))
}

/// A column of a batch by role and name; a column of numbers and one of codes may share both.
pub(crate) fn numbers<'b>(batch: &'b Batch, role: Role, name: &str) -> &'b [f64] {
    let found = columns(batch, role, name).find_map(|data| match data {
        ColumnData::Number(values) => Some(values),
        ColumnData::Code(_) => None,
    });
    found.unwrap_or_else(|| panic!("the batch has no number column `{name}`"))
}

/// The texts of a code column; `None` where the value is missing.
pub(crate) fn texts(batch: &Batch, role: Role, name: &str) -> Vec<Option<String>> {
    let at = (0..batch.columns.len()).find(|at| {
        let column = &batch.schema.columns[*at];
        column.role == role && *column.name == *name && matches!(batch.columns[*at], ColumnData::Code(_))
    });
    let at = at.unwrap_or_else(|| panic!("the batch has no text column `{name}`"));
    let ColumnData::Code(codes) = &batch.columns[at] else { panic!("`{name}` holds codes") };
    let text = |code: &u32| batch.schema.columns[at].codes.get(*code as usize).map(ToString::to_string);
    codes.iter().map(text).collect()
}

fn columns<'b>(batch: &'b Batch, role: Role, name: &str) -> impl Iterator<Item = &'b ColumnData> {
    let schema = batch.schema.columns.iter().zip(&batch.columns);
    schema.filter(move |(column, _)| column.role == role && *column.name == *name).map(|(_, data)| data)
}

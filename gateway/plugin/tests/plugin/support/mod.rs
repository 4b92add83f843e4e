//! What the tests of the plugin host share: a host with its registry and log, plugins made of WAT, and
//! batches.

pub(crate) mod guest;
mod layout;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir_exchange::{
    Batch, Column, ColumnData, Kind, ObservedRoute, Outcome, Role, RouteId, Schema, SchemaId,
};
use weir_plugin::{Change, Host, HostOptions, Limits, LoadError, PluginJudge, PluginSpec};
use weir_telemetry::log::{LogOptions, Logger};
use weir_telemetry::{Registry, Sample, Value};

pub(crate) use guest::{Declared, From, Guest, Returns};

pub(crate) const SECOND: u64 = 1_000_000_000;
/// When the tests' time begins.
pub(crate) const T0: u64 = 1_800_000_000 * SECOND;

/// A host with everything around it.
pub(crate) struct House {
    pub(crate) registry: Registry,
    pub(crate) host: Host,
    logger: Logger,
    log: Arc<Mutex<Vec<u8>>>,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panicked while it logged").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Default for House {
    fn default() -> Self {
        Self::with_cache(None)
    }
}

impl House {
    pub(crate) fn with_cache(cache: Option<PathBuf>) -> Self {
        Self::with(HostOptions { cache, ..HostOptions::default() })
    }

    pub(crate) fn with(options: HostOptions) -> Self {
        let registry = Registry::default();
        let log = Arc::new(Mutex::default());
        let logger = Logger::new(Sink(log.clone()), LogOptions::default()).expect("a log");
        let host = Host::new(options, &registry, &logger).expect("a host");
        Self { registry, host, logger, log }
    }

    /// Prepares and commits a set.
    pub(crate) fn commit(&self, specs: Vec<PluginSpec>) -> Change {
        let set = self.host.prepare(specs).unwrap_or_else(|errors| panic!("{}", words(&errors)));
        set.commit()
    }

    /// Commits one plugin and gives its judge.
    pub(crate) fn judge(&self, spec: PluginSpec) -> PluginJudge {
        self.commit(vec![spec]).new.pop().expect("a new judge")
    }

    /// What keeps a set from being loaded.
    pub(crate) fn refused(&self, specs: Vec<PluginSpec>) -> String {
        match self.host.prepare(specs) {
            Ok(_) => panic!("it was not refused"),
            Err(errors) => words(&errors),
        }
    }

    /// Shows that the host still serves: a plugin that counts rows does.
    pub(crate) fn still_serves(&self) {
        let well = spec("well", &counting("well"));
        let mut judge = self.judge(well);
        judge.observe(&batch(&[1.0, 2.0]), T0);
        let name = "well_rows_total";
        assert_eq!(self.value(name, &[("plugin", "well"), ("route", "r")]), Some(2.0), "{name}");
    }

    /// Samples of a metric whose labels include these.
    pub(crate) fn samples(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Sample> {
        let points = self.registry.gather().into_iter().find(|points| *points.spec.name == *name);
        let Some(points) = points else { return Vec::new() };
        let index = |name: &str| points.spec.labels.iter().position(|label| **label == *name);
        let fits = |sample: &Sample| {
            labels.iter().all(|(name, value)| {
                let at = index(name).unwrap_or_else(|| panic!("no label `{name}`"));
                *sample.labels[at] == **value
            })
        };
        points.samples.iter().filter(|sample| fits(sample)).cloned().collect()
    }

    /// The only sample of a counter or gauge with these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.samples(name, labels).as_slice() {
            [] => None,
            [Sample { value: Value::Counter(x) | Value::Gauge(x), .. }] => Some(*x),
            other => panic!("{name}: {other:?}"),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.registry.gather().iter().any(|points| *points.spec.name == *name)
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        assert!(self.logger.flush(Duration::from_secs(10)));
        String::from_utf8(self.log.lock().expect("no test panicked while it logged").clone())
            .expect("lines are UTF-8")
    }
}

pub(crate) fn words(errors: &[LoadError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Limits under which no test waits long.
pub(crate) fn limits() -> Limits {
    Limits { memory: 4 << 20, cpu: 1.0, fuel_per_row: 1000, fuel_per_batch: 1_000_000, ..Limits::default() }
}

pub(crate) fn spec(key: &str, guest: &Guest) -> PluginSpec {
    raw(key, guest.component())
}

pub(crate) fn raw(key: &str, component: Arc<[u8]>) -> PluginSpec {
    PluginSpec {
        key: key.into(),
        path: format!("{key}.wasm"),
        component,
        settings: "{}".to_owned(),
        routes: None,
        limits: limits(),
        profiles: Vec::new(),
    }
}

pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub(crate) fn metric(name: &str, kind: u8, labels: &[&str]) -> guest::Metric {
    let edges = if kind == 2 { vec![1.0, 2.0] } else { Vec::new() };
    (name.to_owned(), kind, String::new(), strings(labels), edges)
}

/// A guest with one counter, `rows`, that adds 1 for each of two values.
pub(crate) fn counting(name: &str) -> Guest {
    Guest {
        name: name.to_owned(),
        declared: Declared { metrics: vec![metric("rows", 0, &[])], ..Declared::default() },
        asks: vec![("series", 0, Vec::new())],
        observed: Returns {
            values: vec![1.0, 1.0],
            runs: vec![(0, From::Values(0, 2))],
            ..Returns::default()
        },
        ..Guest::default()
    }
}

/// A batch of one exchange a row, with the input `age`.
pub(crate) fn batch(ages: &[f64]) -> Batch {
    Table::new(1, ages.len()).numbers(Role::Input, "age", ages).batch()
}

/// A batch being made, one row an exchange.
pub(crate) struct Table {
    schema: Schema,
    rows: usize,
    data: Vec<ColumnData>,
}

impl Table {
    pub(crate) fn new(schema: u32, rows: usize) -> Self {
        let schema = Schema {
            id: SchemaId(schema),
            version: 1,
            route: "r".into(),
            model: "m".into(),
            model_version: "1".into(),
            classification: Some(true),
            columns: Vec::new(),
        };
        Self { schema, rows, data: Vec::new() }
    }

    pub(crate) fn model(mut self, model: &str) -> Self {
        self.schema.model = model.into();
        self
    }

    pub(crate) fn version(mut self, version: u32) -> Self {
        self.schema.version = version;
        self
    }

    pub(crate) fn numbers(mut self, role: Role, name: &str, values: &[f64]) -> Self {
        self.schema.columns.push(Column { role, name: name.into(), kind: Kind::Number, codes: Vec::new() });
        self.data.push(ColumnData::Number(values.to_vec()));
        self
    }

    pub(crate) fn codes(mut self, role: Role, name: &str, texts: &[&str], values: &[u32]) -> Self {
        let codes = texts.iter().map(|text| Arc::from(*text)).collect();
        self.schema.columns.push(Column { role, name: name.into(), kind: Kind::Code, codes });
        self.data.push(ColumnData::Code(values.to_vec()));
        self
    }

    pub(crate) fn batch(self) -> Batch {
        let Self { schema, rows, data } = self;
        let route = ObservedRoute {
            id: RouteId(1),
            model: "m".into(),
            model_version: "1".into(),
            ..ObservedRoute::named("r", None)
        };
        Batch {
            sequence: 1,
            route: Arc::new(route),
            schema: Arc::new(schema),
            rows,
            exchanges: rows,
            row_exchange: (0..rows as u32).collect(),
            columns: data,
            outcomes: vec![Outcome::Ok; rows],
            trace_ids: vec![0; rows],
            probabilities: vec![1.0; rows],
            closed_unix_ns: T0,
        }
    }
}

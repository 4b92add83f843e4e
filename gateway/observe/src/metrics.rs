//! What the line says of itself.

use std::sync::Arc;

use weir_codec::DecodeErrorKind;
use weir_exchange::{Fate, ObservedRoute};
use weir_telemetry::{Cap, Counter, Family, Gauge, Histogram, Registry, RegistryError, Spec};

/// Rows of a closed batch: a factor of four from one row to the bound.
const BATCH_ROWS_EDGES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0];

/// `kind` of `weir_decode_errors_total` for a request whose rows are not as many as the reply's.
pub const ROW_MISMATCH: &str = "row_mismatch";

/// Families of the line. Cloning shares them.
#[derive(Clone, Debug)]
pub struct LineMetrics {
    /// `weir_exchanges_total{route,fate}`: the request path counts what it sheds or leaves out in the same
    /// family.
    pub exchanges: Family<Counter>,
    pub(crate) decode_errors: Family<Counter>,
    pub(crate) batches: Family<Counter>,
    pub(crate) batch_rows: Family<Histogram>,
    pub(crate) capped: Family<Counter>,
    pub(crate) schemas: Family<Gauge>,
    pub(crate) open_bytes: Family<Gauge>,
    pub(crate) shard_bytes: Family<Gauge>,
    pub(crate) cpu: Family<Counter>,
    pub(crate) judge_cpu: Family<Counter>,
    pub(crate) judge_dropped: Family<Counter>,
    pub(crate) judge_queue: Family<Gauge>,
    pub(crate) verdicts: Family<Counter>,
    pub(crate) settles: Family<Counter>,
    pub(crate) share: Family<Gauge>,
    pub(crate) probability: Family<Gauge>,
    pub(crate) traces: Family<Counter>,
}

impl LineMetrics {
    /// Makes and registers the families.
    ///
    /// # Errors
    /// A name is taken by a metric of another shape.
    pub fn new(registry: &Registry) -> Result<Self, RegistryError> {
        let metrics = Self::families();
        let Self { exchanges, decode_errors, batches, capped, cpu, judge_cpu, .. } = &metrics;
        for family in [exchanges, decode_errors, batches, capped, cpu, judge_cpu] {
            registry.family(family)?;
        }
        for family in [&metrics.judge_dropped, &metrics.verdicts, &metrics.settles, &metrics.traces] {
            registry.family(family)?;
        }
        let Self { schemas, open_bytes, shard_bytes, judge_queue, share, probability, .. } = &metrics;
        for family in [schemas, open_bytes, shard_bytes, judge_queue, share, probability] {
            registry.family(family)?;
        }
        registry.family(&metrics.batch_rows)?;
        metrics.traces.touch_product(&[&TraceFate::ALL.map(TraceFate::as_str)]);
        Ok(metrics)
    }

    fn families() -> Self {
        let rows = "Rows of closed batches.";
        Self {
            exchanges: counter(
                "weir_exchanges_total",
                "Routed requests by what became of their telemetry; the fates sum to the requests routed.",
                &["route", "fate"],
            ),
            decode_errors: counter(
                "weir_decode_errors_total",
                "Bodies that yielded no rows, by side (request, response) and kind.",
                &["route", "side", "kind"],
            ),
            batches: counter("weir_batches_total", "Batches closed, by what closed them.", &["reason"]),
            batch_rows: Family::new(
                Spec::histogram("weir_batch_rows", rows, &BATCH_ROWS_EDGES, &[]),
                Cap::Closed,
            ),
            capped: counter(
                "weir_caps_reached_total",
                "What a cap turned away: a schema, column, code, class or model of an exchange.",
                &["route", "what"],
            ),
            schemas: gauge("weir_schemas", "Schemas that are live now.", &[], ""),
            open_bytes: gauge("weir_open_batch_bytes", "Bytes in batches that are open now.", &[], "bytes"),
            shard_bytes: gauge("weir_shard_bytes", "Bytes of the shard taken last.", &["worker"], "bytes"),
            cpu: counter(
                "weir_telemetry_cpu_seconds_total",
                "CPU time of the telemetry threads.",
                &["thread"],
            ),
            judge_cpu: counter("weir_judge_cpu_seconds_total", "CPU time of judge threads.", &["judge"]),
            judge_dropped: counter(
                "weir_judge_dropped_total",
                "Exchanges that a judge did not see, by reason (batches, bytes: its queue was full; panic).",
                &["judge", "reason"],
            ),
            judge_queue: gauge("weir_judge_queue_bytes", "Bytes that wait for a judge.", &["judge"], "bytes"),
            verdicts: Family::new(
                Spec::counter("weir_verdicts_total", "Verdicts by judge and reason.", &["judge", "reason"]),
                Cap::Open { series: 1000 },
            ),
            settles: counter("weir_settles_total", "Barriers asked for.", &[]),
            share: gauge(
                "weir_telemetry_cpu_ratio",
                "CPU time of telemetry and judges in the last second as a share of the workers' wall time.",
                &[],
                "ratio",
            ),
            probability: gauge(
                "weir_observe_probability",
                "Probability with which an exchange is observed; below 1 while telemetry is over its CPU share.",
                &[],
                "",
            ),
            traces: counter(
                "weir_traces_total",
                "Traces that something asked to keep: kept with a known or an unknown probability, or over budget.",
                &["fate"],
            ),
        }
    }

    /// Exchanges of a route so far that were answered and whose rows a judge never got: shed, truncated, not
    /// decodable, or dropped by its queue. The last is known over all routes only, and counted for each.
    pub fn unseen(&self, judge: &str, route: &str) -> u64 {
        let lost = [Fate::Shed, Fate::Truncated, Fate::Undecodable];
        let of_route: f64 = lost.iter().map(|fate| self.exchanges.total(&[route, fate.as_str()])).sum();
        let dropped = ["batches", "bytes"].iter().map(|reason| self.judge_dropped.total(&[judge, reason]));
        (of_route + dropped.sum::<f64>()) as u64
    }

    /// Exports what is known of a route at 0, so that the first loss is an increase.
    pub(crate) fn declare(&self, route: &ObservedRoute) {
        let name = &*route.name;
        self.exchanges.touch_product(&[&[name], &Fate::ALL.map(Fate::as_str)]);
        self.capped.touch_product(&[&[name], &Capped::ALL.map(Capped::as_str)]);
        if route.protocol.is_some() {
            let kinds = DecodeErrorKind::ALL.map(DecodeErrorKind::as_str);
            self.decode_errors.touch_product(&[&[name], &["request", "response"], &kinds]);
            self.decode_errors.touch(&[&[name, "request", ROW_MISMATCH]]);
        }
    }

    /// Counts what a cap turned away.
    pub(crate) fn turned_away(&self, route: &str, what: Capped, n: u64) {
        if n > 0 {
            self.capped.get(&[route, what.as_str()]).add(n);
        }
    }
}

/// `fate` of `weir_traces_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceFate {
    Known,
    Unknown,
    Budget,
}

impl TraceFate {
    pub(crate) const ALL: [Self; 3] = [Self::Known, Self::Unknown, Self::Budget];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Known => "kept_known",
            Self::Unknown => "kept_unknown",
            Self::Budget => "over_budget",
        }
    }
}

/// `what` of `weir_caps_reached_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capped {
    Schema,
    Column,
    Code,
    Class,
    Model,
}

impl Capped {
    pub(crate) const ALL: [Self; 5] = [Self::Schema, Self::Column, Self::Code, Self::Class, Self::Model];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Column => "column",
            Self::Code => "code",
            Self::Class => "class",
            Self::Model => "model",
        }
    }
}

/// `reason` of `weir_batches_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    Exchanges,
    Rows,
    Bytes,
    Age,
    /// All open batches together were over their budget.
    Budget,
    /// Somebody waits for it, or the line ends.
    Settle,
    /// The route has a new generation.
    Generation,
    /// Its schema was forgotten.
    Evicted,
}

impl Closed {
    pub(crate) const ALL: [Self; 8] = [
        Self::Exchanges,
        Self::Rows,
        Self::Bytes,
        Self::Age,
        Self::Budget,
        Self::Settle,
        Self::Generation,
        Self::Evicted,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Exchanges => "exchanges",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Age => "age",
            Self::Budget => "budget",
            Self::Settle => "settle",
            Self::Generation => "generation",
            Self::Evicted => "evicted",
        }
    }
}

/// One thread's cells for the batches it closes.
#[derive(Debug)]
pub(crate) struct BatchCells {
    closed: [Arc<Counter>; Closed::ALL.len()],
    rows: Arc<Histogram>,
}

impl BatchCells {
    pub(crate) fn new(metrics: &LineMetrics) -> Self {
        let closed = Closed::ALL.map(|reason| metrics.batches.local(&[reason.as_str()]));
        Self { closed, rows: metrics.batch_rows.local(&[]) }
    }

    pub(crate) fn count(&self, reason: Closed, rows: usize) {
        self.closed[reason as usize].bump(1);
        self.rows.observe_local(rows as f64);
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Family<Counter> {
    Family::new(Spec::counter(name, help, labels), Cap::Closed)
}

fn gauge(name: &str, help: &str, labels: &[&str], unit: &str) -> Family<Gauge> {
    Family::new(Spec::gauge(name, help, labels).unit(unit), Cap::Closed)
}

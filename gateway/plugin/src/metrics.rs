//! What the host says of the plugins it runs.

use std::sync::Arc;

use weir_exchange::status::PluginState;
use weir_telemetry::{Cap, Counter, Family, Gauge, Histogram, Registry, RegistryError, Spec};

use crate::fault::FaultKind;
use crate::plan::Identity;

/// Durations of calls: from a small batch (1 us) to the watchdog (100 ms).
const CALL_EDGES: [f64; 12] =
    [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 1e-1];

/// Where a component's machine code came from; `from` of `weir_plugin_components_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeFrom {
    /// It was compiled.
    Compiled,
    /// It was in the cache.
    Cache,
    /// It was in the cache, damaged, and was compiled again.
    Damaged,
    /// A running plugin has it.
    Memory,
}

impl CodeFrom {
    const ALL: [Self; 4] = [Self::Compiled, Self::Cache, Self::Damaged, Self::Memory];

    fn as_str(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Cache => "cache",
            Self::Damaged => "damaged",
            Self::Memory => "memory",
        }
    }
}

/// What was dropped of an outcome; `reason` of `weir_plugin_dropped_total`. Values are counted one by one,
/// the others as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// A value that is not finite.
    NotFinite,
    /// A negative increment of a counter.
    Negative,
    /// A run, feed or condition for a handle that stands for nothing of its kind.
    Handle,
    /// A span beyond its list.
    Span,
    /// A column that is not there, has no numbers, or has not as many values as its group.
    Column,
    /// A verdict for a reason that was not declared.
    Reason,
    /// An exchange that is not in the batch, or a verdict in a tick.
    Exchange,
    /// What came after the bound on the work of applying one outcome.
    Work,
    /// A value older than its window reaches back, or a row whose tally's window has closed.
    Late,
    /// A value for a window there was no room for, a tally, or a finding too many.
    Room,
    /// A log line or a finding over the rate.
    Log,
    /// A finding that is no JSON object, too large, or of a kind without a name.
    Finding,
}

impl Dropped {
    pub(crate) const ALL: [Self; 12] = [
        Self::NotFinite,
        Self::Negative,
        Self::Handle,
        Self::Span,
        Self::Column,
        Self::Reason,
        Self::Exchange,
        Self::Work,
        Self::Late,
        Self::Room,
        Self::Log,
        Self::Finding,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::Negative => "negative",
            Self::Handle => "handle",
            Self::Span => "span",
            Self::Column => "column",
            Self::Reason => "reason",
            Self::Exchange => "exchange",
            Self::Work => "work",
            Self::Late => "late",
            Self::Room => "room",
            Self::Log => "log",
            Self::Finding => "finding",
        }
    }
}

/// Why a plugin did not see exchanges; `reason` of `weir_plugin_lost_exchanges_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The call that had them failed.
    Fault,
    /// It was over its CPU share.
    Cpu,
    /// The breaker was open.
    Quarantine,
}

impl Lost {
    const ALL: [Self; 3] = [Self::Fault, Self::Cpu, Self::Quarantine];

    fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Cpu => "cpu",
            Self::Quarantine => "quarantine",
        }
    }
}

/// What became of a snapshot; `outcome` of `weir_plugin_snapshots_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotEnd {
    Saved,
    Loaded,
    /// The plugin does not know its format.
    Refused,
    /// Saving or loading it failed.
    Failed,
}

impl SnapshotEnd {
    const ALL: [Self; 4] = [Self::Saved, Self::Loaded, Self::Refused, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Saved => "saved",
            Self::Loaded => "loaded",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What of a plugin's state was restarted; `what` of `weir_state_resets_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateKind {
    Metric,
    Window,
    Condition,
    Tally,
}

impl StateKind {
    const ALL: [Self; 4] = [Self::Metric, Self::Window, Self::Condition, Self::Tally];

    fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Window => "window",
            Self::Condition => "condition",
            Self::Tally => "tally",
        }
    }
}

/// The families.
#[derive(Clone, Debug)]
pub(crate) struct HostMetrics {
    components: Family<Counter>,
    pub(crate) cache_errors: Family<Counter>,
    counters: Vec<Family<Counter>>,
    gauges: Vec<Family<Gauge>>,
    duration: Family<Histogram>,
}

// Places in `counters`.
const CPU: usize = 0;
const CALLS: usize = 1;
const BATCHES: usize = 2;
const ROWS: usize = 3;
const FAULTS: usize = 4;
const LOST: usize = 5;
const DROPPED: usize = 6;
const RESETS: usize = 7;
const SNAPSHOTS: usize = 8;
// Places in `gauges`.
const MEMORY: usize = 0;
const STATE: usize = 1;
const INFO: usize = 2;

impl HostMetrics {
    pub(crate) fn new() -> Self {
        let from = "Components made ready, by where their machine code came from.";
        let duration = "Duration of one batch in a plugin, packing and applying included.";
        let spec = Spec::histogram("weir_plugin_call_duration_seconds", duration, &CALL_EDGES, &["plugin"]);
        let metrics = Self {
            components: counter("weir_plugin_components_total", from, &["from"]),
            cache_errors: counter("weir_plugin_cache_errors_total", "Compiled components not kept.", &[]),
            counters: counters(),
            gauges: gauges(),
            duration: Family::new(spec.unit("seconds"), Cap::Closed),
        };
        metrics.components.touch_product(&[&CodeFrom::ALL.map(CodeFrom::as_str)]);
        metrics.cache_errors.touch(&[&[]]);
        metrics
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), RegistryError> {
        self.counters.iter().try_for_each(|family| registry.family(family))?;
        self.gauges.iter().try_for_each(|family| registry.family(family))?;
        registry.family(&self.components)?;
        registry.family(&self.cache_errors)?;
        registry.family(&self.duration)
    }

    pub(crate) fn code_from(&self, from: CodeFrom) {
        self.components.get(&[from.as_str()]).inc();
    }

    /// The cells of one plugin, all of them exported from now on.
    pub(crate) fn cells(&self, key: &str) -> Cells {
        let [cpu, calls, batches, rows] =
            [CPU, CALLS, BATCHES, ROWS].map(|family| self.counters[family].get(&[key]));
        let labelled = |family: usize, value: &str| self.counters[family].get(&[key, value]);
        Cells {
            cpu,
            calls,
            batches,
            rows,
            faults: FaultKind::ALL.map(|kind| labelled(FAULTS, kind.as_str())),
            lost: Lost::ALL.map(|reason| labelled(LOST, reason.as_str())),
            dropped: Dropped::ALL.map(|reason| labelled(DROPPED, reason.as_str())),
            resets: StateKind::ALL.map(|what| labelled(RESETS, what.as_str())),
            snapshots: SnapshotEnd::ALL.map(|outcome| labelled(SNAPSHOTS, outcome.as_str())),
            memory: self.gauges[MEMORY].get(&[key]),
            states: PluginState::ALL.map(|state| self.gauges[STATE].get(&[key, state.as_str()])),
            duration: self.duration.get(&[key]),
        }
    }

    /// Says which plugin a key is now.
    pub(crate) fn introduce(&self, key: &str, identity: &Identity, digest: &str) {
        let info = &self.gauges[INFO];
        info.retain(|labels| *labels[0] != *key);
        info.get(&[key, &identity.name, &identity.version, digest]).set(1.0);
    }

    /// Withdraws the series of a key that is gone.
    pub(crate) fn forget(&self, key: &str) {
        self.counters.iter().for_each(|family| family.retain(|labels| *labels[0] != *key));
        self.gauges.iter().for_each(|family| family.retain(|labels| *labels[0] != *key));
        self.duration.remove(&[key]);
    }
}

/// The cells of one plugin key.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) cpu: Arc<Counter>,
    pub(crate) calls: Arc<Counter>,
    pub(crate) batches: Arc<Counter>,
    pub(crate) rows: Arc<Counter>,
    pub(crate) faults: [Arc<Counter>; 7],
    lost: [Arc<Counter>; 3],
    dropped: [Arc<Counter>; 12],
    resets: [Arc<Counter>; 4],
    snapshots: [Arc<Counter>; 4],
    pub(crate) memory: Arc<Gauge>,
    states: [Arc<Gauge>; 2],
    pub(crate) duration: Arc<Histogram>,
}

impl Cells {
    pub(crate) fn fault(&self, kind: FaultKind) {
        self.faults[kind as usize].inc();
    }

    pub(crate) fn lost(&self, reason: Lost, exchanges: usize) {
        self.lost[reason as usize].add(exchanges as u64);
    }

    pub(crate) fn dropped(&self, reason: Dropped, count: u64) {
        if count > 0 {
            self.dropped[reason as usize].add(count);
        }
    }

    pub(crate) fn resets(&self, what: StateKind, count: u64) {
        self.resets[what as usize].add(count);
    }

    pub(crate) fn snapshot(&self, end: SnapshotEnd) {
        self.snapshots[end as usize].inc();
    }

    pub(crate) fn state(&self, state: PluginState) {
        for (other, gauge) in PluginState::ALL.iter().zip(&self.states) {
            gauge.set(f64::from(u8::from(*other == state)));
        }
    }
}

fn counters() -> Vec<Family<Counter>> {
    let seconds = Spec::counter(
        "weir_plugin_cpu_seconds_total",
        "CPU time in a plugin, packing and applying included.",
        &["plugin"],
    );
    vec![
        Family::new(seconds.unit("seconds"), Cap::Closed),
        counter("weir_plugin_calls_total", "Calls into a plugin.", &["plugin"]),
        counter("weir_plugin_batches_total", "Batches a plugin judged.", &["plugin"]),
        counter("weir_plugin_rows_total", "Rows a plugin judged.", &["plugin"]),
        counter("weir_plugin_faults_total", "Calls into a plugin that failed, by kind.", &["plugin", "kind"]),
        counter(
            "weir_plugin_lost_exchanges_total",
            "Exchanges a plugin did not judge, by reason (fault, cpu: over its share, quarantine).",
            &["plugin", "reason"],
        ),
        counter(
            "weir_plugin_dropped_total",
            "What was dropped of a plugin's outcomes, by reason; values one by one, the rest as a whole.",
            &["plugin", "reason"],
        ),
        counter(
            "weir_state_resets_total",
            "Metrics, windows, conditions and tallies that a plugin wants otherwise than before and that began anew.",
            &["plugin", "what"],
        ),
        counter(
            "weir_plugin_snapshots_total",
            "Snapshots of a plugin by what became of them (saved, loaded, refused: unknown format, failed).",
            &["plugin", "outcome"],
        ),
    ]
}

fn gauges() -> Vec<Family<Gauge>> {
    let bytes = Spec::gauge("weir_plugin_memory_bytes", "Linear memory of a plugin.", &["plugin"]);
    vec![
        Family::new(bytes.unit("bytes"), Cap::Closed),
        gauge("weir_plugin_state", "1 for the state a plugin is in, else 0.", &["plugin", "state"]),
        gauge(
            "weir_plugin_info",
            "The plugin behind a key: its own name and version, and the SHA-256 of its component.",
            &["plugin", "name", "version", "digest"],
        ),
    ]
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Family<Counter> {
    Family::new(Spec::counter(name, help, labels), Cap::Closed)
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Family<Gauge> {
    Family::new(Spec::gauge(name, help, labels), Cap::Closed)
}

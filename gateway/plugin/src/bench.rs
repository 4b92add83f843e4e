//! What a plugin costs.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use weir_exchange::{Batch, Role, SchemaId};
use weir_profile::Profile;

use crate::error::{LoadError, LoadFault};
use crate::host::Host;
use crate::judge::PluginJudge;
use crate::metrics::HostMetrics;
use crate::slot::Slot;
use crate::spec::PluginSpec;
use crate::synthetic::{BEGIN_UNIX_NS, Shape};
use crate::tally::ScratchTally;
use crate::trial::detached;
use crate::view::{View, empty_batch};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BenchOptions {
    /// Numeric columns of a request.
    pub features: usize,
    pub rows_per_exchange: usize,
    /// Class scores of a reply.
    pub classes: usize,
    /// Exchanges of a batch.
    pub batch: usize,
    pub rounds: usize,
    /// Time of one round.
    pub round: Duration,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            features: 8,
            rows_per_exchange: 1,
            classes: 2,
            batch: 64,
            rounds: 41,
            round: Duration::from_millis(3),
        }
    }
}

/// Medians over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchReport {
    pub plugin: String,
    pub version: String,
    pub features: usize,
    pub rows_per_exchange: usize,
    pub classes: usize,
    pub batch: usize,
    pub rounds: usize,
    /// All of it: packing, the call with its limits on, and applying the outcome. The CPU share alone is
    /// lifted.
    pub ns_per_exchange: f64,
    /// A tenth of the rounds were faster, a tenth slower.
    pub ns_per_exchange_p10: f64,
    pub ns_per_exchange_p90: f64,
    /// Packing alone.
    pub packing_ns_per_exchange: f64,
    /// Linear memory afterwards.
    pub memory_bytes: u64,
}

/// Measures a plugin on synthetic traffic. Rounds of the plugin and of packing alone alternate, so that what
/// else the machine does meets both.
///
/// # Errors
/// The plugin does not load, or fails while it is measured.
pub fn bench(host: &Host, spec: &PluginSpec, options: &BenchOptions) -> Result<BenchReport, LoadError> {
    let (prepared, _) = host.prepare_one(spec)?;
    let slot = Arc::new(Slot::new(&spec.key, &HostMetrics::new()));
    let mut judge = PluginJudge::new(prepared.clone(), detached(&slot, host.watchdog()));
    // With a reference it is traffic of that model: other columns would not be counted.
    let profile = prepared.spec.profiles.first();
    let batch = profile.map_or_else(|| shape(options).batch(), |profile| shape(options).batch_of(profile, 0));
    let mut view = View::new();
    view.delta(&batch.schema, &prepared.plan.columns);
    let mut packed = empty_batch();
    let mut traffic = Traffic { batch, now_ns: BEGIN_UNIX_NS };
    let (mut whole, mut packing) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds.max(1) {
        let judged =
            traffic.measure(options, |batch| drop(black_box(judge.observe(batch, batch.closed_unix_ns))));
        let packed = traffic.measure(options, |batch| view.pack(black_box(batch), &mut packed));
        // The first round warms up.
        if round > 0 {
            whole.push(judged);
            packing.push(packed);
        }
    }
    if let Some(fault) = slot.last_fault() {
        return Err(LoadFault::Trial(fault).of(&spec.key, &spec.path));
    }
    let BenchOptions { batch, .. } = *options;
    let columns = |role| traffic.batch.schema.columns.iter().filter(|column| column.role == role).count();
    let (features, classes) = (columns(Role::Input), columns(Role::Score));
    let rows_per_exchange = traffic.batch.rows / traffic.batch.exchanges.max(1);
    Ok(BenchReport {
        plugin: prepared.identity.name.clone(),
        version: prepared.identity.version.clone(),
        features,
        rows_per_exchange,
        classes,
        batch,
        rounds: whole.len(),
        ns_per_exchange: quantile(&mut whole, 0.5),
        ns_per_exchange_p10: quantile(&mut whole, 0.1),
        ns_per_exchange_p90: quantile(&mut whole, 0.9),
        packing_ns_per_exchange: quantile(&mut packing, 0.5),
        memory_bytes: slot.cells.memory.get() as u64,
    })
}

/// What counting costs the host: the median of ns a value, of batches with what a profile describes.
pub fn count_cost(profile: &Arc<Profile>, segments: u32, options: &BenchOptions) -> f64 {
    let batch = shape(options).batch_of(profile, segments);
    let values = (batch.rows * profile.features.len()).max(1) as f64;
    let mut traffic = Traffic { batch, now_ns: BEGIN_UNIX_NS };
    let mut tally = ScratchTally::new((profile, segments), BEGIN_UNIX_NS);
    let mut rounds: Vec<f64> = (0..=options.rounds.max(1))
        .map(|_| traffic.measure(options, |batch| tally.take_in(black_box(batch))))
        .collect();
    quantile(&mut rounds, 0.5) * options.batch.max(1) as f64 / values
}

fn shape(options: &BenchOptions) -> Shape {
    Shape {
        schema: SchemaId(1),
        exchanges: options.batch.max(1),
        rows_per_exchange: options.rows_per_exchange,
        features: options.features,
        texts: 0,
        classes: options.classes,
        missing: 0,
    }
}

struct Traffic {
    batch: Batch,
    now_ns: u64,
}

impl Traffic {
    /// ns for each exchange over one round. Time in the batches goes on as it would at 10,000 requests a
    /// second.
    fn measure(&mut self, options: &BenchOptions, mut step: impl FnMut(&Batch)) -> f64 {
        let begin = Instant::now();
        let mut batches = 0_u32;
        loop {
            self.now_ns += self.batch.exchanges as u64 * 100_000;
            self.batch.closed_unix_ns = self.now_ns;
            step(&self.batch);
            batches += 1;
            let elapsed = begin.elapsed();
            if elapsed >= options.round {
                return elapsed.as_nanos() as f64 / (f64::from(batches) * self.batch.exchanges as f64);
            }
        }
    }
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, version, ns_per_exchange: ns, .. } = self;
        writeln!(f, "{plugin} {version}: {ns:.0} ns an exchange, limits on, packing included")?;
        writeln!(
            f,
            "  one round in ten below {:.0} ns, one above {:.0} ns; packing alone {:.0} ns",
            self.ns_per_exchange_p10, self.ns_per_exchange_p90, self.packing_ns_per_exchange
        )?;
        write!(
            f,
            "  {} rounds; batches of {} exchanges, {} rows each, {} features, {} class scores; {} KiB of memory",
            self.rounds,
            self.batch,
            self.rows_per_exchange,
            self.features,
            self.classes,
            self.memory_bytes / 1024
        )
    }
}

//! Tries a plugin before it sees traffic: with no exchange at all, a few rows, an undecoded route, a tick, a
//! reload, windows of traffic that is as its profiles say, and the end of a schema. What comes of it goes
//! nowhere.

use std::sync::Arc;

use weir_exchange::{Batch, SchemaId};
use weir_telemetry::log::Logger;

use crate::engine::Watchdog;
use crate::error::LoadFault;
use crate::findings::{Finding, Findings};
use crate::judge::{PluginJudge, Seat};
use crate::metrics::HostMetrics;
use crate::prepared::Prepared;
use crate::slot::Slot;
use crate::synthetic::{BEGIN_UNIX_NS, Shape};

const SECOND: u64 = 1_000_000_000;

/// Schemas that no traffic has.
const DECODED: SchemaId = SchemaId(u32::MAX - 1);
const UNDECODED: SchemaId = SchemaId(u32::MAX - 2);
/// And one less for each further profile.
const PROFILED: SchemaId = SchemaId(u32::MAX - 3);

/// What a trial has shown.
pub(crate) struct Tried {
    /// Bytes of linear memory.
    pub(crate) memory: usize,
    pub(crate) findings: Vec<Finding>,
}

/// Runs the plugin through everything it will meet.
pub(crate) fn trial(prepared: &Arc<Prepared>, watchdog: &Arc<Watchdog>) -> Result<Tried, LoadFault> {
    let slot = Arc::new(Slot::new(&prepared.spec.key, &HostMetrics::new()));
    let found = Findings::default();
    let seat = || Seat { findings: found.clone(), ..detached(&slot, watchdog) };
    let judge = || PluginJudge::new(prepared.clone(), seat());
    let check = || slot.last_fault().map_or(Ok(()), |fault| Err(LoadFault::Trial(fault)));
    let decoded = Shape {
        schema: DECODED,
        exchanges: 4,
        rows_per_exchange: 2,
        features: 3,
        texts: 1,
        classes: 2,
        missing: 3,
    };
    let empty = Shape { exchanges: 0, ..decoded };
    let undecoded =
        Shape { schema: UNDECODED, rows_per_exchange: 0, features: 0, texts: 0, classes: 0, ..decoded };
    let mut first = judge();
    for shape in [empty, decoded, undecoded] {
        first.observe(&shape.batch(), BEGIN_UNIX_NS);
        check()?;
    }
    first.tick(BEGIN_UNIX_NS.saturating_add(prepared.plan.tick_ns));
    check()?;
    // What replaces it is told of the schemas and given its snapshot, as after a reload.
    drop(first);
    check()?;
    let mut second = judge();
    second.observe(&decoded.batch(), BEGIN_UNIX_NS + SECOND);
    let mut findings = Vec::new();
    for (number, profile) in (0..).zip(&prepared.spec.profiles) {
        let shape = Shape { schema: SchemaId(PROFILED.0 - number), exchanges: 64, ..undecoded };
        let batch = shape.batch_of(profile, 0);
        look(&mut second, &batch, &slot);
        let of_it = |it: &Finding| {
            (&it.model, &it.model_version) == (&batch.schema.model, &batch.schema.model_version)
        };
        // A model that is forgotten takes its findings with it.
        findings.extend(found.all().into_iter().filter(of_it));
        second.forget(shape.schema);
        check()?;
    }
    let memory = slot.cells.memory.get() as usize;
    second.forget(DECODED);
    second.forget(UNDECODED);
    check()?;
    Ok(Tried { memory, findings })
}

/// Has windows of a profile's own traffic close, and the plugin look at them.
fn look(judge: &mut PluginJudge, batch: &Batch, slot: &Slot) {
    judge.observe(batch, BEGIN_UNIX_NS + SECOND);
    // The first window is partly without rows, the second has none at all.
    for _ in 0..2 {
        let due = slot.tallies.lock().due().unwrap_or(BEGIN_UNIX_NS + SECOND);
        let tick = judge.tick_ns().max(1);
        judge.tick(due);
        judge.tick(due.saturating_add(tick));
    }
}

/// A seat where nobody sees what is judged, and where CPU time is not bounded.
pub(crate) fn detached(slot: &Arc<Slot>, watchdog: &Arc<Watchdog>) -> Seat {
    Seat {
        slot: slot.clone(),
        exports: None,
        watchdog: watchdog.clone(),
        logger: Logger::discard(),
        cpu: f64::INFINITY,
        findings: Findings::default(),
        coverage: None,
        keep: None,
    }
}

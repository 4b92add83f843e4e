//! Tries a plugin before it sees traffic: with no exchange at all, a few rows, an undecoded route, a tick, a
//! reload and the end of a schema. What comes of it goes nowhere.

use std::sync::Arc;

use weir_exchange::SchemaId;
use weir_telemetry::log::Logger;

use crate::engine::Watchdog;
use crate::error::LoadFault;
use crate::judge::{PluginJudge, Seat};
use crate::metrics::HostMetrics;
use crate::prepared::Prepared;
use crate::slot::Slot;
use crate::synthetic::{BEGIN_UNIX_NS, Shape};

const SECOND: u64 = 1_000_000_000;

/// Schemas that no traffic has.
const DECODED: SchemaId = SchemaId(u32::MAX - 1);
const UNDECODED: SchemaId = SchemaId(u32::MAX - 2);

/// Runs the plugin through everything it will meet. Gives the bytes of memory it then has.
pub(crate) fn trial(prepared: &Arc<Prepared>, watchdog: &Arc<Watchdog>) -> Result<usize, LoadFault> {
    let slot = Arc::new(Slot::new(&prepared.spec.key, &HostMetrics::new()));
    let judge = || PluginJudge::new(prepared.clone(), detached(&slot, watchdog));
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
    let memory = slot.cells.memory.get() as usize;
    second.forget(DECODED);
    second.forget(UNDECODED);
    check()?;
    Ok(memory)
}

/// A seat where nobody sees what is judged, and where CPU time is not bounded.
pub(crate) fn detached(slot: &Arc<Slot>, watchdog: &Arc<Watchdog>) -> Seat {
    Seat {
        slot: slot.clone(),
        exports: None,
        watchdog: watchdog.clone(),
        logger: Logger::discard(),
        cpu: f64::INFINITY,
    }
}

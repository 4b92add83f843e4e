//! The counters of objectives, by who counts them.

use std::sync::Arc;

use hashbrown::HashMap;
use weir_telemetry::{Points, Value};

/// The family that requests and judged rows are counted in, with the labels `slo`, `definition` and `good`.
pub(crate) const EVENTS: &str = "weir_slo_events_total";

/// Good and bad events by name and definition.
pub(crate) fn totals(points: &[Points]) -> HashMap<(Arc<str>, Arc<str>), (u64, u64)> {
    let mut totals: HashMap<_, (u64, u64)> = HashMap::new();
    let of = points.iter().filter(|one| *one.spec.name == *EVENTS).flat_map(|one| &one.samples);
    for sample in of {
        let ([slo, definition, good, ..], Value::Counter(x)) = (&*sample.labels, &sample.value) else {
            continue;
        };
        let (all_good, all_bad) = totals.entry((slo.clone(), definition.clone())).or_default();
        let sum = if &**good == "true" { all_good } else { all_bad };
        *sum += *x as u64;
    }
    totals
}

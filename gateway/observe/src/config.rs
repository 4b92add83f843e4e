//! What the line may use: threads, bytes, time, label sets. Every bound here has a counter for what it turned
//! away.

use std::time::Duration;

/// Everything the line is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct LineConfig {
    /// Telemetry threads, at least one; the wiring resolves `0 = a quarter of the workers`.
    pub telemetry_threads: usize,
    /// Workers of the request path: what 100 % of CPU means to the governor.
    pub workers: usize,
    /// Share of the workers' CPU time that telemetry and judges may use before exchanges are sampled, 0..=1.
    pub telemetry_cpu: f64,
    /// How long a shard that is not half full waits; up to four times as long after passes that found
    /// nothing.
    pub poll: Duration,
    pub batches: BatchLimits,
    pub schemas: SchemaLimits,
    pub queue: QueueLimits,
}

impl Default for LineConfig {
    fn default() -> Self {
        Self {
            telemetry_threads: 1,
            workers: 1,
            telemetry_cpu: 0.25,
            poll: Duration::from_millis(10),
            batches: BatchLimits::default(),
            schemas: SchemaLimits::default(),
            queue: QueueLimits::default(),
        }
    }
}

/// When a batch closes.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub exchanges: usize,
    pub rows: usize,
    /// Bytes of column data, missing values included.
    pub bytes: usize,
    pub age: Duration,
    /// Bytes all open batches may hold together, shared evenly by the telemetry threads; the oldest closes
    /// first.
    pub open_bytes: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            exchanges: 256,
            rows: 16_384,
            bytes: 1 << 20,
            age: Duration::from_millis(200),
            open_bytes: 32 << 20,
        }
    }
}

/// What traffic may make the line remember. Counted in each telemetry thread, except `models`.
#[derive(Clone, Copy, Debug)]
pub struct SchemaLimits {
    /// Live schemas of one route; past it, rows stay out of batches and only the exchange is judged.
    pub per_route: usize,
    /// Columns of one schema; further fields are left out.
    pub columns: usize,
    /// Dictionary entries of one column, [`weir_exchange::Column::OTHER`] included.
    pub codes: usize,
    /// Texts longer than this are kept as a length only; longer field names are left out.
    pub text_bytes: usize,
    /// Bytes of the field names and dictionaries of one schema; past it a text is
    /// [`weir_exchange::Column::OTHER`] and a field is left out.
    pub names_bytes: usize,
    /// Model and version pairs of one route; past it both labels are empty.
    pub models: usize,
    /// Classes counted for one schema; past it the class is [`weir_exchange::Column::OTHER`].
    pub classes: usize,
    /// A schema without traffic for this long is forgotten.
    pub idle: Duration,
    /// At the cap, the schema that was idle longest makes room if it was idle for this long.
    pub idle_at_cap: Duration,
}

impl Default for SchemaLimits {
    fn default() -> Self {
        Self {
            per_route: 64,
            columns: 4096,
            codes: 1024,
            text_bytes: 128,
            names_bytes: 4 << 20,
            models: 32,
            classes: 100,
            idle: Duration::from_secs(3600),
            idle_at_cap: Duration::from_secs(60),
        }
    }
}

/// What may wait for one judge.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    pub batches: usize,
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { batches: 1024, bytes: 32 << 20 }
    }
}

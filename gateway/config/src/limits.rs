//! `[limits]`, `[timeouts]`, `[telemetry]` and `[log]`: bounds, each with a default.

use std::time::Duration;

use crate::key::section;
use crate::kind::{Bool, Count, Period, Share, Size, Word, Words};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

section! {
    /// What is turned away at once. Each refusal is counted in `api_errors_total`; all but those of
    /// `body_bytes` come before the request has a route (`connections`, `in_flight`, headers), so they are
    /// counted under `route=""`.
    pub struct Limits {
        /// Client connections open at once, over all workers; the next is answered 503 and closed.
        pub connections: usize = default("10000", Count::new(1, 1_000_000));
        /// Requests in flight at once, over all workers; the next is answered 503.
        pub in_flight: usize = default("8192", Count::new(1, 1_000_000));
        /// Request line and headers together; more is answered 431.
        pub header_bytes: usize = default("\"64KiB\"", Size::new(8 * KIB, MIB));
        /// Header lines of a request; more is answered 431.
        pub headers: usize = default("100", Count::new(8, 1000));
        /// Request body; more is answered 413. A route may set its own.
        pub body_bytes: u64 = default("\"16MiB\"", Size::new(1, 64 * GIB));
    }
}

section! {
    /// How long anything may take. `header`, `idle` and `total` are the defaults of every route, `connect`
    /// of every backend.
    pub struct Timeouts {
        /// Connecting to a model server; past it once more, on another connection, else 504. A server that
        /// refuses is a 502.
        pub connect: Duration = default("\"1s\"", Period::new(MS, HOUR));
        /// From the end of the request to the head of the response, else 504: the time a model gets to
        /// think.
        pub header: Duration = default("\"60s\"", Period::new(MS, DAY));
        /// Without a byte in either direction while bodies move, else 504 or a cut connection.
        pub idle: Duration = default("\"60s\"", Period::new(MS, DAY));
        /// The whole request; "0s" for no such limit.
        pub total: Duration = default("\"0s\"", Period::new(MS, DAY).or_zero());
        /// From a client's first byte to the end of its headers, else the connection is closed.
        pub client_header: Duration = default("\"10s\"", Period::new(MS, HOUR));
        /// How long a client connection is kept open between requests.
        pub client_idle: Duration = default("\"75s\"", Period::new(MS, DAY));
    }
}

section! {
    /// Bounds of what observing may hold. Each excess is counted where it happens; none touches traffic.
    /// Fixed until restart.
    pub struct Telemetry {
        /// Bytes of exchanges that wait on one worker; past it they are `shed`.
        pub shard_bytes: usize = default("\"16MiB\"", Size::new(64 * KIB, 4 * GIB));
        /// A batch closes at this many exchanges.
        pub batch_exchanges: usize = default("256", Count::new(1, 16_384));
        /// A batch closes at this many rows; a larger exchange is split.
        pub batch_rows: usize = default("16384", Count::new(1, MIB));
        /// A batch closes at this many bytes of columns.
        pub batch_bytes: usize = default("\"1MiB\"", Size::new(4 * KIB, GIB));
        /// A batch closes this long after its first exchange.
        pub batch_age: Duration = default("\"200ms\"", Period::new(MS, Duration::from_secs(60)));
        /// Shapes of traffic (names and types of columns) that a route may show; further ones are
        /// undecodable.
        pub schemas_per_route: usize = default("64", Count::new(1, 4096));
        /// Columns of one schema; further ones are left out.
        pub columns: usize = default("4096", Count::new(1, 65_536));
        /// Distinct strings of one column; further ones are `other`.
        pub codes: usize = default("1024", Count::new(1, 65_536));
        /// Longest string that is kept as a category; longer ones are known by their length only.
        pub string_bytes: usize = default("\"128B\"", Size::new(8, 64 * KIB));
        /// Model and version pairs that label a route's series; further ones share the overflow series.
        pub models_per_route: usize = default("32", Count::new(1, 1024));
        /// Bytes of all open batches; past it the oldest closes first.
        pub open_bytes: usize = default("\"64MiB\"", Size::new(MIB, 64 * GIB));
    }
    beside {
        /// `gateway.telemetry_cpu`: share of one core, per worker, that observing may take.
        pub cpu: f64 = 0.25;
    }
}

section! {
    /// What is written to standard error: one JSON object a line.
    pub struct Log {
        /// error, warn, info or debug.
        pub level: Level = default("\"info\"", Word::of(LEVELS));
        /// Send lines to the collector of `[tracing]` too.
        pub otlp: bool = default("false", Bool);
        /// Share of requests with a line in the access log; failed ones are sampled alike.
        pub access: f64 = default("\"1%\"", Share::from(0.0));
    }
}

/// The least severe line that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

const LEVELS: Words<Level> =
    &[("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug)];

impl Level {
    /// The word used in the configuration and in log lines.
    pub fn as_str(self) -> &'static str {
        LEVELS.iter().find(|(_, level)| *level == self).map_or("info", |(word, _)| word)
    }
}

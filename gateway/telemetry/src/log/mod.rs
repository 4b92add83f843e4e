//! Weir's own log: one JSON object a line, written by a thread of its own.
//!
//! Whoever logs never waits for the sink: a line is rendered, copied into a bounded buffer and forgotten.
//! What does not fit, or comes from a source that talks too much, is dropped and counted in
//! `weir_log_dropped_total{reason}`.

mod access;
mod limit;
mod line;
mod mirror;
mod queue;

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::family::{Cap, Family, Spec};
use crate::metric::Counter;
use crate::priority;
use crate::registry::{Registry, RegistryError};

pub use access::Access;
pub use line::{Field, rfc3339};
pub use mirror::Mirror;

use limit::Limit;
use line::Line;
use queue::Queue;

/// How much a line matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The name in a line and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// Bounds of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Lines below this level are not written.
    pub level: Level,
    /// Bytes that may wait for the sink.
    pub queue_bytes: usize,
    /// Lines a source may write each second; as many again may come in one burst. Access lines have no
    /// source and are sampled by whoever writes them.
    pub lines_per_second: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: Level::Info, queue_bytes: 1 << 20, lines_per_second: 100 }
    }
}

/// A handle on the log, speaking for one source. Cloning is cheap; the writer thread ends when the last
/// handle is gone.
#[derive(Clone)]
pub struct Logger {
    shared: Arc<Shared>,
    source: Arc<Source>,
}

struct Shared {
    level: AtomicU8,
    lines_per_second: u32,
    queue: Arc<Queue>,
    dropped: Dropped,
    /// Sources somebody speaks for, so that two handles of one name share its limit.
    sources: Mutex<Vec<Arc<Source>>>,
    mirror: RwLock<Option<Mirror>>,
    begin: Instant,
}

struct Source {
    name: Box<str>,
    limit: Mutex<Limit>,
}

/// Lines lost, by reason.
#[derive(Clone, Debug)]
struct Dropped {
    family: Family<Counter>,
    queue_full: Arc<Counter>,
    rate_limited: Arc<Counter>,
    write_failed: Arc<Counter>,
}

impl Logger {
    /// A log on standard error that speaks for the source `weir`.
    ///
    /// # Errors
    /// The writer thread cannot be started.
    pub fn stderr(options: LogOptions) -> io::Result<Self> {
        Self::new(io::stderr(), options)
    }

    /// A log on any sink; each write is given whole lines.
    ///
    /// # Errors
    /// The writer thread cannot be started.
    pub fn new(sink: impl Write + Send + 'static, options: LogOptions) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(options.queue_bytes));
        let dropped = Dropped::new();
        let (thread_queue, lost) = (queue.clone(), dropped.write_failed.clone());
        thread::Builder::new().name("weir-log".into()).spawn(move || {
            priority::give_way();
            thread_queue.drain_into(sink, &lost);
        })?;
        Ok(Self::assemble(queue, dropped, options))
    }

    /// A log that goes nowhere and counts nothing, for tools and tests.
    pub fn discard() -> Self {
        let queue = Arc::new(Queue::new(0));
        queue.close();
        Self::assemble(queue, Dropped::new(), LogOptions::default())
    }

    fn assemble(queue: Arc<Queue>, dropped: Dropped, options: LogOptions) -> Self {
        let shared = Shared {
            level: AtomicU8::new(options.level as u8),
            lines_per_second: options.lines_per_second,
            queue,
            dropped,
            sources: Mutex::default(),
            mirror: RwLock::default(),
            begin: Instant::now(),
        };
        let shared = Arc::new(shared);
        let source = shared.source("weir");
        Self { shared, source }
    }

    /// Registers `weir_log_dropped_total`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), RegistryError> {
        registry.family(&self.shared.dropped.family)
    }

    /// A handle that speaks for another source (`proxy`, `plugin.drift`), with a rate limit of its own.
    #[must_use]
    pub fn source(&self, name: &str) -> Self {
        Self { shared: self.shared.clone(), source: self.shared.source(name) }
    }

    /// Changes the level of every handle.
    pub fn set_level(&self, level: Level) {
        self.shared.level.store(level as u8, Relaxed);
    }

    /// True if lines of this level are written: ask before computing an expensive field.
    pub fn enabled(&self, level: Level) -> bool {
        level as u8 >= self.shared.level.load(Relaxed)
    }

    /// Writes a line of level `error`.
    pub fn error(&self, message: &str, fields: &[(&str, Field<'_>)]) {
        self.log(Level::Error, message, fields);
    }

    /// Writes a line of level `warn`.
    pub fn warn(&self, message: &str, fields: &[(&str, Field<'_>)]) {
        self.log(Level::Warn, message, fields);
    }

    /// Writes a line of level `info`.
    pub fn info(&self, message: &str, fields: &[(&str, Field<'_>)]) {
        self.log(Level::Info, message, fields);
    }

    /// Writes a line of level `debug`.
    pub fn debug(&self, message: &str, fields: &[(&str, Field<'_>)]) {
        self.log(Level::Debug, message, fields);
    }

    /// Writes one line: `ts`, `level`, `source`, `message`, then the fields in order. Field names are the
    /// caller's and must not repeat those four. The first line after some were held back says how many
    /// (`suppressed`).
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, Field<'_>)]) {
        if !self.enabled(level) {
            return;
        }
        let limit = self
            .source
            .limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(self.shared.begin.elapsed());
        let Ok(suppressed) = limit else {
            self.shared.dropped.rate_limited.inc();
            return;
        };
        let mut line = Line::begin(unix_ms());
        line.field("level", Field::Str(level.as_str()));
        line.field("source", Field::Str(&self.source.name));
        line.field("message", Field::Str(message));
        fields.iter().for_each(|(name, value)| line.field(name, *value));
        self.mirrored(|mirror| mirror.line(level, &self.source.name, message, fields));
        if suppressed > 0 {
            line.field("suppressed", Field::U64(suppressed));
        }
        self.push(line, level >= Level::Error);
    }

    /// Writes one line of the access log, whatever the level.
    pub fn access(&self, access: &Access<'_>) {
        self.mirrored(|mirror| mirror.access(access));
        self.push(access.line(), false);
    }

    /// Has every line sent to a collector too, or no longer.
    pub fn set_mirror(&self, mirror: Option<Mirror>) {
        *self.shared.mirror.write().unwrap_or_else(PoisonError::into_inner) = mirror;
    }

    fn mirrored(&self, with: impl FnOnce(&Mirror)) {
        if let Some(mirror) = &*self.shared.mirror.read().unwrap_or_else(PoisonError::into_inner) {
            with(mirror);
        }
    }

    /// Waits until everything logged so far was given to the sink; false if that took longer than `limit`.
    pub fn flush(&self, limit: Duration) -> bool {
        self.shared.queue.flush(limit)
    }

    fn push(&self, line: Line, urgent: bool) {
        if !self.shared.queue.push(&line.end(), urgent) {
            self.shared.dropped.queue_full.inc();
        }
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl Shared {
    fn source(&self, name: &str) -> Arc<Source> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Sources nobody speaks for any more (a plugin that was removed) go when the next one comes.
        sources.retain(|s| Arc::strong_count(s) > 1 || *s.name == *name);
        if let Some(known) = sources.iter().find(|s| *s.name == *name) {
            return known.clone();
        }
        let source =
            Arc::new(Source { name: name.into(), limit: Mutex::new(Limit::new(self.lines_per_second)) });
        sources.push(source.clone());
        source
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Dropped {
    fn new() -> Self {
        let help = "Log lines lost, by reason (queue_full, rate_limited, write_failed).";
        let family = Family::new(Spec::counter("weir_log_dropped_total", help, &["reason"]), Cap::Closed);
        let reason = |name| family.get(&[name]);
        Self {
            queue_full: reason("queue_full"),
            rate_limited: reason("rate_limited"),
            write_failed: reason("write_failed"),
            family,
        }
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

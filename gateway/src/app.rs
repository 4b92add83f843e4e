//! `weir run` and `weir check`: parse, check, build, bind, say what was bound, serve, drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use weir_telemetry::log::{Field, Logger};

use crate::cli::CliError;
use crate::commands::say;
use crate::generation::{Source, files};
use crate::house::{Bound, House, logger};
use crate::running::Running;
use crate::sensitivity;
use crate::watch::{Nudge, Watch};

/// Serves until told to stop.
pub(crate) fn run(config: Option<PathBuf>) -> Result<ExitCode, CliError> {
    let mut running = build(Source::new(config))?;
    say_what_was_bound(&running);
    running.serve();
    let cut = running.drain();
    Ok(if cut == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prepares a generation as `run` would and lets it go.
pub(crate) fn check(config: Option<PathBuf>) -> Result<ExitCode, CliError> {
    let source = Source::new(config);
    let loaded = source.load()?;
    loaded.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let house = House::build(&loaded.config, Logger::discard())?;
    let prepared = house.prepare(loaded, 1)?;
    say(format_args!("{source}: {}", prepared.summary()));
    prepared.orders.plan.notes().iter().for_each(say);
    sensitivity::sheets(&prepared.plugins, &prepared.loaded.config).iter().for_each(say);
    Ok(ExitCode::SUCCESS)
}

/// The gateway with its first generation in force.
fn build(source: Source) -> Result<Running, CliError> {
    // Watched before it is read, so that no change falls between.
    let mut watch = Watch::new();
    watch.files(source.path().map(PathBuf::from));
    let loaded = source.load()?;
    let logger = logger(&loaded.config)?;
    for warning in &loaded.warnings {
        logger.warn("configuration", &[("warning", Field::from(&warning.to_string()))]);
    }
    watch.files(files(&source, &loaded.config));
    let house = House::build(&loaded.config, logger)?;
    let prepared = house.prepare(loaded, 1)?;
    house.start(source, watch, prepared)
}

fn say_what_was_bound(running: &Running) {
    let Bound { traffic, admin, metrics } = running.bound();
    let (traffic, admin) = (traffic.to_string(), admin.to_string());
    let mut fields = vec![("traffic", Field::from(&traffic)), ("admin", Field::from(&admin))];
    let metrics = metrics.map(|address| address.to_string());
    if let Some(metrics) = &metrics {
        fields.push(("metrics", Field::from(metrics)));
    }
    if running.keeps_no_state() {
        running.logger().info("state is kept in memory only (set `gateway.state_dir` to keep it)", &[]);
    }
    running.logger().info("ready", &fields);
    running.logger().flush(Duration::from_secs(1));
}

/// A gateway on a thread of its own, for the demo.
pub(crate) struct Serving {
    bound: Bound,
    nudge: Sender<Nudge>,
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Serving {
    /// Starts a gateway and returns when it serves.
    pub(crate) fn start(config: PathBuf) -> Result<Self, CliError> {
        let mut running = build(Source::File(config))?;
        let (bound, nudge) = (running.bound(), running.nudge());
        let stopped = Arc::new(AtomicBool::new(false));
        let signalled = stopped.clone();
        let serve = move || {
            running.serve();
            signalled.store(true, Relaxed);
            running.drain()
        };
        let thread = std::thread::Builder::new().name("weir-demo-gateway".into()).spawn(serve)?;
        Ok(Self { bound, nudge, stopped, thread })
    }

    pub(crate) fn traffic(&self) -> SocketAddr {
        self.bound.traffic
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.bound.admin
    }

    /// True once a signal told the gateway to end.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Drains it; how many requests were cut off.
    pub(crate) fn stop(self) -> usize {
        // Gone already if a signal came first.
        let _ = self.nudge.send(Nudge::Stop);
        self.thread.join().unwrap_or_default()
    }
}

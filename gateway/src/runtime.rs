//! The runtime beside the request path: ready probes, signals, and the broom for idle series.

use std::io;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use weir_proxy::{Prober, ProxyMetrics, Snapshot};
use weir_telemetry::Registry;
use weir_telemetry::log::{Field, Logger};

use crate::watch::Nudge;

/// How often idle series are looked for; they are dropped after a day.
const SWEEP: Duration = Duration::from_secs(60);

/// One thread for what happens a few times a second at most.
pub(crate) struct Control {
    // Declared first: its tasks end before their runtime does.
    prober: Option<Prober>,
    runtime: Runtime,
}

impl Control {
    /// Starts the runtime and turns signals into nudges: SIGTERM and SIGINT stop, SIGHUP reloads.
    pub(crate) fn start(nudge: &Sender<Nudge>, registry: &Registry) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("weir-control").enable_all().build()?;
        let within = runtime.enter();
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            let (mut signals, nudge) = (signal(kind)?, nudge.clone());
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    let said = if kind == SignalKind::hangup() { Nudge::Asked(None) } else { Nudge::Stop };
                    if nudge.send(said).is_err() {
                        return;
                    }
                }
            });
        }
        let registry = registry.clone();
        runtime.spawn(async move {
            let (began, mut ticks) = (Instant::now(), tokio::time::interval(SWEEP));
            loop {
                ticks.tick().await;
                registry.sweep(began.elapsed());
            }
        });
        drop(within);
        Ok(Self { prober: None, runtime })
    }

    /// Probes the endpoints of this generation from now on, and no others.
    pub(crate) fn probe(&mut self, snapshot: &Snapshot, metrics: &ProxyMetrics, logger: &Logger) {
        let logger = logger.source("prober");
        let changed = move |endpoint: &str, ready: Result<(), &str>| match ready {
            Ok(()) => logger.info("endpoint is ready", &[("endpoint", Field::from(endpoint))]),
            Err(reason) => {
                let fields = [("endpoint", Field::from(endpoint)), ("reason", Field::from(reason))];
                logger.warn("endpoint is not ready", &fields);
            }
        };
        let within = self.runtime.enter();
        self.prober = Some(Prober::start(snapshot, metrics, &changed));
        drop(within);
    }
}

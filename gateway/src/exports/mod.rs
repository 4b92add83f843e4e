//! What Weir sends to others: spans, records of predictions, and what plugins find out. Each is made of the
//! configuration, and goes on as it is over a reload that does not change what it was made from.

mod collector;
mod findings;
mod mirror;
mod records;
mod spans;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_config::{Config, Misfit};
use weir_observe::{KeepRule, KeeperParts, RecordSink, TraceSink};
use weir_telemetry::Registry;
use weir_telemetry::export::ExportMetrics;
use weir_telemetry::log::Logger;

use crate::cli::CliError;
pub(crate) use findings::{Findings, FindingsInForce};
pub(crate) use mirror::Mirror;
pub(crate) use records::Recorder;
pub(crate) use spans::Tracer;

/// Makes exporters, and keeps those in force.
pub(crate) struct Exports {
    metrics: ExportMetrics,
    logger: Logger,
    running: Mutex<Outlets>,
    findings: FindingsInForce,
}

/// The exporters of a generation; `None`: it has none of the kind.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Outlets {
    pub(crate) tracer: Option<Tracer>,
    recorder: Option<Recorder>,
    mirror: Option<Mirror>,
    findings: Option<Findings>,
}

impl Exports {
    pub(crate) fn new(registry: &Registry, logger: &Logger) -> Result<Self, CliError> {
        let metrics = ExportMetrics::new(&["traces", "records", "logs", "events", "findings"]);
        metrics.register(registry)?;
        Ok(Self {
            metrics,
            logger: logger.source("export"),
            running: Mutex::default(),
            findings: FindingsInForce::default(),
        })
    }

    /// The exporters of a configuration. Nothing is connected or opened before there is something to send.
    pub(crate) fn prepare(&self, config: &Config) -> Result<Outlets, Vec<Misfit>> {
        let running = self.kept().clone();
        let tracer = self.tracer(config, running.tracer);
        let recorder = self.recorder(config, running.recorder);
        let mirror = self.mirror(config, running.mirror);
        let findings = self.findings(config, running.findings);
        match (tracer, recorder, mirror, findings) {
            (Ok(tracer), Ok(recorder), Ok(mirror), Ok(findings)) => {
                Ok(Outlets { tracer, recorder, mirror, findings })
            }
            (tracer, recorder, mirror, findings) => {
                let faults = [tracer.err(), recorder.err(), mirror.err(), findings.err()];
                Err(faults.into_iter().flatten().collect())
            }
        }
    }

    /// These are in force; those before send what they have and end. False if they are the same.
    pub(crate) fn keep(&self, outlets: &Outlets) -> bool {
        let before = std::mem::replace(&mut *self.kept(), outlets.clone());
        if before.findings != outlets.findings {
            self.findings.store(outlets.findings.as_ref());
        }
        if before.mirror != outlets.mirror {
            self.logger.set_mirror(outlets.mirror.as_ref().map(Mirror::of_log));
        }
        before != *outlets
    }

    /// Sends what there is, and ends. False if something was left.
    pub(crate) fn finish(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let left = || until.saturating_duration_since(Instant::now());
        let Outlets { tracer, recorder, mirror, findings } = std::mem::take(&mut *self.kept());
        self.logger.set_mirror(None);
        self.findings.store(None);
        let findings = findings.is_none_or(|findings| findings.finish(left()));
        let lines = mirror.is_none_or(|mirror| mirror.finish(left()));
        let spans = tracer.is_none_or(|tracer| tracer.finish(left()));
        recorder.is_none_or(|recorder| recorder.finish(left())) && spans && lines && findings
    }

    /// The verdict log that is in force at any time.
    pub(crate) fn findings_in_force(&self) -> FindingsInForce {
        self.findings.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Outlets> {
        // Nothing under this lock can panic half way.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlets {
    /// What is kept for them.
    pub(crate) fn keeping(&self, config: &Config) -> Option<KeeperParts> {
        let rule = KeepRule { rest: config.tracing.rest, budget: config.tracing.budget };
        let spans = self.tracer.clone().map(|tracer| (rule, Arc::new(tracer) as Arc<dyn TraceSink>));
        let records = self.recorder.clone().map(|recorder| {
            (records::rule(&config.prediction_log), Arc::new(recorder) as Arc<dyn RecordSink>)
        });
        (spans.is_some() || records.is_some()).then_some(KeeperParts { spans, records })
    }
}

fn misfit(table: &str, key: &str, message: String) -> Misfit {
    Misfit { path: vec![table.to_owned(), key.to_owned()], message }
}

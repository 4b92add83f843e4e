//! The verdict log: what plugins find out about models, a JSON line each.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use weir_config::{Config, Misfit, VerdictLog};
use weir_plugin::{Finding, FindingSink};
use weir_telemetry::export::{ExportOptions, Exporter, FileOptions, Lines};

use super::records::durability;
use super::{Exports, misfit};

/// How long a full disk is tried again.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// A file of findings and what it was made from.
#[derive(Clone)]
pub(crate) struct Findings {
    made_from: Arc<VerdictLog>,
    file: Exporter<String>,
}

/// By what they were made from: of equal ones the running one is taken over.
impl PartialEq for Findings {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.made_from, &other.made_from)
    }
}

/// The log in force, for plugins that outlive it.
#[derive(Clone, Default)]
pub(crate) struct FindingsInForce(Arc<ArcSwapOption<Findings>>);

impl FindingsInForce {
    pub(super) fn store(&self, findings: Option<&Findings>) {
        self.0.store(findings.cloned().map(Arc::new));
    }

    /// Takes what plugins find out.
    pub(crate) fn sink(&self) -> FindingSink {
        let it = self.clone();
        Arc::new(move |finding: &Finding| {
            if let (Some(log), Ok(line)) = (&*it.0.load(), serde_json::to_string(finding)) {
                log.file.offer(line);
            }
        })
    }
}

impl Exports {
    /// The log of a configuration; the one in force if nothing of it has changed.
    pub(super) fn findings(
        &self,
        config: &Config,
        running: Option<Findings>,
    ) -> Result<Option<Findings>, Misfit> {
        let log = &config.verdict_log;
        let Some(path) = log.file.clone() else { return Ok(None) };
        if let Some(running) = running.filter(|running| *running.made_from == *log) {
            return Ok(Some(running));
        }
        let (file_bytes, total_bytes) = (log.file_bytes, log.total_bytes);
        let options = FileOptions { path, file_bytes, total_bytes, sync: durability(log.sync) };
        let bounds = ExportOptions { retry_for: RETRY_FOR, ..ExportOptions::default() };
        let lines = Lines::new(options, "findings");
        let file = Exporter::start(lines, bounds, &self.metrics, &self.logger);
        let file = file.map_err(|error| misfit("verdict_log", "file", error.to_string()))?;
        Ok(Some(Findings { made_from: Arc::new(log.clone()), file }))
    }
}

impl Findings {
    pub(super) fn finish(&self, limit: Duration) -> bool {
        self.file.finish(limit)
    }
}

//! Weir's own log on its way to a collector.

use std::sync::Arc;
use std::time::Duration;

use weir_config::{Config, Misfit};
use weir_telemetry::export::proto::logs::v1::LogRecord;
use weir_telemetry::export::{ExportOptions, Exporter, Logs};
use weir_telemetry::log;

use super::collector::Recipe;
use super::{Exports, misfit};

/// An exporter of log lines and what it was made from.
#[derive(Clone)]
pub(crate) struct Mirror {
    recipe: Arc<Recipe>,
    exporter: Exporter<LogRecord>,
}

/// By what they were made from: of equal ones the running one is taken over.
impl PartialEq for Mirror {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.recipe, &other.recipe)
    }
}

impl Exports {
    /// The exporter of a configuration; the one in force if nothing of it has changed.
    pub(super) fn mirror(&self, config: &Config, running: Option<Mirror>) -> Result<Option<Mirror>, Misfit> {
        if !config.log.otlp {
            return Ok(None);
        }
        let Some(recipe) = Recipe::read(config)? else {
            let words = "lines go to the collector of `[tracing]`, which has none (set `tracing.otlp`)";
            return Err(misfit("log", "otlp", words.to_owned()));
        };
        if let Some(running) = running.filter(|running| *running.recipe == recipe) {
            return Ok(Some(running));
        }
        let bounds = ExportOptions { retry_for: recipe.collector.retry_for, ..ExportOptions::default() };
        let client = recipe.client::<Logs>(&self.logger)?;
        let exporter = Exporter::start(client, bounds, &self.metrics, &self.logger);
        let exporter = exporter.map_err(|error| misfit("log", "otlp", error.to_string()))?;
        Ok(Some(Mirror { recipe: Arc::new(recipe), exporter }))
    }
}

impl Mirror {
    /// As the log takes it.
    pub(super) fn of_log(&self) -> log::Mirror {
        log::Mirror::new(self.exporter.clone())
    }

    pub(super) fn finish(&self, limit: Duration) -> bool {
        self.exporter.finish(limit)
    }
}

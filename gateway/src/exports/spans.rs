//! Spans on their way out.

use std::sync::Arc;
use std::time::Duration;

use weir_config::{Config, Misfit};
use weir_exchange::KeptTrace;
use weir_observe::TraceSink;
use weir_telemetry::export::proto::trace::v1::Span;
use weir_telemetry::export::{ExportOptions, Exporter, Traces};
use weir_telemetry::spans;

use super::collector::Recipe;
use super::{Exports, misfit};

/// An exporter of spans and what it was made from.
#[derive(Clone)]
pub(crate) struct Tracer {
    recipe: Arc<Recipe>,
    exporter: Exporter<Span>,
}

/// By what they were made from: of equal ones the running one is taken over.
impl PartialEq for Tracer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.recipe, &other.recipe)
    }
}

impl Exports {
    /// The exporter of a configuration; the one in force if nothing of it has changed.
    pub(super) fn tracer(&self, config: &Config, running: Option<Tracer>) -> Result<Option<Tracer>, Misfit> {
        let Some(recipe) = Recipe::read(config)? else { return Ok(None) };
        if let Some(running) = running.filter(|running| *running.recipe == recipe) {
            return Ok(Some(running));
        }
        let bounds = ExportOptions {
            queue_items: recipe.collector.queue,
            queue_bytes: recipe.collector.queue.saturating_mul(2048),
            retry_for: recipe.collector.retry_for,
            ..ExportOptions::default()
        };
        let client = recipe.client::<Traces>(&self.logger)?;
        let exporter = Exporter::start(client, bounds, &self.metrics, &self.logger);
        let exporter = exporter.map_err(|error| misfit("tracing", "otlp", error.to_string()))?;
        Ok(Some(Tracer { recipe: Arc::new(recipe), exporter }))
    }
}

impl Tracer {
    /// Hands one span over.
    pub(crate) fn offer(&self, span: Span) {
        self.exporter.offer(span);
    }

    pub(super) fn finish(&self, limit: Duration) -> bool {
        self.exporter.finish(limit)
    }
}

impl TraceSink for Tracer {
    fn kept(&self, trace: KeptTrace) {
        spans::spans(&trace).into_iter().for_each(|span| self.offer(span));
    }
}

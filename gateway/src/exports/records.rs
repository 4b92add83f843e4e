//! The prediction log on its way out: to a file, to a collector, to a receiver of events.

use std::sync::Arc;
use std::time::Duration;

use weir_config::{Config, Misfit, PredictionLog, Sync};
use weir_exchange::PredictionRecord;
use weir_observe::{RecordRule, RecordSink};
use weir_telemetry::export::proto::logs::v1::LogRecord;
use weir_telemetry::export::{
    Event, EventKind, Events, ExportOptions, Exporter, FileOptions, Lines, Logs, PostOptions, Transport,
};
use weir_telemetry::{export, records};

use super::collector::Recipe;
use super::{Exports, misfit};

/// The sinks of the prediction log and what they were made from.
#[derive(Clone)]
pub(crate) struct Recorder {
    made_from: Arc<(PredictionLog, Option<Recipe>)>,
    file: Option<Exporter<String>>,
    logs: Option<Exporter<LogRecord>>,
    events: Option<Exporter<Event>>,
}

/// By what they were made from: of equal ones the running one is taken over.
impl PartialEq for Recorder {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.made_from, &other.made_from)
    }
}

/// Which exchanges are recorded.
pub(super) fn rule(log: &PredictionLog) -> RecordRule {
    RecordRule {
        sample: log.sample,
        verdicts: log.verdicts,
        routes: log.routes.clone(),
        rows: log.rows,
        payloads: log.cloudevents.is_some(),
    }
}

impl Exports {
    /// The sinks of a configuration; those in force if nothing of them has changed.
    pub(super) fn recorder(
        &self,
        config: &Config,
        running: Option<Recorder>,
    ) -> Result<Option<Recorder>, Misfit> {
        let log = &config.prediction_log;
        if log.file.is_none() && !log.otlp && log.cloudevents.is_none() {
            return Ok(None);
        }
        let recipe = if log.otlp { Recipe::read(config)? } else { None };
        let made_from = (log.clone(), recipe);
        if let Some(running) = running.filter(|running| *running.made_from == made_from) {
            return Ok(Some(running));
        }
        let file = log.file.as_ref().map(|path| {
            let sync = durability(log.sync);
            let (file_bytes, total_bytes) = (log.file_bytes, log.total_bytes);
            let options = FileOptions { path: path.clone(), file_bytes, total_bytes, sync };
            self.sink("file", Lines::new(options, "records"), bounds(log))
        });
        let logs = made_from
            .1
            .as_ref()
            .map(|recipe| self.sink("otlp", recipe.client::<Logs>(&self.logger)?, bounds(log)));
        let events = log.cloudevents.as_ref().map(|url| {
            let post = PostOptions { headers: log.headers.clone(), ..PostOptions::default() };
            let source = format!("weir://{}", config.gateway.instance);
            let refuse = |fault| misfit("prediction_log", "cloudevents", format!("failed to {fault}"));
            let events = Events::new(url, &source, &post).map_err(refuse)?;
            self.sink("cloudevents", events, ExportOptions { batch_items: 1, ..bounds(log) })
        });
        Ok(Some(Recorder {
            file: file.transpose()?,
            logs: logs.transpose()?,
            events: events.transpose()?,
            made_from: Arc::new(made_from),
        }))
    }

    fn sink<T: Transport>(
        &self,
        key: &str,
        transport: T,
        bounds: ExportOptions,
    ) -> Result<Exporter<T::Item>, Misfit> {
        let started = Exporter::start(transport, bounds, &self.metrics, &self.logger);
        started.map_err(|error| misfit("prediction_log", key, error.to_string()))
    }
}

/// As files take it.
pub(super) fn durability(sync: Sync) -> export::Sync {
    match sync {
        Sync::Never => export::Sync::Never,
        Sync::Close => export::Sync::Close,
        Sync::Batch => export::Sync::Batch,
    }
}

fn bounds(log: &PredictionLog) -> ExportOptions {
    ExportOptions {
        // Bytes alone bound it: a record takes at least so many.
        queue_items: log.queue_bytes / 64,
        queue_bytes: log.queue_bytes,
        retry_for: log.retry_for,
        ..ExportOptions::default()
    }
}

impl Recorder {
    pub(super) fn finish(&self, limit: Duration) -> bool {
        let file = self.file.as_ref().is_none_or(|file| file.finish(limit));
        let logs = self.logs.as_ref().is_none_or(|logs| logs.finish(limit));
        self.events.as_ref().is_none_or(|events| events.finish(limit)) && logs && file
    }

    fn send_events(&self, record: &PredictionRecord) {
        let Some(events) = &self.events else { return };
        let kinds = [EventKind::Request, EventKind::Response];
        for (kind, payload) in kinds.into_iter().zip(&record.payloads) {
            let Some(body) = payload else { continue };
            events.offer(Event {
                kind,
                id: format!("{:032x}-{:016x}", record.trace_id, record.span_id),
                service: record.model.to_string(),
                endpoint: record.route.to_string(),
                unix_ms: record.unix_ns / 1_000_000,
                body: body.clone(),
            });
        }
    }
}

impl RecordSink for Recorder {
    fn record(&self, record: PredictionRecord) {
        self.send_events(&record);
        if let Some(logs) = &self.logs {
            for record in records::log_records(&record) {
                logs.offer(record);
            }
        }
        if let Some(file) = &self.file {
            for line in record.rows {
                file.offer(line);
            }
        }
    }
}

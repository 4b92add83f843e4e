//! Spans on their way out: the exporter a configuration asks for, and what it is given.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use weir_config::{Config, Misfit, Otlp as Collector, OtlpProtocol};
use weir_exchange::KeptTrace;
use weir_observe::TraceSink;
use weir_telemetry::export::proto::trace::v1::Span;
use weir_telemetry::export::{
    ExportMetrics, ExportOptions, Exporter, Identity, Otlp, OtlpOptions, PostOptions, Protocol, Resource,
    ResourceOptions, Traces,
};
use weir_telemetry::log::{Field, Logger};
use weir_telemetry::{Registry, spans};

use crate::cli::CliError;

/// Makes exporters, and keeps the one in force.
pub(crate) struct Tracers {
    metrics: ExportMetrics,
    logger: Logger,
    running: Mutex<Option<Tracer>>,
}

/// An exporter and what it was made from.
#[derive(Clone)]
pub(crate) struct Tracer {
    made_from: Arc<(Collector, Files)>,
    exporter: Exporter<Span>,
}

/// Contents of the files a collector's configuration names.
#[derive(Clone, Debug, Default, PartialEq)]
struct Files {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tracers {
    pub(crate) fn new(registry: &Registry, logger: &Logger) -> Result<Self, CliError> {
        let metrics = ExportMetrics::new(&["traces"]);
        metrics.register(registry)?;
        Ok(Self { metrics, logger: logger.source("tracing"), running: Mutex::default() })
    }

    /// The exporter of a configuration; the one in force if nothing of it has changed. Nothing is connected
    /// before there is a span.
    pub(crate) fn prepare(&self, config: &Config) -> Result<Option<Tracer>, Misfit> {
        let Some(collector) = &config.tracing.otlp else { return Ok(None) };
        let made_from = (collector.clone(), files(collector)?);
        if let Some(running) = self.kept().as_ref().filter(|running| *running.made_from == made_from) {
            return Ok(Some(running.clone()));
        }
        let exporter = self.start(collector, &made_from.1, &config.gateway.instance)?;
        Ok(Some(Tracer { made_from: Arc::new(made_from), exporter }))
    }

    /// This one is in force; the one before sends what it has and ends. False if they are the same.
    pub(crate) fn keep(&self, tracer: Option<Tracer>) -> bool {
        let made_from = |tracer: &Option<Tracer>| tracer.as_ref().map(|t| Arc::as_ptr(&t.made_from));
        let now = made_from(&tracer);
        let before = std::mem::replace(&mut *self.kept(), tracer);
        made_from(&before) != now
    }

    /// Sends what there is, and ends. False if something was left.
    pub(crate) fn finish(&self, limit: Duration) -> bool {
        let running = self.kept().take();
        running.is_none_or(|running| running.exporter.finish(limit))
    }

    fn start(&self, collector: &Collector, files: &Files, instance: &str) -> Result<Exporter<Span>, Misfit> {
        let described = ResourceOptions {
            service_name: (collector.service != "weir").then(|| collector.service.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance_id: Some(instance.to_owned()),
            attributes: collector.resource.clone(),
        };
        let (resource, fault) = Resource::detect(&described, |name| std::env::var(name).ok());
        if let Some(fault) = fault {
            self.logger
                .warn("the environment is not understood", &[("error", Field::from(&fault.to_string()))]);
        }
        let post = PostOptions {
            headers: collector.headers.clone(),
            ca: files.ca.clone(),
            identity: files.identity.clone().map(|(certificate, key)| Identity { certificate, key }),
            timeout: collector.timeout,
            ..PostOptions::default()
        };
        let protocol = match collector.protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::HttpProtobuf => Protocol::Http,
        };
        let options = OtlpOptions { url: collector.url.clone(), protocol, gzip: collector.gzip, post };
        let refuse =
            |why: String| misfit("otlp", format!("spans cannot be sent to `{}`: {why}", collector.url));
        let transport =
            Otlp::<Traces>::new(&options, &resource).map_err(|fault| refuse(fault.to_string()))?;
        let bounds = ExportOptions {
            queue_items: collector.queue,
            retry_for: collector.retry_for,
            ..ExportOptions::default()
        };
        Exporter::start(transport, bounds, &self.metrics, &self.logger)
            .map_err(|error| refuse(error.to_string()))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Tracer>> {
        // Nothing under this lock can panic half way.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracer {
    pub(crate) fn exporter(&self) -> &Exporter<Span> {
        &self.exporter
    }
}

impl TraceSink for Tracer {
    fn kept(&self, trace: KeptTrace) {
        for span in spans::spans(&trace) {
            self.exporter.offer(span);
        }
    }
}

fn files(collector: &Collector) -> Result<Files, Misfit> {
    let read = |key: &str, path: &Path| {
        fs::read(path).map_err(|error| misfit(key, format!("`{}` cannot be read: {error}", path.display())))
    };
    let identity = match &collector.identity {
        Some((certificate, key)) => Some((read("certificate", certificate)?, read("key", key)?)),
        None => None,
    };
    let ca = collector.ca.as_deref().map(|path| read("ca", path)).transpose()?;
    Ok(Files { ca, identity })
}

fn misfit(key: &str, message: String) -> Misfit {
    Misfit { path: vec!["tracing".to_owned(), key.to_owned()], message }
}

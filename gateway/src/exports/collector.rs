//! The collector of `[tracing]`, as every signal that goes there speaks to it.

use std::fs;
use std::path::Path;

use weir_config::{Config, Misfit, Otlp as Collector, OtlpProtocol};
use weir_telemetry::export::{
    Identity, Otlp, OtlpOptions, PostOptions, Protocol, Resource, ResourceOptions, Signal,
};
use weir_telemetry::log::{Field, Logger};

use super::misfit;

/// What a client of the collector is made from: its configuration, and the contents of the files it names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipe {
    pub(super) collector: Collector,
    instance: String,
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Recipe {
    /// `None`: there is no collector.
    pub(super) fn read(config: &Config) -> Result<Option<Self>, Misfit> {
        let Some(collector) = &config.tracing.otlp else { return Ok(None) };
        let read = |key: &str, path: &Path| {
            let words = |error| format!("`{}` cannot be read: {error}", path.display());
            fs::read(path).map_err(|error| misfit("tracing", key, words(error)))
        };
        let identity = match &collector.identity {
            Some((certificate, key)) => Some((read("certificate", certificate)?, read("key", key)?)),
            None => None,
        };
        let ca = collector.ca.as_deref().map(|path| read("ca", path)).transpose()?;
        let instance = config.gateway.instance.clone();
        Ok(Some(Self { collector: collector.clone(), instance, ca, identity }))
    }

    /// A client for one signal.
    pub(super) fn client<S: Signal>(&self, logger: &Logger) -> Result<Otlp<S>, Misfit> {
        let Self { collector, instance, ca, identity } = self;
        let described = ResourceOptions {
            service_name: (collector.service != "weir").then(|| collector.service.clone()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance_id: Some(instance.clone()),
            attributes: collector.resource.clone(),
        };
        let (resource, fault) = Resource::detect(&described, |name| std::env::var(name).ok());
        if let Some(fault) = fault {
            logger.warn("the environment is not understood", &[("error", Field::from(&fault.to_string()))]);
        }
        let post = PostOptions {
            headers: collector.headers.clone(),
            ca: ca.clone(),
            identity: identity.clone().map(|(certificate, key)| Identity { certificate, key }),
            timeout: collector.timeout,
            ..PostOptions::default()
        };
        let protocol = match collector.protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::HttpProtobuf => Protocol::Http,
        };
        let options = OtlpOptions { url: collector.url.clone(), protocol, gzip: collector.gzip, post };
        Otlp::new(&options, &resource).map_err(|fault| {
            let words = format!("nothing can be sent to `{}`: failed to {fault}", collector.url);
            misfit("tracing", "otlp", words)
        })
    }
}

//! The house as it is built once: the registry, the log, the ports, the threads that outlive every
//! generation.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_admin::{Gateway, Options, Pages, Scope, Server};
use weir_config::{Config, Loaded};
use weir_exchange::{Handoff, ShardLimits};
use weir_observe::{Keeper, Line, Metrics as LineMetrics, RecentVerdicts};
use weir_plugin::Coverage;
use weir_proxy::{
    EndpointBook, Listener, Proxy, ProxyMetrics, ProxyParts, RouteIds, TrafficPages, slo_events,
};
use weir_telemetry::log::{Field, Level, LogOptions, Logger};
use weir_telemetry::{ProcessMetrics, Registry, process};

use crate::alerting::{Alerting, Neighbours};
use crate::artifacts::Workshop;
use crate::cli::CliError;
use crate::exports::{Exports, Outlets};
use crate::generation::{Made, Prepared, Refused, Source, What};
use crate::loaded::ModelLoaded;
use crate::reload::ReloadMetrics;
use crate::running::{Running, RunningParts};
use crate::runtime::Control;
use crate::seams::{TrafficPort, Unseen, Verdicts, admin_hosts, line_config};
use crate::status::{Status, StatusParts};
use crate::watch::Watch;

/// Verdicts remembered for the admin API.
const RECENT: usize = 256;

/// What is built once and outlives every generation.
pub(crate) struct House {
    pub(crate) logger: Logger,
    pub(crate) proxy_metrics: ProxyMetrics,
    pub(crate) reloads: ReloadMetrics,
    pub(crate) registry: Registry,
    pub(crate) workshop: Workshop,
    pub(crate) exports: Exports,
    pub(crate) alerting: Alerting,
    line_metrics: LineMetrics,
    ids: RouteIds,
    endpoints: Arc<EndpointBook>,
}

/// The addresses that were bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) traffic: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Option<SocketAddr>,
}

impl House {
    /// Makes the registry, the log and the tools that generations are prepared with.
    pub(crate) fn build(config: &Config, logger: Logger) -> Result<Self, CliError> {
        let registry = Registry::default();
        logger.register(&registry)?;
        registry.source("process", Arc::new(ProcessMetrics::default()));
        registry.family(&process::build_info(env!("CARGO_PKG_VERSION"), env!("WEIR_COMMIT")))?;
        let slo_events = slo_events();
        let line_metrics = LineMetrics::new(&registry, slo_events.clone())?;
        let fates = line_metrics.line.exchanges.clone();
        let alerting = Alerting::new(config, &registry, (&logger, slo_events.clone()))?;
        let exports = Exports::new(&registry, &logger)?;
        let of_plugins = (
            exports.findings_in_force().sink(),
            Arc::new(Unseen(line_metrics.line.clone())) as Arc<dyn Coverage>,
        );
        Ok(Self {
            proxy_metrics: ProxyMetrics::new(&registry, fates, slo_events)?,
            line_metrics,
            reloads: ReloadMetrics::new(&registry)?,
            ids: RouteIds::default(),
            endpoints: Arc::default(),
            workshop: Workshop::new(config, &registry, &logger, of_plugins)?,
            exports,
            alerting,
            registry,
            logger,
        })
    }

    /// Prepares a generation; nothing in force changes. Whatever keeps it from being one is said at once.
    pub(crate) fn prepare(&self, loaded: Loaded, number: u64) -> Result<Prepared, Refused> {
        let models = self.workshop.models(&loaded.config);
        let plugins = self.workshop.plugins(&loaded.config);
        let outlets = self.exports.prepare(&loaded.config);
        // Rules may name what plugins declare: without those there is nothing to check them against.
        let declared = plugins.as_ref().ok().map(|plugins| plugins.set.declared());
        let orders = declared.map(|declared| self.alerting.prepare(&loaded.config, declared, number));
        let (models, plugins, outlets, orders) = match (models, plugins, outlets, orders) {
            (Ok(models), Ok(plugins), Ok(outlets), Some(Ok(orders))) => (models, plugins, outlets, orders),
            (models, plugins, outlets, orders) => {
                let what = match (&models, &plugins) {
                    (Err(_), _) => What::Model,
                    (_, Err(_)) => What::Plugin,
                    _ => What::Config,
                };
                let orders = orders.and_then(Result::err);
                let misfits = [models.err(), orders, plugins.err(), outlets.err()];
                let misfits = misfits.into_iter().flatten().flatten();
                return Err(Refused::new(what, loaded.faults(misfits.collect())));
            }
        };
        let made = Made { models, plugins, outlets, orders };
        Ok(Prepared::assemble(number, loaded, made, (&self.ids, &self.endpoints)))
    }

    /// Binds, starts every thread, and puts the first generation in force.
    pub(crate) fn start(self, source: Source, watch: Watch, prepared: Prepared) -> Result<Running, CliError> {
        let config = &prepared.loaded.config;
        let traffic = Listener::bind(config.gateway.listen, config.gateway.workers)?;
        let limits = ShardLimits { bytes: config.telemetry.shard_bytes, ..ShardLimits::default() };
        let handoffs: Vec<_> = (0..config.gateway.workers).map(|_| Arc::new(Handoff::new(limits))).collect();
        let recent = Arc::new(RecentVerdicts::new(&self.line_metrics.line, RECENT));
        let sink = Arc::new(Verdicts::new(recent.clone(), &self.logger));
        let observed = (handoffs.clone(), self.line_metrics.clone());
        let line = Arc::new(Line::start(line_config(config), observed.0, observed.1, sink, Vec::new())?);
        let status = Arc::new(Status::new(StatusParts {
            snapshot: prepared.snapshot.clone(),
            endpoints: self.endpoints.clone(),
            plugins: self.workshop.host(),
            recent,
            handoffs: handoffs.clone(),
            line: line.clone(),
            alerting: self.alerting.clone(),
            nudge: watch.nudge(),
        }));
        let state_dir = config.gateway.state_dir.as_deref();
        let models = Arc::new(ModelLoaded::new(status.clone(), state_dir, &self.logger));
        self.registry.source("model_loaded", models.clone());
        let pages = Pages::new(status.clone() as Arc<dyn Gateway>, &self.registry)?;
        let (servers, bound) = bind_admin(config, &pages, traffic.address())?;
        self.alerting.meet(Neighbours { plugins: self.workshop.host(), models, admin: bound.admin });
        let traffic_pages = config.gateway.serve_metrics_on_listen.then(|| TrafficPort::shared(pages));
        let proxy = Proxy::start(self.proxy_parts(&prepared, handoffs, &line, traffic_pages), traffic)?;
        let admin = weir_admin::start(servers)?;
        let control = Control::start(&watch.nudge(), &self.registry)?;
        if let Some(trouble) = watch.trouble() {
            self.logger.warn("files are polled, not watched", &[("error", Field::from(&trouble))]);
        }
        let parts = RunningParts { house: self, source, status, proxy, line, admin, bound, control, watch };
        Ok(Running::new(parts, prepared))
    }

    /// Who decides what is kept for others, if anything is.
    pub(crate) fn keeper(&self, config: &Config, outlets: &Outlets) -> Option<Keeper> {
        let parts = outlets.keeping(config)?;
        Some(Keeper::new(parts, &self.line_metrics, self.proxy_metrics.durations()))
    }

    fn proxy_parts(
        &self,
        prepared: &Prepared,
        handoffs: Vec<Arc<Handoff>>,
        line: &Line,
        pages: Option<Arc<dyn TrafficPages>>,
    ) -> ProxyParts {
        ProxyParts {
            snapshot: prepared.snapshot.clone(),
            metrics: self.proxy_metrics.clone(),
            handoffs,
            observe_probability: line.observe_probability(),
            log: self.logger.source("access"),
            pages,
        }
    }
}

/// The log on standard error, at the level the configuration asks for.
pub(crate) fn logger(config: &Config) -> Result<Logger, CliError> {
    Ok(Logger::stderr(LogOptions { level: level(config), ..LogOptions::default() })?)
}

/// The level the configuration asks for.
pub(crate) fn level(config: &Config) -> Level {
    Level::parse(config.log.level.as_str()).unwrap_or(Level::Info)
}

/// Binds the admin address, and the one for metrics alone if there is one.
fn bind_admin(config: &Config, pages: &Pages, traffic: SocketAddr) -> Result<(Vec<Server>, Bound), CliError> {
    let bind = |key: &str, address: SocketAddr, scope: Scope| {
        let token = config.gateway.admin_token.clone();
        let options = Options { scope, token, hosts: admin_hosts(config), ..Options::default() };
        Server::bind(address, pages, &options)
            .map_err(|error| format!("bind `gateway.{key}` = `{address}`: {error} (is it in use?)"))
    };
    let admin = bind("admin", config.gateway.admin, Scope::Admin)?;
    let metrics =
        config.gateway.metrics.map(|address| bind("metrics", address, Scope::Metrics)).transpose()?;
    let bound = Bound {
        traffic,
        admin: admin.address()?,
        metrics: metrics.as_ref().map(Server::address).transpose()?,
    };
    Ok(([admin].into_iter().chain(metrics).collect(), bound))
}

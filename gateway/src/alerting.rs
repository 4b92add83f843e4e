//! Rules, objectives and receivers: made of the configuration, and at work over all generations.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use weir_alert::delivery::{AlertmanagerOptions, DeliveryMetrics, ReceiverFault, Receivers, WebhookOptions};
use weir_alert::{
    AlertMetrics, Alerts, Catalogue, Common, DeclaredCondition, Fingerprint, Orders, Plan, ServiceParts,
};
use weir_config::{Config, Misfit};
use weir_exchange::status::{AlertBrief, ObjectiveBrief, PluginStatus};
use weir_plugin::{Declaration, Host};
use weir_telemetry::export::PostOptions;
use weir_telemetry::log::{Field, Logger};
use weir_telemetry::{Counter, Family, Registry};

use crate::cli::CliError;
use crate::loaded::{ModelLoaded, model_loaded};

/// Alerting of the house. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Alerting(Arc<Inner>);

struct Inner {
    registry: Registry,
    metrics: AlertMetrics,
    delivery_metrics: DeliveryMetrics,
    events: Family<Counter>,
    logger: Logger,
    state_dir: Option<std::path::PathBuf>,
    /// Whom it depends on, once they are there.
    neighbours: OnceLock<Neighbours>,
    running: Mutex<Option<Alerts>>,
}

/// Whom alerting depends on while the gateway runs.
pub(crate) struct Neighbours {
    /// They know their conditions.
    pub(crate) plugins: Host,
    pub(crate) models: Arc<ModelLoaded>,
    /// Where the admin pages are.
    pub(crate) admin: SocketAddr,
}

impl Alerting {
    /// `events`: the counters of objectives, shared with those who count.
    pub(crate) fn new(
        config: &Config,
        registry: &Registry,
        (logger, events): (&Logger, Family<Counter>),
    ) -> Result<Self, CliError> {
        let delivery_metrics = DeliveryMetrics::default();
        delivery_metrics.register(registry)?;
        Ok(Self(Arc::new(Inner {
            metrics: AlertMetrics::new(registry)?,
            delivery_metrics,
            events,
            registry: registry.clone(),
            logger: logger.source("alerts"),
            state_dir: config.gateway.state_dir.clone(),
            neighbours: OnceLock::new(),
            running: Mutex::default(),
        })))
    }

    /// Depends on these from now on.
    pub(crate) fn meet(&self, neighbours: Neighbours) {
        // There is one of each a house.
        let _ = self.0.neighbours.set(neighbours);
    }

    /// Checks rules, objectives and receivers of a configuration; nothing in force changes.
    pub(crate) fn prepare(
        &self,
        config: &Config,
        declared: Declaration,
        generation: u64,
    ) -> Result<Orders, Vec<Misfit>> {
        let plan = Plan::new(config, &self.catalogue(declared));
        let receivers = receivers(config).and_then(|all| all.prepare().map_err(|faults| misfits(&faults)));
        match (plan, receivers) {
            (Ok(plan), Ok(receivers)) => Ok(Orders { plan, common: common(config), receivers, generation }),
            (plan, receivers) => Err([plan.err(), receivers.err()].into_iter().flatten().flatten().collect()),
        }
    }

    /// Everything that rules may name.
    pub(crate) fn catalogue(&self, declared: Declaration) -> Catalogue {
        let mine = self.0.registry.gather().into_iter().map(|points| points.spec);
        let conditions = declared.conditions.into_iter();
        let conditions = conditions.map(|[plugin, name, gauge]| DeclaredCondition { plugin, name, gauge });
        // Plugins first: one that is about to be replaced may still be registered with another shape.
        let specs = declared.specs.into_iter().chain(mine).chain([model_loaded()]);
        Catalogue::new(specs, conditions.collect())
    }

    /// These are in force.
    pub(crate) fn put_in_force(&self, mut orders: Orders) {
        // What was bound, which may be another port than was asked for.
        if let (None, Some(neighbours)) = (&orders.common.alerting.external_url, self.0.neighbours.get()) {
            orders.common.address = format!("http://{}", neighbours.admin);
        }
        // Not under the lock: pages are asked for meanwhile.
        let running = self.running().clone();
        if let Some(alerts) = running {
            alerts.replace(orders);
            return;
        }
        match Alerts::start(self.parts(), orders) {
            Ok(alerts) => *self.running() = Some(alerts),
            Err(error) => {
                let error = error.to_string();
                let fields = [("error", Field::from(&error))];
                self.0.logger.error("rules are not evaluated: no thread to be had", &fields);
            }
        }
    }

    fn parts(&self) -> ServiceParts {
        let (house, beside) = (self.clone(), self.clone());
        let conditions = move || {
            let of = |status: PluginStatus| {
                let key = status.key;
                status.conditions.into_iter().map(move |condition| (key.clone(), condition))
            };
            let plugins = house.0.neighbours.get().map(|neighbours| neighbours.plugins.status());
            plugins.into_iter().flatten().flat_map(of).collect()
        };
        let evaluated = move || {
            if let Some(neighbours) = beside.0.neighbours.get() {
                neighbours.models.remember();
            }
        };
        let Inner { registry, metrics, delivery_metrics, events, logger, state_dir, .. } = &*self.0;
        ServiceParts {
            registry: registry.clone(),
            metrics: metrics.clone(),
            delivery_metrics: delivery_metrics.clone(),
            events: events.clone(),
            conditions: Box::new(conditions),
            evaluated: Box::new(evaluated),
            logger: logger.clone(),
            state_dir: state_dir.clone(),
        }
    }

    /// As `/api/alerts` shows it.
    pub(crate) fn status(&self) -> Value {
        self.running().as_ref().map_or_else(|| json!({}), |alerts| json!(*alerts.status()))
    }

    /// Rules and alerts, a line each.
    pub(crate) fn briefs(&self) -> Vec<AlertBrief> {
        self.running().as_ref().map(Alerts::briefs).unwrap_or_default()
    }

    /// Objectives, a line each.
    pub(crate) fn objectives(&self) -> Vec<ObjectiveBrief> {
        self.running().as_ref().map(Alerts::objectives).unwrap_or_default()
    }

    /// As `/api/alerts/FINGERPRINT` shows it.
    pub(crate) fn evidence(&self, fingerprint: &str) -> Option<Value> {
        let fingerprint = u64::from_str_radix(fingerprint, 16).ok().map(Fingerprint)?;
        Some(json!(self.running().as_ref()?.evidence(fingerprint)?))
    }

    /// Stores and tells what is left. False if somebody could not be told.
    pub(crate) fn finish(&self, limit: Duration) -> bool {
        let running = self.running().clone();
        running.is_none_or(|alerts| alerts.finish(limit))
    }

    fn running(&self) -> MutexGuard<'_, Option<Alerts>> {
        // Nothing under this lock can panic half way.
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn common(config: &Config) -> Common {
    let admin = || format!("http://{}", config.gateway.admin);
    Common {
        alerting: config.alerting.clone(),
        instance: config.gateway.instance.clone(),
        address: config.alerting.external_url.clone().unwrap_or_else(admin),
        durable: config.gateway.state_dir.is_some(),
    }
}

/// Who is told, as the configuration names them.
pub(crate) fn receivers(config: &Config) -> Result<Receivers, Vec<Misfit>> {
    let alerting = &config.alerting;
    let ca = match &alerting.ca {
        Some(path) => Some(fs::read(path).map_err(|error| {
            vec![misfit(&["ca"], format!("`{}` cannot be read: {error}", path.display()))]
        })?),
        None => None,
    };
    let post = |headers: &[(String, String)], timeout: Duration| PostOptions {
        headers: headers.to_vec(),
        ca: ca.clone(),
        timeout,
        ..PostOptions::default()
    };
    let alertmanagers = alerting
        .alertmanagers
        .iter()
        .map(|url| AlertmanagerOptions { url: url.clone(), post: post(&alerting.headers, alerting.timeout) });
    let webhooks = alerting.webhooks.iter().map(|hook| WebhookOptions {
        name: hook.name.clone(),
        url: hook.url.clone(),
        secret: hook.secret.clone(),
        post: post(&hook.headers, hook.timeout),
    });
    Ok(Receivers {
        alertmanagers: alertmanagers.collect(),
        webhooks: webhooks.collect(),
        resend: alerting.resend,
        group_wait: alerting.group_wait,
        evaluation: alerting.interval,
        external_url: common(config).address,
        ..Receivers::default()
    })
}

fn misfits(faults: &[ReceiverFault]) -> Vec<Misfit> {
    let one = |fault: &ReceiverFault| {
        let path: Vec<String> = match fault {
            ReceiverFault::Alertmanager { number, .. } => {
                vec!["alertmanagers".into(), (number - 1).to_string()]
            }
            ReceiverFault::Webhook { name, .. } => vec!["webhook".into(), name.clone(), "url".into()],
            ReceiverFault::Twice { .. } => Vec::new(),
        };
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        misfit(&path, format!("nobody can be told: failed to {fault}"))
    };
    faults.iter().map(one).collect()
}

fn misfit(path: &[&str], message: String) -> Misfit {
    let path = std::iter::once("alerting").chain(path.iter().copied());
    Misfit { path: path.map(str::to_owned).collect(), message }
}

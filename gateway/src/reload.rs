//! What reloads came to, counted: `weir_reload_total{what,outcome}`.

use weir_admin::ReloadOutcome;
use weir_telemetry::{Cap, Counter, Family, Gauge, Registry, RegistryError, Spec};

use crate::generation::What;

/// Metrics of the house itself.
pub(crate) struct ReloadMetrics {
    reloads: Family<Counter>,
    generation: Family<Gauge>,
    hash: Family<Gauge>,
}

impl ReloadMetrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, RegistryError> {
        let gauge = |name, help| Family::new(Spec::gauge(name, help, &[]), Cap::Closed);
        let metrics = Self {
            reloads: Family::new(
                Spec::counter(
                    "weir_reload_total",
                    "Reloads of the configuration, of plugins and of models, by outcome.",
                    &["what", "outcome"],
                ),
                Cap::Closed,
            ),
            generation: gauge("weir_generation", "Number of the configuration in force."),
            hash: gauge(
                "weir_config_hash",
                "First 48 bits of the configuration's SHA-256, to compare replicas.",
            ),
        };
        for what in What::ALL {
            for outcome in ReloadOutcome::ALL {
                metrics.reloads.get(&[what.as_str(), outcome.as_str()]);
            }
        }
        registry.family(&metrics.reloads)?;
        registry.family(&metrics.generation)?;
        registry.family(&metrics.hash)?;
        Ok(metrics)
    }

    pub(crate) fn count(&self, what: What, outcome: ReloadOutcome) {
        self.reloads.get(&[what.as_str(), outcome.as_str()]).inc();
    }

    pub(crate) fn in_force(&self, generation: u64, hash: u64) {
        self.generation.get(&[]).set(generation as f64);
        self.hash.get(&[]).set(hash as f64);
    }
}

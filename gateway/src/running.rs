//! The house while it is lived in: generations put in force, reloads, and the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use weir_admin::{ReloadOutcome, Reloaded};
use weir_config::Loaded;
use weir_observe::{Judge, Line};
use weir_proxy::Proxy;
use weir_telemetry::log::{Field, Logger};

use crate::generation::{Fingerprint, Prepared, Refused, Source, What, files, refuse_fixed};
use crate::house::{Bound, House, level};
use crate::runtime::Control;
use crate::seams::PluginSeat;
use crate::status::Status;
use crate::watch::{Noticed, Nudge, Watch};

/// What judges get to see what is queued to them at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What collectors and files get to take what is left.
const LAST_EXPORTS: Duration = Duration::from_secs(5);
/// What the log gets to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Everything that runs.
pub(crate) struct RunningParts {
    pub(crate) house: House,
    pub(crate) source: Source,
    pub(crate) status: Arc<Status>,
    pub(crate) proxy: Proxy,
    pub(crate) line: Arc<Line>,
    pub(crate) admin: weir_admin::Running,
    pub(crate) bound: Bound,
    pub(crate) control: Control,
    pub(crate) watch: Watch,
}

/// The gateway at work.
pub(crate) struct Running {
    parts: RunningParts,
    in_force: InForce,
}

/// The generation to come, and what differs in it.
type Next = (Box<Prepared>, Vec<What>);

/// The generation that answers now.
struct InForce {
    number: u64,
    loaded: Loaded,
    fingerprint: Fingerprint,
}

impl Running {
    /// Puts the first generation in force.
    pub(crate) fn new(mut parts: RunningParts, prepared: Prepared) -> Self {
        let in_force = put_in_force(&mut parts, prepared, None);
        Self { parts, in_force }
    }

    pub(crate) fn bound(&self) -> Bound {
        self.parts.bound
    }

    /// For those who want a reload, or the end.
    pub(crate) fn nudge(&self) -> Sender<Nudge> {
        self.parts.watch.nudge()
    }

    /// Whether compiled plugins and state end with the process.
    pub(crate) fn keeps_no_state(&self) -> bool {
        self.in_force.loaded.config.gateway.state_dir.is_none()
    }

    pub(crate) fn logger(&self) -> &Logger {
        &self.parts.house.logger
    }

    /// Reloads when files change or somebody asks, until told to stop.
    pub(crate) fn serve(&mut self) {
        loop {
            match self.parts.watch.wait() {
                Noticed::Stop => return,
                Noticed::Changed => drop(self.reload()),
                Noticed::Asked(answer) => {
                    let outcome = self.reload().map_err(|refused| refused.to_string());
                    if let Some(answer) = answer {
                        // Whoever asked may have lost patience.
                        let _ = answer.try_send(outcome);
                    }
                }
            }
        }
    }

    /// Reads, checks and prepares; then swaps, or says why not.
    fn reload(&mut self) -> Result<Reloaded, Refused> {
        let began = Instant::now();
        let prepared = self.prepare();
        let house = &self.parts.house;
        match prepared {
            Ok(None) => {
                house.reloads.count(What::Config, ReloadOutcome::Unchanged);
                self.parts.status.reloaded(What::Config, ReloadOutcome::Unchanged, None);
                house.logger.info("reload: nothing has changed", &[]);
                Ok(Reloaded::Unchanged)
            }
            Ok(Some((prepared, changed))) => {
                for what in &changed {
                    house.reloads.count(*what, ReloadOutcome::Applied);
                }
                let main = changed.first().copied().unwrap_or(What::Config);
                self.parts.status.reloaded(main, ReloadOutcome::Applied, None);
                self.in_force = put_in_force(&mut self.parts, *prepared, Some(&self.in_force));
                self.say_applied(&changed, began.elapsed());
                Ok(Reloaded::Applied)
            }
            Err(refused) => {
                house.reloads.count(refused.what, ReloadOutcome::Refused);
                self.parts.status.reloaded(refused.what, ReloadOutcome::Refused, Some(&refused));
                let (what, error) = (refused.what.as_str(), refused.to_string());
                let generation = Field::U64(self.in_force.number);
                let fields =
                    [("what", Field::from(what)), ("generation", generation), ("error", Field::from(&error))];
                house.logger.error("reload refused, the old generation goes on", &fields);
                Err(refused)
            }
        }
    }

    /// The next generation and what differs in it; nothing if nothing differs.
    fn prepare(&mut self) -> Result<Option<Next>, Refused> {
        let loaded = self.parts.source.load().map_err(|faults| Refused::new(What::Config, faults))?;
        refuse_fixed(&self.in_force.loaded.config, &loaded.config)?;
        // Watched before they are read: what changes from here on is noticed. A refused generation's files
        // stay watched too, since one of them is what has to be mended.
        let of_both = self.files_in_force().into_iter().chain(files(&self.parts.source, &loaded.config));
        self.parts.watch.files(of_both);
        let prepared = self.parts.house.prepare(loaded, self.in_force.number + 1)?;
        let changed = self.changed(&prepared);
        Ok((!changed.is_empty()).then(|| (Box::new(prepared), changed)))
    }

    fn changed(&self, prepared: &Prepared) -> Vec<What> {
        let (old, new) = (&self.in_force.fingerprint, &prepared.fingerprint);
        let config = self.in_force.loaded.config != prepared.loaded.config
            || self.in_force.loaded.source_digest != prepared.loaded.source_digest;
        [
            (What::Config, config),
            (What::Plugin, old.plugins != new.plugins),
            (What::Model, old.models != new.models),
        ]
        .into_iter()
        .filter_map(|(what, changed)| changed.then_some(what))
        .collect()
    }

    fn files_in_force(&self) -> Vec<PathBuf> {
        files(&self.parts.source, &self.in_force.loaded.config)
    }

    fn say_applied(&self, changed: &[What], took: Duration) {
        let what: Vec<&str> = changed.iter().map(|what| what.as_str()).collect();
        let what = what.join(", ");
        let fields = [
            ("what", Field::from(&what)),
            ("generation", Field::U64(self.in_force.number)),
            ("took_ms", Field::F64(took.as_secs_f64() * 1e3)),
        ];
        self.logger().info("reload applied", &fields);
    }

    /// `/ready` says no, the listener closes, requests end, and everything observed is judged. How many were
    /// cut off.
    pub(crate) fn drain(self) -> usize {
        let Self { parts, in_force } = self;
        let gateway = &in_force.loaded.config.gateway;
        let logger = parts.house.logger.clone();
        let timeout = gateway.drain_timeout.as_secs_f64();
        logger.info("draining", &[("timeout_seconds", Field::F64(timeout))]);
        parts.status.drains();
        let deadline = Instant::now() + gateway.drain_delay;
        // A parked thread may wake for no reason.
        while let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            std::thread::park_timeout(left);
        }
        let cut = parts.proxy.drain(gateway.drain_timeout);
        if !parts.line.shut_down(LAST_WORDS) {
            logger.warn("a judge did not end in time, its last batches are lost", &[]);
        }
        if !parts.house.alerting.finish(LAST_EXPORTS) {
            logger.warn(
                "not everybody could be told of every alert (state_dir keeps it for the next start)",
                &[],
            );
        }
        if !parts.house.exports.finish(LAST_EXPORTS) {
            logger.warn("not everything was exported in time (weir_export_items_total counts it)", &[]);
        }
        parts.admin.stop();
        drop(parts.control);
        logger.info("stopped", &[("requests_cut_off", Field::from(cut))]);
        logger.flush(LAST_LINES);
        cut
    }
}

/// Stores that cannot fail: after this the new generation answers. Only at the start may the system refuse
/// the thread of alerts, which is said.
fn put_in_force(parts: &mut RunningParts, prepared: Prepared, before: Option<&InForce>) -> InForce {
    let Prepared { number, loaded, snapshot, models, plugins, outlets, orders, fingerprint } = prepared;
    let house = &parts.house;
    let routes: Vec<_> = snapshot.observed().cloned().map(Arc::new).collect();
    parts.line.declare(&routes);
    let change = plugins.commit();
    let keep: Vec<&str> = change.keep.iter().map(|key| &**key).collect();
    let new = change.new.into_iter().map(|judge| Box::new(PluginSeat(judge)) as Box<dyn Judge>).collect();
    parts.line.change_judges(&keep, new);
    models.announce(outlets.tracer.as_ref());
    let other = house.exports.keep(&outlets);
    // The old one is kept as long as nothing of it changes: it has learnt from the traffic.
    let differs = |before: &InForce| {
        let (old, new) = (&before.loaded.config, &loaded.config);
        old.tracing != new.tracing || old.prediction_log != new.prediction_log
    };
    if other || before.is_none_or(differs) {
        parts.line.set_keeper(house.keeper(&loaded.config, &outlets));
    }
    parts.proxy.publish(snapshot.clone());
    house.alerting.put_in_force(orders);
    parts.status.in_force(snapshot.clone(), &loaded);
    house.reloads.in_force(number, loaded.hash());
    house.logger.set_level(level(&loaded.config));
    parts.control.probe(&snapshot, &house.proxy_metrics, &house.logger);
    house.workshop.keep(models);
    parts.watch.files(files(&parts.source, &loaded.config));
    InForce { number, loaded, fingerprint }
}

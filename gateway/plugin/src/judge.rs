//! A plugin at work: one instance at a time, replaced after a fault, held to its share, put aside when it
//! keeps failing.

mod life;
mod tallies;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_exchange::status::PluginState;
use weir_exchange::{Batch, Schema, SchemaId, Verdict};
use weir_telemetry::log::{Field, Logger};

use crate::apply::{Applied, Applier, Scratch};
use crate::bindings::exports::weir::plugin::snapshot;
use crate::bindings::weir::plugin::types;
use crate::breaker::Breaker;
use crate::context::Gate;
use crate::engine::Watchdog;
use crate::exports::Exports;
use crate::fault::Fault;
use crate::findings::Findings;
use crate::instance::{Instance, Surroundings};
use crate::meter::Meter;
use crate::metrics::Lost;
use crate::prepared::Prepared;
use crate::share::Share;
use crate::slot::{Left, Slot};
use crate::state::{State, StateLimits};
use crate::tally::{Coverage, Keep, choose};
use crate::view::{self, View};

/// How often a plugin is asked what it wants kept.
const SAVE_EVERY_NS: u64 = 10_000_000_000;

/// How often windows that have run empty are dropped.
const SWEEP_EVERY_NS: u64 = 60_000_000_000;

/// A plugin as a judge of batches. It lives on a thread of its own, which is where the judge of the same key
/// before it must have been dropped: it takes over what that one left.
pub struct PluginJudge {
    prepared: Arc<Prepared>,
    slot: Arc<Slot>,
    /// `None` for a judge whose metrics nobody sees: a bench.
    exports: Option<Arc<Exports>>,
    around: Surroundings,
    logger: Logger,
    /// Whether what the judge before left was taken over.
    begun: bool,
    state: Box<State>,
    instance: Option<Instance>,
    live: BTreeMap<SchemaId, Live>,
    saved: Option<snapshot::State>,
    breaker: Breaker,
    share: Share,
    meter: Meter,
    /// Exchanges lost since the last batch that was judged.
    missed: u64,
    tick_due: Option<u64>,
    save_due: Option<u64>,
    sweep_due: u64,
    coverage: Option<Arc<dyn Coverage>>,
    keep: Option<Keep>,
    /// When tallies are written, if anything was counted.
    keep_due: Option<u64>,
    packed: types::Batch,
    scratch: Scratch,
}

/// A schema that may come again.
struct Live {
    schema: Arc<Schema>,
    /// What the instance knows of it; `None` if nothing.
    view: Option<View>,
}

/// What a judge is made with.
pub(crate) struct Seat {
    pub(crate) slot: Arc<Slot>,
    pub(crate) exports: Option<Arc<Exports>>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) logger: Logger,
    /// Share of a core.
    pub(crate) cpu: f64,
    pub(crate) findings: Findings,
    pub(crate) coverage: Option<Arc<dyn Coverage>>,
    /// Where tallies are kept over a restart, if anywhere.
    pub(crate) keep: Option<Keep>,
}

impl PluginJudge {
    pub(crate) fn new(prepared: Arc<Prepared>, seat: Seat) -> Self {
        let Seat { slot, exports, watchdog, logger, cpu, findings, coverage, keep } = seat;
        let limits = prepared.spec.limits;
        let around = Surroundings {
            key: prepared.spec.key.clone(),
            limits,
            watchdog,
            log: Gate::new(logger.clone(), limits.log_lines),
            cells: slot.cells.clone(),
            profiles: prepared.spec.profiles.as_slice().into(),
            findings,
        };
        Self {
            prepared,
            slot,
            exports,
            around,
            logger,
            begun: false,
            state: Box::default(),
            instance: None,
            live: BTreeMap::new(),
            saved: None,
            breaker: Breaker::new(),
            share: Share::new(cpu),
            meter: Meter::default(),
            missed: 0,
            tick_due: None,
            save_due: None,
            sweep_due: 0,
            coverage,
            keep,
            keep_due: None,
            packed: view::empty_batch(),
            scratch: Scratch::default(),
        }
    }

    /// Its key in the configuration.
    pub fn key(&self) -> &str {
        &self.prepared.spec.key
    }

    /// Routes whose batches it gets; `None`: all.
    pub fn routes(&self) -> Option<Vec<Arc<str>>> {
        self.prepared.spec.routes.clone()
    }

    /// How often the plugin wants a tick; 0 for never.
    pub(crate) fn tick_ns(&self) -> u64 {
        self.prepared.plan.tick_ns
    }

    /// Judges a batch. What is lost is counted; nothing fails.
    pub fn observe(&mut self, batch: &Batch, now_unix_ns: u64) -> Vec<Verdict> {
        self.begin(now_unix_ns);
        self.follow_clock(now_unix_ns);
        self.remember(&batch.schema);
        // Whatever becomes of the call.
        self.tally(batch, now_unix_ns, false);
        let lost = if !self.breaker.admits(now_unix_ns) {
            Some(Lost::Quarantine)
        } else if !self.share.admits(now_unix_ns) {
            Some(Lost::Cpu)
        } else {
            None
        };
        if let Some(reason) = lost {
            self.lose(reason, batch);
            return Vec::new();
        }
        let began = Instant::now();
        let judged = self.judge(batch, now_unix_ns);
        let took = self.spent(began);
        self.slot.cells.duration.observe_local(took.as_secs_f64());
        self.tally(batch, now_unix_ns, true);
        match judged {
            Ok(applied) => {
                self.missed = 0;
                self.slot.cells.batches.bump(1);
                self.slot.cells.rows.bump(batch.rows as u64);
                self.went_well();
                self.announce(&applied);
                applied.verdicts
            }
            Err(fault) => {
                self.lose(Lost::Fault, batch);
                self.failed(&fault, now_unix_ns);
                Vec::new()
            }
        }
    }

    /// When [`PluginJudge::tick`] is wanted.
    pub fn next_tick(&self) -> Option<u64> {
        if !self.begun {
            // At once, to take over and be ready before the first batch.
            return Some(0);
        }
        let wait = self.share.wait_ns();
        let tick = self.tick_due.map(|due| due.saturating_add(wait));
        let save = if self.instance.is_some() { self.save_due } else { None };
        let window = self.slot.tallies.lock().due();
        [tick, save, window, self.keep_due, Some(self.sweep_due)].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        self.begin(now);
        self.follow_clock(now);
        self.close_windows(now);
        if now >= self.sweep_due {
            self.sweep(now);
        }
        if self.save_due.is_some_and(|due| now >= due) {
            self.save(now);
        }
        if self.tick_due.is_some_and(|due| now >= due) && self.share.admits(now) {
            // From now on, not from when it was due: a plugin that was behind is not called in a row.
            self.tick_due = Some(now.saturating_add(self.prepared.plan.tick_ns));
            if self.breaker.admits(now) {
                self.tick_plugin(now);
            }
        }
    }

    /// Brings back what a clock that was ahead has put off: nothing is due later than its period from now.
    fn follow_clock(&mut self, now: u64) {
        self.set_back_tallies(now);
        let soon = |due: u64, period: u64| due.min(now.saturating_add(period));
        let tick_ns = self.prepared.plan.tick_ns;
        self.tick_due = self.tick_due.map(|due| soon(due, tick_ns));
        self.save_due = self.save_due.map(|due| soon(due, SAVE_EVERY_NS));
        self.sweep_due = soon(self.sweep_due, SWEEP_EVERY_NS);
        self.keep_due = self.keep_due.map(|due| soon(due, tallies::KEEP_EVERY_NS));
    }

    /// A schema will not come again.
    pub fn forget(&mut self, schema: SchemaId) {
        self.slot.tallies.lock().forget(schema);
        let Some(Live { view, .. }) = self.live.remove(&schema) else { return };
        if let (Some(instance), Some(_)) = (&mut self.instance, view) {
            let now = instance.context().now_ns;
            let call = self.around.limits.call("retire", 0, now);
            let began = Instant::now();
            let retired = instance.retire(call, &mut self.state, schema.0);
            self.spent(began);
            if let Err(fault) = retired {
                self.failed(&fault, now);
            }
        }
        // At the next tick its windows and conditions go, if no other schema is of its model.
        self.sweep_due = 0;
    }

    /// Takes over what the judge before left.
    fn begin(&mut self, now: u64) {
        if self.begun {
            return;
        }
        self.begun = true;
        let Left { state, saved, schemas, missed } = self.slot.take().unwrap_or_else(|| self.first());
        let limits = &self.around.limits;
        let bounds = StateLimits { series: limits.series, windows: limits.memory };
        let plan = self.prepared.plan.clone();
        *self.state = state.redeclared(&self.prepared.spec.key, &plan, (bounds, now), &self.slot.cells);
        if let Some(exports) = &self.exports {
            self.state.families.iter().for_each(|family| exports.attach(&self.prepared.spec.key, family));
        }
        self.slot.keep_reasons(&plan.reasons);
        self.slot.set_state(PluginState::Running);
        self.saved = saved;
        self.missed = missed;
        schemas.iter().for_each(|schema| self.remember(schema));
        self.tick_due = (plan.tick_ns > 0).then(|| now.saturating_add(plan.tick_ns));
        self.sweep_due = now.saturating_add(SWEEP_EVERY_NS);
        if let Err(fault) = self.instance(now) {
            self.failed(&fault, now);
        }
    }

    /// The newest form of every schema is kept, so that a new instance can be told.
    fn remember(&mut self, schema: &Arc<Schema>) {
        match self.live.get_mut(&schema.id) {
            Some(live) if live.schema.version < schema.version => live.schema = schema.clone(),
            Some(_) => {}
            None => {
                self.look_for_profile(schema);
                self.live.insert(schema.id, Live { schema: schema.clone(), view: None });
            }
        }
    }

    /// Says of a model that is new here if none of the profiles is for it, which is else seen in the state of
    /// a plugin alone.
    fn look_for_profile(&self, schema: &Schema) {
        let (model, profiles) = (view::model(schema), &self.around.profiles);
        let known = self.live.values().any(|live| view::model(&live.schema) == model);
        if known || profiles.is_empty() || choose(profiles, &model).is_some() {
            return;
        }
        let of = profiles.iter().filter_map(|profile| profile.model.as_ref());
        let of: Vec<String> = of.map(ToString::to_string).collect();
        let [route, name, version] = &model;
        let fields = [
            ("plugin", Field::Str(&self.prepared.spec.key)),
            ("route", Field::Str(route)),
            ("model", Field::Str(name)),
            ("model_version", Field::Str(version)),
            ("profiles_of", Field::Str(&of.join(", "))),
        ];
        self.logger
            .warn("no profile of a plugin is for this model, so that nothing is judged by one", &fields);
    }

    fn judge(&mut self, batch: &Batch, now: u64) -> Result<Applied, Fault> {
        self.instance(now)?;
        self.teach(batch.schema.id, now)?;
        let Self { instance, live, packed, state, .. } = self;
        let (Some(instance), Some(Live { view: Some(view), .. })) = (instance, live.get(&batch.schema.id))
        else {
            return Ok(Applied::default());
        };
        view.pack(batch, packed);
        packed.missed = self.missed;
        let call = self.around.limits.call("observe", batch.rows, batch.closed_unix_ns);
        let outcome = instance.run(call, state, |plugin, store| plugin.call_observe(store, packed))?;
        let applier = Applier {
            plan: &self.prepared.plan,
            handles: &instance.context().handles,
            state,
            cells: &self.slot.cells,
            scratch: &mut self.scratch,
            batch: Some((batch, view)),
            at_ns: batch.closed_unix_ns,
        };
        let applied = applier.apply(&outcome);
        if instance.keeps() && self.save_due.is_none() {
            self.save_due = Some(now.saturating_add(SAVE_EVERY_NS));
        }
        Ok(applied)
    }

    fn tick_plugin(&mut self, now: u64) {
        let began = Instant::now();
        let ticked = self.call_tick(now);
        self.spent(began);
        match ticked {
            Ok(applied) => {
                self.went_well();
                self.announce(&applied);
            }
            Err(fault) => self.failed(&fault, now),
        }
    }

    fn call_tick(&mut self, now: u64) -> Result<Applied, Fault> {
        self.instance(now)?;
        let Some(instance) = &mut self.instance else { return Ok(Applied::default()) };
        let call = self.around.limits.call("tick", 0, now);
        let outcome = instance.run(call, &mut self.state, |plugin, store| plugin.call_tick(store, now))?;
        let applier = Applier {
            plan: &self.prepared.plan,
            handles: &instance.context().handles,
            state: &mut self.state,
            cells: &self.slot.cells,
            scratch: &mut self.scratch,
            batch: None,
            at_ns: now,
        };
        Ok(applier.apply(&outcome))
    }

    /// Drops windows that have run empty, and the conditions of models that are gone.
    fn sweep(&mut self, now: u64) {
        self.sweep_due = now.saturating_add(SWEEP_EVERY_NS);
        let models: Vec<[Arc<str>; 3]> = self.live.values().map(|live| view::model(&live.schema)).collect();
        let live = |model: &[Arc<str>]| models.iter().any(|known| known == model);
        let State { families, windows, conditions, tallies } = &mut *self.state;
        windows.sweep(now, live);
        tallies.lock().sweep(now, live, windows);
        self.around.findings.retain(&self.prepared.spec.key, live);
        let gauges = &families[self.prepared.plan.metrics..];
        let key = &self.prepared.spec.key;
        conditions.lock().sweep(live, |plan, labels| {
            gauges[plan].remove(&crate::conditions::with_key(key, labels));
        });
    }

    fn lose(&mut self, reason: Lost, batch: &Batch) {
        self.slot.cells.lost(reason, batch.exchanges);
        self.missed = self.missed.saturating_add(batch.exchanges as u64);
    }

    /// Charges a call that began then and has just ended. Gives its duration.
    fn spent(&mut self, began: Instant) -> Duration {
        let took = began.elapsed();
        let used = self.meter.charge(took);
        self.share.used(used);
        self.slot.cells.cpu.add_f64(used as f64 / 1e9);
        took
    }

    /// Counts verdicts and logs what began or ended.
    fn announce(&self, applied: &Applied) {
        if !applied.verdicts.is_empty() {
            let reasons = self.prepared.plan.reasons.iter();
            let counts = reasons.map(|reason| {
                let same = |verdict: &&Verdict| Arc::ptr_eq(&verdict.reason, reason);
                (reason.clone(), applied.verdicts.iter().filter(same).count() as u64)
            });
            self.slot.count(counts.filter(|(_, kept)| *kept > 0));
        }
        for condition in &applied.transitions {
            let labels = condition.labels.iter().map(|(name, value)| format!("{name}={value:?}"));
            let labels = labels.collect::<Vec<_>>().join(",");
            let fields = [
                ("plugin", Field::Str(&self.prepared.spec.key)),
                ("condition", Field::Str(&condition.name)),
                ("labels", Field::Str(&labels)),
                ("active", Field::Bool(condition.active)),
                ("value", Field::F64(condition.value)),
                ("count", Field::U64(condition.count)),
            ];
            if condition.active {
                self.logger.warn("condition began", &fields);
            } else {
                self.logger.info("condition ended", &fields);
            }
        }
    }
}

impl Drop for PluginJudge {
    fn drop(&mut self) {
        if !self.begun {
            return;
        }
        let now = self.instance.as_ref().map_or(0, |instance| instance.context().now_ns);
        if self.save_due.is_some() {
            self.save(now);
        }
        // What is exported is complete, for who takes over and for whoever reads it last.
        self.slot.tallies.lock().count();
        self.keep_tallies();
        self.slot.leave(Left {
            state: std::mem::take(&mut self.state),
            saved: self.saved.take(),
            schemas: std::mem::take(&mut self.live).into_values().map(|live| live.schema).collect(),
            missed: self.missed,
        });
    }
}

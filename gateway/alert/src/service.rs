//! Rules and objectives while the gateway runs: a thread that evaluates, stores and tells.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use weir_exchange::ConditionState;
use weir_exchange::status::{AlertBrief, ObjectiveBrief};
use weir_telemetry::log::{Field, Level, Logger};
use weir_telemetry::{Counter, Family, Points, Registry, priority};

use crate::alert::Fingerprint;
use crate::common::Common;
use crate::delivery::{Delivery, DeliveryMetrics, Prepared, SavedDelivery};
use crate::engine::{Engine, Input, Outcome, Saved};
use crate::events::EVENTS;
use crate::files::{self, Read};
use crate::judged::{EXCHANGES, Judged, ROWS};
use crate::metrics::AlertMetrics;
use crate::rule::Plan;
use crate::status::{AlertsStatus, EvidenceRecord, SloWithAlerts};
use crate::windows::WindowFiles;

/// What plugins say of their conditions now, by key.
pub type Conditions = Box<dyn Fn() -> Vec<(Arc<str>, ConditionState)> + Send + Sync>;

/// What outlives every configuration.
pub struct ServiceParts {
    pub registry: Registry,
    pub metrics: AlertMetrics,
    pub delivery_metrics: DeliveryMetrics,
    /// The counters of objectives, shared with those who count.
    pub events: Family<Counter>,
    pub conditions: Conditions,
    /// What is to be done beside, after every evaluation.
    pub evaluated: Box<dyn Fn() + Send + Sync>,
    pub logger: Logger,
    /// Where state is stored; `None`: in memory only.
    pub state_dir: Option<PathBuf>,
}

/// Rules, objectives and receivers of one configuration, all of which can work.
pub struct Orders {
    pub plan: Plan,
    pub common: Common,
    pub receivers: Prepared,
    pub generation: u64,
}

/// The evaluating thread and what it knows. Cloning shares it.
#[derive(Clone)]
pub struct Alerts(Arc<Shared>);

struct Shared {
    parts: ServiceParts,
    clock: Clock,
    state: Mutex<State>,
    /// Something is to be done before the next evaluation is due.
    woken: Condvar,
    /// What is stored is not what holds.
    dirty: AtomicBool,
    /// What admin pages show: never behind the lock of an evaluation.
    view: Mutex<Arc<AlertsStatus>>,
    records: Mutex<Arc<[EvidenceRecord]>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct State {
    engine: Engine,
    judged: Judged,
    delivery: Option<Delivery>,
    windows: Option<WindowFiles>,
    sends: bool,
    interval: Duration,
    generation: u64,
    stop: bool,
}

/// The file of what fires and who was told.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    engine: Saved,
    delivery: Option<SavedDelivery>,
}

const VERSION: u32 = 1;

/// How often what changed without an evaluation is stored at most.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Unix time as it was at the start, and then as time goes by: whoever sets the clock changes nothing.
struct Clock {
    began: Instant,
    unix_ms: u64,
}

impl Clock {
    fn new() -> Self {
        Self { began: Instant::now(), unix_ms: unix_ms() }
    }

    fn now_ms(&self) -> u64 {
        self.unix_ms + self.began.elapsed().as_millis() as u64
    }
}

/// Unix time in ms, as the system's clock has it.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

impl Alerts {
    /// Goes on from what is stored, and begins to evaluate.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(parts: ServiceParts, orders: Orders) -> io::Result<Self> {
        let Orders { plan, common, receivers, generation } = orders;
        let stored = parts.stored();
        let (saved, delivered) = stored.map_or((None, None), |stored| (Some(stored.engine), stored.delivery));
        let clock = Clock::new();
        let sends = common.alerting.sends;
        let interval = common.alerting.interval;
        let mut engine = Engine::new(plan, common, clock.now_ms());
        if let Some(saved) = saved {
            engine.restore(saved);
        }
        let mut windows = parts.state_dir.as_ref().map(|folder| WindowFiles::new(folder.join("slo")));
        if let Some(windows) = &mut windows {
            windows.restore(&mut engine, clock.now_ms(), &parts.metrics, &parts.logger);
        }
        let state = State {
            engine,
            judged: Judged::default(),
            delivery: None,
            windows,
            sends,
            interval,
            generation,
            stop: false,
        };
        let shared = Arc::new(Shared {
            parts,
            clock,
            state: Mutex::new(state),
            woken: Condvar::new(),
            dirty: AtomicBool::new(false),
            view: Mutex::default(),
            records: Mutex::new(Arc::from([])),
            thread: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        // What a receiver confirmed is stored soon, so that nobody is told twice after a crash.
        let confirmed = Box::new(move || {
            // Called from the thread that tells, which may hold locks of its own: no lock is taken here.
            if let Some(shared) = weak.upgrade() {
                shared.dirty.store(true, Relaxed);
                shared.woken.notify_all();
            }
        });
        let (metrics, logger) = (shared.parts.delivery_metrics.clone(), shared.parts.logger.clone());
        let delivery = Delivery::start(receivers, delivered.as_ref(), metrics, &logger, confirmed)?;
        let mut state = shared.state();
        state.delivery = Some(delivery);
        // What there is to evaluate is shown before it is.
        shared.show(&state, 0);
        drop(state);
        let running = shared.clone();
        let thread = thread::Builder::new().name("alerts".into()).spawn(move || running.run())?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(shared))
    }

    /// Goes on with another configuration.
    pub fn replace(&self, orders: Orders) {
        let Orders { plan, common, receivers, generation } = orders;
        let mut state = self.0.state();
        state.sends = common.alerting.sends;
        state.interval = common.alerting.interval;
        state.generation = generation;
        state.engine.replace(plan, common);
        if let Some(delivery) = &state.delivery {
            delivery.replace(receivers);
        }
        let now_ms = self.0.clock.now_ms();
        let State { engine, windows, .. } = &mut *state;
        if let Some(windows) = windows {
            windows.restore(engine, now_ms, &self.0.parts.metrics, &self.0.parts.logger);
        }
        drop(state);
        self.0.dirty.store(true, Relaxed);
        self.0.woken.notify_all();
    }

    /// What there was to say at the last evaluation.
    pub fn status(&self) -> Arc<AlertsStatus> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every rule, or the alerts it found, and those of objectives.
    pub fn briefs(&self) -> Vec<AlertBrief> {
        let status = self.status();
        let mut all = Vec::new();
        for rule in &status.rules {
            if rule.alerts.is_empty() {
                all.push(AlertBrief::inactive(&rule.name));
            }
            all.extend(rule.alerts.iter().map(|alert| alert.brief(&rule.name)));
        }
        for slo in &status.slos {
            all.extend(slo.alerts.iter().map(|alert| alert.brief(&slo.slo.name)));
        }
        all
    }

    /// Every objective.
    pub fn objectives(&self) -> Vec<ObjectiveBrief> {
        let of = |slo: &SloWithAlerts| slo.slo.brief(!slo.alerts.is_empty());
        self.status().slos.iter().map(of).collect()
    }

    /// What an alert that fires, or that ended lately, fired on, as of the last evaluation.
    pub fn evidence(&self, fingerprint: Fingerprint) -> Option<EvidenceRecord> {
        let records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        records.iter().rev().find(|record| record.fingerprint == fingerprint).cloned()
    }

    /// Stores everything and ends. What fires goes on firing for those who were told: it is not resolved by
    /// this gateway's end. False if something was left to be told.
    pub fn finish(&self, limit: Duration) -> bool {
        self.0.state().stop = true;
        self.0.woken.notify_all();
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let joined = thread.is_none_or(|thread| thread.join().is_ok());
        self.0.close(&mut self.0.state());
        let delivery = self.0.state().delivery.take();
        let Some(delivery) = delivery else { return joined };
        let told = delivery.finish(limit);
        let saved = delivery.saved();
        let mut state = self.0.state();
        self.0.store(&mut state, Some(saved));
        joined && told
    }
}

impl ServiceParts {
    fn alerts_file(&self) -> Option<PathBuf> {
        self.state_dir.as_ref().map(|folder| folder.join("alerts.json"))
    }

    /// What was stored, if it can be understood.
    fn stored(&self) -> Option<Stored> {
        let fit = |stored: Stored| match stored.version {
            VERSION => Ok(stored),
            other => Err(format!("it is of version {other}, not {VERSION}")),
        };
        let begins = "the state of alerts cannot be read: they begin anew";
        match files::read(&self.alerts_file()?, &self.logger, begins, fit) {
            Read::State(stored) => Some(stored),
            Read::Nothing => None,
            Read::SetAside => {
                self.metrics.state_file("set_aside");
                None
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves rules half evaluated, which the next evaluation mends.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        priority::give_way();
        let (mut last, mut stored) = (0, Instant::now());
        loop {
            let mut state = self.state();
            let interval = state.interval.as_millis() as u64;
            let now = self.clock.now_ms();
            let due = now / interval * interval;
            if state.stop {
                return;
            }
            if due > last {
                let missed = if last == 0 { 0 } else { ((due - last) / interval).saturating_sub(1) };
                last = due;
                self.attempt(&mut state, due, missed);
                continue;
            }
            let rest = STORE_EVERY.saturating_sub(stored.elapsed());
            let dirty = self.dirty.load(Relaxed);
            if dirty && rest.is_zero() {
                self.dirty.store(false, Relaxed);
                let saved = state.delivery.as_ref().map(Delivery::saved);
                self.store(&mut state, saved);
                stored = Instant::now();
                continue;
            }
            let wait = Duration::from_millis(due + interval - now);
            let wait = if dirty { wait.min(rest) } else { wait };
            drop(self.woken.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Evaluates; what panics is said, and tried again at the next turn.
    fn attempt(&self, state: &mut State, at_ms: u64, missed: u64) {
        let evaluated = catch_unwind(AssertUnwindSafe(|| self.evaluate(state, at_ms, missed)));
        if evaluated.is_err() {
            self.parts.metrics.failed();
            self.parts.logger.error("rules could not be evaluated: this is a fault of the gateway", &[]);
        }
    }

    fn evaluate(&self, state: &mut State, at_ms: u64, missed: u64) {
        let began = Instant::now();
        let points = self.points(&state.engine);
        let conditions = (self.parts.conditions)();
        let State { engine, judged, .. } = state;
        judged.count_conditions(engine.objectives(), &points, &conditions, &self.parts.events);
        judged.tell_observed(engine.objectives(), &points, at_ms, &self.parts.metrics.observed);
        let (wall_ms, generation) = (unix_ms(), state.generation);
        let input = Input { at_ms, wall_ms, generation, points: &points, conditions: &conditions };
        let Outcome { firing, resolved, changed } = state.engine.step(&input);
        for alert in &resolved {
            self.say(Level::Info, "alert resolved", alert);
        }
        let new = firing.iter().filter(|alert| alert.starts_at_ms == at_ms);
        new.for_each(|alert| self.say(Level::Warn, "alert firing", alert));
        // Stored before anybody is told: whoever was told is known after a crash.
        if changed {
            let saved = state.delivery.as_ref().map(Delivery::saved);
            self.store(state, saved);
        }
        if let Some(delivery) = &state.delivery {
            // Nobody is told of what a Prometheus tells; what was told before it took over ends, being in the
            // picture no more.
            let (firing, resolved) = if state.sends { (firing, resolved) } else { Default::default() };
            delivery.offer(firing, resolved);
        }
        self.save_windows(state, at_ms, false);
        (self.parts.evaluated)();
        self.show(state, at_ms);
        self.parts.metrics.evaluated(began.elapsed(), missed, state.engine.bytes());
    }

    fn save_windows(&self, state: &mut State, at_ms: u64, all: bool) {
        let State { engine, windows, .. } = state;
        if let Some(windows) = windows {
            windows.save((engine, at_ms), all, &self.parts.metrics, &self.parts.logger);
        }
    }

    /// The last events are counted and stored.
    fn close(&self, state: &mut State) {
        let at_ms = self.clock.now_ms();
        let points = self.points(&state.engine);
        let (wall_ms, generation) = (unix_ms(), state.generation);
        let input = Input { at_ms, wall_ms, generation, points: &points, conditions: &[] };
        state.engine.last_count(&input);
        self.save_windows(state, at_ms, true);
    }

    fn points(&self, engine: &Engine) -> Vec<Points> {
        let mut names = engine.wants();
        if engine.objectives().next().is_some() {
            names.extend([EVENTS, ROWS, EXCHANGES].map(Arc::from));
            names.sort();
            names.dedup();
        }
        if names.iter().all(|name| self.parts.registry.has(name)) {
            return self.parts.registry.gather_of(&names);
        }
        // Something that is computed with others, or that is not there.
        self.parts.registry.gather()
    }

    fn show(&self, state: &State, at_ms: u64) {
        let rules = state.engine.rules();
        let slos = state.engine.slo_status(at_ms);
        self.parts.metrics.show(&rules, &slos);
        let receivers = state.delivery.as_ref().map(Delivery::status).unwrap_or_default();
        let view = AlertsStatus { sends: state.sends, evaluated_unix_ms: at_ms, rules, slos, receivers };
        *self.view.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
        let records = state.engine.records().cloned().collect();
        *self.records.lock().unwrap_or_else(PoisonError::into_inner) = records;
    }

    fn store(&self, state: &mut State, delivery: Option<SavedDelivery>) {
        let Some(path) = self.parts.alerts_file() else { return };
        let stored = Stored { version: VERSION, engine: state.engine.saved(), delivery };
        let fails = "the state of alerts cannot be stored";
        let saved = files::store(&path, &stored, &self.parts.logger, fails);
        self.parts.metrics.state_file(if saved { "saved" } else { "failed" });
    }

    fn say(&self, level: Level, words: &str, alert: &crate::alert::Alert) {
        let labels = serde_json::to_string(&alert.labels).unwrap_or_default();
        let fields = [
            ("alert", Field::from(alert.name())),
            ("labels", Field::from(&labels)),
            ("muted", Field::Bool(alert.muted)),
        ];
        self.parts.logger.log(level, words, &fields);
    }
}

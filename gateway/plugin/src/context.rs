//! What a store carries, and what the host does when a plugin calls it.
//!
//! No function here fails: an error would end the store. What does not fit gets an answer that says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use weir_exchange::Schema;
use weir_profile::Profile;
use weir_telemetry::log::{Field, Level, Logger};

use crate::bindings::weir::plugin::{host, types};
use crate::conditions::{gauge, with_key};
use crate::engine::{EPOCHS_BEFORE_LOOK, TICK, thread_cpu_ns};
use crate::findings::{Finding, Findings};
use crate::handles::{Asked, Handles, Kind, NO_HANDLE, Target};
use crate::instance::Surroundings;
use crate::limiter::Limiter;
use crate::metrics::{Cells, Dropped};
use crate::places::Labels;
use crate::plan::Plan;
use crate::reference::{Pending, misfits};
use crate::state::State;

/// Bytes of a log line from a plugin; the interface says so.
const LONGEST_LINE: usize = 1024;

/// Findings in a second: all models of a plugin report when their windows close, at once.
const MOST_REPORTS: u32 = 1000;

/// Bytes of a label value. Feature names and categories are shorter by the caps on schemas.
const LONGEST_LABEL: usize = 256;

/// Data of one store.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) key: Arc<str>,
    /// `None` until the plugin is configured.
    pub(crate) plan: Option<Arc<Plan>>,
    /// Lent by the judge for the length of a call.
    pub(crate) state: Box<State>,
    pub(crate) handles: Handles,
    /// Live schemas.
    pub(crate) models: HashMap<u32, Known, ahash::RandomState>,
    pub(crate) profiles: Arc<[Arc<Profile>]>,
    /// What the running call wants done if it returns.
    pub(crate) pending: Vec<Pending>,
    pub(crate) limiter: Limiter,
    /// Unix time of the running call.
    pub(crate) now_ns: u64,
    /// CPU time that the running call may use, and that of the thread when the watchdog first looked at it.
    pub(crate) cpu: Duration,
    pub(crate) seen_ns: Option<u64>,
    log: Gate,
    /// As many findings in a second as lines in the log.
    pub(crate) reports: Gate,
    findings: Findings,
    pub(crate) cells: Arc<Cells>,
}

/// A live schema.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Route, model and version.
    pub(crate) model: [Arc<str>; 3],
    /// As the instance was last told, with the columns that it does not want.
    pub(crate) schema: Arc<Schema>,
}

impl Known {
    /// What does not fit of a profile.
    pub(crate) fn misfits(&self, profile: &Profile) -> Vec<types::Misfit> {
        misfits(profile, &self.schema.columns)
    }
}

impl Context {
    pub(crate) fn new(around: &Surroundings) -> Self {
        let Surroundings { key, limits, log, cells, profiles, findings, .. } = around;
        Self {
            key: key.clone(),
            profiles: profiles.clone(),
            pending: Vec::new(),
            reports: Gate::new(log.logger.clone(), MOST_REPORTS),
            findings: findings.clone(),
            plan: None,
            state: Box::default(),
            handles: Handles::default(),
            models: HashMap::default(),
            limiter: Limiter::new(limits.memory),
            now_ns: 0,
            cpu: Duration::ZERO,
            seen_ns: None,
            log: log.clone(),
            cells: cells.clone(),
        }
    }

    /// Whether the running call has used up its CPU time; asked by the watchdog once it has run for a while.
    /// An epoch is wall time and would end calls that were merely preempted.
    pub(crate) fn is_overdue(&mut self) -> bool {
        let now = thread_cpu_ns();
        let seen = *self.seen_ns.get_or_insert(now);
        // Before the first look it used no more than the time until then.
        let before = TICK * EPOCHS_BEFORE_LOOK as u32;
        before + Duration::from_nanos(now.saturating_sub(seen)) >= self.cpu
    }

    /// The running call has ended: what it asked for holds if it went well.
    pub(crate) fn settle(&mut self, well: bool, state: &State) {
        for pending in self.pending.drain(..).filter(|_| well) {
            match pending {
                Pending::Done { place, begin_ns, looked } => {
                    state.tallies.lock().done(place, begin_ns, looked);
                }
                Pending::Report { model: [route, model, model_version], kind, finding } => {
                    let (plugin, at_unix_ns) = (self.key.clone(), self.now_ns);
                    let finding = Finding { plugin, route, model, model_version, kind, at_unix_ns, finding };
                    let kept = self.findings.take(finding);
                    self.cells.dropped(Dropped::Room, u64::from(!kept));
                }
            }
        }
    }

    /// The log gate, for the next instance of the same plugin.
    pub(crate) fn into_log(self) -> Gate {
        self.log
    }

    fn handle(&mut self, kind: Kind, schema: u32, index: u32, labels: Vec<String>) -> Option<u32> {
        let plan = self.plan.clone()?;
        let declared = match kind {
            Kind::Series if (index as usize) < plan.metrics => plan.specs[index as usize].labels.len() - 4,
            Kind::Series => return None,
            Kind::Window => plan.windows.get(index as usize)?.labels.len(),
            Kind::Condition => plan.conditions.get(index as usize)?.labels.len(),
            Kind::Tally => return None,
        };
        if labels.len() != declared || !self.models.contains_key(&schema) {
            return None;
        }
        let asked = Asked { schema, kind, index, labels: Some(labels) };
        if let Some(known) = self.handles.find(&asked) {
            return Some(known);
        }
        let model = self.models.get(&schema)?.model.iter().cloned();
        let own = asked.labels.iter().flatten().map(|label| shortened(label));
        let all: Labels = model.chain(own).collect();
        let (target, asked) = self.target(asked, &plan, &all)?;
        match self.handles.find(&asked) {
            Some(known) => Some(known),
            None => self.handles.add(asked, target),
        }
    }

    /// What a new handle stands for, and the question it answers from now on.
    fn target(&mut self, asked: Asked, plan: &Plan, labels: &Labels) -> Option<(Target, Asked)> {
        let State { families, windows, conditions, .. } = &mut *self.state;
        let index = asked.index as usize;
        match asked.kind {
            Kind::Series => {
                let (cell, overflow) = families.get(index)?.series(&with_key(&self.key, labels));
                // One handle stands for everything past the cap: a million label sets are not kept.
                let labels = asked.labels.filter(|_| !overflow);
                Some((Target::Series(cell), Asked { labels, ..asked }))
            }
            Kind::Window => {
                let place = windows.place(index, labels);
                self.cells.dropped(Dropped::Room, u64::from(place.is_none()));
                Some((Target::Window(place?), asked))
            }
            Kind::Condition => {
                let family = families.get(plan.metrics + index)?;
                let key = &self.key;
                let place = conditions.lock().place(index, labels, || gauge(family, key, labels));
                self.cells.dropped(Dropped::Room, u64::from(place.is_none()));
                Some((Target::Condition(place?), asked))
            }
            Kind::Tally => None,
        }
    }
}

impl types::Host for Context {}

impl host::Host for Context {
    fn series(&mut self, schema: u32, metric: u32, labels: Vec<String>) -> u32 {
        self.handle(Kind::Series, schema, metric, labels).unwrap_or(NO_HANDLE)
    }

    fn window(&mut self, schema: u32, window: u32, labels: Vec<String>) -> u32 {
        self.handle(Kind::Window, schema, window, labels).unwrap_or(NO_HANDLE)
    }

    fn condition(&mut self, schema: u32, condition: u32, labels: Vec<String>) -> u32 {
        self.handle(Kind::Condition, schema, condition, labels).unwrap_or(NO_HANDLE)
    }

    fn window_read(&mut self, window: u32, group: Option<String>) -> Option<types::Summary> {
        let Some(Target::Window(place)) = self.handles.get(window) else { return None };
        let summary = self.state.windows.read(*place, group.as_deref(), self.now_ns)?;
        let moments = summary.moments;
        Some(types::Summary {
            count: moments.count,
            sum: moments.sum,
            mean: moments.mean(),
            variance: moments.variance(),
            min: moments.min,
            max: moments.max,
            bins: summary.bins,
        })
    }

    fn log(&mut self, level: types::Level, message: String) {
        if !self.log.pass(self.now_ns) {
            self.cells.dropped(Dropped::Log, 1);
            return;
        }
        let level = match level {
            types::Level::Debug => Level::Debug,
            types::Level::Info => Level::Info,
            types::Level::Warn => Level::Warn,
            types::Level::Error => Level::Error,
        };
        let text = &message[..message.floor_char_boundary(LONGEST_LINE)];
        self.log.logger.log(level, text, &[("plugin", Field::Str(&self.key))]);
    }
}

fn shortened(label: &str) -> Arc<str> {
    label[..label.floor_char_boundary(LONGEST_LABEL)].into()
}

/// Lets a number of log lines through in each second.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    logger: Logger,
    lines_per_second: u32,
    second: u64,
    lines: u32,
}

impl Gate {
    pub(crate) fn new(logger: Logger, lines_per_second: u32) -> Self {
        Self { logger, lines_per_second, second: 0, lines: 0 }
    }

    pub(crate) fn pass(&mut self, now_ns: u64) -> bool {
        let second = now_ns / 1_000_000_000;
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        self.lines = self.lines.saturating_add(1);
        self.lines <= self.lines_per_second
    }
}

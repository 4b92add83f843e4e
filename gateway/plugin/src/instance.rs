//! One instance of a plugin in a store of its own. After a call that failed the store is dead and the
//! instance with it.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Store, Trap, UpdateDeadline};
use weir_exchange::Schema;
use weir_profile::Profile;

use crate::bindings::exports::weir::plugin::{plugin, snapshot};
use crate::bindings::weir::plugin::types;
use crate::context::{Context, Gate, Known};
use crate::engine::{EPOCHS_BEFORE_LOOK, Watchdog};
use crate::fault::{Budget, Fault};
use crate::findings::Findings;
use crate::link::Linked;
use crate::metrics::Cells;
use crate::plan::Plan;
use crate::spec::Limits;
use crate::state::State;
use crate::view;

/// Epochs between two looks at the CPU time of a call that runs long.
const EPOCHS_BETWEEN_LOOKS: u64 = 1;

/// A live instance.
pub(crate) struct Instance {
    store: Store<Context>,
    plugin: plugin::Guest,
    snapshot: Option<snapshot::Guest>,
    watchdog: Arc<Watchdog>,
    cells: Arc<Cells>,
}

/// What an instance needs of its surroundings.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) key: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) log: Gate,
    pub(crate) cells: Arc<Cells>,
    pub(crate) profiles: Arc<[Arc<Profile>]>,
    pub(crate) findings: Findings,
}

/// What a call is about.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) budget: Budget,
    /// Unix time.
    pub(crate) now_ns: u64,
}

impl Limits {
    /// For a call that has `rows` rows to look at.
    pub(crate) fn call(&self, name: &'static str, rows: usize, now_ns: u64) -> Call {
        let fuel = self.fuel_per_batch.saturating_add(self.fuel_per_row.saturating_mul(rows as u64));
        // 100 ms, and what a scripted guest needs for many rows: fuel is the limit, this is for what fuel
        // does not see.
        let cpu = Duration::from_millis(100) + Duration::from_micros(20) * rows as u32;
        Call { name, budget: Budget { fuel, cpu }, now_ns }
    }

    /// For a call that is made once for each instance: an interpreter may have to start.
    pub(crate) fn start(&self, name: &'static str, now_ns: u64) -> Call {
        let fuel = self.fuel_per_batch.saturating_mul(10).saturating_add(1_000_000_000);
        Call { name, budget: Budget { fuel, cpu: Duration::from_secs(2) }, now_ns }
    }
}

impl Instance {
    pub(crate) fn new(linked: &Linked, around: &Surroundings, now_ns: u64) -> Result<Self, Fault> {
        let Surroundings { limits, watchdog, cells, .. } = around;
        let mut store = Store::new(linked.pre.engine(), Context::new(around));
        store.limiter(|context| &mut context.limiter);
        store.set_hostcall_fuel(limits.result_bytes);
        store.epoch_deadline_callback(|mut store| {
            let overdue = store.data_mut().is_overdue();
            Ok(if overdue {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(EPOCHS_BETWEEN_LOOKS)
            })
        });
        let call = limits.start("instantiate", now_ns);
        let mut loose = Loose { store: &mut store, watchdog, cells };
        let (plugin, snapshot) = loose.run(call, &mut Box::default(), |store| {
            let instance = linked.pre.instantiate(&mut *store)?;
            let plugin = linked.plugin.load(&mut *store, &instance)?;
            let snapshot = linked.snapshot.as_ref().map(|indices| indices.load(&mut *store, &instance));
            Ok((plugin, snapshot.transpose()?))
        })?;
        Ok(Self { store, plugin, snapshot, watchdog: watchdog.clone(), cells: cells.clone() })
    }

    /// Runs a call with a state to work on.
    pub(crate) fn run<R>(
        &mut self,
        call: Call,
        state: &mut Box<State>,
        body: impl FnOnce(&plugin::Guest, &mut Store<Context>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        let Self { store, plugin, watchdog, cells, .. } = self;
        Loose { store, watchdog, cells }.run(call, state, |store| body(plugin, store))
    }

    /// True if it exports `snapshot`.
    pub(crate) fn keeps(&self) -> bool {
        self.snapshot.is_some()
    }

    pub(crate) fn save(
        &mut self,
        call: Call,
        state: &mut Box<State>,
    ) -> Result<Option<snapshot::State>, Fault> {
        let Self { store, snapshot, watchdog, cells, .. } = self;
        let Some(snapshot) = snapshot else { return Ok(None) };
        Loose { store, watchdog, cells }.run(call, state, |store| snapshot.call_save(store))
    }

    pub(crate) fn load(
        &mut self,
        call: Call,
        state: &mut Box<State>,
        saved: &snapshot::State,
    ) -> Result<bool, Fault> {
        let Self { store, snapshot, watchdog, cells, .. } = self;
        let Some(snapshot) = snapshot else { return Ok(false) };
        Loose { store, watchdog, cells }.run(call, state, |store| snapshot.call_load(store, saved))
    }

    /// From now on host functions know what was declared.
    pub(crate) fn configured(&mut self, plan: &Arc<Plan>) {
        self.store.data_mut().plan = Some(plan.clone());
    }

    /// Tells the instance of a schema, new or grown.
    pub(crate) fn learn(
        &mut self,
        call: Call,
        state: &mut Box<State>,
        (delta, schema): (&types::SchemaDelta, &Arc<Schema>),
    ) -> Result<(), Fault> {
        let known = Known { model: view::model(schema), schema: schema.clone() };
        self.store.data_mut().models.insert(delta.id, known);
        self.run(call, state, |plugin, store| plugin.call_schema(store, delta))
    }

    /// Tells the instance that a schema is gone; its handles end, whatever the plugin says.
    pub(crate) fn retire(&mut self, call: Call, state: &mut Box<State>, schema: u32) -> Result<(), Fault> {
        let context = self.store.data_mut();
        if context.models.remove(&schema).is_none() {
            return Ok(());
        }
        context.handles.retire(schema);
        self.run(call, state, |plugin, store| plugin.call_retire(store, schema))
    }

    pub(crate) fn context(&self) -> &Context {
        self.store.data()
    }

    /// Bytes of linear memory.
    pub(crate) fn memory(&self) -> usize {
        self.context().limiter.memory()
    }

    /// Ends the instance; the log gate goes on.
    pub(crate) fn into_log(self) -> Gate {
        self.store.into_data().into_log()
    }
}

/// A store with what every call needs.
struct Loose<'a> {
    store: &'a mut Store<Context>,
    watchdog: &'a Watchdog,
    cells: &'a Cells,
}

impl Loose<'_> {
    fn run<R>(
        &mut self,
        call: Call,
        state: &mut Box<State>,
        body: impl FnOnce(&mut Store<Context>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        let Call { name, budget, now_ns } = call;
        self.cells.calls.bump(1);
        let context = self.store.data_mut();
        mem::swap(&mut context.state, state);
        context.now_ns = now_ns;
        context.cpu = budget.cpu;
        context.seen_ns = None;
        self.store.set_epoch_deadline(EPOCHS_BEFORE_LOOK);
        let watched = self.watchdog.watch();
        let result = match self.store.set_fuel(budget.fuel) {
            Ok(()) => body(self.store),
            Err(_) => Err(Trap::OutOfFuel.into()),
        };
        drop(watched);
        let context = self.store.data_mut();
        mem::swap(&mut context.state, state);
        context.settle(result.is_ok(), state);
        result.map_err(|error| Fault::of(name, &error, budget, &context.limiter))
    }
}

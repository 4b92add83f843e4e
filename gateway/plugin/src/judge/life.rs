//! The instances of a judge: one is made, taught, saved, found dead, and replaced.

use std::time::Instant;

use weir_exchange::SchemaId;
use weir_exchange::status::PluginState;
use weir_telemetry::log::Field;

use super::{Live, PluginJudge};
use crate::fault::{Fault, FaultKind};
use crate::instance::Instance;
use crate::metrics::SnapshotEnd;
use crate::prepared::Prepared;
use crate::view::View;

impl PluginJudge {
    /// Makes sure that there is an instance: configured, told of the live schemas, given what was saved.
    pub(super) fn instance(&mut self, now: u64) -> Result<(), Fault> {
        if self.instance.is_some() {
            return Ok(());
        }
        let Prepared { linked, plan, spec, .. } = &*self.prepared;
        let limits = &self.around.limits;
        let mut instance = Instance::new(linked, &self.around, now)?;
        let call = limits.start("configure", now);
        let settings = &spec.settings;
        let answer =
            instance.run(call, &mut self.state, |plugin, store| plugin.call_configure(store, settings))?;
        if answer.is_err() {
            let message = "refused settings that it took before".to_owned();
            return Err(Fault { kind: FaultKind::Result, call: "configure", message });
        }
        instance.configured(plan);
        self.instance = Some(instance);
        let schemas: Vec<SchemaId> = self.live.keys().copied().collect();
        schemas.into_iter().try_for_each(|schema| self.teach(schema, now))?;
        self.restore(now)
    }

    /// Tells the instance what it does not know of a schema.
    pub(super) fn teach(&mut self, schema: SchemaId, now: u64) -> Result<(), Fault> {
        let Self { instance: Some(instance), live, state, .. } = self else { return Ok(()) };
        let Some(Live { schema, view }) = live.get_mut(&schema) else { return Ok(()) };
        let view = view.get_or_insert_with(View::new);
        let Some(delta) = view.delta(schema, &self.prepared.plan.columns) else { return Ok(()) };
        let texts: usize = delta.codes.iter().map(|codes| codes.texts.len()).sum();
        let call = self.around.limits.call("schema", delta.columns.len() + texts, now);
        instance.learn(call, state, (&delta, schema))
    }

    /// Gives a new instance what the last one saved.
    pub(super) fn restore(&mut self, now: u64) -> Result<(), Fault> {
        let (Some(instance), Some(saved)) = (&mut self.instance, &self.saved) else { return Ok(()) };
        if !instance.keeps() {
            return Ok(());
        }
        let call = self.around.limits.call("load", saved.data.len() / 64, now);
        match instance.load(call, &mut self.state, saved) {
            Ok(true) => self.slot.cells.snapshot(SnapshotEnd::Loaded),
            Ok(false) => {
                self.slot.cells.snapshot(SnapshotEnd::Refused);
                let format = u64::from(saved.format);
                self.logger.warn(
                    "plugin does not know the format of its last snapshot and starts empty",
                    &[("plugin", Field::Str(&self.prepared.spec.key)), ("format", Field::U64(format))],
                );
                self.saved = None;
            }
            Err(fault) => {
                // It would fail again for the next instance.
                self.slot.cells.snapshot(SnapshotEnd::Failed);
                self.saved = None;
                return Err(fault);
            }
        }
        Ok(())
    }

    pub(super) fn save(&mut self, now: u64) {
        self.save_due = None;
        let Some(instance) = &mut self.instance else { return };
        let began = Instant::now();
        let call = self.around.limits.call("save", 0, now);
        let saved = instance.save(call, &mut self.state);
        self.spent(began);
        match saved {
            Ok(saved) => {
                if saved.is_some() {
                    self.slot.cells.snapshot(SnapshotEnd::Saved);
                }
                self.saved = saved;
            }
            Err(fault) => {
                self.slot.cells.snapshot(SnapshotEnd::Failed);
                self.failed(&fault, now);
            }
        }
    }

    /// The store is dead: the next call gets a new instance, unless there were too many faults.
    pub(super) fn failed(&mut self, fault: &Fault, now: u64) {
        if let Some(instance) = self.instance.take() {
            self.around.log = instance.into_log();
        }
        self.live.values_mut().for_each(|live| live.view = None);
        self.slot.cells.memory.set(0.0);
        self.slot.cells.fault(fault.kind);
        let key = Field::Str(&self.prepared.spec.key);
        let said = fault.to_string();
        let fields =
            [("plugin", key), ("kind", Field::Str(fault.kind.as_str())), ("fault", Field::Str(&said))];
        self.logger.error("plugin failed", &fields);
        if let Some(length) = self.breaker.failed(now) {
            self.slot.set_state(PluginState::Quarantined);
            let seconds = Field::U64(length.as_secs());
            self.logger.error(
                "plugin is quarantined after repeated faults",
                &[("plugin", key), ("seconds", seconds)],
            );
        }
        self.slot.set_fault(said);
    }

    pub(super) fn went_well(&mut self) {
        if let Some(instance) = &self.instance {
            self.slot.cells.memory.set(instance.memory() as f64);
        }
        if self.breaker.succeeded() {
            self.slot.set_state(PluginState::Running);
            self.logger.info("plugin works again", &[("plugin", Field::Str(&self.prepared.spec.key))]);
        }
    }
}

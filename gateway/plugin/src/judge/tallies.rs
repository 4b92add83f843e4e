//! The tallies of a judge: rows are counted whatever becomes of the plugin's calls, windows close on time,
//! and what was counted is kept.

use std::time::Instant;

use weir_exchange::Batch;
use weir_telemetry::log::Field;

use super::PluginJudge;
use crate::metrics::{Dropped, StateKind};
use crate::slot::Left;
use crate::tally::{Keep, Kept};
use crate::view;

/// How often tallies are written, if anything was counted.
pub(super) const KEEP_EVERY_NS: u64 = 30_000_000_000;

impl PluginJudge {
    /// Takes a batch in for the tallies of its model; with `fresh`, for those that were opened since it came.
    /// The plugin's CPU time shows it, its share does not: a plugin does not go without calls for what is
    /// counted.
    pub(super) fn tally(&mut self, batch: &Batch, now: u64, fresh: bool) {
        let began = Instant::now();
        let model = view::model(&batch.schema);
        let counted = {
            let Self { slot, coverage, prepared, .. } = self;
            let key = &prepared.spec.key;
            let lost = |route: &str| coverage.as_ref().map(|coverage| coverage.lost(key, route));
            let mut tallies = slot.tallies.lock();
            if !tallies.counts(&model, fresh) {
                return;
            }
            tallies.take_in(batch, &model, (&lost, now), fresh)
        };
        self.slot.cells.dropped(Dropped::Late, counted.late);
        self.slot.cells.cpu.add_f64(self.meter.charge(began.elapsed()) as f64 / 1e9);
        if self.keep.is_some() && self.keep_due.is_none() {
            self.keep_due = Some(batch.closed_unix_ns.saturating_add(KEEP_EVERY_NS));
        }
    }

    /// Begins counts anew that are far ahead of the clock, be it that they were kept over a restart.
    pub(super) fn set_back_tallies(&self, now: u64) {
        let reset = self.slot.tallies.lock().set_back(now);
        if reset == 0 {
            return;
        }
        self.slot.cells.resets(StateKind::Tally, reset);
        let fields = [("plugin", Field::Str(&self.prepared.spec.key)), ("tallies", Field::U64(reset))];
        self.logger.warn("the clock was ahead: counts of a plugin begin anew", &fields);
    }

    /// Time has passed: windows close, and now and then what was counted is written.
    pub(super) fn close_windows(&mut self, now: u64) {
        let began = Instant::now();
        let changed = {
            let Self { slot, coverage, prepared, .. } = self;
            let key = &prepared.spec.key;
            let lost = |route: &str| coverage.as_ref().map(|coverage| coverage.lost(key, route));
            let mut tallies = slot.tallies.lock();
            tallies.count();
            tallies.advance(now, &lost);
            tallies.changed
        };
        self.slot.cells.cpu.add_f64(self.meter.charge(began.elapsed()) as f64 / 1e9);
        if self.keep.is_some() && changed && self.keep_due.is_none() {
            self.keep_due = Some(now.saturating_add(KEEP_EVERY_NS));
        }
        if self.keep_due.is_some_and(|due| now >= due) {
            self.keep_tallies();
        }
    }

    /// Writes the tallies if they have changed. Whoever looks at them does not wait for the disk.
    pub(super) fn keep_tallies(&mut self) {
        self.keep_due = None;
        let Some(keep) = &self.keep else { return };
        let encoded = {
            let mut tallies = self.slot.tallies.lock();
            if !std::mem::take(&mut tallies.changed) {
                return;
            }
            tallies.count();
            Keep::encode(&tallies)
        };
        if let Err(error) = encoded.and_then(|body| keep.write(&body)) {
            self.slot.tallies.lock().changed = true;
            let (key, error) = (Field::Str(&self.prepared.spec.key), error.to_string());
            let fields = [("plugin", key), ("error", Field::Str(&error))];
            self.logger.warn("counts of a plugin cannot be kept over a restart", &fields);
        }
    }

    /// What the first judge of a key begins with: the counts of the process before, if they were kept.
    pub(super) fn first(&self) -> Left {
        let left = self.slot.fresh();
        let key = Field::Str(&self.prepared.spec.key);
        match self.keep.as_ref().map(|keep| keep.load(&self.around.profiles)) {
            None | Some(Kept::Nothing) => {}
            Some(Kept::Tallies(tallies, gone)) => {
                *left.state.tallies.lock() = *tallies;
                if gone > 0 {
                    let fields = [("plugin", key), ("tallies", Field::U64(gone as u64))];
                    self.logger
                        .info("counts are left, whose profile the plugin does not have any more", &fields);
                }
            }
            Some(Kept::SetAside(path, fault)) => {
                let path = path.display().to_string();
                let fields = [("plugin", key), ("path", Field::Str(&path)), ("fault", Field::Str(&fault))];
                self.logger.warn("the kept counts of a plugin cannot be read and are set aside", &fields);
            }
        }
        left
    }
}

//! Whether the data of a model are what they are meant to be: missing, of another kind, out of range, of
//! unseen categories, not finite, constant, duplicate, in other columns, or stale.
//!
//! The gateway counts rows against the model's profile; here a window is judged when it has closed. What is
//! bad is counted from the first row on. An alarm is what is certainly more than is allowed, with a budget of
//! false ones.

mod check;
mod look;
mod metrics;
mod report;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use look::{Case, Look};
use metrics::Metrics;
use report::Verdict;
use settings::Settings;
use state::{Model, State};
use weir_plugin_sdk::looks::Pace;
use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::{self, Closed, Tally, TallySpec};
use weir_plugin_sdk::turns::Turns;

/// Features of one call, whatever models they are of: a thousand take some calls, each well under its limits.
const FEATURES: usize = 200;

/// What a look costs beside its features, as so many of them: a model of one feature has a finding too.
const LOOK: usize = 10;

/// Judges windows.
#[derive(Debug)]
pub struct DataQuality {
    settings: Settings,
    pace: Pace,
    metrics: Metrics,
    /// By schema: its model, and its tally if there is a profile.
    schemas: BTreeMap<u32, (String, Option<Tally>)>,
    models: BTreeMap<String, Model>,
    /// By model: looks that go on.
    looks: BTreeMap<String, Look>,
    turns: Turns,
}

impl Plugin for DataQuality {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        let pace = Pace::new(settings.window, settings.budget, settings.looks, faults);
        settings.check(faults);
        // Rows are counted by the gateway: no value crosses. The columns are those a profile may have.
        for role in [role::INPUT, role::OUTPUT, role::SCORE] {
            manifest.want(Columns::role(role).unsent());
        }
        manifest.tick_every(Duration::from_secs(1));
        Self {
            pace,
            metrics: Metrics::declare(manifest, settings.max_features as usize),
            schemas: BTreeMap::new(),
            models: BTreeMap::new(),
            looks: BTreeMap::new(),
            turns: Turns::new(FEATURES),
            settings,
        }
    }

    fn observe(&mut self, batch: &Batch, _: &mut Outcome) {
        // From its first batch on a model is counted.
        self.open(batch.schema());
        if batch.rows() > 0
            && let Some(model) = self.model(batch.schema())
        {
            model.last_row_ns = model.last_row_ns.max(Some(batch.closed_ns()));
        }
    }

    fn tick(&mut self, schema: &Schema, now_ns: u64, out: &mut Outcome) {
        self.turns.begin(now_ns);
        let tally = self.open(schema);
        self.show_age(schema, now_ns, out);
        let Some(tally) = tally else { return self.without_profile(schema, now_ns, out) };
        match tally.next() {
            Some(_) if !self.turns.has(&schema.model_key()) => {}
            Some(closed) => self.look(schema, tally, &closed, out),
            None => self.wait(schema, out),
        }
    }

    fn retire(&mut self, schema: &Schema) {
        let Some((key, _)) = self.schemas.remove(&schema.id) else { return };
        if !self.schemas.values().any(|(other, _)| *other == key) {
            self.models.remove(&key);
            self.looks.remove(&key);
            self.turns.done(&key);
        }
    }

    fn save(&self) -> Option<(u32, Vec<u8>)> {
        Some((1, state::write(&self.models)?))
    }

    fn load(&mut self, format: u32, data: &[u8]) -> bool {
        let read = (format == 1).then(|| state::read(data)).flatten();
        read.map(|models| self.models = models).is_some()
    }
}

impl DataQuality {
    /// The tally of a schema's model, whose rows are counted from now on if it has a profile.
    fn open(&mut self, schema: &Schema) -> Option<Tally> {
        let (key, tally) = self.schemas.entry(schema.id).or_insert_with(|| (schema.model_key(), None));
        if !self.models.contains_key(key) {
            self.models.insert(key.clone(), Model::default());
        }
        if tally.is_none() {
            let span_ns = self.pace.span_ns();
            let entity = &self.settings.entity;
            let spec = TallySpec { name: "data_quality", span_ns, entity, ..TallySpec::default() };
            *tally = Tally::open(schema, &spec);
        }
        *tally
    }

    fn model(&mut self, schema: &Schema) -> Option<&mut Model> {
        self.models.get_mut(&self.schemas.get(&schema.id)?.0)
    }

    /// How old the last row is, whether there is a profile or not.
    fn show_age(&mut self, schema: &Schema, now_ns: u64, out: &mut Outcome) {
        let Some(model) = self.model(schema) else { return };
        // A new instance that was told nothing begins to wait now.
        let last = *model.last_row_ns.get_or_insert(now_ns);
        let age_ns = now_ns.saturating_sub(last);
        let age = age_ns as f64 / 1e9;
        out.set(self.metrics.age, &[], age);
        if let Some(most) = self.settings.max_age {
            out.condition(self.metrics.stale, &[], u128::from(age_ns) > most.as_nanos(), (age, 0));
        }
    }

    /// Without a profile time passes all the same: after some windows nobody watches this model.
    fn without_profile(&mut self, schema: &Schema, now_ns: u64, out: &mut Outcome) {
        let span = self.pace.span_ns();
        let Some(model) = self.model(schema) else { return };
        let waited = *model.waited_ns.get_or_insert(now_ns);
        let over = u32::try_from(now_ns.saturating_sub(waited) / span).unwrap_or(u32::MAX);
        if model.said && over == 0 {
            return;
        }
        model.waited_ns = Some(waited.saturating_add(u64::from(over) * span));
        let misses = model.misses.saturating_add(over);
        self.stand(schema, (State::NoProfile, misses), out);
    }

    /// No window has closed: at first nothing else has been said of the model.
    fn wait(&mut self, schema: &Schema, out: &mut Outcome) {
        if let Some(misses) = self.model(schema).filter(|model| !model.said).map(|model| model.misses) {
            self.stand(schema, (State::NotEnoughData, misses), out);
        }
    }

    /// The profile is long, so it is asked for only now that there is a window.
    fn look(&mut self, schema: &Schema, tally: Tally, closed: &Closed, out: &mut Outcome) {
        let Some(profile) = reference::profile(schema) else { return self.wait(schema, out) };
        // A look borrows the settings while it goes on; they are few.
        let settings = self.settings.clone();
        let case = Case { schema, settings: &settings, tally, profile: &profile, closed };
        self.judge(&case, out);
    }

    /// Judges a window, or a part of it.
    fn judge(&mut self, case: &Case, out: &mut Outcome) {
        let key = case.schema.model_key();
        let begin_ns = case.closed.begin_ns;
        let begun = self.looks.remove(&key).filter(|look| look.begin_ns == begin_ns);
        let mut look = begun.unwrap_or_else(|| Look::new(begin_ns));
        let most = self.turns.take(look.left(case), 1);
        if !look.go_on(case, most) {
            self.looks.insert(key, look);
            return;
        }
        self.turns.take(1, LOOK);
        self.turns.done(&key);
        self.metrics.show_window(case.profile, case.closed, &look, out);
        let state = match self.unfit(case.closed) {
            Some(state) => Some(state),
            None if !self.pace.is_due(case.closed.end_ns, case.closed.last_look_ns) => None,
            None => Some(self.decide(case, &mut look, out)),
        };
        self.metrics.standing.window(state.map_or("skipped", State::as_str), case.closed, out);
        let verdict = Verdict { state, pace: &self.pace, case, look: &look };
        reference::report(case.schema, "data_quality", &verdict.finding());
        let looked = matches!(state, Some(State::Ok | State::Bad));
        if let Some(state) = state {
            let misses = self.model(case.schema).map_or(0, |model| model.misses);
            self.stand(case.schema, (state, if looked { 0 } else { misses.saturating_add(1) }), out);
        }
        case.tally.done(looked);
    }

    /// Why a window cannot be looked at. What was an alarm before stays one: nothing says that it is over.
    fn unfit(&self, closed: &Closed) -> Option<State> {
        if closed.effective < self.settings.min_rows as f64 {
            return Some(State::NotEnoughData);
        }
        let short = closed.observed < self.settings.min_observed * closed.answered;
        short.then_some(State::Incomplete)
    }

    fn decide(&self, case: &Case, look: &mut Look, out: &mut Outcome) -> State {
        check::decide(&mut look.found, look.family, self.pace.level());
        self.metrics.show_look(case.profile, (case.closed, look), out);
        if look.found.iter().any(|it| it.bad) { State::Bad } else { State::Ok }
    }

    fn stand(&mut self, schema: &Schema, (state, misses): (State, u32), out: &mut Outcome) {
        self.metrics.standing.stand(&State::ALL.map(State::as_str), state.as_str(), misses, out);
        if let Some(model) = self.model(schema) {
            (model.misses, model.said) = (misses, true);
        }
    }
}

weir_plugin_sdk::export!(DataQuality);

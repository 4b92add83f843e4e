//! Whether traffic still looks like the reference: a test that holds its level, an effect that matters, and a
//! budget of false alarms.
//!
//! The gateway counts rows in the bins of the model's profile; here a window is judged when it has closed.
//! Test and effect are two numbers: it is drift if both say so.

mod look;
mod metrics;
mod report;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use look::{Bar, Look, Test, judged};
use metrics::Metrics;
use report::{MOST_TESTS, Verdict};
use settings::Settings;
use state::{Standing, State};
use weir_plugin_sdk::log;
use weir_plugin_sdk::looks::Pace;
use weir_plugin_sdk::prelude::*;
use weir_plugin_sdk::reference::{self, Against, Closed, ProfileInfo, Tally, TallySpec};
use weir_plugin_sdk::turns::Turns;

/// Units of work of a call: a unit is a comparison, some eight thousand instructions of ten million.
const CALL: usize = 600;

/// Units of work of showing the reference of one feature, of telling one test, and of all that a window shows
/// at its end.
const SHOWING: usize = 6;
const TELLING: usize = 4;
const CONCLUDING: usize = 50;

/// Judges windows.
#[derive(Debug)]
pub struct Drift {
    settings: Settings,
    pace: Pace,
    against: Against,
    metrics: Metrics,
    known: PerSchema<Known>,
    /// The model of each schema.
    models: Vec<(u32, String)>,
    /// By model: looks that go on.
    looks: BTreeMap<String, Look>,
    turns: Turns,
    /// By model; a new instance is told.
    standing: BTreeMap<String, Standing>,
}

/// What is known of a schema.
#[derive(Clone, Debug, Default)]
struct Known {
    profile: Option<Rc<ProfileInfo>>,
    tally: Option<Tally>,
    /// End of the last window of a model that has no profile.
    waited_ns: Option<u64>,
    /// The reference is shown.
    shown: bool,
}

/// A window and what it is judged by.
struct Case<'a> {
    tally: Tally,
    profile: &'a ProfileInfo,
    closed: &'a Closed,
}

impl Plugin for Drift {
    type Settings = Settings;

    fn configure(settings: Settings, manifest: &mut Manifest, faults: &mut Faults) -> Self {
        let pace = settings.check(faults);
        // Rows are counted by the gateway: no value crosses. The columns are those a profile may have.
        for role in [role::INPUT, role::OUTPUT, role::SCORE] {
            manifest.want(Columns::role(role).unsent());
        }
        manifest.tick_every(Duration::from_secs(1));
        Self {
            against: settings.reference().unwrap_or(Against::Profile),
            metrics: Metrics::declare(manifest, &settings),
            known: PerSchema::default(),
            models: Vec::new(),
            looks: BTreeMap::new(),
            turns: Turns::new(CALL),
            standing: BTreeMap::new(),
            pace,
            settings,
        }
    }

    fn observe(&mut self, batch: &Batch, _: &mut Outcome) {
        // From its first batch on a model is counted.
        self.open(batch.schema());
    }

    fn tick(&mut self, schema: &Schema, now_ns: u64, out: &mut Outcome) {
        self.turns.begin(now_ns);
        let Known { profile: Some(profile), tally: Some(tally), shown, .. } = self.open(schema) else {
            self.without_profile(schema, now_ns, out);
            return;
        };
        if !shown && !self.turns.is_spent() {
            let features = profile.features.len();
            self.turns.take(features.min(self.settings.max_features as usize), SHOWING);
            self.turns.take(features, TELLING);
            self.metrics.show_reference(schema, &profile, out);
            reference::report(
                schema,
                "drift_sensitivity",
                &report::sensitivity(schema, &profile, (&self.settings, &self.pace)),
            );
            self.known.of(schema, Known::default).shown = true;
        }
        match tally.next() {
            Some(_) if !self.turns.has(&schema.model_key()) => {}
            Some(closed) => self.judge(schema, &Case { tally, profile: &profile, closed: &closed }, out),
            None if !self.standing.contains_key(&schema.model_key()) => {
                self.stand(schema, Standing { state: State::NotEnoughData, misses: 0 }, out);
            }
            None => {}
        }
    }

    fn retire(&mut self, schema: &Schema) {
        self.known.remove(schema);
        let model = schema.model_key();
        self.models.retain(|(id, _)| *id != schema.id);
        if !self.models.iter().any(|(_, other)| *other == model) {
            self.standing.remove(&model);
            self.looks.remove(&model);
            self.turns.done(&model);
        }
    }

    fn save(&self) -> Option<(u32, Vec<u8>)> {
        Some((1, Standing::write(&self.standing)))
    }

    fn load(&mut self, format: u32, data: &[u8]) -> bool {
        let read = (format == 1).then(|| Standing::read(data)).flatten();
        read.map(|standing| self.standing = standing).is_some()
    }
}

impl Drift {
    /// What is known of a schema, whose rows are counted from now on if its model has a profile.
    fn open(&mut self, schema: &Schema) -> Known {
        let Self { settings, pace, metrics, known, models, .. } = self;
        if !models.iter().any(|(id, _)| *id == schema.id) {
            models.push((schema.id, schema.model_key()));
        }
        let known = known.of(schema, Known::default);
        if known.profile.is_none() {
            known.profile = reference::profile(schema).map(Rc::new);
        }
        if known.profile.is_some() && known.tally.is_none() {
            let spec = TallySpec {
                name: "drift",
                span_ns: pace.span_ns(),
                keep: settings.kept(),
                segment: (!settings.segment.is_empty()).then_some(&settings.segment),
                segments: settings.segments as u32,
                entity: &settings.entity,
                exported: Some((metrics.bin_rows, settings.max_features as u32)),
                run_length: settings.run_length,
            };
            known.tally = Tally::open(schema, &spec);
        }
        known.clone()
    }

    /// Without a profile time passes all the same: after some windows nobody watches this model.
    fn without_profile(&mut self, schema: &Schema, now_ns: u64, out: &mut Outcome) {
        let span = self.pace.span_ns();
        let known = self.known.of(schema, Known::default);
        let first = known.waited_ns.is_none();
        let waited = *known.waited_ns.get_or_insert(now_ns);
        let over = u32::try_from(now_ns.saturating_sub(waited) / span).unwrap_or(u32::MAX);
        if !first && over == 0 {
            return;
        }
        known.waited_ns = Some(waited.saturating_add(u64::from(over) * span));
        let misses = self.misses(schema).saturating_add(over);
        self.stand(schema, Standing { state: State::NoProfile, misses }, out);
    }

    /// Judges the window, or a part of it.
    fn judge(&mut self, schema: &Schema, case: &Case, out: &mut Outcome) {
        let Case { tally, profile, closed } = case;
        // Asked anew: columns come with the rows that have them.
        let misfits = reference::profile(schema).map_or_else(Vec::new, |it| it.misfits);
        if misfits.iter().any(look::is_refused) {
            let words = "the profile does not fit the traffic, so that nothing is judged (see its findings)";
            log(Level::Warn, &format!("{words}: {}", look::named(&misfits)));
            return self.conclude(schema, case, (State::NoProfile, None), out);
        }
        let min_rows = self.settings.min_rows.unwrap_or(profile.window_rows) as f64;
        if let Some(state) = self.unfit(closed, min_rows) {
            return self.conclude(schema, case, (state, None), out);
        }
        if !self.pace.is_due(closed.end_ns, closed.last_look_ns) {
            self.metrics.standing.window("skipped", closed, out);
            self.turns.done(&schema.model_key());
            return tally.done(false);
        }
        let key = schema.model_key();
        let begun = self.looks.remove(&key).filter(|look| look.begin_ns == closed.begin_ns);
        let features = || judged(profile, &misfits, &self.settings.ignore);
        let mut look = begun.unwrap_or_else(|| Look::new(closed, &features(), min_rows));
        if !self.look_on(*tally, &mut look) || !self.tell_on(case, &mut look) {
            self.looks.insert(key, look);
            return;
        }
        let tests = look.tests.take().unwrap_or_default();
        let state = match look.compared.as_slice() {
            // The other side has no window yet.
            [] => return self.conclude(schema, case, (State::NotEnoughData, None), out),
            _ if tests.iter().any(|test| test.drift) => State::Drift,
            _ => State::Ok,
        };
        self.conclude(schema, case, (state, Some((&look, &tests))), out);
    }

    /// Compares and tests, as far as the call's work goes; true once that is done.
    fn look_on(&mut self, tally: Tally, look: &mut Look) -> bool {
        if look.tests.is_none() {
            if !look.go_on(tally, &self.against, &mut self.turns) {
                return false;
            }
            let bar = Bar { level: self.pace.level(), min_effect: self.settings.min_effect };
            look.tests = Some(look.tests(bar, MOST_TESTS));
        }
        true
    }

    /// Puts together what is told of the tests, as far as the call's work goes; true once that is done.
    fn tell_on(&mut self, case: &Case, look: &mut Look) -> bool {
        let Some(tests) = look.tests.take() else { return true };
        let all = tests.len().min(MOST_TESTS);
        let from = look.told.len();
        let to = from + self.turns.take(all - from, TELLING);
        for (at, test) in tests.iter().enumerate().take(to).skip(from) {
            look.told.push(report::test(case.profile, case.closed, (look, test), at).to_string());
        }
        look.tests = Some(tests);
        to == all && !self.turns.is_spent()
    }

    /// Why a window cannot be looked at; decided before any of its values is.
    fn unfit(&self, closed: &Closed, min_rows: f64) -> Option<State> {
        if closed.effective < min_rows.max(1.0) {
            return Some(State::NotEnoughData);
        }
        let short = closed.observed < self.settings.min_observed * closed.answered;
        short.then_some(State::Incomplete)
    }

    /// The window has its verdict, or the reason why it has none.
    fn conclude(
        &mut self,
        schema: &Schema,
        case: &Case,
        (state, look): (State, Option<(&Look, &[Test])>),
        out: &mut Outcome,
    ) {
        let Case { tally, profile, closed } = case;
        self.turns.take(1, CONCLUDING);
        self.turns.done(&schema.model_key());
        self.metrics.standing.window(state.as_str(), closed, out);
        self.metrics.show_window(closed, out);
        let changes = self.metrics.show_changes(profile, *tally, out);
        if let Some((look, tests)) = look {
            self.metrics.show_look(profile, look, tests, out);
        }
        let misses = if state.is_verdict() { 0 } else { self.misses(schema).saturating_add(1) };
        self.stand(schema, Standing { state, misses }, out);
        let misfits = reference::profile(schema).map_or_else(Vec::new, |it| it.misfits);
        let verdict = Verdict {
            state,
            misfits: &misfits,
            by: (&self.settings, &self.pace),
            profile,
            closed,
            changes: &changes,
            look,
        };
        reference::report_text(schema, "drift", &verdict.finding());
        tally.done(state.is_verdict());
    }

    fn misses(&self, schema: &Schema) -> u32 {
        self.standing.get(&schema.model_key()).map_or(0, |standing| standing.misses)
    }

    /// Says how the model stands.
    fn stand(&mut self, schema: &Schema, standing: Standing, out: &mut Outcome) {
        let Standing { state, misses } = standing;
        self.metrics.standing.stand(&State::ALL.map(State::as_str), state.as_str(), misses, out);
        self.standing.insert(schema.model_key(), standing);
    }
}

weir_plugin_sdk::export!(Drift);

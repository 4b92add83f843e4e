//! All that an evaluation decides. No clock, no file, no network: time and samples are arguments.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_config::{Severity, Slo};
use weir_exchange::ConditionState;
use weir_telemetry::Points;

use crate::alert::{Alert, Fingerprint};
use crate::common::{Common, Firing};
use crate::evaluate::{Counts, Found, found, look};
use crate::machine::{Active, Evidence, Holds, Machine, Moment, State};
use crate::rule::{Plan, Query, Rule, Words};
use crate::slo::Live;
use crate::status::{AlertStatus, EvidenceRecord, RuleStatus, SloWithAlerts};
use crate::store::Store;

/// The name of the alerts of all objectives.
pub const SLO_ALERT: &str = "SLOErrorBudgetBurn";
/// The name of the alert that always fires.
pub const WATCHDOG: &str = "Watchdog";

/// Ended alerts whose evidence is kept.
const REMEMBERED: usize = 256;
/// How long a restored alert waits to be measured, at least.
const PATIENCE_MS: u64 = 300_000;
/// How long one of an objective does: its windows fill slowly.
const SLO_PATIENCE_MS: u64 = 6 * 3_600_000;
/// What is measured so soon after the start may be what is taken for granted until somebody has looked: an
/// endpoint is ready until it was probed, which takes two seconds at most unless told otherwise.
const SETTLING_MS: u64 = 5000;
/// Labels that say what an alert is about: one explains another only if those they share are equal.
pub(crate) const SCOPE: [&str; 3] = ["route", "model", "model_version"];

/// What an evaluation goes by.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Unix time in ms on the gateway's own clock, which neither jumps nor goes back.
    pub at_ms: u64,
    /// Unix time in ms, for maintenance.
    pub wall_ms: u64,
    pub generation: u64,
    pub points: &'a [Points],
    /// Plugin keys and what they say.
    pub conditions: &'a [(Arc<str>, ConditionState)],
}

/// What an evaluation came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// All that fires and of which somebody is to be told.
    pub firing: Vec<Alert>,
    /// What ended.
    pub resolved: Vec<Alert>,
    /// Something began or ended: what is stored is old.
    pub changed: bool,
}

/// What survives a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    /// On the gateway's own clock.
    pub at_ms: u64,
    rules: BTreeMap<String, Vec<Active>>,
    slos: BTreeMap<String, Vec<Active>>,
    told: Vec<Alert>,
    records: Vec<EvidenceRecord>,
    ended: VecDeque<EvidenceRecord>,
}

/// Rules and objectives at work.
#[derive(Debug)]
pub struct Engine {
    common: Common,
    rules: Vec<Rule>,
    machines: BTreeMap<Arc<str>, Machine>,
    store: Store,
    slos: Vec<Live>,
    slo_machines: BTreeMap<Arc<str>, Machine>,
    /// What fires and was or would be told, by identity.
    told: BTreeMap<Fingerprint, Alert>,
    /// What everything that fires fired on, told or not.
    records: BTreeMap<Fingerprint, EvidenceRecord>,
    ended: VecDeque<EvidenceRecord>,
    started_ms: u64,
    last_ms: Option<u64>,
    /// When the windows of objectives last began anew: the start, or another interval.
    windows_since_ms: u64,
    /// What the machines had seen when it was last said what changed.
    changes: u64,
}

impl Engine {
    /// Rules and objectives that begin at `at_ms`.
    pub fn new(plan: Plan, common: Common, at_ms: u64) -> Self {
        let mut engine = Self {
            common,
            rules: Vec::new(),
            machines: BTreeMap::new(),
            store: Store::default(),
            slos: Vec::new(),
            slo_machines: BTreeMap::new(),
            told: BTreeMap::new(),
            records: BTreeMap::new(),
            ended: VecDeque::new(),
            started_ms: at_ms,
            last_ms: None,
            windows_since_ms: at_ms,
            changes: 0,
        };
        let common = engine.common.clone();
        engine.replace(plan, common);
        engine
    }

    /// Goes on with other rules. What fires under a rule that is gone, or under labels it has no more, ends
    /// at the next evaluation.
    pub fn replace(&mut self, plan: Plan, common: Common) {
        let other_interval = common.alerting.interval != self.common.alerting.interval;
        self.common = common;
        self.store.watch(&plan.rules, self.interval_ms());
        self.machines.retain(|name, _| plan.rules.iter().any(|rule| rule.name() == name));
        self.rules = plan.rules;
        let at_ms = self.last_ms.unwrap_or(self.started_ms);
        for rule in self.rules.iter().filter(|rule| !rule.is_known(&self.store, at_ms)) {
            if let Some(machine) = self.machines.get_mut(rule.name()) {
                machine.doubt();
            }
        }
        if other_interval {
            self.windows_since_ms = at_ms;
            self.slo_machines.values_mut().for_each(Machine::doubt);
        }
        let (interval_ns, durable) = (self.interval_ms() * 1_000_000, self.common.durable);
        let mut before: Vec<Live> = std::mem::take(&mut self.slos);
        for (slo, words) in plan.slos {
            let same = |live: &Live| {
                live.slo.event.name == slo.event.name && live.slo.event.definition == slo.event.definition
            };
            let live = match before.iter().position(same) {
                Some(at) if !other_interval => before.swap_remove(at).with(slo, words),
                Some(at) => before.swap_remove(at).with_interval(slo, words, interval_ns, at_ms * 1_000_000),
                None => Live::new(slo, words, interval_ns, durable),
            };
            self.slos.push(live);
        }
        let slos = &self.slos;
        self.slo_machines.retain(|name, _| slos.iter().any(|live| live.slo.name() == name));
    }

    fn interval_ms(&self) -> u64 {
        self.common.alerting.interval.as_millis() as u64
    }

    /// How often rules are evaluated, in ns.
    pub(crate) fn interval_ns(&self) -> u64 {
        self.interval_ms() * 1_000_000
    }

    /// The metrics that rules and objectives look at.
    pub fn wants(&self) -> Vec<Arc<str>> {
        self.store.wants().cloned().collect()
    }

    /// One evaluation.
    pub fn step(&mut self, input: &Input<'_>) -> Outcome {
        self.count(input);
        self.store.take(input.at_ms as i64, input.points);
        self.last_ms = Some(input.at_ms);
        let mut firing = self.rules_firing(input);
        firing.extend(self.slos_firing(input));
        firing.extend(self.watchdog(input.at_ms));
        self.mute(&mut firing, input.wall_ms);
        self.tell(firing, input)
    }

    /// Counts the events of objectives once more, before what was counted is stored for the last time.
    pub fn last_count(&mut self, input: &Input<'_>) {
        self.count(input);
        self.last_ms = Some(input.at_ms);
    }

    /// Events of the objectives since the last look.
    fn count(&mut self, input: &Input<'_>) {
        let covered = input.at_ms - self.last_ms.unwrap_or(self.started_ms).min(input.at_ms);
        let events = crate::events::totals(input.points);
        for live in &mut self.slos {
            let key = (live.slo.event.name.clone(), live.slo.event.definition.clone());
            let now = events.get(&key).copied().unwrap_or_default();
            live.count(input.at_ms * 1_000_000, now, covered * 1_000_000);
        }
    }

    fn rules_firing(&mut self, input: &Input<'_>) -> Vec<Firing> {
        let mut all = Vec::new();
        for rule in &self.rules {
            let machine = self.machines.entry(rule.name().clone()).or_default();
            let look = if machine.waits() { look } else { found };
            let mut seen = look(rule, &self.store, input.at_ms as i64);
            if let Query::Condition { plugin, condition, .. } = &rule.query {
                let said = Said { plugin, condition, all: input.conditions };
                seen.found.iter_mut().for_each(|found| said.tell_value(found));
                // A gauge is 0 before the plugin has said anything.
                seen.measured.retain(|labels| said.of(labels).is_some());
            }
            // Until its window has been seen whole, a value that does not hold proves nothing, and a small
            // increase is none.
            let young = !rule.is_known(&self.store, input.at_ms);
            if young && rule.is_about_little() {
                seen.found.clear();
            }
            let since_start = input.at_ms.saturating_sub(self.started_ms);
            let settling = !rule.config.measure.has_window() && since_start < SETTLING_MS;
            let (patient, young) = (since_start < PATIENCE_MS, young || settling);
            let now = Moment { at_ms: input.at_ms, generation: input.generation, patient, young };
            machine.step(&seen.found, &seen.measured, holds(rule), now);
            for active in machine.active().filter(|active| active.state == State::Firing) {
                all.push(self.common.firing(
                    (rule.name(), rule.name()),
                    &rule.words,
                    &rule.config.telling,
                    active,
                ));
            }
        }
        all
    }

    fn slos_firing(&mut self, input: &Input<'_>) -> Vec<Firing> {
        let now_ns = input.at_ms * 1_000_000;
        let patient = input.at_ms.saturating_sub(self.windows_since_ms) < SLO_PATIENCE_MS;
        let now = Moment { at_ms: input.at_ms, generation: input.generation, patient, young: false };
        let mut all = Vec::new();
        for live in &self.slos {
            let looks = live.look(now_ns);
            let found: Vec<Found> = looks.iter().filter_map(|(_, found, _)| found.clone()).collect();
            let known =
                looks.iter().filter(|(.., known)| *known).map(|(severity, ..)| live.labels(*severity));
            let measured: Vec<_> = known.collect();
            let machine = self.slo_machines.entry(live.slo.name().clone()).or_default();
            machine.step(&found, &measured, Holds { hold_ms: 0, keep_ms: 0 }, now);
            for active in machine.active().filter(|active| active.state == State::Firing) {
                let name = live.slo.name();
                let mut firing =
                    self.common.firing((name, SLO_ALERT), &live.words, &live.slo.telling, active);
                let severity = if is_page(&active.found) { Severity::Page } else { Severity::Ticket };
                for (key, text) in live.annotations(now_ns, severity) {
                    firing.alert.annotations.entry(key).or_insert(text);
                }
                all.push(firing);
            }
        }
        all
    }

    fn watchdog(&self, at_ms: u64) -> Option<Firing> {
        if !self.common.alerting.watchdog {
            return None;
        }
        let evidence = Evidence { value: None, counts: Counts::default(), at_ms, generation: 0 };
        let labels = BTreeMap::from([("severity".to_owned(), "none".to_owned())]);
        let mut active = Active::firing(labels, evidence);
        let mut firing =
            self.common.firing((&WATCHDOG.into(), WATCHDOG), &Words::default(), &Default::default(), &active);
        if let Some(before) = self.told.get(&firing.alert.fingerprint()) {
            active.fired_ms = before.starts_at_ms;
            firing.alert.starts_at_ms = before.starts_at_ms;
        }
        let words = "Alerts of this gateway get through. If this one is missing, they do not.";
        firing.alert.annotations.insert("summary".to_owned(), words.to_owned());
        Some(firing)
    }

    /// Who is not told of anew: what another alert explains, what maintenance covers, a ticket beside a page.
    fn mute(&self, firing: &mut [Firing], wall_ms: u64) {
        let mut fires: BTreeMap<Arc<str>, Vec<BTreeMap<String, String>>> = BTreeMap::new();
        // Nobody is told of a dry run: it explains nothing.
        for one in firing.iter().filter(|one| !one.dry_run) {
            fires.entry(one.source.clone()).or_default().push(one.active.found.clone());
        }
        let under_way: Vec<_> =
            self.common.alerting.maintenance.iter().filter(|one| one.holds(wall_ms)).collect();
        for one in firing.iter_mut() {
            let found = &one.active.found;
            let of = |name: &str| fires.get(name).map_or(&[][..], Vec::as_slice);
            let explained =
                one.unless.iter().any(|name| of(name).iter().any(|other| same_scope(other, found)));
            let is_ticket = one.alert.name() == SLO_ALERT && !is_page(found);
            let paged = is_ticket && of(&one.source).iter().any(is_page);
            let covers =
                |names: &[String]| names.is_empty() || names.iter().any(|name| **name == *one.source);
            let maintained = one.alert.name() != WATCHDOG && under_way.iter().any(|m| covers(&m.alerts));
            one.alert.muted = explained || paged || maintained;
        }
    }

    fn tell(&mut self, firing: Vec<Firing>, input: &Input<'_>) -> Outcome {
        let mut records = std::mem::take(&mut self.records);
        let mut now = BTreeMap::new();
        for one in firing {
            let fingerprint = one.alert.fingerprint();
            let record = records.remove(&fingerprint);
            let mut record = record.unwrap_or_else(|| self.record(&one));
            record.last = one.active.last;
            self.records.insert(fingerprint, record);
            if !one.dry_run {
                now.insert(fingerprint, one.alert);
            }
        }
        self.ended.extend(records.into_values().map(|mut record| {
            record.alert.ends_at_ms = Some(input.at_ms);
            record
        }));
        self.ended.drain(..self.ended.len().saturating_sub(REMEMBERED));
        let before = std::mem::replace(&mut self.told, now);
        let began = self.told.keys().any(|fingerprint| !before.contains_key(fingerprint));
        let gone = before.into_iter().filter(|(fingerprint, _)| !self.told.contains_key(fingerprint));
        let ended = |(_, alert)| Alert { ends_at_ms: Some(input.at_ms), muted: false, ..alert };
        let resolved: Vec<Alert> = gone.map(ended).collect();
        let machines = self.machines.values().chain(self.slo_machines.values());
        let changes: u64 = machines.map(Machine::changes).sum();
        let moved = std::mem::replace(&mut self.changes, changes) != changes;
        let firing = self.told.values().cloned().collect();
        Outcome { firing, changed: moved || began || !resolved.is_empty(), resolved }
    }

    fn record(&self, firing: &Firing) -> EvidenceRecord {
        let rule = self.rules.iter().find(|rule| *rule.name() == firing.source);
        EvidenceRecord::of(
            &firing.alert,
            rule,
            firing.active.at_firing.as_ref().unwrap_or(&firing.active.last),
        )
    }

    /// What to store.
    pub fn saved(&self) -> Saved {
        let active = |machine: &Machine| machine.active().cloned().collect();
        let of = |machines: &BTreeMap<Arc<str>, Machine>| {
            machines.iter().map(|(name, machine)| (name.to_string(), active(machine))).collect()
        };
        let slo = |live: &Live| {
            let machine = self.slo_machines.get(live.slo.name());
            (slo_key(&live.slo), machine.map(active).unwrap_or_default())
        };
        Saved {
            at_ms: self.last_ms.unwrap_or(self.started_ms),
            rules: of(&self.machines),
            slos: self.slos.iter().map(slo).collect(),
            told: self.told.values().cloned().collect(),
            records: self.records.values().cloned().collect(),
            ended: self.ended.clone(),
        }
    }

    /// Goes on from what was stored; after an outage of over an hour, what was pending begins anew.
    pub fn restore(&mut self, saved: Saved) {
        const TOLERANCE_MS: u64 = 3_600_000;
        // The clock went back: what was stored is not of the future.
        let back_ms = saved.at_ms.saturating_sub(self.started_ms);
        let long = self.started_ms.saturating_sub(saved.at_ms) > TOLERANCE_MS;
        let fit = |all: Vec<Active>| -> Vec<Active> {
            let kept = all.into_iter().filter(|active| !long || active.state == State::Firing);
            kept.map(|active| active.shifted(back_ms)).collect()
        };
        for (name, active) in saved.rules {
            if let Some(rule) = self.rules.iter().find(|rule| **rule.name() == *name) {
                self.machines.entry(rule.name().clone()).or_default().restore(fit(active));
            }
        }
        for (key, active) in saved.slos {
            if let Some(live) = self.slos.iter().find(|live| slo_key(&live.slo) == key) {
                self.slo_machines.entry(live.slo.name().clone()).or_default().restore(fit(active));
            }
        }
        let told = saved
            .told
            .into_iter()
            .map(|alert| Alert { starts_at_ms: alert.starts_at_ms.saturating_sub(back_ms), ..alert });
        self.told = told.map(|alert| (alert.fingerprint(), alert)).collect();
        self.records = saved.records.into_iter().map(|record| (record.fingerprint, record)).collect();
        self.ended = saved.ended;
    }

    /// Every rule and what it says.
    pub fn rules(&self) -> Vec<RuleStatus> {
        let of = |rule: &Rule| {
            RuleStatus::of(rule, self.alerts(self.machines.get(rule.name()), rule.name(), &rule.words))
        };
        self.rules.iter().map(of).collect()
    }

    /// The alerts of one rule or objective, which calls them by this name.
    fn alerts(&self, machine: Option<&Machine>, name: &str, words: &Words) -> Vec<AlertStatus> {
        let of = |active: &Active| {
            let labels = self.common.labels(name, words, active);
            let told = self.told.get(&Fingerprint::of(&labels));
            AlertStatus::of(&labels, active, told.is_some_and(|alert| alert.muted))
        };
        machine.into_iter().flat_map(Machine::active).map(of).collect()
    }

    /// Every objective as it stands at a moment, with its alerts.
    pub fn slo_status(&self, at_ms: u64) -> Vec<SloWithAlerts> {
        let of = |live: &Live| {
            let machine = self.slo_machines.get(live.slo.name());
            SloWithAlerts {
                slo: live.status(at_ms * 1_000_000),
                alerts: self.alerts(machine, SLO_ALERT, &live.words),
            }
        };
        self.slos.iter().map(of).collect()
    }

    pub(crate) fn lives(&mut self) -> &mut [Live] {
        &mut self.slos
    }

    /// What everything that ended lately, then everything that fires, fired on.
    pub fn records(&self) -> impl Iterator<Item = &EvidenceRecord> {
        self.ended.iter().chain(self.records.values())
    }

    /// The evidence of an alert that fires, or that ended lately.
    pub fn evidence(&self, fingerprint: Fingerprint) -> Option<&EvidenceRecord> {
        self.records
            .get(&fingerprint)
            .or_else(|| self.ended.iter().rev().find(|r| r.fingerprint == fingerprint))
    }

    /// Bytes of samples and of windows.
    pub fn bytes(&self) -> (usize, usize) {
        (self.store.bytes(), self.slos.iter().map(Live::bytes).sum())
    }

    /// The objectives as they are configured.
    pub fn objectives(&self) -> impl Iterator<Item = &Slo> {
        self.slos.iter().map(|live| &live.slo)
    }
}

fn holds(rule: &Rule) -> Holds {
    let ms = |period: Duration| period.as_millis() as u64;
    Holds { hold_ms: ms(rule.config.hold), keep_ms: ms(rule.config.keep_firing_for) }
}

/// What a plugin says of a condition.
struct Said<'a> {
    plugin: &'a str,
    condition: &'a str,
    all: &'a [(Arc<str>, ConditionState)],
}

impl Said<'_> {
    /// Of the label set of its gauge.
    fn of(&self, labels: &BTreeMap<String, String>) -> Option<&ConditionState> {
        let is = |state: &ConditionState| {
            let mut said = state.labels.iter();
            *state.name == *self.condition
                && said.all(|(name, value)| labels.get(&**name).map_or("", |v| v) == &**value)
        };
        self.all.iter().find(|(key, state)| **key == *self.plugin && is(state)).map(|(_, state)| state)
    }

    /// A condition's gauge is 1; what people want to read is the value it was decided on.
    fn tell_value(&self, found: &mut Found) {
        if let Some(state) = self.of(&found.labels) {
            found.value = state.value;
            found.counts.events = Some(state.count as f64);
        }
    }
}

fn is_page(found: &BTreeMap<String, String>) -> bool {
    found.get("severity").is_some_and(|severity| severity == Severity::Page.as_str())
}

fn slo_key(slo: &Slo) -> String {
    format!("{}@{}", slo.name(), slo.event.definition)
}

/// Alerts are about the same if the labels that both have are equal.
fn same_scope(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> bool {
    SCOPE.iter().all(|label| match (a.get(*label), b.get(*label)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    })
}

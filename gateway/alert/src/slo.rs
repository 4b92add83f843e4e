//! Objectives at work: events into windows, windows into burn rates, burn rates into alerts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use weir_config::{Burn, Severity, Slo};
use weir_exchange::status::ObjectiveBrief;
use weir_stats::slo::{EventLog, Pair, PairState, RestoreError, Snapshot, Sum, budget_left, burn, judge};

use crate::evaluate::{Counts, Found};
use crate::rule::Words;

const SECOND_NS: u64 = 1_000_000_000;
const HOUR_NS: u64 = 3600 * SECOND_NS;
/// The window in which traffic is called quiet or not.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
const DAY_NS: u64 = 24 * HOUR_NS;
/// Windows beyond this need a file to survive a restart: what lies before the start is unknown without one.
const WITHOUT_FILE: Duration = Duration::from_secs(6 * 3600);

/// One objective and what was counted for it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) slo: Slo,
    pub(crate) words: Words,
    log: EventLog,
    /// What the counters said at the last look: good and bad.
    seen: (u64, u64),
    /// Counted since the log was last stored.
    pub(crate) unsaved_bad: bool,
    durable: bool,
}

/// How an objective stands.
#[derive(Clone, Debug, Serialize)]
pub struct SloStatus {
    pub name: Arc<str>,
    pub definition: Arc<str>,
    pub objective: f64,
    pub window_seconds: u64,
    /// Events of the window.
    pub good: u64,
    pub bad: u64,
    /// Share of the window that was observed.
    pub covered: f64,
    /// Share of the error budget that is left; below 0 it is overspent.
    pub budget_left: f64,
    /// Bad events in a row, within 24 hours.
    pub consecutive_bad: u64,
    pub pairs: Vec<PairStatus>,
}

/// How a pair of windows stands.
#[derive(Clone, Debug, Serialize)]
pub struct PairStatus {
    pub severity: &'static str,
    pub long: String,
    pub short: String,
    pub factor: f64,
    /// `None` without events.
    pub long_burn: Option<f64>,
    pub short_burn: Option<f64>,
    pub long_covered: f64,
    pub short_covered: f64,
    pub burning: bool,
    /// Enough of both windows was observed to say so.
    pub known: bool,
    /// The window is too long to be known without `gateway.state_dir`.
    pub needs_state_dir: bool,
}

impl Live {
    /// `durable`: what is counted is stored.
    pub(crate) fn new(slo: Slo, words: Words, interval_ns: u64, durable: bool) -> Self {
        let log = EventLog::new(interval_ns, slo.window.as_nanos() as u64);
        Self { slo, words, log, seen: (0, 0), unsaved_bad: false, durable }
    }

    /// Goes on with other words and pairs, and everything that was counted.
    pub(crate) fn with(self, slo: Slo, words: Words) -> Self {
        Self { slo, words, ..self }
    }

    /// Goes on with another interval: the long windows are those of before, the short ones begin anew.
    pub(crate) fn with_interval(self, slo: Slo, words: Words, interval_ns: u64, now_ns: u64) -> Self {
        let (seen, durable) = (self.seen, self.durable);
        let mut live = Self::new(slo, words, interval_ns, durable);
        live.seen = seen;
        // What this process counted itself can be gone on from; if not, the windows are new.
        let _ = live.restore(self.snapshot(), interval_ns, now_ns);
        live
    }

    /// Takes what the counters say now. They count this process' events: what they say at the first look is
    /// all new.
    pub(crate) fn count(&mut self, now_ns: u64, (good, bad): (u64, u64), covered_ns: u64) {
        let (more_good, more_bad) = (good.saturating_sub(self.seen.0), bad.saturating_sub(self.seen.1));
        self.seen = (good, bad);
        self.unsaved_bad |= more_bad > 0;
        self.log.add(now_ns, more_good, more_bad, covered_ns);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.log.snapshot()
    }

    pub(crate) fn restore(
        &mut self,
        snapshot: Snapshot,
        interval_ns: u64,
        now_ns: u64,
    ) -> Result<(), RestoreError> {
        // Of another interval the short windows begin anew, the long ones go on.
        let snapshot = snapshot.with_tick(interval_ns.clamp(SECOND_NS, HOUR_NS));
        self.log = EventLog::restore(interval_ns, self.slo.window.as_nanos() as u64, &snapshot, now_ns)?;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.log.bytes()
    }

    pub(crate) fn sum(&self, now_ns: u64, window: Duration) -> Sum {
        self.log.sum(now_ns, window.as_nanos() as u64)
    }

    /// Whether a pair can be judged here at all.
    fn can_judge(&self, pair: &Burn) -> bool {
        self.durable || pair.long <= WITHOUT_FILE
    }

    fn pair(&self, now_ns: u64, pair: &Burn) -> (PairState, Sum, Sum) {
        let (long, short) = (self.sum(now_ns, pair.long), self.sum(now_ns, pair.short));
        let as_pair = Pair {
            long_ns: pair.long.as_nanos() as u64,
            short_ns: pair.short.as_nanos() as u64,
            factor: pair.factor,
            severity: pair.severity,
        };
        let mut state = judge(&as_pair, long, short, self.slo.objective, self.slo.min_bad);
        if !self.can_judge(pair) {
            (state.burning, state.known) = (false, false);
        }
        (state, long, short)
    }

    /// Bad events in a row within 24 hours.
    fn consecutive_bad(&self, now_ns: u64) -> u64 {
        self.log.run(now_ns, DAY_NS).bad
    }

    /// Whether a row of bad events is long enough. Where there is too little traffic for any pair that counts
    /// events; where there is enough, evaluations, so that one moment of failure is left to the pairs.
    fn in_a_row(&self, now_ns: u64) -> bool {
        let run = self.log.run(now_ns, DAY_NS);
        let least = self.slo.consecutive_bad;
        let hour = self.log.sum(now_ns, HOUR_NS);
        let quiet = ((hour.good + hour.bad) as f64) < enough_an_hour(&self.slo);
        least > 0 && run.bad >= least && (quiet || run.ticks >= least)
    }

    /// The alert of each severity: whether it holds, and whether there was enough to go by.
    pub(crate) fn look(&self, now_ns: u64) -> Vec<(Severity, Option<Found>, bool)> {
        let mut all = Vec::new();
        for severity in Severity::ALL {
            let pairs: Vec<_> = self.slo.burn.iter().filter(|pair| pair.severity == severity).collect();
            let states: Vec<_> = pairs.iter().map(|pair| (pair, self.pair(now_ns, pair))).collect();
            let row = severity == Severity::Page && self.in_a_row(now_ns);
            if pairs.is_empty() && !row {
                continue;
            }
            let burning = states.iter().filter(|(_, (state, ..))| state.burning);
            let fastest = burning.max_by(|a, b| {
                a.1.0.long_burn.partial_cmp(&b.1.0.long_burn).unwrap_or(std::cmp::Ordering::Equal)
            });
            let found = match fastest {
                Some((_, (state, long, _))) => Some((state.long_burn, *long)),
                None if row => {
                    let day = self.log.sum(now_ns, DAY_NS);
                    Some((burn(day, self.slo.objective), day))
                }
                None => None,
            };
            let known = states.iter().all(|(_, (state, ..))| state.known);
            all.push((severity, found.map(|(burn, sum)| self.found(severity, burn, sum)), known));
        }
        all
    }

    /// The labels of the alert of a severity.
    pub(crate) fn labels(&self, severity: Severity) -> BTreeMap<String, String> {
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        BTreeMap::from([of("slo", self.slo.name()), of("severity", severity.as_str())])
    }

    fn found(&self, severity: Severity, burn: Option<f64>, sum: Sum) -> Found {
        let (bad, all) = (sum.bad as f64, (sum.good + sum.bad) as f64);
        let counts = Counts { part: Some(bad), whole: Some(all), events: Some(all), series: 1 };
        Found { labels: self.labels(severity), value: burn.unwrap_or(f64::NAN), counts }
    }

    /// What Weir itself says of the alert: which pairs burn, and what is left.
    pub(crate) fn annotations(&self, now_ns: u64, severity: Severity) -> BTreeMap<String, String> {
        let status = self.status(now_ns);
        let mut burning: Vec<String> = status
            .pairs
            .iter()
            .filter(|pair| pair.burning && pair.severity == severity.as_str())
            .map(|pair| {
                let (burn, limit) = (pair.long_burn.unwrap_or(f64::NAN), short_number(pair.factor));
                format!("{}/{} at {burn:.1}x (limit {limit}x)", pair.long, pair.short)
            })
            .collect();
        if severity == Severity::Page && self.in_a_row(now_ns) {
            burning.push(format!("{} bad events in a row", status.consecutive_bad));
        }
        if burning.is_empty() {
            burning.push("as before the restart: not enough has been observed since to say".to_owned());
        }
        let seen = status.covered * 100.0;
        let left = format!("{:.1} % ({seen:.1} % of the window was observed)", status.budget_left * 100.0);
        let all = [("summary", summary(&self.slo)), ("burning", burning.join(", ")), ("budget_left", left)];
        all.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    pub(crate) fn status(&self, now_ns: u64) -> SloStatus {
        let whole = self.sum(now_ns, self.slo.window);
        let pairs = self.slo.burn.iter().map(|pair| {
            let (state, long, short) = self.pair(now_ns, pair);
            PairStatus {
                severity: pair.severity.as_str(),
                long: weir_config::period(pair.long),
                short: weir_config::period(pair.short),
                factor: pair.factor,
                long_burn: state.long_burn.filter(|burn| burn.is_finite()),
                short_burn: state.short_burn.filter(|burn| burn.is_finite()),
                long_covered: long.covered,
                short_covered: short.covered,
                burning: state.burning,
                known: state.known,
                needs_state_dir: !self.can_judge(pair),
            }
        });
        SloStatus {
            name: self.slo.name().clone(),
            definition: self.slo.event.definition.clone(),
            objective: self.slo.objective,
            window_seconds: self.slo.window.as_secs(),
            good: whole.good,
            bad: whole.bad,
            covered: whole.covered,
            budget_left: budget_left(whole, self.slo.objective),
            consecutive_bad: self.consecutive_bad(now_ns),
            pairs: pairs.collect(),
        }
    }
}

/// Events an hour at which the most urgent pair holds `min_bad` when it begins to burn.
pub(crate) fn enough_an_hour(slo: &Slo) -> f64 {
    let largest = slo.burn.iter().map(|pair| pair.factor).fold(0.0, f64::max);
    slo.min_bad as f64 / (largest * (1.0 - slo.objective))
}

/// What Weir says of an objective's alerts.
pub(crate) fn summary(slo: &Slo) -> String {
    let objective = slo.objective * 100.0;
    format!("The error budget of `{}` burns ({objective:.4} % of events are to be good)", slo.name())
}

impl SloStatus {
    /// In a line; `burning`: an alert of it fires.
    pub(crate) fn brief(&self, burning: bool) -> ObjectiveBrief {
        ObjectiveBrief {
            name: self.name.clone(),
            objective: self.objective,
            good: self.good,
            bad: self.bad,
            budget_left: self.budget_left,
            burning,
        }
    }
}

/// What `weir check` says of an objective: at which share of bad events each pair fires, and how much traffic
/// it takes to mean something.
pub(crate) fn notes(slo: &Slo) -> Vec<String> {
    let budget = 1.0 - slo.objective;
    let pair = |pair: &Burn| {
        let (long, short) = (weir_config::period(pair.long), weir_config::period(pair.short));
        let bad = pair.factor * budget * 100.0;
        // The long window must hold `min_bad` events at just the share that fires.
        let events = slo.min_bad as f64 / (pair.factor * budget) / pair.long.as_secs_f64() * 86_400.0;
        let severity = pair.severity.as_str();
        format!(
            "{severity} when over {} % of events are bad in {long} and in {short} ({} events a day or more make that mean something)",
            short_number(bad),
            events.ceil()
        )
    };
    let mut lines = vec![format!(
        "slo.{}: {} % over {}",
        slo.name(),
        short_number(slo.objective * 100.0),
        weir_config::period(slo.window)
    )];
    lines.extend(slo.burn.iter().map(|one| format!("  {}", pair(one))));
    if slo.consecutive_bad > 0 {
        let busy = enough_an_hour(slo).ceil();
        let n = slo.consecutive_bad;
        lines.push(format!(
            "  page after {n} bad events in a row within a day (from {busy} events an hour on: {n} evaluations)"
        ));
    }
    lines.push("  a pair is judged once its short window and half of its long one were observed".to_owned());
    if slo.lowered {
        let words = "the workbook's factors would need more than half of all events to be bad; lowered to";
        lines.push(format!("  ({words} {})", short_number(weir_config::largest_factor(slo.objective))));
    }
    lines
}

/// Four significant digits, without zeros at the end.
pub(crate) fn short_number(x: f64) -> String {
    let digits = (3 - x.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

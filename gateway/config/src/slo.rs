//! `[slo.NAME]`: what share of events must be good, and when somebody is told that it will not be.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use toml::de::DeTable;
use weir_exchange::{Aim, Objective, Stance};
use weir_stats::slo::{Severity, largest_factor};

use crate::alert::{Telling, telling};
use crate::fault::Place;
use crate::key::{Table, section};
use crate::kind::{
    Bool, Count, Entry, List, Number, Pairs, Period, Placed, Tables, Text, Word, Words, period,
};
use crate::limits::DAY;
use crate::reader::{At, Reader};
use crate::section::{Keys, read};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

section! {
    /// A service level objective: a share of good events over a rolling window. Without `latency_under`,
    /// `confidence_at_least`, `decodable` or `condition` it is availability: requests that get an answer.
    pub(crate) struct SloKeys {
        /// Share of the events that must be good, such as 0.999.
        objective: Option<At<f64>> = required("0.999", Placed(Number::new(0.0, 1.0)));
        /// The rolling window the objective is kept over.
        window: Duration = default("\"30d\"", Period::new(DAY, Duration::from_secs(90 * 86_400)));
        /// Routes whose events count; [] for all.
        pub(crate) routes: Vec<At<String>> = default("[]", List::up_to(1000, Placed(Text)));
        /// A request is good if it is answered, without an error, within this time.
        latency_under: Option<Duration> = optional("\"500ms\"", Period::new(MS, DAY));
        /// A predicted row is good if its highest class score is this or more.
        confidence_at_least: Option<f64> = optional("0.6", Number::new(0.0, 1.0));
        /// True: an observed exchange is good if both of its bodies can be read and fit together.
        decodable: bool = default("false", Bool);
        /// A predicted row is good if it comes while this condition, PLUGIN:CONDITION, is not active.
        condition: Option<At<String>> = optional("\"confidence:low_confidence\"", Placed(Text));
        /// What an answer of 4xx is: "good", "bad" or "ignored".
        client_errors: Stance = default("\"good\"", Word::of(STANCES));
        /// What a request is that its client left: "good", "bad" or "ignored".
        cancelled: Stance = default("\"ignored\"", Word::of(STANCES));
        /// Bad events that the long window of a pair must hold before it counts.
        min_bad: u64 = default("5", Count::new(1, 1_000_000));
        /// So many bad events in a row, within 24 hours and with no good one between them, page too: an
        /// outage in a quiet night. 0 for never.
        consecutive_bad: u64 = default("5", Count::new(0, 1_000_000));
        /// Pairs of windows that must both burn; without any, the four of the SRE workbook.
        burn: Vec<At<BurnKeys>> = default("[]", Tables::<BurnKeys>::max(8));
        /// Further labels of its alerts, beside `slo` and `severity`.
        labels: Vec<At<(String, String)>> = default("{}", Pairs);
        /// What people read, beside what Weir says itself.
        annotations: Vec<At<(String, String)>> = default("{}", Pairs);
        /// Where to read what to do.
        runbook_url: Option<String> = optional("\"https://runbooks.example/slo\"", Text);
        /// Alerts that explain this one: while one of them fires, nobody is told of this one anew.
        pub(crate) unless: Vec<At<String>> = default("[]", List::up_to(16, Placed(Text)));
        /// True: judged and shown, but nobody is told.
        dry_run: bool = default("false", Bool);
    }
}

section! {
    /// A pair of windows: while the budget burns faster than `factor` in both, the alert of this severity
    /// fires.
    pub(crate) struct BurnKeys {
        /// The long window, which makes sure that it matters.
        long: Option<Duration> = required("\"1h\"", Period::new(MINUTE, LONGEST));
        /// The short window, which makes sure that it goes on.
        short: Option<Duration> = required("\"5m\"", Period::new(MINUTE, LONGEST));
        /// How many times faster than sustainable.
        factor: Option<At<f64>> = required("14.4", Placed(Number::new(0.01, 100_000.0)));
        /// "page" or "ticket".
        severity: Severity = default("\"page\"", Word::of(SEVERITIES));
    }
}

/// The longest window of a pair.
const LONGEST: Duration = Duration::from_secs(3 * 86_400);

const STANCES: Words<Stance> = &[("good", Stance::Good), ("bad", Stance::Bad), ("ignored", Stance::Ignored)];

const SEVERITIES: Words<Severity> = &[("page", Severity::Page), ("ticket", Severity::Ticket)];

/// A pair of windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burn {
    pub long: Duration,
    pub short: Duration,
    pub factor: f64,
    pub severity: Severity,
}

/// An objective with everything that is decided by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// What counts, and as what.
    pub event: Objective,
    /// More than 0, less than 1.
    pub objective: f64,
    pub window: Duration,
    /// Empty: all. Every name is a route's.
    pub routes: Vec<Arc<str>>,
    pub min_bad: u64,
    /// 0: never.
    pub consecutive_bad: u64,
    /// In the order of the file; never empty.
    pub burn: Vec<Burn>,
    /// The default pairs whose factor no share of bad events could reach were lowered.
    pub lowered: bool,
    pub telling: Telling,
}

impl Slo {
    /// Its key in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.event.name
    }

    /// Whether a route's traffic counts for it.
    pub fn takes(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|r| **r == *route)
    }
}

/// The pairs of an objective that names none.
fn default_pairs(window: Duration, objective: f64) -> (Vec<Burn>, bool) {
    let largest = largest_factor(objective);
    let pair = |pair: weir_stats::slo::Pair| Burn {
        long: Duration::from_nanos(pair.long_ns),
        short: Duration::from_nanos(pair.short_ns),
        factor: pair.factor,
        severity: pair.severity,
    };
    let all = weir_stats::slo::default_pairs(window.as_nanos() as u64).map(pair);
    let all: Vec<Burn> = all.into_iter().filter(|pair| pair.long < window).collect();
    let lowered = all.iter().any(|pair| pair.factor > largest);
    (all.into_iter().map(|pair| Burn { factor: pair.factor.min(largest), ..pair }).collect(), lowered)
}

impl Entry for SloKeys {
    const TABLES: &'static [&'static Table] = &[Self::TABLE];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self {
        read(table, place, reader)
    }
}

impl At<SloKeys> {
    pub(crate) fn resolve(self, reader: &mut Reader<'_>) -> Option<Slo> {
        let At { value: keys, shown, place } = self;
        let aim = aim(&keys, &place, reader);
        let objective = keys.objective.as_ref()?;
        if objective.value <= 0.0 || objective.value >= 1.0 {
            let words = "leaves no budget to watch, or nothing else (write a share between, such as 0.999)";
            reader.fault(&objective.place, format!("an objective of `{}` {words}", objective.value));
            return None;
        }
        let objective = objective.value;
        let (burn, lowered) = if keys.burn.is_empty() {
            default_pairs(keys.window, objective)
        } else {
            (keys.burn.into_iter().filter_map(|pair| pair.resolve(objective, reader)).collect(), false)
        };
        let routes: Vec<Arc<str>> = keys.routes.into_iter().map(|route| route.value.into()).collect();
        let (client_errors, cancelled) = (keys.client_errors, keys.cancelled);
        let meant =
            format!("{aim:?} {objective} {:?} {routes:?} {client_errors:?} {cancelled:?}", keys.window);
        let definition: String =
            Sha256::digest(meant)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let event =
            Objective { name: shown.into(), definition: definition.into(), aim, client_errors, cancelled };
        let told = (keys.runbook_url, keys.dry_run);
        for label in keys.labels.iter().filter(|label| label.value.0 == "severity") {
            reader.fault(&label.place, "the severity is that of the pair that burns (set it in `burn`)");
        }
        Some(Slo {
            event,
            objective,
            window: keys.window,
            routes,
            min_bad: keys.min_bad,
            consecutive_bad: keys.consecutive_bad,
            burn,
            lowered,
            telling: telling(keys.labels, keys.annotations, told, keys.unless, reader),
        })
    }
}

/// The one key that says what is good.
fn aim(keys: &SloKeys, place: &Place, reader: &mut Reader<'_>) -> Aim {
    let condition = keys.condition.as_ref().and_then(|at| {
        let parts = at.value.split_once(':');
        if parts.is_none() {
            reader.fault(&at.place, format!("{} is no condition (write `PLUGIN:CONDITION`)", at.shown));
        }
        parts.map(|(plugin, name)| Aim::Condition { plugin: plugin.into(), condition: name.into() })
    });
    let latency = keys.latency_under.map(|under| Aim::Latency { under_ns: under.as_nanos() as u64 });
    let confidence = keys.confidence_at_least.map(|at_least| Aim::Confidence { at_least });
    let decodable = keys.decodable.then_some(Aim::Decodable);
    let mut given = [latency, confidence, decodable, condition].into_iter().flatten();
    let aim = given.next().unwrap_or(Aim::Availability);
    if given.next().is_some() {
        let words = "more than one key says what is good (keep one of `latency_under`, \
                     `confidence_at_least`, `decodable`, `condition`; a second objective may have another)";
        reader.misfit(place, words);
    }
    aim
}

impl At<BurnKeys> {
    fn resolve(self, objective: f64, reader: &mut Reader<'_>) -> Option<Burn> {
        let At { value: keys, place, .. } = self;
        let (long, short, factor) = (keys.long?, keys.short?, keys.factor?);
        if short >= long {
            let (long, short) = (period(long), period(short));
            let words = "is to be the longer one (write a twelfth of it as `short`)";
            reader.misfit(&place, format!("`long` = `{long}` beside `short` = `{short}` {words}"));
        }
        let largest = largest_factor(objective);
        if factor.value > largest {
            let bad = factor.value * (1.0 - objective) * 100.0;
            let words = format!(
                "a factor of `{}` over an objective of `{objective}` fires only when {bad:.1} % of all events \
                 are bad (write `{:.4}` or less, which fires at 50 %)",
                factor.value,
                (largest * 1e4).floor() / 1e4,
            );
            reader.fault(&factor.place, words);
        }
        Some(Burn { long, short, factor: factor.value, severity: keys.severity })
    }
}

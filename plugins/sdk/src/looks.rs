//! How often windows may be looked at, and how often a look may be wrong.
//!
//! A budget of `b` false reports a month over `L` looks a month leaves a level of `b / L` for each look. What
//! is more than `L` is not looked at, so that the budget holds.

use std::time::Duration;

use crate::manifest::{Condition, Counter, Gauge, Manifest, Metric};
use crate::outcome::Outcome;
use crate::reference::Closed;
use crate::settings::Faults;
use crate::statistics;

/// What a month is here: budgets are for 30 days.
pub const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// A budget and what it has to last for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    window: Duration,
    budget: f64,
    looks: Option<f64>,
}

impl Pace {
    /// From the settings `window`, `budget` and `looks`, which are checked. Without `looks` every window is
    /// looked at.
    pub fn new(window: Duration, budget: f64, looks: Option<f64>, faults: &mut Faults) -> Self {
        faults.check(window >= Duration::from_secs(1), "/window", "expected at least `1s`");
        faults.check(window <= MONTH, "/window", "expected at most `30d`, as budgets are for a month");
        faults.check(budget > 0.0 && budget <= 1000.0, "/budget", "expected more than 0, at most 1000");
        let more = looks.is_none_or(|looks| looks > 0.0 && looks.is_finite());
        faults.check(more, "/looks", "expected more than 0 looks a month");
        Self { window, budget, looks }
    }

    /// Length of a window in ns, at least 1.
    pub fn span_ns(&self) -> u64 {
        u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// Looks a month that may report anything by chance.
    pub fn budget(&self) -> f64 {
        self.budget
    }

    /// Looks a month.
    pub fn looks(&self) -> f64 {
        let windows = MONTH.as_nanos() as f64 / self.span_ns() as f64;
        self.looks.map_or(windows, |looks| looks.min(windows))
    }

    /// The level of one look.
    pub fn level(&self) -> f64 {
        statistics::look_level(self.budget, self.looks())
    }

    /// Whether a window that ends now may be looked at, by when the last one that was had ended.
    pub fn is_due(&self, end_ns: u64, last_look_ns: Option<u64>) -> bool {
        let pace = MONTH.as_nanos() as f64 / self.looks();
        // A whole number of windows apart, but for the last digits.
        last_look_ns.is_none_or(|last| end_ns.saturating_sub(last) as f64 >= pace - 1e6)
    }
}

/// Windows in a row without a verdict after which nobody watches a model.
pub const BLIND_AFTER: u32 = 3;

/// What plugins that look at windows show in common: how a model stands, what windows say, how much of the
/// traffic they rest on, and whether anybody watches.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    state: Gauge,
    looks: Counter,
    observed: Gauge,
    blind: Condition,
}

impl Standing {
    /// Declares `state{state}`, `looks{result}`, `window_observed_ratio` and the condition `blind`. `states`
    /// says what the states are.
    pub fn declare(manifest: &mut Manifest, states: &str) -> Self {
        let looks = "Windows that have closed, by what they say; skipped ones were too soon for the looks a \
                     month, dropped ones were never seen.";
        let observed = "Share of the answered exchanges of the last window that were observed.";
        Self {
            state: manifest.gauge(Metric::new("state", states).labels(&["state"])),
            looks: manifest.counter(Metric::new("looks", looks).labels(&["result"])),
            observed: manifest.gauge(Metric::new("window_observed", observed).unit("ratio")),
            blind: manifest.condition("blind", "Three windows in a row had no verdict.", &[]),
        }
    }

    /// A window that has closed: what it says, or that it was skipped.
    pub fn window(&self, result: &str, closed: &Closed, out: &mut Outcome) {
        self.result(result, 1, out);
        self.result("dropped", closed.dropped, out);
        let observed = if closed.answered > 0.0 { closed.observed / closed.answered } else { 1.0 };
        self.observed(observed, out);
    }

    /// Windows that say so.
    pub fn result(&self, result: &str, windows: u32, out: &mut Outcome) {
        if windows > 0 {
            out.add(self.looks, &[result], f64::from(windows));
        }
    }

    /// The share of the last window's exchanges that were observed.
    pub fn observed(&self, share: f64, out: &mut Outcome) {
        out.set(self.observed, &[], share.min(1.0));
    }

    /// How a model stands, one of all states, after so many windows in a row without a verdict.
    pub fn stand(&self, states: &[&str], state: &str, misses: u32, out: &mut Outcome) {
        out.set_state(self.state, states, state);
        let says = (f64::from(misses), u64::from(misses));
        out.condition(self.blind, &[], misses >= BLIND_AFTER, says);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn every_window_is_looked_at_unless_fewer_looks_are_asked_for() {
        let mut faults = Faults::default();
        let every = Pace::new(DAY, 1.0, None, &mut faults);
        assert!((every.level() - 1.0 / 30.0).abs() < 1e-12);
        assert!(every.is_due(2 * every.span_ns(), Some(every.span_ns())));
        let weekly = Pace::new(DAY, 1.0, Some(4.0), &mut faults);
        assert_eq!(weekly.level(), 0.25);
        assert!(weekly.is_due(0, None));
        assert!(!weekly.is_due(8 * every.span_ns(), Some(every.span_ns())));
        assert!(weekly.is_due(9 * every.span_ns(), Some(every.span_ns())));
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_budget_that_makes_no_sense_is_refused() {
        let mut faults = Faults::default();
        Pace::new(31 * DAY, 0.0, Some(0.0), &mut faults);
        let paths: Vec<_> = faults.list().iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["/window", "/budget", "/looks"]);
        assert_eq!(faults.list()[1].message, "expected more than 0, at most 1000");
        let mut faults = Faults::default();
        Pace::new(DAY, 0.0001, None, &mut faults);
        Pace::new(DAY, 1000.0, None, &mut faults);
        assert!(faults.list().is_empty());
    }
}

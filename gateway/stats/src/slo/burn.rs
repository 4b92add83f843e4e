//! How fast the budget of an objective is spent, and what is left of it.
//!
//! An objective is the share of events that are to be good, from 0 to below 1; the budget is the rest. Pairs
//! of windows are those of Google's SRE workbook ("Alerting on SLOs"), with the row that Sloth adds.

use super::log::{HOUR_NS, MINUTE_NS, Sum};

const DAY_NS: u64 = 24 * HOUR_NS;

/// Share of a short window that must have been observed: of five minutes, all but a tick of 15 s, and what
/// that tick's neighbours were late.
pub const SHORT_COVERED: f64 = 0.93;
/// Share of a long window that must have been observed.
const LONG_COVERED: f64 = 0.5;

/// Who is to look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Somebody, now.
    Page,
    /// Somebody, in working hours.
    Ticket,
}

impl Severity {
    /// The more urgent first.
    pub const ALL: [Self; 2] = [Self::Page, Self::Ticket];

    /// The name in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// Two windows over which the budget is spent faster than `factor` times as fast as would use it up at the
/// end of the period: the long one says that it matters, the short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub long_ns: u64,
    pub short_ns: u64,
    pub factor: f64,
    pub severity: Severity,
}

/// What is to be said of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairState {
    /// `None` without events.
    pub long_burn: Option<f64>,
    pub short_burn: Option<f64>,
    pub burning: bool,
    /// Enough of both windows was observed to say so; a pair that is not known is never burning.
    pub known: bool,
}

/// How many times as fast as would last for the period the budget is spent; `None` without events, infinite
/// for bad events without a budget.
pub fn burn(sum: Sum, objective: f64) -> Option<f64> {
    let total = sum.good.saturating_add(sum.bad);
    match sum.bad {
        _ if total == 0 => None,
        0 => Some(0.0),
        bad => Some(bad as f64 / total as f64 / (1.0 - objective)),
    }
}

/// Burning if both windows burn faster than the factor, the long one holds `min_bad` bad events, and enough
/// was observed: `SHORT_COVERED` of the short window and half of the long one. `min_bad` keeps a pair from
/// speaking of a share that one or two events make.
pub fn judge(pair: &Pair, long: Sum, short: Sum, objective: f64, min_bad: u64) -> PairState {
    let (long_burn, short_burn) = (burn(long, objective), burn(short, objective));
    let known = short.covered >= SHORT_COVERED && long.covered >= LONG_COVERED;
    let fast = |burn: Option<f64>| burn.is_some_and(|burn| burn > pair.factor);
    let burning = known && long.bad >= min_bad && fast(long_burn) && fast(short_burn);
    PairState { long_burn, short_burn, burning, known }
}

/// What is left of the budget of a whole period's sum: 1 if nothing was spent or nothing happened, below 0
/// if it is overspent.
pub fn budget_left(sum: Sum, objective: f64) -> f64 {
    let total = sum.good.saturating_add(sum.bad);
    if sum.bad == 0 { 1.0 } else { 1.0 - sum.bad as f64 / (total as f64 * (1.0 - objective)) }
}

/// The pairs of a period, most urgent first. A factor is share x period / long window, where share is how
/// much of the budget is gone when the pair speaks: 2 % in 1 h and 5 % in 6 h page, 10 % in 1 d and 10 % in
/// 3 d are tickets. Below 28 days, where three days at that rate would be less than the budget allows,
/// shares are those of Sloth's week: 8, 12.5, 20 and 42 %. Below a week the last factors are under 1, and
/// pairs are better chosen by hand.
pub fn default_pairs(period_ns: u64) -> [Pair; 4] {
    let shares = if period_ns < 28 * DAY_NS { [0.08, 0.125, 0.2, 0.42] } else { [0.02, 0.05, 0.1, 0.1] };
    let pair = |share: f64, long_ns: u64, short_ns, severity| {
        let factor = share * period_ns as f64 / long_ns as f64;
        Pair { long_ns, short_ns, factor, severity }
    };
    [
        pair(shares[0], HOUR_NS, 5 * MINUTE_NS, Severity::Page),
        pair(shares[1], 6 * HOUR_NS, 30 * MINUTE_NS, Severity::Page),
        pair(shares[2], DAY_NS, 2 * HOUR_NS, Severity::Ticket),
        pair(shares[3], 3 * DAY_NS, 6 * HOUR_NS, Severity::Ticket),
    ]
}

/// The largest factor that a pair should have: it is exceeded when more than half of all events are bad.
/// Above twice this, not even a total outage would.
pub fn largest_factor(objective: f64) -> f64 {
    0.5 / (1.0 - objective)
}

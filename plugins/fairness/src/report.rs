//! What a window's verdict rests on, for the verdict log and the admin API: enough to compute it again.

use weir_plugin_sdk::json::{Value, json};
use weir_plugin_sdk::looks::Pace;
use weir_plugin_sdk::statistics;

use crate::groups::Groups;
use crate::judge::{Judged, Rows};
use crate::settings::Settings;

/// Everything a verdict is about.
pub(crate) struct Verdict<'a> {
    pub(crate) verdict: &'a str,
    pub(crate) end_ns: u64,
    pub(crate) settings: &'a Settings,
    pub(crate) pace: &'a Pace,
    pub(crate) names: &'a Groups,
    /// By number, and last of all that are not told apart.
    pub(crate) rows: &'a [Rows],
    /// None if the window was not looked at.
    pub(crate) judged: Option<&'a [Judged]>,
    /// Exchanges: observed, answered.
    pub(crate) exchanges: (f64, f64),
}

impl Verdict<'_> {
    pub(crate) fn finding(&self) -> Value {
        let Self { settings, pace, rows, judged, .. } = self;
        let all = rows.iter().fold(Rows::default(), |sum, it| sum.and(*it));
        let favourable = match settings.score.as_str() {
            "" => json!({ "positive": settings.positive }),
            score => json!({ "score": score, "threshold": settings.threshold }),
        };
        json!({
            "verdict": self.verdict,
            "window": { "begin_unix_ns": self.end_ns.saturating_sub(pace.span_ns()), "end_unix_ns": self.end_ns },
            "group": settings.group,
            "favourable": favourable,
            "rows": all.weight,
            "effective_rows": all.effective(),
            "selection_rate": all.rate(),
            "observed_exchanges": self.exchanges.0,
            "answered_exchanges": self.exchanges.1,
            "budget_looks_a_month": pace.budget(),
            "looks_a_month": pace.looks(),
            "level": pace.level(),
            "min_difference": settings.min_difference,
            "min_rows": settings.min_rows,
            "hypotheses": judged.map_or(0, <[Judged]>::len),
            "groups": judged.map(|all| all.iter().map(|it| self.group(it)).collect::<Vec<_>>()),
            "too_few": judged.map(|judged| self.too_few(judged)),
            "not_told_apart_rows": rows.last().map_or(0.0, |it| it.weight),
        })
    }

    fn name(&self, group: usize) -> &str {
        self.names.names.get(group).map_or("", String::as_str)
    }

    fn group(&self, it: &Judged) -> Value {
        let confidence = 1.0 - it.level;
        let ((hits, n), (rest_hits, rest_n)) = (it.rows.counts(), it.rest.counts());
        let rate = statistics::wilson(hits, n, confidence);
        let difference = it.interval(confidence);
        let table = |hits: f64, n: f64| [hits, n - hits];
        let test = statistics::pearson(&table(rest_hits, rest_n), &table(hits, n), 1.0);
        json!({
            "group": self.name(it.group),
            "listed": it.group < self.settings.values.len(),
            "rows": it.rows.weight,
            "n": n,
            "selection_rate": it.rows.rate(),
            "interval": [rate.low, rate.high],
            "rest_n": rest_n,
            "rest_selection_rate": it.rest.rate(),
            "difference": it.difference(),
            "difference_interval": [difference.low, difference.high],
            "disparate_impact": (it.rest.rate() > 0.0).then(|| it.rows.rate() / it.rest.rate()),
            "confidence": confidence,
            "p_alike": test.map(|it| it.p),
            "cut_off_p": it.level,
            "disparity": it.disparity,
        })
    }

    /// Groups that were not judged for having too few rows, or all others having too few.
    fn too_few(&self, judged: &[Judged]) -> Value {
        let few = |(group, _): &(usize, &String)| !judged.iter().any(|it| it.group == *group);
        let told = |(group, name): (usize, &String)| {
            let rows = self.rows.get(group).copied().unwrap_or_default();
            json!({ "group": name, "rows": rows.weight, "n": rows.effective() })
        };
        self.names.names.iter().enumerate().filter(few).map(told).collect()
    }
}

//! What is exported. Groups that are not listed are together, as `other`.

use weir_plugin_sdk::looks::Standing;
use weir_plugin_sdk::prelude::*;

use crate::groups::Groups;
use crate::judge::{Judged, Rows};
use crate::settings::Settings;

pub(crate) const OTHER: &str = "other";

pub(crate) const STATES: [&str; 4] = ["ok", "disparity", "not_enough_data", "incomplete"];

/// What is declared.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) standing: Standing,
    pub(crate) left_out: Counter,
    rows: Counter,
    favourable_rows: Counter,
    rate: Gauge,
    difference: Gauge,
    impact: Gauge,
    disparity: Condition,
}

impl Metrics {
    pub(crate) fn declare(manifest: &mut Manifest) -> Self {
        let group = |name, help| Metric::new(name, help).labels(&["group"]);
        let state = "How groups are treated: 1 for ok, disparity, not_enough_data or incomplete.";
        let left_out = "Rows without a group, without an outcome, or that came after their window.";
        let rate = "Share of the group's rows in the last window with the favourable outcome.";
        let difference = "Selection rate of the group less that of all other rows (statistical parity).";
        let impact = "Selection rate of the group over that of all other rows.";
        Self {
            standing: Standing::declare(manifest, state),
            left_out: manifest.counter(Metric::new("left_out_rows", left_out).labels(&["lacks"])),
            rows: manifest.counter(group("rows", "Rows of the group with an outcome.")),
            favourable_rows: manifest.counter(group("favourable_rows", "Those with the favourable one.")),
            rate: manifest.gauge(group("selection_rate", rate).unit("ratio")),
            difference: manifest.gauge(group("statistical_parity_difference", difference)),
            impact: manifest.gauge(group("disparate_impact", impact).unit("ratio")),
            disparity: manifest.condition(
                "disparity",
                "The group's selection rate certainly differs from that of all other rows.",
                &["group"],
            ),
        }
    }

    /// Rows of a batch, with sums of their weights by group.
    pub(crate) fn count(&self, label: &str, (rows, favourable): (f64, f64), out: &mut Outcome) {
        out.add(self.rows, &[label], rows);
        out.add(self.favourable_rows, &[label], favourable);
    }

    /// How the groups of the last window were treated, each against all other rows.
    pub(crate) fn show_rates(&self, settings: &Settings, groups: &[Rows], observed: f64, out: &mut Outcome) {
        self.standing.observed(observed, out);
        let sum = |rows: &[Rows]| rows.iter().fold(Rows::default(), |sum, it| sum.and(*it));
        let listed = settings.values.len();
        let other = sum(&groups[listed..]);
        let named = settings.values.iter().map(String::as_str).chain([OTHER]);
        for (at, (label, rows)) in named.zip(groups[..listed].iter().chain([&other])).enumerate() {
            if rows.weight <= 0.0 {
                continue;
            }
            let before_and_after = sum(&groups[..at]).and(sum(&groups[(at + 1).min(groups.len())..]));
            let rest = if at < listed { before_and_after } else { sum(&groups[..listed]) };
            out.set(self.rate, &[label], rows.rate());
            if rest.weight > 0.0 {
                out.set(self.difference, &[label], rows.rate() - rest.rate());
            }
            if rest.rate() > 0.0 {
                out.set(self.impact, &[label], rows.rate() / rest.rate());
            }
        }
    }

    /// Whether there is disparity, of the groups that were judged. Of others nothing says that it is over.
    pub(crate) fn show_judged(&self, settings: &Settings, judged: &[Judged], out: &mut Outcome) {
        let says = |it: &Judged| (it.difference(), it.rows.effective() as u64);
        let (listed, other): (Vec<&Judged>, Vec<&Judged>) =
            judged.iter().partition(|it| it.group < settings.values.len());
        for it in listed {
            out.condition(self.disparity, &[&settings.values[it.group]], it.disparity, says(it));
        }
        let key = |it: &&&Judged| (it.disparity, it.difference().abs());
        let worst = other.iter().max_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        if let Some(worst) = worst {
            out.condition(self.disparity, &[OTHER], worst.disparity, says(worst));
        }
    }
}

/// The label of a group.
pub(crate) fn label<'a>(settings: &Settings, groups: &'a Groups, group: usize) -> &'a str {
    let listed = group < settings.values.len();
    groups.names.get(group).filter(|_| listed).map_or(OTHER, String::as_str)
}

//! What a window's verdict rests on, for the verdict log and the admin API: enough to compute it again.

use weir_plugin_sdk::Schema;
use weir_plugin_sdk::json::{Value, json};
use weir_plugin_sdk::looks::Pace;
use weir_plugin_sdk::reference::{self, Closed, Feature, Misfit, ProfileInfo, Sensitivity};

use crate::look::{self, Look, Of, Test, judged, why_not};
use crate::settings::Settings;
use crate::state::State;

/// Tests told of by a finding: every one that alarms, and the next by p.
pub(crate) const MOST_TESTS: usize = 500;

/// Tests that are told with their counts: a feature of a hundred texts has two hundred.
const MOST_COUNTED: usize = 100;

/// Features of which it is told what could be seen: each takes the gateway some hundred us.
const MOST_SEEN: usize = 100;

/// Everything a verdict is about.
pub(crate) struct Verdict<'a> {
    pub(crate) state: State,
    pub(crate) by: (&'a Settings, &'a Pace),
    pub(crate) profile: &'a ProfileInfo,
    pub(crate) misfits: &'a [Misfit],
    pub(crate) closed: &'a Closed,
    /// Changes that detectors have found: name, ADWIN's, Page-Hinkley's.
    pub(crate) changes: &'a [(String, u32, u32)],
    /// None if the window was not looked at.
    pub(crate) look: Option<(&'a Look, &'a [Test])>,
}

impl Verdict<'_> {
    /// As text: its tests were told in earlier calls.
    pub(crate) fn finding(&self) -> String {
        let Self { state, by: (settings, pace), profile, misfits, closed, changes, look } = self;
        let mut finding = json!({
            "verdict": state.as_str(),
            "window": { "begin_unix_ns": closed.begin_ns, "end_unix_ns": closed.end_ns },
            "profile": { "digest": profile.digest, "model": profile.model,
                "model_version": profile.model_version, "rows": profile.rows, "blocks": profile.blocks },
            "against": settings.against,
            "rows": closed.rows,
            "distinct_rows": closed.distinct,
            "effective_rows": closed.effective,
            "observed_exchanges": closed.observed,
            "answered_exchanges": closed.answered,
            // Rows of exchanges that were not observed are not known: as many as of the others.
            "answered_rows": closed.rows as f64 * (closed.answered / closed.observed.max(1.0)).max(1.0),
            "windows_dropped": closed.dropped,
            "assumption": if profile.blocks > 0 { "rows alike within blocks" } else { "independent rows assumed" },
            "budget_looks_a_month": settings.budget,
            "looks_a_month": pace.looks(),
            "level": pace.level(),
            "min_effect": settings.min_effect,
            "left_out": self.left_out(),
            "misfits": look::named(misfits),
        });
        if settings.run_length > 0 {
            let change = |(name, adwin, page_hinkley): &(String, u32, u32)| json!({ "feature": name, "adwin": adwin, "page_hinkley": page_hinkley });
            finding["changes"] = changes.iter().map(change).collect();
        }
        if let Some((look, tests)) = look {
            finding["hypotheses"] = tests.len().into();
            finding["drifted"] = tests.iter().filter(|test| test.drift).count().into();
            let mut text = finding.to_string();
            // Of an object with members.
            text.pop();
            return format!("{text},\"tests\":[{}]}}", look.told.join(","));
        }
        finding.to_string()
    }

    /// Features without a verdict, and why.
    fn left_out(&self) -> Value {
        let why = |it: &Feature| why_not(it, self.misfits, &self.by.0.ignore);
        let features = self.profile.features.iter();
        features.filter_map(|it| Some(json!({ "feature": it.name, "why": why(it)? }))).collect()
    }
}

/// What is told of one test, the `at`-th by p.
pub(crate) fn test(profile: &ProfileInfo, closed: &Closed, (look, test): (&Look, &Test), at: usize) -> Value {
    let (feature, segment) = look.place(test);
    let known = &profile.features[feature];
    let comparison = &look.compared[test.of.0].1;
    let table = look.table(test.of);
    let mut told = json!({
        "feature": known.name, "role": known.role, "of": test.of.1.as_str(),
        "n": table.n, "m": table.m, "x2": table.x2, "phi": table.phi, "dof": table.dof,
        "p": table.p, "alarm_p": table.alarm_p, "adjusted_p": test.adjusted_p, "cut_off_p": test.cut_off,
        "psi": table.psi.raw, "psi_corrected": table.psi.corrected, "drift": test.drift,
    });
    if let Some(segment) = segment.and_then(|at| closed.segments.get(at)) {
        told["segment"] = segment.name.clone().into();
    }
    let rounded = |bins: &[f64]| -> Value { bins.iter().map(|rows| (rows * 1e3).round() / 1e3).collect() };
    if test.of.1 == Of::Missing {
        told["reference_share"] = comparison.reference_missing.into();
        told["current_share"] = comparison.current_missing.into();
        return told;
    }
    if at < MOST_COUNTED {
        told["reference_counts"] = rounded(&comparison.reference_bins);
        told["current_counts"] = rounded(&comparison.current_bins);
    }
    if let Some(effects) = &comparison.effects {
        told["js_distance"] = effects.js.corrected.into();
        told["total_variation"] = effects.total_variation.corrected.into();
        told["hellinger"] = effects.hellinger.corrected.into();
    }
    if let Some(wasserstein) = &comparison.wasserstein {
        told["wasserstein"] = wasserstein.corrected.into();
        told["ks"] = comparison.effects.as_ref().map(|it| it.ks.raw).into();
        told["ks_p"] = comparison.ks_p.into();
    }
    told
}

/// What the tests could see at all, so that their silence can be read: for each feature the X2 that a look
/// calls unlikely, and the smallest change that is seen in 80 % of looks, in windows of the smallest size.
///
/// Holm's first step, which is the hardest: the whole family shares the level.
pub(crate) fn sensitivity(
    schema: &Schema,
    profile: &ProfileInfo,
    (settings, pace): (&Settings, &Pace),
) -> Value {
    let judged = judged(profile, &[], &settings.ignore);
    let tables = |feature: &Feature| 1 + usize::from(feature.missing > 0.0);
    let segments = if settings.segment.is_empty() { 0 } else { profile.segments.len() };
    let each: usize = judged.iter().map(|at| tables(&profile.features[*at])).sum();
    let family = each * (1 + segments.min(settings.segments as usize));
    let cut_off_p = pace.level() / family.max(1) as f64;
    let rows = settings.min_rows.unwrap_or(profile.window_rows) as f64;
    let feature = |at: &usize| {
        let it = &profile.features[*at];
        let Sensitivity { cut_off_x2, smallest_psi } = reference::visible(schema, *at, rows, cut_off_p)?;
        // Of a bin that has a tenth of the rows, the others in proportion.
        let shift = (smallest_psi * 0.1 * 0.9).sqrt();
        // What is infinite has no number in JSON.
        let seen = |x: f64| x.is_finite().then_some(x);
        Some(json!({
            "feature": it.name, "role": it.role, "bins": it.bins, "phi": it.phi,
            "cut_off_x2": seen(cut_off_x2), "smallest_psi": seen(smallest_psi),
            "smallest_shift_of_a_tenth": seen(shift), "missing": it.missing,
        }))
    };
    let unstable = profile.features.iter().filter(|it| it.unstable).map(|it| it.name.as_str());
    let unknown = settings.ignore.iter().filter(|name| !profile.features.iter().any(|it| it.name == **name));
    json!({
        "profile": profile.digest, "model": profile.model, "model_version": profile.model_version,
        "reference_rows": profile.rows, "window_rows": rows, "blocks": profile.blocks,
        "window_seconds": pace.span_ns() as f64 / 1e9,
        "budget_looks_a_month": settings.budget, "looks_a_month": pace.looks(),
        "level": pace.level(), "hypotheses": family, "cut_off_p": cut_off_p,
        "min_effect": settings.min_effect, "unstable": unstable.collect::<Vec<_>>(),
        "unknown": unknown.collect::<Vec<_>>(),
        "features": judged.iter().take(MOST_SEEN).filter_map(feature).collect::<Vec<_>>(),
    })
}

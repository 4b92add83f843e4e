//! What a window's verdict rests on, for the verdict log and the admin API: enough to compute it again.

use weir_plugin_sdk::json::{Value, json};
use weir_plugin_sdk::looks::Pace;

use crate::check::{Evidence, Found, Share, one_sided};
use crate::look::{Case, Look};
use crate::state::State;

/// Checks told of by a finding: what is bad first, then by p.
const MOST_CHECKS: usize = 200;

/// Everything a verdict is about.
pub(crate) struct Verdict<'a> {
    /// None if the window came too soon after the last look.
    pub(crate) state: Option<State>,
    pub(crate) pace: &'a Pace,
    pub(crate) case: &'a Case<'a>,
    pub(crate) look: &'a Look,
}

impl Verdict<'_> {
    pub(crate) fn finding(&self) -> Value {
        let Self { state, pace, case, look } = self;
        let (profile, closed) = (case.profile, case.closed);
        let mut told: Vec<&Found> = look.found.iter().collect();
        let rank = |it: &Found| (!it.bad, it.evidence.p(), -it.evidence.share());
        told.sort_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
        });
        json!({
            "verdict": state.map_or("skipped", State::as_str),
            "window": { "begin_unix_ns": closed.begin_ns, "end_unix_ns": closed.end_ns },
            "profile": { "digest": profile.digest, "model": profile.model,
                "model_version": profile.model_version, "rows": profile.rows, "blocks": profile.blocks },
            "rows": closed.rows,
            "distinct_rows": closed.distinct,
            "effective_rows": closed.effective,
            "observed_exchanges": closed.observed,
            "answered_exchanges": closed.answered,
            "windows_dropped": closed.dropped,
            "windows_unlooked": closed.unlooked,
            "budget_looks_a_month": pace.budget(),
            "looks_a_month": pace.looks(),
            "level": pace.level(),
            "checks_made": look.family,
            "checks_that_found": look.found.len(),
            "bad": look.found.iter().filter(|it| it.bad).count(),
            "checks": told.into_iter().take(MOST_CHECKS).map(|it| self.check(it)).collect::<Vec<_>>(),
        })
    }

    fn check(&self, found: &Found) -> Value {
        let mut told = json!({ "check": found.check.as_str(), "bad": found.bad });
        if !found.column.is_empty() {
            told["feature"] = found.column.clone().into();
        }
        if let Some(feature) = found.feature.and_then(|at| self.case.profile.features.get(at)) {
            told["role"] = feature.role.clone().into();
            told["phi"] = feature.phi.into();
        }
        match &found.evidence {
            Evidence::Share(share) => share_told(share, found.level, &mut told),
            Evidence::Chance { rows, share, p } => {
                told["rows"] = (*rows).into();
                told["share"] = (*share).into();
                told["p"] = (*p).into();
                told["cut_off_p"] = found.level.into();
            }
            Evidence::Fact => {}
        }
        told
    }
}

fn share_told(share: &Share, level: f64, told: &mut Value) {
    // Without a test, the interval that people know.
    let confidence = if level > 0.0 { one_sided(level) } else { 0.95 };
    let interval = share.interval(confidence);
    told["rows"] = share.rows.into();
    told["share"] = share.share.into();
    told["n"] = share.n.into();
    told["allowed"] = share.allowed.into();
    told["confidence"] = confidence.into();
    told["interval"] = json!([interval.low, interval.high]);
    told["p"] = share.p().into();
    told["cut_off_p"] = level.into();
    if let (Some((before, of, tolerance)), Some(by)) = (share.reference, share.difference(confidence)) {
        told["reference"] = json!({ "share": before, "n": of, "tolerance": tolerance,
            "difference": share.share - before, "interval": [by.low, by.high] });
    }
}

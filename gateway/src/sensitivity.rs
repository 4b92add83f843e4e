//! What the tests of plugins could see at all, as `weir check` prints it: silence means no more than that.
//!
//! A plugin says so itself, in a finding of the kind `drift_sensitivity` about the profile it was tried on.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Deserialize;
use weir_config::Config;
use weir_plugin::{Set, Tried};
use weir_profile::{Profile, length};

use crate::artifacts::shown;

const KIND: &str = "drift_sensitivity";

/// A metric of each plugin that judges nothing without a profile. It begins with the plugin's own name,
/// whatever its key.
const NEED_PROFILE: [&str; 3] = ["drift_state", "data_quality_state", "outlier_state"];

/// Features that are listed; a thousand would hide what else is said.
const LISTED: usize = 50;

const DAY: Duration = Duration::from_secs(86_400);

/// What a look at one model's windows can see.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sensitivity {
    /// Digest.
    profile: String,
    window_rows: f64,
    window_seconds: f64,
    blocks: u32,
    budget_looks_a_month: f64,
    looks_a_month: f64,
    level: f64,
    hypotheses: u64,
    min_effect: f64,
    unstable: Vec<String>,
    /// Of the features that are to be ignored, those that the profile does not have.
    unknown: Vec<String>,
    features: Vec<Seen>,
}

/// What can be seen of one feature; no number where nothing can.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    feature: String,
    role: String,
    phi: Option<f64>,
    cut_off_x2: Option<f64>,
    smallest_psi: Option<f64>,
    smallest_shift_of_a_tenth: Option<f64>,
}

/// Everything known of one profile of one plugin.
struct Sheet<'s> {
    plugin: &'s str,
    file: String,
    profile: &'s Profile,
    sensitivity: Sensitivity,
}

/// What each plugin of a set can see with each of its profiles, as text; of one that needs a profile, that it
/// has none.
pub(crate) fn sheets(set: &Set, config: &Config) -> Vec<String> {
    let mut sheets = Vec::new();
    for tried in set.tried() {
        sheets.extend(blind(&tried));
        let named = config.plugins.iter().find(|plugin| plugin.key == *tried.key);
        let files = named.and_then(|plugin| plugin.profiles.as_deref().ok()).unwrap_or_default();
        for (profile, file) in tried.profiles.iter().zip(files) {
            let sensitivity = said(&tried).find(|it| it.profile == profile.digest);
            let sheet = sensitivity.map(|sensitivity| Sheet {
                plugin: tried.key,
                file: shown(file),
                profile,
                sensitivity,
            });
            sheets.extend(sheet.map(|sheet| sheet.to_string().trim_end().to_owned()));
        }
    }
    sheets
}

/// That a plugin judges nothing, which would else be seen only once there is traffic.
fn blind(tried: &Tried<'_>) -> Option<String> {
    let needs = tried.specs.iter().any(|spec| NEED_PROFILE.contains(&&*spec.name));
    let hint = "(set `profile` in its config)";
    (needs && tried.profiles.is_empty())
        .then(|| format!("plugin {}: no profile, so nothing is judged {hint}", tried.key))
}

fn said<'s>(tried: &Tried<'s>) -> impl Iterator<Item = Sensitivity> + use<'s> {
    let of_kind = tried.findings.iter().filter(|finding| &*finding.kind == KIND);
    of_kind.filter_map(|finding| serde_json::from_str(&finding.finding).ok())
}

/// Length of the windows that a plugin looks at, if it says so.
pub(crate) fn span(tried: &Tried<'_>) -> Option<Duration> {
    said(tried).find_map(|it| it.span())
}

impl Sensitivity {
    fn span(&self) -> Option<Duration> {
        let span = Duration::try_from_secs_f64(self.window_seconds).ok();
        span.filter(|span| !span.is_zero())
    }
}

impl Sheet<'_> {
    /// What may make phi, the smallest window or `unstable` wrong for these windows.
    fn warnings(&self) -> Vec<String> {
        let Self { profile, sensitivity, .. } = self;
        let Some(span) = sensitivity.span() else { return Vec::new() };
        let this = length(span);
        let mut warnings = Vec::new();
        if sensitivity.level >= 1.0 {
            let looks = round(sensitivity.looks_a_month);
            let words = format!("each of the {looks} looks a month may be wrong");
            warnings.push(format!("{words}: the effect alone decides (lower `budget`)"));
        }
        for name in &sensitivity.unknown {
            warnings.push(format!("`ignore` names `{name}`, which is no feature of the profile"));
        }
        let hint = format!("(build it with `--window {this}`, or set `window`)");
        if let Some(window) = profile.window.filter(|window| *window != span) {
            let window = length(window);
            warnings.push(format!("windows are of {this}, the reference was replayed by {window} {hint}"));
        }
        if let Some(block) =
            profile.block.filter(|block| *block != span && profile.window.is_none_or(|it| it == span))
        {
            let hint = format!("(build it with `--block {this}`)");
            warnings.push(format!("windows are of {this}, phi is of blocks of {} {hint}", length(block)));
        }
        if span < DAY && profile.block.is_some() && profile.season.is_none() {
            let words = "are told from the whole reference, and hours differ";
            warnings.push(format!("windows of {this} {words} (build it with `--season hour`)"));
        }
        warnings
    }

    fn heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, file, profile, sensitivity: it } = self;
        writeln!(f, "plugin {plugin}, profile {file}: {} rows", profile.made.rows)?;
        let model = profile.model.as_ref().map_or("any".to_owned(), ToString::to_string);
        let of = it.span().map_or(String::new(), |span| format!("of {}, ", length(span)));
        writeln!(f, "  model       {model}")?;
        writeln!(f, "  windows     {of}judged from {} rows on", it.window_rows)?;
        let (budget, looks) = (it.budget_looks_a_month, it.looks_a_month);
        writeln!(
            f,
            "  budget      {budget} of {} looks a month may be wrong: level {}, {} hypotheses a look",
            round(looks),
            round(it.level),
            it.hypotheses
        )?;
        writeln!(
            f,
            "  drift       is what the test calls unlikely, and whose PSI is above {}",
            it.min_effect
        )?;
        if it.blocks == 0 {
            writeln!(f, "  phi         is 1: independent rows assumed, the profile has no blocks of time")?;
        }
        Ok(())
    }

    /// The features as columns; the last three are of windows of the smallest size.
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let features = &self.sensitivity.features;
        let listed = &features[..features.len().min(LISTED)];
        let width = listed.iter().map(|it| it.feature.chars().count()).max().unwrap_or(0).max(7);
        let words = ["phi", "cut-off X2", "smallest PSI", "a tenth becomes"];
        let [phi, cut_off, psi, shift] = words;
        writeln!(f, "  {:6} {:width$} {phi:>7} {cut_off:>11} {psi:>13} {shift:>16}", "role", "feature")?;
        for it in listed {
            // More than all rows cannot come to a bin.
            let tenth = it.smallest_shift_of_a_tenth.map(|shift| 0.1 + shift).filter(|share| *share < 1.0);
            let tenth = tenth.map(|share| format!("{:.1} %", 100.0 * share));
            let number = |it: Option<f64>| it.map_or("-".to_owned(), round);
            writeln!(
                f,
                "  {:6} {:width$} {:>7} {:>11} {:>13} {:>16}",
                it.role,
                it.feature,
                number(it.phi),
                number(it.cut_off_x2),
                number(it.smallest_psi),
                tenth.as_deref().unwrap_or("-")
            )?;
        }
        // The finding ends somewhere too, so nobody is told how many there are in all.
        let rest = "are listed here, and the first 100 in `/api/findings`";
        if features.len() > LISTED { writeln!(f, "  the first {LISTED} {rest}") } else { Ok(()) }
    }
}

impl fmt::Display for Sheet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.heading(f)?;
        self.table(f)?;
        let unstable: Vec<String> =
            self.sensitivity.unstable.iter().map(|name| format!("`{name}`")).collect();
        if !unstable.is_empty() {
            writeln!(
                f,
                "  unstable    never judged, since the reference itself would alarm: {}",
                unstable.join(", ")
            )?;
        }
        self.warnings().iter().try_for_each(|warning| writeln!(f, "  warning     {warning}"))
    }
}

/// Three digits that say something, as people read them.
fn round(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = (2 - x.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let mut text = String::new();
    // A string takes whatever is written.
    let _ = write!(text, "{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use weir_telemetry::Spec;

    use super::*;

    #[test]
    fn a_plugin_that_needs_a_profile_and_has_none_is_told_of() {
        let told = |metric: &str| {
            let (key, specs) = ("shift".into(), [Spec::gauge(metric, "", &["state"])]);
            blind(&Tried { key: &key, specs: &specs, profiles: &[], findings: &[] })
        };
        let words = "plugin shift: no profile, so nothing is judged (set `profile` in its config)";
        assert_eq!(told("drift_state").as_deref(), Some(words));
        assert_eq!(told("data_quality_state").as_deref(), Some(words));
        assert_eq!(told("outlier_state").as_deref(), Some(words));
        assert_eq!(told("fairness_state"), None);
    }

    #[test]
    fn numbers_are_rounded_to_what_is_read() {
        for (x, expect) in
            [(30.0, "30"), (0.03333, "0.0333"), (1.0, "1"), (1234.56, "1235"), (0.0, "0"), (2.506, "2.51")]
        {
            assert_eq!(round(x), expect);
        }
    }
}

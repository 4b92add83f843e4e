//! What the windows said, by month.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use weir_profile::length;
use weir_telemetry::log::rfc3339;

use super::Setting;

/// Days of a month, as budgets count them.
const MONTH_NS: f64 = 30.0 * 86_400e9;

/// Features named for a month.
const NAMED: usize = 3;

/// One window.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) begin_ns: u64,
    pub(super) end_ns: u64,
    verdict: String,
    /// Names of what drifted and how far, the clearest first.
    drifted: Vec<(String, f64)>,
    pub(super) finding: Value,
}

/// What one setting would have said.
pub(super) struct Outcome {
    pub(super) setting: Setting,
    pub(super) looks: Vec<Look>,
}

/// One month, or all of them.
#[derive(Default)]
struct Month {
    looks: u32,
    drift: u32,
    unjudged: u32,
    /// Windows in which each feature drifted, and its largest effect.
    features: BTreeMap<String, (u32, f64)>,
}

impl Look {
    /// From the plugin's finding; `None` if that is of another form.
    pub(super) fn read(finding: &Value) -> Option<Self> {
        let window = &finding["window"];
        let tests = finding["tests"].as_array().map_or(&[][..], Vec::as_slice);
        let drifted = tests.iter().filter(|test| test["drift"] == true).filter_map(|test| {
            let segment = test["segment"].as_str().map(|it| format!("[{it}]")).unwrap_or_default();
            let of = if test["of"] == "missing" { " missing" } else { "" };
            let role = test["role"].as_str().filter(|role| *role != "input");
            let role = role.map(|role| format!("{role} ")).unwrap_or_default();
            let name = format!("{role}{}{segment}{of}", test["feature"].as_str()?);
            Some((name, test["psi_corrected"].as_f64()?))
        });
        Some(Self {
            begin_ns: window["begin_unix_ns"].as_u64()?,
            end_ns: window["end_unix_ns"].as_u64()?,
            verdict: finding["verdict"].as_str()?.to_owned(),
            drifted: drifted.collect(),
            finding: finding.clone(),
        })
    }

    fn is_judged(&self) -> bool {
        matches!(&*self.verdict, "ok" | "drift")
    }

    fn month(&self) -> String {
        rfc3339(self.begin_ns / 1_000_000)[..7].to_owned()
    }
}

impl Outcome {
    pub(super) fn as_json(&self) -> Value {
        let alarms = self.looks.iter().filter(|look| look.verdict == "drift").count();
        json!({
            "window_seconds": self.setting.window.as_secs_f64(),
            "budget_looks_a_month": self.setting.budget,
            "min_effect": self.setting.min_effect,
            "alarms": alarms,
            "alarms_a_month": self.a_month(alarms as f64),
            "looks": self.looks.iter().map(|look| &look.finding).collect::<Vec<_>>(),
        })
    }

    /// Of 30 days of windows.
    fn a_month(&self, alarms: f64) -> f64 {
        let months = self.looks.len() as f64 * self.setting.window.as_nanos() as f64 / MONTH_NS;
        if months > 0.0 { alarms / months } else { 0.0 }
    }
}

impl Month {
    fn add(&mut self, look: &Look) {
        self.looks += u32::from(look.is_judged());
        self.unjudged += u32::from(!look.is_judged());
        self.drift += u32::from(look.verdict == "drift");
        for (name, psi) in &look.drifted {
            let known = self.features.entry(name.clone()).or_default();
            *known = (known.0 + 1, known.1.max(*psi));
        }
    }

    /// What drifted in most windows, with its largest corrected PSI.
    fn most(&self) -> String {
        let mut names: Vec<(&String, &(u32, f64))> = self.features.iter().collect();
        names.sort_by(|a, b| b.1.0.cmp(&a.1.0).then(b.1.1.total_cmp(&a.1.1)));
        let named =
            names.iter().take(NAMED).map(|(name, (windows, psi))| format!("{name} {windows}x {psi:.2}"));
        let more = names.len().saturating_sub(NAMED);
        let rest = (more > 0).then(|| format!("{more} more"));
        named.chain(rest).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { window, budget, min_effect } = &self.setting;
        writeln!(f, "window {}, budget {budget} looks a month, effects above {min_effect}", length(*window))?;
        writeln!(f, "  month    looks  drift  not judged  drifted in most windows, largest corrected PSI")?;
        let mut months: BTreeMap<String, Month> = BTreeMap::new();
        let mut all = Month::default();
        for look in &self.looks {
            months.entry(look.month()).or_default().add(look);
            all.add(look);
        }
        let line = |f: &mut fmt::Formatter<'_>, name: &str, month: &Month| {
            let Month { looks, drift, unjudged, .. } = month;
            let text = format!("  {name}  {looks:5}  {drift:5}  {unjudged:10}  {}", month.most());
            writeln!(f, "{}", text.trim_end())
        };
        for (name, month) in &months {
            line(f, name, month)?;
        }
        line(f, "all    ", &all)?;
        write!(f, "  {:.2} windows a month reported drift", self.a_month(f64::from(all.drift)))
    }
}

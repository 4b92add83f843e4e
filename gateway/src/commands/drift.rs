//! `weir drift replay`: what would have fired, had past rows come through the gateway, for each setting.
//!
//! The rows go to the plugin itself, window by window, through the host that runs it live; only the clock is
//! the data's.

mod outcome;
mod rows;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use weir_plugin::{Finding, Host, HostOptions, Limits, PluginJudge, PluginSpec};
use weir_profile::Profile;
use weir_telemetry::Registry;
use weir_telemetry::log::Logger;

use crate::cli::{CliError, DriftCommand, ReplayArgs};
use crate::commands::profile::read_profile;
use crate::commands::{plugin, say};
use outcome::{Look, Outcome};
use rows::Rows;

/// Simulated time between two calls of the plugin's `tick`.
const TICK_NS: u64 = 1_000_000_000;

/// Ticks after which a window is given up: far more than the largest look takes.
const MOST_TICKS: u32 = 10_000;

/// One way to judge the rows.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) window: std::time::Duration,
    pub(crate) budget: f64,
    pub(crate) min_effect: f64,
}

pub(crate) fn run(command: DriftCommand) -> Result<ExitCode, CliError> {
    match command {
        DriftCommand::Replay(args) => replay(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(args: &ReplayArgs) -> Result<(), CliError> {
    let Replayed { profile, rows, outcomes } = Replayed::of(args)?;
    if args.json {
        say(serde_json::to_string_pretty(&json!({
            "rows": rows.len(), "profile": profile.digest,
            "settings": outcomes.iter().map(Outcome::as_json).collect::<Vec<_>>(),
        }))?);
        return Ok(());
    }
    say(format_args!("{}\nprofile     {}", rows.summary(), profile.made.source));
    if profile.assumes_independent_rows() {
        say("            independent rows assumed: the profile has no blocks of time");
    }
    outcomes.iter().for_each(|outcome| say(format_args!("\n{outcome}")));
    Ok(())
}

/// What was replayed, and what it would have said.
struct Replayed {
    profile: Arc<Profile>,
    rows: Rows,
    outcomes: Vec<Outcome>,
}

impl Replayed {
    fn of(args: &ReplayArgs) -> Result<Self, CliError> {
        let profile = Arc::new(read_profile(&args.profile)?);
        let rows = Rows::read(args, &profile)?;
        let component = plugin::component(&args.plugin)?;
        let mut outcomes = Vec::new();
        for setting in settings(args) {
            let looks = Bench::new(args, &profile, &component, &setting)?.replay(&rows, &setting);
            outcomes.push(Outcome { setting, looks });
        }
        Ok(Self { profile, rows, outcomes })
    }
}

/// What each window showed under the first setting.
#[cfg(test)]
pub(crate) fn windows(args: &ReplayArgs) -> Result<Vec<Value>, CliError> {
    let outcome = Replayed::of(args)?.outcomes.into_iter().next();
    Ok(outcome.map_or_else(Vec::new, |outcome| outcome.looks.into_iter().map(|it| it.finding).collect()))
}

/// Every window with every budget and every effect.
fn settings(args: &ReplayArgs) -> Vec<Setting> {
    let mut all = Vec::new();
    for window in &args.window {
        for budget in &args.budget {
            for min_effect in &args.min_effect {
                all.push(Setting { window: *window, budget: *budget, min_effect: *min_effect });
            }
        }
    }
    all
}

/// The plugin at work on simulated time.
struct Bench {
    judge: PluginJudge,
    found: Arc<Mutex<Vec<Value>>>,
    // The judge asks it for nothing, but its engine runs the plugin.
    _host: Host,
}

impl Bench {
    fn new(
        args: &ReplayArgs,
        profile: &Arc<Profile>,
        component: &Arc<[u8]>,
        setting: &Setting,
    ) -> Result<Self, CliError> {
        let found: Arc<Mutex<Vec<Value>>> = Arc::default();
        let taken = found.clone();
        let sink = move |finding: &Finding| {
            if &*finding.kind == "drift"
                && let Ok(value) = serde_json::from_str(&finding.finding)
            {
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            }
        };
        let options = HostOptions { findings: Some(Arc::new(sink)), ..HostOptions::default() };
        let host = Host::new(options, &Registry::default(), &Logger::discard())?;
        let spec = PluginSpec {
            key: "drift".into(),
            path: args.plugin.display().to_string(),
            component: component.clone(),
            settings: with_setting(args, setting)?,
            routes: None,
            // Nobody waits for it, and nothing else wants the memory.
            limits: Limits { cpu: f64::INFINITY, memory: 1 << 30, ..Limits::default() },
            profiles: vec![profile.clone()],
        };
        let set = host
            .prepare(vec![spec])
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let judge = set.commit().new.into_iter().next().ok_or("failed to start the plugin")?;
        // What its self-test found is about no traffic.
        found.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(Self { judge, found, _host: host })
    }

    /// Every window that has rows, and those between them.
    fn replay(mut self, rows: &Rows, setting: &Setting) -> Vec<Look> {
        let span = u64::try_from(setting.window.as_nanos()).unwrap_or(u64::MAX);
        let mut looks = Vec::new();
        // End of the window that the last batch is in.
        let mut due = 0;
        for batch in rows.batches(span) {
            let now = batch.closed_unix_ns;
            let begin = now - now % span;
            // Before a time without rows: few windows wait to be judged, and of more the oldest is dropped.
            if (1..=begin).contains(&due) {
                self.judge_until(due, span, &mut looks);
            }
            if (1..begin).contains(&due) {
                self.judge_until(begin, span, &mut looks);
            }
            self.judge.observe(&batch, now);
            due = begin + span;
        }
        self.judge_until(due, span, &mut looks);
        looks
    }

    /// Lets time pass until every window that has closed by then is judged.
    fn judge_until(&mut self, end_ns: u64, span: u64, looks: &mut Vec<Look>) {
        // Late rows are waited for, so a window closes a little after its end.
        let mut now = end_ns + span.min(5 * TICK_NS);
        for _ in 0..MOST_TICKS {
            self.judge.tick(now);
            now += TICK_NS;
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            let quiet = found.is_empty();
            looks.extend(found.drain(..).filter_map(|finding| Look::read(&finding)));
            let judged = looks.last().is_some_and(|look| look.end_ns >= end_ns);
            if judged || (quiet && now > end_ns + 60 * TICK_NS) {
                return;
            }
        }
    }
}

/// The plugin's settings with those of the replay in them.
fn with_setting(args: &ReplayArgs, setting: &Setting) -> Result<String, CliError> {
    let mut settings: Value = serde_json::from_str(&args.settings)
        .map_err(|error| format!("failed to read the settings: {error}"))?;
    let object = settings.as_object_mut().ok_or("failed to read the settings: they are no JSON object")?;
    object.insert("window".into(), format!("{}ms", setting.window.as_millis()).into());
    object.insert("budget".into(), setting.budget.into());
    object.insert("min_effect".into(), setting.min_effect.into());
    Ok(settings.to_string())
}

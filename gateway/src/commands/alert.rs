//! `weir alert`: whether whoever should be told is reached.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_alert::delivery::{Tried, try_once};
use weir_alert::{Binned, GenerateOptions, generate};
use weir_telemetry::log::Logger;

use super::say;
use crate::cli::{AlertCommand, CliError, RulesArgs};
use crate::generation::Source;
use crate::house::House;
use crate::sensitivity;

/// Does what was asked.
pub(crate) fn run(command: AlertCommand) -> Result<ExitCode, CliError> {
    match command {
        AlertCommand::Test { name, config } => test(&name, config.config),
    }
}

/// Prints the rules of a configuration for Prometheus.
pub(crate) fn rules(args: RulesArgs) -> Result<(), CliError> {
    let loaded = Source::new(args.config.config).load()?;
    let house = House::build(&loaded.config, Logger::discard())?;
    let prepared = house.prepare(loaded, 1)?;
    let alerts = match (args.alerts, args.no_alerts) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    // A plugin tells how long its windows are when it is tried.
    let binned = prepared.plugins.tried();
    let binned = binned.filter_map(|it| Binned::of(it.key, it.specs, sensitivity::span(&it)?));
    let options = GenerateOptions { scope: args.scope, alerts, binned: binned.collect() };
    let text = generate(&prepared.orders.plan, &prepared.loaded.config, &options);
    say(text.trim_end());
    Ok(())
}

/// Sends an alert as the rule would, marked as a test, to every receiver once.
fn test(name: &str, config: Option<PathBuf>) -> Result<ExitCode, CliError> {
    let loaded = Source::new(config).load()?;
    let house = House::build(&loaded.config, Logger::discard())?;
    let orders = house.prepare(loaded, 1)?.orders;
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let Some(alert) = orders.plan.sample(name, &orders.common, unix_ms) else {
        let known = orders.plan.names().collect::<Vec<_>>().join(", ");
        return Err(format!("find an alert or objective `{name}` (there is: {known})").into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tried = runtime.block_on(try_once(orders.receivers, &alert));
    if tried.is_empty() {
        return Err(
            "tell anybody: `[alerting]` names no receiver (set `alertmanagers`, or a `webhook`)".into()
        );
    }
    say(format_args!("{}", serde_json::to_string(&alert.labels)?));
    for Tried { receiver, place, result } in &tried {
        match result {
            Ok(()) => say(format_args!("{receiver}: told (at {place})")),
            Err(words) => say(format_args!("{receiver}: NOT told (at {place}): {words}")),
        }
    }
    let all = tried.iter().all(|tried| tried.result.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

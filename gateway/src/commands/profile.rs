//! `weir profile`: make a profile of reference rows, draw one, compare two, and accept what is live.

mod live;
mod predict;

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_inference::Model;
use weir_profile::{
    BuildOptions, Built, Comparison, Current, ModelRef, Profile, Replay, Sheet, Skew, Typing, Verdict, build,
    length,
};

use crate::cli::{CliError, ProfileArgs, ProfileCommand};
use crate::commands::{say, write_whole};

/// Up to this p, over all features together, two profiles differ by more than chance.
const LEVEL: f64 = 0.01;

/// What is named in place of a file.
const LIVE: &str = "live";

pub(crate) fn run(command: ProfileCommand) -> Result<ExitCode, CliError> {
    match command {
        ProfileCommand::Build(args) => build_and_write(&args)?,
        ProfileCommand::Inspect { file, json, against: None, .. } => inspect(&file, json)?,
        ProfileCommand::Inspect { file, json, against: Some(other), live } => {
            let reference = read_profile(&file)?;
            let current = if other.as_os_str() == LIVE {
                let (profile, beside) = live::fetch(&live)?;
                Current::of_live(&reference, &profile, &beside)
            } else {
                Current::of_profile(&reference, &read_profile(&other)?)
            };
            compare(&reference, &current, json)?;
        }
        ProfileCommand::Accept(args) => live::accept(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn build_and_write(args: &ProfileArgs) -> Result<(), CliError> {
    let (data, out) = (args.data.display(), args.out.display());
    let model = args.model.as_deref().map(read_model).transpose()?;
    let failed = |error| format!("failed to build a profile of `{data}`: {error}");
    let file = File::open(&args.data).map_err(|error| format!("failed to read `{data}`: {error}"))?;
    let sheet = Sheet::read(file, &typing(args)).map_err(|error| failed(error.to_string()))?;
    let sheet = match &model {
        Some(model) => predict::with_predictions(sheet, model).map_err(failed)?,
        None => sheet,
    };
    let options = options(args, model.as_ref(), &sheet);
    let built = build(sheet, &options).map_err(|error| failed(error.to_string()))?;
    let bytes = built.profile.to_json();
    write_whole(&args.out, &bytes).map_err(|error| format!("failed to write `{out}`: {error}"))?;
    print_built(&built, args.budget);
    say(format_args!(
        "written to {out}, {} bytes, sha256 {} of its content",
        bytes.len(),
        built.profile.digest
    ));
    Ok(())
}

pub(crate) fn read_model(path: &Path) -> Result<Model, CliError> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("failed to read `{shown}`: {error}"))?;
    Ok(Model::from_bytes(&bytes).map_err(|error| format!("failed to load `{shown}`: {error}"))?)
}

/// The sheet with what a model says of its rows.
pub(crate) fn predicted(sheet: Sheet, model: &Model) -> Result<Sheet, String> {
    predict::with_predictions(sheet, model)
}

fn typing(args: &ProfileArgs) -> Typing {
    Typing {
        category: args.category.clone(),
        number: args.number.clone(),
        missing: args.missing.clone(),
        guess: true,
    }
}

fn options(args: &ProfileArgs, model: Option<&Model>, sheet: &Sheet) -> BuildOptions {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let source = args.data.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy());
    let mut options = BuildOptions::new(&source, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    options.made.author.clone_from(&args.author);
    options.made.reason.clone_from(&args.reason);
    let about = model.map(Model::about);
    let name = args.model_name.clone().or_else(|| about.map(|about| about.name.clone()));
    let version = args.model_version.clone().or_else(|| about.map(|about| about.version.clone()));
    let has = |name: &String| sheet.columns.iter().any(|column| *column.name == **name);
    BuildOptions {
        model: name.map(|name| ModelRef { name, version }),
        inputs: about.map(|about| about.features.iter().map(|feature| feature.name.clone()).collect()),
        label: args.label.clone().or_else(|| about.map(|about| about.target.clone()).filter(has)),
        ignore: args.ignore.clone(),
        keep: [&args.category[..], &args.number].concat(),
        prediction: args.prediction.clone().map(|column| (column, args.prediction_name.clone())),
        scores: args.score.clone(),
        time: args.time.clone(),
        block: args.block,
        window: args.window,
        budget: args.budget,
        season: args.season,
        segment: args.segment.clone(),
        entity: args.entity.clone(),
        window_rows: args.window_rows,
        ..options
    }
}

fn print_built(built: &Built, budget: f64) {
    say(built.profile.to_string().trim_end());
    if let Some((first, last)) = built.span {
        let span = Duration::from_millis(u64::try_from(last - first).unwrap_or_default());
        say(format_args!("span        {:.1} days", span.as_secs_f64() / 86_400.0));
    }
    if let (Some(replay), Some(window)) = (&built.replay, built.profile.window) {
        print_replay(&built.profile, replay, window, budget);
    }
    built.warnings.iter().for_each(|warning| say(format_args!("warning     {warning}")));
}

fn print_replay(profile: &Profile, replay: &Replay, window: Duration, budget: f64) {
    let Replay { judged, too_small, months, .. } = replay;
    let small = if *too_small > 0 { format!(", {too_small} held too few rows") } else { String::new() };
    let window = length(window);
    say(format_args!("replay      {judged} windows of {window} judged over {months:.1} months{small}"));
    let alarmed: Vec<usize> = (0..profile.features.len()).filter(|at| replay.monthly(*at) > 0.0).collect();
    if alarmed.is_empty() {
        say("            no would-be alarm");
    }
    for at in alarmed {
        let feature = &profile.features[at];
        let unstable = if feature.unstable.is_some() { ": over the budget, so unstable" } else { "" };
        say(format_args!(
            "            {} {}: {:.2} would-be alarms a month{unstable}",
            feature.role.as_str(),
            feature.name,
            replay.monthly(at)
        ));
    }
    say(format_args!("budget      {budget} alarms a month"));
}

pub(crate) fn read_profile(path: &Path) -> Result<Profile, CliError> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("failed to read `{shown}`: {error}"))?;
    Ok(Profile::read(&bytes).map_err(|error| format!("failed to load `{shown}`: {error}"))?)
}

fn inspect(file: &Path, json: bool) -> Result<(), CliError> {
    let profile = read_profile(file)?;
    if json {
        let value: Value = serde_json::from_slice(&profile.to_json())?;
        say(serde_json::to_string_pretty(&value)?);
    } else {
        say(profile.to_string().trim_end());
        say(format_args!("{}: sha256 {} of its content, which fits", file.display(), profile.digest));
    }
    Ok(())
}

fn compare(reference: &Profile, current: &Current, json: bool) -> Result<(), CliError> {
    let whole = reference.cell(None, None).ok_or("failed to compare: the profile holds no rows")?;
    let comparison = reference.compare(whole, current, LEVEL);
    if json {
        say(serde_json::to_string_pretty(&as_json(&comparison))?);
    } else {
        say(comparison.to_string().trim_end());
    }
    Ok(())
}

fn as_json(comparison: &Comparison) -> Value {
    let misfits = &comparison.misfits;
    let names = |columns: &[(weir_exchange::Role, std::sync::Arc<str>)]| -> Vec<Value> {
        columns.iter().map(|(role, name)| json!({ "role": role.as_str(), "name": &**name })).collect()
    };
    let other: Vec<_> = misfits.other_kind.iter().map(|(role, name, _)| (*role, name.clone())).collect();
    json!({
        "reference": { "source": comparison.sources.0, "rows": comparison.rows.0 },
        "compared": { "source": comparison.sources.1, "rows": comparison.rows.1 },
        "independent_rows_assumed": comparison.independent_rows_assumed,
        "level": comparison.level,
        "missing": names(&misfits.missing),
        "extra": names(&misfits.extra),
        "other_kind": names(&other),
        "features": comparison.features.iter().map(|skew| skew_json(skew, comparison.level)).collect::<Vec<_>>(),
    })
}

fn skew_json(skew: &Skew, level: f64) -> Value {
    let verdict = |verdict: &Option<Verdict>| {
        verdict.map(|Verdict { test, p, adjusted, effects }| {
            json!({
                "x2": test.x2, "dof": test.dof, "p": test.p, "alarm_p": p, "p_adjusted": adjusted,
                "psi": effects.psi.corrected, "js": effects.js.corrected,
                "total_variation": effects.total_variation.corrected,
            })
        })
    };
    let changes = skew.changes.iter().map(|c| json!({ "group": c.group, "then": c.then, "now": c.now }));
    json!({
        "role": skew.role.as_str(),
        "name": &*skew.name,
        "differs": skew.differs(level),
        "values": verdict(&skew.values),
        "presence": verdict(&skew.presence),
        "missing": { "then": skew.missing.0, "now": skew.missing.1 },
        "changes": changes.collect::<Vec<_>>(),
        "notes": skew.notes,
    })
}

/// Units of time and their milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A duration as the configuration has them.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = UNITS.iter().find(|(known, _)| *known == unit);
    let ms = unit.zip(digits.parse::<u64>().ok()).and_then(|((_, ms), count)| count.checked_mul(*ms));
    let period = ms.filter(|ms| *ms > 0).map(Duration::from_millis);
    period.ok_or_else(|| "write a whole number and `ms`, `s`, `m`, `h` or `d`, such as `1d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_is_not_nothing() {
        assert_eq!(duration("90m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1d"), Ok(Duration::from_secs(86_400)));
        for no in ["", "1", "d", "0s", "1w", "-1d", "1.5h", "99999999999999999999d", "9999999999999999d"] {
            assert!(duration(no).is_err(), "{no}");
        }
    }
}

//! What a running gateway gets now, as a profile: fetched, compared with, or accepted as the new reference.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use weir_profile::{Beside, Feature, FeatureCounts, LARGEST_FILE, ModelRef, Profile};
use weir_telemetry::export::{Post, PostOptions, PostShape, Reply};

use crate::cli::{AcceptArgs, CliError, LiveArgs};
use crate::commands::{say, write_whole};
use crate::live::BESIDE;

const PAGE: &str = "/api/profile";
/// Bytes of the longest answer that is read: it is indented, a profile is not.
const LONGEST: usize = 4 * LARGEST_FILE;
const NOT_WEIR: &str =
    "(is it `admin` of the gateway, 127.0.0.1:9464 by default, not where its traffic goes?)";

/// The profile of the live window of a model, and what there is beside it.
pub(super) fn fetch(args: &LiveArgs) -> Result<(Profile, Beside), CliError> {
    let client = Post::new(&url(&args.admin), PostShape::default(), &PostOptions::default())
        .map_err(|fault| format!("failed to use `--admin`: failed to {fault}"))?;
    let place = client.place().trim_end_matches('/');
    let page = client.page(&page(args)).map_err(|fault| format!("failed to {fault}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = runtime
        .block_on(client.get(&page, LONGEST))
        .map_err(|error| format!("failed to ask the gateway at `{place}`: {error}"))?;
    let profile = understood(&reply);
    profile.map_err(|why| format!("failed to get live traffic from `{place}`: {why}").into())
}

/// The URL of an admin address, which may be written as the configuration has it.
fn url(admin: &str) -> String {
    if admin.contains("://") { admin.to_owned() } else { format!("http://{admin}") }
}

/// What is asked for; what is not named is left to the gateway, which refuses where there is a choice.
fn page(args: &LiveArgs) -> String {
    let asked = [
        ("plugin", &args.plugin),
        ("route", &args.route),
        ("model", &args.model),
        ("model_version", &args.model_version),
    ];
    let named = asked.into_iter().filter_map(|(name, value)| {
        Some(format!("{name}={}", utf8_percent_encode(value.as_deref()?, NON_ALPHANUMERIC)))
    });
    let query = named.collect::<Vec<_>>().join("&");
    if query.is_empty() { PAGE.to_owned() } else { format!("{PAGE}?{query}") }
}

fn understood(reply: &Reply) -> Result<(Profile, Beside), String> {
    let mut answer: Option<Value> = serde_json::from_slice(&reply.body).ok();
    if !reply.status.is_success() {
        let words = answer.as_ref().and_then(|answer| answer["error"]["message"].as_str());
        let unknown = || format!("it answers with status {} {NOT_WEIR}", reply.status.as_u16());
        return Err(words.map_or_else(unknown, str::to_owned));
    }
    let beside = answer.as_mut().and_then(Value::as_object_mut).and_then(|it| it.shift_remove(BESIDE));
    let beside = beside.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
    // As it is in a file, so that the digest is proved and the limits are those of files.
    let compact = answer.map(|answer| answer.to_string());
    let compact = compact.ok_or_else(|| format!("what it answers is no JSON {NOT_WEIR}"))?;
    let profile = Profile::read(compact.as_bytes()).map_err(|error| format!("{error} {NOT_WEIR}"))?;
    Ok((profile, beside))
}

/// Writes the live window of a model as its new reference.
pub(super) fn accept(args: &AcceptArgs) -> Result<(), CliError> {
    let out = args.out.display();
    let before = replaced(&args.out)?;
    let (live, _) = fetch(&args.live)?;
    if live.made.rows < live.window_rows {
        let Profile { made, window_rows, .. } = live;
        let hint = format!("(wait: windows of {window_rows} rows and more are judged)");
        return Err(format!("failed to accept {}: it has {} rows {hint}", made.source, made.rows).into());
    }
    let blind = before.as_ref().map_or_else(Vec::new, |before| blinded(&live, before));
    let profile = accepted(live, args, before.as_ref());
    let bytes = profile.to_json();
    write_whole(&args.out, &bytes).map_err(|error| format!("failed to write `{out}`: {error}"))?;
    say(format_args!("{}: {} rows", profile.made.source, profile.made.rows));
    say(format_args!("accepted    by {}: {}", args.author, args.reason));
    if let Some(ModelRef { name, version }) = &profile.model {
        let version = version.as_ref().map_or("every version".to_owned(), |it| format!("version {it}"));
        say(format_args!("model       {name}, {version}"));
    }
    if let Some(before) = before {
        say(format_args!("replaces    {}, sha256 {}", before.made.source, before.digest));
        if let Some(season) = before.season {
            let words =
                "is gone, since one window knows nothing of it: build a profile of past rows to keep it";
            say(format_args!("warning     the season `{season}` {words}"));
        }
    }
    for name in blind {
        let words = "most of its rows are in one bin, and changes within that are not seen";
        say(format_args!("warning     `{name}`: {words} (build a profile of past rows)"));
    }
    say(format_args!("written to {out}, {} bytes, sha256 {} of its content", bytes.len(), profile.digest));
    Ok(())
}

/// Features most of whose rows have come to one tested bin, as when they have left the old range: edges are
/// the old reference's, so from now on they are all the same. Only a reference that is replaced says what a
/// bin held before.
fn blinded(live: &Profile, before: &Profile) -> Vec<String> {
    let (Some(now), Some(then)) = (live.cell(None, None), before.cell(None, None)) else { return Vec::new() };
    let blind = |(feature, counts): (&Feature, &FeatureCounts)| {
        let old = before.feature(feature.role, &feature.name)?;
        let now = shares(feature, counts);
        let then = shares(&before.features[old], then.counts.get(old)?);
        let moved = |(now, then): (&f64, &f64)| *now > 0.5 && *then < now / 2.0;
        (now.len() == then.len() && now.iter().zip(&then).any(moved)).then(|| feature.name.to_string())
    };
    live.features.iter().zip(&now.counts).filter_map(blind).collect()
}

/// Share of each tested bin of the rows that have a value.
fn shares(feature: &Feature, counts: &FeatureCounts) -> Vec<f64> {
    let bins = feature.groups.sum(&counts.bins);
    let all = bins.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    bins.iter().map(|rows| rows / all).collect()
}

/// The reference that stands where the new one goes. Nothing but a profile is written over.
fn replaced(path: &Path) -> Result<Option<Profile>, CliError> {
    let shown = path.display();
    match fs::read(path) {
        Ok(bytes) => {
            let read = Profile::read(&bytes);
            let hint = "(choose another file, or move it away)";
            Ok(Some(read.map_err(|error| format!("failed to replace `{shown}`: {error} {hint}"))?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("failed to read `{shown}`: {error}").into()),
    }
}

/// A live window is of one version of a model. A reference that was for more stays so: the next version would
/// else have none.
fn accepted(mut profile: Profile, args: &AcceptArgs, before: Option<&Profile>) -> Profile {
    profile.made.author = Some(args.author.clone());
    profile.made.reason = Some(args.reason.clone());
    let name = profile.model.as_ref().map(|model| model.name.clone());
    match before.map(|before| &before.model) {
        Some(None) => profile.model = None,
        Some(Some(ModelRef { name: old, version: None })) if Some(old) == name.as_ref() => {
            profile.model = Some(ModelRef { name: old.clone(), version: None });
        }
        _ => {}
    }
    profile.sealed()
}

#[cfg(test)]
mod tests {
    use weir_exchange::Role;
    use weir_profile::{BuildOptions, Sheet, Typing, build};

    use super::*;

    #[test]
    fn an_admin_address_may_lack_the_scheme_and_a_wrong_one_is_named() {
        assert_eq!(url("127.0.0.1:9464"), "http://127.0.0.1:9464");
        assert_eq!(url("https://weir.example/a"), "https://weir.example/a");
        let named = LiveArgs {
            admin: "ftp://weir".into(),
            plugin: None,
            route: None,
            model: None,
            model_version: None,
        };
        let wrong = fetch(&named).unwrap_err().to_string();
        let words = "failed to use `--admin`: failed to send to a URL of the scheme `ftp`";
        assert!(wrong.starts_with(words), "{wrong}");
    }

    #[test]
    fn a_feature_whose_rows_have_left_the_old_range_is_named() {
        let rows: String = (0..1000).map(|n| format!("{},{}\n", n % 100, n * 7 % 100)).collect();
        let sheet = Sheet::read(format!("price,age\n{rows}").as_bytes(), &Typing::default());
        let before = build(sheet.unwrap(), &BuildOptions::new("rows", 0)).unwrap().profile;
        assert!(blinded(&before, &before).is_empty());
        let mut live = before.clone();
        let price = live.feature(Role::Input, "price").unwrap();
        let bins = &mut live.cells[0].counts[price].bins;
        bins.fill(0.0);
        *bins.last_mut().unwrap() = 1000.0;
        assert_eq!(blinded(&live, &before), ["price"]);
    }

    #[test]
    fn names_are_asked_for_as_they_are() {
        let mut args =
            LiveArgs { admin: String::new(), plugin: None, route: None, model: None, model_version: None };
        assert_eq!(page(&args), "/api/profile");
        args.model = Some("a b&c=d".into());
        args.plugin = Some("drift".into());
        assert_eq!(page(&args), "/api/profile?plugin=drift&model=a%20b%26c%3Dd");
    }
}

//! Live traffic as a profile: what a model gets now, in the bins of the profile it is compared with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_admin::LiveProfile;
use weir_exchange::{Kind, Schema};
use weir_plugin::{Host, LiveCounts, LiveWindow};
use weir_profile::{Beside, BesideFeature, LiveColumn, Made, ModelRef, Profile};
use weir_telemetry::log::rfc3339;

/// How one of several is named.
const NAMED: &str =
    "name one; `weir profile` takes it as `--plugin`, `--route`, `--model` and `--model-version`";

/// What the page has beside the profile.
pub(crate) const BESIDE: &str = "live";

/// Route, model and version.
type Model = [Arc<str>; 3];

/// The profile of the model that is asked for.
///
/// # Errors
/// Nothing is counted of it, or more than one model is meant: what there is, and what to name.
pub(crate) fn profile(
    host: &Host,
    schemas: &[Arc<Schema>],
    asked: &LiveProfile,
) -> Result<serde_json::Value, String> {
    let model = one(models(schemas, asked), "model", |it| {
        format!("route={}&model={}&model_version={}", it[0], it[1], it[2])
    })?;
    let fits = |key: &&Arc<str>| asked.plugin.as_ref().is_none_or(|wanted| ***key == **wanted);
    let status = host.status();
    let plugins = status.iter().map(|plugin| &plugin.key).filter(fits);
    let counted: Vec<_> = plugins.filter_map(|key| Some((key.clone(), counts(host, key, &model)?))).collect();
    if counted.is_empty() {
        let [route, name, version] = &model;
        let model = format!("model `{name}`, version `{version}`, of route `{route}`");
        let which = asked.plugin.as_ref().map_or("no plugin".to_owned(), |key| format!("no plugin `{key}`"));
        return Err(format!("{which} counts rows of {model} (is a profile of its for this model?)"));
    }
    let (_, counts) = one(counted, "plugin with a tally", |(key, _)| format!("plugin={key}"))?;
    let profile = of_window(&counts.0, &counts.1, &model);
    let beside = Beside { columns: columns(schemas, &model), features: beside(&counts.1) };
    let document = serde_json::from_slice(&profile.to_json()).and_then(|mut document: serde_json::Value| {
        // Beside the profile, not in it: what is written to a file is the profile alone.
        document[BESIDE] = serde_json::to_value(beside)?;
        Ok(document)
    });
    document.map_err(|error| error.to_string())
}

/// Every column of a model's exchanges, once.
fn columns(schemas: &[Arc<Schema>], [route, model, version]: &Model) -> Vec<LiveColumn> {
    let of_model = |it: &&Arc<Schema>| (&it.route, &it.model, &it.model_version) == (route, model, version);
    let mut all: Vec<LiveColumn> = Vec::new();
    for column in schemas.iter().filter(of_model).flat_map(|schema| &schema.columns) {
        let (role, name) = (column.role.as_str().to_owned(), column.name.to_string());
        let column = LiveColumn { role, name, text: column.kind == Kind::Code };
        if !all.contains(&column) {
            all.push(column);
        }
    }
    all
}

fn beside(window: &LiveWindow) -> Vec<BesideFeature> {
    window.parts.first().map_or_else(Vec::new, |whole| whole.beside.clone())
}

/// Models with traffic that fit what is asked for.
fn models(schemas: &[Arc<Schema>], asked: &LiveProfile) -> Vec<Model> {
    let fits = |wanted: &Option<String>, it: &str| wanted.as_ref().is_none_or(|wanted| wanted == it);
    let wanted = [&asked.route, &asked.model, &asked.model_version];
    let all = schemas.iter().map(|it| [it.route.clone(), it.model.clone(), it.model_version.clone()]);
    let fitting = all.filter(|model| wanted.iter().zip(model).all(|(wanted, it)| fits(wanted, it)));
    fitting.collect::<BTreeSet<Model>>().into_iter().collect()
}

/// The only one of several; otherwise what there is, as a query names it.
fn one<T>(all: Vec<T>, what: &str, name: impl Fn(&T) -> String) -> Result<T, String> {
    let names: Vec<String> = all.iter().map(name).collect();
    let mut all = all.into_iter();
    match (all.next(), names.as_slice()) {
        (Some(only), [_]) => Ok(only),
        (None, _) => Err(format!("there is no {what} with traffic that fits what was asked for")),
        _ => Err(format!("there is more than one {what} ({NAMED}: `{}`)", names.join("`, `"))),
    }
}

/// The window to show: the running one once it has rows enough to judge, else whichever has more.
fn counts(host: &Host, key: &str, model: &Model) -> Option<(LiveCounts, LiveWindow)> {
    let [route, name, version] = model;
    let rows = |window: &LiveWindow| window.parts.first().map_or(0, |whole| whole.rows);
    let tallies = host.live(key, [route, name, version]);
    let newest = tallies.into_iter().find(|it| it.running.is_some() || it.closed.is_some())?;
    let running = newest.running.clone().filter(|it| rows(it) > 0);
    let closed = newest.closed.clone().filter(|it| rows(it) > 0);
    let window = match (running, closed) {
        (Some(running), Some(closed)) => {
            let enough = rows(&running) >= newest.profile.window_rows || rows(&running) >= rows(&closed);
            if enough { running } else { closed }
        }
        (running, closed) => running.or(closed)?,
    };
    Some((newest, window))
}

/// A profile of a window: edges, groups and phi are the old one's, counts the window's. It has no season, of
/// which one window knows nothing.
fn of_window(counts: &LiveCounts, window: &LiveWindow, [route, model, version]: &Model) -> Profile {
    let time = |ns: u64| rfc3339(ns / 1_000_000);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let (from, to) = (time(window.begin_unix_ns), time(window.end_unix_ns));
    let version = (!version.is_empty()).then(|| version.to_string());
    let made = Made {
        at_unix_ms: now,
        source: format!("live traffic of route {route}, window {from} to {to}"),
        rows: window.parts.first().map_or(0, |whole| whole.rows),
        author: None,
        reason: None,
        weir_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Profile {
        made,
        model: (!model.is_empty()).then(|| ModelRef { name: model.to_string(), version }),
        season: None,
        segment: counts.segment.clone(),
        cells: window.parts.iter().map(|part| part.cell(None)).collect(),
        ..(*counts.profile).clone()
    }
    .sealed()
}

#[cfg(test)]
mod tests {
    use weir_exchange::SchemaId;

    use super::*;

    #[test]
    fn a_model_without_a_version_is_named_by_an_empty_one() {
        let schema = |version: &str| {
            Arc::new(Schema {
                id: SchemaId(0),
                version: 0,
                route: "r".into(),
                model: "m".into(),
                model_version: version.into(),
                classification: None,
                columns: Vec::new(),
            })
        };
        let schemas = [schema(""), schema("2")];
        let versions = |model_version: Option<&str>| {
            let asked =
                LiveProfile { model_version: model_version.map(str::to_owned), ..LiveProfile::default() };
            models(&schemas, &asked).iter().map(|it| it[2].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(versions(None), ["", "2"]);
        assert_eq!(versions(Some("")), [""]);
        assert_eq!(versions(Some("2")), ["2"]);
    }
}

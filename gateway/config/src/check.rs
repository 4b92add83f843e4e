//! Checks across sections: names that refer to each other, routes that cannot be told apart.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::alert::{AlertKeys, AlertRule};
use crate::document::File;
use crate::fault::Place;
use crate::key::meant;
use crate::reader::{At, Reader};
use crate::route::{PathMatch, Route, RouteKeys, Wire};
use crate::slo::{Slo, SloKeys};

/// Names must lead somewhere, and what nothing leads to is probably a mistake.
pub(crate) fn references(file: &File, reader: &mut Reader<'_>) {
    let routes: Vec<&str> = file.route.iter().filter_map(|r| Some(&*r.value.name.as_ref()?.value)).collect();
    let backends: Vec<&str> = file.backend.iter().map(|b| &*b.shown).collect();
    if file.route.is_empty() {
        let hint = "write `[[route]]` with `name`, `path` and `backend`";
        let message = format!("there is no route, so every request would be a 404 ({hint})");
        reader.misfit(&Place::new("route", 0..0), message);
    }
    for name in file.route.iter().filter_map(|route| route.value.backend.as_ref()) {
        known("backend", name, &name.value, &backends, reader);
    }
    let of_plugins = file.plugin.iter().flat_map(|plugin| &plugin.value.routes);
    let of_slos = file.slo.iter().flat_map(|slo| &slo.value.routes);
    for name in of_plugins.chain(&file.prediction_log.value.routes).chain(of_slos) {
        known("route", name, &name.value, &routes, reader);
    }
    let told = file.alert.iter().map(|alert| &*alert.shown).chain(file.slo.iter().map(|slo| &*slo.shown));
    let told: Vec<&str> = told.collect();
    for name in file.alerting.maintenance.iter().flat_map(|one| &one.value.alerts) {
        known("alert or objective", name, &name.value, &told, reader);
    }
    readiness(file, &backends, reader);
    unused(file, reader);
}

/// `ready_requires` names backends and plugins.
fn readiness(file: &File, backends: &[&str], reader: &mut Reader<'_>) {
    let plugins: Vec<&str> = file.plugin.iter().map(|p| &*p.shown).collect();
    for required in &file.gateway.ready_requires {
        match required.value.split_once(':') {
            Some(("backend", name)) => known("backend", required, name, backends, reader),
            Some(("plugin", name)) => known("plugin", required, name, &plugins, reader),
            _ => {
                let hint = "write `backend:NAME` or `plugin:NAME`";
                let message = format!("{} is neither a backend nor a plugin ({hint})", required.shown);
                reader.fault(&required.place, message);
            }
        }
    }
}

/// A backend without a route is probed and held for nothing.
fn unused(file: &File, reader: &mut Reader<'_>) {
    let used: HashSet<&str> =
        file.route.iter().filter_map(|r| Some(&*r.value.backend.as_ref()?.value)).collect();
    for backend in file.backend.iter().filter(|backend| !used.contains(&*backend.shown)) {
        reader.warn(&backend.place, "no route leads to this backend (add one, or take it out)");
    }
}

/// A fault unless `name` is one of `names`.
fn known(what: &str, written: &At<String>, name: &str, names: &[&str], reader: &mut Reader<'_>) {
    if names.contains(&name) {
        return;
    }
    let all = if names.is_empty() {
        format!("no {what} is configured")
    } else {
        format!("known: {}", names.join(", "))
    };
    // What came from the environment is neither shown nor compared in words.
    let hint =
        if written.shown.contains("${") { String::new() } else { meant(name, names.iter().copied(), &all) };
    let shown = if hint.is_empty() { written.shown.clone() } else { format!("`{}`", name.escape_debug()) };
    reader.misfit(&written.place, format!("there is no {what} {shown}{hint}"));
}

/// Everything that decides whether a request takes a route.
type Conditions<'a> = (&'a PathMatch, &'a Option<String>, &'a [String], &'a [(String, String)]);

/// Two routes may share neither a name nor all of their conditions.
pub(crate) fn duplicates(routes: &[(Place, Route)], reader: &mut Reader<'_>) {
    let mut names: HashMap<&str, &Place> = HashMap::new();
    let mut conditions: HashMap<Conditions<'_>, (&Place, &Route)> = HashMap::new();
    for (place, route) in routes {
        if let Some(first) = names.insert(&route.name, place) {
            let first = reader.address(first);
            let message =
                format!("a route is named `{}` already, at {first} (choose another name)", route.name);
            reader.misfit(place, message);
        }
        let key = (&route.path, &route.host, &*route.methods, &*route.headers);
        if let Some((first, other)) = conditions.insert(key, (place, route)) {
            let message = format!(
                "takes the same requests as the route `{}` at {} (change the path or a condition of one)",
                other.name,
                reader.address(first)
            );
            reader.misfit(place, message);
        }
    }
}

/// Plugins that will never see a row, as far as the configuration tells.
pub(crate) fn idle_plugins(file: &File, reader: &mut Reader<'_>) {
    let decoded = |route: &RouteKeys| route.protocol.as_ref().is_some_and(|wire| wire.value != Wire::None);
    let seen = |route: &&At<RouteKeys>| route.value.observe && decoded(&route.value);
    let visible: HashSet<&str> =
        file.route.iter().filter(seen).filter_map(|r| Some(&*r.value.name.as_ref()?.value)).collect();
    for plugin in &file.plugin {
        let routes = &plugin.value.routes;
        let idle = if routes.is_empty() {
            visible.is_empty()
        } else {
            routes.iter().all(|r| !visible.contains(&*r.value))
        };
        if idle {
            let hint = "give one of its routes a `protocol`, and leave `observe` on";
            let message = format!("this plugin will see nothing: no route of it is decoded ({hint})");
            reader.warn(&plugin.place, message);
        }
    }
}

/// Alerts that explain each other would silence each other.
fn circles(alerts: &[At<AlertKeys>], slos: &[At<SloKeys>], reader: &mut Reader<'_>) {
    let of_alerts = alerts.iter().map(|alert| (&*alert.shown, &alert.value.unless));
    let of_slos = slos.iter().map(|slo| (&*slo.shown, &slo.value.unless));
    let all: HashMap<&str, &Vec<At<String>>> = of_alerts.chain(of_slos).collect();
    for (name, unless) in &all {
        for other in unless.iter().filter(|other| other.value != **name) {
            let (mut seen, mut next) = (HashSet::new(), vec![&*other.value]);
            while let Some(one) = next.pop() {
                if seen.insert(one) {
                    next.extend(all.get(one).into_iter().flat_map(|list| list.iter().map(|u| &*u.value)));
                }
            }
            if seen.contains(name) {
                let words = "is explained by this one in turn, so that nobody would be told of either";
                reader.fault(&other.place, format!("{} {words} (take one of them out)", other.shown));
            }
        }
    }
}

/// Rules and objectives; their names are one space, since both name alerts.
pub(crate) fn rules(
    alerts: Vec<At<AlertKeys>>,
    slos: Vec<At<SloKeys>>,
    interval: Duration,
    reader: &mut Reader<'_>,
) -> (Vec<AlertRule>, Vec<Slo>) {
    let names: Vec<String> =
        alerts.iter().map(|a| &a.shown).chain(slos.iter().map(|s| &s.shown)).cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for slo in slos.iter().filter(|slo| alerts.iter().any(|alert| alert.shown == slo.shown)) {
        let message = format!("an alert is named `{}` already (choose another name)", slo.shown);
        reader.misfit(&slo.place, message);
    }
    let of_alerts = alerts.iter().flat_map(|alert| alert.value.unless.iter().map(move |u| (&alert.shown, u)));
    let of_slos = slos.iter().flat_map(|slo| slo.value.unless.iter().map(move |u| (&slo.shown, u)));
    for (name, other) in of_alerts.chain(of_slos) {
        if *name == other.value {
            reader.fault(&other.place, "an alert cannot explain itself (name another, or take it out)");
        } else {
            known("alert or objective", other, &other.value, &names, reader);
        }
    }
    circles(&alerts, &slos, reader);
    let alerts = alerts.into_iter().filter_map(|alert| alert.resolve(interval, reader)).collect();
    let slos = slos.into_iter().filter_map(|slo| slo.resolve(reader)).collect();
    (alerts, slos)
}

//! `model_loaded`, and what models are called: the configuration says it until replies do, and what replies
//! said is remembered over a restart, so that a model that is down then is still the same one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_alert::files;
use weir_exchange::{Role, Schema};
use weir_proxy::Readiness;
use weir_telemetry::log::Logger;
use weir_telemetry::{Points, Sample, Source, Spec, Value};

use crate::status::Status;

/// Model and version.
type Labels = [Arc<str>; 2];

/// `model_loaded`: computed when asked, so that a retired model is absent rather than 0.
pub(crate) struct ModelLoaded {
    status: Arc<Status>,
    /// `None`: nothing survives a restart.
    file: Option<PathBuf>,
    known: Mutex<Known>,
    logger: Logger,
}

/// What replies called the models of each forwarded route.
type Known = BTreeMap<Arc<str>, Called>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Called {
    /// What the configuration called it then: under another name it is another model.
    configured: Labels,
    named: Vec<Labels>,
}

impl ModelLoaded {
    /// Goes on with what was stored in `state_dir`.
    pub(crate) fn new(status: Arc<Status>, state_dir: Option<&Path>, logger: &Logger) -> Self {
        let (file, logger) = (state_dir.map(|folder| folder.join("models.json")), logger.source("models"));
        let begins = "the names of models cannot be read: replies have to say them again";
        let read = file.as_deref().map(|file| files::read(file, &logger, begins, Ok::<Known, Infallible>));
        let known = match read {
            Some(files::Read::State(known)) => known,
            _ => Known::new(),
        };
        Self { status, file, known: Mutex::new(known), logger }
    }

    /// Notes what replies call models now, and stores it if that is news.
    pub(crate) fn remember(&self) {
        let seen = self.status.schemas_by_age();
        let routes = self.status.readiness();
        let called = routes.iter().filter_map(|readiness| {
            let (named, configured) = (named(readiness, &seen), configured(readiness));
            (!named.is_empty()).then(|| (readiness.route.name.clone(), Called { configured, named }))
        });
        let mut now = self.known().clone();
        now.retain(|name, _| routes.iter().any(|readiness| readiness.route.name == *name));
        now.extend(called);
        let news = *self.known() != now;
        // What could not be stored is still news.
        let fails = "the names of models cannot be stored";
        if news && self.file.as_ref().is_none_or(|file| files::store(file, &now, &self.logger, fails)) {
            *self.known() = now;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing under this lock can panic half way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `model_loaded` is.
pub(crate) fn model_loaded() -> Spec {
    let help = "1 while a model can answer: loaded here, or its server ready.";
    Spec::gauge("model_loaded", help, &["model", "model_version"])
}

impl Source for ModelLoaded {
    fn collect(&self, out: &mut Vec<Points>) {
        let seen = self.status.schemas_by_age();
        let known = self.known();
        let mut models: BTreeMap<Labels, bool> = BTreeMap::new();
        for readiness in self.status.readiness() {
            for labels in labels_of(&readiness, &seen, known.get(&readiness.route.name)) {
                *models.entry(labels).or_default() |= readiness.ready;
            }
        }
        let sample = |(labels, ready): (Labels, bool)| Sample {
            labels: labels.into(),
            overflow: false,
            value: Value::Gauge(f64::from(u8::from(ready))),
            exemplars: Vec::new(),
        };
        out.push(Points { spec: model_loaded(), samples: models.into_iter().map(sample).collect() });
    }
}

/// A model that others of its route have outlived by this much is retired: a new version took its place.
const RETIRED: Duration = Duration::from_secs(300);

fn configured(Readiness { route, .. }: &Readiness) -> Labels {
    [route.model.clone(), route.model_version.clone()]
}

/// The models a route's replies named, each `seen` with how long ago. A model that runs here is known: what
/// earlier replies named may have been replaced since.
fn named(readiness: &Readiness, seen: &[(Arc<Schema>, Duration)]) -> Vec<Labels> {
    if readiness.local {
        return Vec::new();
    }
    let configured = configured(readiness);
    let replied = |s: &Schema| [Role::Output, Role::Score].iter().any(|r| s.with_role(*r).next().is_some());
    let of_route = seen.iter().filter(|(s, _)| s.route == readiness.route.name && replied(s));
    let named: Vec<_> = of_route
        .map(|(s, age)| ([s.model.clone(), s.model_version.clone()], *age))
        .filter(|(labels, _)| *labels != configured && labels.iter().any(|l| !l.is_empty()))
        .collect();
    let youngest = named.iter().map(|(_, age)| *age).min().unwrap_or_default();
    let current = named.into_iter().filter(|(_, age)| *age <= youngest + RETIRED);
    current.map(|(labels, _)| labels).collect()
}

/// What a route's models are called: by its replies, by those of before a restart, or by the configuration.
fn labels_of(
    readiness: &Readiness,
    seen: &[(Arc<Schema>, Duration)],
    before: Option<&Called>,
) -> Vec<Labels> {
    let (named, configured) = (named(readiness, seen), configured(readiness));
    let before = before.filter(|called| !readiness.local && called.configured == configured);
    match (named.is_empty(), before) {
        (false, _) => named,
        (true, Some(called)) => called.named.clone(),
        (true, None) => vec![configured],
    }
}

#[cfg(test)]
mod tests {
    use weir_exchange::{Column, Kind, ObservedRoute, SchemaId};

    use super::*;

    fn version(version: &str, age: u64) -> (Arc<Schema>, Duration) {
        let output = Column { role: Role::Output, name: "0".into(), kind: Kind::Number, codes: Vec::new() };
        let schema = Schema {
            id: SchemaId(1),
            version: 1,
            route: "churn".into(),
            model: "churn".into(),
            model_version: version.into(),
            classification: None,
            columns: vec![output],
        };
        (Arc::new(schema), Duration::from_secs(age))
    }

    #[test]
    fn what_replies_said_before_a_restart_holds_until_they_say_more_or_the_model_is_another() {
        let route = ObservedRoute::named("churn", None);
        let readiness = Readiness { route, local: false, ready: false };
        let called = |model: &str| Called {
            configured: [model.into(), "".into()],
            named: vec![["churn".into(), "7".into()]],
        };
        let version = |readiness: &Readiness, seen: &[(Arc<Schema>, Duration)], before: &Called| {
            labels_of(readiness, seen, Some(before))[0][1].to_string()
        };
        assert_eq!(version(&readiness, &[], &called("churn")), "7");
        assert_eq!(version(&readiness, &[self::version("8", 0)], &called("churn")), "8");
        assert_eq!(version(&readiness, &[], &called("other")), "");
        assert_eq!(version(&Readiness { local: true, ..readiness }, &[], &called("churn")), "");
    }

    #[test]
    fn a_version_that_another_has_outlived_is_retired_and_two_that_are_asked_are_not() {
        let route = ObservedRoute::named("churn", None);
        let readiness = Readiness { route, local: false, ready: true };
        let versions = |seen: &[(Arc<Schema>, Duration)]| -> Vec<String> {
            labels_of(&readiness, seen, None).into_iter().map(|[_, version]| version.to_string()).collect()
        };
        assert_eq!(versions(&[]), [""]);
        assert_eq!(versions(&[version("1", 301), version("2", 0)]), ["2"]);
        assert_eq!(versions(&[version("1", 200), version("2", 0)]), ["1", "2"]);
        assert_eq!(versions(&[version("1", 9_000), version("2", 9_200)]), ["1", "2"], "a quiet night");
    }
}

//! The file as a whole: its tables, and how they become a [`Config`].

use std::path::Path;

use toml::de::DeTable;

use crate::alert::AlertKeys;
use crate::alerting::AlertingKeys;
use crate::backend::{BackendKeys, Surroundings};
use crate::check;
use crate::config::Config;
use crate::fault::Place;
use crate::gateway::GatewayKeys;
use crate::key::{Table, meant, section};
use crate::kind::{Named, Placed, Shape, Sub, Tables};
use crate::limits::{Limits, Log, Telemetry, Timeouts};
use crate::plugin::PluginKeys;
use crate::prediction_log::PredictionLogKeys;
use crate::privacy::PrivacyKeys;
use crate::reader::{At, Reader};
use crate::route::RouteKeys;
use crate::section::{Keys, Section, in_order};
use crate::slo::SloKeys;
use crate::tracing::TracingKeys;
use crate::verdict_log::VerdictLogKeys;

section! {
    /// Weir's configuration.
    pub(crate) struct File {
        /// The process: where it listens, its threads, how it ends.
        pub(crate) gateway: GatewayKeys = default("{}", Sub::<GatewayKeys>::NEW);
        /// What is turned away at once.
        pub(crate) limits: Limits = default("{}", Sub::<Limits>::NEW);
        /// How long anything may take.
        pub(crate) timeouts: Timeouts = default("{}", Sub::<Timeouts>::NEW);
        /// Requests of one kind and where they go.
        pub(crate) route: Vec<At<RouteKeys>> = default("[]", Tables::<RouteKeys>::max(1000));
        /// Model servers to forward to, or a model to run here.
        pub(crate) backend: Vec<At<BackendKeys>> = default("{}", Named::<BackendKeys>::max(1000));
        /// What judges traffic.
        pub(crate) plugin: Vec<At<PluginKeys>> = default("{}", Named::<PluginKeys>::max(64));
        /// Bounds of what observing may hold.
        pub(crate) telemetry: Telemetry = default("{}", Sub::<Telemetry>::NEW);
        /// Which traces are kept, and where their spans go.
        pub(crate) tracing: TracingKeys = default("{}", Sub::<TracingKeys>::NEW);
        /// Records of predictions, for whoever trains and judges models later.
        pub(crate) prediction_log: At<PredictionLogKeys> =
            default("{}", Placed(Sub::<PredictionLogKeys>::NEW));
        /// What plugins have found out about models.
        pub(crate) verdict_log: At<VerdictLogKeys> = default("{}", Placed(Sub::<VerdictLogKeys>::NEW));
        /// Who evaluates rules, and who is told what they say.
        pub(crate) alerting: AlertingKeys = default("{}", Sub::<AlertingKeys>::NEW);
        /// Rules.
        pub(crate) alert: Vec<At<AlertKeys>> = default("{}", Named::<AlertKeys>::max(5000));
        /// Service level objectives.
        pub(crate) slo: Vec<At<SloKeys>> = default("{}", Named::<SloKeys>::max(1000));
        /// What nobody may see of the bodies.
        pub(crate) privacy: PrivacyKeys = default("{}", Sub::<PrivacyKeys>::NEW);
        /// What is written to standard error.
        pub(crate) log: Log = default("{}", Sub::<Log>::NEW);
    }
}

impl File {
    /// Reads the whole document.
    pub(crate) fn read(root: &DeTable<'_>, reader: &mut Reader<'_>) -> Self {
        let place = Place::new("", 0..0);
        let file = <Self as Keys>::read(&mut Section::new(root, place.clone(), reader));
        for (name, _) in in_order(root) {
            let name_text: &str = name.get_ref();
            let message = if Self::TABLE.key(name_text).is_none() {
                let home = tables().into_iter().find(|(_, table)| table.key(name_text).is_some());
                let home = home.map(|(header, _)| format!("`{name_text}` is a key of `{header}`"));
                let known = || format!("known: {}", Self::TABLE.names().collect::<Vec<_>>().join(", "));
                let hint = meant(name_text, Self::TABLE.names(), &home.unwrap_or_else(known));
                format!("there is no table `{name_text}`{hint}")
            } else {
                continue;
            };
            reader.misfit(&place.below(name_text, name.span()), message);
        }
        file
    }

    /// Checks how the parts fit and resolves them. What comes out is whole only if no fault was recorded.
    pub(crate) fn resolve(
        self,
        base: &Path,
        is_folder: &dyn Fn(&Path) -> bool,
        reader: &mut Reader<'_>,
    ) -> Config {
        check::references(&self, reader);
        check::idle_plugins(&self, reader);
        self.gateway.check(reader);
        let (limits, timeouts) = (self.limits, self.timeouts);
        let placed = self.route.into_iter().map(|route| (route.place.clone(), route));
        let routes: Vec<_> = placed
            .filter_map(|(place, route)| Some((place, route.resolve(&limits, &timeouts, reader)?)))
            .collect();
        check::duplicates(&routes, reader);
        let around = Surroundings { base, timeouts: &timeouts, is_folder };
        let backends = self.backend.into_iter().filter_map(|b| b.resolve(&around, reader)).collect();
        let telemetry = Telemetry { cpu: self.gateway.telemetry_cpu, ..self.telemetry };
        let tracing = self.tracing.resolve(base, reader);
        let prediction_log = self.prediction_log.resolve(base, tracing.otlp.is_some(), reader);
        let (alerts, slos) = check::rules(self.alert, self.slo, self.alerting.interval, reader);
        Config {
            gateway: self.gateway.resolve(base),
            limits,
            timeouts,
            routes: routes.into_iter().map(|(_, route)| route).collect(),
            backends,
            plugins: self.plugin.into_iter().filter_map(|plugin| plugin.resolve(base)).collect(),
            telemetry,
            tracing,
            prediction_log,
            verdict_log: self.verdict_log.resolve(base, reader),
            privacy: self.privacy.resolve(reader),
            alerting: self.alerting.resolve(base, reader),
            alerts,
            slos,
            log: self.log,
            base: base.to_owned(),
        }
    }
}

/// Every table below the top level by its header, in the order of the manual.
pub(crate) fn tables() -> Vec<(String, &'static Table)> {
    fn below(prefix: &str, table: &'static Table, all: &mut Vec<(String, &'static Table)>) {
        for key in table.keys {
            let path = format!("{prefix}{}", key.name);
            let (header, inner, tables) = match key.kind.shape() {
                Shape::Leaf => continue,
                Shape::Table(table) => (format!("[{path}]"), format!("{path}."), vec![table]),
                Shape::Tables(table) => (format!("[[{path}]]"), format!("{path}."), vec![table]),
                Shape::Named(tables) => (format!("[{path}.NAME]"), format!("{path}.NAME."), tables.to_vec()),
            };
            for table in tables {
                all.push((header.clone(), table));
                below(&inner, table, all);
            }
        }
    }
    let mut all = Vec::new();
    below("", File::TABLE, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Source;
    use crate::key::Presence;

    /// Defaults are read by `expect`; examples are what people copy. Each must be right.
    #[test]
    fn every_default_and_every_example_is_valid() {
        for (header, table) in tables() {
            for key in table.keys.iter().filter(|key| matches!(key.kind.shape(), Shape::Leaf)) {
                let at = header.trim_matches(['[', ']']).split('.').collect::<Vec<_>>();
                let text = match at.as_slice() {
                    ["route"] => format!("[[route]]\n{} = {}", key.name, key.literal),
                    ["route", inner] => format!("[[route]]\n[route.{inner}]\n{} = {}", key.name, key.literal),
                    ["slo", _, "burn"] => format!("[[slo.x.burn]]\n{} = {}", key.name, key.literal),
                    ["backend", _] => {
                        let first = &table.keys[0];
                        let rest = if std::ptr::eq(first, key) { "" } else { first.literal };
                        let rest =
                            if rest.is_empty() { String::new() } else { format!("{} = {rest}", first.name) };
                        format!("[backend.x]\n{rest}\n{} = {}", key.name, key.literal)
                    }
                    _ => format!("[{}]\n{} = {}", at.join(".").replace("NAME", "x"), key.name, key.literal),
                };
                assert_eq!(faults(&text), Vec::<String>::new(), "{text}");
            }
        }
    }

    /// Faults in values: what is missing beside the one key is left out.
    fn faults(text: &str) -> Vec<String> {
        let source = Source::new("t", text);
        let mut reader = Reader::new(&source, &|_| None);
        let (root, errors) = DeTable::parse_recoverable(text);
        errors.iter().for_each(|error| reader.syntax(error));
        File::read(root.get_ref(), &mut reader);
        let (faults, _) = reader.finish();
        faults.into_iter().map(|f| f.message).filter(|m| !m.contains("is missing")).collect()
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        for (header, table) in tables() {
            assert!(table.about.trim().len() > 10, "{header}");
            for key in table.keys {
                assert!(key.doc.trim().ends_with('.'), "{header} {}", key.name);
                assert!(key.presence == Presence::Default || key.literal.len() > 1, "{header} {}", key.name);
            }
        }
    }
}

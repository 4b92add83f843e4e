//! How far the traffic of all gateways together is from the reference: a mean over replicas would be of
//! something else, and small replicas would make it large.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_config::{Config, period};
use weir_telemetry::Spec;

use super::GenerateOptions;
use super::yaml::{Entry, Sheet};
use crate::promql::quoted;

/// What every series of a plugin has, and a feature of its model.
const MODEL: &str = "plugin, route, model, model_version";
const FEATURE: &str = "plugin, route, model, model_version, feature";
const BIN: &str = "plugin, route, model, model_version, feature, bin";

/// Sums over longer windows take long, and move slowly.
const LONG: Duration = Duration::from_secs(6 * 3600);
const SLOWLY: &str = "2m";

/// A plugin that counts rows in the bins of a reference, and shows both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binned {
    /// Its key in the configuration.
    pub plugin: String,
    /// What its metrics begin with.
    pub prefix: String,
    /// Length of its windows.
    pub window: Duration,
}

impl Binned {
    /// From what a plugin declares; `None` if that is no such plugin.
    pub fn of(plugin: &str, specs: &[Spec], window: Duration) -> Option<Self> {
        let has = |name: String| specs.iter().any(|spec| *spec.name == *name);
        let prefix = specs.iter().find_map(|spec| spec.name.strip_suffix("_bin_rows_total"))?;
        let whole = has(format!("{prefix}_reference_ratio")) && has(format!("{prefix}_reference_rows"));
        whole.then(|| Self { plugin: plugin.to_owned(), prefix: prefix.to_owned(), window })
    }
}

/// A group of recorded series that ends in the corrected PSI of each feature.
pub(super) fn group(sheet: &mut Sheet, of: &Binned, config: &Config, options: &GenerateOptions) {
    let interval = if of.window > LONG { SLOWLY.to_owned() } else { period(config.alerting.interval) };
    sheet.group(&format!("weir-drift-{}", of.plugin), &interval);
    sheet.note(
        "PSI of the traffic of all gateways, over a window that slides: 0.5 is added to each bin, and what chance \
         alone shows, degrees of freedom (1/n + 1/m), is subtracted. Verdicts are the gateways', of \
         windows that tumble: neither phi (that rows of one time are alike) nor rows that come again are in \
         it, and rows without a value count in n. For a window after a new reference it is of both.",
    );
    let writer = Writer { of, config, scope: &options.scope };
    writer.counts(sheet);
    writer.shares(sheet);
    writer.psi(sheet);
}

struct Writer<'a> {
    of: &'a Binned,
    config: &'a Config,
    scope: &'a str,
}

impl Writer<'_> {
    /// Rows of all gateways and of the reference by bin. A gateway that has another reference for a moment is
    /// no further reference.
    fn counts(&self, sheet: &mut Sheet) {
        let (share, rows) = (self.series("reference_ratio"), self.series("reference_rows"));
        let live = format!("{}[{}]", self.series("bin_rows_total"), period(self.of.window));
        let reference =
            format!("max by ({BIN}) ({share})\n* on ({MODEL}) group_left () max by ({MODEL}) ({rows})");
        self.record(
            sheet,
            &self.rows(),
            &format!("sum by ({BIN}) (increase({live}))\nand max by ({BIN}) ({share})"),
        );
        self.record(sheet, &self.reference(), &reference);
    }

    /// Both as shares, no bin empty.
    fn shares(&self, sheet: &mut Sheet) {
        for name in [self.rows(), self.reference()] {
            let it = self.recorded(&name);
            let all = format!("(sum by ({FEATURE}) ({it}) + 0.5 * count by ({FEATURE}) ({it}))");
            self.record(sheet, &share(&name), &format!("({it} + 0.5)\n/ on ({FEATURE}) group_left () {all}"));
        }
    }

    /// sum (q - p) ln (q / p), less its mean where nothing has changed; nothing where no row came. As the
    /// gateways do, bins that nobody has a row in are no degrees of freedom.
    fn psi(&self, sheet: &mut Sheet) {
        let [live, reference] = [self.recorded(&self.rows()), self.recorded(&self.reference())];
        let [q, p] = [self.recorded(&share(&self.rows())), self.recorded(&share(&self.reference()))];
        let raw = format!("sum by ({FEATURE}) (({q} - {p})\n* ln({q} / {p}))");
        let dof = format!("(count by ({FEATURE}) ({live}\n+ {reference} > 0) - 1)");
        let [m, n] = [&live, &reference].map(|it| format!("1 / (sum by ({FEATURE}) ({it}) > 0)"));
        self.record(sheet, &self.name("feature", "psi"), &format!("{raw}\n- {dof}\n* ({m}\n+ {n})"));
    }

    fn rows(&self) -> String {
        self.name("feature_bin", "bin_rows")
    }

    fn reference(&self) -> String {
        format!("feature_bin:{}_reference_rows:max", self.of.prefix)
    }

    fn name(&self, level: &str, what: &str) -> String {
        format!("{level}:{}_{what}:increase{}", self.of.prefix, period(self.of.window))
    }

    /// A series of every gateway.
    fn series(&self, what: &str) -> String {
        let own = format!("plugin={}", quoted(&self.of.plugin));
        let matchers: Vec<&str> = [self.scope, &own].into_iter().filter(|it| !it.is_empty()).collect();
        format!("{}_{what}{{{}}}", self.of.prefix, matchers.join(", "))
    }

    fn recorded(&self, name: &str) -> String {
        let own = [("plugin".to_owned(), self.of.plugin.clone())];
        let all = self.own_labels().into_iter().chain(own);
        let matchers: Vec<String> = all.map(|(label, value)| format!("{label}={}", quoted(&value))).collect();
        format!("{name}{{{}}}", matchers.join(", "))
    }

    /// The labels of all alerts tell one fleet from another.
    fn own_labels(&self) -> BTreeMap<String, String> {
        self.config.alerting.labels.iter().cloned().collect()
    }

    fn record(&self, sheet: &mut Sheet, name: &str, expr: &str) {
        let (name, expr, labels) = (name.to_owned(), expr.to_owned(), self.own_labels());
        sheet.rule(&Entry { kind: "record", name, expr, labels, ..Entry::default() });
    }
}

/// The name of the shares of recorded counts.
fn share(name: &str) -> String {
    match name.rsplit_once(':') {
        Some((name, how)) => format!("{name}:ratio_{how}"),
        None => name.to_owned(),
    }
}

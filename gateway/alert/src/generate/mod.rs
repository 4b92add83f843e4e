//! The rules as Prometheus would have them, for the fleet rather than for one gateway.
//!
//! What is written depends on the configuration alone, so that it can be kept beside it and compared.

mod drift;
mod inhibit;
mod rules;
mod slo;
mod yaml;

use weir_config::Config;

use crate::rule::Plan;
use yaml::Sheet;

pub use drift::Binned;
pub use inhibit::inhibit_rules;

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Matchers that every series of a gateway has in Prometheus, such as `job="weir"`; model servers export
    /// some of the same names. "" for none.
    pub scope: String,
    /// Whether alerts are written; `None`: unless this gateway tells somebody itself.
    pub alerts: Option<bool>,
    /// Plugins whose counts add up over gateways.
    pub binned: Vec<Binned>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { scope: "job=\"weir\"".to_owned(), alerts: None, binned: Vec::new() }
    }
}

/// A rule file for Prometheus: sums and shares of every objective, and the alerts.
pub fn generate(plan: &Plan, config: &Config, options: &GenerateOptions) -> String {
    let mut sheet = Sheet::default();
    let alerts = options.alerts.unwrap_or(!tells(config));
    sheet.comment(&heading(config, options, alerts));
    sheet.line("groups:");
    if options.alerts != Some(false) {
        rules::gateway(&mut sheet, config, options, alerts);
    }
    let with = slo::Context { config, scope: &options.scope, alerts };
    for (slo, words) in &plan.slos {
        slo::groups(&mut sheet, slo, words, &with);
    }
    options.binned.iter().for_each(|of| drift::group(&mut sheet, of, config, options));
    if alerts {
        rules::rules(&mut sheet, plan, config, options);
    }
    let text = sheet.finish();
    if !alerts {
        return text;
    }
    match inhibit_rules(plan, config) {
        inhibit if inhibit.is_empty() => text,
        inhibit => text + &commented(&inhibit),
    }
}

/// Whether this gateway tells somebody of its alerts.
fn tells(config: &Config) -> bool {
    let Config { alerting, .. } = config;
    alerting.sends && !(alerting.alertmanagers.is_empty() && alerting.webhooks.is_empty())
}

fn heading(config: &Config, options: &GenerateOptions, alerts: bool) -> String {
    let mut words =
        "Rules for Prometheus 2.42 and later, written by `weir generate rules`: do not edit, write \
                     them anew when the configuration changes."
            .to_owned();
    if !config.slos.is_empty() {
        words += " Objectives are sums over all gateways. Their windows need as much `storage.tsdb.retention`; \
                  Prometheus keeps 15 days unless told otherwise.";
    }
    let reason = match (alerts, tells(config)) {
        (true, true) => {
            "Careful: this gateway tells its receivers of these alerts as well, with another label \
                         `instance`. Everybody is told twice until `[alerting]` says `evaluate = \"prometheus\"`."
        }
        (false, true) if options.alerts.is_none() => {
            "Alerts are left out, since this gateway evaluates them itself and tells its receivers, and two \
             senders tell everything twice. `evaluate = \"prometheus\"` in `[alerting]` leaves them to \
             Prometheus and brings them here; `--alerts` brings them here all the same."
        }
        (false, _) => "Alerts are left out, as asked for.",
        (true, false) => "",
    };
    if !reason.is_empty() {
        words += "\n\n";
        words += reason;
    }
    words
}

fn commented(inhibit: &str) -> String {
    let mut sheet = Sheet::default();
    sheet.line("");
    sheet.comment(
        "What explains what: one alert is not told while another fires. This is Alertmanager's to do; add it \
         to its configuration.\n",
    );
    let lines = inhibit.lines().map(|line| format!("# {line}"));
    lines.for_each(|line| sheet.line(line.trim_end()));
    sheet.finish()
}

//! Objectives: their windows as recorded sums over all gateways, and their alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_config::{Burn, Config, Severity, Slo, period};

use super::rules::{annotations, labels, literal, notes};
use super::yaml::{Entry, Sheet};
use crate::engine::SLO_ALERT;
use crate::events::EVENTS;
use crate::promql::{number, quoted};
use crate::rule::Words;
use crate::slo::{HOUR, enough_an_hour, summary};

/// Sums over longer windows take long, and move slowly.
const LONG: Duration = Duration::from_secs(6 * 3600);
/// How often these are recorded; Prometheus looks back 5 minutes for them.
const SLOWLY: &str = "2m";

pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) scope: &'a str,
    pub(super) alerts: bool,
}

/// The groups of one objective.
pub(super) fn groups(sheet: &mut Sheet, slo: &Slo, words: &Words, context: &Context<'_>) {
    let writer = Writer { slo, words, context };
    let (short, long): (Vec<Duration>, Vec<Duration>) =
        writer.windows().into_iter().partition(|window| *window <= LONG);
    sheet.group(&format!("weir-slo-{}-long", slo.name()), SLOWLY);
    long.iter().for_each(|window| writer.record(sheet, *window));
    let severities: Vec<(Severity, String)> =
        Severity::ALL.into_iter().filter_map(|severity| Some((severity, writer.holds(severity)?))).collect();
    let silent = !context.alerts || slo.telling.dry_run;
    if !short.is_empty() || !silent {
        sheet.group(&format!("weir-slo-{}", slo.name()), &period(context.config.alerting.interval));
    }
    short.iter().for_each(|window| writer.record(sheet, *window));
    if context.alerts {
        notes(sheet, slo.name(), &slo.telling);
    }
    for (severity, holds) in severities.iter().filter(|_| !silent) {
        let page = severities.iter().find(|(s, _)| *s == Severity::Page && *severity == Severity::Ticket);
        writer.alert(sheet, *severity, holds, page.map(|(_, holds)| holds.as_str()));
    }
}

struct Writer<'a> {
    slo: &'a Slo,
    words: &'a Words,
    context: &'a Context<'a>,
}

impl Writer<'_> {
    fn windows(&self) -> BTreeSet<Duration> {
        let pairs = self.slo.burn.iter().flat_map(|pair| [pair.long, pair.short]);
        let hour = (self.slo.consecutive_bad > 0).then_some(HOUR);
        pairs.chain(hour).chain([self.slo.window]).collect()
    }

    /// Three series of one window: all events, bad events, and the share of these.
    fn record(&self, sheet: &mut Sheet, window: Duration) {
        let (all, bad) = (self.all(window), self.bad(window));
        let none_bad = format!("{}\nor {all} * 0", self.increase(window, "good=\"false\""));
        let of = [
            ("slo:weir_slo_events:increase", self.increase(window, "")),
            ("slo:weir_slo_bad_events:increase", none_bad),
            ("slo:weir_slo_bad_per_events:ratio_increase", format!("{bad} / {all}")),
        ];
        let mut labels: BTreeMap<_, _> = self.context.config.alerting.labels.iter().cloned().collect();
        labels.insert("slo".to_owned(), self.slo.name().to_string());
        for (name, expr) in of {
            let name = format!("{name}{}", period(window));
            sheet.rule(&Entry { kind: "record", name, expr, labels: labels.clone(), ..Entry::default() });
        }
    }

    /// Events of a window on all gateways, by the definition that now holds: what was counted by another one
    /// counts no more.
    fn increase(&self, window: Duration, further: &str) -> String {
        let own =
            format!("slo={}, definition={}", quoted(self.slo.name()), { quoted(&self.slo.event.definition) });
        let matchers: Vec<&str> =
            [self.context.scope, &own, further].into_iter().filter(|m| !m.is_empty()).collect();
        format!("sum by (slo) (increase({EVENTS}{{{}}}[{}]))", matchers.join(", "), period(window))
    }

    /// A recorded series.
    fn recorded(&self, name: &str, window: Duration) -> String {
        let all = &self.context.config.alerting.labels;
        let further = all.iter().map(|(label, value)| format!(", {label}={}", quoted(value)));
        let further: String = further.collect();
        format!("{name}{}{{slo={}{further}}}", period(window), quoted(self.slo.name()))
    }

    fn all(&self, window: Duration) -> String {
        self.recorded("slo:weir_slo_events:increase", window)
    }

    fn bad(&self, window: Duration) -> String {
        self.recorded("slo:weir_slo_bad_events:increase", window)
    }

    /// The budget, so that it rounds as Weir's.
    fn budget(&self) -> String {
        format!("(1 - {})", number(self.slo.objective))
    }

    /// How many times too fast the budget is spent.
    fn burn(&self, window: Duration) -> String {
        let share = self.recorded("slo:weir_slo_bad_per_events:ratio_increase", window);
        format!("{share} / {}", self.budget())
    }

    /// Holds while a pair burns; its value is how fast the long window does.
    fn pair(&self, pair: &Burn) -> String {
        let (long, short, factor) = (self.burn(pair.long), self.burn(pair.short), number(pair.factor));
        let bad = self.bad(pair.long);
        let least = self.slo.min_bad;
        format!("({long} > {factor}\n  and {short} > {factor}\n  and {bad} >= {least})")
    }

    /// Holds while there are so many bad events in a row on some gateway, and too few events for the pairs.
    fn row(&self) -> String {
        let slo = format!("slo={}", quoted(self.slo.name()));
        let matchers: Vec<&str> = [self.context.scope, &slo].into_iter().filter(|m| !m.is_empty()).collect();
        let enough = number(enough_an_hour(self.slo));
        format!(
            "(max by (slo) (weir_slo_consecutive_bad{{{}}}) >= {}\n  unless on (slo) {} >= {enough})",
            matchers.join(", "),
            self.slo.consecutive_bad,
            self.all(HOUR),
        )
    }

    /// Holds while the alert of a severity does; `None`: it has none.
    fn holds(&self, severity: Severity) -> Option<String> {
        let pairs = self.slo.burn.iter().filter(|pair| pair.severity == severity);
        let pairs: Vec<String> = pairs.map(|pair| self.pair(pair)).collect();
        let row = (severity == Severity::Page && self.slo.consecutive_bad > 0).then(|| self.row());
        let pairs = (!pairs.is_empty()).then(|| format!("max by (slo) (\n{}\n)", pairs.join("\nor ")));
        let all: Vec<String> = pairs.into_iter().chain(row).collect();
        (!all.is_empty()).then(|| all.join("\nor "))
    }

    fn alert(&self, sheet: &mut Sheet, severity: Severity, holds: &str, page: Option<&str>) {
        let mut expr = match page {
            Some(page) => format!("({holds})\n# A page says it already.\nunless ({page})"),
            None => holds.to_owned(),
        };
        let words = self.words.labels.iter().chain(&self.words.annotations);
        if words.flat_map(|(_, words)| words.labels()).any(|label| label == "severity") {
            expr = format!("label_replace({expr}, \"severity\", \"{}\", \"\", \"\")", severity.as_str());
        }
        if severity == Severity::Page && self.slo.consecutive_bad > 0 {
            sheet
                .note("`$value` is how fast the budget burns or, of a row of bad events, how many they are.");
        }
        let mut labels = labels(self.context.config, &self.slo.telling.labels);
        labels.insert("slo".to_owned(), self.slo.name().to_string());
        labels.insert("severity".to_owned(), severity.as_str().to_owned());
        let mut annotations = annotations(&self.slo.telling);
        for (name, text) in self.own_annotations(severity) {
            annotations.entry(name.to_owned()).or_insert(text);
        }
        let name = SLO_ALERT.to_owned();
        sheet.rule(&Entry { kind: "alert", name, expr, labels, annotations, ..Entry::default() });
    }

    /// What Weir says itself.
    fn own_annotations(&self, severity: Severity) -> [(&'static str, String); 3] {
        let mut burning = String::new();
        for pair in self.slo.burn.iter().filter(|pair| pair.severity == severity) {
            let (long, short) = (period(pair.long), period(pair.short));
            let limit = format!("{:.4}x", pair.factor).replace(".0000x", "x");
            let query = quoted(&self.pair(pair));
            burning += &format!(
                "{{{{ range query {query} }}}}{long}/{short} at {{{{ .Value | printf \"%.1f\" }}}}x (limit {limit}) {{{{ end }}}}"
            );
        }
        if severity == Severity::Page && self.slo.consecutive_bad > 0 {
            let query = quoted(&self.row());
            burning += &format!(
                "{{{{ range query {query} }}}}{{{{ .Value | printf \"%.0f\" }}}} bad events in a row{{{{ end }}}}"
            );
        }
        let share = self.recorded("slo:weir_slo_bad_per_events:ratio_increase", self.slo.window);
        let left = quoted(&format!("100 * (1 - {share} / {})", self.budget()));
        let left = format!("{{{{ range query {left} }}}}{{{{ .Value | printf \"%.1f\" }}}} %{{{{ end }}}}");
        [("summary", literal(&summary(self.slo))), ("burning", burning), ("budget_left", left)]
    }
}

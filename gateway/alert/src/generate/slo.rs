//! Objectives: their windows as recorded sums over all gateways, and their alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_config::{Config, Severity, Slo, period};

use super::rules::{annotations, labels, literal, notes};
use super::yaml::{Entry, Sheet};
use crate::engine::SLO_ALERT;
use crate::events::EVENTS;
use crate::promql::{number, quoted};
use crate::rule::Words;
use crate::slo::{HOUR, enough_an_hour, short_number, summary};

/// Sums over longer windows take long, and move slowly.
const LONG: Duration = Duration::from_secs(6 * 3600);
/// How often these are recorded; Prometheus looks back 5 minutes for them.
const SLOWLY: &str = "2m";
/// There while a pair of windows burns.
const PAIR: &str = "slo_pair:weir_slo_burn:above_factor";
/// There while a row of bad events is too long.
const ROW: &str = "slo:weir_slo_consecutive_bad:quiet";

pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) scope: &'a str,
    pub(super) alerts: bool,
}

/// The groups of one objective: long windows by themselves, then the others and what is judged by them.
pub(super) fn groups(sheet: &mut Sheet, slo: &Slo, words: &Words, context: &Context<'_>) {
    let writer = Writer { slo, words, context };
    let (short, long): (Vec<Duration>, Vec<Duration>) =
        writer.windows().into_iter().partition(|window| *window <= LONG);
    sheet.group(&format!("weir-slo-{}-long", slo.name()), SLOWLY);
    long.iter().for_each(|window| writer.record(sheet, *window));
    sheet.group(&format!("weir-slo-{}", slo.name()), &period(context.config.alerting.interval));
    short.iter().for_each(|window| writer.record(sheet, *window));
    writer.judge(sheet);
    if context.alerts {
        notes(sheet, slo.name(), &slo.telling);
        let severities = Severity::ALL.into_iter().filter(|_| !slo.telling.dry_run);
        severities.filter(|severity| writer.has(*severity)).for_each(|of| writer.alert(sheet, of));
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
        for (name, expr) in of {
            let (name, labels) = (format!("{name}{}", period(window)), self.labels());
            sheet.rule(&Entry { kind: "record", name, expr, labels, ..Entry::default() });
        }
    }

    /// The labels of a recorded series; those of all alerts tell one fleet from another.
    fn labels(&self) -> BTreeMap<String, String> {
        let own = ("slo".to_owned(), self.slo.name().to_string());
        self.context.config.alerting.labels.iter().cloned().chain([own]).collect()
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
    fn recorded(&self, name: &str) -> String {
        Self::recorded_with(name, self.labels())
    }

    fn recorded_with(name: &str, labels: BTreeMap<String, String>) -> String {
        let matchers = labels.into_iter().map(|(label, value)| format!("{label}={}", quoted(&value)));
        format!("{name}{{{}}}", matchers.collect::<Vec<_>>().join(", "))
    }

    fn all(&self, window: Duration) -> String {
        self.recorded(&format!("slo:weir_slo_events:increase{}", period(window)))
    }

    fn bad(&self, window: Duration) -> String {
        self.recorded(&format!("slo:weir_slo_bad_events:increase{}", period(window)))
    }

    /// How many times too fast the budget is spent; as Weir's, the budget is left to be reckoned.
    fn burn(&self, window: Duration) -> String {
        let share = self.recorded(&format!("slo:weir_slo_bad_per_events:ratio_increase{}", period(window)));
        format!("{share} / (1 - {})", number(self.slo.objective))
    }

    /// Series that are there while a pair burns, or while a row of bad events is too long.
    fn judge(&self, sheet: &mut Sheet) {
        for pair in &self.slo.burn {
            let mut labels = self.labels();
            let factor = number(pair.factor);
            for (name, value) in [
                ("severity", pair.severity.as_str()),
                ("long", &period(pair.long)),
                ("short", &period(pair.short)),
                ("factor", &short_number(pair.factor)),
            ] {
                labels.insert(name.to_owned(), value.to_owned());
            }
            let (long, short, bad) = (self.burn(pair.long), self.burn(pair.short), self.bad(pair.long));
            let expr =
                format!("{long} > {factor}\nand {short} > {factor}\nand {bad} >= {}", self.slo.min_bad);
            sheet.rule(&Entry { kind: "record", name: PAIR.to_owned(), expr, labels, ..Entry::default() });
        }
        if self.slo.consecutive_bad > 0 {
            sheet.note("Bad events in a row on one gateway, where there are too few events for the pairs.");
            let (name, expr, labels) = (ROW.to_owned(), self.row(), self.labels());
            sheet.rule(&Entry { kind: "record", name, expr, labels, ..Entry::default() });
        }
    }

    fn row(&self) -> String {
        let slo = format!("slo={}", quoted(self.slo.name()));
        let matchers: Vec<&str> = [self.context.scope, &slo].into_iter().filter(|m| !m.is_empty()).collect();
        let gauge = format!("weir_slo_consecutive_bad{{{}}}", matchers.join(", "));
        let (least, enough) = (self.slo.consecutive_bad, number(enough_an_hour(self.slo)));
        format!("max by (slo) ({gauge}) >= {least}\nunless on (slo) {} >= {enough}", self.all(HOUR))
    }

    fn has(&self, severity: Severity) -> bool {
        let row = severity == Severity::Page && self.slo.consecutive_bad > 0;
        row || self.slo.burn.iter().any(|pair| pair.severity == severity)
    }

    /// The pairs of a severity that burn; the value of each is how fast its long window does.
    fn burning(&self, severity: Severity) -> String {
        let mut labels = self.labels();
        labels.insert("severity".to_owned(), severity.as_str().to_owned());
        Self::recorded_with(PAIR, labels)
    }

    /// Holds while the alert of a severity does; its value is that of the fastest pair.
    fn holds(&self, severity: Severity) -> String {
        let pairs = format!("max by (slo) ({})", self.burning(severity));
        if severity == Severity::Page && self.slo.consecutive_bad > 0 {
            format!("{pairs}\nor max by (slo) ({})", self.recorded(ROW))
        } else {
            pairs
        }
    }

    fn alert(&self, sheet: &mut Sheet, severity: Severity) {
        let mut expr = self.holds(severity);
        if severity == Severity::Ticket && self.has(Severity::Page) {
            expr = format!("{expr}\n# A page says it already.\nunless ({})", self.holds(Severity::Page));
        }
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
        let words = "{{ .Labels.long }}/{{ .Labels.short }} at {{ .Value | printf \"%.1f\" }}x \
                     (limit {{ .Labels.factor }}x) ";
        let mut burning = each(&self.burning(severity), words);
        if severity == Severity::Page && self.slo.consecutive_bad > 0 {
            let words = "{{ .Value | printf \"%.0f\" }} bad events in a row";
            burning += &each(&self.recorded(ROW), words);
        }
        let left = format!("100 * (1 - {})", self.burn(self.slo.window));
        let left = each(&left, "{{ .Value | printf \"%.1f\" }} %");
        [("summary", literal(&summary(self.slo))), ("burning", burning), ("budget_left", left)]
    }
}

/// Words for each series that a query finds, as a template.
fn each(query: &str, words: &str) -> String {
    format!("{{{{ range query {} }}}}{words}{{{{ end }}}}", quoted(query))
}

//! `[alerting]`: who evaluates, who is told, and when nobody is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use crate::alert::check_labels;
use crate::fault::Place;
use crate::key::{Table, section};
use crate::kind::{
    Blank, Bool, Collector, Daily, Entry, List, Moment, Named, Pairs, Period, Placed, Secret, SecretPairs,
    Text, Unshown, Word, Words, headers,
};
use crate::reader::{At, Reader};
use crate::section::{Keys, read};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// Who evaluates the rules of `[alert]` and `[slo]`, and who is told what they say.
    pub(crate) struct AlertingKeys {
        /// "weir" evaluates here and tells the receivers below. "prometheus" leaves both to a Prometheus with
        /// the rules of `weir generate rules`: states are shown here, but nobody is told twice.
        evaluate: bool = default("\"weir\"", Word::of(EVALUATE));
        /// How often rules are evaluated.
        pub(crate) interval: Duration = default("\"15s\"", Period::new(Duration::from_millis(100), Duration::from_secs(300)));
        /// URLs of all peers of an Alertmanager, such as ["http://127.0.0.1:9093"]; [] for none.
        alertmanagers: Vec<At<String>> = default("[]", List::up_to(16, Placed(Collector)));
        /// Headers of whatever is sent to the Alertmanagers. Never shown.
        headers: Vec<At<(String, String)>> = default("{}", SecretPairs);
        /// PEM file of the authorities that receivers' certificates may be from; "" for the system's.
        ca: Option<String> = default("\"\"", Blank(Text));
        /// What telling may take.
        timeout: Duration = default("\"10s\"", Period::new(MS, HOUR));
        /// How often a firing alert is told again, so that an Alertmanager does not think it over.
        resend: At<Duration> = default("\"1m\"", Placed(Period::new(SECOND, HOUR)));
        /// The `group_wait` of the Alertmanager: an alert that it heard of only after it had ended is told as
        /// firing first, and as resolved after this time.
        group_wait: Duration = default("\"30s\"", Period::new(MS, HOUR));
        /// Address under which people reach the admin pages, for links to evidence; "" for
        /// `http://` and `gateway.admin`.
        external_url: Option<String> = default("\"\"", Blank(Collector));
        /// Labels of every alert, such as { cluster = "eu-1" }. `instance` is there already.
        labels: Vec<At<(String, String)>> = default("{}", Pairs);
        /// True: an alert named `Watchdog` always fires, so that silence is noticed.
        watchdog: bool = default("false", Bool);
        /// Further receivers, which get every change as an Alertmanager's webhook payload.
        webhook: Vec<At<WebhookKeys>> = default("{}", Named::<WebhookKeys>::max(16));
        /// Times in which nobody is told anew.
        pub(crate) maintenance: Vec<At<MaintenanceKeys>> = default("{}", Named::<MaintenanceKeys>::max(64));
    }
}

section! {
    /// A receiver that gets every change as an Alertmanager's webhook payload.
    pub(crate) struct WebhookKeys {
        /// Where it is posted to. Never shown, since the URL of a hook often is all the password it has.
        url: Option<String> = required("\"https://hooks.example/weir\"", Unshown(Collector));
        /// Signs every body: `X-Weir-Signature: t=SECONDS,v1=HMAC-SHA256("SECONDS.BODY")`; "" does not. Never
        /// shown.
        secret: Option<String> = default("\"\"", Blank(Secret));
        /// Headers of every post. Never shown.
        headers: Vec<At<(String, String)>> = default("{}", SecretPairs);
        /// What a post may take.
        timeout: Duration = default("\"10s\"", Period::new(MS, HOUR));
    }
}

section! {
    /// A time in which nobody is told anew: either `from` and `to`, or `daily` and perhaps `days`.
    pub(crate) struct MaintenanceKeys {
        /// When it begins.
        from: Option<u64> = optional("2026-05-01T02:00:00Z", Moment);
        /// When it ends.
        to: Option<At<u64>> = optional("2026-05-01T04:00:00Z", Placed(Moment));
        /// From when to when of a day, in UTC.
        daily: Option<(u32, u32)> = optional("\"02:00-04:30\"", Daily);
        /// Days on which `daily` begins, such as ["sat", "sun"]; [] for every day.
        days: Vec<u32> = default("[]", List::up_to(7, Word::of(DAYS)));
        /// Alerts and objectives that are muted, by name; [] for all.
        pub(crate) alerts: Vec<At<String>> = default("[]", List::up_to(256, Placed(Text)));
    }
}

const EVALUATE: Words<bool> = &[("weir", true), ("prometheus", false)];

/// Days since Monday.
const DAYS: Words<u32> =
    &[("mon", 0), ("tue", 1), ("wed", 2), ("thu", 3), ("fri", 4), ("sat", 5), ("sun", 6)];

/// `[alerting]`, resolved.
#[derive(Clone, PartialEq)]
pub struct Alerting {
    /// Receivers are told; false: a Prometheus tells them.
    pub sends: bool,
    pub interval: Duration,
    pub alertmanagers: Vec<String>,
    /// Names in lower case. Values are secret.
    pub headers: Vec<(String, String)>,
    pub ca: Option<PathBuf>,
    pub timeout: Duration,
    pub resend: Duration,
    pub group_wait: Duration,
    /// Without a slash at the end; `None`: of `gateway.admin`.
    pub external_url: Option<String>,
    pub labels: Vec<(String, String)>,
    pub watchdog: bool,
    pub webhooks: Vec<Webhook>,
    pub maintenance: Vec<Maintenance>,
}

impl std::fmt::Debug for Alerting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerting").field("sends", &self.sends).finish_non_exhaustive()
    }
}

/// A receiver of changes.
#[derive(Clone, PartialEq)]
pub struct Webhook {
    pub name: String,
    pub url: String,
    pub secret: Option<String>,
    /// Names in lower case. Values are secret.
    pub headers: Vec<(String, String)>,
    pub timeout: Duration,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A time in which nobody is told anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintenance {
    pub name: String,
    pub when: When,
    /// Empty: all.
    pub alerts: Vec<String>,
}

/// When maintenance is.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// Unix time in ms; the end is not part of it.
    Once { from_ms: u64, to_ms: u64 },
    /// Minutes of a day in UTC; `to` at or before `from` is on the next day. Days since Monday on which it
    /// begins; empty: every day.
    Daily { from: u32, to: u32, days: Vec<u32> },
}

impl Maintenance {
    /// Whether it is under way.
    pub fn holds(&self, unix_ms: u64) -> bool {
        match &self.when {
            When::Once { from_ms, to_ms } => (*from_ms..*to_ms).contains(&unix_ms),
            When::Daily { from, to, days } => {
                let minute = (unix_ms / 60_000 % 1440) as u32;
                // 1970-01-01 was a Thursday.
                let today = ((unix_ms / 86_400_000 + 3) % 7) as u32;
                let on = |day: u32| days.is_empty() || days.contains(&day);
                if from < to {
                    on(today) && (*from..*to).contains(&minute)
                } else {
                    (on(today) && minute >= *from) || (on((today + 6) % 7) && minute < *to)
                }
            }
        }
    }
}

impl Entry for WebhookKeys {
    const TABLES: &'static [&'static Table] = &[Self::TABLE];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self {
        read(table, place, reader)
    }
}

impl Entry for MaintenanceKeys {
    const TABLES: &'static [&'static Table] = &[Self::TABLE];

    fn read_entry(table: &DeTable<'_>, place: &Place, reader: &mut Reader<'_>) -> Self {
        read(table, place, reader)
    }
}

impl AlertingKeys {
    pub(crate) fn resolve(self, base: &Path, reader: &mut Reader<'_>) -> Alerting {
        check_labels(&self.labels, reader);
        if self.resend.value < self.interval {
            let words = "is shorter than `interval`, which is when alerts are looked at and told again";
            reader.warn(&self.resend.place, format!("{} {words}", self.resend.shown));
        }
        Alerting {
            sends: self.evaluate,
            interval: self.interval,
            alertmanagers: self.alertmanagers.into_iter().map(|url| url.value).collect(),
            headers: headers(&self.headers, reader),
            ca: self.ca.map(|file| base.join(file)),
            timeout: self.timeout,
            resend: self.resend.value.max(self.interval),
            group_wait: self.group_wait,
            external_url: self.external_url,
            labels: self.labels.into_iter().map(|label| label.value).collect(),
            watchdog: self.watchdog,
            webhooks: self.webhook.into_iter().filter_map(|hook| hook.resolve(reader)).collect(),
            maintenance: self.maintenance.into_iter().filter_map(|one| one.resolve(reader)).collect(),
        }
    }
}

impl At<WebhookKeys> {
    fn resolve(self, reader: &mut Reader<'_>) -> Option<Webhook> {
        Some(Webhook {
            name: self.shown,
            url: self.value.url?,
            secret: self.value.secret,
            headers: headers(&self.value.headers, reader),
            timeout: self.value.timeout,
        })
    }
}

impl At<MaintenanceKeys> {
    fn resolve(self, reader: &mut Reader<'_>) -> Option<Maintenance> {
        let keys = self.value;
        let when = match (keys.from, keys.to, keys.daily) {
            (Some(from_ms), Some(to), None) => {
                if to.value <= from_ms {
                    reader.fault(&to.place, "`to` is not after `from` (swap them, perhaps)");
                }
                When::Once { from_ms, to_ms: to.value }
            }
            (None, None, Some((from, to))) => When::Daily { from, to, days: keys.days },
            _ => {
                let words = "nothing says when it is, or too much (write `from` and `to`, or `daily`)";
                reader.misfit(&self.place, words);
                return None;
            }
        };
        let alerts = keys.alerts.into_iter().map(|name| name.value).collect();
        Some(Maintenance { name: self.shown, when, alerts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_reaches_into_the_next_day() {
        // 2026-11-27 is a Friday.
        let friday = 1_795_737_600_000;
        let at = |hours: u64| friday + hours * 3_600_000;
        let night = |days: &[u32]| Maintenance {
            name: "n".into(),
            when: When::Daily { from: 22 * 60, to: 2 * 60, days: days.to_vec() },
            alerts: Vec::new(),
        };
        let held = |one: &Maintenance| -> Vec<u64> { (0..48).filter(|h| one.holds(at(*h))).collect() };
        assert_eq!(held(&night(&[])), [0, 1, 22, 23, 24, 25, 46, 47]);
        assert_eq!(held(&night(&[4])), [22, 23, 24, 25]);
        let once = When::Once { from_ms: at(1), to_ms: at(3) };
        assert_eq!(held(&Maintenance { when: once, ..night(&[]) }), [1, 2]);
    }
}

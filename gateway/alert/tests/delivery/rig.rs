//! Delivery with everything a test wants to see of it.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_alert::Alert;
use weir_alert::delivery::{
    AlertmanagerOptions, Delivery, DeliveryMetrics, ReceiverStatus, Receivers, SavedDelivery, WebhookOptions,
};
use weir_telemetry::Registry;
use weir_telemetry::export::PostOptions;
use weir_telemetry::exposition::text;
use weir_telemetry::log::Logger;

use crate::server::LONG;

/// Intervals short enough for a test: nothing is resent unless a test asks for it.
pub(crate) fn quick() -> Receivers {
    Receivers {
        resend: Duration::from_secs(60),
        group_wait: Duration::from_millis(60),
        retry_initial: Duration::from_millis(2),
        retry_longest: Duration::from_millis(10),
        ..Receivers::default()
    }
}

pub(crate) fn alertmanagers(urls: &[&str]) -> Receivers {
    let options = |url: &&str| AlertmanagerOptions { url: (*url).to_owned(), post: post() };
    Receivers { alertmanagers: urls.iter().map(options).collect(), ..quick() }
}

pub(crate) fn webhook(name: &str, url: &str) -> WebhookOptions {
    WebhookOptions { name: name.to_owned(), url: url.to_owned(), secret: None, post: post() }
}

pub(crate) fn post() -> PostOptions {
    PostOptions { timeout: Duration::from_millis(500), ..PostOptions::default() }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

pub(crate) fn alert(name: &str) -> Alert {
    Alert {
        labels: [("alertname".to_owned(), name.to_owned())].into(),
        annotations: [("summary".to_owned(), "slow".to_owned())].into(),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms: None,
        generator_url: "http://weir:9090/alerts".into(),
        muted: false,
    }
}

pub(crate) fn over(alert: Alert) -> Alert {
    Alert { ends_at_ms: Some(now() - 1), ..alert }
}

pub(crate) struct Rig {
    pub(crate) delivery: Delivery,
    registry: Registry,
    confirmed: Receiver<()>,
}

impl Rig {
    pub(crate) fn new(receivers: &Receivers) -> Self {
        Self::restored(receivers, None)
    }

    pub(crate) fn restored(receivers: &Receivers, saved: Option<&SavedDelivery>) -> Self {
        let (metrics, registry) = (DeliveryMetrics::default(), Registry::default());
        metrics.register(&registry).expect("registered");
        let (tell, confirmed) = channel();
        let prepared = receivers.prepare().expect("usable");
        let on_confirmed = Box::new(move || _ = tell.send(()));
        let log = Logger::discard();
        let delivery = Delivery::start(prepared, saved, metrics, &log, on_confirmed).expect("started");
        Self { delivery, registry, confirmed }
    }

    pub(crate) fn fire(&self, names: &[&str]) {
        self.delivery.offer(names.iter().map(|name| alert(name)).collect(), Vec::new());
    }

    /// The value of a series, by its name and labels as exposed.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let text = text(&self.registry.gather());
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in {text}")).parse::<f64>().expect("a number") as u64
    }

    pub(crate) fn outcome(&self, receiver: &str, outcome: &str) -> u64 {
        let labels = format!("receiver=\"{receiver}\",outcome=\"{outcome}\"");
        self.metric(&format!("weir_alert_notifications_total{{{labels}}}"))
    }

    pub(crate) fn one(&self) -> ReceiverStatus {
        self.delivery.status().remove(0)
    }

    /// Waits until all receivers know everything.
    pub(crate) fn quiet(&self) {
        while self.delivery.status().iter().any(|receiver| receiver.waiting > 0) {
            self.confirmed.recv_timeout(LONG).expect("a confirmation");
        }
    }
}

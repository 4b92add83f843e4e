//! How the telling went, by receiver.

use std::sync::Arc;

use weir_telemetry::{Cap, Counter, Family, Gauge, Registry, RegistryError, Spec};

use super::picture::Lost;

/// How one alert of one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want it; it is not asked again.
    Rejected,
    /// It is tried again.
    Failed,
    /// It will never be told.
    Dropped,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Delivered, Self::Rejected, Self::Failed, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Why a receiver is never told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// More waited than there is room for.
    Full,
    /// It waited for too long.
    Expired,
    /// The receiver refused it.
    Refused,
    /// The receiver was taken out of the configuration.
    Removed,
}

impl Reason {
    const ALL: [Self; 4] = [Self::Full, Self::Expired, Self::Refused, Self::Removed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Removed => "removed",
        }
    }
}

/// The families of delivery. Cloning shares them.
#[derive(Clone, Debug)]
pub struct DeliveryMetrics {
    notifications: Family<Counter>,
    waiting: Family<Gauge>,
    dropped: Family<Counter>,
}

impl Default for DeliveryMetrics {
    fn default() -> Self {
        let notifications = "Alerts in requests to receivers, told again included, by how they ended (delivered, \
                             rejected, failed: tried again, dropped: never told).";
        let waiting = "Alerts that a receiver has yet to be told of, as firing or as resolved.";
        let dropped =
            "Alerts that a receiver was never told of, by reason (full, expired, refused, removed).";
        let (receiver, outcome) = (["receiver"], ["receiver", "outcome"]);
        let counter =
            |name, help, labels: &[&str]| Family::new(Spec::counter(name, help, labels), Cap::Closed);
        let metrics = Self {
            notifications: counter("weir_alert_notifications_total", notifications, &outcome),
            waiting: Family::new(
                Spec::gauge("weir_alert_notifications_waiting", waiting, &receiver),
                Cap::Closed,
            ),
            dropped: counter("weir_alert_dropped_total", dropped, &["reason"]),
        };
        metrics.dropped.touch_product(&[&Reason::ALL.map(Reason::as_str)]);
        metrics
    }
}

impl DeliveryMetrics {
    /// Registers `weir_alert_notifications_total`, `weir_alert_notifications_waiting` and
    /// `weir_alert_dropped_total`.
    ///
    /// # Errors
    /// A name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), RegistryError> {
        registry.family(&self.notifications)?;
        registry.family(&self.waiting)?;
        registry.family(&self.dropped)
    }

    /// The cells of one receiver, there at 0 from now on.
    pub(super) fn cells(&self, receiver: &str) -> Cells {
        Cells {
            notifications: Outcome::ALL.map(|outcome| self.notifications.get(&[receiver, outcome.as_str()])),
            waiting: self.waiting.get(&[receiver]),
            dropped: Reason::ALL.map(|reason| self.dropped.get(&[reason.as_str()])),
        }
    }

    /// Forgets receivers that are gone.
    pub(super) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.notifications.retain(|labels| keep(&labels[0]));
        self.waiting.retain(|labels| keep(&labels[0]));
    }
}

/// The cells of one receiver.
#[derive(Debug)]
pub(super) struct Cells {
    notifications: [Arc<Counter>; Outcome::ALL.len()],
    waiting: Arc<Gauge>,
    dropped: [Arc<Counter>; Reason::ALL.len()],
}

impl Cells {
    pub(super) fn ended(&self, outcome: Outcome, alerts: u64) {
        self.notifications[outcome as usize].add(alerts);
    }

    /// Two receivers of one host may share this, so it moves rather than being set.
    pub(super) fn waiting(&self, change: f64) {
        self.waiting.add(change);
    }

    /// Counts what a receiver refused: that has an outcome already.
    pub(super) fn refused(&self) {
        self.dropped[Reason::Refused as usize].inc();
    }

    pub(super) fn lost(&self, lost: Lost) {
        self.drop_for(Reason::Full, lost.full);
        self.drop_for(Reason::Expired, lost.expired);
    }

    pub(super) fn drop_for(&self, reason: Reason, alerts: u64) {
        self.dropped[reason as usize].add(alerts);
        self.ended(Outcome::Dropped, alerts);
    }
}

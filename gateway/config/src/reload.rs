//! What a reload cannot change.

use std::fmt;

use crate::Config;

/// A key that a reload tried to change, though it is fixed until restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The dotted key.
    pub key: &'static str,
    /// What it is, what it would become, and what to do.
    pub message: String,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for Fixed {}

/// Every key that differs between two configurations though it is fixed until restart. A reload is refused
/// unless this is empty.
pub fn fixed_until_restart(old: &Config, new: &Config) -> Vec<Fixed> {
    let telemetry = (old.telemetry != new.telemetry).then(|| Fixed {
        key: "telemetry",
        message: "these bounds cannot change while running (restart, or change them back)".into(),
    });
    let (old, new) = (&old.gateway, &new.gateway);
    let token = (old.admin_token != new.admin_token).then(|| Fixed {
        key: "gateway.admin_token",
        message: "cannot change while running (restart, or change it back)".into(),
    });
    [
        changed("gateway.listen", &old.listen, &new.listen),
        changed("gateway.admin", &old.admin, &new.admin),
        changed("gateway.metrics", &old.metrics, &new.metrics),
        changed(
            "gateway.serve_metrics_on_listen",
            &old.serve_metrics_on_listen,
            &new.serve_metrics_on_listen,
        ),
        changed("gateway.workers", &old.workers, &new.workers),
        changed("gateway.telemetry_threads", &old.telemetry_threads, &new.telemetry_threads),
        changed("gateway.state_dir", &old.state_dir, &new.state_dir),
        changed("gateway.instance", &old.instance, &new.instance),
        token,
        telemetry,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn changed<T: PartialEq + Shown>(key: &'static str, old: &T, new: &T) -> Option<Fixed> {
    let (from, to) = (old.shown(), new.shown());
    let message = format!("cannot change from `{from}` to `{to}` while running (restart, or change it back)");
    (old != new).then_some(Fixed { key, message })
}

/// As the configuration would write it.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for std::net::SocketAddr {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for bool {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for String {
    fn shown(&self) -> String {
        self.clone()
    }
}

impl Shown for std::path::PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map(T::shown).unwrap_or_default()
    }
}

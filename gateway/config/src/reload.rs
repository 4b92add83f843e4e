//! What a reload cannot change.

use std::fmt;

use crate::kind::{percent, period, size};
use crate::{Config, Telemetry};

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
    let telemetry = bounds(&old.telemetry, &new.telemetry);
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
    ]
    .into_iter()
    .chain(telemetry)
    .flatten()
    .collect()
}

/// The bounds of observing: they size memory that is made once.
fn bounds(old: &Telemetry, new: &Telemetry) -> [Option<Fixed>; 12] {
    // Whole, so that a new bound cannot be forgotten here.
    let Telemetry {
        shard_bytes,
        batch_exchanges,
        batch_rows,
        batch_bytes,
        batch_age,
        schemas_per_route,
        columns,
        codes,
        string_bytes,
        models_per_route,
        open_bytes,
        cpu,
    } = old;
    let bytes = |key, old: &usize, new: &usize| differs(key, old, new, |n| size(*n as u64));
    [
        differs("gateway.telemetry_cpu", cpu, &new.cpu, |share| percent(*share)),
        bytes("telemetry.shard_bytes", shard_bytes, &new.shard_bytes),
        changed("telemetry.batch_exchanges", batch_exchanges, &new.batch_exchanges),
        changed("telemetry.batch_rows", batch_rows, &new.batch_rows),
        bytes("telemetry.batch_bytes", batch_bytes, &new.batch_bytes),
        differs("telemetry.batch_age", batch_age, &new.batch_age, |age| period(*age)),
        changed("telemetry.schemas_per_route", schemas_per_route, &new.schemas_per_route),
        changed("telemetry.columns", columns, &new.columns),
        changed("telemetry.codes", codes, &new.codes),
        bytes("telemetry.string_bytes", string_bytes, &new.string_bytes),
        changed("telemetry.models_per_route", models_per_route, &new.models_per_route),
        bytes("telemetry.open_bytes", open_bytes, &new.open_bytes),
    ]
}

fn changed<T: PartialEq + Shown>(key: &'static str, old: &T, new: &T) -> Option<Fixed> {
    differs(key, old, new, T::shown)
}

fn differs<T: PartialEq>(key: &'static str, old: &T, new: &T, shown: impl Fn(&T) -> String) -> Option<Fixed> {
    let (from, to) = (shown(old), shown(new));
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

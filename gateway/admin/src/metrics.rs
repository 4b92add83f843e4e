//! What this room counts: requests it turned away before they reached a page.

use std::sync::Arc;

use weir_telemetry::{Cap, Counter, Family, Registry, RegistryError, Spec};

/// Cells by reason.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// The listener held its limit of connections.
    pub(crate) connections: Arc<Counter>,
    /// The `Host` was not ours.
    pub(crate) host: Arc<Counter>,
    /// No right to change state.
    pub(crate) forbidden: Arc<Counter>,
    /// A body too large or too slow.
    pub(crate) body: Arc<Counter>,
    /// Too much of other answers was still unread.
    pub(crate) unread: Arc<Counter>,
}

impl Refused {
    /// Makes and registers the family.
    pub(crate) fn new(registry: &Registry) -> Result<Self, RegistryError> {
        let help = "Requests and connections the admin listeners refused (connections, host, forbidden, body, unread).";
        let spec = Spec::counter("weir_admin_refused_total", help, &["reason"]);
        let family = Family::<Counter>::new(spec, Cap::Closed);
        registry.family(&family)?;
        let cell = |reason| family.get(&[reason]);
        Ok(Self {
            connections: cell("connections"),
            host: cell("host"),
            forbidden: cell("forbidden"),
            body: cell("body"),
            unread: cell("unread"),
        })
    }
}

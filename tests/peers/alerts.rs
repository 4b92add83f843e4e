//! A real Alertmanager behind Weir, and who is called by it.

mod crashes;
mod gone;
mod incidents;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use support::alertmanager::Alertmanager;
use support::pager::{Pager, Told, labels};
use support::peer::{Peer, python};

/// The FastAPI server of the course, at an address.
fn fastapi(address: SocketAddr) -> Peer {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/fastapi");
    let mut command = Command::new(python("fastapi"));
    command.args(["-m", "uvicorn", "app:app", "--log-level", "warning", "--host", "127.0.0.1", "--port"]);
    command.arg(address.port().to_string());
    let mut peer = Peer::start(command.current_dir(folder));
    peer.await_ready(address, "/health");
    peer
}

/// `[gateway]` and `[alerting]`, with the labels that every alert has.
fn alerting(alertmanager: &Alertmanager) -> String {
    format!(
        r#"
[gateway]
instance = "gateway-1"
state_dir = "state"
[alerting]
interval = "500ms"
alertmanagers = ["{}"]
group_wait = "200ms"
resend = "5s"
labels = {{ cluster = "test" }}
"#,
        alertmanager.url()
    )
}

/// Somebody is called, once, and Alertmanager has the same: these labels beside those of every alert, and one
/// beginning.
#[track_caller]
fn fires(alertmanager: &Alertmanager, pager: &Pager, name: &str, own: &[(&str, &str)]) -> Told {
    let told = pager.await_told("firing", name);
    let mut expect = labels(&[("alertname", name), ("instance", "gateway-1"), ("cluster", "test")]);
    expect.extend(labels(own));
    assert_eq!(told.labels, expect);
    let held = alertmanager.await_alert(name);
    assert_eq!((held.labels, &held.starts_at), (expect, &told.starts_at));
    assert_eq!(held.generator_url, told.generator_url);
    told
}

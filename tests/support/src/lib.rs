//! What the tests of the binary share: the binary itself, both ends of a connection, and strict readers of
//! what it says.

pub mod alertmanager;
mod cli;
pub mod collector;
mod gateway;
pub mod h2;
mod logs;
pub mod pager;
mod patient;
pub mod peer;
pub mod prometheus;
pub mod scrape;
mod upstream;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

pub use cli::{Cli, holds};
pub use gateway::{Gateway, with_ports};
pub use logs::Logs;
pub use patient::Patient;
pub use rustix::process::Signal;
pub use scrape::Scrape;
pub use upstream::{Deaf, Server, Upstream, ok, ok_json};
pub use wire::{Message, Wire};

/// A test that waits this long has failed. Nothing that passes takes a fraction of it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something, for what tells nobody when it changes.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// As [`eventually`], with another patience.
///
/// # Panics
/// After that.
#[track_caller]
pub fn eventually_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < patience, "{what} did not come about within {patience:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A route `all` for every path to a backend `up` at one address, unprobed.
pub fn forward(to: SocketAddr) -> String {
    forward_with(&[to], "", "")
}

/// As [`forward`], to several endpoints, with further keys of the route and of the backend.
pub fn forward_with(to: &[SocketAddr], route: &str, backend: &str) -> String {
    let endpoints: Vec<String> = to.iter().map(|address| format!("\"http://{address}\"")).collect();
    let probe = if backend.contains("ready") { "" } else { "ready = \"off\"" };
    format!(
        "[backend.up]\nendpoints = [{}]\n{probe}\n{backend}\n[[route]]\nname = \"all\"\npath = \"/*\"\nbackend = \"up\"\n{route}\n",
        endpoints.join(", ")
    )
}

/// An address where nobody listens: a port that was free a moment ago.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

/// Runs the binary to its end.
///
/// # Panics
/// It fails.
#[track_caller]
pub fn run(binary: &str, args: &[&str]) {
    let output = std::process::Command::new(binary).args(args).output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`weir {}` failed: {said}", args.join(" "));
}

//! A server of somebody else's, as its users start it.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::NamedTempFile;

use crate::eventually_within;
use crate::wire::{Message, Wire};

/// A model server takes its time: it imports half of Python before it listens.
const PEER_PATIENCE: Duration = Duration::from_secs(180);

/// A running server, with all that it starts itself. Killed, by its own group's id, when dropped.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    output: NamedTempFile,
}

impl Peer {
    /// # Panics
    /// There is no such program.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let output = NamedTempFile::new().expect("a temporary file");
        // One place to write at for both, or each would write over the other.
        let file: File = output.reopen().expect("a temporary file can be opened again");
        let also = file.try_clone().expect("a file can be shared");
        let started = command.process_group(0).stdin(Stdio::null()).stdout(file).stderr(also).spawn();
        let child = started.unwrap_or_else(|e| panic!("failed to start {command:?}: {e} (make test-peers)"));
        Self { child, output }
    }

    /// Waits until a path answers 200.
    ///
    /// # Panics
    /// It does not, or the server ends; with what it said.
    #[track_caller]
    pub fn await_ready(&mut self, address: SocketAddr, path: &str) {
        self.until(path, || get(address, path).is_some_and(|reply| reply.status() == 200));
    }

    /// Waits until it takes connections, for a server that has no page to ask for.
    ///
    /// # Panics
    /// It does not, or the server ends; with what it said.
    #[track_caller]
    pub fn await_listening(&mut self, address: SocketAddr) {
        self.until("a listener", || TcpStream::connect(address).is_ok());
    }

    #[track_caller]
    fn until(&mut self, what: &str, is: impl Fn() -> bool) {
        eventually_within(PEER_PATIENCE, what, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status}");
            }
            is().then_some(())
        });
    }

    /// Nothing of it runs until [`Peer::thaw`]: whoever asks it waits.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process_group(group.expect("a process id is not 0"), signal).expect("the process is there");
    }

    /// What it wrote so far, to either output.
    pub fn output(&self) -> String {
        let said = std::fs::read(self.output.path()).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the output of the server:\n{}", self.output());
        }
    }
}

/// The Python of an environment that `tests/support/peers.sh` has made.
pub fn python(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.peers").join(name).join("bin/python")
}

/// Asks once; nothing while nobody listens yet.
pub fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Option<Message> {
    TcpStream::connect(address).ok()?;
    let mut wire = Wire::connect(address);
    wire.send(request);
    wire.try_message()
}

pub fn get(address: SocketAddr, path: &str) -> Option<Message> {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

//! The binary under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::logs::Logs;
use crate::scrape::Scrape;
use crate::wire::{Message, Wire};
use crate::{PATIENCE, eventually};

/// The admin token of every gateway under test.
const TOKEN: &str = "s3cret-token-of-a-test";

/// A running `weir run`. Killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    config: PathBuf,
    folder: Option<TempDir>,
    logs: Logs,
    traffic: SocketAddr,
    admin: SocketAddr,
}

impl Gateway {
    /// Starts the binary with a configuration, to which the listeners on free ports are added.
    ///
    /// # Panics
    /// It does not come to serve.
    #[track_caller]
    pub fn start(binary: &str, toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("weir.toml");
        std::fs::write(&config, with_ports(toml)).expect("the configuration can be written");
        let mut gateway = Self::start_at(binary, &config);
        gateway.folder = Some(folder);
        gateway
    }

    /// Starts the binary with a configuration file that is somewhere already.
    #[track_caller]
    pub fn start_at(binary: &str, config: &Path) -> Self {
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("failed to start `{binary}`: {e}"));
        let logs = Logs::of(child.stderr.take().expect("standard error is piped"));
        let Some(ready) = logs.find(|line| line["message"] == "ready") else {
            panic!("it did not come to serve:\n{}", logs.text());
        };
        let address = |key: &str| ready[key].as_str().and_then(|a| a.parse().ok()).expect("an address");
        let (traffic, admin) = (address("traffic"), address("admin"));
        Self { child, config: config.to_path_buf(), folder: None, logs, traffic, admin }
    }

    pub fn traffic(&self) -> SocketAddr {
        self.traffic
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder of the configuration, if it is the test's own.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("started by `start`").path()
    }

    /// A new client connection.
    #[track_caller]
    pub fn client(&self) -> Wire {
        Wire::connect(self.traffic)
    }

    /// One request over a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.client();
        client.send(request);
        client.message()
    }

    /// A POST of JSON over a connection of its own.
    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> Message {
        self.ask(post(path, body))
    }

    /// A page of the admin listener.
    #[track_caller]
    pub fn page(&self, method: &str, path: &str, accept: &str) -> Message {
        let mut admin = Wire::connect(self.admin);
        let head = "Host: localhost\r\nConnection: close\r\nContent-Length: 0";
        admin.send(format!("{method} {path} HTTP/1.1\r\n{head}\r\nAccept: {accept}\r\n\r\n"));
        admin.reply_to(method)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Message {
        self.page("GET", path, "*/*")
    }

    /// A JSON page that is there.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status(), 200, "{path}: {}", reply.text());
        reply.json()
    }

    /// Asks for a reload, with the token, and returns its answer.
    #[track_caller]
    pub fn reload(&self) -> Message {
        self.page("POST", "/api/reload", &format!("*/*\r\nAuthorization: Bearer {TOKEN}"))
    }

    /// Waits until everything handed off so far is judged.
    #[track_caller]
    pub fn settle(&self) {
        let reply = self.get(&format!("/api/settle?timeout={}s", PATIENCE.as_secs()));
        assert_eq!(reply.status(), 200, "{}", reply.text());
    }

    /// `/metrics` as Prometheus text, read strictly.
    #[track_caller]
    pub fn scrape(&self) -> Scrape {
        Scrape::text(&self.get("/metrics").text())
    }

    /// The sum of the series of a metric that have these labels.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let sum = self.scrape().sum(name, labels);
        sum.unwrap_or_else(|| panic!("no series `{name}` with {labels:?}"))
    }

    /// Waits until the series of a metric sum to a value: a client's last byte may come before its request
    /// is counted.
    #[track_caller]
    pub fn await_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Scrape {
        let mut last = None;
        let look = || {
            let scrape = self.scrape();
            last = scrape.sum(name, labels);
            (last == Some(value)).then_some(scrape)
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually(name, look)));
        found.unwrap_or_else(|_| panic!("{name}{labels:?} is {last:?}, not {value}"))
    }

    /// Waits until this many exchanges have a fate, so that all counts of them are final.
    #[track_caller]
    pub fn await_exchanges(&self, requests: u64) -> Scrape {
        let mut counted = None;
        let look = || {
            self.settle();
            let scrape = self.scrape();
            counted = scrape.sum("weir_exchanges_total", &[]);
            (counted == Some(requests as f64)).then_some(scrape)
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually("exchanges", look)));
        found.unwrap_or_else(|_| panic!("{counted:?} exchanges have a fate, not {requests}"))
    }

    /// Number of the generation in force.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.api("/api/generation")["number"].as_u64().expect("a number")
    }

    /// Waits until this generation, or a later one, is in force.
    #[track_caller]
    pub fn await_generation(&self, number: u64) {
        eventually("the generation", || (self.generation() >= number).then_some(()));
    }

    /// Waits until this many reloads of a kind had an outcome, and returns why the last one was refused, if
    /// it was.
    #[track_caller]
    pub fn await_reloads(&self, what: &str, outcome: &str, count: u64) -> String {
        self.await_metric("weir_reload_total", &[("what", what), ("outcome", outcome)], count as f64);
        let last = self.api("/api/generation")["last_reload"].clone();
        last["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Replaces the configuration in place; ports are added.
    pub fn write_config(&self, toml: &str) {
        std::fs::write(&self.config, with_ports(toml)).expect("the configuration can be written");
    }

    /// Replaces the configuration at once, by renaming over it: nobody can read half of it.
    pub fn replace_config(&self, toml: &str) {
        let beside = self.config.with_extension("toml.new");
        std::fs::write(&beside, with_ports(toml)).expect("the configuration can be written");
        std::fs::rename(&beside, &self.config).expect("the configuration can be renamed over");
    }

    /// Bytes of memory that are resident.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a resident size");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process id is not 0");
        kill_process(pid, signal).expect("the process is there");
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends at once, as in a power cut, and starts anew with the same configuration.
    #[track_caller]
    pub fn kill_and_restart(&mut self, binary: &str) {
        self.kill();
        self.restart(binary);
    }

    /// Ends at once, as in a power cut.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// After its end: starts anew with the same configuration, whose state it finds.
    #[track_caller]
    pub fn restart(&mut self, binary: &str) {
        let folder = self.folder.take();
        *self = Self::start_at(binary, &self.config.clone());
        self.folder = folder;
    }

    /// SIGHUP: reload.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the process", || self.child.try_wait().expect("the process is our child"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of the gateway:\n{}", self.logs.text());
        }
    }
}

/// A POST of JSON.
fn post(path: &str, body: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: weir.test\r\nContent-Type: application/json");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Free ports for the listeners, a token, and no sampling by CPU share: a test counts every exchange.
pub fn with_ports(toml: &str) -> String {
    let ports = "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ntelemetry_cpu = \"100%\"";
    let ports = format!("[gateway]\n{ports}\nadmin_token = \"{TOKEN}\"\n");
    match toml.split_once("[gateway]\n") {
        Some((before, after)) => format!("{before}{ports}{after}"),
        None => format!("{ports}{toml}"),
    }
}

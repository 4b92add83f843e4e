//! A real Prometheus, and its answers.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::nobody;
use crate::peer::{Peer, ask};

/// Scrapes one target four times a second.
#[derive(Debug)]
pub struct Prometheus {
    _peer: Peer,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts with its data in a folder, and with further flags.
    ///
    /// # Panics
    /// It does not come to serve.
    #[track_caller]
    pub fn start(folder: &Path, target: SocketAddr, flags: &[&str]) -> Self {
        Self::start_with(folder, target, flags, "")
    }

    /// As [`Prometheus::start`], with further sections of its configuration.
    #[track_caller]
    pub fn start_with(folder: &Path, target: SocketAddr, flags: &[&str], sections: &str) -> Self {
        let address = nobody();
        let config = folder.join("prometheus.yml");
        let text = format!(
            "{sections}global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\n  evaluation_interval: 250ms\nscrape_configs:\n  - job_name: weir\n    static_configs:\n      - targets: [\"{target}\"]\n"
        );
        std::fs::write(&config, text).expect("the configuration can be written");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags);
        let mut peer = Peer::start(&mut command);
        peer.await_ready(address, "/-/ready");
        Self { _peer: peer, address }
    }

    /// The data of an answer of its API.
    ///
    /// # Panics
    /// It has an objection.
    #[track_caller]
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut form = String::new();
        for (name, value) in parameters {
            write!(form, "{name}=").expect("a string takes everything");
            value.bytes().for_each(|byte| write!(form, "%{byte:02X}").expect("a string takes everything"));
            form.push('&');
        }
        let head = "Content-Type: application/x-www-form-urlencoded\r\nConnection: close";
        let (to, length) = (self.address, form.len());
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: {to}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{form}");
        let mut reply = ask(to, &request).expect("Prometheus answers").json();
        assert_eq!(reply["status"], "success", "{path} {parameters:?}: {reply}");
        reply["data"].take()
    }
}

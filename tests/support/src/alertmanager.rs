//! A real Alertmanager, which may be killed and started anew.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use crate::pager::{Pager, name, to_the_ms};
use crate::peer::{Peer, get};
use crate::{eventually, nobody};

/// Every alert is a group of its own, and is told of within a second or so.
const CONFIG: &str = r#"
route:
  receiver: pager
  group_by: ["..."]
  group_wait: 200ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: pager
    webhook_configs:
      - url: "PAGER"
        send_resolved: true
"#;

/// Tells one pager of all that it is told.
#[derive(Debug)]
pub struct Alertmanager {
    peer: Option<Peer>,
    address: SocketAddr,
    folder: PathBuf,
}

/// An alert that it holds to be firing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "to_the_ms")]
    pub starts_at: String,
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
}

impl Alertmanager {
    /// Starts with its data in a folder.
    ///
    /// # Panics
    /// It does not come to serve.
    #[track_caller]
    pub fn start(folder: &Path, pager: &Pager) -> Self {
        let config = CONFIG.replace("PAGER", &pager.url());
        std::fs::write(folder.join("alertmanager.yml"), config).expect("the configuration can be written");
        let mut alertmanager = Self { peer: None, address: nobody(), folder: folder.to_owned() };
        alertmanager.start_again();
        alertmanager
    }

    /// Starts at the same address with the same data.
    ///
    /// # Panics
    /// It does not come to serve.
    #[track_caller]
    pub fn start_again(&mut self) {
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", self.folder.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", self.folder.join("data").display()))
            .arg(format!("--web.listen-address={}", self.address))
            // Empty: it is no part of a cluster.
            .args(["--cluster.listen-address=", "--data.maintenance-interval=1s"]);
        let mut peer = Peer::start(&mut command);
        peer.await_ready(self.address, "/-/ready");
        self.peer = Some(peer);
    }

    /// Ends at once, as in a power cut.
    pub fn kill(&mut self) {
        self.peer = None;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it holds to be firing.
    ///
    /// # Panics
    /// It does not answer, or not in its own form.
    #[track_caller]
    pub fn alerts(&self) -> Vec<Held> {
        let page: Value = get(self.address, "/api/v2/alerts").expect("Alertmanager answers").json();
        serde_json::from_value(page).expect("alerts are of a known form")
    }

    /// Waits until it holds exactly one alert of this rule or objective.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn await_alert(&self, of: &str) -> Held {
        eventually(of, || {
            let mut alerts = self.alerts();
            alerts.retain(|alert| name(&alert.labels) == of);
            alerts.pop().filter(|_| alerts.is_empty())
        })
    }

    /// Waits until it has stored whom it told of all that came before this call: what it told nobody of later
    /// it knows after a power cut too.
    #[track_caller]
    pub fn await_stored(&self) {
        let log = self.folder.join("data/nflog");
        let now = SystemTime::now();
        eventually("the notification log", || {
            let written = std::fs::metadata(&log).ok()?.modified().ok()?;
            (written > now).then_some(())
        });
    }
}

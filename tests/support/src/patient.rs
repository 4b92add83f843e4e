//! A model server that is well or ill, as the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::upstream::{Server, ok_json};

/// Answers everything with one prediction of version 7 of its model, and with 503 while it is ill.
#[derive(Debug)]
pub struct Patient {
    server: Server,
    ill: Arc<AtomicBool>,
}

impl Patient {
    pub fn start() -> Self {
        let ill = Arc::new(AtomicBool::new(false));
        let now = ill.clone();
        let server = Server::start(move |_| {
            if now.load(SeqCst) {
                b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec()
            } else {
                ok_json("{\"predictions\": [1], \"model_version\": \"7\"}")
            }
        });
        Self { server, ill }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn falls_ill(&self) {
        self.ill.store(true, SeqCst);
    }

    pub fn gets_well(&self) {
        self.ill.store(false, SeqCst);
    }

    /// A route `churn` to it and to the model `churn`, whose `model_loaded` follows at once.
    pub fn route(&self) -> String {
        let address = self.address();
        format!(
            "[[route]]\nname = \"churn\"\npath = \"/*\"\nbackend = \"churn\"\nmodel = \"churn\"\n\
             protocol = \"json\"\n[route.json]\n\
             [backend.churn]\nendpoints = [\"http://{address}\"]\nready = \"/ready\"\nready_interval = \"100ms\"\n"
        )
    }
}

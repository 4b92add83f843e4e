//! Receivers of traces as their users start them, and what each says it has.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::peer::{Peer, ask, get, python};
use support::{eventually, nobody};

use super::spans::Span;
use crate::{mlflow, output, post_json, script};

/// Where spans go, and come back from.
pub(crate) trait Receiver {
    /// Takes OTLP/HTTP.
    fn http(&self) -> SocketAddr;

    /// What an SDK needs in its environment to be let in.
    fn environment(&self) -> [(&str, String); 1];

    /// The spans of a trace that it has so far.
    fn spans(&self, trace: &str) -> Vec<Span>;

    /// Waits until a trace has this many spans.
    #[track_caller]
    fn trace(&self, id: &str, spans: usize) -> Vec<Span> {
        let mut last = Vec::new();
        let look = || {
            last = self.spans(id);
            (last.len() >= spans).then_some(())
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eventually(id, look)));
        assert!(found.is_ok(), "not {spans} spans but {last:#?}");
        last
    }
}

/// Arize Phoenix. All of a trace belongs to the project that the resource of its spans names.
pub(crate) struct Phoenix {
    _peer: Peer,
    http: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

impl Phoenix {
    pub(crate) const PROJECT: (&str, &str) = ("openinference.project.name", "weir");

    pub(crate) fn start(folder: &Path) -> Self {
        let (http, grpc) = (nobody(), nobody());
        let bin = python("phoenix").with_file_name("phoenix");
        let mut command = Command::new(bin);
        command.arg("serve").current_dir(folder).env("PHOENIX_WORKING_DIR", folder);
        command.env("PHOENIX_HOST", "127.0.0.1").env("PHOENIX_PORT", http.port().to_string());
        command.env("PHOENIX_GRPC_PORT", grpc.port().to_string());
        // It asks nobody else for anything.
        for off in ["TELEMETRY_ENABLED", "ALLOW_EXTERNAL_RESOURCES", "LOG_MIGRATIONS"] {
            command.env(format!("PHOENIX_{off}"), "false");
        }
        command
            .env("PHOENIX_DISABLE_AGENT_ASSISTANT", "true")
            .env("PHOENIX_ALLOWED_SANDBOX_PROVIDERS", "NONE");
        let mut peer = Peer::start(&mut command);
        peer.await_ready(http, "/healthz");
        Self { _peer: peer, http, grpc }
    }
}

impl Receiver for Phoenix {
    fn http(&self) -> SocketAddr {
        self.http
    }

    fn environment(&self) -> [(&str, String); 1] {
        let (key, project) = Self::PROJECT;
        [("OTEL_RESOURCE_ATTRIBUTES", format!("{key}={project}"))]
    }

    fn spans(&self, trace: &str) -> Vec<Span> {
        let path = format!("/v1/projects/{}/spans/otlpv1?trace_id={trace}", Self::PROJECT.1);
        // A project is there from its first span.
        let reply = get(self.http, &path).filter(|reply| reply.status() == 200);
        reply.map(|reply| list(&reply.json()["data"])).unwrap_or_default()
    }
}

/// MLflow's tracking server. A trace belongs to the experiment that a header names.
pub(crate) struct Mlflow {
    _peer: Peer,
    http: SocketAddr,
    pub(crate) experiment: String,
}

impl Mlflow {
    pub(crate) const HEADER: &str = "x-mlflow-experiment-id";

    pub(crate) fn start(folder: &Path) -> Self {
        let http = nobody();
        let mut command = mlflow::program(folder);
        command.args(["server", "--workers", "1", "-h", "127.0.0.1", "-p", &http.port().to_string()]);
        command.arg("--backend-store-uri").arg(format!("sqlite:///{}", folder.join("db").display()));
        let mut peer = Peer::start(&mut command);
        peer.await_ready(http, "/health");
        let create = post_json("/api/2.0/mlflow/experiments/create", r#"{"name": "weir"}"#);
        // It takes requests for names of its own only.
        let create = String::from_utf8_lossy(&create).replace("model.test", &http.to_string());
        let reply = ask(http, create).expect("MLflow answers");
        assert_eq!(reply.status(), 200, "{}", reply.text());
        let experiment = reply.json()["experiment_id"].as_str().expect("an experiment").to_owned();
        Self { _peer: peer, http, experiment }
    }
}

impl Receiver for Mlflow {
    fn http(&self) -> SocketAddr {
        self.http
    }

    fn environment(&self) -> [(&str, String); 1] {
        [("OTEL_EXPORTER_OTLP_TRACES_HEADERS", format!("{}={}", Self::HEADER, self.experiment))]
    }

    fn spans(&self, trace: &str) -> Vec<Span> {
        let path = format!("/api/3.0/mlflow/traces/get?trace_id=tr-{trace}");
        let reply = get(self.http, &path).filter(|reply| reply.status() == 200);
        reply.map(|reply| list(&reply.json()["trace"]["spans"])).unwrap_or_default()
    }
}

/// OtelTap, which writes every span that it takes as a line of JSON. It takes no compressed ones.
pub(crate) struct Oteltap {
    peer: Peer,
    http: SocketAddr,
}

impl Oteltap {
    pub(crate) fn start_at(http: SocketAddr) -> Self {
        let mut command = Command::new(python("oteltap"));
        command.args(["-m", "oteltap", "--port", &http.port().to_string()]);
        let mut peer = Peer::start(&mut command);
        peer.await_listening(http);
        Self { peer, http }
    }

    pub(crate) fn start() -> Self {
        Self::start_at(nobody())
    }

    /// The spans that it has so far.
    pub(crate) fn all(&self) -> Vec<Span> {
        let output = self.peer.output();
        // The last line may be half written.
        let lines = output.rsplit_once('\n').map(|(lines, _)| lines).unwrap_or_default();
        let spans = lines.lines().filter(|line| line.starts_with('{'));
        read(spans.map(|line| serde_json::from_str(line).expect("a line of JSON")))
    }
}

impl Receiver for Oteltap {
    fn http(&self) -> SocketAddr {
        self.http
    }

    fn environment(&self) -> [(&str, String); 1] {
        [("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none".to_owned())]
    }

    fn spans(&self, trace: &str) -> Vec<Span> {
        self.all().into_iter().filter(|span| span.trace == trace).collect()
    }
}

/// Rotel, a collector that hands on what it takes by gRPC.
pub(crate) struct Rotel {
    _peer: Peer,
    pub(crate) grpc: SocketAddr,
}

impl Rotel {
    /// Starts with where to hand on to: its flags of an exporter.
    pub(crate) fn start_at(grpc: SocketAddr, folder: &Path, exporter: &[&str]) -> Self {
        let where_it_is = ["-c", "from rotel.agent import agent; print(agent.agent_path)"];
        let program = output(Command::new(python("rotel")).args(where_it_is));
        let mut command = Command::new(program.trim());
        command.arg("start").arg("--pid-file").arg(folder.join("rotel.pid"));
        command.arg("--otlp-grpc-endpoint").arg(grpc.to_string());
        command.arg("--otlp-http-endpoint").arg(nobody().to_string()).args(exporter);
        let mut peer = Peer::start(&mut command);
        peer.await_listening(grpc);
        Self { _peer: peer, grpc }
    }

    /// In front of a receiver that takes gRPC.
    pub(crate) fn before(receiver: SocketAddr, folder: &Path) -> Self {
        let to = format!("http://{receiver}");
        let exporter =
            ["--exporter", "otlp", "--otlp-exporter-protocol", "grpc", "--otlp-exporter-endpoint", &to];
        Self::start_at(nobody(), folder, &exporter)
    }
}

/// Reads spans, without those by which Weir says that judging lags, as it may on a busy machine.
fn read(spans: impl Iterator<Item = Value>) -> Vec<Span> {
    spans.map(Span::read).filter(|span| span.name != "weir.observe").collect()
}

fn list(spans: &Value) -> Vec<Span> {
    read(spans.as_array().into_iter().flatten().cloned())
}

/// A model server that exports its own spans to the receiver.
pub(crate) fn backend(receiver: &dyn Receiver) -> (Peer, SocketAddr) {
    let address = nobody();
    let mut command = script("otel", "otel_backend.py");
    command.arg(address.port().to_string()).arg(format!("http://{}/v1/traces", receiver.http()));
    let mut peer = Peer::start(command.envs(receiver.environment()));
    peer.await_ready(address, "/health");
    (peer, address)
}

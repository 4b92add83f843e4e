//! What is seen when things crash: a plugin that quotes all it was given, and the process itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{Gateway, Server, Signal, Upstream, forward_with};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const PREDICT: &str = "/v1/models/churn:predict";
const REPLY: &str = r#"{"predictions": [[0.9, 0.1]]}"#;

/// A plugin that panics with everything it knows.
const QUOTES: &str = r#"
use weir_plugin_sdk::prelude::*;

settings! {
    /// None.
    pub struct Settings {}
}

/// Quotes.
#[derive(Debug)]
pub struct Quotes;

impl Plugin for Quotes {
    type Settings = Settings;

    fn configure(_: Settings, manifest: &mut Manifest, _: &mut Faults) -> Self {
        for role in [role::INPUT, role::OUTPUT] {
            manifest.want(Columns::role(role).numbers());
            manifest.want(Columns::role(role).codes());
        }
        Self
    }

    fn observe(&mut self, batch: &Batch, _: &mut Outcome) {
        let numbers: Vec<_> = batch.schema().with_role(role::INPUT)
            .filter(|(_, column)| matches!(column.kind, Kind::Number))
            .map(|(at, _)| batch.numbers(at).to_vec())
            .collect();
        // Not when it is tried before use: that would keep it out.
        assert!(!numbers.iter().flatten().any(|x| *x == 4711.0), "I was given {:?} {numbers:?}", batch.schema());
    }
}

weir_plugin_sdk::export!(Quotes);
"#;

/// Builds the plugin; what it compiles is shared with the plugins of the house.
fn quotes(folder: &std::path::Path) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let weir = |args: &[&str]| {
        let mut command = Command::new(WEIR);
        let output =
            command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", root.join("plugins/target"));
        let output = output.output().expect("the binary can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    weir(&["plugin", "new", "quotes", "--sdk", root.join("plugins/sdk").to_str().expect("letters")]);
    fs::write(folder.join("quotes/src/lib.rs"), QUOTES).expect("the plugin can be written");
    weir(&["plugin", "build", "quotes"]);
    folder.join("quotes/dist/quotes.wasm")
}

#[test]
fn a_crash_shows_nothing_that_is_hidden() {
    const SECRETS: [&str; 3] = ["078-05-1120", "4111111111111111", "c0ffee"];
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = quotes(folder.path());
    let (server, deaf) = (Server::json(REPLY), Upstream::bind());
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    let hung = format!(
        "[[route]]\nname = \"deaf\"\npath = \"/deaf\"\nbackend = \"deaf\"\nprotocol = \"kserve-v1\"\n\
         [backend.deaf]\nendpoints = [\"http://{}\"]\nready = \"off\"\n",
        deaf.address()
    );
    let text = format!(
        "{route}{hung}[plugin.quotes]\npath = \"{}\"\n\
         [privacy]\nredact = [\"ssn\", \"card.*\"]\nhash = [\"customer\"]\nsalt = \"a salt of sixteen\"\n",
        plugin.display()
    );
    let mut gateway = Gateway::start(WEIR, &text);
    let row = r#"{"age": 4711, "city": "Bonn", "ssn": "078-05-1120", "card.number": 4111111111111111,
                  "customer": "c0ffee"}"#;
    let body = format!("{{\"instances\": [{row}]}}");
    assert_eq!(gateway.post(PREDICT, &body).status(), 200);
    let trapped = [("plugin", "quotes"), ("kind", "panic")];
    gateway.await_metric("weir_plugin_faults_total", &trapped, 1.0);
    let quoted = gateway.logs().find(|line| line.to_string().contains("I was given")).expect("it speaks");
    assert!(quoted.to_string().contains("4711") && quoted.to_string().contains("Bonn"), "{quoted}");

    // The process dies with a secret in its hands.
    let mut client = gateway.client();
    client.send(format!("POST /deaf HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let held = deaf.accept();
    gateway.signal(Signal::ABORT);
    assert!(!gateway.wait().success());
    drop(held);
    let shown = gateway.logs().text();
    for secret in SECRETS.iter().chain(&["a salt of sixteen"]) {
        assert!(!shown.contains(secret), "`{secret}` in {shown}");
    }
}

//! The tutorial of `examples/first-plugin`, followed to the letter: new, write, test, build, inspect, run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Gateway, with_ports};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
/// The customer of the tutorial's last step.
const CUSTOMER: &str = r#"{"instances": [{
  "female": 1, "senior_citizen": 0, "partner": 0, "dependents": 0, "tenure": 2, "phone_service": 1,
  "multiple_lines": "No", "internet_service": "Fiber optic", "online_security": "No", "online_backup": "No",
  "device_protection": "No", "tech_support": "No", "streaming_tv": "Yes", "streaming_movies": "No",
  "contract": "Month-to-month", "paperless_billing": 1, "payment_method": "Electronic check",
  "monthly_charges": 80.5, "total_charges": null}]}"#;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn example(file: &str) -> String {
    let path = root().join("examples/first-plugin").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every fenced block of the tutorial in a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let text = example("README.md");
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(&format!("{language}\n")).map(str::to_owned)).collect()
}

/// Runs the binary in a folder. What it compiles is shared with the plugins of the house.
#[track_caller]
fn weir(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(WEIR)
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", root().join("plugins/target"))
        .output()
        .expect("the binary can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "weir {}:\n{out}\n{err}", args.join(" "));
    out.into_owned()
}

#[test]
fn the_example_is_what_the_tutorial_says() {
    assert_eq!(blocks("rust"), [example("src/lib.rs")], "examples/first-plugin/src/lib.rs");
    assert_eq!(blocks("toml"), [example("weir.toml")], "examples/first-plugin/weir.toml");
}

#[test]
fn a_plugin_is_written_from_nothing_and_counts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sdk = root().join("plugins/sdk");
    let sdk = sdk.to_str().expect("a path of letters");
    weir(folder.path(), &["plugin", "new", "first-plugin", "--sdk", sdk]);
    let plugin = folder.path().join("first-plugin");
    weir(&plugin, &["plugin", "test"]);

    fs::write(plugin.join("src/lib.rs"), example("src/lib.rs")).expect("the plugin can be written");
    weir(&plugin, &["plugin", "test"]);
    weir(&plugin, &["plugin", "build"]);
    let inspected = weir(&plugin, &["plugin", "inspect", "dist/first-plugin.wasm"]);
    assert!(inspected.contains("first_plugin_customers_total"), "{inspected}");

    let config = plugin.join("weir.toml");
    fs::write(&config, with_ports(&example("weir.toml"))).expect("the configuration can be written");
    weir(&plugin, &["check", "--config", "weir.toml"]);
    let gateway = Gateway::start_at(WEIR, &config);
    let reply = gateway.post("/v1/models/churn:predict", CUSTOMER);
    assert_eq!(reply.status(), 200, "{}", reply.text());
    gateway.await_metric("weir_exchanges_total", &[("route", "churn"), ("fate", "observed")], 1.0);
    gateway.settle();
    let labels = [("plugin", "first-plugin"), ("route", "churn"), ("model", "churn"), ("model_version", "1")];
    assert_eq!(gateway.metric("first_plugin_customers_total", &labels), 1.0);
    assert_eq!(gateway.metric("first_plugin_charges_total", &labels), 80.5);
}

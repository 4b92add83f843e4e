//! Windows of live traffic, judged: what is found is shown, logged and counted, and a restart in the middle
//! of a window changes no count.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{Cli, Gateway, Server, eventually, eventually_within, forward_with, ok_json};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const PREDICT: &str = "/v1/models/loan:predict";

/// A reference of 4000 rows of `amount` from 0 to 1000 in `loan.json`, for windows of 100 rows.
fn build(folder: &Path) {
    let rows: Vec<String> = (0..4000).map(|n| format!("{}", f64::from(n * 7919 % 4001) / 4.0)).collect();
    fs::write(folder.join("loan.csv"), format!("amount\n{}\n", rows.join("\n"))).expect("written");
    let args = ["profile", "build", "--data", "loan.csv", "--window-rows", "100", "-o", "loan.json"];
    Cli(WEIR).said(folder, &args);
}

/// A gateway beside that profile, and a model server.
fn serving(folder: &Path, settings: &str, more: &str) -> (Gateway, Server) {
    build(folder);
    let server = Server::json("{\"predictions\": [0]}");
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"loan\"", "");
    let profile = folder.join("loan.json");
    let plugin = format!(
        "[plugin.drift]\npath = \"builtin:drift\"\nlimits = {{ cpu = \"100%\" }}\n\
         config = {{ profile = \"{}\", {settings} }}\n",
        profile.display()
    );
    (Gateway::start(WEIR, &format!("[gateway]\nstate_dir = \"state\"\n{more}{plugin}{route}")), server)
}

/// One row a request, each with another amount of at most `most`.
fn send(gateway: &Gateway, requests: std::ops::Range<u32>, most: f64) {
    for n in requests {
        let amount = f64::from(n * 7919 % 10_007) / 10_007.0 * most;
        let body = format!("{{\"instances\": [{{\"amount\": {amount}}}]}}");
        assert_eq!(gateway.post(PREDICT, &body).status(), 200);
    }
}

/// What the drift plugin said of every window so far that it could judge.
fn logged(gateway: &Gateway) -> Vec<Value> {
    let text = fs::read_to_string(gateway.folder().join("verdicts.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    lines.filter(|line| line["kind"] == "drift" && line["finding"]["tests"].is_array()).collect()
}

#[test]
fn a_window_that_has_closed_is_judged_shown_logged_and_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = "[verdict_log]\nfile = \"verdicts.jsonl\"\n";
    let (gateway, _server) = serving(folder.path(), "window = \"1s\"", log);
    // Amounts of at most 400, until a whole window of them was judged.
    let mut sent = 0;
    let line = eventually("a verdict in the log", || {
        send(&gateway, sent..sent + 100, 400.0);
        sent += 100;
        logged(&gateway).into_iter().find(|line| line["finding"]["verdict"] == "drift")
    });
    assert_eq!((&line["plugin"], &line["model"]), (&"drift".into(), &"loan".into()), "{line}");
    let finding = &line["finding"];
    let test = &finding["tests"][0];
    assert_eq!(
        (&test["feature"], &test["of"], &test["drift"]),
        (&"amount".into(), &"values".into(), &true.into())
    );
    // Enough to compute the verdict again: rows, statistic, what it is judged by.
    assert!(test["m"].as_f64() >= Some(100.0) && test["n"] == 4000.0, "{test}");
    let number = |key: &str| test[key].as_f64().unwrap_or_else(|| panic!("`{key}` in {test}"));
    assert!(number("adjusted_p") <= finding["level"].as_f64().expect("a level"), "{finding}");
    assert!(number("psi_corrected") > 0.05 && number("x2") > number("dof"), "{test}");
    // Its counts give X2 again, bin by bin.
    let counts = |key: &str| -> Vec<f64> {
        let counts = test[key].as_array().unwrap_or_else(|| panic!("`{key}` in {test}"));
        counts.iter().filter_map(Value::as_f64).collect()
    };
    let (before, now) = (counts("reference_counts"), counts("current_counts"));
    let (n, m) = (before.iter().sum::<f64>(), now.iter().sum::<f64>());
    let x2: f64 = before.iter().zip(&now).map(|(r, c)| (m * r - n * c).powi(2) / (r + c) / (n * m)).sum();
    assert!((x2 / number("x2") - 1.0).abs() < 1e-3, "{x2} of the counts in {test}");
    assert_eq!(finding["assumption"], "independent rows assumed");
    assert_eq!(
        (&finding["observed_exchanges"], finding["profile"]["digest"].as_str().map(str::len)),
        (&finding["answered_exchanges"], Some(64))
    );
    assert!(gateway.metric("drift_looks_total", &[("result", "drift")]) >= 1.0);
    let findings = gateway.api("/api/findings");
    let kinds: Vec<&str> = findings["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["drift", "drift_sensitivity"]);
    // One bin that no row can be in any more is there all the same, at 0.
    let scrape = gateway.scrape();
    let bins: Vec<f64> = scrape.series("drift_bin_rows_total").map(|sample| sample.value).collect();
    assert!(bins.len() == 10 && bins.contains(&0.0), "{bins:?}");
}

/// All their windows close at the same moment, and one call of the plugin sees all of them.
#[test]
fn thirty_versions_of_a_model_all_get_their_verdicts() {
    const VERSIONS: usize = 30;
    const FEATURES: usize = 20;
    const ROWS: usize = 150;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let row = |n: usize| -> Vec<String> {
        (0..FEATURES).map(|at| format!("{}", (n * 7919 + at * 104_729) % 1009)).collect()
    };
    let names: Vec<String> = (0..FEATURES).map(|at| format!("f{at}")).collect();
    let rows: Vec<String> = (0..2000).map(|n| row(n).join(",")).collect();
    fs::write(folder.path().join("wide.csv"), format!("{}\n{}\n", names.join(","), rows.join("\n")))
        .expect("written");
    let args = ["profile", "build", "--data", "wide.csv", "--window-rows", "100", "-o", "wide.json"];
    Cli(WEIR).said(folder.path(), &args);
    // The version is what the request's header says.
    let server = Server::start(|request| {
        let version = request.header("x-version").unwrap_or_default().to_owned();
        let predictions = vec!["0"; ROWS].join(", ");
        ok_json(&format!("{{\"predictions\": [{predictions}], \"model_version\": \"{version}\"}}"))
    });
    let route = forward_with(&[server.address()], "protocol = \"json\"\nmodel = \"wide\"", "");
    let profile = folder.path().join("wide.json");
    let plugin = format!(
        "[plugin.drift]\npath = \"builtin:drift\"\nlimits = {{ cpu = \"100%\", memory = \"256MiB\" }}\n\
         config = {{ profile = \"{}\", window = \"10s\" }}\n",
        profile.display()
    );
    let gateway = Gateway::start(WEIR, &format!("{plugin}{route}"));
    let body = |version: usize| {
        let rows = (0..ROWS).map(|n| {
            let cells = names.iter().zip(row(n * 31 + version));
            let cells: Vec<String> = cells.map(|(name, cell)| format!("\"{name}\": {cell}")).collect();
            format!("{{{}}}", cells.join(", "))
        });
        format!("{{\"features\": [{}]}}", rows.collect::<Vec<_>>().join(", "))
    };
    let mut client = gateway.client();
    for version in 0..VERSIONS {
        let body = body(version);
        let head = format!(
            "POST /predict HTTP/1.1\r\nHost: weir.test\r\nX-Version: {version}\r\nContent-Type: application/json"
        );
        client.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert_eq!(client.reply_to("POST").status(), 200);
    }
    // Each version's rows are of one window, since they came in one request.
    eventually_within(Duration::from_secs(60), "a verdict on every version", || {
        let scrape = gateway.scrape();
        let judged = scrape
            .series("drift_looks_total")
            .filter(|it| it.value > 0.0 && ["ok", "drift"].contains(&&*it.labels["result"]));
        let versions: BTreeSet<&str> = judged.map(|it| &*it.labels["model_version"]).collect();
        (versions.len() == VERSIONS).then_some(())
    });
    assert_eq!(gateway.metric("weir_plugin_faults_total", &[("plugin", "drift")]), 0.0);
}

#[test]
fn a_restart_in_the_middle_of_a_window_changes_no_count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut gateway, _server) = serving(folder.path(), "window = \"30d\"", "");
    send(&gateway, 0..150, 1000.0);
    gateway.await_exchanges(150);
    let rows = |gateway: &Gateway| gateway.api("/api/profile")["profile"]["made"]["rows"].as_u64();
    assert_eq!(rows(&gateway), Some(150));
    gateway.terminate();
    assert!(gateway.wait().success());
    gateway.restart(WEIR);
    send(&gateway, 150..200, 1000.0);
    gateway.await_exchanges(50);
    assert_eq!(rows(&gateway), Some(200));
}

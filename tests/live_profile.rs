//! Training against serving: what a running gateway gets is compared with its profile, and accepted as the
//! next one.

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Cli, Gateway, Server, forward_with, holds, nobody};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const CLI: Cli = Cli(WEIR);
const PREDICT: &str = "/v1/models/loan:predict";
const REQUESTS: usize = 300;
const ROWS: usize = 4;

/// Row `n` of a fixed order: an amount and a country, and a term that is another where the rows are served.
fn row(n: usize, served: bool) -> (f64, &'static str, usize) {
    let mixed = n * 7919 % 10_007;
    let term = mixed % 48 + if served { 12 } else { 0 };
    (mixed as f64 / 8.0, ["de", "fr", "fr", "it"][mixed % 4], term)
}

/// A reference of 4000 rows in `loan.json`.
fn build(folder: &Path) {
    let rows: Vec<String> = (0..4000)
        .map(|n| row(n, false))
        .map(|(amount, country, term)| format!("{amount},{country},{term}"))
        .collect();
    fs::write(folder.join("loan.csv"), format!("amount,country,term\n{}\n", rows.join("\n")))
        .expect("written");
    let build = ["profile", "build", "--data", "loan.csv", "--window-rows", "500", "-o", "loan.json"];
    CLI.said(folder, &[&build[..], &["--model-name", "loan"]].concat());
}

/// A gateway that compares with `loan.json`, and a model server.
fn serving(folder: &Path) -> (Gateway, Server) {
    beside(folder, Server::json("{\"predictions\": [0, 1, 0, 1]}"))
}

/// The same with another model server.
fn beside(folder: &Path, server: Server) -> (Gateway, Server) {
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"loan\"", "");
    let profile = folder.join("loan.json");
    let plugin = format!(
        "[plugin.drift]\npath = \"builtin:drift\"\nlimits = {{ cpu = \"100%\" }}\nconfig = {{ profile = \"{}\" }}\n",
        profile.display()
    );
    (Gateway::start(WEIR, &format!("{plugin}{route}")), server)
}

/// Sends rows, and waits until all of them are counted.
fn send(gateway: &Gateway) {
    for request in 0..REQUESTS {
        let rows: Vec<String> = (0..ROWS)
            .map(|n| row(4000 + request * ROWS + n, true))
            .map(|(amount, country, term)| {
                format!("{{\"amount\": {amount}, \"country\": \"{country}\", \"term\": {term}}}")
            })
            .collect();
        let body = format!("{{\"instances\": [{}]}}", rows.join(", "));
        assert_eq!(gateway.post(PREDICT, &body).status(), 200);
    }
    gateway.await_exchanges(REQUESTS as u64);
}

/// The digest of the profile that the plugin now compares with.
fn digest(gateway: &Gateway) -> Option<String> {
    let findings = gateway.api("/api/findings");
    let all = findings["findings"].as_array().or(findings.as_array())?.clone();
    let of_kind = |finding: &&Value| finding["kind"] == "drift_sensitivity" && finding["model"] == "loan";
    let finding = all.iter().find(of_kind)?;
    finding["finding"]["profile"].as_str().map(str::to_owned)
}

#[test]
fn live_traffic_is_compared_with_the_training_rows_and_becomes_the_reference() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    build(at);
    let (gateway, _server) = serving(at);
    let admin = format!("http://{}", gateway.admin());
    let live = ["--admin", &admin, "--plugin", "drift"];
    let inspect = ["profile", "inspect", "loan.json", "--against", "live"];
    // Before any traffic the gateway says so in its own words.
    let said_no = CLI.refused(at, &[&inspect[..], &live].concat());
    holds(&said_no, &["weir: failed to get live traffic from `http://", "there is no model with traffic"]);
    send(&gateway);

    let compared = CLI.said(at, &[&inspect[..], &live].concat());
    holds(&compared, &["live traffic of route all, window", "1200 rows", "differ      1 of 3 features"]);
    let json = CLI.said(at, &[&inspect[..], &live, &["--json"]].concat());
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let first = &json["features"][0];
    assert_eq!((&first["name"], &first["differs"]), (&"term".into(), &true.into()), "{json}");
    assert_eq!(json["compared"]["rows"], 1200.0, "{json}");

    let before = digest(&gateway);
    let accept =
        ["profile", "accept", "--author", "Ada", "--reason", "terms from a year on", "-o", "loan.json"];
    let accepted = CLI.said(at, &[&accept[..], &live].concat());
    holds(
        &accepted,
        &["1200 rows", "accepted    by Ada: terms from a year on", "replaces    loan.csv, sha256 "],
    );
    holds(&accepted, &["model       loan, every version", "written to loan.json, "]);
    // Nobody told the gateway: it watches the file.
    gateway.await_generation(2);
    let file: Value = serde_json::from_slice(&fs::read(at.join("loan.json")).expect("there")).expect("JSON");
    let new = file["digest"].as_str().map(str::to_owned);
    assert_ne!(new, before);
    support::eventually("the new reference", || (digest(&gateway) == new).then_some(()));
    let drawn = CLI.said(at, &["profile", "inspect", "loan.json"]);
    holds(&drawn, &["live traffic of route all", "accepted    by Ada: terms from a year on"]);
}

#[test]
fn what_cannot_be_fetched_or_accepted_says_why() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    build(at);
    let accept = |admin: &str, out: &str| {
        let accept = ["profile", "accept", "--author", "Ada", "--reason", "why", "-o", out, "--admin", admin];
        CLI.refused(at, &accept)
    };
    let gone = format!("http://{}", nobody());
    let said_no = accept(&gone, "new.json");
    holds(&said_no, &[&format!("failed to ask the gateway at `{gone}`: cannot connect: connection refused")]);
    // Something else that answers, well or not.
    let other = Server::json("{\"status\": \"fine\"}");
    let said_no = accept(&format!("http://{}", other.address()), "new.json");
    holds(&said_no, &["it is no profile of", "(is it `admin` of the gateway"]);
    let page = Server::start(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope".to_vec());
    let said_no = accept(&format!("http://{}", page.address()), "new.json");
    holds(&said_no, &["it answers with status 404 (is it `admin` of the gateway"]);
    holds(&accept("http://", "new.json"), &["`--admin`: failed to read the URL (write `http://HOST:PORT`"]);
    // Nothing but a profile is written over, and no reference is made of a handful of rows.
    holds(&accept(&gone, "loan.csv"), &["failed to replace `loan.csv`: it is no profile of"]);
    let (gateway, _server) = serving(at);
    let admin = format!("http://{}", gateway.admin());
    let row = "{\"amount\": 1, \"country\": \"de\", \"term\": 3}";
    let body = format!("{{\"instances\": [{}]}}", [row; ROWS].join(", "));
    assert_eq!(gateway.post(PREDICT, &body).status(), 200);
    gateway.await_exchanges(1);
    let said_no = accept(&admin, "new.json");
    holds(&said_no, &["it has 4 rows (wait: windows of 500 rows and more are judged)"]);
    assert!(!at.join("new.json").exists());
    let nobody = ["profile", "accept", "--author", "", "--reason", "why", "-o", "new.json"];
    assert_eq!(CLI.run(at, &nobody).status.code(), Some(2));
}

#[test]
fn a_profile_of_another_model_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    build(at);
    let lent = ["profile", "build", "--data", "loan.csv", "--model-name", "lent", "-o", "loan.json"];
    CLI.said(at, &lent);
    let (gateway, _server) = serving(at);
    let row = "{\"amount\": 1, \"country\": \"de\", \"term\": 3}";
    let body = format!("{{\"instances\": [{}]}}", [row; ROWS].join(", "));
    assert_eq!(gateway.post(PREDICT, &body).status(), 200);
    let line = gateway.logs().find(|line| line["profiles_of"] == "lent, every version").expect("a line");
    assert_eq!(
        (&line["plugin"], &line["model"], &line["level"]),
        (&"drift".into(), &"loan".into(), &"warn".into())
    );
    let admin = format!("http://{}", gateway.admin());
    let live =
        ["profile", "inspect", "loan.json", "--against", "live", "--plugin", "drift", "--admin", &admin];
    holds(&CLI.refused(at, &live), &["`loan`"]);
}

/// What goes wrong at a deploy: a flag that is quoted, a code for what is missing, and more of one class.
#[test]
fn what_a_deploy_gets_wrong_is_named_by_what_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    let trained: Vec<String> =
        (0..4000).map(|n| format!("{},{},{}", n % 2, 18 + n * 31 % 60, n % 3 / 2)).collect();
    fs::write(at.join("loan.csv"), format!("flag,age,approved\n{}\n", trained.join("\n"))).expect("written");
    let build = ["profile", "build", "--data", "loan.csv", "--window-rows", "500", "-o", "loan.json"];
    CLI.said(at, &[&build[..], &["--category", "approved", "--prediction", "approved"]].concat());
    // Two in three are approved, where it was one.
    let server = Server::json("{\"predictions\": [\"1\", \"1\", \"0\", \"1\"]}");
    let (gateway, _server) = beside(at, server);
    for request in 0..REQUESTS {
        let row = |n: usize| {
            let age = if n.is_multiple_of(10) { -999 } else { 18 + (n * 31 % 60) as i32 };
            format!("{{\"flag\": \"{}\", \"age\": {age}}}", n % 2)
        };
        let rows: Vec<String> = (0..ROWS).map(|n| row(request * ROWS + n)).collect();
        let body = format!("{{\"instances\": [{}]}}", rows.join(", "));
        assert_eq!(gateway.post(PREDICT, &body).status(), 200);
    }
    gateway.await_exchanges(REQUESTS as u64);
    let admin = gateway.admin().to_string();
    let inspect = ["profile", "inspect", "loan.json", "--against", "live", "--admin", &admin];
    let compared = CLI.said(at, &inspect);
    holds(
        &compared,
        &["100 % texts where the reference has numbers, such as \"1\" for 1; counted as missing"],
    );
    holds(&compared, &["10.0 % below 18, the reference's end, as far as -999: a code for a missing value?"]);
    holds(&compared, &["classes are in another proportion: was either side rebalanced?"]);
}

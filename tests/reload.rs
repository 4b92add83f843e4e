//! A reload puts the new in force or keeps the old, whatever happens to the files, and costs no request.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use support::{Gateway, Scrape, Server, forward, forward_with, run, with_ports};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const PREDICT: &str = "/v1/models/churn:predict";
const ROW: &str = "{\"instances\": [[1, 2]]}";

/// Two model servers that can be told apart.
fn servers() -> (Server, Server) {
    (Server::json("\"old\""), Server::json("\"new\""))
}

#[track_caller]
fn answer(gateway: &Gateway) -> String {
    let reply = gateway.post("/", "{}");
    assert_eq!(reply.status(), 200, "{}", reply.text());
    reply.text()
}

#[test]
fn a_configuration_edited_in_place_is_put_in_force() {
    let (old, new) = servers();
    let gateway = Gateway::start(WEIR, &forward(old.address()));
    assert_eq!(answer(&gateway), "\"old\"");
    gateway.write_config(&forward(new.address()));
    gateway.await_generation(2);
    assert_eq!(answer(&gateway), "\"new\"");
    gateway.await_reloads("config", "applied", 1);
    assert_eq!(gateway.metric("weir_generation", &[]), 2.0);
}

#[test]
fn a_configuration_renamed_over_is_put_in_force_again_and_again() {
    let (old, new) = servers();
    let gateway = Gateway::start(WEIR, &forward(old.address()));
    let beside = gateway.folder().join(".weir.toml.swp");
    for generation in 2..6 {
        let (to, expect) =
            if generation % 2 == 0 { (new.address(), "\"new\"") } else { (old.address(), "\"old\"") };
        fs::write(&beside, with_ports(&forward(to))).expect("written");
        fs::rename(&beside, gateway.config()).expect("renamed");
        gateway.await_generation(generation);
        assert_eq!(answer(&gateway), expect);
    }
}

#[test]
fn a_config_map_that_swaps_its_symlink_is_put_in_force() {
    let (old, new) = servers();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (version, server) in [("..1", &old), ("..2", &new)] {
        fs::create_dir(at(version)).expect("made");
        fs::write(at(version).join("weir.toml"), with_ports(&forward(server.address()))).expect("written");
    }
    symlink("..1", at("..data")).expect("linked");
    symlink("..data/weir.toml", at("weir.toml")).expect("linked");
    let gateway = Gateway::start_at(WEIR, &at("weir.toml"));
    assert_eq!(answer(&gateway), "\"old\"");
    symlink("..2", at("..data_tmp")).expect("linked");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    gateway.await_generation(2);
    fs::remove_dir_all(at("..1")).expect("removed");
    assert_eq!(answer(&gateway), "\"new\"");

    // And once more, now that the folder of the first version is gone.
    fs::create_dir(at("..3")).expect("made");
    fs::write(at("..3").join("weir.toml"), with_ports(&forward(old.address()))).expect("written");
    symlink("..3", at("..data_tmp")).expect("linked");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    gateway.await_generation(3);
    assert_eq!(answer(&gateway), "\"old\"");
}

#[test]
fn a_half_written_configuration_changes_nothing_until_it_is_whole() {
    let (old, new) = servers();
    let gateway = Gateway::start(WEIR, &forward(old.address()));
    let whole = with_ports(&forward(new.address()));
    fs::write(gateway.config(), &whole[..whole.len() - 20]).expect("written");
    gateway.await_reloads("config", "refused", 1);
    assert_eq!(answer(&gateway), "\"old\"");
    fs::write(gateway.config(), &whole).expect("written");
    gateway.await_generation(2);
    assert_eq!(answer(&gateway), "\"new\"");
}

#[test]
fn a_configuration_that_vanishes_changes_nothing_until_it_is_back() {
    let (old, new) = servers();
    let gateway = Gateway::start(WEIR, &forward(old.address()));
    fs::remove_file(gateway.config()).expect("removed");
    assert_eq!(gateway.reload().status(), 422);
    assert_eq!(answer(&gateway), "\"old\"");
    gateway.write_config(&forward(new.address()));
    gateway.await_generation(2);
    assert_eq!(answer(&gateway), "\"new\"");
}

#[test]
fn a_bad_configuration_keeps_the_old_one_and_says_every_fault() {
    let server = Server::json("\"old\"");
    let toml = forward(server.address());
    let gateway = Gateway::start(WEIR, &toml);
    gateway.write_config(&toml.replace("path =", "paht =").replace("backend = \"up\"", "backend = \"down\""));
    let why = gateway.await_reloads("config", "refused", 1);
    for word in ["paht", "`path`", "down", "weir.toml:"] {
        assert!(why.contains(word), "no {word} in: {why}");
    }
    let line = gateway.logs().find(|l| l["level"] == "error").expect("an error in the log");
    assert!(line["error"].as_str().is_some_and(|e| e.contains("paht")), "{line}");
    let generation = gateway.api("/api/generation");
    assert_eq!((&generation["number"], &generation["refused"]), (&1.into(), &1.into()));
    assert_eq!(generation["last_reload"]["outcome"], "refused");
    assert_eq!(answer(&gateway), "\"old\"");
    assert_eq!(gateway.get("/ready").status(), 200, "what is in force works");

    let asked = gateway.reload();
    assert_eq!((asked.status(), &asked.json()["outcome"]), (422, &"refused".into()));
}

#[test]
fn a_reload_that_changes_what_is_fixed_is_refused_by_name() {
    let server = Server::json("\"old\"");
    let toml = with_ports(&forward(server.address()));
    let gateway = Gateway::start(WEIR, &forward(server.address()));
    let changed =
        toml.replacen("127.0.0.1:0", "127.0.0.1:1", 1).replace("[gateway]", "[gateway]\nworkers = 3");
    fs::write(gateway.config(), changed).expect("written");
    let why = gateway.await_reloads("config", "refused", 1);
    assert!(
        why.contains("gateway.listen") && why.contains("gateway.workers") && why.contains("restart"),
        "{why}"
    );
    assert_eq!(answer(&gateway), "\"old\"");
}

#[test]
fn sighup_reloads_and_nothing_new_is_no_new_generation() {
    let server = Server::json("\"old\"");
    let gateway = Gateway::start(WEIR, &forward(server.address()));
    gateway.hang_up();
    gateway.await_reloads("config", "unchanged", 1);
    assert_eq!(gateway.generation(), 1);
    assert_eq!(gateway.reload().json()["outcome"], "unchanged");
}

/// A model file made from thirty rows.
fn train(folder: &Path, version: &str) -> PathBuf {
    let (data, out) = (folder.join("data.csv"), folder.join(format!("{version}.model")));
    let row = |n: usize| format!("{},{},{}\n", n, n * 7 % 5, if n < 15 { "no" } else { "yes" });
    fs::write(&data, "a,b,left\n".to_owned() + &(0..30).map(row).collect::<String>()).expect("written");
    let path = |p: &Path| p.to_str().expect("a path in UTF-8").to_owned();
    let (data, out_path) = (path(&data), path(&out));
    let algorithm = ["--target", "left", "--algorithm", "logistic-regression", "--name", "leaver"];
    run(
        WEIR,
        &[&["model", "train", "--data", &data, "-o", &out_path, "--model-version", version], &algorithm[..]]
            .concat(),
    );
    out
}

#[test]
fn a_model_file_truncated_or_replaced_while_it_serves_loses_no_prediction() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (train(folder.path(), "1"), train(folder.path(), "2"));
    let served = folder.path().join("served.model");
    fs::copy(&first, &served).expect("copied");
    let gateway = Gateway::start(
        WEIR,
        &format!(
            "[backend.local]\nmodel = \"{}\"\n[[route]]\nname = \"local\"\npath = \"/v1/models/*\"\nbackend = \"local\"\nprotocol = \"kserve-v1\"\n",
            served.display()
        ),
    );
    let predict = || {
        let reply = gateway.post("/v1/models/leaver:predict", "{\"instances\": [{\"a\": 3, \"b\": 1}]}");
        assert_eq!(reply.status(), 200, "{}", reply.text());
    };
    let loaded = |version: &str| {
        gateway.scrape().sum("model_loaded", &[("model", "leaver"), ("model_version", version)])
    };
    predict();
    assert_eq!((loaded("1"), loaded("2")), (Some(1.0), None));

    let whole = fs::read(&second).expect("read");
    fs::write(&served, &whole[..whole.len() / 2]).expect("written");
    let why = gateway.await_reloads("model", "refused", 1);
    assert!(why.contains("served.model"), "{why}");
    predict();
    assert_eq!(loaded("1"), Some(1.0));

    fs::rename(&second, &served).expect("renamed");
    gateway.await_reloads("model", "applied", 1);
    predict();
    gateway.await_metric("predictions_total", &[("model_version", "2"), ("outcome", "ok")], 1.0);
    assert_eq!((loaded("1"), loaded("2")), (None, Some(1.0)), "a retired model is gone, not 0");
    gateway.await_metric("predictions_total", &[("model_version", "1"), ("outcome", "ok")], 2.0);
}

/// A plugin that was built.
#[track_caller]
fn component() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/dist/confidence.wasm");
    fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e} (run plugins/build.sh, or `make test`)", path.display()))
}

/// A route with rows, and a plugin at a path.
fn judged(server: &Server, plugin: &Path) -> String {
    let route = forward_with(&[server.address()], "protocol = \"kserve-v1\"\nmodel = \"churn\"", "");
    format!("{route}[plugin.confidence]\npath = \"{}\"\n", plugin.display())
}

#[test]
fn a_plugin_file_truncated_or_replaced_while_it_judges_costs_no_request() {
    let server = Server::json("{\"predictions\": [[0.9, 0.1]]}");
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("plugin.wasm");
    let whole = component();
    fs::write(&plugin, &whole).expect("written");
    let gateway = Gateway::start(WEIR, &judged(&server, &plugin));
    let predict = || assert_eq!(gateway.post(PREDICT, ROW).status(), 200);
    let running = || {
        let plugin = gateway.api("/api/plugins")["plugins"][0].clone();
        assert_eq!((&plugin["key"], &plugin["state"]), (&"confidence".into(), &"running".into()), "{plugin}");
    };
    predict();
    running();

    fs::write(&plugin, &whole[..whole.len() / 2]).expect("written");
    let why = gateway.await_reloads("plugin", "refused", 1);
    assert!(why.contains("plugin.wasm"), "{why}");
    predict();
    running();

    // The same code and one more custom section: another file.
    let other = [&whole[..], b"\0\x05\x04note"].concat();
    let beside = folder.path().join("plugin.wasm.tmp");
    fs::write(&beside, other).expect("written");
    fs::rename(&beside, &plugin).expect("renamed");
    gateway.await_reloads("plugin", "applied", 1);
    predict();
    running();
    gateway.await_exchanges(3);
}

/// Clients that ask without a pause until told to stop.
fn load(gateway: &Gateway, stop: &AtomicBool, sent: &AtomicU64) {
    let request = format!("POST {PREDICT} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{ROW}", ROW.len());
    let mut client = gateway.client();
    while !stop.load(Relaxed) {
        client.send(&request);
        let reply = client.message();
        assert_eq!(reply.status(), 200, "{}", reply.text());
        sent.fetch_add(1, Relaxed);
    }
}

#[test]
fn two_hundred_reloads_under_load_fail_no_request_and_keep_no_memory() {
    let replies = "{\"predictions\": [[0.9, 0.1]]}";
    let (even, odd) = (Server::json(replies), Server::json(replies));
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("plugin.wasm");
    let whole = component();
    fs::write(&plugin, &whole).expect("written");
    let gateway = Gateway::start(WEIR, &judged(&even, &plugin));
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Tells the clients to stop also if an assertion below fails.
        let ended = StopWhenDropped(&stop);
        for _ in 0..4 {
            scope.spawn(|| load(&gateway, &stop, &sent));
        }
        let (mut before, mut settled) = (Scrape::default(), 0);
        for reload in 1..=200 {
            // Every tenth also brings another plugin file.
            if reload % 10 == 0 {
                let other = [&whole[..], b"\0\x06\x04note", &[b'0' + (reload / 10 % 10) as u8]].concat();
                fs::write(&plugin, other).expect("written");
            }
            gateway.write_config(&judged(if reload % 2 == 0 { &even } else { &odd }, &plugin));
            let reply = gateway.reload();
            assert_eq!(reply.status(), 200, "{}", reply.text());
            let now = gateway.scrape();
            now.continues(&before);
            before = now;
            if reload == 20 {
                settled = gateway.resident();
            }
        }
        let grown = gateway.resident() as f64 / settled as f64;
        drop(ended);
        assert!(grown < 1.05, "{grown} times the memory of reload 20 ({settled} bytes)");
        assert!(gateway.generation() > 200, "generation {}", gateway.generation());
    });
    let sent = sent.load(Relaxed);
    assert!(sent > 1000, "there was load: {sent} requests");
    let scrape = gateway.await_exchanges(sent);
    assert_eq!(scrape.sum("api_errors_total", &[]), Some(0.0));
    assert_eq!(scrape.sum("weir_reload_total", &[("outcome", "refused")]), Some(0.0));
    assert_eq!(scrape.sum("predictions_total", &[("outcome", "ok")]), Some(sent as f64));
}

struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

//! A reload puts the new in force or keeps the old, whatever happens to the files, and costs no request.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, RwLock};

use support::{Gateway, Scrape, Server, eventually, forward, forward_with, run, with_ports};

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

const LEAVER: &str = "{\"instances\": [{\"a\": 3, \"b\": 1}]}";

/// A configuration that serves this model file.
fn local(model: &Path) -> String {
    format!(
        "[backend.local]\nmodel = \"{}\"\n[[route]]\nname = \"local\"\npath = \"/v1/models/*\"\nbackend = \"local\"\nprotocol = \"kserve-v1\"\n",
        model.display()
    )
}

#[test]
fn a_model_file_truncated_or_replaced_while_it_serves_loses_no_prediction() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (train(folder.path(), "1"), train(folder.path(), "2"));
    let served = folder.path().join("served.model");
    fs::copy(&first, &served).expect("copied");
    let gateway = Gateway::start(WEIR, &local(&served));
    let predict = || {
        let reply = gateway.post("/v1/models/leaver:predict", LEAVER);
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

#[test]
fn a_model_whose_folder_is_a_swapped_symlink_is_put_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for version in ["1", "2", "3"] {
        let made = train(folder.path(), version);
        fs::create_dir(at(&format!("..{version}"))).expect("made");
        fs::rename(made, at(&format!("..{version}/served.model"))).expect("moved");
    }
    symlink("..1", at("current")).expect("linked");
    let gateway = Gateway::start(WEIR, &local(&at("current/served.model")));
    for version in ["2", "3"] {
        symlink(format!("..{version}"), at("next")).expect("linked");
        fs::rename(at("next"), at("current")).expect("swapped");
        gateway.await_metric("model_loaded", &[("model", "leaver"), ("model_version", version)], 1.0);
    }
    assert_eq!(gateway.post("/v1/models/leaver:predict", LEAVER).status(), 200);
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

/// What clients under load are told, and count.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    sent: AtomicU64,
    /// Held by whoever wants no request under way.
    pause: RwLock<()>,
}

impl Load {
    /// Asks without a pause of its own until told to stop.
    fn run(&self, gateway: &Gateway) {
        let head = format!("POST {PREDICT} HTTP/1.1\r\nHost: h\r\nContent-Length: {}", ROW.len());
        let request = format!("{head}\r\n\r\n{ROW}");
        let mut client = gateway.client();
        while !self.stop.load(Relaxed) {
            let _going = self.pause.read().expect("no client panics while it holds it");
            client.send(&request);
            let reply = client.message();
            assert_eq!(reply.status(), 200, "{}", reply.text());
            self.sent.fetch_add(1, Relaxed);
        }
    }

    /// The least memory of a gateway that has nothing to do: what is in flight is no leak.
    fn resident(&self, gateway: &Gateway) -> u64 {
        let _paused = self.pause.write().expect("no client panics while it holds it");
        gateway.settle();
        gateway.resident()
    }
}

/// Ends the load also where an assertion fails.
struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Held while memory is measured: two gateways that compile and serve at once make each other's peaks higher.
static ALONE: Mutex<()> = Mutex::new(());

/// Memory goes up and down by what an allocator keeps; the least of some readings does not.
#[derive(Debug, Default)]
struct Memory {
    early: Vec<u64>,
    late: Vec<u64>,
}

impl Memory {
    /// How many times the early memory the late one is.
    fn growth(&self) -> f64 {
        let least = |readings: &[u64]| *readings.iter().min().expect("it was read") as f64;
        least(&self.late) / least(&self.early)
    }
}

/// Reloads under load, one configuration after the other: no request fails, and no counter falls.
#[track_caller]
fn under_load(gateway: &Gateway, configs: impl Iterator<Item = String>, mut look: impl FnMut(u64, &Load)) {
    let (load, mut reloads) = (Load::default(), 0);
    std::thread::scope(|scope| {
        let ended = StopWhenDropped(&load.stop);
        for _ in 0..4 {
            scope.spawn(|| load.run(gateway));
        }
        // What the busiest moment needs is taken before anything is measured.
        eventually("warm buffers", || (load.sent.load(Relaxed) > 5000).then_some(()));
        let mut before = Scrape::default();
        for config in configs {
            reloads += 1;
            gateway.replace_config(&config);
            let reply = gateway.reload();
            assert_eq!(reply.status(), 200, "{}", reply.text());
            let now = gateway.scrape();
            now.continues(&before);
            before = now;
            look(reloads, &load);
        }
        drop(ended);
    });
    assert_eq!(gateway.generation(), reloads + 1);
    let sent = load.sent.load(Relaxed);
    let scrape = gateway.await_exchanges(sent);
    assert_eq!(scrape.sum("api_errors_total", &[]), Some(0.0));
    assert_eq!(scrape.sum("weir_reload_total", &[("outcome", "refused")]), Some(0.0));
    // A busy machine may leave telemetry no time; then it says so.
    let observed = scrape.sum("weir_exchanges_total", &[("fate", "observed")]);
    assert!(observed > Some(0.0));
    assert_eq!(scrape.sum("predictions_total", &[("outcome", "ok")]), observed);
}

#[test]
fn two_hundred_reloads_under_load_fail_no_request_and_keep_no_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::json("{\"predictions\": [[0.9, 0.1]]}");
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("plugin.wasm");
    fs::write(&plugin, component()).expect("written");
    let toml = judged(&server, &plugin);
    let gateway = Gateway::start(WEIR, &toml);
    let mut memory = Memory::default();
    let configs = (1..=200).map(|n| format!("[timeouts]\nheader = \"{}s\"\n{toml}", 60 + n % 7));
    under_load(&gateway, configs, |reload, load| match reload {
        16..=20 => memory.early.push(load.resident(&gateway)),
        // An allocator takes and gives back megabytes at a time, when it likes.
        150.. if reload % 5 == 0 => memory.late.push(load.resident(&gateway)),
        _ => {}
    });
    assert!(memory.growth() < 1.05, "{} times the memory of reload 20: {memory:?}", memory.growth());
}

#[test]
fn a_backend_that_moves_to_and_fro_under_load_costs_no_request() {
    let servers = [(); 2].map(|()| Server::json("{\"predictions\": [[0.9, 0.1]]}"));
    let route = |to: &Server| forward_with(&[to.address()], "protocol = \"kserve-v1\"", "");
    let gateway = Gateway::start(WEIR, &route(&servers[0]));
    under_load(&gateway, (1..=50).map(|n| route(&servers[n % 2])), |_, _| {});
}

#[test]
fn replaced_plugins_leave_no_memory_of_the_old_ones() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::json("{\"predictions\": [[0.9, 0.1]]}");
    let folder = tempfile::tempdir().expect("a folder");
    let (plugin, beside) = (folder.path().join("plugin.wasm"), folder.path().join("plugin.wasm.new"));
    let whole = component();
    fs::write(&plugin, &whole).expect("written");
    let gateway = Gateway::start(WEIR, &judged(&server, &plugin));
    let mut memory = Memory::default();
    for n in 1..=25 {
        fs::write(&beside, [&whole[..], b"\0\x06\x04note", &[n]].concat()).expect("written");
        fs::rename(&beside, &plugin).expect("renamed");
        assert_eq!(gateway.reload().status(), 200);
        assert_eq!(gateway.post(PREDICT, ROW).status(), 200);
        gateway.settle();
        match n {
            6..=10 => memory.early.push(gateway.resident()),
            21..=25 => memory.late.push(gateway.resident()),
            _ => {}
        }
    }
    // Fifteen modules kept would be a third more.
    assert!(memory.growth() < 1.1, "{} times the memory of replacement 10: {memory:?}", memory.growth());
    gateway.await_reloads("plugin", "applied", 25);
}

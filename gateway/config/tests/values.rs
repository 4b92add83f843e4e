//! What a right file means, what of it may be shown, and what a reload may change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use weir_config::{
    BackendKind, Config, DEFAULT, Level, Loaded, ModelPath, NotProfiles, PathMatch, PluginPath, Ready,
    fixed_until_restart,
};
use weir_exchange::{FieldPath, JsonPaths, Protocol, Task};

/// Every feature once.
const FULL: &str = r#"
[gateway]
listen = "[::1]:8000"
metrics = "0.0.0.0:9465"
workers = 8
telemetry_cpu = "12.5%"
state_dir = "state"
instance = "gpu-1"
drain_delay = "250ms"
ready_requires = ["backend:llm", "plugin:drift"]
admin_token = "${TOKEN}"

[limits]
body_bytes = "1GiB"

[timeouts]
connect = "2s"
total = "5m"

[[route]]
name = "sklearn"
path = "/predict*"
backend = "llm"
protocol = "json"
host = "Models.Example.com"
methods = ["PUT", "POST"]
headers = { X-Tenant = "$$a", "x-b" = "1" }
model_from = "request"
model_header = "X-Model"
body_bytes = "4KiB"
timeouts = { header = "10s", total = "0s" }
output = { task = "classification", scores = "p.q", classes = ["no", "yes"] }
[route.json]
features = "data.features"
predictions = ""
scores = "proba"
model = ""

[[route]]
name = "local"
path = "/v2/models/m/infer"
backend = "m"
protocol = "oip-v2"

[backend.m]
model = "models/churn.model"
threads = 4

[backend.llm]
endpoints = ["http://[::1]:9000/base/", "http://host.example"]
connect_timeout = "1s"
ready = "/healthz"

[plugin.drift]
path = "../plugins/drift.wasm"
routes = ["local"]
limits = { memory = "8MiB", cpu = "2%", log_lines = 0 }
[plugin.drift.config]
window = "10m"
api_key = "abcdef"
url = "http://${USER}@x"
deep = [{ n = 1, x = 0.5 }]
when = 2026-01-02

[log]
level = "debug"
access = "0%"
"#;

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("correct horse battery".to_owned()),
        "USER" => Some("eve".to_owned()),
        _ => None,
    }
}

fn full() -> Loaded {
    Config::parse(FULL, "weir.toml", Path::new("/etc/weir"), &env).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn the_gateway_is_read_and_resolved() {
    let config = full().config;
    let gateway = &config.gateway;
    assert_eq!(gateway.listen.to_string(), "[::1]:8000");
    assert_eq!(gateway.metrics.map(|m| m.to_string()).as_deref(), Some("0.0.0.0:9465"));
    assert_eq!((gateway.workers, gateway.telemetry_threads), (8, 2));
    assert_eq!(gateway.state_dir.as_deref(), Some(Path::new("/etc/weir/state")));
    assert_eq!((&*gateway.instance, gateway.drain_delay), ("gpu-1", Duration::from_millis(250)));
    assert_eq!(gateway.ready_requires, ["backend:llm", "plugin:drift"]);
    assert_eq!(gateway.admin_token.as_deref(), Some("correct horse battery"));
    assert_eq!((config.telemetry.cpu, config.limits.body_bytes), (0.125, 1 << 30));
    assert_eq!((config.log.level, config.log.access), (Level::Debug, 0.0));
    assert_eq!(config.base, PathBuf::from("/etc/weir"));
}

#[test]
fn a_route_carries_its_own_limits_and_the_defaults() {
    let config = full().config;
    let [json, oip] = config.routes.as_slice() else { panic!("two routes") };
    assert_eq!(json.path, PathMatch::Prefix("/predict".to_owned()));
    assert_eq!(json.host.as_deref(), Some("models.example.com"));
    assert_eq!(json.methods, ["POST", "PUT"]);
    assert_eq!(json.headers, [("x-b", "1"), ("x-tenant", "$a")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!((json.model_from_request, json.model_header.as_deref()), (true, Some("x-model")));
    assert_eq!((json.body_bytes, oip.body_bytes), (4096, 1 << 30));
    let timeouts =
        |r: &weir_config::Route| [r.header_timeout, r.idle_timeout, r.total_timeout].map(|t| t.as_secs());
    assert_eq!((timeouts(json), timeouts(oip)), ([10, 60, 0], [60, 60, 300]));
    assert_eq!(json.output.task, Task::Classification);
    assert_eq!(json.output.scores, FieldPath::parse("p.q").ok());
    assert_eq!(json.output.classes.iter().map(|c| &**c).collect::<Vec<_>>(), ["no", "yes"]);
    let paths = JsonPaths {
        features: FieldPath::parse("data.features").unwrap(),
        predictions: FieldPath::parse("").unwrap(),
        scores: Some(FieldPath::field("proba")),
        model: None,
        model_version: Some(FieldPath::field("model_version")),
    };
    assert_eq!(json.protocol, Some(Protocol::Json(paths)));
    assert_eq!(
        (&oip.protocol, &oip.path),
        (&Some(Protocol::OipV2), &PathMatch::Exact("/v2/models/m/infer".to_owned()))
    );
}

#[test]
fn the_field_paths_of_a_json_route_default_to_the_fastapi_habit() {
    let route = "[[route]]\nname = \"r\"\npath = \"/r\"\nbackend = \"b\"\nprotocol = \"json\"\n";
    let backend = "[backend.b]\nmodel = \"builtin:churn\"\n";
    for text in [format!("{route}{backend}"), format!("{route}[route.json]\n{backend}")] {
        let config = Config::parse(&text, "t", Path::new("."), &|_| None).unwrap().config;
        assert_eq!(config.routes[0].protocol, Some(Protocol::Json(JsonPaths::default())));
    }
}

#[test]
fn backends_keep_the_order_of_the_file() {
    let config = full().config;
    let [local, forward] = config.backends.as_slice() else { panic!("two backends") };
    let BackendKind::Local(model) = &local.kind else { panic!("a local backend") };
    assert_eq!(model.model, ModelPath::File("/etc/weir/models/churn.model".into()));
    assert_eq!((model.threads, model.queue), (4, 1024));
    let BackendKind::Forward(forward) = &forward.kind else { panic!("a forwarded backend") };
    let [v6, named] = forward.endpoints.as_slice() else { panic!("two endpoints") };
    assert_eq!((&*v6.authority, &*v6.host, v6.port, &*v6.prefix), ("[::1]:9000", "::1", 9000, "/base"));
    assert_eq!((&*named.authority, named.port, &*named.prefix), ("host.example", 80, ""));
    assert_eq!(forward.ready, Ready::Path("/healthz".to_owned()));
    assert_eq!(
        (forward.connect_timeout, forward.keep_alive_idle),
        (Duration::from_secs(1), Duration::from_secs(4))
    );
}

#[test]
fn a_plugin_gets_its_settings_as_json_with_references_filled() {
    let config = full().config;
    let plugin = &config.plugins[0];
    assert_eq!(plugin.path, PluginPath::File("/etc/weir/../plugins/drift.wasm".into()));
    let settings: serde_json::Value = serde_json::from_str(&plugin.config_json).unwrap();
    let deep = json!([{"n": 1, "x": 0.5}]);
    let (key, url, when) = ("abcdef", "http://eve@x", "2026-01-02");
    let expect = json!({"window": "10m", "api_key": key, "url": url, "deep": deep, "when": when});
    assert_eq!(settings, expect);
    assert_eq!((plugin.limits.memory, plugin.limits.cpu, plugin.limits.log_lines), (8 << 20, 0.02, 0));
    assert_eq!(plugin.limits.series, 1000);
}

#[test]
fn profiles_are_a_file_or_files_and_an_empty_list_is_neither() {
    let read = |named: &str| {
        let text = format!("{DEFAULT}\n[plugin.a]\npath = \"a.wasm\"\nconfig = {{ {named} }}\n");
        let loaded = Config::parse(&text, "weir.toml", Path::new("/etc/weir"), &env);
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
        let plugin = loaded.config.plugins.iter().find(|plugin| &*plugin.key == "a").unwrap();
        plugin.profiles.clone().map(|it| it.len())
    };
    assert_eq!(read(""), Ok(0));
    assert_eq!(read("profile = \"a.json\""), Ok(1));
    assert_eq!(read("profile = [\"a.json\", \"b.json\"]"), Ok(2));
    for wrong in ["profile = []", "profile = \"\"", "profile = [1]"] {
        assert_eq!(read(wrong), Err(NotProfiles), "{wrong}");
    }
}

#[test]
fn nothing_secret_is_in_what_may_be_shown() {
    let loaded = full();
    let shown = loaded.redacted.to_string();
    for secret in ["correct horse", "eve@", "abcdef"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(loaded.redacted["gateway"]["admin_token"], "(redacted)");
    assert_eq!(loaded.redacted["gateway"]["drain_timeout"], "30s", "defaults are shown");
    assert_eq!(loaded.redacted["gateway"]["telemetry_threads"], 2, "what was resolved is shown resolved");
    assert_eq!(loaded.redacted["plugin"]["drift"]["config"]["url"], "(redacted)");
    assert_eq!(loaded.redacted["plugin"]["drift"]["config"]["window"], "10m");
    assert_eq!(loaded.redacted["route"][0]["headers"]["X-Tenant"], "$a");
    assert_eq!(loaded.redacted["backend"]["llm"]["eject_after"], 5);
    assert_eq!(loaded.redacted["backend"]["m"]["queue"], 1024);
}

#[test]
fn no_fault_shows_a_secret() {
    let text = r#"
[gateway]
admin_token = "hunter2"
listen = "${TOKEN}"
ready_requires = ["backend:${TOKEN}", "${TOKEN}"]
[[route]]
name = "${TOKEN}"
path = "${TOKEN}"
host = "${TOKEN}:1"
methods = ["${TOKEN}"]
backend = "${TOKEN}"
protocol = "${TOKEN}"
[backend.b]
endpoints = ["${TOKEN}", "http://${TOKEN}"]
ready = "${TOKEN}"
[plugin.p]
path = "p"
routes = ["${TOKEN}"]
config = { password = "hunter2", x = nan }
"#;
    let faults = Config::parse(text, "t", Path::new("."), &env).expect_err("nearly all of it is wrong");
    let rendered = faults.to_string();
    assert!(faults.list().len() > 12, "{rendered}");
    assert!(!rendered.contains("correct horse"), "{rendered}");
    assert!(!rendered.contains("hunter2"), "{rendered}");
    assert!(rendered.contains("config = { password = *********, x = nan }"), "{rendered}");
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = r#"
[gateway]
admin = "0.0.0.0:9464"
[[route]]
name = "r"
path = "/r"
backend = "b"
[backend.b]
model = "builtin:churn"
[backend.unused]
model = "builtin:churn"
[plugin.p]
path = "p.wasm"
"#;
    let found = |text: &str| -> Vec<String> {
        let loaded =
            Config::parse(text, "t", Path::new("."), &|_| None).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.warnings.into_iter().map(|w| format!("{}:{} {}", w.line, w.column, w.message)).collect()
    };
    let expect = [
        "3:9 the admin address is open to the network (set `admin_token`, or listen on 127.0.0.1)",
        "10:1 no route leads to this backend (add one, or take it out)",
        "12:1 this plugin will see nothing: no route of it is decoded (give one of its routes a `protocol`, \
         and leave `observe` on)",
    ];
    assert_eq!(found(text), expect);
    let secret = text.replace("[[route]]", "admin_token = \"sixteen letters!\"\n[[route]]");
    assert_eq!(found(&secret)[0], "4:15 a secret stands in the file (write `\"${NAME}\"` to keep it out)");
}

#[test]
fn the_digest_tells_texts_apart() {
    let (full, other) = (full(), Config::embedded());
    assert_eq!(full.source_digest.len(), 64);
    assert_ne!(full.source_digest, other.source_digest);
    assert_ne!(full.hash(), other.hash());
    assert!(full.hash() < 1 << 48);
}

#[test]
fn a_reload_cannot_change_what_is_fixed_until_restart() {
    let old = full().config;
    assert_eq!(fixed_until_restart(&old, &old), []);
    let mut new = old.clone();
    new.gateway.listen = "127.0.0.1:1".parse().unwrap();
    new.gateway.metrics = None;
    new.gateway.workers = 3;
    new.gateway.drain_delay = Duration::ZERO;
    new.routes.clear();
    let found: Vec<String> = fixed_until_restart(&old, &new).iter().map(ToString::to_string).collect();
    let hint = "while running (restart, or change it back)";
    let expect = [
        format!("gateway.listen: cannot change from `[::1]:8000` to `127.0.0.1:1` {hint}"),
        format!("gateway.metrics: cannot change from `0.0.0.0:9465` to `` {hint}"),
        format!("gateway.workers: cannot change from `8` to `3` {hint}"),
    ];
    assert_eq!(found, expect);
    for (key, change) in [
        ("gateway.admin", (|c| c.gateway.admin.set_port(1)) as fn(&mut Config)),
        ("gateway.telemetry_threads", |c| c.gateway.telemetry_threads = 9),
        ("gateway.state_dir", |c| c.gateway.state_dir = None),
        ("gateway.instance", |c| c.gateway.instance.clear()),
    ] {
        let mut new = old.clone();
        change(&mut new);
        assert_eq!(fixed_until_restart(&old, &new).iter().map(|f| f.key).collect::<Vec<_>>(), [key]);
    }
}

#[test]
fn a_reload_that_changes_bounds_of_observing_is_told_each_key() {
    let old = Config::default();
    let with = |keys: &str| {
        let text = format!("{}\n[telemetry]\n{keys}\n", DEFAULT.replace("\n[telemetry]\n", "\n"));
        Config::parse(&text, "t", Path::new("."), &|_| None)
            .unwrap_or_else(|faults| panic!("{faults}"))
            .config
    };
    let found = |new: &Config| -> Vec<String> {
        fixed_until_restart(&old, new).iter().map(ToString::to_string).collect()
    };
    let hint = "while running (restart, or change it back)";
    let mut new = with("shard_bytes = \"1MiB\"\nbatch_rows = 7\nbatch_age = \"1s\"");
    new.telemetry.cpu = 0.07;
    let expect = [
        format!("gateway.telemetry_cpu: cannot change from `25%` to `7%` {hint}"),
        format!("telemetry.shard_bytes: cannot change from `16MiB` to `1MiB` {hint}"),
        format!("telemetry.batch_rows: cannot change from `16384` to `7` {hint}"),
        format!("telemetry.batch_age: cannot change from `200ms` to `1s` {hint}"),
    ];
    assert_eq!(found(&new), expect);
    for (key, value) in [
        ("batch_exchanges", "7"),
        ("batch_bytes", "\"8KiB\""),
        ("schemas_per_route", "7"),
        ("columns", "7"),
        ("codes", "7"),
        ("string_bytes", "\"64B\""),
        ("models_per_route", "7"),
        ("open_bytes", "\"1GiB\""),
    ] {
        let found = found(&with(&format!("{key} = {value}")));
        let to = value.trim_matches('"');
        assert!(found.len() == 1 && found[0].contains(&format!("telemetry.{key}: cannot")), "{found:?}");
        assert!(found[0].contains(&format!("to `{to}` while")), "{found:?}");
    }
}

#[test]
fn the_protocol_none_is_no_protocol() {
    let toml = |protocol: &str| {
        format!(
            "[[route]]\nname = \"r\"\npath = \"/r\"\nbackend = \"b\"\n{protocol}\n[backend.b]\nendpoints = \
             [\"http://b\"]\n[plugin.p]\npath = \"p.wasm\"\n"
        )
    };
    let parse = |text: &str| Config::parse(text, "t", Path::new("."), &|_| None).expect("it is right");
    let (none, absent) = (parse(&toml("protocol = \"none\"")), parse(&toml("")));
    assert_eq!(none.config, absent.config);
    assert_eq!(none.config.routes[0].protocol, None);
    assert!(none.warnings[0].message.contains("will see nothing"), "{:?}", none.warnings);
}

#[test]
fn a_collector_s_headers_are_kept_and_never_shown() {
    let text = "[tracing]\notlp = \"https://otlp.example/base/\"\nprotocol = \"http/protobuf\"\n\
         propagate = [\"w3c\", \"b3\"]\nheaders = { Authorization = \"Bearer hunter2\" }\n\
         [[route]]\nname = \"r\"\npath = \"/r\"\nbackend = \"b\"\n\
         [backend.b]\nendpoints = [\"http://127.0.0.1:9000\"]\n";
    let loaded = Config::parse(text, "weir.toml", Path::new("/etc"), &|_| None).expect("it is valid");
    let otlp = loaded.config.tracing.otlp.as_ref().expect("a collector");
    assert_eq!(otlp.url, "https://otlp.example/base");
    assert_eq!(otlp.headers, [("authorization".to_owned(), "Bearer hunter2".to_owned())]);
    let propagate = loaded.config.tracing.propagate;
    assert!(propagate.w3c && propagate.b3 && !propagate.b3multi);
    for shown in [loaded.redacted.to_string(), format!("{:?}", loaded.config)] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

//! What is refused, in which words, and that one run finds all of it.

use std::path::Path;

use weir_config::{Config, Faults, Misfit};

const ROUTE: &str = "[[route]]\nname = \"r\"\npath = \"/r\"\nbackend = \"b\"\nprotocol = \"mlflow\"\n";
const BACKEND: &str = "[backend.b]\nendpoints = [\"http://127.0.0.1:9000\"]\n";

fn faults(text: &str) -> Faults {
    let env = |name: &str| (name == "SECRET").then(|| "hunter2 hunter2".to_owned());
    Config::parse(text, "weir.toml", Path::new("/etc/weir"), &env).expect_err("the text has faults")
}

/// `LINE:COLUMN KEY: MESSAGE` of every fault.
fn lines(text: &str) -> Vec<String> {
    let line = |f: &weir_config::Fault| format!("{}:{} {}: {}", f.line, f.column, f.key, f.message);
    faults(text).list().iter().map(line).collect()
}

/// A value that has one fault, in the table `header` of a file that is right otherwise.
fn check(header: &str, value: &str, expect: &str) {
    let text = match header {
        "route" => format!("{ROUTE}{value}\n{BACKEND}"),
        "backend.b" => format!("{BACKEND}{value}\n{ROUTE}"),
        _ => format!("[{header}]\n{value}\n{ROUTE}{BACKEND}"),
    };
    let found: Vec<String> =
        faults(&text).list().iter().map(|f| format!("{}: {}", f.key, f.message)).collect();
    assert_eq!(found, [expect], "{text}");
}

#[test]
fn a_fault_shows_file_line_column_key_words_source_and_caret() {
    let text = format!("[gateway]\n\tlisten = \"localhost:8000\" # é\n{ROUTE}{BACKEND}");
    let expect = "\
weir.toml:2:11: gateway.listen: `localhost:8000` is no address (write an IP address and a port: \
`127.0.0.1:8000`, or `0.0.0.0:8000` for every interface)
   |
 2 | \tlisten = \"localhost:8000\" # é
   | \t         ^^^^^^^^^^^^^^^^

1 fault in `weir.toml`";
    assert_eq!(faults(&text).to_string(), expect);
}

#[test]
fn every_fault_of_a_file_is_found_in_one_run_and_in_its_order() {
    let text = "\
[gateway]
workers = 1000
lisen = \"127.0.0.1:1\"
drain_delay = 5
[[route]]
name = \"a\"
path = \"a\"
backend = \"chrun\"
protocol = \"kserve\"
[backend.churn]
endpoints = [\"https://a\", \"http://b:0\"]
[plugin.drift]
routes = [\"b\"]
limits = { memory = 3, cpus = \"2%\" }
[alerting]
alertmanager = [\"http://127.0.0.1:9093\"]
";
    let expect = [
        "2:11 gateway.workers: the number `1000` is out of bounds (from `0` to `256`)",
        "3:1 gateway.lisen: there is no key `lisen` here (did you mean `listen`?)",
        "4:15 gateway.drain_delay: `5` has no unit (write a duration such as `\"10s\"`; here perhaps \
         `\"5s\"`)",
        "7:8 route[0].path: `a` does not begin with `/` (write `/predict`, or `/*` for every path)",
        "8:11 route[0].backend: there is no backend `chrun` (did you mean `churn`?)",
        "9:12 route[0].protocol: `kserve` is not known (did you mean `kserve-v1`?)",
        "11:14 backend.churn.endpoints[0]: `https://a` asks for https, but this build has no TLS to \
         upstreams (use \
         `http://`)",
        "11:27 backend.churn.endpoints[1]: `http://b:0` has no usable host and port (write \
         `http://host:port`, and a \
         path if the server has one)",
        "12:1 plugin.drift: `path` is missing (write `path = \"builtin:confidence\"`, say)",
        "13:11 plugin.drift.routes[0]: there is no route `b` (known: a)",
        "14:21 plugin.drift.limits.memory: `3` has no unit (write a size such as `\"16MiB\"`; here perhaps \
         `\"3B\"`)",
        "14:24 plugin.drift.limits.cpus: there is no key `cpus` here (did you mean `cpu`?)",
        "16:1 alerting.alertmanager: there is no key `alertmanager` here (did you mean `alertmanagers`?)",
    ];
    assert_eq!(lines(text), expect);
    assert!(faults(text).to_string().ends_with("\n\n13 faults in `weir.toml`"));
}

#[test]
fn a_value_of_the_wrong_type_is_told_the_right_form() {
    check(
        "gateway",
        "listen = 8000",
        "gateway.listen: the number `8000` does not fit (write an IP address and a port: `127.0.0.1:8000`, \
         or `0.0.0.0:8000` for every interface)",
    );
    check(
        "gateway",
        "workers = \"2\"",
        "gateway.workers: `2` does not fit (write a whole number such as `1`)",
    );
    check(
        "gateway",
        "workers = 1.5",
        "gateway.workers: the number `1.5` does not fit (write a whole number such as `1`)",
    );
    check(
        "gateway",
        "trusted_proxies = 1",
        "gateway.trusted_proxies: the number `1` does not fit (write `true` or `false`)",
    );
    check(
        "gateway",
        "ready_requires = \"x\"",
        "gateway.ready_requires: `x` is no list (write `[..]` around it)",
    );
    check("route", "headers = []", "route[0].headers: an array is no table (write `{ name = \"value\" }`)");
    check(
        "route",
        "model = \"\"",
        "route[0].model: the value is empty (write something, or leave the key out)",
    );
    check("log", "level = \"warning\"", "log.level: `warning` is not known (did you mean `warn`?)");
}

#[test]
fn a_unit_is_never_guessed() {
    check(
        "timeouts",
        "connect = 1.5",
        "timeouts.connect: `1.5` has no unit (write a duration such as `\"10s\"`; here perhaps `\"1.5s\"`)",
    );
    check(
        "timeouts",
        "connect = \"1.5s\"",
        "timeouts.connect: `1.5s` is no duration (write a whole number and `ms`, `s`, `m`, `h` or `d`: \
         `\"250ms\"`, `\"10s\"`)",
    );
    check("timeouts", "connect = \"0s\"", "timeouts.connect: `0s` is out of bounds (from `1ms` to `1h`)");
    check(
        "limits",
        "body_bytes = 65536",
        "limits.body_bytes: `65536` has no unit (write a size such as `\"16MiB\"`; here perhaps `\"64KiB\"`)",
    );
    check(
        "limits",
        "body_bytes = \"16MB\"",
        "limits.body_bytes: `16MB` is no size (write a whole number and `B`, `KiB`, `MiB` or `GiB`: \
         `\"64KiB\"`, `\"16MiB\"`)",
    );
    check(
        "limits",
        "header_bytes = \"1KiB\"",
        "limits.header_bytes: `1KiB` is out of bounds (from `8KiB` to `1MiB`)",
    );
    check(
        "log",
        "access = 0.01",
        "log.access: `0.01` has no unit (write a share such as `\"2%\"`; here perhaps `\"1%\"`)",
    );
    check("log", "access = \"-1%\"", "log.access: `-1%` is no share (write percent: `\"2%\"`, `\"0.5%\"`)");
    check("log", "access = \"101%\"", "log.access: `101%` is out of bounds (from `0%` to `100%`)");
}

#[test]
fn an_unknown_key_is_told_the_nearest_or_its_home_or_all() {
    check("gateway", "worker = 2", "gateway.worker: there is no key `worker` here (did you mean `workers`?)");
    check(
        "gateway",
        "body_bytes = \"1KiB\"",
        "gateway.body_bytes: there is no key `body_bytes` here (`body_bytes` is a key of `[limits]`)",
    );
    check("log", "zzz = 2", "log.zzz: there is no key `zzz` here (known: level, otlp, access)");
    check(
        "backend.b",
        "queue = 2",
        "backend.b.queue: there is no key `queue` here (`queue` is a key of `[backend.NAME]` with `model`)",
    );
    check("limit", "", "limit: there is no table `limit` (did you mean `limits`?)");
    assert_eq!(
        lines(&format!("listen = \"127.0.0.1:1\"\n{ROUTE}{BACKEND}")),
        ["1:1 listen: there is no table `listen` (`listen` is a key of `[gateway]`)"]
    );
}

#[test]
fn what_no_collector_can_be_is_refused_in_words() {
    for (url, wrong) in [
        ("127.0.0.1:4317", "does not begin with `http://` or `https://` (write `http://127.0.0.1:4317`)"),
        ("http://", "names no host (write `http://127.0.0.1:4317`)"),
        ("http://u:p@h", "holds credentials (put them into `headers`)"),
        ("http://h/v1?x=1", "has a query or fragment (an export has neither)"),
        ("http://h:0", "has no port from 1 to 65535 (write `http://127.0.0.1:4317`)"),
    ] {
        check("tracing", &format!("otlp = \"{url}\""), &format!("tracing.otlp: `{url}` {wrong}"));
    }
    check("tracing", "key = \"a.pem\"", "tracing.key: `certificate` and `key` belong together (give both)");
    check(
        "tracing",
        "protocol = \"http/json\"",
        "tracing.protocol: `http/json` is not known (use one of grpc, http/protobuf)",
    );
    let header = "headers = { \"a b\" = \"1\" }";
    check("tracing", header, "tracing.headers.a b: this is no header (write a name and a value on one line)");
}

#[test]
fn what_this_build_lacks_is_refused_as_such() {
    let wires = "one of kserve-v1, oip-v2, mlflow, json, none";
    for protocol in ["openai", "anthropic"] {
        let text = format!("{ROUTE}{BACKEND}").replace("mlflow", protocol);
        assert_eq!(
            lines(&text),
            [format!("5:12 route[0].protocol: `{protocol}` is not in this build (use {wires})")]
        );
    }
    for (model, what) in [
        ("a/b.onnx", "running ONNX models"),
        ("models:/Churn/3", "reading models from an MLflow registry"),
        ("https://host/m.model", "fetching a model from a URL"),
        ("mlruns/model/", "running an MLflow model folder"),
    ] {
        let text = format!("{ROUTE}[backend.b]\nmodel = \"{model}\"\n");
        let hint = "use a file made by `weir model train`, or `builtin:churn`";
        assert_eq!(lines(&text), [format!("7:9 backend.b.model: {what} is not in this build ({hint})")]);
    }
}

#[test]
fn tables_of_the_wrong_shape_are_told_the_right_one() {
    let cases = [
        (
            format!("{BACKEND}[route]\nname = \"r\"\n"),
            "route: `route` is a list of tables (write `[[route]]`)",
        ),
        (format!("{ROUTE}{BACKEND}[[gateway]]\n"), "gateway: an array is no table (write `[gateway]`)"),
        (format!("gateway = 3\n{ROUTE}{BACKEND}"), "gateway: the number `3` is no table (write `[gateway]`)"),
        (format!("{ROUTE}[[backend]]\n"), "backend: an array is no table (write `[backend.NAME]`)"),
        (
            format!("{ROUTE}{BACKEND}[plugin]\npath = \"x\"\n"),
            "plugin.path: `x` is no table (write `[plugin.NAME]`)",
        ),
    ];
    for (text, expect) in cases {
        let found =
            faults(&text).list().iter().map(|f| format!("{}: {}", f.key, f.message)).collect::<Vec<_>>();
        assert!(found.contains(&expect.to_owned()), "{text}\n{found:?}");
    }
}

#[test]
fn a_backend_is_of_one_kind() {
    let one = |keys: &str| lines(&format!("{ROUTE}[backend.b]\n{keys}\n"));
    assert_eq!(
        one("http2 = true"),
        ["6:1 backend.b: neither `endpoints` nor `model` is here (write `endpoints = \
             [\"http://127.0.0.1:9000\"]`, say)"]
    );
    assert_eq!(
        one("model = \"m\"\nendpoints = [\"http://h\"]"),
        ["6:1 backend.b: a backend has `endpoints` or a `model` (make two backends of it)"]
    );
    assert_eq!(
        one("endpoints = []"),
        ["7:13 backend.b.endpoints: a list of 0 does not fit (write 1 to 256)"]
    );
    assert_eq!(
        one("endpoints = [\"http://h\", \"http://h\"]"),
        ["7:26 backend.b.endpoints[1]: `http://h` stands twice in the list (take one out)"]
    );
    check(
        "backend.b",
        "ready = \"yes\"",
        "backend.b.ready: `yes` is no probe (write \"protocol\", \"off\" or a path)",
    );
}

#[test]
fn an_endpoint_is_a_plain_http_url() {
    let form = "(write `http://host:port`, and a path if the server has one)";
    for (url, wrong) in [
        ("127.0.0.1:9000", "is no http URL"),
        ("http://", "has no usable host and port"),
        ("http://h:99999", "has no usable host and port"),
        ("http://[::1", "has no usable host and port"),
        ("http://h:+80", "has no usable host and port"),
        ("http://u:p@h", "has a user name"),
        ("http://h/a?b", "has a query or fragment"),
        ("http://h /a", "has a character that no URL has"),
    ] {
        let text = format!("{ROUTE}[backend.b]\nendpoints = [\"{url}\"]\n");
        assert_eq!(lines(&text), [format!("7:14 backend.b.endpoints[0]: `{url}` {wrong} {form}")]);
    }
}

#[test]
fn routes_that_cannot_be_told_apart_name_both_places() {
    let again = "[[route]]\nname = \"s\"\npath = \"/r\"\nbackend = \"b\"\nmethods = [\"PUT\", \"GET\"]\n\
                 headers = { X-a = \"1\" }\n";
    let other =
        again.replace("\"s\"", "\"t\"").replace("\"PUT\", \"GET\"", "\"GET\", \"PUT\"").replace("X-a", "x-A");
    assert_eq!(
        lines(&format!("{ROUTE}{again}{other}{BACKEND}")),
        ["12:1 route[2]: takes the same requests as the route `s` at weir.toml:6:1 (change the path or a \
             condition of one)"]
    );
    assert_eq!(
        lines(&format!("{ROUTE}{}{BACKEND}", again.replace("\"s\"", "\"r\""))),
        ["6:1 route[1]: a route is named `r` already, at weir.toml:1:1 (choose another name)"]
    );
}

#[test]
fn a_route_has_sound_conditions() {
    check("route", "methods = [\"post\"]", "route[0].methods[0]: `post` is no method (write `POST`)");
    check(
        "route",
        "host = \"http://h:80\"",
        "route[0].host: `http://h:80` is no host name (write it without scheme, port and path: \
         `models.example.com`)",
    );
    check(
        "route",
        "headers = { \"a b\" = \"1\" }",
        "route[0].headers.a b: `a b` is no header name (write one such as `x-tenant`)",
    );
    check(
        "route",
        "headers = { A = \"1\", a = \"2\" }",
        "route[0].headers.a: the header `a` stands here twice (take one out)",
    );
    check(
        "route",
        "json = { features = \"x\" }",
        "route[0].json: field paths are for the protocol `json` only (write `protocol = \"json\"`, or take \
         the table out)",
    );
    check(
        "route",
        "output = { scores = \"a..b\" }",
        "route[0].output.scores: `a..b` has an empty segment (write fields as `outer.inner`)",
    );
    for (path, wrong) in [
        ("/a*b", "has a `*` that is not at its end (write `/prefix/*`)"),
        ("*", "does not begin with `/` (write `/predict`, or `/*` for every path)"),
        ("/a?b=1", "has a query or fragment (a route looks at the path alone)"),
        ("/ä", "has a character that no path has on the wire (percent-encode it)"),
    ] {
        let text = format!("{ROUTE}{BACKEND}").replace("/r", path);
        assert_eq!(lines(&text), [format!("3:8 route[0].path: `{path}` {wrong}")]);
    }
}

#[test]
fn two_listeners_cannot_share_an_address() {
    check(
        "gateway",
        "metrics = \"0.0.0.0:9464\"",
        "gateway.metrics: `127.0.0.1:9464` is the address of gateway.admin already (choose another port)",
    );
    check(
        "gateway",
        "listen = \"127.0.0.1:9464\"",
        "gateway.listen: `127.0.0.1:9464` is the address of gateway.admin already (choose another port)",
    );
    check(
        "gateway",
        "listen = \":9464\"\nmetrics = \"127.0.0.1:8000\"",
        "gateway.listen: `:9464` is no address (write an IP address and a port: `127.0.0.1:8000`, or \
         `0.0.0.0:8000` for every interface)",
    );
    let free = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nmetrics = \
         \"127.0.0.2:9464\"\n{ROUTE}{BACKEND}"
    );
    assert!(Config::parse(&free, "t", Path::new("."), &|_| None).is_ok());
}

#[test]
fn readiness_names_what_is_configured() {
    check(
        "gateway",
        "ready_requires = [\"backend:c\"]",
        "gateway.ready_requires[0]: there is no backend `c` (known: b)",
    );
    check(
        "gateway",
        "ready_requires = [\"plugin:c\"]",
        "gateway.ready_requires[0]: there is no plugin `c` (no plugin is configured)",
    );
    check(
        "gateway",
        "ready_requires = [\"b\"]",
        "gateway.ready_requires[0]: `b` is neither a backend nor a plugin (write `backend:NAME` or \
         `plugin:NAME`)",
    );
}

#[test]
fn a_file_without_routes_is_refused_with_a_hint() {
    let expect = "1:1 route: there is no route, so every request would be a 404 (write `[[route]]` \
                  with `name`, `path` and `backend`)";
    assert_eq!(lines(""), [expect]);
    assert_eq!(lines("\u{feff}# nothing\n"), [expect]);
}

#[test]
fn faults_of_syntax_stand_beside_faults_in_other_lines() {
    let text = "[gateway]\nlisten = 10s\nworkers = 1000\nmetrics = \"\"\nmetrics = \"\"\n[plugin.x]\n";
    let expect = [
        "2:10 : this is not TOML: string values must be quoted",
        "3:11 gateway.workers: the number `1000` is out of bounds (from `0` to `256`)",
        "5:1 : this is not TOML: duplicate key",
    ];
    assert_eq!(lines(text), expect, "what is missing may only be hidden, so it is not reported");
    assert_eq!(lines("[gateway"), ["1:9 : this is not TOML: unclosed table, expected `]`"]);
    let deep = format!("a = {}", "[".repeat(5000));
    assert!(faults(&deep).list()[0].message.starts_with("this is not TOML: "));
}

#[test]
fn every_reference_that_the_environment_cannot_fill_is_reported_at_its_own_place() {
    let text = format!("[gateway]\nstate_dir = \"/var/${{NO}}/${{ALSO}}/${{9}}/${{\"\n{ROUTE}{BACKEND}");
    let expect = [
        "2:19 gateway.state_dir: the environment variable `NO` is not set (set it before the start)",
        "2:25 gateway.state_dir: the environment variable `ALSO` is not set (set it before the start)",
        "2:33 gateway.state_dir: `${9}` does not name an environment variable (write `$$` for a `$`)",
        "2:38 gateway.state_dir: `${` is never closed (write `${NAME}`, or `$$` for a `$`)",
    ];
    assert_eq!(lines(&text), expect);
}

#[test]
fn a_flood_of_faults_is_counted_rather_than_printed() {
    let text: String = (0..5000).map(|n| format!("key{n} = 1\n")).collect();
    let rendered = faults(&text).to_string();
    assert_eq!(rendered.matches("there is no table").count(), 99);
    assert!(
        rendered.ends_with("and 4901 more\n\n5001 faults in `weir.toml`"),
        "{}",
        &rendered[rendered.len() - 99..]
    );
}

#[test]
fn a_long_line_is_shown_around_its_caret() {
    let text =
        format!("[gateway]\nstate_dir = \"{}${{NO}}{}\"\n{ROUTE}{BACKEND}", "a".repeat(500), "b".repeat(500));
    let rendered = faults(&text).to_string();
    assert!(rendered.starts_with("weir.toml:2:514: gateway.state_dir: "), "{rendered}");
    let [source, carets] = [2, 3].map(|n| rendered.lines().nth(n).expect("a source line and a caret line"));
    assert!(source.chars().count() < 130, "{source}");
    assert_eq!(source.find("${NO}"), carets.find("^^^^^"));
}

/// What shows only when the configuration is used has a place in it too.
#[test]
fn a_misfit_found_in_use_stands_at_the_nearest_thing_that_is_written() {
    let text = format!(
        "{ROUTE}[backend.b]\nmodel = \"b.model\"\n[plugin.a]\npath = \"a.wasm\"\nconfig = {{ api_key = \"s3cret\", \
         list = [1, 22], low = 3 }}\n[plugin.\"b.c\"]\npath = \"b.wasm\"\n"
    );
    let loaded = Config::parse(&text, "weir.toml", Path::new("."), &|_| None).expect("it is right so far");
    let misfit = |path: &str| Misfit {
        path: path.split('/').map(str::to_owned).collect(),
        message: format!("is wrong at {path}"),
    };
    let misfits = [
        "plugin/b.c/config/low",
        "plugin/a/config/low",
        "plugin/a/config/list/1",
        "plugin/a/config/list/7",
        "plugin/a/config/absent/deeper",
        "plugin/a/path",
        "backend/b/model",
        "nothing",
    ];
    let faults = loaded.faults(misfits.into_iter().map(misfit).collect());
    let found: Vec<_> =
        faults.list().iter().map(|f| format!("{}:{} {}: {}", f.line, f.column, f.key, f.message)).collect();
    let expect = [
        "0:0 : is wrong at nothing",
        "7:9 backend.b.model: is wrong at backend/b/model",
        "9:8 plugin.a.path: is wrong at plugin/a/path",
        "10:10 plugin.a.config.absent.deeper: is wrong at plugin/a/config/absent/deeper",
        "10:39 plugin.a.config.list[7]: is wrong at plugin/a/config/list/7",
        "10:43 plugin.a.config.list[1]: is wrong at plugin/a/config/list/1",
        "10:54 plugin.a.config.low: is wrong at plugin/a/config/low",
        "11:1 plugin.b.c.config.low: is wrong at plugin/b.c/config/low",
    ];
    assert_eq!(found, expect);
    let shown = faults.to_string();
    assert!(shown.contains("\n 7 | model = \"b.model\"\n   |         ^^^^^^^^^\n"), "{shown}");
    assert!(!shown.contains("s3cret") && shown.contains("********"), "{shown}");
}

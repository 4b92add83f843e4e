//! The embedded default documents every key, says what the code does, and its copies are up to date.
//!
//! `UPDATE=1 cargo test -p weir-config` writes the generated files anew.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_config::{BackendKind, Config, DEFAULT, ModelPath, PathMatch, PluginPath};
use weir_exchange::Protocol;

fn generated(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../config", name].iter().collect();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the folder is writable");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "config/{name} is not what the definitions make (run the tests with UPDATE=1)");
}

#[test]
fn the_default_file_is_made_from_the_definitions() {
    generated("default.toml", &weir_config::manual());
}

#[test]
fn the_json_schema_is_made_from_the_definitions() {
    generated("weir.schema.json", &weir_config::schema());
}

fn parse(text: &str) -> Config {
    Config::parse(text, "t", Path::new("."), &|_| None).unwrap_or_else(|faults| panic!("{faults}")).config
}

/// Uncomments the `#key = value` lines of tables that are live, if the key has a default.
fn uncommented(text: &str) -> (String, usize) {
    let mut live = true;
    let mut count = 0;
    let mut line = |line: &str| {
        live = if line.starts_with('[') { true } else { live && !line.starts_with("#[") };
        let key = line.strip_prefix('#').filter(|key| key.starts_with(|c: char| c.is_ascii_lowercase()));
        match key.filter(|key| live && !key.ends_with("# example")) {
            Some(key) => {
                count += 1;
                format!("{key}\n")
            }
            None => format!("{line}\n"),
        }
    };
    let text = text.lines().map(&mut line).collect();
    (text, count)
}

#[test]
fn a_default_that_the_manual_shows_is_the_default_in_force() {
    let (text, count) = uncommented(DEFAULT);
    assert!(count > 50, "only {count} keys were shown with a default");
    assert_eq!(parse(&text), Config::default());
}

#[test]
fn a_default_that_the_manual_shows_wrongly_would_be_noticed() {
    let (text, _) = uncommented(DEFAULT);
    assert!(text.contains("\neject_after = ") || text.contains("\nheaders = 100\n"));
    assert_ne!(parse(&text.replace("\nheaders = 100\n", "\nheaders = 101\n")), Config::default());
}

#[test]
fn the_default_runs_the_built_in_model_with_the_three_plugins() {
    let config = Config::default();
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.gateway.admin.to_string(), "127.0.0.1:9464");
    assert_eq!(
        (config.gateway.metrics, &config.gateway.state_dir, &config.gateway.admin_token),
        (None, &None, &None)
    );
    assert!(config.gateway.workers > 0 && config.gateway.telemetry_threads > 0);
    assert!(!config.gateway.instance.is_empty());
    let [route] = config.routes.as_slice() else { panic!("one route") };
    assert_eq!(route.path, PathMatch::Exact("/v1/models/churn:predict".to_owned()));
    assert_eq!((&*route.name, &*route.backend), ("churn", "local"));
    assert_eq!(route.protocol, Some(Protocol::KserveV1));
    assert_eq!(
        (route.observe, route.retry, route.upgrade, route.model_from_request),
        (true, true, false, false)
    );
    assert_eq!((route.header_timeout, route.total_timeout), (Duration::from_secs(60), Duration::ZERO));
    assert_eq!((route.body_bytes, route.capture_limit), (16 << 20, 256 << 10));
    let [backend] = config.backends.as_slice() else { panic!("one backend") };
    let BackendKind::Local(local) = &backend.kind else { panic!("a local backend") };
    assert_eq!(local.model, ModelPath::Builtin("churn".to_owned()));
    let plugins: Vec<_> = config.plugins.iter().map(|p| (&*p.key, p.path.clone())).collect();
    let builtin = |name: &'static str| (name, PluginPath::Builtin(name.to_owned()));
    assert_eq!(plugins, ["confidence", "feature-stats", "sampler"].map(builtin));
    assert_eq!(config.plugins[0].config_json, "{}");
    assert_eq!((config.plugins[0].limits.memory, config.plugins[0].limits.cpu), (32 << 20, 0.1));
    assert_eq!((config.telemetry.cpu, config.log.access), (0.25, 0.01));
    assert_eq!(Config::embedded().warnings, []);
}

/// Every key that has a default, and no comment.
fn without_prose() -> String {
    let (text, _) = uncommented(DEFAULT);
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn no_truncation_of_the_default_makes_the_reader_panic() {
    for end in (0..DEFAULT.len()).filter(|end| DEFAULT.is_char_boundary(*end)) {
        let _ = Config::parse(&DEFAULT[..end], "t", Path::new("."), &|_| None)
            .map_err(|faults| faults.to_string());
    }
    let text = without_prose();
    for end in 0..text.len() {
        let _ =
            Config::parse(&text[..end], "t", Path::new("."), &|_| None).map_err(|faults| faults.to_string());
    }
}

#[test]
fn no_changed_byte_of_the_default_makes_the_reader_panic() {
    let live = without_prose();
    for at in 0..live.len() {
        for byte in [b'"', b'[', b'\n', b'$', b'9', 0xC3] {
            let mut bytes = live.clone().into_bytes();
            bytes[at] = byte;
            let text = String::from_utf8_lossy(&bytes);
            let _ = Config::parse(&text, "t", Path::new("."), &|_| None).map_err(|faults| faults.to_string());
        }
    }
}

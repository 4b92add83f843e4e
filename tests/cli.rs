//! What the command line promises: exit codes, words, and every fault with its place.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Gateway, forward, nobody};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

fn weir(args: &[&str]) -> Output {
    Command::new(WEIR).args(args).output().expect("the binary starts")
}

/// Standard error of a call that fails with exit code 1.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let output = weir(args);
    let said = String::from_utf8(output.stderr).expect("words are UTF-8");
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert_eq!(output.stdout, b"", "{args:?}");
    said
}

/// A configuration in a folder of its own.
fn configured(toml: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("weir.toml");
    fs::write(&path, toml).expect("it is writable");
    let path = path.to_str().expect("a path of text").to_owned();
    (folder, path)
}

const MISFITS: &str = r#"[[route]]
name = "a"
path = "/a"
backend = "a"
protocol = "json"
[[route]]
name = "b"
path = "/b"
backend = "b"
[backend.a]
model = "a.model"
[backend.b]
model = "b.model"
[plugin.gone]
path = "gone.wasm"
[plugin.unfit]
path = "builtin:confidence"
config = { threshhold = 0.7, window = "10" }
"#;

#[test]
fn check_says_every_model_plugin_and_setting_that_does_not_fit_with_its_place() {
    let (folder, config) = configured(MISFITS);
    let said = refused(&["check", "--config", &config]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    for expect in [
        format!("{config}:11:9: backend.a.model: the model `{}` cannot be loaded", at("a.model")),
        format!("{config}:13:9: backend.b.model: the model `{}` cannot be loaded", at("b.model")),
        format!("{config}:15:8: plugin.gone.path: the component `{}` cannot be loaded", at("gone.wasm")),
        format!("{config}:18:25: plugin.unfit.config.threshhold: unknown setting"),
        format!("{config}:18:39: plugin.unfit.config.window: expected a time with its unit"),
        "\n 15 | path = \"gone.wasm\"\n    |        ^^^^^^^^^^^\n".to_owned(),
        format!("5 faults in `{config}`"),
    ] {
        assert!(said.contains(&expect), "no {expect:?} in: {said}");
    }
}

#[test]
fn check_says_every_fault_of_the_file_with_its_place() {
    let (_folder, config) = configured("[gateway]\nlisen = 1\n[[route]]\nname = \"a\"\nbackend = \"b\"\n");
    let said = refused(&["check", "--config", &config]);
    for expect in ["2:1: gateway.lisen: ", "3:1: route[0]: `path` is missing", "5:11: route[0].backend: "] {
        assert!(said.contains(&format!("{config}:{expect}")), "no {expect:?} in: {said}");
    }
    assert!(said.contains("3 faults in"), "{said}");
}

#[test]
fn check_of_what_fits_says_so() {
    let output = weir(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 route, 1 backend, 3 plugins, 1 alert, 1 objective: all well"), "{said}");
}

/// Rows of 15 days, two of which are far from all others in `y`, as a profile with blocks of
/// six hours and windows of a day.
fn profiled(folder: &Path) {
    let row = |n: usize| {
        let (day, mixed) = (n / 240, n * 7919 % 1009);
        let far = if day == 3 || day == 9 { 500.0 } else { 0.0 };
        let y = mixed as f64 / 8.0 + far;
        format!("{},{},{y},{}", 1_700_006_400 + n * 360, n * 31 % 97, ["a", "b", "b"][mixed % 3])
    };
    let rows: Vec<String> = (0..240 * 15).map(row).collect();
    fs::write(folder.join("rows.csv"), format!("at,x,y,z\n{}\n", rows.join("\n"))).expect("written");
    let out = Command::new(WEIR)
        .args([
            "profile", "build", "--data", "rows.csv", "--time", "at", "--block", "6h", "--window", "1d",
            "--budget", "2", "-o", "p.json",
        ])
        .current_dir(folder)
        .output()
        .expect("the binary starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

fn with_drift(settings: &str) -> String {
    format!(
        "{}[plugin.shift]\npath = \"builtin:drift\"\nconfig = {{ profile = \"p.json\"{settings} }}\n",
        forward(nobody())
    )
}

#[test]
fn check_says_what_the_drift_tests_can_see() {
    let (folder, config) = configured(&with_drift(""));
    profiled(folder.path());
    let said = |args: &[&str]| {
        let output = weir(args);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("words are UTF-8")
    };
    let table = said(&["check", "--config", &config]);
    let file = folder.path().join("p.json").display().to_string();
    for expect in [
        &format!("plugin shift, profile {file}: 3600 rows\n  model       any\n"),
        "  windows     of 1d, judged from 240 rows on\n",
        "  budget      1 of 30 looks a month may be wrong: level 0.0333, 2 hypotheses a look\n",
        "  role   feature     phi  cut-off X2  smallest PSI  a tenth becomes\n  input  x             1  ",
        "  unstable    never judged, since the reference itself would alarm: `y`\n",
        "  warning     windows are of 1d, phi is of blocks of 6h (build it with `--block 1d`)\n",
    ] {
        assert!(table.contains(expect), "no {expect:?} in: {table}");
    }
    assert!(!table.contains("replayed") && !table.contains("independent"), "{table}");
    fs::write(&config, with_drift(", window = \"1h\", budget = 2.0")).expect("written");
    let table = said(&["check", "--config", &config]);
    for expect in [
        "budget      2 of 720 looks a month",
        "warning     windows are of 1h, the reference was replayed by 1d (build it with `--window 1h`",
        "(build it with `--season hour`)",
    ] {
        assert!(table.contains(expect), "no {expect:?} in: {table}");
    }
    fs::write(&config, with_drift(", budget = 40, ignore = [\"zz\"]")).expect("written");
    let table = said(&["check", "--config", &config]);
    for expect in ["each of the 30 looks a month may be wrong", "`ignore` names `zz`, which is no feature"] {
        assert!(table.contains(expect), "no {expect:?} in: {table}");
    }
    fs::write(&config, with_drift(", window = \"1h\", budget = 2.0")).expect("written");
    let rules = said(&["generate", "rules", "--config", &config]);
    assert!(rules.contains("record: \"feature:drift_psi:increase1h\""), "{rules}");
    assert!(rules.contains("drift_bin_rows_total{job=\"weir\", plugin=\"shift\"}[1h]"), "{rules}");
}

#[test]
fn generated_files_are_those_in_the_tree() {
    for (what, file) in [("schema", "config/weir.schema.json"), ("config", "config/default.toml")] {
        let stored = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is in the tree");
        let output = weir(&["generate", what]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == stored, "`weir generate {what}` is not {file}");
    }
}

#[test]
fn what_is_no_model_is_refused_with_its_name() {
    let (_folder, config) = configured(MISFITS);
    let said = refused(&["model", "inspect", &config]);
    assert!(said.starts_with(&format!("weir: failed to load `{config}`: ")), "{said}");
    let said = refused(&["model", "inspect", "/nowhere/a.model"]);
    assert!(said.starts_with("weir: failed to read `/nowhere/a.model`: "), "{said}");
}

#[test]
fn an_unknown_command_is_a_fault_of_usage() {
    let output = weir(&["chekc"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("'chekc'") && said.contains("'check'"), "{said}");
}

#[test]
fn a_plugin_is_not_made_under_a_name_that_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plugin = folder.path().join("weir-drift");
    let said = refused(&["plugin", "new", plugin.to_str().expect("a path of text")]);
    assert!(said.contains("kept for the gateway itself") && !plugin.exists(), "{said}");
}

#[test]
fn training_on_an_empty_file_says_that_it_is_empty() {
    let (_folder, data) = configured("");
    let out = format!("{data}.model");
    let said = refused(&["model", "train", "--data", &data, "--target", "y", "--out", &out]);
    assert_eq!(said, format!("weir: failed to train on `{data}`: the file is empty\n"));
}

#[test]
fn a_start_without_a_folder_for_state_says_so() {
    let told = |toml: &str| {
        let gateway = Gateway::start(WEIR, toml);
        gateway.logs().text().contains("state is kept in memory only (set `gateway.state_dir` to keep it)")
    };
    let toml = forward(nobody());
    assert!(told(&toml));
    assert!(!told(&format!("[gateway]\nstate_dir = \"state\"\n{toml}")));
}

const DEMO: [&str; 7] = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--rate", "200"];

#[test]
fn the_demo_ends_well_after_its_requests() {
    let output = weir(&[&DEMO[..], &["--requests", "20"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn the_demo_ends_well_when_interrupted() {
    let mut demo = Command::new(WEIR).args(DEMO).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut screen = BufReader::new(demo.stdout.take().expect("standard output is piped"));
    let mut line = String::new();
    while !line.contains("Ctrl-C ends it") {
        line.clear();
        assert_ne!(screen.read_line(&mut line).expect("words are UTF-8"), 0, "it ended before it served");
    }
    let pid = demo.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("there is a `kill`").success());
    let mut rest = String::new();
    screen.read_to_string(&mut rest).expect("words are UTF-8");
    assert_eq!(demo.wait().expect("it is our child").code(), Some(0), "{rest}");
}

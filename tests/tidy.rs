//! The shape of the house, enforced: floors, who may name which runtime, sizes, and a README per room.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by floor, lowest first; a room may use strictly lower floors only.
const FLOORS: [&[&str]; 6] = [
    &["exchange", "stats"],
    &["codec", "config", "profile"],
    &["telemetry"],
    &["plugin", "inference", "alert"],
    &["proxy", "observe", "admin"],
    &["weir"],
];

/// Runtimes, and the one room that may name each.
const RUNTIMES: [(&str, &str); 3] = [("wasmtime", "plugin"), ("smartcore", "inference"), ("notify", "weir")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn floor(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|rooms| rooms.contains(&room))
        .unwrap_or_else(|| panic!("`{room}` stands on no floor"))
}

fn rooms() -> Vec<String> {
    let entries = fs::read_dir(root().join("gateway")).expect("gateway/ is there");
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    names.filter(|name| root().join("gateway").join(name).join("Cargo.toml").exists()).collect()
}

/// The `[dependencies]` of a room's manifest, without those for tests.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
    let section =
        text.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "dist" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    ["gateway", "plugins", "tests", "examples"].iter().flat_map(|top| sources(&root().join(top))).collect()
}

#[test]
fn a_room_uses_only_lower_floors() {
    for room in rooms() {
        let manifest = root().join("gateway").join(&room).join("Cargo.toml");
        for dependency in dependencies(&manifest) {
            if let Some(below) = dependency.strip_prefix("weir-") {
                assert!(floor(below) < floor(&room), "`{room}` uses `{below}`, which is not below it");
            }
        }
    }
}

#[test]
fn only_one_room_names_each_runtime() {
    for (runtime, owner) in RUNTIMES {
        let mut users: Vec<String> = rooms()
            .into_iter()
            .filter(|room| {
                let manifest = root().join("gateway").join(room).join("Cargo.toml");
                dependencies(&manifest).iter().any(|d| d == runtime)
            })
            .collect();
        if dependencies(&root().join("Cargo.toml")).iter().any(|d| d == runtime) {
            users.push("weir".to_owned());
        }
        assert!(
            users.iter().all(|user| user == owner),
            "`{runtime}` is used by {users:?}, not by `{owner}` alone"
        );
    }
}

#[test]
fn every_room_says_what_it_is_for() {
    for room in rooms() {
        let readme = root().join("gateway").join(&room).join("README.md");
        let text = fs::read_to_string(&readme).unwrap_or_default();
        assert!(
            text.lines().count() > 5,
            "gateway/{room}/README.md says what the room is for and what is absent"
        );
    }
}

#[test]
fn files_fit_a_mind_and_lines_fit_a_screen() {
    for path in all_sources() {
        let text = fs::read_to_string(&path).expect("a source is readable");
        assert!(text.lines().count() <= 600, "{} is over 600 lines: split it", path.display());
        for (at, line) in text.lines().enumerate() {
            let length = line.chars().count();
            // A long string in a test is data.
            assert!(length <= 110 || line.contains('"'), "{}:{} is {length} wide", path.display(), at + 1);
        }
    }
}

#[test]
fn main_is_a_recipe() {
    let text = fs::read_to_string(root().join("gateway/src/main.rs")).expect("main.rs is there");
    assert!(text.lines().count() <= 80, "main.rs is over 80 lines");
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelled in two halves, so that this file does not find itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimplemented", "!("], ["#[", "allow("]];
    let words = words.map(|halves| halves.concat());
    for path in all_sources() {
        let text = fs::read_to_string(&path).expect("a source is readable");
        for word in &words {
            assert!(!text.contains(word.as_str()), "{} has `{word}`", path.display());
        }
    }
}

#[test]
fn the_top_level_is_as_the_design_says() {
    let known = ["gateway", "plugins", "wit", "config", "examples", "tests", "target"];
    let entries = fs::read_dir(root()).expect("the root is readable");
    let folders = entries.filter_map(Result::ok).filter(|e| e.path().is_dir());
    let mut strangers = BTreeMap::new();
    for folder in folders {
        let name = folder.file_name().to_string_lossy().into_owned();
        if !known.contains(&name.as_str()) && !name.starts_with('.') {
            strangers.insert(name, ());
        }
    }
    assert!(strangers.is_empty(), "folders that the top level does not have: {strangers:?}");
}

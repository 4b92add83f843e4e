//! `weir plugin`: write, build, test, look at and measure plugins.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use serde_json::Value;
use weir_plugin::{
    BenchOptions, Host, HostOptions, Limits, LoadError, LoadFault, PluginSpec, bench, inspect,
};
use weir_telemetry::Registry;
use weir_telemetry::log::Logger;

use crate::artifacts;
use crate::cli::{CliError, PluginCommand};
use crate::commands::profile::read_profile;
use crate::commands::say;

/// Decides on the toolchain; the same that builds the plugins which come with Weir.
const BUILD_SCRIPT: &str = include_str!("../../../plugins/build.sh");

/// Where this binary was built: the SDK stands there, unless the sources have gone.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// The files of a new plugin; `@NAME@`, `@METRIC@` and `@SDK@` are filled in.
const TEMPLATE: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../../plugins/template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../../plugins/template/src/lib.rs")),
    ("README.md", include_str!("../../../plugins/template/README.md")),
    (".gitignore", include_str!("../../../plugins/template/gitignore.in")),
];

/// Longest name of a plugin: it begins every metric's.
const NAME_BYTES: usize = 64;

pub(crate) fn run(command: PluginCommand) -> Result<ExitCode, CliError> {
    match command {
        PluginCommand::New { folder, sdk } => new(&folder, sdk.as_deref()),
        PluginCommand::Build { folder, out } => build(&folder, out.as_deref()),
        PluginCommand::Test { folder } => test(&folder),
        PluginCommand::Inspect { file, settings, profile, json } => {
            let report = inspect(&host()?, &spec(&file, settings, &profile)?)?;
            let text = json.then(|| serde_json::to_string_pretty(&report)).transpose()?;
            say(text.unwrap_or_else(|| report.to_string()));
            Ok(ExitCode::SUCCESS)
        }
        PluginCommand::Bench { file, settings, profile, json } => {
            let spec = spec(&file, settings, profile.as_slice())?;
            let report = bench(&host()?, &spec, &BenchOptions::default())?;
            let text = json.then(|| serde_json::to_string_pretty(&report)).transpose()?;
            say(text.unwrap_or_else(|| report.to_string()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn new(folder: &Path, sdk: Option<&Path>) -> Result<ExitCode, CliError> {
    let name = plugin_name(folder)?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(format!("failed to make a plugin in `{}`: it is not empty", folder.display()).into());
    }
    let sdk = find_sdk(sdk)?;
    fs::create_dir_all(folder.join("src")).map_err(|error| failed("make", folder, error))?;
    let folder = folder.canonicalize().map_err(|error| failed("find", folder, error))?;
    let sdk = sdk_from(&folder, &sdk);
    for (file, text) in TEMPLATE {
        let path = folder.join(file);
        fs::write(&path, fill(text, &name, &sdk)).map_err(|error| failed("write", &path, error))?;
    }
    say(format_args!("made the plugin {name} in {}", folder.display()));
    say(format_args!("next: edit src/lib.rs there, then `weir plugin test` and `weir plugin build`"));
    Ok(ExitCode::SUCCESS)
}

/// The last part of the folder, if a plugin can be called so.
fn plugin_name(folder: &Path) -> Result<String, CliError> {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if name == "weir" || name.starts_with("weir-") {
        let why = "that name is kept for the gateway itself (choose another folder)";
        return Err(format!("failed to name a plugin `{name}`: {why}").into());
    }
    if begins && name.chars().all(fits) && name.len() <= NAME_BYTES {
        return Ok(name.to_owned());
    }
    Err(format!(
        "failed to name a plugin `{name}`: expected lower-case letters, digits and `-`, a letter first (the last \
         part of the folder is its name)"
    )
    .into())
}

fn find_sdk(given: Option<&Path>) -> Result<PathBuf, CliError> {
    let sdk = given.map_or_else(|| Path::new(SOURCES).join("plugins/sdk"), Path::to_owned);
    let manifest = fs::read_to_string(sdk.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"weir-plugin-sdk\"") {
        let what = format!("failed to find the plugin SDK in `{}`", sdk.display());
        return Err(format!("{what} (pass the folder `plugins/sdk` of Weir's sources as `--sdk`)").into());
    }
    sdk.canonicalize().map_err(|error| failed("find", &sdk, error))
}

/// The SDK as a plugin's Cargo.toml names it: relative within one source tree, so that the tree can move.
fn sdk_from(folder: &Path, sdk: &Path) -> String {
    let tree = sdk.parent().and_then(Path::parent);
    let inside = tree.and_then(|tree| Some((tree, folder.strip_prefix(tree).ok()?)));
    let path = match inside {
        Some((tree, below)) => {
            let up: PathBuf = below.components().map(|_| Component::ParentDir).collect();
            up.join(sdk.strip_prefix(tree).unwrap_or(sdk))
        }
        None => sdk.to_owned(),
    };
    path.display().to_string()
}

fn fill(text: &str, name: &str, sdk: &str) -> String {
    // The path stands in a basic string of TOML.
    let sdk = sdk.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace("@NAME@", name).replace("@METRIC@", &name.replace('-', "_")).replace("@SDK@", &sdk)
}

fn build(folder: &Path, out: Option<&Path>) -> Result<ExitCode, CliError> {
    let folder = plugin_folder(folder)?;
    let core = compile(&folder)?;
    let module = fs::read(&core).map_err(|error| failed("read", &core, error))?;
    let component = weir_componentize::componentize(&module)
        .map_err(|error| format!("failed to make a component of `{}`: {error}", core.display()))?;
    let name = core.file_stem().and_then(OsStr::to_str).unwrap_or_default().replace('_', "-");
    let out = out.map_or_else(|| folder.join("dist"), Path::to_owned);
    let file = out.join(format!("{name}.wasm"));

    let size = component.len().div_ceil(1024);
    match inspect(&host()?, &spec_of(&file, component.as_slice().into(), "{}".to_owned())) {
        Ok(_) => {}
        // Its defaults may be no settings that it takes; what it takes is for the configuration to say.
        Err(LoadError { fault: LoadFault::Settings { pointer, message }, .. }) => {
            say(format_args!("note: it takes no empty settings: `{pointer}`: {message}"));
        }
        Err(error) => return Err(error.into()),
    }
    write(&file, &component)?;
    say(format_args!("built {0} ({size} KiB)\n\n[plugin.{name}]\npath = \"{0}\"", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// The folder of a Cargo.toml, as cargo will call it.
fn plugin_folder(folder: &Path) -> Result<PathBuf, CliError> {
    if !folder.join("Cargo.toml").is_file() {
        let what = format!("failed to find a plugin in `{0}`: it has no Cargo.toml", folder.display());
        return Err(format!("{what} (`weir plugin new {}` makes one)", folder.display()).into());
    }
    folder.canonicalize().map_err(|error| failed("find", folder, error))
}

/// Compiles a plugin to a core module. The compiler speaks for itself on standard error.
fn compile(folder: &Path) -> Result<PathBuf, CliError> {
    let mut child = Command::new("bash")
        .args(["-c", BUILD_SCRIPT, "build.sh"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("failed to run `bash`: {error}"))?;
    let mut module = None;
    if let Some(messages) = child.stdout.take() {
        for line in BufReader::new(messages).lines() {
            module = artifact(&line?, &folder.join("Cargo.toml")).or(module);
        }
    }
    if !child.wait()?.success() {
        return Err(format!("failed to compile the plugin in `{}`", folder.display()).into());
    }
    let hint = "(its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]`)";
    module.ok_or_else(|| format!("failed to find a module in what `{}` made {hint}", folder.display()).into())
}

/// The module that one of cargo's messages tells of, if it is of the package at this manifest.
fn artifact(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || Path::new(message["manifest_path"].as_str()?) != manifest {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
    files.into_iter().find(|file| file.extension() == Some(OsStr::new("wasm")))
}

/// A gateway that watches the file sees all of it or none.
fn write(file: &Path, component: &[u8]) -> Result<(), CliError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let written = || {
        fs::create_dir_all(folder)?;
        let mut part = tempfile::NamedTempFile::new_in(folder)?;
        part.write_all(component)?;
        // Others may read what was built; a temporary file is its owner's alone.
        let readable = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
        part.as_file().set_permissions(readable)?;
        part.persist(file).map_err(|error| error.error).map(drop)
    };
    written().map_err(|error: std::io::Error| failed("write", file, error))
}

fn test(folder: &Path) -> Result<ExitCode, CliError> {
    let folder = plugin_folder(folder)?;
    let status = Command::new("cargo")
        .arg("test")
        .current_dir(&folder)
        .status()
        .map_err(|error| format!("failed to run `cargo`: {error}"))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn host() -> Result<Host, CliError> {
    Ok(Host::new(HostOptions::default(), &Registry::default(), &Logger::discard())?)
}

/// The component of a file, or of a plugin that is compiled in (`builtin:NAME`).
fn spec(file: &Path, settings: String, profiles: &[PathBuf]) -> Result<PluginSpec, CliError> {
    let component = component(file)?;
    let name = file.to_str().and_then(|file| file.strip_prefix("builtin:"));
    let profiles = profiles.iter().map(|path| read_profile(path).map(Arc::new));
    let profiles = profiles.collect::<Result<_, _>>()?;
    Ok(PluginSpec { profiles, ..spec_of(name.map_or(file, Path::new), component, settings) })
}

/// The bytes of a component.
pub(crate) fn component(file: &Path) -> Result<Arc<[u8]>, CliError> {
    if let Some(name) = file.to_str().and_then(|file| file.strip_prefix("builtin:")) {
        let found = artifacts::builtin(name);
        return Ok(found.ok_or_else(|| format!("failed to find a built-in plugin `{name}`"))?.into());
    }
    Ok(fs::read(file).map_err(|error| failed("read", file, error))?.into())
}

fn spec_of(file: &Path, component: Arc<[u8]>, settings: String) -> PluginSpec {
    let key = file.file_stem().and_then(OsStr::to_str).unwrap_or("plugin");
    PluginSpec {
        key: key.into(),
        path: file.display().to_string(),
        component,
        settings,
        routes: None,
        limits: Limits::default(),
        profiles: Vec::new(),
    }
}

fn failed(verb: &str, path: &Path, error: impl std::fmt::Display) -> CliError {
    format!("failed to {verb} `{}`: {error}", path.display()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "examples/first-plugin";

    fn source(file: &str) -> String {
        fs::read_to_string(Path::new(SOURCES).join(EXAMPLE).join(file)).unwrap()
    }

    #[test]
    fn the_example_is_the_template_with_the_tutorials_code() {
        let tree = Path::new(SOURCES);
        let sdk = sdk_from(&tree.join(EXAMPLE), &tree.join("plugins/sdk"));
        let made = fill(TEMPLATE[0].1, "first-plugin", &sdk);
        let but_description = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("description")).map(str::to_owned).collect()
        };
        assert_eq!(but_description(&source("Cargo.toml")), but_description(&made));
        assert_eq!(source(".gitignore"), TEMPLATE[3].1);

        let tutorial = source("README.md");
        let block = |language: &str| {
            let (_, after) = tutorial.split_once(&format!("```{language}\n")).unwrap();
            after.split_once("```").unwrap().0
        };
        assert_eq!(block("rust"), source("src/lib.rs"));
        assert_eq!(block("toml"), source("weir.toml"));
    }

    #[test]
    fn a_plugin_outside_of_the_tree_names_the_sdk_absolutely() {
        let sdk = Path::new("/src/weir/plugins/sdk");
        assert_eq!(sdk_from(Path::new("/home/me/mine"), sdk), "/src/weir/plugins/sdk");
        assert_eq!(sdk_from(Path::new("/src/weir/mine"), sdk), "../plugins/sdk");
    }

    #[test]
    fn names_that_no_metric_could_begin_with_are_refused() {
        assert_eq!(plugin_name(Path::new("a/churn-2")).unwrap(), "churn-2");
        for bad in ["2churn", "Churn", "churn_2", "-churn", "..", "", "chürn"] {
            assert!(plugin_name(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_the_host_keeps_for_itself_are_refused_in_words() {
        for kept in ["weir", "weir-drift", "a/weir-"] {
            let error = plugin_name(Path::new(kept)).unwrap_err().to_string();
            assert!(error.contains("kept for the gateway itself"), "{error}");
        }
        assert_eq!(plugin_name(Path::new("weird")).unwrap(), "weird");
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("mine");
        fs::create_dir(&plugin).unwrap();
        fs::write(plugin.join("precious"), "").unwrap();
        let error = new(&plugin, None).unwrap_err().to_string();
        assert!(error.ends_with("it is not empty"), "{error}");
        assert_eq!(fs::read_dir(&plugin).unwrap().count(), 1);
    }

    #[test]
    fn only_the_plugins_own_module_is_taken() {
        let message = |path: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"{path}","filenames":["x.rlib","{file}"]}}"#
            )
        };
        let manifest = Path::new("/p/Cargo.toml");
        assert_eq!(artifact(&message("/p/Cargo.toml", "p.wasm"), manifest), Some("p.wasm".into()));
        assert_eq!(artifact(&message("/q/Cargo.toml", "q.wasm"), manifest), None);
        assert_eq!(artifact(&message("/p/Cargo.toml", "p.rmeta"), manifest), None);
        assert_eq!(artifact("   Compiling", manifest), None);
    }
}

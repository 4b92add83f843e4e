//! Compiles the built plugins and the commit into the binary.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// Plugins that `builtin:NAME` names.
const PLUGINS: [&str; 7] =
    ["confidence", "data-quality", "drift", "fairness", "feature-stats", "outlier", "sampler"];

fn main() -> io::Result<()> {
    println!("cargo:rustc-env=WEIR_COMMIT={}", commit().unwrap_or_else(|| "unknown".into()));
    embed_plugins()
}

/// A table of name and component, with what `plugins/build.sh` has made. It is empty where nothing was built
/// yet, so that the gateway itself needs no WebAssembly toolchain.
fn embed_plugins() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let built = Path::new(&root).join("plugins/dist");
    let mut table = String::from("&[\n");
    for name in PLUGINS {
        let component = built.join(format!("{name}.wasm"));
        println!("cargo:rerun-if-changed={}", component.display());
        if component.is_file() {
            let line = format!("    ({name:?}, include_bytes!({:?}) as &[u8]),", component.display());
            writeln!(table, "{line}").map_err(io::Error::other)?;
        }
    }
    table.push_str("]\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("builtin_plugins.rs"), table)
}

/// The commit that is checked out, if git tells.
fn commit() -> Option<String> {
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

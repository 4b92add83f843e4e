//! What judging one exchange costs: `cargo bench -p weir-plugin [-- COMPONENT...]`. Without arguments it
//! measures every component in `plugins/dist`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_plugin::{BenchOptions, Host, HostOptions, Limits, PluginSpec, bench};
use weir_telemetry::Registry;
use weir_telemetry::log::Logger;

/// The batch sizes that traffic makes.
const BATCHES: [usize; 4] = [1, 16, 64, 256];

fn main() {
    let host = Host::new(HostOptions::default(), &Registry::default(), &Logger::discard()).expect("a host");
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(Into::into).collect();
    for path in if named.is_empty() { built() } else { named } {
        for batch in BATCHES {
            let options = BenchOptions { batch, ..BenchOptions::default() };
            match bench(&host, &spec(&path), &options) {
                Ok(report) => println!("{report}"),
                Err(error) => println!("{error}"),
            }
        }
    }
}

fn built() -> Vec<PathBuf> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist");
    let Ok(files) = std::fs::read_dir(&dist) else {
        println!("no components in `{}` (run `make plugins` first)", dist.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    paths.sort();
    paths
}

fn spec(path: &Path) -> PluginSpec {
    PluginSpec {
        key: Arc::from("bench"),
        path: path.display().to_string(),
        component: std::fs::read(path).expect("a component").into(),
        settings: "{}".to_owned(),
        routes: None,
        limits: Limits::default(),
    }
}

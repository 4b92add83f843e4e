//! What judging one exchange costs, and what counting one value in a tally does:
//! `cargo bench -p weir-plugin [-- COMPONENT...]`. Without arguments it measures every component in
//! `plugins/dist`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_exchange::Role;
use weir_plugin::{BenchOptions, Host, HostOptions, Limits, PluginSpec, bench, count_cost};
use weir_profile::{Cell, Feature, FeatureCounts, FeatureKind, Profile};
use weir_stats::drift::Bins;
use weir_telemetry::Registry;
use weir_telemetry::log::Logger;

/// The batch sizes that traffic makes.
const BATCHES: [usize; 4] = [1, 16, 64, 256];

fn main() {
    let host = Host::new(HostOptions::default(), &Registry::default(), &Logger::discard()).expect("a host");
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(Into::into).collect();
    for features in [8, 100, 1000] {
        let profile = Arc::new(profile(features));
        for (batch, segments) in BATCHES.into_iter().flat_map(|batch| [(batch, 0), (batch, 10)]) {
            let ns = count_cost(&profile, segments, &BenchOptions { batch, ..BenchOptions::default() });
            println!(
                "counting: {ns:.1} ns a value, {features} features, {segments} segments, {batch} rows a batch"
            );
        }
    }
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
        profiles: Vec::new(),
    }
}

/// A profile of numbers in as many bins as there can be.
fn profile(features: usize) -> Profile {
    let reference: Vec<f64> = (0..10_000).map(|i| f64::from(i * 7919 % 10_007).sqrt()).collect();
    let bins = Bins::of(&reference).expect("rows");
    let counts = FeatureCounts { bins: bins.count(&reference).bins, missing: 0.0 };
    let feature = |i: usize| {
        let kind = FeatureKind::Number { bins: bins.clone(), integers: false };
        Feature::new(format!("f{i}").into(), Role::Input, kind, bins.deciles())
    };
    let counts = vec![counts; features];
    Profile {
        digest: "bench".into(),
        window_rows: 1000,
        rows_distinct: true,
        features: (0..features).map(feature).collect(),
        cells: vec![Cell { slot: None, segment: None, rows: 10_000.0, distinct: 10_000.0, counts }],
        ..Profile::default()
    }
}

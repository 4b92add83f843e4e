//! Drift of a fleet: counts of its gateways are added before they are compared.

use std::time::Duration;

use weir_alert::{Binned, GenerateOptions};
use weir_telemetry::Spec;

use crate::peer;
use crate::rig::generated;

const ALERTING: &str = "[alerting]\ninterval = \"1m\"\nlabels = { cluster = \"eu\" }\n";

/// What the gateways of a fleet say of two features: `x` has moved, and `z` only looks so on each by itself.
const GATEWAYS: u32 = 10;
const REFERENCE_ROWS: u32 = 4000;
/// By feature: its bins, the reference's share of each, and rows a minute on gateway `g`.
type Feature = (&'static str, &'static [(&'static str, f64)], fn(u32, usize) -> u32);
const FEATURES: [Feature; 2] = [
    ("x", &[("a", 0.5), ("b", 0.3), ("c", 0.2), ("d", 0.0)], |_, bin| [2, 3, 5, 0][bin]),
    // Each gateway has rows of one kind, and all together have what the reference has.
    ("z", &[("a", 0.5), ("b", 0.5)], |gateway, bin| if gateway as usize % 2 == bin { 10 } else { 0 }),
];

pub(crate) fn binned() -> Binned {
    Binned { plugin: "drift".into(), prefix: "drift".into(), window: Duration::from_secs(3600) }
}

/// PSI as it is defined, less its mean under no change.
fn psi(reference: &[f64], current: &[f64]) -> f64 {
    let bins = reference.len() as f64;
    let (n, m): (f64, f64) = (reference.iter().sum(), current.iter().sum());
    let mut psi = 0.0;
    for (then, now) in reference.iter().zip(current) {
        let (p, q) = ((then + 0.5) / (n + bins / 2.0), (now + 0.5) / (m + bins / 2.0));
        psi += (q - p) * (q / p).ln();
    }
    let filled = reference.iter().zip(current).filter(|(then, now)| *then + *now > 0.0).count();
    psi - (filled as f64 - 1.0) * (1.0 / n + 1.0 / m)
}

/// Rows of an hour on some gateways.
fn rows((_, bins, rows): &Feature, gateways: std::ops::Range<u32>) -> Vec<f64> {
    let of_bin = |bin| gateways.clone().map(|gateway| f64::from(60 * rows(gateway, bin))).sum();
    (0..bins.len()).map(of_bin).collect()
}

fn reference((_, bins, _): &Feature) -> Vec<f64> {
    bins.iter().map(|(_, share)| share * f64::from(REFERENCE_ROWS)).collect()
}

#[test]
fn only_a_plugin_that_counts_in_the_bins_of_a_reference_has_a_fleets_psi() {
    let bins = Spec::counter("mine_bin_rows_total", "", &["plugin", "feature", "bin"]);
    let shares = Spec::gauge("mine_reference_ratio", "", &["plugin", "feature", "bin"]);
    let size = Spec::gauge("mine_reference_rows", "", &["plugin"]);
    let of = |specs: &[Spec]| Binned::of("k", specs, Duration::from_secs(60)).map(|it| it.prefix);
    assert_eq!(of(&[size.clone(), bins.clone(), shares.clone()]), Some("mine".to_owned()));
    assert_eq!(of(&[bins.clone(), shares]), None);
    assert_eq!(of(&[bins, size]), None);
    let text = generated(ALERTING, &GenerateOptions::default());
    assert!(!text.contains("drift"), "{text}");
}

#[test]
fn ten_gateways_have_one_psi_which_is_that_of_their_rows() {
    if !peer::is_there() {
        assert!(std::env::var_os("WEIR_PEERS").is_none(), "promtool is not installed");
        println!("SKIPPED: promtool is not installed (Debian: apt-get install prometheus)");
        return;
    }
    let expect: Vec<f64> = FEATURES.iter().map(|it| psi(&reference(it), &rows(it, 0..GATEWAYS))).collect();
    let mean = |it| (0..GATEWAYS).map(|g| psi(&reference(it), &rows(it, g..g + 1))).sum::<f64>() / 10.0;
    // As another program has it, so that this one and the rules are not wrong alike.
    assert!((expect[0] - 0.548_541_656).abs() < 1e-9, "{expect:?}");
    assert!(expect[1] < 0.0 && mean(&FEATURES[1]) > 3.5, "{expect:?}, {}", mean(&FEATURES[1]));
    let options = GenerateOptions { binned: vec![binned()], ..GenerateOptions::default() };
    peer::test(&generated(ALERTING, &options), &unit_test(&expect));
}

/// Two hours of counters, looked at when the first hour is long over; one gateway is started anew on the way.
fn unit_test(expect: &[f64]) -> String {
    let mut series = String::new();
    let mut add = |name: &str, instance: u32, labels: &str, values: &str| {
        series += &format!(
            "      - series: '{name}{{job=\"weir\",instance=\"{instance}\",plugin=\"drift\",route=\"r\",\
             model=\"m\",model_version=\"1\"{labels}}}'\n        values: '{values}'\n"
        );
    };
    for gateway in 0..GATEWAYS {
        add("drift_reference_rows", gateway, "", &format!("{REFERENCE_ROWS}x120"));
        for (feature, bins, rows) in FEATURES {
            for (at, (bin, share)) in bins.iter().enumerate() {
                let labels = format!(",feature=\"{feature}\",bin=\"{bin}\"");
                add("drift_reference_ratio", gateway, &labels, &format!("{share}x120"));
                let rows = rows(gateway, at);
                let values = match gateway {
                    3 => format!("0+{rows}x90 {rows}+{rows}x29"),
                    _ => format!("0+{rows}x120"),
                };
                add("drift_bin_rows_total", gateway, &labels, &values);
            }
        }
    }
    let mut samples = String::new();
    for ((feature, ..), psi) in FEATURES.iter().zip(expect) {
        samples += &format!(
            "          - labels: '{{feature=\"{feature}\"}}'\n            value: {}\n",
            (psi * 1e6).round() / 1e6
        );
    }
    let rounded = "round(sum by (feature) (feature:drift_psi:increase1h{cluster=\"eu\", model=\"m\"}), 1e-6)";
    format!(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{series}    \
         promql_expr_test:\n      - expr: '{rounded}'\n        eval_time: 115m\n        exp_samples:\n{samples}"
    )
}

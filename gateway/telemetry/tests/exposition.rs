//! What scrapers read, checked by eye, by the `prometheus` crate and by promtool.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use prometheus::TextEncoder;
use weir_telemetry::exposition::{openmetrics, text};
use weir_telemetry::process::build_info;
use weir_telemetry::{
    Cap, Counter, Family, Gauge, Histogram, ProcessMetrics, PrometheusBridge, Registry, Spec,
};

/// One family of each kind, with units, overflow, awkward labels and values, and one without samples.
fn registry() -> Registry {
    let registry = Registry::default();
    let spec = Spec::counter(
        "predictions_total",
        "Predictions, by \"outcome\".\nSee C:\\docs.",
        &["route", "model"],
    );
    let counter = Family::<Counter>::new(spec, Cap::Open { series: 3 });
    counter.get(&["churn", "a"]).add(7);
    counter.get(&["churn", "a\"b\\c\nd"]).add_f64(0.1 + 0.2);
    counter.get(&["", ""]).add(3_000_000_000);
    counter.get(&["churn", "one too many"]).add(5);
    counter.get(&["churn", "two too many"]).add(6);
    registry.family(&counter).expect("registered");

    let gauge = Family::<Gauge>::new(Spec::gauge("queue_bytes", "Bytes.", &[]).unit("bytes"), Cap::Closed);
    gauge.get(&[]).set(-1.5e-7);
    registry.family(&gauge).expect("registered");

    let edges = [-1.0, 0.25, 1.0, 10.0];
    let spec = Spec::histogram("latency_seconds", "Latency.", &edges, &["route"]).unit("seconds");
    let histogram = Family::<Histogram>::new(spec, Cap::Closed);
    let cell = histogram.get(&["churn"]);
    [-1.0, 0.2, 0.25, 0.26, 5.0, 11.0, 12.0].iter().for_each(|x| cell.observe(*x));
    histogram.get(&["idle"]);
    registry.family(&histogram).expect("registered");

    let empty = Family::<Counter>::new(Spec::counter("errors_total", "Errors.", &["route"]), Cap::Closed);
    registry.family(&empty).expect("registered");
    registry
}

#[test]
fn text_is_what_prometheus_reads() {
    let expect = r#"# HELP errors_total Errors.
# TYPE errors_total counter
# HELP latency_seconds Latency.
# TYPE latency_seconds histogram
latency_seconds_bucket{route="churn",le="-1.0"} 1
latency_seconds_bucket{route="churn",le="0.25"} 3
latency_seconds_bucket{route="churn",le="1.0"} 4
latency_seconds_bucket{route="churn",le="10.0"} 5
latency_seconds_bucket{route="churn",le="+Inf"} 7
latency_seconds_sum{route="churn"} 27.71
latency_seconds_count{route="churn"} 7
latency_seconds_bucket{route="idle",le="-1.0"} 0
latency_seconds_bucket{route="idle",le="0.25"} 0
latency_seconds_bucket{route="idle",le="1.0"} 0
latency_seconds_bucket{route="idle",le="10.0"} 0
latency_seconds_bucket{route="idle",le="+Inf"} 0
latency_seconds_sum{route="idle"} 0
latency_seconds_count{route="idle"} 0
# HELP predictions_total Predictions, by "outcome".\nSee C:\\docs.
# TYPE predictions_total counter
predictions_total{route="",model=""} 3000000000
predictions_total{route="churn",model="a"} 7
predictions_total{route="churn",model="a\"b\\c\nd"} 0.30000000000000004
predictions_total{route="churn",model="",overflow="true"} 11
# HELP queue_bytes Bytes.
# TYPE queue_bytes gauge
queue_bytes -0.00000015
# HELP weir_series_overflow_total Label sets without a series of their own, by the metric that is at its cap.
# TYPE weir_series_overflow_total counter
weir_series_overflow_total{metric="predictions_total"} 2
"#;
    assert_eq!(text(&registry().gather()), expect);
}

#[test]
fn openmetrics_differs_in_heads_and_end_only() {
    let points = registry().gather();
    let (text, open) = (text(&points), openmetrics(&points));
    let samples = |s: &str| s.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&text), samples(&open));
    for head in [
        "# TYPE predictions counter\n",
        r#"# HELP predictions Predictions, by \"outcome\".\nSee C:\\docs."#,
        "# TYPE latency_seconds histogram\n# UNIT latency_seconds seconds\n",
        "# UNIT queue_bytes bytes\n",
    ] {
        assert!(open.contains(head), "{head}\n{open}");
    }
    assert!(open.ends_with("\n# EOF\n"));
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
}

/// Equal but for two things their encoder cannot say: whole `le` values as floats (it prints `le="1"`,
/// which is another series than OpenMetrics' `le="1.0"`), and the heads of families without samples, which
/// it takes for an error.
#[test]
fn our_text_is_that_of_the_prometheus_crate() {
    let registry = registry();
    let theirs = prometheus::Registry::new();
    theirs.register(Box::new(PrometheusBridge::new(registry.clone()))).expect("registered");
    let theirs = TextEncoder::new().encode_to_string(&theirs.gather()).expect("encoded");
    assert!(theirs.contains("le=\"1\"") && theirs.contains("le=\"0.25\""));
    let whole = |s: String, n: &str| s.replace(&format!("le=\"{n}\""), &format!("le=\"{n}.0\""));
    let theirs = ["-1", "1", "10"].into_iter().fold(theirs, whole);

    let mut points = registry.gather();
    points.retain(|p| !p.samples.is_empty());
    assert_eq!(text(&points), theirs);
}

#[test]
fn a_registry_without_a_capped_family_has_no_overflow_family() {
    let registry = Registry::default();
    registry.family(&build_info("1.2.3", "")).expect("registered");
    let expect = "# HELP weir_build_info Version and commit of this build; the value is always 1.\n\
                  # TYPE weir_build_info gauge\nweir_build_info{version=\"1.2.3\",commit=\"\"} 1\n";
    assert_eq!(text(&registry.gather()), expect);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    const PROMTOOL: &str = "/usr/bin/promtool";
    if !Path::new(PROMTOOL).exists() {
        eprintln!("SKIPPED: `{PROMTOOL}` is not installed (Debian package `prometheus`)");
        return;
    }
    let registry = registry();
    registry.source("process", std::sync::Arc::new(ProcessMetrics::default()));
    registry.family(&build_info("1.2.3", "abc")).expect("registered");
    let mut child = Command::new(PROMTOOL)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let body = text(&registry.gather());
    child.stdin.take().expect("piped").write_all(body.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{body}", String::from_utf8_lossy(&said));
}

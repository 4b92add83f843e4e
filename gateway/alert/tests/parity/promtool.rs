//! The same case as a unit test of `promtool`, with Weir's states as what is expected.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use weir_alert::{GenerateOptions, generate};
use weir_telemetry::{Shape, Value};

use crate::case::{Case, Line};
use crate::replay::Timeline;

/// Another version reads windows otherwise: Prometheus 3 has them open to the left.
const VERSION: &str = "2.42.";

pub(crate) fn is_there() -> bool {
    let told = Command::new("promtool").arg("--version").output();
    told.is_ok_and(|out| String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).contains(VERSION))
}

/// Asks about all cases at once.
pub(crate) fn ask(all: &[(Case, Timeline)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (case, timeline) in all {
        let options =
            GenerateOptions { scope: String::new(), alerts: Some(true), ..GenerateOptions::default() };
        let rules = generate(&case.plan, &case.config, &options);
        let name = format!("rules{}.yml", case.number);
        std::fs::write(folder.path().join(&name), &rules).expect("written");
        let file = folder.path().join(format!("test{}.yml", case.number));
        std::fs::write(&file, unit_test(case, timeline, &name)).expect("written");
        files.push(file);
    }
    let out = Command::new("promtool").args(["test", "rules"]).args(&files).output().expect("promtool runs");
    let told = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    if !out.status.success() || told.contains("FAILED") {
        keep(folder.path());
        let first: String = told.split_inclusive('\n').filter(|l| !l.contains("SUCCESS")).take(60).collect();
        panic!("promtool disagrees (files in /tmp/weir-parity):\n{first}");
    }
    println!("promtool agrees on {} cases of {} evaluations", all.len(), crate::EVALUATIONS);
}

fn keep(folder: &Path) {
    let _ = Command::new("cp").arg("-rT").arg(folder).arg("/tmp/weir-parity").status();
}

fn unit_test(case: &Case, timeline: &Timeline, rules: &str) -> String {
    let mut text = format!(
        "rule_files: ['{rules}']\nevaluation_interval: {}s\ntests:\n  - interval: {}s\n    input_series:\n",
        case.interval, case.step
    );
    for line in &case.lines {
        series(&mut text, line);
    }
    text += "    promql_expr_test:\n";
    for evaluation in 0..crate::EVALUATIONS as usize {
        let at = evaluation as u64 * case.interval;
        // The gateway's own absence is no rule of the case.
        let _ = writeln!(text, "      - expr: 'ALERTS{{alertname!=\"WeirDown\"}}'\n        eval_time: {at}s");
        let mut expected = String::new();
        for ((name, labels), states) in timeline {
            let state = match states[evaluation] {
                'p' => "pending",
                'F' => "firing",
                _ => continue,
            };
            let mut labels = labels.clone();
            labels.insert("alertname".to_owned(), name.clone());
            labels.insert("alertstate".to_owned(), state.to_owned());
            let labels = yaml(&format!("ALERTS{}", braced(&labels)));
            let _ = writeln!(expected, "          - labels: {labels}\n            value: 1");
        }
        if !expected.is_empty() {
            text += &format!("        exp_samples:\n{expected}");
        }
    }
    text
}

fn series(text: &mut String, line: &Line) {
    let names = line.spec.labels.iter().map(ToString::to_string);
    let labels: BTreeMap<String, String> = names
        .zip(line.labels.iter().map(ToString::to_string))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let Shape::Histogram(edges) = &line.spec.shape else {
        let values = values(line, |value| match value {
            Value::Counter(x) | Value::Gauge(x) => *x,
            Value::Histogram { .. } => f64::NAN,
        });
        return one(text, &line.spec.name, &labels, &values);
    };
    let up_to = |value: &Value, at: usize| match value {
        Value::Histogram { counts, .. } => counts[..=at].iter().sum::<u64>() as f64,
        _ => f64::NAN,
    };
    for (at, edge) in edges.iter().chain([&f64::INFINITY]).enumerate() {
        let mut labels = labels.clone();
        let le = if edge.is_infinite() { "+Inf".to_owned() } else { format!("{edge:?}") };
        labels.insert("le".to_owned(), le);
        one(text, &format!("{}_bucket", line.spec.name), &labels, &values(line, |v| up_to(v, at)));
    }
    one(text, &format!("{}_count", line.spec.name), &labels, &values(line, |v| up_to(v, edges.len())));
}

fn values(line: &Line, of: impl Fn(&Value) -> f64) -> String {
    let words = line.samples.iter().map(|sample| match sample {
        None => "_".to_owned(),
        Some(None) => "stale".to_owned(),
        Some(Some(value)) => match of(value) {
            x if x == f64::INFINITY => "Inf".to_owned(),
            x if x == f64::NEG_INFINITY => "-Inf".to_owned(),
            x => x.to_string(),
        },
    });
    words.collect::<Vec<_>>().join(" ")
}

fn one(text: &mut String, name: &str, labels: &BTreeMap<String, String>, values: &str) {
    let _ = writeln!(text, "      - series: {}", yaml(&format!("{name}{}", braced(labels))));
    let _ = writeln!(text, "        values: '{values}'");
}

fn braced(labels: &BTreeMap<String, String>) -> String {
    let quote = |text: &str| serde_json::to_string(text).expect("a string is JSON");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={}", quote(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn yaml(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

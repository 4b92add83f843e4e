//! What Prometheus answered, on disk.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::replay::Timeline;

const HEAD: &str = "\
# What Prometheus 2.42.0 makes of the cases of this folder; `main.rs` says how it is written.
# `case NUMBER DIGEST`, then a line for every alert that ever was: STATES ALERT {LABELS}. States are one an
# evaluation, runs of them as a number: 3p is pending three times, F is firing, and a dot is neither.
";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/record.txt")
}

/// A line for every alert.
pub(crate) fn lines(timeline: &Timeline) -> Vec<String> {
    let of = |((name, labels), states): (&(String, BTreeMap<String, String>), &Vec<char>)| {
        let mut line = String::new();
        for run in states.chunk_by(|a, b| a == b) {
            let _ = write!(line, "{}{}", run.len(), run[0]);
        }
        format!("{line} {name} {}", serde_json::to_string(labels).expect("strings are JSON"))
    };
    timeline.iter().map(of).collect()
}

/// By the number of a case: its digest, and its lines.
pub(crate) fn read() -> BTreeMap<u64, (String, Vec<String>)> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut all = BTreeMap::new();
    let mut number = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(rest) = line.strip_prefix("case ") {
            let (of, digest) = rest.split_once(' ').expect("NUMBER DIGEST");
            number = of.parse().expect("a number");
            all.insert(number, (digest.to_owned(), Vec::new()));
        } else {
            all.get_mut(&number).expect("a case comes first").1.push(line.to_owned());
        }
    }
    all
}

pub(crate) fn write(all: &[(Case, Timeline)]) {
    let mut text = HEAD.to_owned();
    for (case, timeline) in all {
        let _ = writeln!(text, "case {} {}", case.number, case.digest());
        lines(timeline).iter().for_each(|line| text += &format!("{line}\n"));
    }
    std::fs::write(path(), text).expect("`record.txt` is written");
}

//! `weir profile`: from rows to a file, what is said of it, and two of them beside each other.

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Cli, holds};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const CLI: Cli = Cli(WEIR);
const CHURN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/churn/churn.csv");

#[test]
fn a_profile_is_built_drawn_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let build = ["profile", "build", "--data", CHURN, "--label", "churn", "-o", "profile.json"];
    let built = CLI.said(at, &[&build[..], &["--author", "Ada", "--reason", "first"]].concat());
    holds(&built, &["churn.csv: 7043 rows", "accepted    by Ada: first", "independent rows assumed"]);
    holds(&built, &["features    19", "churn: the label", "written to profile.json, "]);
    let drawn = CLI.said(at, &["profile", "inspect", "profile.json"]);
    holds(&drawn, &["input  tenure ", "one of 3 texts", "Month-to-month 55 %", "of its content, which fits"]);
    let json: Value =
        serde_json::from_str(&CLI.said(at, &["profile", "inspect", "profile.json", "--json"])).unwrap();
    assert_eq!(json["profile"]["made"]["author"], "Ada");
    // Two thirds of the tenures are served as a code for nothing, and a flag as text.
    let rows = fs::read_to_string(CHURN).unwrap();
    let served: Vec<String> = rows.lines().enumerate().map(|(line, row)| served(line, row)).collect();
    fs::write(at.join("served.csv"), served.join("\n")).unwrap();
    let build = ["profile", "build", "--data", "served.csv", "--ignore", "churn", "--category", "partner"];
    let built = CLI.said(at, &[&build[..], &["-o", "served.json"]].concat());
    holds(&built, &["warning     `tenure`: 4696 rows have -999, far from all others", "--missing -999"]);
    let against = ["profile", "inspect", "profile.json", "--against", "served.json"];
    let compared = CLI.said(at, &against);
    holds(
        &compared,
        &["of another kind: input `partner` (text, not number)", "differ      2 of 19 features"],
    );
    holds(&compared, &["66.7 % below 0, the reference's end, as far as -999: a code for a missing value?"]);
    holds(&compared, &["texts such as \"0\" where the reference has numbers"]);
    let json: Value = serde_json::from_str(&CLI.said(at, &[&against[..], &["--json"]].concat())).unwrap();
    let (first, last) = (&json["features"][0], &json["features"][18]);
    assert_eq!(
        (&first["name"], &first["differs"], &last["differs"]),
        (&"tenure".into(), &true.into(), &false.into())
    );
}

fn served(line: usize, row: &str) -> String {
    let mut cells: Vec<&str> = row.split(',').collect();
    if line > 0 && !line.is_multiple_of(3) {
        cells[4] = "-999";
    }
    cells.join(",")
}

#[test]
fn a_model_binds_a_profile_and_adds_what_it_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let train =
        ["model", "train", "--data", CHURN, "--target", "churn", "--ignore", "female", "-o", "churn.model"];
    CLI.said(at, &[&train[..], &["--algorithm", "logistic-regression", "--model-version", "7"]].concat());
    let built =
        CLI.said(at, &["profile", "build", "--data", CHURN, "--model", "churn.model", "-o", "profile.json"]);
    holds(&built, &["model       churn, version 7", "features    21", "female: no input of the model"]);
    holds(&built, &["churn: the label", "output 0 ", "score  No ", "score  Yes "]);
    // Rows that the model does not take.
    fs::write(at.join("other.csv"), "tenure,contract\n1,a\n2,b\n").unwrap();
    let said = CLI
        .refused(at, &["profile", "build", "--data", "other.csv", "--model", "churn.model", "-o", "x.json"]);
    holds(
        &said,
        &["failed to build a profile of `other.csv`: the model does not take its rows: missing columns"],
    );
    assert!(!at.join("x.json").exists());
}

/// Days of 240 rows from the second of January 2024 on, with `x` higher on those that `moved` names.
fn days(at: &Path, count: usize, moved: impl Fn(usize) -> bool) {
    let row = |row: usize| {
        let (day, hour) = (row / 240, row / 10 % 24);
        let x = (row * 7919 % 1009) as f64 / 8.0 + if moved(day) { 500.0 } else { 0.0 };
        format!("{},{},{hour},{x},{}", 2 + day, 100 * hour, row * 31 % 97)
    };
    let rows: Vec<String> = (0..240 * count).map(row).collect();
    fs::write(at.join("rows.csv"), format!("day,clock,hour,x,y\n{}", rows.join("\n"))).expect("written");
}

#[test]
fn blocks_and_windows_of_time_are_measured_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    days(at, 15, |day| day == 3 || day == 9);
    let time = "year=2024,month=1,day,hhmm=clock";
    let build = ["profile", "build", "--data", "rows.csv", "--time", time, "-o", "p.json"];
    let daily = CLI.said(at, &[&build[..], &["--block", "1d", "--window", "1d", "--budget", "2"]].concat());
    holds(
        &daily,
        &["phi         of 15 blocks of 1d", "windows     of 240 rows and more", "span        15.0 days"],
    );
    holds(&daily, &["day: the time of the rows", "replay      15 windows of 1d judged over 0.5 months"]);
    // Rows of something else: what the profile has and they lack, all of it.
    fs::write(at.join("other.csv"), "at,a,b\n2024-01-01,1,2\n").unwrap();
    let other = ["drift", "replay", "--data", "other.csv", "--profile", "p.json", "--time", "at"];
    let said_no = CLI.refused(at, &other);
    holds(&said_no, &["failed to replay `other.csv`: missing: input `"]);
    assert!(!said_no.contains("--category") && !said_no.contains("--number"), "{said_no}");
    let hourly = CLI.said(at, &[&build[..], &["--season", "hour"]].concat());
    holds(&hourly, &["season      hour, 24 of 24 slots have rows"]);
}

/// Blocks of two days that are alike say nothing of days that are not: the replay does.
#[test]
fn a_feature_that_its_own_reference_would_alarm_of_is_unstable() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    days(at, 14, |day| day % 2 == 1);
    let time = "year=2024,month=1,day,hhmm=clock";
    let build = ["profile", "build", "--data", "rows.csv", "--time", time, "-o", "p.json"];
    let built = CLI.said(at, &[&build[..], &["--block", "2d", "--window", "1d", "--budget", "2"]].concat());
    holds(&built, &["phi         of 7 blocks of 2d", "over the budget, so unstable", "never alarmed"]);
    assert!(built.contains("input x: 30.00 would-be alarms a month"), "{built}");
}

#[test]
fn what_cannot_be_built_or_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a.csv"), "x,y\n1,2\n3\n").unwrap();
    let build = |more: &[&'static str]| [&["profile", "build", "-o", "p.json", "--data"], more].concat();
    let said = CLI.refused(at, &build(&["gone.csv"]));
    holds(&said, &["weir: failed to read `gone.csv`: "]);
    holds(
        &CLI.refused(at, &build(&["a.csv"])),
        &["failed to build a profile of `a.csv`: line 3: 1 cells where"],
    );
    holds(&CLI.refused(at, &build(&[CHURN, "--label", "gone"])), &["`--label`: there is no column `gone`"]);
    fs::write(at.join("p.json"), "{}").unwrap();
    holds(
        &CLI.refused(at, &["profile", "inspect", "p.json"]),
        &["failed to load `p.json`: it is no profile of"],
    );
    let usage = CLI.run(at, &build(&[CHURN, "--block", "1 day"]));
    holds(&String::from_utf8_lossy(&usage.stderr), &["a whole number and `ms`, `s`, `m`, `h` or `d`"]);
    assert_eq!(usage.status.code(), Some(2));
}

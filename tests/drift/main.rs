//! Whether drift detection does what it promises, shown on a year of flights that anybody can replay.

mod bootstrap;
mod flights;
mod model;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const WEIR: &str = env!("CARGO_BIN_EXE_weir");
const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/flights.csv.gz");
const TIME: &str = "year=2013,month,day,hhmm=sched_dep_time";

/// Fewer than the smallest day has, so that each is judged.
const WINDOW_ROWS: &str = "50";

/// The header and the rows, in the order of time.
struct Flights {
    header: String,
    rows: Vec<String>,
}

impl Flights {
    fn read() -> Self {
        let file = fs::File::open(FLIGHTS).expect("it is in the tree");
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is text");
        let mut lines = text.lines().map(str::to_owned);
        Self { header: lines.next().expect("a header"), rows: lines.collect() }
    }

    fn of_month(&self, month: u32) -> Vec<&str> {
        let prefix = format!("{month},");
        self.rows.iter().filter(|row| row.starts_with(&prefix)).map(String::as_str).collect()
    }

    /// A file of rows.
    fn write(&self, to: &Path, rows: &[&str]) {
        fs::write(to, format!("{}\n{}\n", self.header, rows.join("\n"))).expect("it is writable");
    }
}

/// Standard output of a call that succeeds.
#[track_caller]
fn weir(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(WEIR).args(args).current_dir(folder).output().expect("the binary starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("words are UTF-8")
}

/// Makes `january.csv` and its profile, `january.json`.
fn january(folder: &Path, flights: &Flights, more: &[&str]) {
    january_of(folder, flights, &flights.of_month(1), more);
}

/// The same of some rows.
fn january_of(folder: &Path, flights: &Flights, rows: &[&str], more: &[&str]) {
    flights.write(&folder.join("january.csv"), rows);
    let build = ["profile", "build", "--data", "january.csv", "--time", TIME, "--label", "late"];
    let blocks = ["--block", "1d", "--window-rows", WINDOW_ROWS, "-o", "january.json"];
    weir(folder, &[&build[..], &blocks, more].concat());
}

/// Everything that the windows of a replay showed, one list a setting.
fn replay(folder: &Path, data: &str, more: &[&str]) -> Vec<Vec<Value>> {
    replay_at(folder, data, TIME, more)
}

fn replay_at(folder: &Path, data: &str, time: &str, more: &[&str]) -> Vec<Vec<Value>> {
    let replay = ["drift", "replay", "--data", data, "--profile", "january.json", "--time", time, "--json"];
    let said: Value = serde_json::from_str(&weir(folder, &[&replay[..], more].concat())).expect("it is JSON");
    let settings = said["settings"].as_array().expect("settings").clone();
    settings.into_iter().map(|it| it["looks"].as_array().expect("looks").clone()).collect()
}

#[test]
fn a_window_before_days_without_rows_is_judged_as_well() {
    let (folder, flights) = (tempfile::tempdir().expect("a folder"), Flights::read());
    january(folder.path(), &flights, &[]);
    let days = ["1,2,", "1,5,", "1,9,", "1,10,", "1,11,", "1,17,", "1,25,"];
    let some = flights.of_month(1).into_iter().filter(|row| days.iter().any(|day| row.starts_with(day)));
    flights.write(&folder.path().join("some.csv"), &some.collect::<Vec<_>>());
    let looks = replay(folder.path(), "some.csv", &[]).remove(0);
    assert_eq!(looks.iter().filter(|look| look["verdict"] == "ok").count(), days.len());
}

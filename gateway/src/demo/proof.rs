//! Whether the drift plugin tells the demo's changed customers from its usual ones, and those from nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Parser;
use serde_json::Value as Json;
use weir_inference::{Row, Value};
use weir_profile::{BuildOptions, Sheet, Typing, build};

use super::traffic::Traffic;
use crate::artifacts::{CHURN, CHURN_TARGET};
use crate::cli::ReplayArgs;
use crate::commands::drift::windows;

const SEEDS: u64 = 20;
/// Rows of a window, each of which has a day of its own.
const WINDOW: usize = 1000;
/// Windows before the shift, and the requests that they are made of: two rows each on average.
const USUAL: usize = 6;
const SHIFT_AFTER: u64 = 3000;
const DAY: usize = 86_400;

/// What the demo's shift moves.
const MOVED: [(&str, &str); 6] = [
    ("contract", "values"),
    ("internet_service", "values"),
    ("monthly_charges", "values"),
    ("payment_method", "values"),
    ("tenure", "values"),
    ("total_charges", "missing"),
];

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    replay: ReplayArgs,
}

/// Rows of one demo, whose held-out customers come in an order of this seed, until a window after the shift.
fn demo(rows: &[Row], seed: u64) -> Vec<Row> {
    let mut rows = rows.to_vec();
    fastrand::Rng::with_seed(seed).shuffle(&mut rows);
    let mut traffic = Traffic::new(rows, SHIFT_AFTER);
    let mut sent = Vec::new();
    while sent.len() < (USUAL + 1) * WINDOW {
        sent.extend(traffic.next_rows());
    }
    sent.truncate((USUAL + 1) * WINDOW);
    sent
}

fn cells(row: &Row) -> String {
    let cell = |(_, value): &(std::sync::Arc<str>, Value)| match value {
        Value::Number(x) => x.to_string(),
        Value::Flag(flag) => u8::from(*flag).to_string(),
        Value::Text(text) => text.clone(),
        Value::Missing => String::new(),
    };
    row.features.iter().map(cell).collect::<Vec<_>>().join(",")
}

/// The demos of all seeds one after the other, a window a day.
fn write_demos(to: &Path, rows: &[Row]) {
    let names: Vec<&str> = rows[0].features.iter().map(|(name, _)| &**name).collect();
    let mut csv = format!("at,{}\n", names.join(","));
    let sent = (0..SEEDS).flat_map(|seed| demo(rows, seed));
    for (at, row) in sent.enumerate() {
        let seconds = 1_700_006_400 + at * DAY / WINDOW;
        writeln!(csv, "{seconds},{}", cells(&row)).expect("a string takes all");
    }
    fs::write(to, csv).expect("it is writable");
}

/// What each window of each demo showed.
fn replayed() -> Vec<Vec<Json>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, rows) = super::train_into(folder.path()).expect("a model");
    let (data, profile) = (folder.path().join("demos.csv"), folder.path().join("churn.json"));
    write_demos(&data, &rows);
    let sheet = Sheet::read(CHURN, &Typing::default()).expect("a table");
    let label = Some(CHURN_TARGET.to_owned());
    let options = BuildOptions { label, ..BuildOptions::new("churn.csv", 1) };
    let built = build(sheet, &options).expect("it builds");
    fs::write(&profile, built.profile.to_json()).expect("it is writable");
    let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let (data, profile) = (text(&data), text(&profile));
    let args = Args::parse_from(["replay", "--time", "at", "--data", &data, "--profile", &profile]);
    let looks = windows(&args.replay).expect("it is replayed");
    assert_eq!(looks.len(), SEEDS as usize * (USUAL + 1));
    looks.chunks(USUAL + 1).map(<[Json]>::to_vec).collect()
}

/// What a window tests, the clearest first.
fn ranked(look: &Json) -> Vec<(&str, &str)> {
    let tests = look["tests"].as_array().expect("it was looked at");
    tests.iter().filter_map(|test| Some((test["feature"].as_str()?, test["of"].as_str()?))).collect()
}

#[test]
fn usual_customers_raise_no_alarm_and_what_a_campaign_moves_comes_first_at_once() {
    let demos = replayed();
    let usual = demos.iter().flat_map(|looks| &looks[..USUAL]);
    let alarms = usual.filter(|look| look["verdict"] != "ok").count();
    println!("{alarms} alarms in {} usual windows", demos.len() * USUAL);
    assert!(alarms <= 1, "{alarms}");
    for (seed, looks) in demos.iter().enumerate() {
        let shifted = &looks[USUAL];
        assert_eq!(shifted["verdict"], "drift", "seed {seed}");
        let ranked = ranked(shifted);
        let mut first = ranked[..MOVED.len()].to_vec();
        first.sort_unstable();
        assert_eq!(first, MOVED, "seed {seed}: {ranked:?}");
    }
}

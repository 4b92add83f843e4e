//! The year through a model that learned from January: what a team would see that served it.

use serde_json::Value;

use super::{FLIGHTS, Flights, january, replay, weir};

#[test]
fn a_year_through_a_model_of_january_has_a_verdict_for_every_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let (at, flights) = (folder.path(), Flights::read());
    flights.write(&at.join("january.csv"), &flights.of_month(1));
    let train = ["model", "train", "--data", "january.csv", "--target", "late", "--ignore", "month,day"];
    weir(at, &[&train[..], &["--algorithm", "logistic-regression", "-o", "late.model"]].concat());
    january(at, &flights, &["--model", "late.model"]);
    let looks = replay(at, FLIGHTS, &["--window", "1d", "--model", "late.model"]).remove(0);
    assert_eq!(looks.len(), 365);
    for look in &looks {
        let day = look["window"]["begin_unix_ns"].as_u64().expect("a time") / 86_400_000_000_000;
        assert!(look["verdict"] == "ok" || look["verdict"] == "drift", "day {day}: {}", look["verdict"]);
        let tests = look["tests"].as_array().expect("it was looked at");
        for (role, judged) in [("input", 7), ("output", 1), ("score", 2)] {
            let of_role = |test: &&Value| test["role"] == role;
            assert_eq!(tests.iter().filter(of_role).count(), judged, "day {day}: {role}");
        }
    }
    let drifted = looks.iter().filter(|look| look["verdict"] == "drift").count();
    println!("{drifted} of 365 days drift");
}

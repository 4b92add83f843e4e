//! The year against its January, as `flights.py` and scipy see it (`flights.jsonl`): by calendar month
//! through the library, then through `weir drift replay`, by windows of thirty days and of one.

use std::collections::HashSet;
use std::fs;

use serde_json::Value;
use weir_exchange::Column;
use weir_profile::{Feature, FeatureCounts, FeatureKind, Profile, Sheet, Typing, Values};
use weir_stats::drift::{self, Effect, Sample, Verdict, compare, judge_comparisons, look_level};

use super::{FLIGHTS, Flights, january, replay};

/// Looks a month that may err, as in `flights.py`.
const BUDGETS: [f64; 2] = [1.0, 0.05];
const MIN_EFFECT: f64 = 0.05;
const DAY_NS: u64 = 86_400_000_000_000;

/// The lines of one kind.
fn lines(of: &str) -> Vec<Value> {
    let text = include_str!("flights.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    lines.filter(|line: &Value| line["of"] == of).collect()
}

/// Equal to nine digits of the larger, or of `scale` if what is compared is a small difference of such.
#[track_caller]
fn same(found: f64, right: &Value, scale: f64, what: &str) {
    let right = right.as_f64().unwrap_or_else(|| panic!("{what}: no number"));
    let room = 1e-9 * found.abs().max(right.abs()).max(scale);
    assert!((found - right).abs() <= room, "{what}: {found} where scipy has {right}");
}

#[track_caller]
fn same_effect(found: Effect, right: &Value, what: &str) {
    same(found.raw, &right[0], 0.0, what);
    // The corrected one is what little is left of the raw one.
    same(found.corrected, &right[1], found.raw, &format!("{what} corrected"));
}

/// The profile, the sheet of the year, and the month of each row.
fn loaded() -> (Profile, Sheet, Vec<String>) {
    let (folder, flights) = (tempfile::tempdir().expect("a folder"), Flights::read());
    january(folder.path(), &flights, &[]);
    let profile = Profile::read(&fs::read(folder.path().join("january.json")).expect("it was written"));
    let sheet = Sheet::read(
        fs::File::open(FLIGHTS).expect("it is in the tree"),
        &Typing { guess: true, ..Typing::default() },
    );
    (profile.expect("a profile"), sheet.expect("a table"), flights.rows)
}

/// Counts of some rows in the bins of a feature.
fn count(feature: &Feature, sheet: &Sheet, rows: &[usize]) -> FeatureCounts {
    let column = sheet.columns.iter().find(|column| column.name == feature.name).expect("a column");
    match (&feature.kind, &column.values) {
        (FeatureKind::Number { bins, .. }, Values::Number(numbers)) => {
            let counts = bins.count(&rows.iter().map(|row| numbers[*row]).collect::<Vec<_>>());
            FeatureCounts { bins: counts.bins, missing: counts.missing as f64 }
        }
        (FeatureKind::Category { texts }, Values::Text(of)) => {
            let mut counts = FeatureCounts { bins: vec![0.0; texts.len() + 1], missing: 0.0 };
            for code in rows.iter().map(|row| of.codes[*row]) {
                assert_ne!(code, Column::MISSING);
                let text = &of.dictionary[code as usize];
                counts.bins[texts.iter().position(|known| known == text).unwrap_or(texts.len())] += 1.0;
            }
            counts
        }
        _ => panic!("{} is of another kind", feature.name),
    }
}

fn compared(profile: &Profile, at: usize, counts: &FeatureCounts, factor: f64) -> drift::Comparison {
    let (feature, whole) = (&profile.features[at], &profile.cells[0]);
    let points = match &feature.kind {
        FeatureKind::Number { bins, .. } => Some(bins.points()),
        FeatureKind::Category { .. } => None,
    };
    let reference = Sample {
        counts: &whole.counts[at].bins,
        missing: whole.counts[at].missing,
        factor: profile.scale(whole.rows, whole.distinct),
    };
    let known = drift::Profile {
        reference,
        groups: &feature.groups,
        dispersion: feature.dispersion,
        missing_dispersion: feature.missing_dispersion,
        points,
    };
    compare(&known, &Sample { counts: &counts.bins, missing: counts.missing, factor })
}

#[track_caller]
fn same_comparison(found: &drift::Comparison, right: &Value, what: &str) {
    let (test, effects) = (found.test.expect("a test"), found.effects.expect("effects"));
    let significance = found.significance.expect("a significance");
    assert_eq!(Some(u64::from(test.dof)), right["dof"].as_u64(), "{what}");
    let numbers = [("n", found.n), ("m", found.m), ("x2", test.x2), ("p", test.p)];
    for (name, number) in numbers.into_iter().chain([("alarm_p", significance.p)]) {
        same(number, &right[name], 0.0, &format!("{what} {name}"));
    }
    let drift::Effects { psi, js, ks, total_variation, hellinger } = effects;
    let of = [("psi", psi), ("js", js), ("ks", ks), ("total_variation", total_variation)];
    for (name, effect) in of.into_iter().chain([("hellinger", hellinger)]) {
        same_effect(effect, &right[name], &format!("{what} {name}"));
    }
    assert_eq!(found.wasserstein.is_some(), right["wasserstein"].is_array(), "{what}");
    if let (Some(wasserstein), Some(ks)) = (found.wasserstein, found.kolmogorov_smirnov) {
        same_effect(wasserstein, &right["wasserstein"], &format!("{what} wasserstein"));
        same(ks.d, &right["ks_test"][0], 0.0, &format!("{what} D"));
        same(ks.p, &right["ks_test"][1], 0.0, &format!("{what} p of D"));
    }
    assert!(found.missing.is_none(), "{what}: nothing is missing");
}

#[test]
fn groups_and_phi_of_january_are_those_of_numpy() {
    let (profile, ..) = loaded();
    let right = lines("feature");
    assert_eq!(right.len(), profile.features.len());
    for ((feature, counts), right) in profile.features.iter().zip(&profile.cells[0].counts).zip(&right) {
        assert_eq!(right["name"], *feature.name);
        assert_eq!(right["groups"], Value::from(feature.groups.sum(&counts.bins)), "{}", feature.name);
        let (d1, d2) = feature.dispersion.dof.expect("of blocks");
        for (number, right) in
            [(feature.dispersion.phi, &right["phi"]), (d1, &right["dof"][0]), (d2, &right["dof"][1])]
        {
            same(number, right, 0.0, &feature.name);
        }
    }
}

#[test]
fn every_month_against_january_has_the_statistics_and_verdicts_of_scipy() {
    let (profile, sheet, rows) = loaded();
    let months = lines("month");
    assert_eq!(months.len(), 11);
    for right in months {
        let month = format!("{},", right["month"]);
        let of_month: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].starts_with(&month)).collect();
        // All but the month, the day and the label.
        let cells = |row: &usize| rows[*row].splitn(3, ',').nth(2)?.rsplit_once(',').map(|(cells, _)| cells);
        let distinct = of_month.iter().filter_map(cells).collect::<HashSet<_>>().len() as f64;
        let factor = profile.scale(of_month.len() as f64, distinct);
        let found: Vec<drift::Comparison> = (0..profile.features.len())
            .map(|at| compared(&profile, at, &count(&profile.features[at], &sheet, &of_month), factor))
            .collect();
        let verdicts = BUDGETS.map(|b| judge_comparisons(&found, look_level(b, 1.0), MIN_EFFECT));
        for (at, feature) in profile.features.iter().enumerate() {
            let (what, right) = (format!("{month} {}", feature.name), &right["features"][&*feature.name]);
            same_comparison(&found[at], right, &what);
            for (budget, verdicts) in verdicts.iter().enumerate() {
                let Verdict { values: Some(values), missing: None } = verdicts[at] else {
                    panic!("{what}: values are judged, and nothing is missing");
                };
                same(values.adjusted, &right["adjusted_p"], 0.0, &what);
                assert_eq!(right["drift"][budget], values.drift, "{what}");
            }
        }
    }
}

/// The test of a feature in a window.
fn test_of<'w>(window: &'w Value, name: &str) -> &'w Value {
    let tests = window["tests"].as_array().expect("it was looked at");
    tests.iter().find(|test| test["feature"] == name).unwrap_or_else(|| panic!("no test of {name}"))
}

#[track_caller]
fn same_window(window: &Value, right: &Value) -> String {
    let begin = right["begin"].as_u64().expect("a day");
    assert_eq!(window["window"]["begin_unix_ns"], begin * DAY_NS);
    assert_eq!(window["rows"], right["rows"], "day {begin}");
    assert_eq!(window["hypotheses"], 7, "day {begin}");
    format!("day {begin}")
}

#[track_caller]
fn has_verdict(window: &Value, drift: bool, what: &str) {
    assert_eq!(window["verdict"], if drift { "drift" } else { "ok" }, "{what}");
}

#[test]
fn a_replay_of_thirty_days_at_a_time_says_what_scipy_says() {
    let folder = tempfile::tempdir().expect("a folder");
    january(folder.path(), &Flights::read(), &[]);
    let settings = replay(folder.path(), FLIGHTS, &["--window", "30d", "--budget", "1,0.05"]);
    let mut windows = lines("window");
    windows.retain(|window| window["days"] == 30);
    for (budget, looks) in settings.iter().enumerate() {
        assert_eq!((looks.len(), windows.len()), (13, 13));
        for (look, right) in looks.iter().zip(&windows) {
            let what = same_window(look, right);
            let features = right["features"].as_object().expect("features");
            for (name, right) in features {
                let (test, what) = (test_of(look, name), format!("{what} {name}"));
                let number = |key: &str| test[key].as_f64().unwrap_or_else(|| panic!("{what}: no {key}"));
                for key in ["n", "m", "x2", "dof", "phi", "p", "alarm_p", "adjusted_p"] {
                    same(number(key), &right[key], 0.0, &format!("{what} {key}"));
                }
                let psi = Effect { raw: number("psi"), corrected: number("psi_corrected") };
                same_effect(psi, &right["psi"], &what);
                let named = [("js_distance", "js"), ("total_variation", "total_variation")];
                for (key, of) in named.into_iter().chain([("hellinger", "hellinger")]) {
                    let raw = right[of][0].as_f64().expect("a number");
                    same(number(key), &right[of][1], raw, &format!("{what} {key}"));
                }
                assert_eq!(test["drift"], right["drift"][budget], "{what}");
            }
            let drift = features.values().any(|it| it["drift"][budget] == true);
            has_verdict(look, drift, &what);
        }
    }
}

#[test]
fn a_replay_by_day_says_what_scipy_says() {
    let folder = tempfile::tempdir().expect("a folder");
    january(folder.path(), &Flights::read(), &[]);
    let looks = replay(folder.path(), FLIGHTS, &["--window", "1d"]).remove(0);
    let mut windows = lines("window");
    windows.retain(|window| window["days"] == 1);
    assert_eq!((looks.len(), windows.len()), (365, 365));
    for (look, right) in looks.iter().zip(&windows) {
        let what = same_window(look, right);
        let features = right["features"].as_object().expect("features");
        for (name, right) in features {
            let (test, what) = (test_of(look, name), format!("{what} {name}"));
            same(test["alarm_p"].as_f64().expect("a number"), &right[0], 0.0, &what);
            assert_eq!(test["drift"], right[1], "{what}");
        }
        has_verdict(look, features.values().any(|it| it[1] == true), &what);
    }
}

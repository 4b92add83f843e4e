//! What is learnt, and which data is refused.

use std::collections::HashSet;

use weir_inference::{Algorithm, Kind, TrainOptions, Value, holdout_rows, train};

use crate::support::{CHURN, FOREST, HELD_OUT, REGRESSION, small};

#[test]
fn the_churn_models_are_as_good_as_honest_ones_and_no_better() {
    for model in [&*REGRESSION, &*FOREST] {
        let found = model.about().validation;
        assert!((0.82..0.87).contains(&found.auc), "{:?}: {found:?}", model.about().algorithm);
        assert!(found.accuracy > found.baseline + 0.03, "{found:?}");
        assert!((0.38..0.46).contains(&found.log_loss), "{found:?}");
        assert!((0.12..0.15).contains(&found.brier), "{found:?}");
    }
}

#[test]
fn validation_counts_held_out_rows_only_and_they_are_three_tenths() {
    let about = REGRESSION.about();
    assert_eq!((about.rows.train, about.rows.holdout, about.rows.unlabelled), (4930, 2113, 0));
    assert_eq!(HELD_OUT.len(), 2113);
    let yes = HELD_OUT.iter().filter(|row| row.label == "Yes").count();
    assert_eq!(yes, 561, "three tenths of each class");
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_seed_another_split() {
    let options = TrainOptions { trees: 5, ..TrainOptions::new("churn", Algorithm::RandomForest) };
    let one = train(CHURN, &options).unwrap();
    assert_eq!(one.to_bytes(), train(CHURN, &options).unwrap().to_bytes());
    let other = train(CHURN, &TrainOptions { seed: 1, ..options }).unwrap();
    let rows = |model: &weir_inference::Model| -> HashSet<String> {
        holdout_rows(CHURN, model.about())
            .unwrap()
            .iter()
            .map(|row| serde_json::to_string(row).unwrap())
            .collect()
    };
    let common = rows(&one).intersection(&rows(&other)).count();
    assert!((500..800).contains(&common), "{common} rows are in both, where 634 are to be expected");
}

#[test]
fn held_out_rows_are_found_only_in_the_data_trained_on() {
    let other = holdout_rows(&CHURN[..CHURN.len() - 1], REGRESSION.about()).unwrap_err().to_string();
    assert!(other.contains("the data is another than the model's"), "{other}");
    let row = &HELD_OUT[0];
    assert_eq!(row.features.len(), 19);
    assert!(
        row.features.iter().any(|(name, value)| &**name == "contract" && matches!(value, Value::Text(_)))
    );
}

#[test]
fn three_classes_are_learnt_by_both_algorithms() {
    for algorithm in [Algorithm::LogisticRegression, Algorithm::RandomForest] {
        let about = small(algorithm).about().clone();
        assert_eq!(about.classes, ["a", "b", "c"]);
        assert!(about.validation.auc > 0.99 && about.validation.accuracy > 0.95, "{about}");
        assert_eq!(about.ignored, ["note"]);
    }
}

#[test]
fn columns_are_numbers_flags_or_categories_and_gaps_are_counted() {
    let model = small(Algorithm::LogisticRegression);
    let [colour, size, ok] = &model.about().features[..] else { panic!("{}", model.about()) };
    let Kind::Category { values } = &colour.kind else { panic!("{colour:?}") };
    let names: HashSet<&str> = values.iter().map(|v| v.value.as_str()).collect();
    assert_eq!(names, ["red", "green", "blue"].into());
    let present: u64 = values.iter().map(|v| v.rows).sum();
    assert_eq!(colour.missing + present, model.about().rows.train);
    assert!(colour.missing > 0);
    assert!(matches!(size.kind, Kind::Number { min: 0.0, max: 26.0, whole: true, .. }), "{size:?}");
    assert!(matches!(ok.kind, Kind::Flag { mean } if (0.4..0.6).contains(&mean)), "{ok:?}");
}

#[test]
fn classes_that_are_numbers_stand_in_the_order_of_their_values() {
    let rows: String = (0..120).map(|row| format!("{},{}\n", row, ["10", "9.0", "9"][row % 3])).collect();
    let csv = format!("x,y\n{rows}");
    let model = train(csv.as_bytes(), &TrainOptions::new("y", Algorithm::RandomForest)).unwrap();
    assert_eq!(model.about().classes, ["9", "10"]);
    assert!(model.about().numeric_classes);
}

#[test]
fn a_model_says_what_it_is() {
    let text = FOREST.about().to_string();
    for part in
        ["churn, version 7: a random forest", "No, Yes", "trees 100", "one of `Two year`", "4930 trained"]
    {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let json = serde_json::to_value(FOREST.about()).unwrap();
    assert_eq!(json["algorithm"], "random-forest");
    assert_eq!(json["data_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(json["features"][4]["kind"]["number"]["whole"], true);
}

/// Trains on `csv` and expects every part of the refusal.
fn refused(csv: &str, change: impl Fn(&mut TrainOptions), parts: &[&str]) {
    let mut options = TrainOptions::new("y", Algorithm::LogisticRegression);
    change(&mut options);
    let error = train(csv.as_bytes(), &options).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn broken_data_is_refused_with_its_line_and_column() {
    let usual = |_: &mut TrainOptions| {};
    refused("x,y\n1,a\n2\n", usual, &["line 3", "1 cells where the header has 2"]);
    refused("x,x,y\n1,1,a\n", usual, &["line 1", "`x`", "twice"]);
    refused("x,z\n1,a\n", usual, &["`target`", "no column `y`", "x, z"]);
    refused("x,y\n1,a\n2,a\n", usual, &["column `y`", "1 classes"]);
    refused("x,y\n1,a\n2,a\n3,b\n", usual, &["column `y`", "class `b` has one row"]);
    refused("x,y\n,a\n,a\n,b\n,b\n", usual, &["column `x`", "no value in any row"]);
    refused("x,y\n1,a\ninf,a\n3,b\n4,b\n", usual, &["line 3, column `x`", "`inf` is not a finite number"]);
    let slip: String = (0..30).map(|row| format!("{},{}\n", row, ["a", "b"][row % 2])).collect();
    refused(&format!("x,y\n{slip}abc,a\n"), usual, &["line 32, column `x`", "`abc` is a text", "ignore"]);
    let ids: String = (0..2000).map(|row| format!("id{},{}\n", row, ["a", "b"][row % 2])).collect();
    refused(&format!("x,y\n{ids}"), usual, &["column `x`", "is it an id?"]);
    let targets: String = (0..300).map(|row| format!("1,{row}.5\n")).collect();
    refused(&format!("x,y\n{targets}"), usual, &["column `y`", "more than 100 classes"]);
    refused("x,y\n1,a\n1,a\n1,b\n1,b\n", usual, &["one and the same value"]);
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let csv = "x,y\n1,a\n2,a\n3,b\n4,b\n";
    refused(csv, |o| o.ignore = vec!["w".into()], &["`ignore`", "no column `w`"]);
    refused(csv, |o| o.ignore = vec!["x".into()], &["no column is left"]);
    refused(csv, |o| o.trees = 0, &["`trees`", "1 to 1000"]);
    refused(csv, |o| o.holdout = 1.0, &["`holdout`"]);
}

#[test]
fn rows_without_a_label_are_left_out_and_counted() {
    let rows: String = (0..40).map(|row| format!("{},{}\n", row, ["a", "b", "", "NA"][row % 4])).collect();
    let options = TrainOptions::new("y", Algorithm::LogisticRegression);
    let model = train(format!("x,y\n{rows}").as_bytes(), &options).unwrap();
    let rows = model.about().rows;
    assert_eq!((rows.train, rows.holdout, rows.unlabelled), (14, 6, 20));
}

//! Rows in, classes and probabilities out.

use serde_json::json;
use weir_exchange::{Cell, Fields, Reply};
use weir_inference::{Algorithm, Kind, TrainOptions, train};

use crate::support::{FOREST, REGRESSION, first, small, table};

const BOTH: [Algorithm; 2] = [Algorithm::LogisticRegression, Algorithm::RandomForest];

#[test]
fn each_row_gets_its_class_and_a_probability_for_every_class() {
    for algorithm in BOTH {
        let rows = [&[json!("red"), json!(3), json!(1)][..], &[json!("blue"), json!(24), json!(0)]];
        let mut reply = Reply::default();
        small(algorithm).predict(&table(&rows), &mut reply).unwrap();
        assert_eq!((reply.outputs.cell(0, 0), reply.outputs.cell(1, 0)), (Cell::Text("a"), Cell::Text("c")));
        assert_eq!(reply.scores.fields, Fields::Named(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!((reply.scores.rows, reply.scores.width), (2, 3));
        for row in 0..2 {
            let sum: f64 = reply.scores.row(row).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        }
    }
}

#[test]
fn columns_with_names_may_come_in_any_order() {
    for algorithm in BOTH {
        let model = small(algorithm);
        let mut straight = table(&[&[json!("green"), json!(12), json!(1)]]);
        straight.fields = Fields::Named(["colour", "size", "ok"].map(Into::into).to_vec());
        let mut turned = table(&[&[json!(1), json!("green"), json!(12)]]);
        turned.fields = Fields::Named(["ok", "colour", "size"].map(Into::into).to_vec());
        let (mut one, mut other) = (Reply::default(), Reply::default());
        model.predict(&straight, &mut one).unwrap();
        model.predict(&turned, &mut other).unwrap();
        assert_eq!(one.scores, other.scores);
        assert_eq!(one.outputs.texts, other.outputs.texts);
    }
}

#[test]
fn many_rows_are_predicted_as_each_alone() {
    for algorithm in BOTH {
        let model = small(algorithm);
        let row =
            |at: usize| vec![json!(["red", "green", "blue", "pink"][at % 4]), json!(at % 31), json!(at % 2)];
        let rows: Vec<Vec<serde_json::Value>> = (0..1000).map(row).collect();
        let mut all = Reply::default();
        let slices: Vec<&[serde_json::Value]> = rows.iter().map(Vec::as_slice).collect();
        model.predict(&table(&slices), &mut all).unwrap();
        for at in [0, 255, 256, 257, 511, 999] {
            assert_eq!(all.scores.row(at), first(&model, &rows[at]).1, "row {at}");
        }
    }
}

#[test]
fn a_category_nobody_has_seen_and_a_missing_number_are_predicted() {
    for algorithm in BOTH {
        let model = small(algorithm);
        let (_, unseen) = first(&model, &[json!("ultraviolet"), json!(3), json!(1)]);
        let (_, nothing) = first(&model, &[json!(null), json!(null), json!(null)]);
        for probabilities in [unseen, nothing] {
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{probabilities:?}");
        }
    }
}

#[test]
fn to_a_regression_an_unseen_category_is_the_average_one() {
    let colours = ["red", "red", "green", "blue", "blue", "blue"];
    let rows: String =
        (0..300).map(|row| format!("{},{}\n", colours[row % 6], u8::from(row % 7 > row % 6))).collect();
    let options = TrainOptions::new("y", Algorithm::LogisticRegression);
    let model = train(format!("x,y\n{rows}").as_bytes(), &options).unwrap();
    let log_odds = |colour: &str| {
        let (_, probabilities) = first(&model, &[json!(colour)]);
        (probabilities[1] / probabilities[0]).ln()
    };
    let Kind::Category { values } = &model.about().features[0].kind else { panic!("{}", model.about()) };
    let weighted: f64 = values.iter().map(|v| v.rows as f64 * log_odds(&v.value)).sum();
    let average = weighted / model.about().rows.train as f64;
    assert!((log_odds("ultraviolet") - average).abs() < 1e-9, "{} {average}", log_odds("ultraviolet"));
    assert!((log_odds("red") - average).abs() > 1e-3, "or nothing is shown");
}

#[test]
fn a_category_that_was_missing_in_training_is_a_category_of_its_own() {
    // A gap means `a`, whatever the colours say.
    let rows: String = (0..300).map(|row| ["red,b\n", "blue,b\n", ",a\n"][row % 3]).collect();
    for algorithm in BOTH {
        let options = TrainOptions::new("y", algorithm);
        let model = train(format!("x,y\n{rows}").as_bytes(), &options).unwrap();
        assert_eq!(first(&model, &[json!(null)]).0, "a");
        assert_eq!(first(&model, &[json!("red")]).0, "b");
        assert_eq!(first(&model, &[json!("ultraviolet")]).0, "b", "unseen is not missing");
    }
}

#[test]
fn huge_numbers_give_probabilities_too() {
    for algorithm in BOTH {
        let model = small(algorithm);
        for size in [1e300, -1e300, f64::MAX] {
            let (_, probabilities) = first(&model, &[json!("red"), json!(size), json!(size)]);
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{probabilities:?}");
        }
    }
}

#[test]
fn classes_that_are_numbers_are_predicted_as_numbers() {
    let rows: String = (0..100).map(|row| format!("{row},{}\n", row / 50)).collect();
    let options = TrainOptions::new("y", Algorithm::LogisticRegression);
    let model = train(format!("x,y\n{rows}").as_bytes(), &options).unwrap();
    let mut reply = Reply::default();
    model.predict(&table(&[&[json!(2)], &[json!(98)]]), &mut reply).unwrap();
    assert_eq!((reply.outputs.cell(0, 0), reply.outputs.cell(1, 0)), (Cell::Number(0.0), Cell::Number(1.0)));
}

#[test]
fn both_churn_models_agree_with_sense() {
    for model in [&*REGRESSION, &*FOREST] {
        let mut row: Vec<serde_json::Value> = model
            .about()
            .features
            .iter()
            .map(|feature| match &feature.kind {
                Kind::Category { values } => json!(values[0].value),
                _ => json!(1),
            })
            .collect();
        let at = |name: &str| model.about().features.iter().position(|f| f.name == name).unwrap();
        row[at("tenure")] = json!(70);
        row[at("total_charges")] = json!(5000);
        row[at("monthly_charges")] = json!(60);
        let (label, stays) = first(model, &row);
        assert_eq!(label, "No");
        row[at("tenure")] = json!(1);
        row[at("total_charges")] = json!(90);
        row[at("monthly_charges")] = json!(95);
        row[at("contract")] = json!("Month-to-month");
        row[at("internet_service")] = json!("Fiber optic");
        let (_, leaves) = first(model, &row);
        assert!(leaves[1] > stays[1] + 0.2, "{stays:?} {leaves:?}");
    }
}

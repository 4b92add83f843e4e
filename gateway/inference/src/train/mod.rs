//! From a CSV file to a model that was checked on rows it has not seen.

mod data;
mod features;
mod grow;
mod regress;
mod split;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::about::{About, Algorithm, Feature, Kind, Rows, Validation};
use crate::encode::{Encoder, codes};
use crate::error::{ModelError, TrainError};
use crate::metrics;
use crate::model::{Content, Golden, Model, Predictor};
use data::Data;
use features::Labels;

/// What to train, and how.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Column to predict.
    pub target: String,
    pub algorithm: Algorithm,
    /// Columns to leave out.
    pub ignore: Vec<String>,
    /// Trees of a forest, 1 to 1000.
    pub trees: usize,
    /// Seed of the split and of the forest: the same seed and data give the same model.
    pub seed: u64,
    pub name: String,
    pub version: String,
    /// Share of the rows to check the model on, between 0 and 1 exclusive.
    pub holdout: f64,
}

impl TrainOptions {
    /// The usual choices for this target.
    pub fn new(target: &str, algorithm: Algorithm) -> Self {
        Self { target: target.to_owned(), algorithm, ..Self::default() }
    }
}

impl Default for TrainOptions {
    /// A forest of 100 trees, seed 0, three tenths held out; the target is for the caller to name.
    fn default() -> Self {
        Self {
            target: String::new(),
            algorithm: Algorithm::RandomForest,
            ignore: Vec::new(),
            trees: 100,
            seed: 0,
            name: "model".to_owned(),
            version: "1".to_owned(),
            holdout: 0.3,
        }
    }
}

/// A row of the data, as a request would carry it: serialises as an object of its features.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Values by name, in the order of the features.
    pub features: Vec<(Arc<str>, Value)>,
    /// The true class.
    pub label: String,
}

/// The value of a feature.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    Number(f64),
    Flag(bool),
    Text(String),
    /// Null.
    Missing,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.features.len()))?;
        for (name, value) in &self.features {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

/// Rows as a model computes with them, and their classes.
pub(crate) struct Encoded {
    /// Row-major, one value a feature.
    values: Vec<f64>,
    width: usize,
    labels: Vec<u32>,
    /// Mean of each feature over the rows trained on: what stands for NaN in a forest.
    means: Vec<f64>,
}

impl Encoded {
    /// The values with means in place of NaN.
    fn filled(&self) -> Vec<f64> {
        let value =
            |(at, value): (usize, &f64)| if value.is_nan() { self.means[at % self.width] } else { *value };
        self.values.iter().enumerate().map(value).collect()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn gave_up(error: smartcore::error::Failed) -> TrainError {
    TrainError::Fit(error.to_string())
}

/// Trains a model on a CSV file with a header and checks it on the rows held out.
///
/// # Errors
/// Says in which line and column the data is not fit for training, or which option is wrong, and what to do.
pub fn train(csv: impl Read, options: &TrainOptions) -> Result<Model, TrainError> {
    check(options)?;
    let data = Data::read(csv)?;
    let labels = features::labels(&data, data.column("target", &options.target)?)?;
    let columns = columns(&data, &options.target, &options.ignore)?;
    let (train, holdout) = split::split(&labels.of_row, labels.classes.len(), options.holdout, options.seed);
    let features: Vec<Feature> = columns
        .iter()
        .map(|column| features::feature(&data, *column, &train, &labels))
        .collect::<Result<_, _>>()?;
    let rows = encode(&data, &columns, &features, &train, &labels);
    let predictor = match options.algorithm {
        Algorithm::RandomForest => {
            let trees = options.trees as u16;
            Predictor::Forest(grow::grow(&rows, labels.classes.len(), trees, options.seed)?)
        }
        Algorithm::LogisticRegression => {
            Predictor::Linear(regress::fit(&rows, &features.iter().map(codes).collect::<Vec<_>>())?)
        }
    };
    let counted = Rows {
        train: train.len() as u64,
        holdout: holdout.len() as u64,
        unlabelled: labels.of_row.iter().filter(|label| label.is_none()).count() as u64,
    };
    let about = describe(options, features, &labels, counted, data.digest.clone());
    finish(about, predictor, &data, &holdout, &labels)
}

fn check(options: &TrainOptions) -> Result<(), TrainError> {
    let fail = |key, message: &str| Err(TrainError::Option { key, message: message.to_owned() });
    if !(options.holdout > 0.0 && options.holdout < 1.0) {
        return fail("holdout", "a share between 0 and 1 is needed to check the model");
    }
    if !(1..=1000).contains(&options.trees) {
        return fail("trees", "a forest has 1 to 1000 trees");
    }
    if options.name.is_empty() {
        return fail("name", "a model needs a name");
    }
    Ok(())
}

/// The columns that are features.
fn columns(data: &Data, target: &str, ignore: &[String]) -> Result<Vec<usize>, TrainError> {
    for name in ignore {
        data.column("ignore", name)?;
    }
    let used = |column: &usize| data.header[*column] != target && !ignore.contains(&data.header[*column]);
    let columns: Vec<usize> = (0..data.header.len()).filter(used).collect();
    match columns.len() {
        0 => Err(TrainError::Option { key: "ignore", message: "no column is left to learn from".into() }),
        1..=4096 => Ok(columns),
        many => Err(TrainError::Option {
            key: "ignore",
            message: format!("{many} columns are left; 4096 are the most"),
        }),
    }
}

fn encode(data: &Data, columns: &[usize], features: &[Feature], rows: &[usize], labels: &Labels) -> Encoded {
    let encoders: Vec<Encoder> = features.iter().map(Encoder::of).collect();
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        values.extend(columns.iter().zip(&encoders).map(
            |(column, encoder)| match data.cell(*row, *column) {
                None => encoder.missing(),
                Some(cell) => match encoder {
                    Encoder::Number => cell.parse().unwrap_or(f64::NAN),
                    Encoder::Flag | Encoder::Category { .. } => encoder.text(cell).unwrap_or(f64::NAN),
                },
            },
        ));
    }
    let mean = |feature: usize| {
        let known = values.iter().skip(feature).step_by(columns.len()).filter(|value| !value.is_nan());
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let means = (0..columns.len()).map(mean).collect();
    let labels = rows.iter().filter_map(|row| labels.of_row[*row]).collect();
    Encoded { width: columns.len(), values, labels, means }
}

fn describe(
    options: &TrainOptions,
    features: Vec<Feature>,
    labels: &Labels,
    rows: Rows,
    data_sha256: String,
) -> About {
    let settings = match options.algorithm {
        Algorithm::RandomForest => {
            vec![("trees", options.trees as f64), ("leaf_rows", grow::LEAF_ROWS as f64)]
        }
        Algorithm::LogisticRegression => vec![("l2", regress::L2)],
    };
    About {
        name: options.name.clone(),
        version: options.version.clone(),
        target: options.target.clone(),
        algorithm: options.algorithm,
        settings: settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        features,
        classes: labels.classes.clone(),
        numeric_classes: labels.numeric,
        ignored: options.ignore.clone(),
        rows,
        seed: options.seed,
        holdout: options.holdout,
        validation: Validation { auc: 0.0, accuracy: 0.0, baseline: 0.0, log_loss: 0.0, brier: 0.0 },
        data_sha256,
        created_by: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// Predicts the held-out rows, as a request would be, for validation and for the golden rows.
fn finish(
    about: About,
    predictor: Predictor,
    data: &Data,
    holdout: &[usize],
    labels: &Labels,
) -> Result<Model, TrainError> {
    let misfit = |error: ModelError| TrainError::Fit(error.to_string());
    let golden = Golden { numbers: Vec::new(), texts: Vec::new(), probabilities: Vec::new() };
    let mut content = Content { about, predictor, golden };
    let model = Model::new(content.clone()).map_err(misfit)?;
    let rows: Vec<Row> =
        holdout.iter().map(|row| row_of(data, &content.about, labels, *row)).collect::<Result<_, _>>()?;
    let truth: Vec<u32> = holdout.iter().filter_map(|row| labels.of_row[*row]).collect();
    let probabilities = predict(&model, &Golden::of(&rows))?;
    content.about.validation = metrics::validate(&probabilities, &truth, labels.classes.len());
    content.golden = Golden::of(&golden_rows(&rows));
    content.golden.probabilities = predict(&model, &content.golden)?;
    let model = Model::new(content).map_err(misfit)?;
    model.self_test().map_err(misfit)?;
    Ok(model)
}

fn predict(model: &Model, rows: &Golden) -> Result<Vec<f64>, TrainError> {
    let mut reply = weir_exchange::Reply::default();
    let table = rows.table(model.about().features.len());
    model.predict(&table, &mut reply).map_err(|error| TrainError::Fit(error.to_string()))?;
    Ok(reply.scores.numbers)
}

/// A few held-out rows, the first of them also with everything missing, and with texts nobody has seen.
fn golden_rows(rows: &[Row]) -> Vec<Row> {
    let mut golden: Vec<Row> = rows.iter().take(6).cloned().collect();
    for odd in [Value::Missing, Value::Text("\u{0}".into())] {
        let mut row = rows[0].clone();
        for (_, value) in &mut row.features {
            if odd == Value::Missing || matches!(value, Value::Text(_)) {
                *value = odd.clone();
            }
        }
        golden.push(row);
    }
    golden
}

impl Golden {
    fn of(rows: &[Row]) -> Self {
        let mut golden = Self { numbers: Vec::new(), texts: Vec::new(), probabilities: Vec::new() };
        for (_, value) in rows.iter().flat_map(|row| &row.features) {
            if let Value::Text(text) = value {
                golden.texts.push((golden.numbers.len() as u32, text.clone()));
            }
            golden.numbers.push(match value {
                Value::Number(number) => *number,
                Value::Flag(flag) => f64::from(u8::from(*flag)),
                Value::Text(_) | Value::Missing => f64::NAN,
            });
        }
        golden
    }
}

/// The rows of the data that the model was not trained on, in the order of the file.
///
/// # Errors
/// [`TrainError::OtherData`] if the data is not what the model was trained on, byte for byte.
pub fn holdout_rows(csv: impl Read, about: &About) -> Result<Vec<Row>, TrainError> {
    let data = Data::read(csv)?;
    if data.digest != about.data_sha256 {
        return Err(TrainError::OtherData { found: data.digest, expected: about.data_sha256.clone() });
    }
    let labels = features::labels(&data, data.column("target", &about.target)?)?;
    let (_, holdout) = split::split(&labels.of_row, labels.classes.len(), about.holdout, about.seed);
    holdout.iter().map(|row| row_of(&data, about, &labels, *row)).collect()
}

fn row_of(data: &Data, about: &About, labels: &Labels, row: usize) -> Result<Row, TrainError> {
    let value = |feature: &Feature, cell: Option<&str>| match (&feature.kind, cell) {
        (_, None) => Value::Missing,
        (Kind::Number { .. }, Some(cell)) => cell.parse().map_or(Value::Missing, Value::Number),
        (Kind::Flag { .. }, Some(cell)) => crate::encode::flag(cell).map_or(Value::Missing, Value::Flag),
        (Kind::Category { .. }, Some(cell)) => Value::Text(cell.to_owned()),
    };
    let feature = |feature: &Feature| {
        let column = data.column("features", &feature.name)?;
        Ok((feature.name.as_str().into(), value(feature, data.cell(row, column))))
    };
    let features = about.features.iter().map(feature).collect::<Result<_, TrainError>>()?;
    let label = labels.of_row[row].map_or(String::new(), |class| labels.classes[class as usize].clone());
    Ok(Row { features, label })
}

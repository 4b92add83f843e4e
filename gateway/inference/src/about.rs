//! What a model file says of itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a model learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    RandomForest,
    LogisticRegression,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RandomForest => "random forest",
            Self::LogisticRegression => "logistic regression",
        })
    }
}

/// Everything there is to know of a model without running it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub name: String,
    pub version: String,
    /// Column that is predicted.
    pub target: String,
    pub algorithm: Algorithm,
    /// Hyperparameters by name.
    pub settings: BTreeMap<String, f64>,
    /// In the order of array rows.
    pub features: Vec<Feature>,
    /// In the order of the probabilities: by value if all are numbers, else by name.
    pub classes: Vec<String>,
    /// The classes are numbers, and are predicted as such.
    pub numeric_classes: bool,
    /// Columns of the data that were left out.
    pub ignored: Vec<String>,
    pub rows: Rows,
    /// Seed of the split and of the forest.
    pub seed: u64,
    /// Share of each class that was held out.
    pub holdout: f64,
    /// Measured on the held-out rows alone.
    pub validation: Validation,
    /// SHA-256 of the CSV file, hex.
    pub data_sha256: String,
    /// Program and version that made the file.
    pub created_by: String,
}

/// One input of a model. Numbers describe the rows trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    pub kind: Kind,
    /// Training rows without a value.
    pub missing: u64,
}

/// What values a feature takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Number {
        min: f64,
        max: f64,
        mean: f64,
        /// All values seen were whole.
        whole: bool,
    },
    /// `true` or `false`.
    Flag {
        /// Share of `true`.
        mean: f64,
    },
    /// A text of a closed set; by rising share of the last class, so that a threshold parts those that act
    /// alike.
    Category { values: Vec<Category> },
}

/// One value of a category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Category {
    pub value: String,
    /// Training rows with it.
    pub rows: u64,
}

/// Where the rows of the data went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    pub train: u64,
    pub holdout: u64,
    /// Left out, since their target is missing.
    pub unlabelled: u64,
}

/// How good the model is on rows it has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Area under the ROC curve; over more than two classes, the mean of one class against the rest.
    pub auc: f64,
    pub accuracy: f64,
    /// Accuracy of always predicting the most frequent class.
    pub baseline: f64,
    /// Mean of the negative natural logarithm of the true class's probability.
    pub log_loss: f64,
    /// Mean squared error of the last class's probability; over more than two classes, summed over all of
    /// them.
    pub brier: f64,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, target, algorithm, rows, validation: v, .. } = self;
        writeln!(f, "{name}, version {version}: a {algorithm} that predicts `{target}`")?;
        writeln!(f, "classes     {}", first_of(&self.classes, |class| class.clone()))?;
        let settings: Vec<String> =
            self.settings.iter().map(|(key, value)| format!("{key} {value}")).collect();
        writeln!(f, "settings    {}, seed {}", settings.join(", "), self.seed)?;
        write!(f, "rows        {} trained on, {} held out", rows.train, rows.holdout)?;
        if rows.unlabelled > 0 {
            write!(f, ", {} left out for want of a `{target}`", rows.unlabelled)?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "held out    AUC {:.4}, accuracy {:.4} (most frequent class {:.4}), log loss {:.4}, Brier {:.4}",
            v.auc, v.accuracy, v.baseline, v.log_loss, v.brier
        )?;
        writeln!(f, "data        sha256 {}", self.data_sha256)?;
        writeln!(f, "made by     {}", self.created_by)?;
        if !self.ignored.is_empty() {
            writeln!(f, "left out    {}", self.ignored.join(", "))?;
        }
        write!(f, "features    {}", self.features.len())?;
        let widest = self.features.iter().map(|feature| feature.name.chars().count()).max().unwrap_or(0);
        for Feature { name, kind, missing } in &self.features {
            write!(f, "\n  {name:widest$}  {kind}")?;
            if *missing > 0 {
                write!(f, ", {missing} missing")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { min, max, mean, whole } => {
                let what = if *whole { "whole number" } else { "number" };
                write!(f, "{what} {min} to {max}, mean {mean:.3}")
            }
            Self::Flag { mean } => write!(f, "true or false, mean {mean:.3}"),
            Self::Category { values } => {
                write!(f, "one of {}", first_of(values, |category| format!("`{}`", category.value)))
            }
        }
    }
}

/// The first few of a list, and how many more there are.
fn first_of<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    const SHOWN: usize = 8;
    let mut text = items.iter().take(SHOWN).map(show).collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}

//! Why a model was not trained, not read, or did not predict.

use std::io;

/// Why training failed: where in the data, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("the data cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("the data is over {limit} bytes (train on a sample)")]
    TooLarge { limit: u64 },
    /// The CSV itself is broken.
    #[error("line {line}: {message}")]
    Csv { line: u64, message: String },
    /// One cell does not fit its column.
    #[error("line {line}, column `{column}`: {message}")]
    Cell { line: u64, column: String, message: String },
    /// A whole column cannot be used.
    #[error("column `{column}`: {message}")]
    Column { column: String, message: String },
    /// An option is out of its range.
    #[error("`{key}`: {message}")]
    Option { key: &'static str, message: String },
    #[error("the data is another than the model's: its sha256 is {found}, not {expected}")]
    OtherData { found: String, expected: String },
    /// The runtime gave up.
    #[error("the model cannot be fitted: {0}")]
    Fit(String),
}

/// Why a model file was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    #[error("this is no model file of `weir model train` (it does not begin with `weirmodl`)")]
    NotAModel,
    #[error("the model file has format {found}, and this build reads format {known} (train it again)")]
    Format { found: u32, known: u32 },
    #[error(
        "the model file is cut off: {found} bytes of {expected} (copy it again, to another name, then rename)"
    )]
    Truncated { found: u64, expected: u64 },
    #[error("the model file is damaged: its content has sha256 {found}, its head says {expected}")]
    Damaged { found: String, expected: String },
    /// The digest fits, but the content does not make a model.
    #[error("the model file makes no sense: {0}")]
    Malformed(String),
    #[error(
        "the model fails its self-test: probability of `{class}` in row {row} is {found}, and was {expected} when \
         it was trained"
    )]
    SelfTest { row: usize, class: String, found: f64, expected: f64 },
}

/// Why a table cannot be predicted. Rows and columns are counted from 0.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    #[error("the request holds no rows")]
    NoRows,
    #[error("rows have {found} columns, and the model takes {expected} ({names})")]
    Width { found: usize, expected: usize, names: String },
    /// Missing and unknown columns, in words.
    #[error("{0}")]
    Columns(String),
    #[error("row {row}: `{column}` is {found}, and the model takes {expected}")]
    Type { row: usize, column: String, found: String, expected: &'static str },
}

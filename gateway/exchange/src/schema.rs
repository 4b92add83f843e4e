//! The columns of a batch and their dictionaries.

use std::sync::Arc;

/// A schema's number, unique in a process. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

/// What a column is. A new role is no change of the plugin interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A feature the caller sent.
    Input,
    /// A prediction: label code or value.
    Output,
    /// A class score; the column's name is the class.
    Score,
    /// HTTP status, one an exchange.
    Status,
    /// Seconds from first upstream byte to last response byte, one an exchange.
    Duration,
    /// Body sizes in bytes, one an exchange.
    RequestBytes,
    ResponseBytes,
    /// Unix time of the request in seconds, one an exchange.
    Time,
    /// `Outcome` as a code, one an exchange.
    Outcome,
}

/// One value a row, or one an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    Row,
    Exchange,
}

impl Role {
    /// Every role, in the order the columns of an exchange are kept.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::Output,
        Self::Score,
        Self::Status,
        Self::Duration,
        Self::RequestBytes,
        Self::ResponseBytes,
        Self::Time,
        Self::Outcome,
    ];

    /// The name plugins use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Score => "score",
            Self::Status => "status",
            Self::Duration => "duration",
            Self::RequestBytes => "request.bytes",
            Self::ResponseBytes => "response.bytes",
            Self::Time => "time",
            Self::Outcome => "outcome",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether values come one a row or one an exchange.
    pub fn per(self) -> Per {
        match self {
            Self::Input | Self::Output | Self::Score => Per::Row,
            _ => Per::Exchange,
        }
    }
}

/// How a column's values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `f64`; NaN is missing.
    Number,
    /// `u32` index into the column's dictionary; [`Column::MISSING`] is missing.
    Code,
}

/// One column. A field that carried both numbers and texts has two columns of the same role and name.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub role: Role,
    pub name: Arc<str>,
    pub kind: Kind,
    /// Dictionary of a code column, append-only; code `i` means `codes[i]`.
    pub codes: Vec<Arc<str>>,
}

impl Column {
    /// The code of a missing value.
    pub const MISSING: u32 = u32::MAX;
    /// The text of every value past the dictionary's cap.
    pub const OTHER: &'static str = "(other)";
}

/// A schema as it was when a batch closed. Columns and dictionaries only ever grow; `version` rises when they
/// do.
#[derive(Clone, Debug)]
pub struct Schema {
    pub id: SchemaId,
    pub version: u32,
    pub route: Arc<str>,
    pub model: Arc<str>,
    pub model_version: Arc<str>,
    /// Class scores were recognised (classification) or not (regression or unknown yet).
    pub classification: Option<bool>,
    pub columns: Vec<Column>,
}

impl Schema {
    /// Indices of the columns with a role, in order.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(move |(_, c)| c.role == role).map(|(i, _)| i)
    }
}

//! Why a profile was not read.

use crate::file::LARGEST_FILE;

/// Why a profile file was refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProfileError {
    #[error("it is no profile of `weir profile build`: {0}")]
    NotAProfile(String),
    #[error("it is over {LARGEST_FILE} bytes (build it with a shorter season or fewer segments)")]
    TooLarge,
    #[error("it is a profile of version {found}, and this build reads version {known} (build it anew)")]
    Version { found: u64, known: u32 },
    /// A key that is missing, unknown or of another type.
    #[error("it is damaged: {0} (build it anew)")]
    Json(String),
    #[error(
        "it was changed by hand: its content has sha256 `{found}`, and its `digest` says `{expected}` (build it \
         anew)"
    )]
    Digest { found: String, expected: String },
    /// The digest fits, but the content makes no profile; the place as a path of keys.
    #[error("`{place}` makes no sense: {message} (build it anew)")]
    Malformed { place: String, message: String },
}

/// Why no profile was built: where in the data or the options, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the data cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("the data is over {limit} bytes unpacked (build the profile of a sample)")]
    TooLarge { limit: u64 },
    /// The CSV itself is broken.
    #[error("line {line}: {message}")]
    Csv { line: u64, message: String },
    #[error("the Parquet file cannot be read: {0} (write it anew, as snappy, zstd, gzip, lz4 or plain)")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A whole column cannot be used.
    #[error("column `{column}`: {message}")]
    Column { column: String, message: String },
    /// An option does not fit the data or another one.
    #[error("`--{key}`: {message}")]
    Option { key: &'static str, message: String },
    /// There is nothing to make a profile of.
    #[error("{0}")]
    Nothing(String),
}

//! Why a body yielded no rows.

use std::fmt;

/// A body that could not be read. The tables it was to fill are empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    pub kind: DecodeErrorKind,
    /// Lower case, with the byte or the name it is about.
    pub message: String,
}

/// The kinds of [`DecodeError`]: a closed set, fit for a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeErrorKind {
    /// There is no body, or the field that should hold the rows is not in it.
    Absent,
    /// Not what its protocol allows: broken JSON, a shape that does not fit its data.
    Malformed,
    /// Well formed perhaps, but in a form the codecs do not read.
    Unsupported,
    /// More nested arrays and objects than [`DecodeLimits::depth`].
    TooDeep,
    /// Beyond another of the [`DecodeLimits`].
    TooLarge,
    /// Text that is not UTF-8.
    NotUtf8,
}

impl DecodeErrorKind {
    pub const ALL: [Self; 6] =
        [Self::Absent, Self::Malformed, Self::Unsupported, Self::TooDeep, Self::TooLarge, Self::NotUtf8];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
        }
    }
}

/// What one body may cost. A body is data from a stranger: each of these is reached by somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of a body once its content encoding is undone.
    pub decompressed: usize,
    /// Cells of one table, padding included: 8 bytes each.
    pub cells: usize,
    /// Nested arrays and objects.
    pub depth: usize,
    /// Fields of one table.
    pub columns: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { decompressed: 8 << 20, cells: 4 << 20, depth: 64, columns: 4096 }
    }
}

/// Inside the crate errors are boxed: a number read in a loop should not carry the room for a message.
pub(crate) type Read<T> = Result<T, Box<DecodeError>>;

#[cold]
#[inline(never)]
fn fail<T>(kind: DecodeErrorKind, message: fmt::Arguments<'_>) -> Read<T> {
    Err(Box::new(DecodeError { kind, message: message.to_string() }))
}

pub(crate) fn absent<T>(message: fmt::Arguments<'_>) -> Read<T> {
    fail(DecodeErrorKind::Absent, message)
}

pub(crate) fn malformed<T>(message: fmt::Arguments<'_>) -> Read<T> {
    fail(DecodeErrorKind::Malformed, message)
}

pub(crate) fn unsupported<T>(message: fmt::Arguments<'_>) -> Read<T> {
    fail(DecodeErrorKind::Unsupported, message)
}

pub(crate) fn too_deep<T>(limit: usize) -> Read<T> {
    fail(DecodeErrorKind::TooDeep, format_args!("more than {limit} nested arrays and objects"))
}

pub(crate) fn too_large<T>(what: &str, limit: usize) -> Read<T> {
    fail(DecodeErrorKind::TooLarge, format_args!("more than {limit} {what}"))
}

pub(crate) fn not_utf8<T>(at: usize) -> Read<T> {
    fail(DecodeErrorKind::NotUtf8, format_args!("byte {at} is not UTF-8"))
}

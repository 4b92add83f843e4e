//! A pull parser for JSON: one pass over the bytes, no tree, no allocation unless a string has escapes.
//!
//! Strict (RFC 8259) but for the literals `NaN`, `Infinity` and `-Infinity`, which Python's encoder writes.
//! What is skipped is checked as closely as what is read, so that a body is either well formed to its last
//! byte or refused.

mod number;
mod reader;
mod string;

pub(crate) use reader::{Reader, Scalar};

//! The room's promises: what bodies say, that every body ends in rows or a typed error, and that what is
//! written reads back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod decode;
mod encoding;
mod support;
mod totality;

//! What the room promises: honest training, files that are refused in words, answers in the route's protocol.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod file;
mod predicting;
mod serving;
mod support;
mod training;

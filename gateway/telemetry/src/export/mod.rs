//! Sending what Weir knows to somebody else.

mod post;

pub use post::{Identity, Post, PostError, PostFault, PostOptions, PostShape, Reply};

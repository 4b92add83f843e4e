//! The admin listener over real sockets: what it answers, to whom, and what it survives.

mod access;
mod limits;
mod pages;
mod support;

//! The wiring of Weir: the command line, and one place where the rooms are joined. No logic about requests
//! lives here.

mod alerting;
mod app;
mod artifacts;
pub mod cli;
mod commands;
mod demo;
mod exports;
mod generation;
mod house;
mod live;
mod loaded;
mod reload;
mod running;
mod runtime;
mod seams;
mod sensitivity;
mod status;
mod watch;

//! The commands that end: plugins, models and generated files.

pub(crate) mod model;
pub(crate) mod plugin;

use std::process::ExitCode;

use crate::cli::{CliError, GenerateCommand};

/// Prints what is generated from the configuration's one definition.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every command")]
pub(crate) fn generate(command: &GenerateCommand) -> Result<ExitCode, CliError> {
    match command {
        GenerateCommand::Schema => println!("{}", weir_config::schema()),
        GenerateCommand::Config => print!("{}", weir_config::DEFAULT),
    }
    Ok(ExitCode::SUCCESS)
}

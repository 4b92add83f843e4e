//! The commands that end: plugins, models and generated files.

pub(crate) mod alert;
pub(crate) mod model;
pub(crate) mod plugin;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::cli::{CliError, GenerateCommand};

/// Prints what is generated from the one definition of the configuration's keys, or from a configuration.
pub(crate) fn generate(command: GenerateCommand) -> Result<ExitCode, CliError> {
    match command {
        GenerateCommand::Schema => say(weir_config::schema().trim_end()),
        GenerateCommand::Config => say(weir_config::DEFAULT.trim_end()),
        GenerateCommand::Rules(args) => alert::rules(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line. That nobody reads on, as `| head` does, is no error.
pub(crate) fn say(line: impl fmt::Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("weir: failed to write to standard output: {error}");
    }
}

//! The commands that end: plugins, models, profiles and generated files.

pub(crate) mod alert;
pub(crate) mod drift;
pub(crate) mod model;
pub(crate) mod plugin;
pub(crate) mod profile;

use std::fmt;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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

/// All of it or nothing: a gateway that watches the file never sees half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any new file; the process's mask takes the rest away.
    let mut file = tempfile::Builder::new()
        .prefix(".weir-new-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

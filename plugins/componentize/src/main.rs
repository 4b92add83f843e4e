//! `componentize IN OUT`: the core module IN becomes the component OUT, which is left alone if it is that
//! already.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, process};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let [input, output] = args.as_slice() else {
        eprintln!("usage: componentize IN OUT");
        return ExitCode::from(2);
    };
    match run(Path::new(input), Path::new(output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed to make a component of `{input}`: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(input: &Path, output: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let component = weir_componentize::componentize(&fs::read(input)?)?;
    if fs::read(output).is_ok_and(|old| old == component) {
        return Ok(());
    }
    // Renamed into place: a gateway that watches the file never reads half of it.
    let part = output.with_extension(format!("{}.part", process::id()));
    fs::write(&part, component)?;
    fs::rename(part, output)?;
    Ok(())
}

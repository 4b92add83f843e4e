//! `weir model`: train a model from a CSV file, and say what a model file holds.

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use sha2::{Digest, Sha256};
use weir_inference::{Model, TrainOptions, train};

use crate::cli::{Algorithm, CliError, ModelCommand, TrainArgs};
use crate::commands::{say, write_whole};

pub(crate) fn run(command: ModelCommand) -> Result<ExitCode, CliError> {
    match command {
        ModelCommand::Train(args) => train_and_write(args)?,
        ModelCommand::Inspect { file, json } => inspect(&file, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn train_and_write(args: TrainArgs) -> Result<(), CliError> {
    let name = args.name.unwrap_or_else(|| stem(&args.out));
    let options = TrainOptions {
        ignore: args.ignore,
        trees: args.trees,
        seed: args.seed,
        name,
        version: args.model_version,
        ..TrainOptions::new(&args.target, args.algorithm.into())
    };
    let (data, out) = (args.data.display(), args.out.display());
    let begin = Instant::now();
    let csv = File::open(&args.data).map_err(|error| format!("failed to read `{data}`: {error}"))?;
    if csv.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0) {
        return Err(format!("failed to train on `{data}`: the file is empty").into());
    }
    let model = train(csv, &options).map_err(|error| format!("failed to train on `{data}`: {error}"))?;
    let took = begin.elapsed().as_secs_f64();
    let bytes = model.to_bytes();
    write_whole(&args.out, &bytes).map_err(|error| format!("failed to write `{out}`: {error}"))?;
    say(model.about());
    say(format_args!("\ntrained in {took:.1} s and written to {out}, {}", size_and_digest(&bytes)));
    Ok(())
}

fn inspect(file: &Path, json: bool) -> Result<(), CliError> {
    let shown = file.display();
    let bytes = fs::read(file).map_err(|error| format!("failed to read `{shown}`: {error}"))?;
    let model = Model::from_bytes(&bytes).map_err(|error| format!("failed to load `{shown}`: {error}"))?;
    if json {
        say(serde_json::to_string_pretty(model.about())?);
    } else {
        say(model.about());
        say(format_args!("\n{shown}: {}; it passed its self-test", size_and_digest(&bytes)));
    }
    Ok(())
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn size_and_digest(bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, sha256 {digest}", bytes.len())
}

impl From<Algorithm> for weir_inference::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RandomForest => Self::RandomForest,
            Algorithm::LogisticRegression => Self::LogisticRegression,
        }
    }
}

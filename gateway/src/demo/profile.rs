//! The reference of the demo: the customers the model was made with, and what it says of them.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_inference::Model;
use weir_profile::{BuildOptions, ModelRef, Profile, Sheet, Typing, build};

use crate::artifacts::{CHURN, CHURN_TARGET};
use crate::cli::CliError;
use crate::commands::profile::predicted;
use crate::commands::write_whole;

/// Rows of the smallest window that is judged: a few seconds of the demo's traffic.
const WINDOW_ROWS: u64 = 300;

/// The profile of the churn data with this model.
pub(crate) fn profile(model: &Model) -> Result<Profile, CliError> {
    let typing = Typing { guess: true, ..Typing::default() };
    let sheet = predicted(Sheet::read(CHURN, &typing)?, model)?;
    let about = model.about();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let options = BuildOptions {
        model: Some(ModelRef { name: about.name.clone(), version: Some(about.version.clone()) }),
        inputs: Some(about.features.iter().map(|feature| feature.name.clone()).collect()),
        label: Some(CHURN_TARGET.to_owned()),
        window_rows: Some(WINDOW_ROWS),
        ..BuildOptions::new("churn.csv", now)
    };
    Ok(build(sheet, &options)?.profile)
}

/// Writes it into the folder.
pub(super) fn write(folder: &Path, model: &Model) -> Result<(), CliError> {
    Ok(write_whole(&folder.join("churn.profile.json"), &profile(model)?.to_json())?)
}
